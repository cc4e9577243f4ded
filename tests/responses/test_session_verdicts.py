"""What is said of sessions that do not agree: in a sentence, by the doctor, and on the page."""

import numpy as np
import pandas as pd
import pytest
from helpers.made_up_sessions import cortex, measure, plan
from helpers.pages import Page

from neural_recon.config.configuration import Config
from neural_recon.core.errors import InputError
from neural_recon.core.tables import write_table
from neural_recon.datasets.kinds.nsd import NSD
from neural_recon.report.quality import build
from neural_recon.responses import session_verdicts
from neural_recon.responses.quality import examine
from neural_recon.workflow import doctor


def sessions_table(**words) -> pd.DataFrame:
    """A table of four sessions, with some verdicts: session_2="..."."""
    names = [words.get(f"session_{k}", "ok") for k in range(1, 5)]
    remarks = ["agreement too weak to tell" if name == "not checked" else "" for name in names]
    return pd.DataFrame({"session": range(1, 5), "verdict": names, "remark": remarks, "outlier": ""})


def test_a_fault_is_one_sentence(tmp_path, caplog):
    path = tmp_path / "quality/subj01/sessions.tsv"
    write_table(path, sessions_table(session_2="shifted by 1 trial"))
    with pytest.raises(InputError) as error:
        session_verdicts.require_agreement(path, "subj01")
    assert str(error.value) == (
        f"{path}: expected sessions that agree with each other, found session 2 shifted by 1 trial; fetch it "
        f"again or leave it out (subjects.subj01.sessions); the page {path.parent}.html shows it."
    )
    # without the session there is nothing wrong
    left = "All 3 sessions agree with each other."
    assert session_verdicts.require_agreement(path, "subj01", only=[1, 3, 4]) == left
    both = {"session_1": "holds the trials of session 3", "session_3": "holds the trials of session 1"}
    write_table(path, sessions_table(**both))
    with pytest.raises(
        InputError, match=r"session 1 holds the trials of session 3, session 3 holds .* fetch them"
    ):
        session_verdicts.require_agreement(path, "subj01")
    write_table(path, sessions_table(**{f"session_{k}": "shifted by 1 trial" for k in range(1, 5)}))
    with pytest.raises(InputError, match=r"all 4 sessions shifted by 1 trial; betas and the table of who"):
        session_verdicts.require_agreement(path, "subj01")
    write_table(path, sessions_table(session_4="not checked"))
    said = session_verdicts.require_agreement(path, "subj01")
    assert said == "3 of 4 sessions agree with each other; session 4 could not be checked."
    assert "session 4: not checked: agreement too weak to tell" in caplog.text
    path.write_text("session\n1\n", encoding="utf-8")
    with pytest.raises(InputError, match="expected the columns verdict"):
        session_verdicts.require_agreement(path, "subj01")
    path.write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="expected a table of sessions"):
        session_verdicts.require_agreement(path, "subj01")


def test_doctor_names_the_fault(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = Config.model_construct(
        pathvars={"results": "out"}, subjects={"subj01": NSD.Subject(sessions=[1, 2, 3, 4])}
    )
    assert list(doctor.check_quality(config, "subj01")) == []
    write_table("out/quality/subj01/sessions.tsv", sessions_table(session_2="shifted by 1 trial"))
    (finding,) = doctor.check_quality(config, "subj01")
    assert finding.state == "wrong"
    assert "session 2 shifted by 1 trial" in finding.text


def test_page_says_what_is_wrong(rng, tmp_path):
    table = plan(rng, 6)
    betas = measure(rng, table)
    betas[1] = np.roll(betas[1], 1, axis=0)
    betas[3][2, 4] = np.nan
    labels = np.full((7, 6, 5), -1)
    labels[:5, :4, :3] = 1
    labels[5] = 0
    build(tmp_path / "page.html", "subj01", examine(betas, table, cortex()), labels, demo=True)
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert "Session 2 is shifted by 1 trial" in page.text
    assert "What to do: fetch it again or leave it out" in page.text
    assert "its betas come 1 trial late" in page.text
    assert "1 that are not a number in a session" in page.text
    assert "simulated data" in page.text
    assert sum(link.startswith("data:image/svg+xml") for link in page.links) == 3
    assert all(link.startswith(("#", "data:")) for link in page.links)
    assert "nan" not in page.text.lower().replace("dominant", "")


def test_page_of_a_single_session(rng, tmp_path):
    """No agreement, one voxel, no region: nothing to plot is no error."""
    table = plan(rng, 1, 1)
    voxels = cortex(1)[["x", "y", "z"]]
    build(
        tmp_path / "page.html",
        "subj01",
        examine(measure(rng, table, 1), table, voxels),
        np.ones((1, 1, 1)),
        False,
    )
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert "Session 1 could not be checked." in page.text
