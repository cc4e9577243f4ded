"""A folder of any method's pictures."""

import dataclasses
import re
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from helpers.places import ROOT
from PIL import Image
from scipy.stats import pearsonr
from skimage.color import rgb2gray
from skimage.metrics import structural_similarity
from typer.testing import CliRunner

from neural_recon import __version__
from neural_recon.cli import command_line
from neural_recon.cli.evaluate import as_text
from neural_recon.core.errors import InputError
from neural_recon.evaluation import metrics, networks
from neural_recon.evaluation.folder_scores import evaluate_folder, write_scores
from neural_recon.evaluation.networks import NETWORK_OF
from neural_recon.evaluation.picture_files import picture_files, read_picture
from neural_recon.evaluation.subject_scores import SAMPLED_REPAIRINGS, Scores
from neural_recon.models.loading import load_clip
from neural_recon.workflow import provenance
from neural_recon.workflow.folder_evaluation import default_output
from neural_recon.workflow.verify import verify

IDS = np.array([3, 17, 123, 5000, 72999])
DEMO_CLIP = ROOT / "resources/demo_models/versatile"
PUBLISHED = ["pixcorr", "ssim", *NETWORK_OF]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """A folder without weights, and for the default output."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def seen(rng):
    """Stimuli uint8 (5, 48, 48, 3) of `IDS`."""
    return np.kron(rng.integers(0, 256, (5, 6, 6, 3)), np.ones((1, 8, 8, 1))).astype(np.uint8)


@pytest.fixture
def found(seen, rng):
    """Pictures that resemble them."""
    return ((seen.astype(int) + rng.integers(0, 256, seen.shape)) // 2).astype(np.uint8)


def write(folder, pictures, names=None):
    folder.mkdir(parents=True)
    for name, picture in zip(names or [f"{i:05d}.png" for i in IDS], pictures, strict=True):
        Image.fromarray(picture).save(folder / name)
    return folder


@pytest.fixture
def folders(tmp_path, seen, found):
    """The folders of pictures and of stimuli."""
    return write(tmp_path / "my method", found), write(tmp_path / "stimuli", seen)


def by_metric(summary: pd.DataFrame) -> pd.DataFrame:
    return summary.set_index("metric")


def test_pictures_of_a_lab_go_by_their_own_names(tmp_path, seen, found):
    names = ["Café.png", "dog (1).png", "3.png", "a.b.png", "Zebra.png"]
    write(tmp_path / "found", found, names)
    write(tmp_path / "seen", [*seen, seen[0]], [*names, "never decoded.png"])
    summary, images = evaluate_folder(tmp_path / "found", tmp_path / "seen", "native", numbers="alike")
    expected = {
        Path(name).stem: pearsonr(a.ravel(), b.ravel())[0]
        for name, a, b in zip(names, seen, found, strict=True)
    }
    scores = images[images["metric"] == "pixcorr"].set_index("image")["value"].to_dict()
    assert scores == pytest.approx(expected, abs=1e-6)
    assert (summary["questioned"] == "").all()
    write(tmp_path / "other", found, ["cat.png", *names[1:]])
    with pytest.raises(InputError, match=r"cat.png: expected the name of a stimulus, found none"):
        evaluate_folder(tmp_path / "other", tmp_path / "seen", "native", numbers="alike")


@pytest.mark.parametrize(
    ("preset", "method", "truth_sizes", "sizes", "channel_axis"),
    [
        ("brain_diffuser", Image.Resampling.BICUBIC, [425], [425], 1),
        ("mindeye2", Image.Resampling.BILINEAR, [224, 256, 425], [256, 425], None),
        ("native", Image.Resampling.BILINEAR, [], [], None),
    ],
)
def test_scores_equal_scipy_and_scikit_image_on_pils_sizes(
    folders, seen, found, preset, method, truth_sizes, sizes, channel_axis
):
    summary, images = evaluate_folder(*folders, preset)

    def through(picture, steps):
        image = Image.fromarray(picture)
        for step in steps:
            image = image.resize((step, step), method)
        return np.asarray(image) / 255

    truth = [through(picture, truth_sizes) for picture in seen]
    pictures = [through(picture, sizes) for picture in found]
    for metric, one in (
        ("pixcorr", lambda t, p: pearsonr(t.ravel(), p.ravel()).statistic),
        (
            "ssim",
            lambda t, p: structural_similarity(
                rgb2gray(t),
                rgb2gray(p),
                channel_axis=channel_axis,
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
                data_range=1,
            ),
        ),
    ):
        expected = [one(t, p) for t, p in zip(truth, pictures, strict=True)]
        rows = images[images["metric"] == metric]
        assert rows["image_id"].tolist() == IDS.tolist()
        np.testing.assert_allclose(rows["value"], expected, atol=1e-6)
        row = by_metric(summary).loc[metric]
        assert row["mean"] == pytest.approx(np.mean(expected), abs=1e-6)
        assert row["ci_low"] <= row["mean"] <= row["ci_high"]
        assert row["shuffled"] < row["mean"]
        assert (row["n"], row["preset"], row["version"]) == (5, preset, __version__)
    assert by_metric(summary).loc["ssim", "repairings"] == (
        1000 if preset == "native" else SAMPLED_REPAIRINGS
    )
    assert by_metric(summary).loc["pixcorr", "repairings"] == 1000


@pytest.mark.parametrize("preset", ["native", "brain_diffuser"])
def test_the_workflows_own_scores_come_out_the_same(folders, seen, found, preset, monkeypatch):
    clip = load_clip(DEMO_CLIP)
    embedded = [clip.embedding(seen), clip.embedding(found)]
    if preset == "brain_diffuser":  # the published CLIP is another one, and larger
        monkeypatch.setattr(networks, "VIT_L_14", {})
        small = dataclasses.replace(metrics.PRESETS[preset], networks={"clip": 64})
        monkeypatch.setitem(metrics.PRESETS, preset, small)
        resized = [metrics.resize_through(pictures, (64,), "bilinear") for pictures in (seen, found)]
        embedded = [clip.embedding(pictures, prepared=True) for pictures in resized]
    own = Scores("my method", 0, 1000)
    own.add_pixels("decoded", "final", IDS, seen, found, preset)
    own.compare("decoded", "final", "clip_two_way", IDS, *embedded)
    summary, images = evaluate_folder(*folders, preset, clip=DEMO_CLIP)
    summary = summary[summary["not_measured"] == ""].reset_index(drop=True)
    assert summary["metric"].tolist() == ["pixcorr", "ssim", "clip_two_way"]
    columns = ["metric", "mean", "ci_low", "ci_high", "n", "shuffled", "shuffled_sd", "p"]
    pd.testing.assert_frame_equal(summary[columns], own.summary_table()[columns])
    pd.testing.assert_frame_equal(
        images[["metric", "image_id", "value"]], own.image_table()[["metric", "image_id", "value"]]
    )


def test_unrelated_pictures_are_at_chance(tmp_path, rng):
    noise = rng.integers(0, 256, (2, 40, 32, 32, 3), np.uint8)
    names = [f"{i}.png" for i in range(40)]
    folders = [write(tmp_path / name, part, names) for name, part in zip("ab", noise, strict=True)]
    summary, _ = evaluate_folder(*folders, "native", clip=DEMO_CLIP)
    assert (summary["p"].dropna() > 0.01).all()
    assert by_metric(summary).loc["clip_two_way", "mean"] == pytest.approx(0.5, abs=0.15)
    assert by_metric(summary).loc["pixcorr", "mean"] == pytest.approx(0, abs=0.02)


def test_published_figures_without_weights_name_the_files_that_are_expected(folders):
    summary, images = evaluate_folder(*folders, "mindeye2", folder=folders[0], clip=DEMO_CLIP)
    assert summary["metric"].tolist() == PUBLISHED
    assert set(images["metric"]) == {"pixcorr", "ssim"}
    reasons = by_metric(summary)["not_measured"]
    assert (reasons.iloc[:2] == "").all()
    for metric, file in (
        ("alexnet2_two_way", "alexnet-owt-7be5be79.pth"),
        ("alexnet5_two_way", "alexnet-owt-7be5be79.pth"),
        ("inception_two_way", "inception_v3_google-0cc3c7bd.pth"),
        ("efficientnet_distance", "efficientnet_b1-c27df63c.pth"),
        ("swav_distance", "swav_800ep_pretrain.pth.tar"),
        ("lpips_distance", "alex.pth"),
    ):
        assert reasons[metric] == f"{folders[0]} has no {file} (--weights FOLDER)"
    # a small CLIP's figure would not be that of the published table
    assert "compares by CLIP ViT-L/14, found an encoder with image_size 64" in reasons["clip_two_way"]
    numbers = summary.loc[2:, ["mean", "ci_low", "ci_high", "shuffled", "shuffled_sd", "p", "repairings"]]
    assert numbers.isna().all(axis=None)
    lower = {"efficientnet_distance", "swav_distance", "lpips_distance"}
    assert set(summary.loc[summary["better"] == "lower", "metric"]) == lower


@pytest.mark.parametrize("name", ["a/b", "..", "", "x\\y"])
def test_names_that_name_no_file(name):
    with pytest.raises(InputError, match="name: expected one that can name a file"):
        default_output(Path("results"), name, "native")


def test_without_clip_the_metric_is_listed_with_the_reason(folders):
    summary, images = evaluate_folder(*folders, "native", name="Theirs")
    assert summary["metric"].tolist() == PUBLISHED
    assert np.isnan(by_metric(summary).loc["clip_two_way", "mean"])
    assert re.search(
        r"clip_two_way +not measured: no CLIP: .*image_encoder is not there \(--clip", as_text(summary)
    )
    assert re.search(r"alexnet2_two_way +not measured: the preset native gives networks no", as_text(summary))
    assert as_text(summary).startswith(f"Theirs: 5 pictures, preset native, neural-recon {__version__}")
    assert set(images["metric"]) == {"pixcorr", "ssim"}
    with pytest.raises(InputError, match="nowhere"):
        evaluate_folder(*folders, "native", clip=folders[0] / "nowhere")


def test_stimuli_of_an_nsd_tree(tmp_path, folders, seen):
    path = tmp_path / "nsd/nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5"
    path.parent.mkdir(parents=True)
    with h5py.File(path, "w") as file:
        brick = file.create_dataset("imgBrick", (73000, 48, 48, 3), np.uint8, chunks=(1, 48, 48, 3))
        for i, picture in zip(IDS, seen, strict=True):
            brick[i] = picture
    expected = evaluate_folder(*folders, "native")
    for stimuli in (path, tmp_path / "nsd"):
        for table, other in zip(evaluate_folder(folders[0], stimuli, "native"), expected, strict=True):
            pd.testing.assert_frame_equal(table, other)
    write(tmp_path / "others", seen[:2], ["8.png", "9.png"])
    with pytest.raises(InputError, match="expected a picture for NSD id 8, found an empty one"):
        evaluate_folder(tmp_path / "others", path, "native")


def test_names_sizes_and_modes_do_not_matter_where_the_picture_is_the_same(tmp_path, folders, found):
    expected = evaluate_folder(*folders, "brain_diffuser", name="x")
    other = write(tmp_path / "other", found, ["3.png", "017.PNG", "123.png", "5000.png", "0072999.png"])
    Image.fromarray(found[0]).convert("RGBA").save(other / "3.png")
    # of another size and shape: what the preset makes of it is what counts
    Image.fromarray(found[1]).resize((425, 425), Image.Resampling.BICUBIC).save(other / "017.PNG")
    (other / "notes.txt").write_text("best of two")
    (other / "._00017.png").write_bytes(b"left by a file manager")
    (other / "more.png").mkdir()
    for table, same in zip(evaluate_folder(other, folders[1], "brain_diffuser", "x"), expected, strict=True):
        pd.testing.assert_frame_equal(table, same)
    Image.fromarray(found[2][:30]).save(other / "123.png")
    _, images = evaluate_folder(other, folders[1], "brain_diffuser", clip=DEMO_CLIP)
    assert np.isfinite(images["value"]).all()


def test_constant_pictures_score_and_are_reported(folders, caplog):
    Image.new("RGB", (48, 48), "grey").save(folders[0] / "00017.png")
    summary, images = evaluate_folder(*folders, "mindeye2")
    assert np.isfinite(images["value"]).all()
    assert images[(images["metric"] == "pixcorr") & (images["image_id"] == 17)]["value"].tolist() == [0]
    assert "1 of 5 picture rows are constant: their correlation is taken as 0" in caplog.text
    assert np.isfinite(summary["mean"][:2]).all()


def test_blocks_change_nothing(folders, monkeypatch):
    expected = evaluate_folder(*folders, "native", clip=DEMO_CLIP)
    monkeypatch.setattr("neural_recon.evaluation.folder_scores.BLOCK", 2)
    for table, same in zip(evaluate_folder(*folders, "native", clip=DEMO_CLIP), expected, strict=True):
        pd.testing.assert_frame_equal(table, same)


def one_sentence(message: str) -> bool:
    return message.endswith(".") and not re.search(r"[.!?]\s+[A-Z]", message) and "\n" not in message


def spoil(what, pictures, stimuli):
    """Make one mistake; the words that its message must have."""
    if what == "empty":
        for path in pictures.iterdir():
            path.unlink()
        return "found none"
    if what == "name":
        (pictures / "00003.png").rename(pictures / "image_3.png")
        return "NSD id from 0 to 72999"
    if what == "range":
        (pictures / "00003.png").rename(pictures / "73000.png")
        return "found '73000'"
    if what == "twice":
        (pictures / "3.png").write_bytes((pictures / "00003.png").read_bytes())
        return "found 00003.png and 3.png"
    if what == "absent":
        (stimuli / "00017.png").unlink()
        return "none for image 17 \\(1 of 5 are missing"
    if what == "damaged":
        (pictures / "00123.png").write_bytes((pictures / "00123.png").read_bytes()[:300])
        return "00123.png: expected a whole picture"
    if what == "text":
        (pictures / "00123.png").write_text("no picture")
        return "00123.png: expected a"
    if what == "16 bits":
        Image.fromarray(np.full((48, 48), 40000, np.uint16)).save(pictures / "00123.png")
        return "8 bits, found mode I;16"
    if what == "transparent":
        Image.new("RGBA", (48, 48), (1, 2, 3, 100)).save(pictures / "00123.png")
        return "found a transparent one"
    if what == "single":
        for path in sorted(pictures.iterdir())[1:]:
            path.unlink()
        return "at least 2 pictures.*found 00003.png alone"
    raise AssertionError(what)


@pytest.mark.parametrize("preset", ["native", "mindeye2"])
@pytest.mark.parametrize(
    "what",
    ["empty", "name", "range", "twice", "absent", "damaged", "text", "16 bits", "transparent", "single"],
)
def test_mistakes_are_one_sentence(folders, what, preset):
    words = spoil(what, *folders)
    with pytest.raises(InputError, match=words) as error:
        evaluate_folder(*folders, preset)
    assert one_sentence(str(error.value)), str(error.value)


def test_native_wants_squares_of_one_size(folders, found):
    Image.fromarray(found[0][:40, :40]).save(folders[0] / "72999.png")
    with pytest.raises(InputError, match=r"72999\.png: .*found 40 x 40 alongside 48 x 48; another preset"):
        evaluate_folder(*folders, "native")
    for path in folders[0].iterdir():
        Image.open(path).resize((10, 10)).save(path)
    with pytest.raises(InputError, match="above 10 pixels"):
        evaluate_folder(*folders, "native")


def test_no_such_folders(folders, tmp_path):
    with pytest.raises(InputError, match="expected a folder of pictures, found none"):
        picture_files(tmp_path / "nowhere")
    with pytest.raises(InputError, match="expected a folder of stimuli, or the stimuli's HDF5"):
        evaluate_folder(folders[0], tmp_path / "nowhere", "native")
    (tmp_path / "table.tsv").write_text("no stimuli")
    with pytest.raises(InputError, match="HDF5"):
        evaluate_folder(folders[0], tmp_path / "table.tsv", "native")


def test_palettes_and_grey_pictures_are_read_as_rgb(tmp_path):
    Image.new("L", (8, 8), 9).save(tmp_path / "1.png")
    Image.new("P", (8, 8), 3).save(tmp_path / "2.png")
    for name in ("1.png", "2.png"):
        assert read_picture(tmp_path / name).mode == "RGB"
    assert read_picture(tmp_path / "1.png").getpixel((0, 0)) == (9, 9, 9)


def test_tables_appear_beside_each_other(folders, tmp_path):
    summary, images = evaluate_folder(*folders, "native")
    write_scores(tmp_path / "out/scores.tsv", summary, images)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["scores.parquet", "scores.tsv"]
    again = pd.read_csv(tmp_path / "out/scores.tsv", sep="\t", keep_default_na=False)
    assert again.columns.tolist() == summary.columns.tolist()
    assert again["not_measured"].tolist() == summary["not_measured"].tolist()
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "out/scores.parquet"), images)


def test_command(folders, tmp_path):
    arguments = ["evaluate", "--reconstructions", folders[0], "--stimuli", folders[1], "--preset", "native"]
    arguments += ["--output", tmp_path / "scores.tsv", "--name", "Theirs", "--clip", DEMO_CLIP]
    done = subprocess.run(
        [sys.executable, "-m", "neural_recon.cli.command_line", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")  # no library says anything
    assert done.stdout.startswith("Theirs: 5 pictures, preset native")
    assert (tmp_path / "scores.parquet").is_file()


def test_command_with_another_ending(folders, tmp_path, monkeypatch, capsys):
    arguments = [
        "--reconstructions",
        folders[0],
        "--stimuli",
        folders[1],
        "--output",
        tmp_path / "scores.csv",
    ]
    monkeypatch.setattr(sys, "argv", ["neural-recon", "evaluate", *map(str, arguments), "--preset", "native"])
    with pytest.raises(SystemExit) as end:
        command_line.run()
    said = f"error: {tmp_path}/scores.csv: expected a name that ends in .tsv.\n"
    assert (end.value.code, *capsys.readouterr()) == (1, "", said)


@pytest.mark.parametrize(("name", "results"), [("demo", "results"), ("nsd", "results/nsd")])
def test_default_output_is_where_the_comparison_looks(folders, name, results):
    """In the configuration's results, and another preset overwrites nothing."""
    shutil.copytree(ROOT / "config", "config")
    for preset in ("native", "mindeye2"):
        arguments = ["--reconstructions", folders[0], "--stimuli", folders[1], "--preset", preset]
        arguments = ["evaluate", *map(str, arguments), "--configfile", f"config/{name}.yaml"]
        found = CliRunner().invoke(command_line.app, arguments)
        assert found.exit_code == 0
        assert found.stdout.endswith(f"scores: {results}/others/my method_{preset}.tsv\n")
    written = sorted(Path(results, "others").iterdir())
    assert [path.name for path in written if path.suffix == ".tsv"] == [
        "my method_mindeye2.tsv", "my method_native.tsv",
    ]  # fmt: skip
    assert len(written) == 4

    # and knows what it was made from
    verdict = verify(Path(results))
    assert (verdict.wrong, verdict.unchecked, verdict.files) == ([], [], 4)
    made = provenance.read(results, "others/my method_native.tsv").made_by
    assert (made.rule, made.params) == ("evaluate", {"preset": "native"})
    pictures = sorted(folders[0].glob("*.*"))
    assert [(i.name, i.sha256) for i in made.inputs if i.name == "reconstructions"] == [
        ("reconstructions", provenance.sha256_of(path)) for path in pictures
    ]
    assert sum(i.name == "stimuli" for i in made.inputs) == len(pictures)
    Image.new("RGB", (64, 64)).save(pictures[0])
    states = {(state, sentence.split(":")[0]) for state, sentence in verify(Path(results)).wrong}
    assert states == {("outdated", path.relative_to(results).as_posix()) for path in written}
