# NASWOT: in how many ways do rows switch the units on?
# Never here: other scores.
"""Mellor et al. 2021, "Neural architecture search without training"."""

from __future__ import annotations

import numpy as np
from edgecl.export.adaptor_search.batch import Batch
from edgecl.export.adaptor_search.forms import Array, Candidate, draws


def score(batch: Batch, candidate: Candidate) -> float:
    """log det of sum over layers of X X' + (1 - X) (1 - X)', where X (n, units) says which units are on.

    Layers are the ReLU inside, where there is one, and the sign of what the adaptor adds to its input, since kinds
    without a ReLU would have no code at all; and 1 is added to the diagonal, since narrow adaptors often give two rows
    the same code, which would end every comparison at -inf. Both are our choice. Mean over random draws. Cost: a forward pass and n^2 x units a draw.
    """
    found = []
    for form in draws(candidate, batch.shape, batch.seed):
        added = form.branch(batch.maps)
        layers = [added > 0]
        if form.inner is not None and "down.bias" in form.values:
            layers.append(form.inner > 0)
        found.append(log_det_of_codes(layers))
    return float(np.mean(found))


def log_det_of_codes(layers: list[np.ndarray]) -> float:
    """layers: truth values (n, ...)."""
    kernel: Array | float = 0.0
    for layer in layers:
        on = layer.reshape(len(layer), -1).astype(np.float64)
        off = 1 - on
        kernel = kernel + on @ on.T + off @ off.T
    return float(np.linalg.slogdet(kernel + np.eye(len(layers[0])))[1])
