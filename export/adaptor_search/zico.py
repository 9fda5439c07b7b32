# ZiCo: are gradients large, and the same from batch to batch?
# Never here: other scores.
"""Li et al. 2023, "ZiCo: zero-shot NAS via inverse coefficient of variation on gradients"."""

from __future__ import annotations

import numpy as np
from edgecl.export.adaptor_search.batch import Batch
from edgecl.export.adaptor_search.forms import Array, Candidate, Form, draws, is_weight
from numpy.typing import NDArray

PARTS = 4  # batches that the rows are cut into; the authors take two or more


def score(batch: Batch, candidate: Candidate) -> float:
    """sum over layers of log sum over weights of mean |g| / deviation of g, over batches; weights whose gradient is the
    same everywhere are left out. g: of the cross-entropy under a head of random weights, the same for all candidates.
    Mean over draws. Cost: a forward and a backward pass a draw."""
    channels, n_classes = batch.shape[0], int(batch.columns.max()) + 1
    head = np.random.default_rng(batch.seed).uniform(-1, 1, (n_classes, channels)) / np.sqrt(channels)
    found = []
    for form in draws(candidate, batch.shape, batch.seed):
        parts = [
            gradients(form, head, batch.maps[:, k::PARTS], batch.columns[k::PARTS], batch.length_1)
            for k in range(PARTS)
        ]
        found.append(inverse_variation({name: np.stack([part[name] for part in parts]) for name in parts[0]}))
    return float(np.mean(found))


def inverse_variation(gradients: dict[str, Array]) -> float:
    """gradients: (batches, ...) by parameter."""
    total = 0.0
    for name, values in gradients.items():
        deviation = values.std(0)
        moves = deviation > 0
        if is_weight(name) and moves.any():
            total += float(np.log((np.abs(values).mean(0)[moves] / deviation[moves]).sum()))
    return total


def gradients(form: Form, head: Array, maps: Array, columns: NDArray[np.int64], length_1: bool) -> dict[str, Array]:
    """Of the mean cross-entropy of head times the embedding of the adapted maps."""
    embedding = (maps + form.branch(maps)).mean((2, 3)).T
    length = np.maximum(np.linalg.norm(embedding, axis=1, keepdims=True), 1e-12) if length_1 else 1.0
    unit = embedding / length
    logits = unit @ head.T
    share = np.exp(logits - logits.max(1, keepdims=True))
    share /= share.sum(1, keepdims=True)
    share[np.arange(len(columns)), columns] -= 1
    above = share @ head / len(columns)
    if length_1:
        above = (above - unit * (above * unit).sum(1, keepdims=True)) / length
    positions = maps.shape[2] * maps.shape[3]
    return form.gradients(np.broadcast_to((above.T / positions)[:, :, None, None], maps.shape))
