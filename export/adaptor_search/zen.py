# Zen-score: how far does a random adaptor carry a small change of a random input?
# Never here: other scores.
"""Lin et al. 2021, "Zen-NAS: a zero-shot NAS for high-performance image recognition"."""

from __future__ import annotations

import numpy as np
from edgecl.export.adaptor_search.batch import Batch
from edgecl.export.adaptor_search.forms import Candidate, drawn

STEP = 0.01  # of the authors' code, as ROWS; they repeat 32 times
ROWS, REPEATS = 16, 8
_LARGEST_SIDE = 4


def score(batch: Batch, candidate: Candidate) -> float:
    """log of the mean over rows of sum |f(x) - f(x + 0.01 e)|, all of standard normal numbers, the mean over draws;
    f is what the adaptor adds to its input. There is no batch norm, whose scale the authors add. The data are not
    looked at, only the map's shape, and of that at most 4 x 4 positions, which are alike. Cost: 16 passes of 16 maps.
    """
    channels, height, width = batch.shape
    shape = channels, min(height, _LARGEST_SIDE), min(width, _LARGEST_SIDE)
    found = []
    for number in range(REPEATS):
        generator = np.random.default_rng([batch.seed, number])
        form = drawn(candidate, batch.shape, generator, normal=True)
        x = generator.standard_normal((channels, ROWS, *shape[1:]))
        moved = x + STEP * generator.standard_normal(x.shape)
        found.append(np.log(np.abs(form.branch(x) - form.branch(moved)).sum((0, 2, 3)).mean()))
    return float(np.mean(found))
