"""The report's gallery: which images it shows, in which order, and how small."""

import base64
import io
import json

import numpy as np
import pytest
from helpers.made_up_results import (
    CONFIGURATION,
    IDS,
    draw,
    write_contents,
    write_controls,
    write_stimuli,
    write_subject,
)
from helpers.pages import Page, first_ids, sheets_of
from PIL import Image

from neural_recon.report import album, gallery, results
from neural_recon.report.page import build


def test_all_test_images_are_in_the_page(made):
    output, subjects, _ = made
    text = output.read_text(encoding="utf-8")
    sheets = sheets_of(text)
    kinds = ("base", "final", "true_features")
    assert set(sheets) == {("", "seen"), *((s, kind) for s in IDS for kind in kinds)}  # stimuli once for all
    assert set(sheets["", "seen"]) == set(IDS["subj01"])
    index = json.loads(text.split('id="index">')[1].split("</script>")[0])
    assert [m["name"] for m in index["metrics"]] == [
        "clip_two_way", "object", "background", "pixcorr", "ssim",
    ]  # fmt: skip
    for files, entry in zip(subjects, index["subjects"], strict=True):
        assert set(sheets[files.subject, "final"]) == set(IDS[files.subject]) == set(entry["ids"])
        assert set(sheets[files.subject, "true_features"]) == set(IDS[files.subject][:5])
        for image_id, image in results.each_picture(files.final, IDS[files.subject]):
            small = np.asarray(sheets[files.subject, "final"][image_id].convert("RGB"), float)
            assert np.abs(small - image).mean() < 8
        person = results.read(files, {})
        for metric, values in entry["scores"].items():
            expected = person.per_image("decoded", "final", metric)
            assert dict(zip(entry["ids"], values, strict=True)) == pytest.approx(expected, abs=1e-4)


def test_first_view_spreads_from_best_to_worst(made):
    output, subjects, _ = made
    text = output.read_text(encoding="utf-8")
    person = results.read(subjects[0], {})
    scores = person.per_image("decoded", "final", "clip_two_way")
    ranked = gallery.best_first(IDS["subj01"], scores, {})
    shown = first_ids(text, "subj01")
    assert shown == [ranked[k] for k in np.linspace(0, 9, 8).round().astype(int)]


def test_evenly_keeps_both_ends():
    assert gallery.evenly(100, 5) == [0, 25, 50, 74, 99]
    assert gallery.evenly(3, 8) == [0, 1, 2]
    assert gallery.evenly(0, 8) == []


def test_best_first_puts_the_unscored_last():
    scores = {1: 0.5, 2: 0.9, 3: 0.5}
    assert gallery.best_first([4, 1, 2, 3], scores, {}) == [2, 1, 3, 4]
    assert gallery.best_first([4, 1, 2, 3], scores, {1: 0.1, 3: 0.2}) == [2, 3, 1, 4]
    assert gallery.ties(scores) == ""
    assert gallery.ties({**scores, 4: 0.9}) == "2 of 4 have the best score, 0.900"


def test_thumbnails_are_small_and_true(rng):
    large = draw(rng, 1, 512, 4)[0]
    uri = gallery.data_uri(large)
    assert uri.startswith("data:image/webp;base64,")
    small = Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))
    assert small.size == (160, 160)
    reference = np.asarray(Image.fromarray(large).resize((160, 160), Image.Resampling.LANCZOS), float)
    assert np.abs(np.asarray(small, float) - reference).mean() < 3


@pytest.mark.usefixtures("no_plots")
def test_controls_and_contents_where_they_are(made, rng, tmp_path):
    _, subjects, stimuli = made
    files = [write_controls(tmp_path, rng, f, IDS[f.subject]) for f in subjects]
    contents = write_contents(tmp_path / "content.parquet", IDS["subj01"])
    build(tmp_path / "r.html", files, stimuli, None, CONFIGURATION, contents=contents)
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    sheets = sheets_of(text)
    assert set(sheets["subj02", "nearest"]) == set(sheets["subj02", "shuffled"]) == set(IDS["subj02"])
    # several test images have the same neighbour: its picture is there once
    stored = text.split('data-subject="subj01" data-kind="nearest">')[1].split("</script>")[0]
    assert len(json.loads(stored)["pictures"]) == 3
    page = Page(text)
    assert "nearest training image, image id 3, subj01" in text
    assert "</script><b>" not in text  # a category's name stays text
    assert "animal (5)" in page.text
    assert "6 or more" in page.text


def test_pictures_shrink_until_they_fit(monkeypatch, tmp_path, rng):
    large = write_subject(tmp_path / "large", rng, "subj01", IDS["subj01"], size=200)
    stimuli = write_stimuli(tmp_path / "stimuli.hdf5", IDS["subj01"], draw(rng, 10, 425, 20))
    sizes = {}
    for budget in (10**7, 60_000):
        monkeypatch.setattr(album, "BUDGET", budget)
        found = album.build([results.read(large, {})], stimuli.pictures, [], None)
        written = sum(len(pictures) for _, _, pictures in found["sheets"])
        assert written < budget * 1.1
        sizes[budget] = found["side"]
    assert sizes[10**7] == 160
    assert sizes[60_000] < 160
