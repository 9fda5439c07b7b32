# Times of single operators, as the core's profiler records them.
# Never here: clocks or sessions; this file only adds up.
"""The record that `Classifier.profile` fills."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

_STAGES = {0xFFFFFFFF: "input", 0xFFFFFFFE: "loss", 0xFFFFFFFD: "update", 0xFFFFFFFC: "replay"}


@dataclass
class Profile:
    """Events of one profiled stretch. `events` and `n_dropped` are filled when the `with` block ends."""

    ops: list[dict[str, Any]]
    events: list[dict[str, Any]] = field(default_factory=list)

    def by_op(self) -> list[dict[str, Any]]:
        """One row an operator and pass, slowest first: op, kind, pass, calls, total_us, macs, gmacs_per_s."""
        rows: dict[tuple[int, int], dict[str, Any]] = {}
        for event in self.events:
            op, backward = int(event["op"]), int(event["pass"])
            row = rows.get((op, backward))
            if row is None:
                known = op < len(self.ops)
                row = rows[(op, backward)] = {
                    "op": self.ops[op]["name"] if known else _STAGES.get(op, str(op)),
                    "kind": self.ops[op]["kind"] if known else "stage",
                    "pass": "backward" if backward else "forward",
                    "calls": 0,
                    "total_us": 0,
                    "macs": 0,
                }
            row["calls"] += 1
            row["total_us"] += int(event["end_us"]) - int(event["begin_us"])
            row["macs"] += int(event["macs"])
        for row in rows.values():
            row["gmacs_per_s"] = row["macs"] / row["total_us"] / 1e3 if row["total_us"] else 0.0
        return sorted(rows.values(), key=lambda r: -int(r["total_us"]))

    @property
    def total_us(self) -> int:
        """Sum of all events, in microseconds."""
        return sum(int(e["end_us"]) - int(e["begin_us"]) for e in self.events)
