# Figures of continual learning from a matrix of accuracies.
# Never here: learners, data.
"""Average accuracy, forgetting and backward transfer.

All take the accuracy matrix R, shape (T, T), values 0..1: R[i][j] is the accuracy on the test set of task j after
learning tasks 0..i. Entries with j > i are not used.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from edgecl.errors import ShapeError
from numpy.typing import NDArray

Matrix = Sequence[Sequence[float]] | NDArray[np.floating]


def average_accuracy(matrix: Matrix) -> float:
    """Mean accuracy over all tasks at the end: (1/T) sum_j R[T-1][j] (Lopez-Paz and Ranzato 2017, ACC)."""
    return float(_square(matrix)[-1].mean())


def forgetting(matrix: Matrix) -> float:
    """Mean over all tasks but the last of the accuracy right after learning it minus that at the end; 0 with one task.

    (1/(T-1)) sum_{j<T-1} (R[j][j] - R[T-1][j]). Chaudhry et al. 2018 subtract from the best accuracy ever reached
    instead of R[j][j]; see `forgetting_from_best`.
    """
    r = _square(matrix)
    if len(r) == 1:
        return 0.0
    return float((np.diag(r)[:-1] - r[-1, :-1]).mean())


def forgetting_from_best(matrix: Matrix) -> float:
    """Mean over all tasks but the last of max_{j<=i<T-1} R[i][j] - R[T-1][j] (Chaudhry et al. 2018, eq. 4); 0 with
    one task."""
    r = _square(matrix)
    n = len(r)
    if n == 1:
        return 0.0
    return float(np.mean([r[j : n - 1, j].max() - r[-1, j] for j in range(n - 1)]))


def backward_transfer(matrix: Matrix) -> float:
    """(1/(T-1)) sum_{j<T-1} (R[T-1][j] - R[j][j]) (Lopez-Paz and Ranzato 2017, BWT): minus `forgetting`; 0 with one
    task."""
    return 0.0 - forgetting(matrix)


def _square(matrix: Matrix) -> NDArray[np.float64]:
    r = np.asarray(matrix, dtype=np.float64)
    if r.ndim != 2 or r.shape[0] != r.shape[1] or r.shape[0] == 0:
        raise ShapeError(
            f"expected a square accuracy matrix with at least one task; found shape {r.shape}; "
            "give one row for each task learned and one column for each task tested"
        )
    return r
