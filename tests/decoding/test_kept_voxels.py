"""Where a kept decoder's voxels lie: in a volume, or in none."""

import numpy as np
from helpers import prepared_mindeye as prepared

from neural_recon import datasets
from neural_recon.core.hdf5 import write_hdf5
from neural_recon.decoding import kept_voxels
from neural_recon.responses.new_scans import new_responses


def test_voxels_in_no_volume_are_taken_in_their_order(tmp_path, rng):
    folder = prepared.write(tmp_path / "data", sessions=1)
    data = datasets.load({"dataset": {"kind": "mindeye_prepared", "folder": str(folder)}})
    kept = np.array([0, 3, 4, 17])
    responses = {"voxel": kept, "mean": rng.normal(size=4), "std": rng.uniform(1, 2, 4)}
    arrays = kept_voxels.of_subject(data, "subj01", data.voxels("subj01"), responses)
    write_hdf5(tmp_path / "scans.h5", arrays, {})
    grid = kept_voxels.grid(tmp_path / "scans.h5")
    assert np.ravel_multi_index(arrays["x_y_z"].T, grid.shape).tolist() == kept.tolist()
    new = rng.normal(size=(6, 4)).astype(np.float32)
    np.save(tmp_path / "new.npy", new)
    np.testing.assert_array_equal(new_responses(tmp_path / "new.npy", arrays["x_y_z"], grid).values, new)
    np.testing.assert_array_equal(arrays["std"], responses["std"].astype(np.float32))
