# Zen-score: how far does a random adaptor carry a small change of a random input?
# Never here: other scores.
"""Lin et al. 2021, "Zen-NAS: a zero-shot NAS for high-performance image recognition"."""

from __future__ import annotations

import numpy as np
from edgecl.export.adaptor_search.batch import Batch
from edgecl.export.adaptor_search.forms import Candidate, drawn

REPEATS, ROWS, STEP = 32, 16, 0.01  # of the authors' code


def score(batch: Batch, candidate: Candidate) -> float:
    """log of the mean over rows of sum |f(x) - f(x + 0.01 e)|, all of standard normal numbers, the mean over draws;
    f is what the adaptor adds to its input. There is no batch norm, whose scale the authors add. The data are not
    looked at, only the map's shape. Cost: 64 passes of 16 maps."""
    found = []
    for number in range(REPEATS):
        generator = np.random.default_rng([batch.seed, number])
        form = drawn(candidate, batch.shape, generator, normal=True)
        x = generator.standard_normal((ROWS, *batch.shape))
        moved = x + STEP * generator.standard_normal(x.shape)
        change = np.abs(form.branch(x) - form.branch(moved)).sum((1, 2, 3)).mean()
        found.append(np.log(change))
    return float(np.mean(found))
