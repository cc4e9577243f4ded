"""Which weights the workflow fetches: those that the configuration names and that are not there."""

import hashlib
import re

import pytest
import yaml
from conftest import ROOT
from server import serving
from test_workflow import SMALL, failing, make_project, snakemake, stale

pytestmark = pytest.mark.slow

VDVAE = "resources/models/vdvae-imagenet64/imagenet64-iter-1600000-model-ema.th"
CONTENT = (ROOT / "resources/demo_models/vdvae/model.safetensors").read_bytes()


@pytest.fixture
def project(tmp_path):
    """A copy of the workflow with room for models of its own."""
    folder = make_project(tmp_path / "project")
    (folder / "resources").unlink()
    (folder / "resources").mkdir()
    (folder / "resources/demo_models").symlink_to(ROOT / "resources/demo_models")
    return folder


def with_weights(**weights) -> dict:
    return {**SMALL, "weights": weights}


def test_jobs_are_those_of_the_configured_models(project):
    assert not [rule for rule in stale(project, SMALL) if rule.startswith("fetch")]
    assert stale(project, with_weights(vdvae="vdvae-imagenet64"))["fetch_weights"] == 1
    both = with_weights(vdvae="vdvae-imagenet64", versatile="shi-labs/versatile-diffusion")
    assert stale(project, both)["fetch_weights"] == 17
    # what a user has put there stays
    (project / VDVAE).parent.mkdir(parents=True)
    (project / VDVAE).touch()
    assert stale(project, both, "--forceall")["fetch_weights"] == 16


def test_neither_name_nor_path_is_one_sentence(project):
    said = failing(project, with_weights(vdvae="vdvae-imagenet"), "--dry-run")
    assert re.search(r"weights.vdvae: expected a name of config/weights.yaml .* or an existing file", said)
    assert "Traceback" not in said


def use_server(project, address: str, **known) -> None:
    """Let the table's entry of the VDVAE point to another server."""
    path = project / "config/weights.yaml"
    table = yaml.safe_load(path.read_text(encoding="utf-8"))
    entry = table["vdvae-imagenet64"]
    entry["source"], entry["files"][0] = f"{address}/", {**entry["files"][0], **known}
    path.write_text(yaml.safe_dump(table), encoding="utf-8")


@pytest.mark.parametrize("sha256", [None, hashlib.sha256(CONTENT).hexdigest()])
def test_fetch_is_tried_again_and_goes_on(project, sha256):
    with serving({f"/{VDVAE.rpartition('/')[2]}": CONTENT}, cut=1_200_000) as server:
        use_server(project, server.address, sha256=sha256)
        done = snakemake(project, VDVAE, config=with_weights(vdvae="vdvae-imagenet64"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert (project / VDVAE).read_bytes() == CONTENT
    assert server.asked[0][1] is None
    assert re.fullmatch(r"bytes=\d{7}-", server.asked[1][1])
    rule = "fetch_weights_checked" if sha256 else "fetch_weights"
    assert f"rule {rule}:" in done.stdout + done.stderr


def test_wrong_checksum_stops_the_run(project):
    with serving({f"/{VDVAE.rpartition('/')[2]}": CONTENT}) as server:
        use_server(project, server.address, sha256="0" * 64)
        said = failing(project, with_weights(vdvae="vdvae-imagenet64"), VDVAE)
    assert "expected the sha256 000" in said
    assert not (project / VDVAE).exists()
