# The table of `edgecl learn --route`.
# Never here: learning, the page (report.py).
"""`domain_table` and `render_route`: what became of each domain; `why`, in words."""

from __future__ import annotations

from typing import Any

from edgecl.cli import output
from rich.console import Console
from rich.table import Table


def domain_table(document: dict[str, Any]) -> Table:
    """A row a domain of the stream."""
    last = document["accuracy_matrix"][-1]
    rows = []
    for t, task in enumerate(document["tasks"]):
        growth = document["growth"][t]
        rows.append(
            (
                task,
                growth["domain"],
                "yes" if growth["alarm"] else "no" if growth["unknown"] is not None else "",
                why(growth),
                output.percent(document["accuracy_before"][t]),
                output.percent(last[t]),
                output.percent(document["told_matrix"][-1][t]),
            )
        )
    columns = ["rows of", "domain", "alarm", "because", "before>", "at the end>", "told>"]
    return output.table(columns, rows)


def render_route(console: Console, document: dict[str, Any]) -> None:
    """Prints what became of each domain, and the sums."""
    n = len(document["tasks"])
    console.print(domain_table(document))
    if document["interrupted"]:
        console.print(f"interrupted: {n} of {document['n_tasks']} domains learned")
    loud = [task for task, alarm in zip(document["tasks"], document["alarms"][-1], strict=True) if alarm]
    bytes_each = document["domains"][0]["bytes"]
    console.print(
        output.facts(
            [
                ("average accuracy", output.percent(document["average_accuracy"])),
                ("with the domain told", output.percent(document["average_accuracy_told"])),
                ("forgetting", output.percent(document["forgetting"])),
                ("alarm on test rows of", ", ".join(loud) or "none, as it should be"),
                ("domains", f"{len(document['domains'])} of {document['config']['max_domains']}, "
                            f"{output.size(bytes_each)} each"),
                ("memory of the session", output.size(document["peak_bytes"])),
                ("learning", output.duration(document["seconds"])),
                ("testing", output.duration(document["evaluate_seconds"])),
                *[(name, document[name]) for name in ("state", "report") if document.get(name)],
            ]
        )
    )  # fmt: skip
    console.print(f"state sha256 {document['state_sha256']}")


def why(growth: dict[str, Any]) -> str:
    """Why rows went where they went, from a report of `grow`."""
    if growth["grown"]:
        return f"own {_points(growth['accuracy_grown'])}, refit {_points(growth['accuracy_refit'])}"
    if growth["full"]:
        return "no room for another"
    if growth["alarm"]:
        return f"veto: own {_points(growth['accuracy_grown'])}, refit {_points(growth['accuracy_refit'])}"
    return "known" if growth["unknown"] is not None else "the first"


def _points(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"
