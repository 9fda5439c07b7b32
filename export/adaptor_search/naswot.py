# NASWOT: in how many ways do rows switch the units on?
# Never here: other scores.
"""Mellor et al. 2021, "Neural architecture search without training"."""

from __future__ import annotations

import numpy as np
from edgecl.export.adaptor_search.batch import Batch
from edgecl.export.adaptor_search.forms import Array, Candidate, draws
from numpy.typing import NDArray


def score(batch: Batch, candidate: Candidate) -> float:
    """log det of sum over layers of X X' + (1 - X) (1 - X)', where X (n, units) says which units are on.

    Layers are the ReLU inside, where there is one, and the sign of what the adaptor adds to its input, since kinds
    without a ReLU would have no code at all; and 1 is added to the diagonal, since narrow adaptors often give two rows
    the same code, which would end every comparison at -inf. Both are our choice. Mean over random draws.
    Cost: a forward pass and n^2 x units a draw.
    """
    found = []
    for form in draws(candidate, batch.shape, batch.seed):
        layers = [_codes(form.branch(batch.maps))]
        if form.inner is not None and form.has_relu:
            layers.append(_codes(form.inner))
        found.append(log_det(layers))
    return float(np.mean(found))


def log_det(layers: list[NDArray[np.bool_]]) -> float:
    """Of the kernel of codes (n, units) plus 1 on the diagonal."""
    kernel = np.eye(len(layers[0]))
    for codes in layers:
        on = codes.astype(np.float32)  # counts up to 2^24 are exact
        both, each = on @ on.T, on.sum(1)
        kernel += codes.shape[1] - each[:, None] - each[None, :] + 2 * both
    return float(np.linalg.slogdet(kernel)[1])


def _codes(maps: Array) -> NDArray[np.bool_]:
    return (maps > 0).transpose(1, 0, 2, 3).reshape(maps.shape[1], -1)
