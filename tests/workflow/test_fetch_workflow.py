"""What the workflow fetches: weights and NSD's files that the configuration needs and that are not there."""

import hashlib
import json
import re

import pytest
from helpers import s3
from helpers.places import ROOT
from helpers.server import CONTENT, VDVAE, serving, use_server
from helpers.workflow import SMALL, failing, jobs, make_project, snakemake, stale

from neural_recon import datasets
from neural_recon.config.sections import Demo
from neural_recon.datasets.nsd.nsd_tree import Tree
from neural_recon.demo import design
from neural_recon.demo.tree import write_subject

pytestmark = pytest.mark.slow


@pytest.fixture
def project(tmp_path):
    """A copy of the workflow with room for models of its own."""
    folder = make_project(tmp_path / "project")
    (folder / "resources").unlink()
    (folder / "resources").mkdir()
    (folder / "resources/demo_models").symlink_to(ROOT / "resources/demo_models")
    return folder


def with_weights(vdvae: str, versatile: str | None = None) -> dict:
    """A configuration whose models are these; Versatile Diffusion in all its uses."""
    config = {**SMALL, "spaces": {"vdvae": {"weights": vdvae}}}
    if versatile is None:
        return config
    named = {"weights": versatile}
    config["spaces"] |= {"vision": named, "text": named}
    evaluation = {**SMALL["evaluation"], "networks": {"clip": versatile}}
    return {**config, "generator": {**SMALL["generator"], **named}, "evaluation": evaluation}


def test_jobs_are_those_of_the_configured_models(project):
    assert not [rule for rule in stale(project, SMALL) if rule.startswith("fetch")]
    assert stale(project, with_weights(vdvae="vdvae-imagenet64"))["fetch_weights"] == 1
    both = with_weights(vdvae="vdvae-imagenet64", versatile="shi-labs/versatile-diffusion")
    assert stale(project, both)["fetch_weights"] == 17
    # what a user has put there stays
    (project / VDVAE).parent.mkdir(parents=True)
    (project / VDVAE).touch()
    assert stale(project, both, "--forceall")["fetch_weights"] == 16


def test_terms_are_said_by_a_dry_run(project):
    states = {"kind": "clip_text_states", "weights": "stabilityai/stable-cascade-prior"}
    done = snakemake(project, "--dry-run", config={**SMALL, "spaces": {"text": states}})
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout + done.stderr
    assert (
        said.count("to be fetched: stabilityai/stable-cascade-prior: its weights are for non-commercial") == 1
    )


def test_neither_name_nor_path_is_one_sentence(project):
    said = failing(project, with_weights(vdvae="vdvae-imagenet"), "--dry-run")
    assert re.search(
        r"spaces.vdvae.weights: expected a name of config/weights.yaml .* or an existing file", said
    )
    assert "Traceback" not in said


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


# NSD itself, from a bucket on the loopback

DEMO = Demo(seed=5, sessions=2, shared_images=120, own_images=380)
REAL = {
    **{name: section for name, section in SMALL.items() if name != "demo"},
    "dataset": {
        "kind": "nsd",
        "root": "nsd",
        "preparation": "betas_fithrf",
        "atlases": ["floc-places", "prf-visualrois"],
    },
    "subjects": {"subj01": {"sessions": 2}, "subj02": {"sessions": [1], "format": "hdf5"}},
}
ACCEPTED = {**REAL, "dataset": {**REAL["dataset"], "accept_terms": True}}
TREE = Tree("nsd", preparation="betas_fithrf")
STIMULI = "nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5"


@pytest.fixture(scope="module")
def objects(tmp_path_factory) -> dict[str, bytes]:
    """All that the configuration needs of the bucket; design and labels are real, the rest any bytes."""
    root = tmp_path_factory.mktemp("bucket")
    tree = Tree(root, preparation="betas_fithrf")
    design.write(tree.expdesign, design.of(DEMO))
    for subject in REAL["subjects"]:
        write_subject(tree, DEMO, subject)
    paths = [tree.betas("subj01", 1), tree.betas("subj01", 2), tree.betas("subj02", 1, "hdf5"), tree.stimuli]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(path.name.encode() * 200_000)
    return {tree.key(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def store(objects, monkeypatch):
    with s3.serving(dict(objects)) as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", running.address)
        yield running


def lay_out(project, objects: dict[str, bytes], captions: bool = True) -> None:
    """Put files where dataset.root is."""
    for key, content in {
        **objects,
        **({"annots/COCO_73k_annots_curated.npy": b"x"} if captions else {}),
    }.items():
        path = project / "nsd" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def state(folder) -> dict:
    """Content, time and inode of all files below a folder, and the times of the folders."""
    return {
        path: (path.stat().st_mtime_ns, path.stat().st_ino, path.read_bytes() if path.is_file() else None)
        for path in (folder, *folder.rglob("*"))
    }


def test_terms_come_first(project, store, objects):
    said = failing(project, REAL, "--dry-run")
    assert (
        f"{TREE.expdesign}: expected NSD's experiment design, found no such file; is dataset.root right? Or"
        in said
    )
    assert "read the terms at https://naturalscenesdataset.org and set dataset.accept_terms: true." in said
    lay_out(project, objects, captions=False)
    said = failing(project, REAL, "--dry-run")
    assert "COCO_73k_annots_curated.npy: expected the captions, found no such file" in said
    assert "dataset.accept_terms" in said
    mine = {**REAL, "dataset": {**REAL["dataset"], "captions": "mine.npy"}}
    assert "mine.npy: expected the captions" in (said := failing(project, mine, "--dry-run"))
    assert "accept_terms" not in said  # nobody knows where these are fetched from
    assert store.asked == []


def test_dry_run_names_jobs_and_gigabytes(project, store, objects):
    store.objects[STIMULI] = bytes(50_000_000)
    lay_out(
        project, {key: objects[key] for key in objects if "subj02" in key and "roi" in key}, captions=False
    )
    planned = snakemake(project, "--dry-run", config=ACCEPTED)
    assert planned.returncode == 0, planned.stdout + planned.stderr
    # the design is there by then: without it nothing is planned
    assert store.gets() == [(TREE.key(TREE.expdesign), None)]
    sizes = [
        len(objects[key]) for key in objects if "subj01" in key and ("betas_s" in key or wanted_atlas(key))
    ]
    assert len(sizes) == 2 + 3
    for line in (
        "NSD, to fetch: shared 0.05 GB in 1 file",
        f"NSD, to fetch: subj01 {sum(sizes) / 1e9:.2f} GB in 5 files",
        "NSD, to fetch: subj02 0.00 GB in 1 file",
        "in 7 files",
    ):
        assert line in planned.stdout
    assert jobs(planned.stdout)["fetch_nsd"] == 7
    assert jobs(planned.stdout)["fetch_captions"] == 1
    # four folders, few pages of two: the main process alone lists, once a run
    store.asked.clear()
    assert stale(project, ACCEPTED, "--forceall")["fetch_nsd"] == 7
    assert 4 <= store.listings() <= 16


def wanted_atlas(key: str) -> bool:
    return key.endswith(("nsdgeneral.nii.gz", "floc-places.nii.gz", "prf-visualrois.nii.gz"))


def test_dry_run_without_a_network(project, objects, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    lay_out(project, {TREE.key(TREE.expdesign): objects[TREE.key(TREE.expdesign)]})
    planned = snakemake(project, "--dry-run", config=ACCEPTED)
    assert planned.returncode == 0, planned.stdout + planned.stderr
    assert "10 files, of how many gigabytes is not known: s3://natural-scenes-dataset" in planned.stdout


def test_what_the_bucket_lacks_ends_the_run_before_it_begins(project, store):
    del store.objects[TREE.key(TREE.betas("subj01", 2))]
    said = failing(project, ACCEPTED)
    assert "betas_session02.nii.gz: expected to fetch s3://" in said
    assert "no such file in the bucket" in said
    assert "Traceback" not in said
    assert [key for key, _ in store.gets()] == [TREE.key(TREE.expdesign)]


def test_fetch_in_parallel_goes_on_and_then_all_is_used_where_it_lies(project, store, objects):
    wanted = [TREE.betas("subj01", 1), TREE.betas("subj01", 2), TREE.stimuli]
    results = ["results/trials/subj01.parquet", "results/voxels/subj01.parquet"]
    lay_out(project, {TREE.key(TREE.expdesign): objects[TREE.key(TREE.expdesign)]})
    # an earlier run was killed, and now nothing comes three times: the rule tries again
    part = project / wanted[0].with_name(f".part-{wanted[0].name}")
    part.parent.mkdir(parents=True)
    part.write_bytes(objects[TREE.key(wanted[0])][:1_500_000])
    store.cuts, store.together = [0] * 3, 2  # answers wait for each other: jobs must overlap
    done = snakemake(project, *map(str, wanted), *results, config=ACCEPTED)
    assert done.returncode == 0, done.stdout + done.stderr
    for path in wanted:
        assert (project / path).read_bytes() == objects[TREE.key(path)]
    assert (TREE.key(wanted[0]), "bytes=1500000-") in store.gets()
    assert store.at_once > 1
    # only what these targets need
    fetched = {
        path.relative_to(project).as_posix() for path in (project / "nsd").rglob("*") if path.is_file()
    }
    assert len(fetched) == 2 + 3 + 3  # design and captions were there; labels; those asked for
    assert not [path for path in fetched if ".part" in path or "subj02" in path]
    assert "ETag" in (project / f"logs/fetch_nsd/{TREE.key(TREE.stimuli)}.log").read_text(encoding="utf-8")

    before = state(project / "nsd")
    store.asked.clear()
    again = snakemake(project, *results, "--forceall", config=ACCEPTED)
    assert again.returncode == 0, again.stdout + again.stderr
    assert state(project / "nsd") == before
    assert store.gets() == []


def test_downloads_are_limited(project, store, objects):
    lay_out(project, {TREE.key(TREE.expdesign): objects[TREE.key(TREE.expdesign)]})
    store.delay = 0.3
    config = {**ACCEPTED, "subjects": {"subj01": {"sessions": 1}}}
    assert stale(project, config, "fetch") == {"fetch": 1, "fetch_nsd": 5}
    done = snakemake(project, "--resources", "download=1", "--", "fetch", config=config)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(store.gets()) == 5
    assert store.at_once == 1
    assert stale(project, config, "fetch") == {"fetch": 1}  # a job of nothing


def test_complete_tree_is_only_read(project, objects):
    lay_out(project, objects)
    before = state(project / "nsd")
    for config in (REAL, ACCEPTED):
        assert not [rule for rule in stale(project, config, "--forceall") if rule.startswith("fetch")]
        done = snakemake(project, "results/voxels/subj01.parquet", "--forceall", config=config)
        assert done.returncode == 0, done.stdout + done.stderr
    assert state(project / "nsd") == before


def test_wrong_bytes_stop_the_run(project, store):
    store.sent[STIMULI] = b"something else"
    said = failing(project, ACCEPTED, str(TREE.stimuli))
    assert "found 14; try again" in said
    assert not (project / TREE.stimuli).exists()


def test_curated_captions_come_from_the_hub(project, objects, monkeypatch):
    lay_out(project, objects, captions=False)
    asked = "/datasets/pscotti/naturalscenesdataset/resolve/main/COCO_73k_annots_curated.npy"
    redirects = {asked: ("/cdn/blob", hashlib.sha256(CONTENT).hexdigest())}
    with serving({"/cdn/blob": CONTENT}, redirects=redirects) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        done = snakemake(project, str(TREE.captions), config=ACCEPTED)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (project / TREE.captions).read_bytes() == CONTENT


def test_captions_from_coco(project, store, objects, monkeypatch):
    key = TREE.key(TREE.stimulus_info)
    store.objects[key] = b",cocoId,cocoSplit,nsdId\n0,90,val2017,0\n1,7,train2017,1\n"
    lay_out(project, objects, captions=False)
    (project / "coco").mkdir()
    config = {**ACCEPTED, "dataset": {**ACCEPTED["dataset"], "coco": "coco"}}
    said = failing(project, config, "--dry-run")
    assert "coco/captions_train2017.json: expected the captions_train2017.json of COCO, found no such" in said
    for name, coco_id in (("train", 7), ("val", 90)):
        rows = [{"image_id": coco_id, "id": k, "caption": f"{name} {k}"} for k in range(5)]
        (project / f"coco/captions_{name}2017.json").write_text(json.dumps({"annotations": rows}))
    planned = stale(project, config)
    assert planned["fetch_nsd"] == 1
    assert "fetch_captions" not in planned
    done = snakemake(project, str(TREE.stimulus_info), config=config)
    assert done.returncode == 0, done.stdout + done.stderr
    monkeypatch.chdir(project)
    assert datasets.load(config).captions([0])[0] == [f"val {k}" for k in range(5)]
