# How alike are two orders?
# Never here: what is ordered.
"""Spearman's and Kendall's rank correlation, with ties."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from edgecl.export.adaptor_search.scores import ranks


def spearman(a: Sequence[float], b: Sequence[float]) -> float:
    """Spearman 1904: the correlation of ranks, -1..1, equal values sharing theirs; 0 where one side is all equal."""
    x, y = (ranks(values) - (len(values) + 1) / 2 for values in (a, b))
    length = float(np.sqrt((x**2).sum() * (y**2).sum()))
    return float((x * y).sum()) / length if length > 0 else 0.0


def kendall(a: Sequence[float], b: Sequence[float]) -> float:
    """Kendall 1945, tau-b: pairs in the same order less pairs in opposite order, over the geometric mean of those that
    are not tied on either side; 0 where one side is all equal."""
    x, y = (np.sign(np.subtract.outer(np.asarray(values), np.asarray(values))) for values in (a, b))
    length = float(np.sqrt((x**2).sum() * (y**2).sum()))
    return float((x * y).sum()) / length if length > 0 else 0.0
