"""Decoders that are handed on: what the folder holds and says, and that it decodes alone."""

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers import kept_run
from helpers.kept_run import TRAIN, VOLUME, write_betas

from neural_recon.cli import command_line
from neural_recon.config.configuration import read_config
from neural_recon.core.errors import InputError
from neural_recon.core.hdf5 import read_hdf5, read_parameters, write_hdf5
from neural_recon.datasets.dataset import DataSet
from neural_recon.decoding.decoder import Decoder
from neural_recon.models import weights
from neural_recon.workflow import exported_decoders, provenance, recording, subject_decoders
from neural_recon.workflow.export import against_the_run, export


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of each form of keeping decoders, and the same on the demo's data."""
    return {
        (how, demo): kept_run.make(tmp_path_factory.mktemp("run"), how, demo)
        for how, demo in (("components", False), ("kernel", False), ("kernel", True))
    }


@pytest.fixture(scope="module")
def exported(runs, tmp_path_factory):
    """The folder of components, exported from the run."""
    folder = tmp_path_factory.mktemp("exported") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(runs["components", False])  # NSD's
        command("export", "--subject", "subj01", "--configfile", kept_run.CONFIG, "--recoverable", folder)
    return folder


def command(*arguments):
    """Run `neural-recon`, which must end well."""
    with pytest.raises(SystemExit) as end:
        command_line.app([str(argument) for argument in arguments])
    assert not end.value.code


def written(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def clone(run, folder):
    """A project without results, with the weights that the run had."""
    folder.mkdir()
    for name in ("config", "resources"):
        (folder / name).symlink_to(run / name)
    for path in run.iterdir():
        if path.name not in ("config", "resources", "results", kept_run.CONFIG) and " " not in path.name:
            (shutil.copytree if path.is_dir() else shutil.copy)(path, folder / path.name)
    return folder


def test_the_folder_decodes_alone_as_the_run_does(runs, exported, rng, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    run = runs["components", False]
    write_betas(tmp_path / "new.nii.gz", rng.standard_normal((3, *VOLUME)))
    monkeypatch.chdir(run)
    new = ("--betas", tmp_path / "new.nii.gz")
    given = ("--subject", "subj01", "--configfile", kept_run.CONFIG)
    command("decode", *given, *new, "--output", tmp_path / "by the run")
    monkeypatch.chdir(clone(run, tmp_path / "clone"))
    shutil.copytree(exported, "handed on")
    command("decode", "--decoder", "handed on", *new)
    output = tmp_path / "clone/decoded/subj01/new"
    pictures = written(output / "pictures")
    assert len(pictures) == 2 * 3
    assert pictures == written(tmp_path / "by the run/pictures")
    record = json.loads((output / "provenance.json").read_text(encoding="utf-8"))
    assert record["decoder"] == "handed on"
    assert not (tmp_path / "clone/results").exists()
    command("verify", "decoded")


def test_a_second_export_has_the_same_bytes_and_no_pickle(runs, exported, tmp_path, monkeypatch):
    run = runs["components", False]
    monkeypatch.chdir(run)
    config = read_config(run / kept_run.CONFIG, run)
    export(config, run / kept_run.CONFIG, "subj01", tmp_path / "again", recoverable=True)
    files = written(exported)
    assert files == written(tmp_path / "again")
    assert {name.rpartition(".")[2] for name in files} == {"h5", "json", "md"}
    assert list(tmp_path.iterdir()) == [tmp_path / "again"]  # nothing half written
    with pytest.raises(InputError, match="expected a name that nothing has yet"):
        export(config, run / kept_run.CONFIG, "subj01", tmp_path / "again", recoverable=True)


def test_the_card_says_data_scores_controls_size_and_error(exported):
    text = (exported / "README.md").read_text(encoding="utf-8")
    _, head, body = text.split("---\n", 2)
    front = yaml.safe_load(head)
    assert front["license"] == "other"
    assert front["license_link"] == "https://naturalscenesdataset.org"
    (result,) = front["model-index"][0]["results"]
    assert {one["type"]: one["value"] for one in result["metrics"]} == {"pixcorr": 0.8, "clip_two_way": 0.8}
    assert "subj01, sessions 1\n" in body
    assert "6 images of 2.83 repetitions" in body
    assert (
        "| CLIP two-way identification | 0.800 [0.750, 0.850], n = 6 | 0.500 [0.450, 0.550], n = 6 | 0.900"
        in body
    )
    assert "2 checks: holds 1, nothing to check 1" in body
    sizes = {path.name: path.stat().st_size for path in exported.rglob("*.h5")}
    for name, size in sizes.items():
        assert f"{name}: {size:,} bytes" in body
    parameters = read_parameters(exported / "decoder/vision.h5")
    shown = "all"
    if parameters["components"] < parameters["of"]:
        shown = f"{parameters['components']} of {parameters['of']}, at a relative error of"
    assert f"| vision | versatile_vision | {shown}" in body
    assert "No response is in the files by itself" in body
    assert "must not be used" in body


def test_its_difference_from_the_run_is_measured(exported):
    """With all components what is left is rounding to float16."""
    line = next(
        line
        for line in (exported / "README.md").read_text(encoding="utf-8").splitlines()
        if "| text | " in line
    )
    difference = float(line.split("|")[4])
    kept = read_parameters(exported / "decoder/text.h5")
    print(f"{kept['components']} of {kept['of']} components: {difference} from the run")
    assert 0 < difference < (0.002 if kept["components"] == kept["of"] else 0.05)


def test_its_difference_is_that_of_the_responses_each_space_is_trained_on(runs, tmp_path, monkeypatch):
    """A space trained on single trials is z-scored by them, and compared on responses that are, too."""
    project = tmp_path / "project"
    shutil.copytree(runs["components", False], project, symlinks=True)
    monkeypatch.chdir(project)
    raw = yaml.safe_load(Path(kept_run.CONFIG).read_text(encoding="utf-8"))
    raw["decoder"]["responses"] = {"text": "single"}
    Path(kept_run.CONFIG).write_text(yaml.safe_dump(raw), encoding="utf-8")
    decoders, results = Path("results/decoders/subj01"), Path("results")
    (decoders / "text").mkdir()
    shutil.copy(decoders / "responses.h5", decoders / "text/responses.h5")
    (results / "single_trials").mkdir()
    averages = results / "responses/subj01.h5"
    shutil.copy(averages, results / "single_trials/subj01.h5")
    arrays = read_hdf5(averages)
    write_hdf5(averages, {**arrays, "test": 2 * arrays["test"]}, read_parameters(averages))
    config = read_config(Path(kept_run.CONFIG), project)
    found = subject_decoders.of_run(config, Path(kept_run.CONFIG), "subj01")
    differences = against_the_run(found, config, Path(kept_run.CONFIG))
    assert differences["text"] < 0.05
    assert differences["vision"] > 0.5


def test_large_weights_in_a_folder_of_the_user_s_have_their_hash(runs, tmp_path, monkeypatch):
    """As of a generator's further networks, which no key `weights` names."""
    monkeypatch.chdir(runs["components", False])
    monkeypatch.setattr(recording, "LARGE", 10)
    (tmp_path / "refiner.safetensors").write_bytes(bytes(100))
    read = {"weights": [tmp_path / "refiner.safetensors"]}
    (found,) = recording.begin_command("export", {}, {}, {}, [tmp_path / "out"], read).inputs
    assert (found.of, found.sha256) == ("weights", provenance.sha256_of(tmp_path / "refiner.safetensors"))


def test_training_responses_are_not_handed_on_against_the_terms(runs, tmp_path, monkeypatch):
    run = runs["kernel", False]
    monkeypatch.chdir(run)
    config = read_config(run / kept_run.CONFIG, run)
    with pytest.raises(
        InputError, match=r"Natural Scenes Dataset.*set decoder.keep to another form"
    ) as caught:
        export(config, run / kept_run.CONFIG, "subj01", tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())
    # nor are decoders that give them back, without a yes
    run = runs["components", False]
    monkeypatch.chdir(run)
    config = read_config(run / kept_run.CONFIG, run)
    with pytest.raises(InputError, match=r"can compute the mean response.*Natural Scenes.*--recoverable"):
        export(config, run / kept_run.CONFIG, "subj01", tmp_path / "out")
    assert not list(tmp_path.iterdir())
    # the demo's are nobody's
    run = runs["kernel", True]
    monkeypatch.chdir(run)
    held = export(read_config(run / kept_run.CONFIG, run), run / kept_run.CONFIG, "subj01", tmp_path / "out")
    assert held.responses
    card = (tmp_path / "out/README.md").read_text(encoding="utf-8")
    assert "has the z-scored response to every training image" in card
    assert "license: mit" in card
    assert "Simulated data" in card


def test_what_does_not_say_its_terms_or_what_it_holds_counts_as_the_worst():
    assert Decoder.held(None, None, {}).responses
    assert not DataSet.terms.fget(type("", (), {"settings": type("", (), {"kind": "lab"})})()).responses


def recovered(folder, space, features, steps=30):
    """What whoever has the folder and the features of the training images computes of the responses: the
    decoder is directions V and weights V'X'Y / (eigenvalues + alpha), each feature on a scale of its own,
    which one step ignores."""
    shared = read_hdf5(folder / "decoder/responses.h5", "projection", "eigenvalues")
    kept = read_hdf5(folder / f"decoder/{space}.h5", "coefficients", "scale")
    (alpha,) = read_parameters(folder / f"decoder/{space}.h5")["alpha"]
    weights = kept["coefficients"].astype(np.float64) * kept["scale"]
    centred = features - features.mean(axis=0, dtype=np.float64)
    scale = np.ones(features.shape[1])
    for _ in range(steps):
        found = np.linalg.lstsq(centred.T, (weights / scale).T, rcond=None)[0].T
        fitted = found @ centred
        scale = (weights * fitted).sum(axis=0) / (fitted**2).sum(axis=0)
    values = shared["eigenvalues"][: len(weights), None] + alpha
    return ((shared["projection"][:, : len(weights)] * values.T) @ found).T


def correlations(a, b):
    return np.array([np.corrcoef(one, other)[0, 1] for one, other in zip(a, b, strict=True)])


def test_components_give_responses_to_who_has_the_training_features_and_to_nobody_else(runs, exported, rng):
    run = runs["components", False]
    train = read_hdf5(run / "results/responses/subj01.h5", "train")["train"]
    train = train - train.mean(axis=0)
    for path in exported.rglob("*.h5"):
        assert all(TRAIN not in values.shape for values in read_hdf5(path).values()), path
    features = read_hdf5(run / "features of vision.h5")["features"]
    found = correlations(recovered(exported, "vision", features), train)
    assert found.min() > 0.99
    others = np.abs(correlations(recovered(exported, "vision", rng.permutation(features)), train))
    assert others.mean() < 0.4
    rough = correlations(recovered(exported, "vision", features, steps=1), train)
    n, width = features.shape
    print(f"{n} training images, {width} features: r from {found.min():.3f} with the training pictures, "
          f"{rough.mean():.3f} on average with scales ignored, "
          f"|r| {others.mean():.2f} on average with their order unknown")  # fmt: skip


@pytest.fixture
def handed(runs, exported, tmp_path, monkeypatch):
    """A copy of the folder, in a project of its own."""
    monkeypatch.chdir(clone(runs["components", False], tmp_path / "clone"))
    return shutil.copytree(exported, tmp_path / "clone/handed on")


@pytest.mark.parametrize("name", ["decoder/text.h5", "unconditional.h5"])
def test_damaged_files_are_one_sentence(handed, name):
    path = handed / name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"expected the sha256 .*copy the folder again"):
        exported_decoders.of_folder(handed)
    path.write_bytes(content[:-1])
    with pytest.raises(InputError, match=r"expected \d+ bytes, found \d+"):
        exported_decoders.of_folder(handed)
    path.unlink()
    with pytest.raises(InputError, match="expected a part of the decoder, found none"):
        exported_decoders.of_folder(handed)


def test_other_folders_weights_and_versions_are_one_sentence(handed, tmp_path):
    with pytest.raises(InputError, match=r"expected a folder of neural-recon export"):
        exported_decoders.of_folder(tmp_path)
    manifest = handed / "decoder.json"
    said = json.loads(manifest.read_text(encoding="utf-8"))
    for change, message in (
        ({"format": 2}, "expected a decoder of format 1"),
        ({"more": 1}, "unknown key more"),
        ({"kept": {"text": ["decoder/responses.h5", "../text.h5"]}}, "expected a plain path"),
        ({"kept": {"text": ["decoder/responses.h5", "decoder/other.h5"]}}, "expected decoder/other.h5"),
    ):
        manifest.write_text(json.dumps({**said, **change}), encoding="utf-8")
        with pytest.raises(InputError, match=message):
            exported_decoders.of_folder(handed)
    manifest.write_text(json.dumps(said), encoding="utf-8")
    path = next(path for path in handed.parent.rglob("vae/*.bin"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="put the weights there that it was made with"):
        exported_decoders.of_folder(handed)


def test_no_code_of_a_folder_is_run(handed, tmp_path):
    manifest, canary = handed / "decoder.json", tmp_path / "canary"
    said = json.loads(manifest.read_text(encoding="utf-8"))
    (handed / "evil.py").write_text(f"open({str(canary)!r}, 'w')", encoding="utf-8")
    for section in ("decoder", "generator", "spaces"):
        changed = json.loads(json.dumps(said))
        place = changed["spaces"]["text"] if section == "spaces" else changed[section]
        place["kind"] = str(handed / "evil.py")
        manifest.write_text(json.dumps(changed), encoding="utf-8")
        with pytest.raises(InputError, match="a decoder that is handed on brings no code"):
            exported_decoders.of_folder(handed)
    assert not canary.exists()


def test_weights_of_the_table_that_are_not_there_are_fetched(handed, monkeypatch):
    wanted = weights.MODELS / "vdvae-imagenet64/imagenet64-iter-1600000-model-ema.th"
    manifest = handed / "decoder.json"
    said = json.loads(manifest.read_text(encoding="utf-8"))
    said["spaces"]["vdvae"]["weights"] = "vdvae-imagenet64"
    manifest.write_text(json.dumps(said), encoding="utf-8")
    fetched = []
    monkeypatch.setattr(exported_decoders, "fetch", lambda _, place: fetched.append(place))
    exported_decoders.of_folder(handed)
    assert fetched == [wanted]


def test_who_and_which_decoder_must_be_said(handed, tmp_path):
    for arguments, message in (
        (("--decoder", handed, "--subject", "subj02"), "--subject: expected subj01"),
        ((), "expected --subject or --decoder"),
    ):
        with pytest.raises(InputError, match=message):
            command_line.app([str(one) for one in ("decode", "--betas", tmp_path / "new.npy", *arguments)])
