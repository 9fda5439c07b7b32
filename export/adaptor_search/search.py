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

DEFAULT_RULE = COMBINED
_HEADS = {
    "naswot": "naswot", "zen": "zen", "synflow": "synflow", "zico": "zico", "spectral": "spectral",
    "ridge_loo": "ridge", "hidden_loo": "hidden",
}  # fmt: skip


@dataclass(frozen=True)
class Scored:
    """One candidate. name: as `--adaptor` takes it; parameters: a domain's own; scores: by name, larger is better;
    rank: 1 is the chosen one; seconds: of each score."""

    name: str
    parameters: int
    scores: dict[str, float]
    rank: int
    seconds: dict[str, float]


@dataclass(frozen=True)
class Found:
    """A choice. rule: what it went by; rows: candidates, the chosen one first; not_scored: names that time ran out for;
    samples, classes: of the batch; shape: of its maps; seconds: of the whole; unseen: what stands between map and head
    that no score knows of."""

    rule: str
    rows: list[Scored]
    not_scored: list[str]
    samples: int
    classes: int
    shape: tuple[int, int, int]
    seconds: float
    unseen: tuple[str, ...] = ()

    @property
    def chosen(self) -> str:
        """Its name."""
        return self.rows[0].name

    def why(self) -> str:
        """A sentence, with what was left out."""
        first = self.rows[0]
        by = "the mean of its ranks by " + ", ".join(COMBINED_OF) if self.rule == COMBINED else self.rule
        text = (
            f"'{first.name}' was chosen of {len(self.rows)} adaptors because it is first by {by}"
            + ("" if self.rule == COMBINED else f" ({first.scores[self.rule]:.4g})")
            + f", on {self.samples} rows of {self.classes} classes, without training any"
        )
        if self.not_scored:
            text += f"; time ran out before {', '.join(self.not_scored)}"
        if self.unseen:
            text += (
                f"; scores see the means of the map's channels, not what stands between map and head "
                f"({', '.join(self.unseen)})"
            )
        return text

    def table(self) -> list[str]:
        """Plain text within 80 columns, one candidate a line; errors that were left out times 100."""
        head = ["rank", "adaptor", "params", *_HEADS.values(), "s"]
        lines = [head]
        for row in self.rows:
            shown = [(-100 if name.endswith("loo") else 1) * row.scores[name] for name in _HEADS]
            numbers = [f"{v:.0f}" if abs(v) >= 1000 else f"{v:.3g}" for v in shown]
            lines.append([str(row.rank), row.name, str(row.parameters), *numbers, f"{sum(row.seconds.values()):.2f}"])
        wide = [max(len(line[i]) for line in lines) for i in range(len(head))]
        return [
            " ".join(
                cell.ljust(n) if i == 1 else cell.rjust(n) for i, (cell, n) in enumerate(zip(line, wide, strict=True))
            )
            for line in lines
        ]

    def as_dict(self) -> dict[str, Any]:
        """Plain types, for JSON."""
        return {
            **asdict(self),
            "shape": list(self.shape),
            "unseen": list(self.unseen),
            "chosen": self.chosen,
            "why": self.why(),
        }


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
    scored: dict[int, tuple[dict[str, float], dict[str, float]]] = {}
    for number in order:
        if scored and budget is not None and clock() - begin >= budget:
            break
        scores: dict[str, float] = {}
        seconds: dict[str, float] = {}
        for name, score in SCORES.items():
            start = clock()
            scores[name] = score(batch, candidates[number])
            seconds[name] = clock() - start
        scored[number] = scores, seconds
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
    return Found(rule, rows, left, len(batch.columns), n_classes, batch.shape, clock() - begin)
