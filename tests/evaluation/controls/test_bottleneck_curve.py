"""The curve over the number of components: its ends, its control, and what it says of simulated responses."""

import numpy as np
import pytest
from helpers.ridge_problems import ridge_problem

from neural_recon.core.hdf5 import write_hdf5
from neural_recon.decoding import ridge
from neural_recon.decoding.bottleneck import bottlenecks
from neural_recon.decoding.kernel import Kernel
from neural_recon.evaluation import metrics
from neural_recon.evaluation.controls.bottleneck import COLUMNS, bottleneck_scores
from neural_recon.evaluation.controls.bottleneck_pictures import score_pictures
from neural_recon.evaluation.controls.shuffled_refits import pairs_of
from neural_recon.evaluation.networks import PresetNetworks


def test_all_components_score_as_the_run_and_its_shuffled_control_do(rng):
    X, X_test, Y = ridge_problem(rng, 40, 90, n_test=12, n_targets=30)
    ids = rng.permutation(40) + 100
    true, alpha = rng.standard_normal((12, 30)).astype(np.float32), np.resize([5.0, 500.0], 30)
    kernels = list(bottlenecks(Kernel.of(X, X_test), [2, 5]))
    table = bottleneck_scores(kernels, ids, Y, true, alpha, "train", seed=4, most=999)
    assert list(table) == COLUMNS
    assert table["components"].tolist() == [2, 2, 5, 5, 38, 38]  # two rows are one image's
    assert table["whole"].tolist() == [False] * 4 + [True] * 2
    row_of = {image: row for row, image in enumerate(ids)}
    for fit, whose in (("decoded", ids), ("shuffled", pairs_of(ids, 4, 1))):
        found = ridge.predict(X, X_test, Y[[row_of[i] for i in whose]], alpha, "train", seed=4)
        last = table[(table["fit"] == fit) & table["whole"]].iloc[0]
        assert last["score"] == pytest.approx(metrics.two_way_identification(true, found).mean())
        r = [np.corrcoef(true[:, t], found[:, t])[0, 1] for t in range(30)]
        assert last["r"] == pytest.approx(np.median(r), abs=1e-5)


def test_components_that_carry_the_features_are_enough(rng):
    """Three strong directions of the responses carry the features: from three on the curve is flat."""
    signal, weights = rng.standard_normal((320, 3)), rng.standard_normal((3, 60))
    X = 5 * signal @ np.linalg.qr(rng.standard_normal((80, 3)))[0].T + 0.1 * rng.standard_normal((320, 80))
    Y = (signal @ weights + 0.1 * rng.standard_normal((320, 60))).astype(np.float32)
    kernel, ids = Kernel.of(X[:300], X[300:]), np.arange(300)
    kernels = list(bottlenecks(kernel, [1, 3]))
    table = bottleneck_scores(kernels, ids, Y[:300], Y[300:], 1.0, "train", seed=0, most=60)
    scores = table[table["fit"] == "decoded"].set_index("components")["score"]
    assert scores[1] < 0.9 < 0.99 < scores[3]
    assert scores[3] == pytest.approx(scores.iloc[-1], abs=0.01)
    control = table[table["fit"] == "shuffled"]
    assert (control["score"] < 0.85).all()
    assert (table["variance"].diff().dropna() >= 0).all()


def test_pictures_of_each_number_of_components_are_scored_on_the_same_images(rng, tmp_path):
    seen = rng.integers(0, 256, (9, 16, 16, 3), np.uint8)
    test_ids, painted = np.arange(9) + 40, np.array([41, 43, 48])
    files = {"base": [], "final": []}
    for fit, share in (("components_2", 0.3), ("decoded", 0.9)):
        images = (share * seen + (1 - share) * rng.integers(0, 256, seen.shape)).astype(np.uint8)
        for picture, ids in (("base", test_ids[::-1]), ("final", painted if fit != "decoded" else test_ids)):
            path = tmp_path / picture / f"{fit}.h5"
            path.parent.mkdir(exist_ok=True)
            write_hdf5(path, {"images": images[ids - 40], "image_id": ids}, {})
            files[picture].append(str(path))
    table = score_pictures(
        files, lambda ids: seen[np.asarray(ids) - 40], test_ids, painted, PresetNetworks("native", {}),
        "native", 100, 0,
    )  # fmt: skip
    of = table[table["metric"] == "pixcorr"].set_index(["picture", "fit"])
    assert of["n"].to_dict() == {
        ("base", "components_2"): 9,
        ("base", "decoded"): 9,
        ("final", "components_2"): 3,
        ("final", "decoded"): 3,
    }
    assert of.loc[("final", "components_2"), "mean"] < 0.6 < 0.9 < of.loc[("final", "decoded"), "mean"]
    rows = painted - 40
    expected = np.mean([np.corrcoef(seen[r].ravel(), images[r].ravel())[0, 1] for r in rows])
    assert of.loc[("final", "decoded"), "mean"] == pytest.approx(expected, abs=1e-5)
