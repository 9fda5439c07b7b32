# Effective rank: how many directions do adapted embeddings use?
# Never here: other scores.
"""Roy and Vetterli 2007, "The effective rank"; our stand-in for the spectral score of EAR (Daniels et al. 2023), whose
formula we do not have."""

from __future__ import annotations

import numpy as np
from edgecl.export.adaptor_search.batch import Batch
from edgecl.export.adaptor_search.forms import Array, Candidate, draws, embeddings


def score(batch: Batch, candidate: Candidate) -> float:
    """exp of the entropy of the eigenvalues of the embeddings' covariance, each as a share of their sum: 1..channels.
    Mean over draws. Cost: a forward pass and the eigenvalues of a matrix of min(n, channels) a draw."""
    found = [
        effective_rank(embeddings(batch.maps + form.branch(batch.maps), batch.length_1))
        for form in draws(candidate, batch.shape, batch.seed)
    ]
    return float(np.mean(found))


def effective_rank(rows: Array) -> float:
    """Of the covariance of rows (n, d); 1 where they are all the same."""
    centred = rows - rows.mean(0)
    smaller = centred @ centred.T if len(rows) < rows.shape[1] else centred.T @ centred
    values = np.maximum(np.linalg.eigvalsh(smaller), 0.0)
    shares = values[values > 0] / max(float(values.sum()), 1e-300)
    return float(np.exp(-(shares * np.log(shares)).sum()))
