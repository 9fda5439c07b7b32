# Which adaptors are compared.
# Never here: scores, limits in bytes.
"""`candidates`: kinds times widths that are small enough."""

from __future__ import annotations

from edgecl.export.adaptor_search.forms import Candidate, Shape, parameters

KINDS = ("bottleneck", "depthwise", "lowrank")  # that have a width
WIDTHS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 48, 64)


def every_candidate(shape: Shape) -> list[Candidate]:
    """All that make sense behind a map: no wider than it has channels; smallest first."""
    found = [Candidate("film", 0)]
    found += [Candidate(kind, width) for kind in KINDS for width in WIDTHS if width <= shape[0]]
    return sorted(found, key=lambda candidate: (parameters(candidate, shape), candidate))


def candidates(shape: Shape, most: float) -> list[Candidate]:
    """Those of at most so many parameters."""
    return [candidate for candidate in every_candidate(shape) if parameters(candidate, shape) <= most]
