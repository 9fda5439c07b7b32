# The error of a ridge head that also reads what an adaptor computes inside.
# Never here: the formula of the error (ridge_loo.py).
"""Leave-one-out error with the adaptor's inner features beside the embedding; ours."""

from __future__ import annotations

import numpy as np
from edgecl.export.adaptor_search.batch import Batch
from edgecl.export.adaptor_search.forms import Array, Candidate, Form, draws
from edgecl.export.adaptor_search.ridge_loo import left_out


def score(batch: Batch, candidate: Candidate) -> float:
    """Minus the mean squared leave-one-out error on embeddings of the plain map beside means over positions of the
    inner features. A linear head on both can do what it can do behind the adaptor with its last layer trained, so this
    is what training that layer may reach. "film" and "lowrank" add nothing that is not linear in the embedding. Mean
    over draws. Cost: a forward pass and n^2 x (channels + width) + n^3 a draw."""
    found = [left_out(features(form, batch.maps), batch.columns) for form in draws(candidate, batch.shape, batch.seed)]
    return -float(np.mean(found))


def features(form: Form, maps: Array) -> Array:
    """(n, channels + width), both parts of the same mean square."""
    form.branch(maps)
    parts = [maps.mean((2, 3)).T]
    if form.inner is not None:
        parts.append(form.inner.mean((2, 3)).T)
    centred = [part - part.mean(0) for part in parts]
    return np.concatenate([part / max(float(np.sqrt((part**2).mean())), 1e-300) for part in centred], 1)
