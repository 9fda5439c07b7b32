# The choice of an adaptor: every candidate scored on a few rows of the new domain, none of them trained.
# Never here: formulas (one file each), the encoder that makes the maps, printing.
"""`search` compares candidates on a `Batch`; `Found` says which one was chosen and why."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from edgecl.export.adaptor_search.batch import Batch
from edgecl.export.adaptor_search.forms import Candidate, parameters
from edgecl.export.adaptor_search.scores import COMBINED, COMBINED_OF, SCORES, ranks, ruling

DEFAULT_RULE = "parameters"


@dataclass(frozen=True)
class Scored:
    """One candidate. name: as `--adaptor` takes it; parameters: a domain's own; scores: by name, larger is better;
    rank: 1 is the chosen one; seconds: of scoring it."""

    name: str
    parameters: int
    scores: dict[str, float]
    rank: int
    seconds: float


@dataclass(frozen=True)
class Found:
    """A choice. rule: what it went by; rows: candidates, the chosen one first; not_scored: names that time ran out for;
    samples, classes: of the batch; shape: of its maps; seconds: of the whole."""

    rule: str
    rows: list[Scored]
    not_scored: list[str]
    samples: int
    classes: int
    shape: tuple[int, int, int]
    seconds: float

    @property
    def chosen(self) -> str:
        """Its name."""
        return self.rows[0].name

    def why(self) -> str:
        """One sentence, and one more where something was left out."""
        first = self.rows[0]
        by = "the mean of its ranks under " + " and ".join(COMBINED_OF) if self.rule == COMBINED else self.rule
        text = (
            f"'{first.name}' was chosen of {len(self.rows)} adaptors because it is first by {by}"
            + ("" if self.rule == COMBINED else f" ({first.scores[self.rule]:.4g})")
            + f", on {self.samples} rows of {self.classes} classes, without training any"
        )
        if self.not_scored:
            text += f"; time ran out before {', '.join(self.not_scored)}"
        return text

    def cells(self) -> list[list[str]]:
        """A line a candidate, under `columns`."""
        return [
            [str(row.rank), row.name, f"{row.parameters:,}", *[f"{row.scores[name]:.4g}" for name in self._shown()]]
            + [f"{row.seconds:.2f}"]
            for row in self.rows
        ]

    def columns(self) -> list[str]:
        """Of the table; numbers have ">" behind the name."""
        return ["rank>", "adaptor", "parameters>", *[f"{name}>" for name in self._shown()], "seconds>"]

    def _shown(self) -> list[str]:
        return [name for name in SCORES if name != "parameters"]

    def table(self) -> list[str]:
        """Plain text, one candidate a line."""
        head = self.columns()
        lines = [[name.removesuffix(">") for name in head], *self.cells()]
        wide = [max(len(line[i]) for line in lines) for i in range(len(head))]
        return [
            "  ".join(
                cell.rjust(n) if name.endswith(">") else cell.ljust(n)
                for cell, n, name in zip(line, wide, head, strict=True)
            ).rstrip()
            for line in lines
        ]

    def as_dict(self) -> dict[str, Any]:
        """Plain types, for JSON."""
        return {**asdict(self), "shape": list(self.shape), "chosen": self.chosen, "why": self.why()}


def search(
    batch: Batch,
    candidates: Sequence[Candidate],
    rule: str = DEFAULT_RULE,
    budget: float | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Found:
    """Scores candidates by all of `SCORES` and orders them by the rule; of equals the smallest is first.

    Args:
        candidates: one or more.
        rule: one of `scores.RULES`.
        budget: seconds; None: all the time it takes. The order is drawn from the batch's seed, so that what is left out
            at the end is of no particular kind; the first candidate is scored in any case.
    """
    begin = clock()
    order = np.random.default_rng(batch.seed).permutation(len(candidates)).tolist()
    scored: dict[int, tuple[dict[str, float], float]] = {}
    for number in order:
        start = clock()
        if scored and budget is not None and start - begin >= budget:
            break
        scores = {name: score(batch, candidates[number]) for name, score in SCORES.items()}
        scored[number] = scores, clock() - start
    numbers = sorted(scored)
    places = ranks(ruling(rule, [scored[number][0] for number in numbers]))
    sizes = [parameters(candidates[number], batch.shape) for number in numbers]
    best_first = sorted(range(len(numbers)), key=lambda i: (places[i], sizes[i], candidates[numbers[i]]))
    rows = [
        Scored(candidates[numbers[i]].name, sizes[i], scored[numbers[i]][0], rank + 1, scored[numbers[i]][1])
        for rank, i in enumerate(best_first)
    ]
    left = [candidate.name for number, candidate in enumerate(candidates) if number not in scored]
    n_classes = len(np.unique(batch.columns))
    return Found(rule, rows, left, len(batch.maps), n_classes, batch.shape, clock() - begin)
