# The list of scores, and how several become one.
# Never here: a formula of a score (one file each), the loop over candidates (search.py).
"""`SCORES` by name, and `ranks`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from edgecl.export.adaptor_search import (
    hidden_loo,
    naswot,
    parameters,
    ridge_loo,
    spectral,
    synflow,
    zen,
    zico,
)
from edgecl.export.adaptor_search.batch import Batch
from edgecl.export.adaptor_search.forms import Array, Candidate

# Larger is better, everywhere.
SCORES: dict[str, Callable[[Batch, Candidate], float]] = {
    "parameters": parameters.score,
    "naswot": naswot.score,
    "zen": zen.score,
    "synflow": synflow.score,
    "zico": zico.score,
    "spectral": spectral.score,
    "ridge_loo": ridge_loo.score,
    "hidden_loo": hidden_loo.score,
}
COMBINED = "combined"
COMBINED_OF = ("zico", "spectral", "ridge_loo", "hidden_loo")  # tools/bench/README.md, "Choosing an adaptor"
RULES = (*SCORES, COMBINED)


def ranks(values: Sequence[float] | Array) -> Array:
    """1 for the largest; equal values share the mean of their places."""
    v = np.asarray(values, np.float64)
    above = (v[None, :] > v[:, None]).sum(1)
    same = (v[None, :] == v[:, None]).sum(1)
    found: Array = above + (same + 1) / 2
    return found


def ruling(rule: str, scores: Sequence[dict[str, float]]) -> Array:
    """What the rule goes by for each candidate, larger is better: the score of that name, or for `COMBINED` minus the
    mean of its ranks under `COMBINED_OF`."""
    if rule != COMBINED:
        return np.array([found[rule] for found in scores], np.float64)
    each = [ranks([found[name] for found in scores]) for name in COMBINED_OF]
    combined: Array = -np.mean(each, 0)
    return combined
