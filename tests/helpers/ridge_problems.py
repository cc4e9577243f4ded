"""Small ridge problems, and scikit-learn's solutions of them."""

import numpy as np
from sklearn.linear_model import Ridge


def ridge_problem(rng, n, p, n_test=7, n_targets=11):
    """Responses that carry some of the targets: X, X_test, Y. One constant voxel, two identical rows."""
    X = rng.standard_normal((n + n_test, p)).astype(np.float32)
    Y = (
        X[:, : min(p, 5)] @ rng.standard_normal((min(p, 5), n_targets)) + rng.standard_normal((n + n_test, 1))
    ) * 3
    X[:, p // 2] = 0.1
    X[1], Y[1] = X[0], Y[0]
    return X[:n], X[n:], (Y[:n] + 20).astype(np.float32)


def scikit_ridge(X, X_test, Y, alpha):
    """Predictions of scikit-learn's Ridge in float64."""
    model = Ridge(alpha=alpha, solver="svd").fit(X.astype(float), Y.astype(float))
    return model.predict(X_test.astype(float))
