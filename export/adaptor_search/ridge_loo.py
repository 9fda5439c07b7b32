# The error of a ridge head on rows that it has not seen, by leaving one out.
# Never here: other scores, heads of the runtime.
"""Leave-one-out error of ridge regression in closed form (Allen 1974, PRESS; Cook 1977)."""

from __future__ import annotations

import numpy as np
from edgecl.export.adaptor_search.batch import Batch
from edgecl.export.adaptor_search.forms import Array, Candidate, draws, embeddings
from numpy.typing import NDArray

SHRINKAGE = 0.3  # as `head_shrinkage` has it when it is not set: times the mean variance of a feature


def score(batch: Batch, candidate: Candidate) -> float:
    """Minus the mean squared leave-one-out error of the classes' indicators, on the embeddings of the adapted maps
    under random values of the adaptor. Mean over draws; 0 is perfect. Cost: a forward pass and n^2 x channels + n^3 a
    draw."""
    found = [
        left_out(embeddings(batch.maps + form.branch(batch.maps), batch.length_1), batch.columns)
        for form in draws(candidate, batch.shape, batch.seed)
    ]
    return -float(np.mean(found))


def left_out(features: Array, columns: NDArray[np.int64]) -> float:
    """Mean over rows and classes of ((y - fit) / (1 - h))^2: fit and leverage h of a ridge with an intercept, whose
    penalty is SHRINKAGE times the mean variance of a feature."""
    n = len(features)
    centred = features - features.mean(0)
    wanted = np.eye(int(columns.max()) + 1)[columns]
    products = centred @ centred.T
    variance = float(np.trace(products)) / features.shape[1] / n
    penalty = n * (SHRINKAGE * variance if variance > 0 else 1.0)
    smoother = np.linalg.solve(products + penalty * np.eye(n), products).T + 1 / n  # the intercept takes 1 / n
    errors = (wanted - smoother @ wanted) / (1 - np.diag(smoother))[:, None]
    return float((errors**2).mean())
