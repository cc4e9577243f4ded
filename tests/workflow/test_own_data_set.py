"""A data set of somebody's own: a module and its files, and nothing of the package is edited."""

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.places import ROOT
from helpers.workflow import make_project, snakemake, stale

from neural_recon.config.configuration import Config, resolve
from neural_recon.core.errors import InputError
from neural_recon.core.tables import read_table
from neural_recon.workflow.plan import Plan

SUBJECTS = ("P-07", "anna")
IMAGES, TEST, VOXELS = 12, 3, 20
CONFIG = {
    "recipe": "brain_diffuser_small",
    "dataset": {"kind": "plugins/lab.py", "folder": "lab"},
    "subjects": {"P-07": {}, "anna": {"sessions": 1}},
    "spaces": {"vdvae": {"layers": 2}},
    "features": {"chunk": 8},
    "decoder": {"alpha": {"vdvae": 100, "vision": 100, "text": 100}},
    "generator": {"kind": "base_only"},
    "evaluation": {
        "preset": "native",
        "control_images": 2,
        "repairings": 100,
        "draws": 1,
        "shuffled_refits": 2,
    },
}


def write_plugin(folder: Path) -> None:
    """The module that docs/extend.md shows."""
    page = (ROOT / "docs/extend.md").read_text(encoding="utf-8")
    [code] = re.findall(r"```python\n# plugins/lab\.py\n(.*?)```", page, flags=re.DOTALL)
    (folder / "plugins").mkdir()
    (folder / "plugins/lab.py").write_text(code, encoding="utf-8")


def write_lab(folder: Path) -> None:
    """Its files: pictures, captions, and each subject's trials and betas in two sessions."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    np.save(folder / "pictures.npy", rng.integers(0, 256, (IMAGES, 64, 64, 3), np.uint8))
    (folder / "captions.txt").write_text("".join(f"picture {i}\n" for i in range(IMAGES)), encoding="utf-8")
    tuning = rng.standard_normal((IMAGES, VOXELS))
    for subject in SUBJECTS:
        images = np.concatenate([rng.permutation(IMAGES) for _ in range(4)])
        trials = pd.DataFrame({"session": np.repeat([1, 2], 2 * IMAGES), "image_id": images})
        trials = trials.assign(test=images < TEST)
        (folder / subject).mkdir()
        trials.to_csv(folder / subject / "trials.tsv", sep="\t", index=False)
        betas = tuning[images] + rng.standard_normal((len(images), VOXELS))
        np.save(folder / subject / "betas.npy", betas.astype(np.float32))


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = make_project(tmp_path_factory.mktemp("own") / "project")
    write_plugin(folder)
    write_lab(folder / "lab")
    return folder


@pytest.fixture
def inside(project, monkeypatch) -> None:
    monkeypatch.chdir(project)


def planned(**changes) -> Plan:
    return Plan(Config.model_validate(resolve({**CONFIG, **changes}, Path())))


@pytest.mark.usefixtures("inside")
def test_what_the_plan_asks_of_it():
    plan = planned()
    assert plan.config.sessions("P-07") == [1, 2]
    assert plan.config.sessions("anna") == [1]
    assert plan.test_ids("anna").tolist() == list(range(TEST))
    assert [chunk.name for chunk in plan.feature_chunks("P-07")] == ["images_000", "images_001"]
    assert {path.name for path in plan.data_files()} == {
        "pictures.npy", "captions.txt", "trials.tsv", "betas.npy"
    }  # fmt: skip
    plan.check()


@pytest.mark.usefixtures("inside")
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"subjects": {"subj01": {}}}, "unknown subject 'subj01'; known are P-07, anna"),
        ({"subjects": {"anna": {"sessions": 3}}}, "anna has the sessions 1 to 2, not 3"),
        ({"subjects": {"anna": {"format": "hdf5"}}}, "unknown key subjects.anna.format"),
        ({"split": {"name": "published"}}, "this data set has no published split"),
        ({"responses": {"noise_ceiling": "ncsnr"}}, "no signal-to-noise ratios of its own"),
        ({"dataset": {"kind": "plugins/lab.py"}}, "dataset.folder: Field required"),
    ],
)
def test_what_it_lacks_is_one_sentence(changes, said):
    with pytest.raises(InputError, match=re.escape(said)):
        planned(**changes)


@pytest.mark.usefixtures("inside")
def test_a_missing_file_is_named(tmp_path):
    shutil.copytree("lab", tmp_path / "lab")
    (tmp_path / "lab/pictures.npy").unlink()
    plan = planned(dataset={"kind": "plugins/lab.py", "folder": str(tmp_path / "lab")})
    with pytest.raises(InputError, match=r"pictures.npy: expected the pictures, found no such file; is the"):
        plan.check()


@pytest.mark.slow
def test_it_runs_to_scores_and_page(project):
    """Its own rules, alongside the module, are read as well."""
    (project / "plugins/lab.smk").write_text(
        'rule of_the_lab:\n    output:\n        "made.txt",\n    shell:\n        "echo it > {output}"\n',
        encoding="utf-8",
    )
    # the page of one alone asks for all that a page of both does
    targets = ("results/report/P-07.html", "results/scores/anna/summary.tsv", "made.txt")
    done = snakemake(project, *targets, config=CONFIG)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (project / "made.txt").read_text() == "it\n"
    assert "P-07" in (project / "results/report/P-07.html").read_text(encoding="utf-8")
    for subject in SUBJECTS:
        summary = read_table(project / f"results/scores/{subject}/summary.tsv")
        assert np.isfinite(summary.query("variant == 'decoded' and metric == 'pixcorr'")["mean"]).all()
    # another age of its files reruns nothing, another code of the module all that it reads
    for path in (project / "lab").rglob("*.npy"):
        path.touch()
    assert stale(project, CONFIG, *targets) == {}
    with (project / "plugins/lab.py").open("a", encoding="utf-8") as file:
        file.write("\n\nCHANGED = True\n")
    assert {"trials", "voxels", "betas", "features"} <= set(stale(project, CONFIG, *targets))
