# The number of parameters as a score: what every other one has to beat.
# Never here: other scores.
"""Parameter count."""

from __future__ import annotations

from edgecl.export.adaptor_search.batch import Batch
from edgecl.export.adaptor_search.forms import Candidate, parameters


def score(batch: Batch, candidate: Candidate) -> float:
    """More is better."""
    return float(parameters(candidate, batch.shape))
