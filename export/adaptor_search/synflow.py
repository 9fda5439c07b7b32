# SynFlow: how much would be lost without the weights?
# Never here: other scores.
"""Tanaka et al. 2020, "Pruning neural networks without any data by iteratively conserving synaptic flow"."""

from __future__ import annotations

import numpy as np
from edgecl.export.adaptor_search.batch import Batch
from edgecl.export.adaptor_search.forms import Array, Candidate, Form, Shape, draws, is_weight


def score(batch: Batch, candidate: Candidate) -> float:
    """log of sum over the weights of |w dR/dw|, with all weights made positive, an input of ones, and R the sum of all
    outputs. Mean over draws. The data are not looked at. Cost: a forward and a backward pass of one map a draw."""
    found = []
    for form in draws(candidate, batch.shape, batch.seed):
        positive = Form(candidate, {name: np.abs(values) for name, values in form.values.items()})
        found.append(np.log(flow(positive, _ones(batch.shape))))
    return float(np.mean(found))


def flow(form: Form, x: Array) -> float:
    """sum |w dR/dw| over weights that multiply."""
    gradients = form.gradients(np.ones_like(form.branch(x)))
    return float(sum(np.abs(form.values[name] * gradients[name]).sum() for name in gradients if is_weight(name)))


def _ones(shape: Shape) -> Array:
    return np.ones((shape[0], 1, *shape[1:]))
