"""Decoders of the first components of the responses: against scikit-learn's PCA and ridge."""

import numpy as np
import pytest
from helpers.ridge_problems import ridge_problem, scikit_ridge
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.linear_model import Ridge

from neural_recon.decoding import ridge
from neural_recon.decoding.bottleneck import bottlenecks
from neural_recon.decoding.kernel import Kernel


def predicted(kernel, Y, alpha, calibration="none"):
    return ridge.together(ridge.predict_blocks(kernel, Y, alpha, calibration, seed=2))


@pytest.mark.parametrize(("n", "p"), [(40, 150), (60, 12)])
@pytest.mark.parametrize("alpha", [0.5, 300.0])
def test_k_components_predict_as_scikit_learns_pca_and_ridge(rng, n, p, alpha):
    X, X_test, Y = ridge_problem(rng, n, p)
    found = {k: (share, kernel) for k, share, kernel in bottlenecks(Kernel.of(X, X_test), [7, 1, 3])}
    assert list(found)[:3] == [1, 3, 7]
    for k in (1, 3, 7):
        share, kernel = found[k]
        pca = PCA(k, svd_solver="full").fit(X.astype(float))
        expected = scikit_ridge(pca.transform(X), pca.transform(X_test), Y, alpha)
        np.testing.assert_allclose(predicted(kernel, Y, alpha), expected, rtol=1e-4, atol=2e-5)
        assert share == pytest.approx(pca.explained_variance_ratio_.sum(), rel=1e-5)


@pytest.mark.parametrize(("n", "p"), [(40, 150), (60, 12)])
@pytest.mark.parametrize("calibration", ["none", "train", "published"])
def test_all_components_are_the_decoder_itself(rng, n, p, calibration):
    X, X_test, Y = ridge_problem(rng, n, p)
    whole = Kernel.of(X, X_test, images=np.arange(n) // 2)
    [*some, (k, share, last)] = bottlenecks(whole, [2, 10_000])
    assert (share, last is whole) == (1.0, True)
    assert k == np.linalg.matrix_rank(X - X.mean(0))
    np.testing.assert_array_equal(predicted(last, Y, 9.0, calibration), predicted(whole, Y, 9.0, calibration))
    # and so are the scores of all components, but for rounding
    train, test = whole.component_scores()
    again = Kernel.of(train, test, images=whole.images)
    np.testing.assert_allclose(
        predicted(again, Y, 9.0, calibration), predicted(whole, Y, 9.0, calibration), rtol=1e-4, atol=1e-4
    )
    # repetitions of an image are left out together, as ever
    [(_, _, kernel)] = some
    np.testing.assert_array_equal(kernel.images, whole.images)


@pytest.mark.parametrize(("n", "p"), [(40, 150), (60, 12)])
def test_without_an_intercept_nothing_is_centred(rng, n, p):
    X, X_test, Y = ridge_problem(rng, n, p)
    X, X_test = X + 0.5, X_test + 0.5
    _, _, kernel = next(bottlenecks(Kernel.of(X, X_test, intercept=False), [4]))
    svd = TruncatedSVD(4, algorithm="arpack").fit(X.astype(float))
    model = Ridge(alpha=3.0, fit_intercept=False).fit(svd.transform(X.astype(float)), Y)
    expected = model.predict(svd.transform(X_test.astype(float)))
    np.testing.assert_allclose(predicted(kernel, Y, 3.0), expected, rtol=1e-3, atol=1e-4)
