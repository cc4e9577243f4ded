"""Captions as answers on the page: their table, and the texts under the gallery's pictures."""

import dataclasses
import json
import re

import numpy as np
import pandas as pd
import pytest
from helpers.made_up_results import CONFIGURATION, IDS, draw, write_stimuli, write_subject
from helpers.pages import draw_no_figures

from neural_recon.core.tables import write_table
from neural_recon.evaluation.captions import SEEN
from neural_recon.evaluation.registry import NEAREST, WRITTEN
from neural_recon.evaluation.subject_scores import Scores
from neural_recon.report import captions, results, spaces
from neural_recon.report.page import build

SUBJECT, IMAGES = "subj01", IDS["subj01"]


@pytest.fixture
def files(tmp_path, rng):
    """A subject whose nearest captions fit, with a control, a ceiling, and a generator that wrote some."""
    files = write_subject(tmp_path, rng, SUBJECT, IMAGES)
    n, scores = len(IMAGES), Scores(SUBJECT, 0, 100)
    for variant, level in (("decoded", 0.7), ("true_features", 0.9), ("shuffled", 0.2)):
        for metric in captions.METRICS:
            scores.add(variant, NEAREST, metric, np.array(IMAGES), np.eye(n) * (level - 0.2) + 0.2)
    scores.add("decoded", WRITTEN, "caption_words", np.array(IMAGES), np.eye(n) * 0.3 + 0.1)
    scores.add_unmeasured("decoded", WRITTEN, "caption_two_way", n, "no encoder at all")
    write_table(files.summary, pd.concat([pd.read_csv(files.summary, sep="\t"), scores.summary_table()]))
    rows = [(SEEN, SEEN, i, f"{k} <b> {i}") for i in IMAGES for k in ("first", "second")]
    rows += [("decoded", NEAREST, i, f"near {i}") for i in IMAGES]
    rows += [("shuffled", NEAREST, i, f"shuffled {i}") for i in IMAGES]
    rows += [("decoded", WRITTEN, i, f"wrote {i}") for i in IMAGES[:2]]
    path = tmp_path / "captions.parquet"
    write_table(path, pd.DataFrame(rows, columns=["variant", "picture", "image_id", "caption"]))
    return dataclasses.replace(files, captions=path)


def page(tmp_path, rng, files, configuration):
    stimuli = write_stimuli(tmp_path / "stimuli.hdf5", IMAGES, draw(rng, len(IMAGES), 425, 20))
    build(tmp_path / "page.html", [files], stimuli, None, configuration)
    return (tmp_path / "page.html").read_text(encoding="utf-8")


def test_scores_and_texts_of_captions_are_on_the_page(files, tmp_path, rng, monkeypatch):
    draw_no_figures(monkeypatch)
    text = page(tmp_path, rng, files, CONFIGURATION)
    section = text.split('<h3 id="captions">')[1].split("<h3")[0]
    rows = re.findall(r"<tr><th>subj01</th><td>(.*?)</td>(.*?)</tr>", section, re.S)
    assert [name for name, _ in rows] == [
        "nearest training caption",
        "nearest training caption, true features",
        "nearest training caption, shuffled decoder",
        "generator&#39;s caption",
    ]
    assert "<b>0.700</b>" in rows[0][1]
    assert "chance 0.2" in rows[0][1]
    assert "not measured: no encoder at all" in rows[3][1]
    assert "The text encoder is CLIP text. It is the space that chose" in section
    # nothing of it among the pictures' metrics
    assert "training caption" not in text.split("subj01: pictures")[1].split("</table>")[0]
    card = text.split('<figure class="card"')[1].split("</figure>")[0]
    image_id = re.match(r' data-id="(\d+)"', card)[1]
    assert f"<dt>caption of the picture</dt><dd>first &lt;b&gt; {image_id}</dd>" in card
    assert f"<dt>nearest training caption</dt><dd>near {image_id}</dd>" in card
    assert "shuffled " not in card.split('<dl class="says">')[1].split("</dl>")[0]
    # the same for cards that the page's script makes
    index = json.loads(re.search(r'id="index">(.*?)</script>', text)[1])
    says = index["subjects"][0]["says"]
    assert says["nearest training caption"] == [f"near {i}" for i in IMAGES]
    assert says["generator's caption"] == [*(f"wrote {i}" for i in IMAGES[:2]), *[None] * (len(IMAGES) - 2)]


def test_another_encoder_and_a_captioner_are_named(files, tmp_path, rng, monkeypatch):
    draw_no_figures(monkeypatch)
    evaluation = {
        **CONFIGURATION["evaluation"],
        "caption_encoder": {"kind": "clip_text_states", "weights": "somebody/clip"},
    }
    configuration = {**CONFIGURATION, "evaluation": evaluation, "captioner": {"weights": "somebody/blip"}}
    text = page(tmp_path, rng, files, configuration)
    section = text.split('<h3 id="captions">')[1].split("<h3")[0]
    assert "The text encoder is CLIP text states of somebody/clip." in section
    assert "It is the space that chose" not in section
    assert (
        "The true captions were written by BLIP from the pictures (somebody/blip), not by people" in section
    )
    assert "written by BLIP" in text.split('<h2 id="gallery">')[0]  # among what to know first


def test_without_captions_the_page_says_why(tmp_path, rng):
    person = results.read(write_subject(tmp_path, rng, SUBJECT, IMAGES), {})
    spaces.use(CONFIGURATION["spaces"])
    assert captions.texts(person) == {}
    found = captions.section([person], CONFIGURATION)
    assert found == {"rows": [], "why": found["why"]}
    assert found["why"].startswith("no image has captions of its own")
    without = {name: one for name, one in CONFIGURATION["spaces"].items() if name != "text"}
    found = captions.section([person], {**CONFIGURATION, "spaces": without})
    assert found["why"].startswith("this recipe predicts no text")
