"""What `neural-recon doctor` finds, in projects with this and that missing."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import h5py
import nibabel
import numpy as np
import pytest
import torch
import yaml
from helpers import tiny_blip
from helpers.places import ROOT
from helpers.s3 import serving
from typer.testing import CliRunner

from neural_recon.cli import command_line
from neural_recon.config.configuration import read_config
from neural_recon.datasets.kinds.nsd import NSD
from neural_recon.datasets.nsd.nsd_tree import Tree
from neural_recon.demo import design
from neural_recon.models import weights
from neural_recon.workflow import doctor, machine_checks

REAL = {
    "recipe": "brain_diffuser_small",
    "dataset": {"kind": "nsd", "root": "nsd", "atlases": ["prf-visualrois", "streams"]},
    "subjects": {"subj01": {"sessions": 2}, "subj02": {"sessions": [1]}},
}


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch) -> Path:
    """The current folder: a project with the shipped configurations and models."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "config", "config")
    Path("resources").mkdir()
    Path("resources/demo_models").symlink_to(ROOT / "resources/demo_models")
    return tmp_path


def examine(config: dict | None = None) -> tuple[dict[str, tuple[str, str]], str]:
    """State and text by topic (those of `disk free` together), and the next step; None: the demo."""
    path = doctor.DEFAULT
    if config is not None:
        path = Path("mine.yaml")
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
    findings, advice = doctor.examine(path, Path())
    assert not [finding for finding in findings if "\n" in finding.text]
    return {finding.topic: (finding.state, finding.text) for finding in findings}, advice


def write_tree(root: str) -> Tree:
    """A tree of small files that are whole."""
    tree = Tree(root)
    labels, betas = np.ones((2, 2, 2), np.int16), np.zeros((2, 2, 2, 750), np.int16)
    volumes = {tree.betas("subj01", 1): betas, tree.betas("subj01", 2): betas, tree.betas("subj02", 1): betas}
    for subject in ("subj01", "subj02"):
        volumes |= {tree.roi(subject, name): labels for name in ("nsdgeneral", "prf-visualrois", "streams")}
    for path in (*volumes, tree.stimuli, tree.captions):
        path.parent.mkdir(parents=True, exist_ok=True)
    for path, volume in volumes.items():
        nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), path)
    with h5py.File(tree.stimuli, "w") as file:
        file.create_dataset("imgBrick", (73_000, 8, 8, 3), np.uint8, chunks=(1, 8, 8, 3))
    np.save(tree.captions, np.full((73_000, 5), "a cat"))
    design.write(tree.expdesign, design.make(5, 2, 120, 380))
    return tree


def test_demo_is_ready():
    found, advice = examine()
    assert "wrong" not in {state for state, _ in found.values()}
    assert found["data"] == ("ok", "simulated: the workflow writes results/demo_nsd")
    for model in ("spaces.vdvae", "spaces.vision", "spaces.text", "generator"):
        assert found[model][1].endswith("names and shapes are right")
    assert "simulated data 0.3 GB" in found["disk needed"][1]
    assert advice == "make demo"


def test_everything_else_is_said_without_data():
    found, advice = examine(yaml.safe_load(Path("config/nsd.yaml").read_text(encoding="utf-8")))
    assert found["data"] == (
        "wrong",
        "resources/nsd: no such folder; is dataset.root right? Or to fetch it, read the terms at "
        "https://naturalscenesdataset.org and set dataset.accept_terms: true.",
    )
    assert found["subj05"] == ("wrong", "no mask, 0 of 6 atlases, 0 of 37 sessions")
    assert found["spaces.vdvae"][0] == "note"
    assert found["spaces.vdvae"][1].endswith("will be fetched, about 0.5 GB (1 of 2 files are there)")
    assert found["spaces.vision"][1].endswith("about 1.2 GB")
    assert found["generator"][1].endswith("about 12.3 GB")
    assert {"GPU", "memory", "disk needed"} <= set(found)
    assert "results/nsd: about 74.5 GB" in found["disk needed"][1]
    assert advice.startswith("put the files where dataset names them")
    assert advice.endswith("neural-recon doctor --configfile mine.yaml")


def test_terms_of_weights_to_be_fetched_are_said():
    config = yaml.safe_load(Path("config/nsd.yaml").read_text(encoding="utf-8"))
    states = {"kind": "clip_text_states", "weights": "stabilityai/stable-cascade-prior", "layer": "unnormed"}
    found, _ = examine({**config, "spaces": {"text": states}})
    state, said = found["spaces.text"]
    assert state == "note"
    assert (
        "will be fetched, about 2.8 GB; stabilityai/stable-cascade-prior: its weights are for non-comm"
        in said
    )
    assert "non-commercial" not in found["spaces.vision"][1]


def test_real_data_that_are_whole():
    write_tree("nsd")
    found, advice = examine(REAL)
    assert found["data"] == ("ok", "nsd: NSD's experiment design, NSD's pictures, captions")
    assert found["subj01"] == ("ok", "mask, 2 of 2 atlases, 2 of 2 sessions")
    assert found["subj02"] == ("ok", "mask, 2 of 2 atlases, 1 of 1 sessions")
    assert advice.startswith("snakemake --configfile mine.yaml --cores")


def test_files_that_are_missing_are_named():
    tree = write_tree("nsd")
    for path in (tree.captions, tree.betas("subj01", 2), tree.roi("subj02", "streams"), tree.mask("subj02")):
        path.unlink()
    found, _ = examine(REAL)
    assert found["data"] == ("wrong", f"nsd: no captions ({tree.captions})")
    assert found["subj01"] == ("wrong", "mask, 2 of 2 atlases, 1 of 2 sessions (missing 2)")
    assert found["subj02"] == ("wrong", "no mask, 1 of 2 atlases (missing streams), 1 of 1 sessions")


def with_terms(**nsd) -> dict:
    return {**REAL, "dataset": {**REAL["dataset"], "accept_terms": True, **nsd}}


def test_files_that_will_be_fetched(monkeypatch):
    tree = write_tree("nsd")
    absent = [tree.captions, tree.betas("subj01", 2), tree.roi("subj02", "streams"), tree.mask("subj02")]
    for path in absent:
        path.unlink()
    objects = {tree.key(path): bytes(2_000_000) for path in absent[1:]}
    with serving(objects) as store:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", store.address)
        found, advice = examine(with_terms())
        monkeypatch.setattr(machine_checks.shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))
        monkeypatch.setattr(machine_checks.disk_estimate, "estimate", lambda *_: {"pictures": 0})
        full, _ = examine(with_terms())
        store.objects.pop(tree.key(absent[1]))
        lacking, _ = examine(with_terms())
    assert found["data"] == ("note", f"nsd: no captions ({tree.captions}); will be fetched")
    assert found["subj01"] == (
        "note",
        "mask, 2 of 2 atlases, 1 of 2 sessions (missing 2); the rest will be fetched",
    )
    assert found["subj02"][0] == "note"
    assert found["data to fetch"] == ("note", "subj01 2 MB, subj02 4 MB")
    assert advice.startswith("snakemake --configfile mine.yaml --cores")
    assert full["disk free"] == (
        "wrong",
        "resources/models and nsd and results: 1 MB, 6 MB still to be written",
    )
    assert lacking["data to fetch"][0] == "wrong"
    assert "no such file in the bucket" in lacking["data to fetch"][1]


def test_bucket_that_cannot_be_reached(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    found, _ = examine(with_terms())
    assert found["data"] == ("note", "nsd: no such folder yet; will be fetched")
    assert found["data to fetch"][0] == "note"
    assert found["data to fetch"][1].startswith("11 files, how large is not known: s3://natural")
    assert "wrong" not in {state for state, _ in found.values()}


def test_captions_of_ones_own_are_not_fetched(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    write_tree("nsd")
    found, _ = examine(with_terms(captions="mine.npy"))
    assert found["data"] == ("wrong", "nsd: no captions (mine.npy)")
    shutil.rmtree("nsd")
    found, _ = examine(with_terms(coco="coco"))
    assert found["data"][0] == "wrong"
    assert "no captions_train2017.json of COCO (coco/captions_train2017.json)" in found["data"][1]


def test_files_that_are_wrong_are_all_named():
    tree = write_tree("nsd")
    session, captions = tree.betas("subj01", 2), np.full((73_000, 5), "a cat")
    session.write_bytes(session.read_bytes()[:-9])
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 2, 2, 750), np.int16), np.eye(4)), tree.betas("subj02", 1))
    captions[:] = ""
    np.save(tree.captions, captions)
    Path("mine.yaml").write_text(yaml.safe_dump(REAL), encoding="utf-8")
    findings, advice = doctor.examine(Path("mine.yaml"), Path())
    said = [finding.text for finding in findings if finding.state == "wrong"]
    for path, what in (
        (tree.captions, "expected captions for every image"),
        (session, "cut short"),
        (tree.betas("subj02", 1), "expected betas of the mask's volume (2, 2, 2), found (3, 2, 2)"),
    ):
        assert [text for text in said if str(path) in text and what in text], said
    assert "put the files where dataset names them" in advice


def test_split_that_contradicts_itself():
    write_tree("nsd")
    Path("ids.txt").write_text("1\n2\n", encoding="utf-8")
    found, _ = examine({**REAL, "split": {"train": "ids.txt", "test": "ids.txt"}})
    assert found["subj01"][0] == "wrong"
    assert "ids.txt" in found["subj01"][1]


def test_wrong_weights_are_named_beside_all_else():
    other = "resources/demo_models/classifier/model.safetensors"
    shutil.copytree(ROOT / "resources/demo_models/versatile", "versatile")
    Path("versatile/text_unet/diffusion_pytorch_model.safetensors").unlink()
    spaces = {"vdvae": {"weights": other}}
    found, advice = examine({**REAL, "spaces": spaces, "generator": {"weights": "versatile"}})
    assert found["spaces.vdvae"][0] == "wrong"
    assert found["spaces.vdvae"][1].startswith(f"{other}: expected the tensor")
    assert found["generator"][1].startswith("versatile/text_unet: expected a weights file")
    assert found["subj01"][0] == "wrong"
    assert "put the files where dataset names them" in advice
    assert "fix what is said of the weights" in advice


def test_what_writes_captions_and_what_compares_them(monkeypatch):
    monkeypatch.setattr(NSD, "offers", frozenset())
    tiny_blip.write(Path("blip"), tiny_blip.model())
    encoder = {"kind": "versatile_text", "weights": "resources/demo_models/versatile"}
    config = {**REAL, "captioner": {"weights": "blip"}, "evaluation": {"caption_encoder": encoder}}
    found, _ = examine(config)
    assert found["captioner"] == ("ok", "blip: names and shapes are right")
    assert found["evaluation.caption_encoder"][1].endswith("versatile: names and shapes are right")
    config["captioner"] = {}
    config["evaluation"] = {"caption_encoder": {**encoder, "weights": "nowhere"}}
    found, _ = examine(config)
    assert found["captioner"][0] == "note"
    assert found["captioner"][1].endswith("will be fetched, about 1.0 GB")
    assert found["evaluation.caption_encoder"][1].startswith(
        "evaluation.caption_encoder.weights: expected a name"
    )


def test_networks_to_score_by():
    named = {"alexnet": "alexnet", "swav": "mine.pth.tar", "efficientnet": "efficientnet_b1-c27df63c.pth"}
    torch.save({"module.conv1.weight": torch.zeros(64, 3, 7, 7)}, "mine.pth.tar")
    torch.save({}, "efficientnet_b1-c27df63c.pth")
    found, advice = examine({**REAL, "evaluation": {"networks": named}})
    assert found["weights"][0] == "note"
    assert found["weights"][1].startswith(
        "evaluation.networks names no inception, no clip, no lpips: their scores will not"
    )
    assert found["weights of swav"][0] == "wrong"
    assert found["weights of swav"][1].startswith("mine.pth.tar: expected the tensor bn1.weight")
    # the right network with the other preset's weights
    assert found["weights of efficientnet"][0] == "wrong"
    assert "expected efficientnet_b1_rwightman-bac287d4.pth" in found["weights of efficientnet"][1]
    assert found["weights of alexnet"][0] == "note"
    assert found["weights of alexnet"][1].endswith("will be fetched, about 0.2 GB")
    assert "fix what is said of the weights" in advice
    clip = {"clip": "resources/demo_models/versatile"}
    native, _ = examine({**REAL, "evaluation": {"preset": "native", "networks": clip}})
    assert "weights" not in native
    assert native["weights of clip"][1].endswith("versatile: names and shapes are right")


def test_weights_that_are_no_name_and_no_path():
    found, _ = examine({**REAL, "generator": {"weights": "versatile"}})
    assert found["generator"][0] == "wrong"
    assert "expected a name of config/weights.yaml (vdvae-imagenet64" in found["generator"][1]


def test_weights_that_are_partly_fetched():
    folder = Path("resources/models/shi-labs--versatile-diffusion/text_unet")
    folder.mkdir(parents=True)
    (folder / "diffusion_pytorch_model.bin").touch()
    found, _ = examine({**REAL, "generator": {"weights": "shi-labs/versatile-diffusion"}})
    assert found["generator"][0] == "note"
    assert found["generator"][1].endswith("about 5.5 GB (1 of 16 files are there)")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("recipe: brain_diffuser\n", "configuration: dataset: Field required"),
        ("a: [", "expected YAML"),
        ("- a\n", "expected a configuration"),
        (None, "found no such file; run this in the project's folder"),
    ],
)
def test_configuration_that_is_none(content, message):
    path = Path("mine.yaml")
    if content is not None:
        path.write_text(content, encoding="utf-8")
    findings, advice = doctor.examine(path, Path())
    assert [finding.topic for finding in findings] == ["configuration", "GPU", "memory"]
    assert findings[0].state == "wrong"
    assert message in findings[0].text
    assert advice.startswith("fix the configuration")


def test_disk_that_is_too_small(monkeypatch):
    monkeypatch.setattr(machine_checks.shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    found, advice = examine()
    assert found["disk free"][0] == "wrong"
    assert found["disk free"][1].startswith("resources/models and results: 1 MB, 0.6 GB still")
    assert advice == "make room, or set pathvars.results to a larger disk; then neural-recon doctor"


def test_what_is_written_already_is_not_needed_again():
    _, _, before = examine()[0]["disk free"][1].partition(", ")
    Path("results").mkdir()
    Path("results/old.h5").write_bytes(b"x" * 100_000_000)
    found, _ = examine()
    assert found["disk needed"][1].endswith(", 0.1 GB are there")
    _, _, after = found["disk free"][1].partition(", ")
    assert (before, after) == ("0.6 GB still to be written", "0.5 GB still to be written")


@pytest.mark.parametrize("card", [True, False])
def test_gpu(monkeypatch, card):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: card)
    device = SimpleNamespace(name="Card X", total_memory=4e9)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: device)
    monkeypatch.setattr(machine_checks.shutil, "which", lambda _: "/usr/bin/nvidia-smi")
    state, text = next((f.state, f.text) for f in machine_checks.check_machine() if f.topic == "GPU")
    if card:
        assert (state, text) == ("ok", "Card X, 4.0 GB; half precision")
    else:
        assert state == "note"
        assert "CPU in float32" in text
        assert "there is a card (nvidia-smi), but torch" in text


@pytest.mark.parametrize(
    ("card", "sizes", "state", "said"),
    [
        (4e9, [5e9, 1e9], "note", "run on a larger one, or on the CPU"),
        (4e9, [3e9, 2e9], "note", "set generator.memory to low"),
        (8e9, [3e9, 2e9], "ok", "weights of 5.0 GB in files, the largest part 3.0 GB"),
        (None, [3e9, 2e9], "ok", "the largest part 3.0 GB"),
        (8e9, [1e6], None, ""),
    ],
)
def test_weights_against_the_memory_of_the_gpu(monkeypatch, card, sizes, state, said):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: card is not None)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=card))
    monkeypatch.setattr(machine_checks.memory_estimate, "part_sizes", lambda *_: sizes)
    config = read_config(ROOT / "config/demo.yaml", ROOT)
    found = list(machine_checks.check_generator_memory(config, weights.read_table(ROOT / weights.TABLE)))
    assert [one.state for one in found] == ([state] if state else [])
    assert all(said in one.text for one in found)


def test_command_in_a_project():
    done = CliRunner().invoke(command_line.app, ["doctor"])
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith("ok     configuration ")  # no colours outside a terminal
    assert done.stdout.endswith("\nnext: make demo\n")
    assert len(done.stdout.splitlines()) < 24


def test_command_that_finds_something_wrong():
    done = CliRunner().invoke(command_line.app, ["doctor", "--configfile", "none.yaml"])
    assert (done.exit_code, done.stderr) == (1, "")
    assert "wrong  configuration  none.yaml: expected a configuration" in done.stdout


def test_base_images_alone_need_no_weights_of_the_generator():
    recipe = {**REAL, "recipe": "base_only"}
    found, _ = examine(recipe)
    assert "generator" not in found
    shutil.copytree(ROOT / "resources/demo_models/versatile", "versatile")
    Path("versatile/text_unet/diffusion_pytorch_model.safetensors").unlink()
    for kind, given, state in (
        ("base_only", {}, "ok"),
        ("guides_only", {"weights": "versatile"}, "wrong"),
    ):
        found, _ = examine({**REAL, "generator": {"kind": kind, **given}})
        assert found.get("generator", ("ok",))[0] == state


def test_a_link_to_a_share_that_is_gone_is_one_thing_to_mend():
    Path("nsd").symlink_to("/mnt/gone")
    Path("mine.yaml").write_text(yaml.safe_dump(REAL), encoding="utf-8")
    findings, _ = doctor.examine(Path("mine.yaml"), Path())
    [said] = [one.text for one in findings if one.topic == "files"]
    assert "found a symbolic link to what is not there (nsd -> /mnt/gone)" in said
    assert said.endswith(" more files).")


def test_what_a_run_takes_beside_the_tree_is_read():
    write_tree("nsd")
    Path("results/others").mkdir(parents=True)
    Path("results/others/a_native.tsv").write_text("a\tb\n1\t2\n", encoding="utf-8")
    Path("hparams.json").write_text("{}", encoding="utf-8")
    more = {
        "responses": {"noise_ceiling": "ncsnr"},
        "regions": {"sets": {"own": ["own_{subject}.nii.gz"]}},
        "spaces": {"vdvae": {"hparams": "hparams.json"}},
        "split": {"train": "ids.txt"},
    }
    found, _ = examine({**REAL, **more})
    assert found["subj01"][0] == "wrong"
    findings, _ = doctor.examine(Path("mine.yaml"), Path())
    texts = [one.text for one in findings if one.state == "wrong"]
    for name in ("ncsnr.nii.gz", "a_native.tsv", "hparams.json", "ids.txt"):
        assert any(name in text for text in texts), name
    assert "mask, 2 of 2 atlases, no noise ceilings, no region's mask, 2 of 2 sessions" in texts


def test_a_judge_and_a_tokenizer_of_the_demo_are_read():
    """The weights of the judge are looked at without its scenes, and captions need a tokenizer."""
    models = Path("resources/demo_models")
    source = models.resolve()
    models.unlink()
    shutil.copytree(source, models)
    (models / "classifier/model.safetensors").write_text("<html>no such file</html>")
    shutil.rmtree(models / "versatile/tokenizer")
    found, _ = examine()
    assert found["evaluation.classifier"][0] == found["spaces.text"][0] == "wrong"
    assert "found a web page" in found["evaluation.classifier"][1]
    assert "versatile/tokenizer: expected the folder of CLIP's tokenizer" in found["spaces.text"][1]
