"""The page on responses that lie in no volume: what cannot be drawn is said in words, all else is there."""

import re

import numpy as np
import pytest
from helpers import made_up_surfaces

from neural_recon import datasets
from neural_recon.datasets.table.look import look_at
from neural_recon.datasets.trials import trial_table
from neural_recon.report.quality import build
from neural_recon.responses.quality import examine


@pytest.mark.parametrize("write", [made_up_surfaces.on_surfaces, made_up_surfaces.at_grayordinates])
def test_a_surface_has_all_but_the_map(tmp_path, write):
    write(tmp_path / "lab")
    data = datasets.load({"dataset": look_at(tmp_path / "lab").settings})
    subject = "sub_3x"
    sessions, voxels = data.sessions(subject), data.voxels(subject)
    trials = trial_table(data.trials(subject, sessions), data.n_images, test_ids=np.arange(4))
    betas = (data.betas(subject, session, voxels).values for session in sessions)
    found = examine(betas, trials, voxels, 0, data.atlases)
    page = tmp_path / "quality.html"
    build(page, subject, found, data.cortex(subject), False, data.unit)
    text = page.read_text(encoding="utf-8")
    assert "Not drawn: these responses lie in no volume." in text
    assert "Axial slices" not in text
    images = re.findall(r'<img src="data:image/[^"]+" alt="([^"]+)"', text)
    assert [alt.partition(" ")[0] for alt in images] == ["Mean,", "Box"]
    rows = re.findall(r"<tr[^>]*><th>([^<]+)</th><td class=\"n\">([\d,]+)</td>", text)
    assert dict(rows) == {"all voxels": "120", "V1": "30", "V2": "30", "elsewhere": "30"}
    assert "all 120 voxels have data in every session" in text
    assert not re.search(r"\b(nan|None)\b(?!:)", re.sub(r'"data:[^"]+"', "", text))
