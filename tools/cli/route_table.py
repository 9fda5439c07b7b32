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
                alarm_text(growth),
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
    console.print(
        "own, refit: right of the rows held out, in a domain of its own and by the head that was there, which learned "
        "the others too. At the end: on test rows, which find their domain; told: with the domain said."
    )
    loud = [task for task, alarm in zip(document["tasks"], document["alarms"][-1], strict=True) if alarm]
    bytes_each = document["domains"][0]["bytes"]
    console.print(
        output.facts(
            [
                ("average accuracy", output.percent(document["average_accuracy"])),
                ("with the domain told", output.percent(document["average_accuracy_told"])),
                ("forgetting", output.percent(document["forgetting"])),
                ("alarm on test rows of", ", ".join(loud) or "none, as it should be"),
                ("adaptors", _adaptors(document["growth"])),
                ("domains", f"{len(document['domains'])} of {document['config']['max_domains']}, "
                            f"{output.size(bytes_each)} each"),
                ("memory of the session", output.size(document["peak_bytes"])),
                ("learning", output.duration(document["seconds"])),
                ("testing", output.duration(document["evaluate_seconds"])),
                *[(name, document[name]) for name in ("state", "report") if document.get(name)],
            ]
        )
    )  # fmt: skip
    if loud:
        console.print(
            f"note: test rows of {', '.join(loud)} raise the alarm though the domain is known, as people or days do "
            'that no training row has; Classifier.calibrate(rows, score="fit") lets such rows count as known'
        )
    console.print(f"state sha256 {document['state_sha256']}")


def alarm_text(growth: dict[str, Any]) -> str:
    """yes, no, or nothing where there was nothing to judge by."""
    return "" if growth["alarm"] is None else "yes" if growth["alarm"] else "no"


def adaptor_text(growth: dict[str, Any]) -> str:
    """What became of an adaptor, from a report of `grow`: right of the rows held out without and with it."""
    adaptor = growth["adaptor"]
    if not adaptor or adaptor["accuracy_adapted"] is None:
        return ""
    shares = f"{_points(adaptor['accuracy_head'])} to {_points(adaptor['accuracy_adapted'])}"
    return f"{shares}, {'kept' if adaptor['kept'] else 'not kept'}"


def _adaptors(growth: list[dict[str, Any]]) -> str:
    told = [f"{entry['domain']} {adaptor_text(entry)}" for entry in growth if entry["grown"] and adaptor_text(entry)]
    return "; ".join(told) or "none"


def why(growth: dict[str, Any]) -> str:
    """Why rows went where they went, from a report of `grow`."""
    if growth["grown"]:
        return f"own {_points(growth['accuracy_grown'])}, refit {_points(growth['accuracy_refit'])}"
    if growth["full"]:
        return "no room for another"
    if growth["alarm"]:
        return f"veto: own {_points(growth['accuracy_grown'])}, refit {_points(growth['accuracy_refit'])}"
    if growth["alarm"] is None:
        return "too few rows to tell" if growth["known"] else "the first"
    return "known"


def _points(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"
