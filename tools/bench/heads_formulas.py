# What the heads compute, from all rows at once, in NumPy with float64.
# Never here: the runtime, data.
"""`Head` (one of the methods with its settings) and `joint_scores`, its class scores without a stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SECOND_ORDER = ("lda", "ridge")  # heads with second moments
COSINE_SCALE = 16.0

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Head:
    """A method, its shrinkage (0: it has none) and the width of the random projection before it (0: none)."""

    method: str
    shrinkage: float = 0.0
    projection: int = 0

    @property
    def settings(self) -> str:
        """In words, "" for none."""
        said = [f"projection {self.projection}"] if self.projection else []
        return ", ".join([*said, *([f"shrinkage {self.shrinkage:g}"] if self.shrinkage else [])])


def joint_scores(head: Head, z: Any, y: Any, at: Any) -> F64:
    """Scores (n, classes) of the rows `at` (n, dim) from embeddings z (rows, dim) of the classes y, 0, 1, ...

    ncm: cosine with the mean; ncm-distance: Gaussians of one variance; lda: of one covariance (Hayes and Kanan 2020);
    ridge: least squares with an intercept (Zhuang et al. 2022); fecam: distances of one matrix of correlations a class
    (Goswami et al. 2023).
    """
    z, at = np.asarray(z, np.float64), np.asarray(at, np.float64)
    one = np.eye(int(y.max()) + 1)[y]
    rows = one.sum(0)
    means = (one.T @ z) / rows[:, None]
    if head.method == "ncm":
        lengths = np.linalg.norm(at, axis=1)[:, None] * np.linalg.norm(means, axis=1)
        return np.asarray(COSINE_SCALE * (at @ means.T) / np.maximum(lengths, 1e-12))
    if head.method == "ncm-distance":
        variance = ((z - means[y]) ** 2).mean() or 1.0
        return np.asarray((at @ means.T - 0.5 * (means**2).sum(1)) / variance)
    if head.method == "lda":
        within = z - means[y]
        w = np.linalg.solve(_shrunk(within.T @ within / len(z), 1 - head.shrinkage, head.shrinkage), means.T)
        return np.asarray(at @ w - 0.5 * (means.T * w).sum(0))
    if head.method == "fecam":
        return np.stack([_by_class(z[y == c], at, head.shrinkage) for c in range(len(rows))], axis=1)
    centred, targets = z - z.mean(0), one - one.mean(0)
    with_targets = centred.T @ targets / len(z)
    w = np.linalg.solve(_shrunk(centred.T @ centred / len(z), 1.0, head.shrinkage), with_targets)
    left = (targets.var(0) - (w * with_targets).sum(0)).mean()
    return np.asarray((at @ w + one.mean(0) - z.mean(0) @ w) / left)


def _by_class(rows: F64, at: F64, shrinkage: float) -> F64:
    within = rows - rows.mean(0)
    covariance = _shrunk(within.T @ within / len(rows), 1.0, shrinkage)
    deviation = np.sqrt(np.diag(covariance))
    off = at / np.linalg.norm(at, axis=1)[:, None] - rows.mean(0) / np.linalg.norm(rows.mean(0))
    distances = (off * np.linalg.solve(covariance / np.outer(deviation, deviation), off.T).T).sum(1)
    return np.asarray(-COSINE_SCALE / 2 * distances)


def _shrunk(covariance: F64, keep: float, shrinkage: float) -> F64:
    mean = np.trace(covariance) / len(covariance)
    return np.asarray(keep * covariance + shrinkage * mean * np.eye(len(covariance)))
