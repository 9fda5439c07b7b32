# The pictures and tables of a report, section by section.
# Never here: the page around them (report_page.py).
"""Sections of a report: of domains, of one run, of a comparison."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from edgecl.cli import compare_runs, output
from edgecl.cli.report_page import Section, settings, table
from edgecl.cli.route_table import adaptor_text, alarm_text, why

_LETTERS = 80  # below an axis
_STYLE: Any = {
    "svg.fonttype": "none",  # text stays text
    "text.parse_math": False,  # names may hold dollars
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def domain_sections(document: dict[str, Any]) -> list[Section]:
    """Of a document of `run_domains`."""
    tasks, growth = document["tasks"], document["growth"]
    grown = sum(entry["grown"] for entry in growth)
    rows = [
        (
            entry["task"], entry["domain"], entry["rows"], alarm_text(entry),
            output.percent(entry["unknown"]), why(entry), adaptor_text(entry),
            output.percent(document["accuracy_before"][t]), output.percent(document["accuracy_matrix"][-1][t]),
            output.percent(document["told_matrix"][-1][t]),
        )
        for t, entry in enumerate(growth)
    ]  # fmt: skip
    columns = [
        "rows of",
        "domain",
        "rows>",
        "alarm",
        "unknown>",
        "because",
        "adaptor",
        "before>",
        "at the end>",
        "told>",
    ]
    loud = [task for task, alarm in zip(tasks, document["alarms"][-1], strict=True) if alarm]
    facts = [
        ("average accuracy, rows find their domain", output.percent(document["average_accuracy"])),
        ("with the domain told", output.percent(document["average_accuracy_told"])),
        ("forgetting", output.percent(document["forgetting"])),
        ("domains that grew", grown),
        ("test rows of known domains that alarm", ", ".join(loud) or "none"),
    ]
    return [
        ("In short", "", table(["", ">"], facts)),
        (
            "What became of each domain",
            "Accuracy on rows held out decides: a domain of its own (own), or the head that was there and learned the "
            "rows too (refit); and whether its adaptor stays. On the right: on test rows, before learning, at the end, "
            "and with the domain told.",
            table(columns, rows),
        ),
        ("Accuracy over time", "Dashed: with the domain told.", svg("accuracy", lambda a: _accuracy(a, document))),
        (
            "Novelty before learning, and thresholds",
            "How badly rows fit the domains known by then; grey: test rows of these. Above the solid line a row is not "
            "accepted, above the dotted one it is novel. Shaded: the alarm was up; a triangle: a domain grew.",
            svg("novelty", lambda a: _novelty(a, document)),
        ),
        ("Where test rows go at the end", "", svg("routes", lambda a: _routes(a, document))),
        ("Memory", "", _memory(document)),
        ("Settings", "", settings(document["config"])),
    ]


def run_sections(document: dict[str, Any]) -> list[Section]:
    """Of a document of `run_stream`."""
    facts = [
        ("average accuracy", output.percent(document["average_accuracy"])),
        ("forgetting", output.percent(document["forgetting"])),
        ("accuracy with the task known", output.percent(document["task_il_accuracy"])),
        ("training multiply-adds", output.count(document["train_macs"])),
        ("the same if dense", output.count(document["train_macs_dense"])),
        ("learning", output.duration(document["seconds"])),
    ]
    rows = [
        (name, output.percent(at), output.percent(end), output.count(macs), output.duration(seconds))
        for name, at, end, macs, seconds in zip(
            document["tasks"], document["per_task_after_learning"], document["per_task"], document["task_macs"],
            document["task_seconds"], strict=True,
        )
    ]  # fmt: skip
    return [
        ("In short", "", table(["", ">"], facts)),
        ("Tasks", "", table(["task", "just learned>", "at the end>", "multiply-adds>", "time>"], rows)),
        ("Accuracy over time", "", svg("accuracy", lambda a: _accuracy(a, document))),
        ("Memory", "", _memory(document)),
        ("Settings", "", settings(document["config"])),
    ]


def comparison_sections(document: dict[str, Any]) -> list[Section]:
    """Of methods over seeds."""
    rows = []
    for entry in document["methods"]:
        values = {name: figure["values"] for name, figure in entry.items() if isinstance(figure, dict)}
        rows.append(
            (
                entry["method"], output.spread([100 * v for v in values["average_accuracy"]]),
                output.spread([100 * v for v in values["forgetting"]]), output.count_spread(values["train_macs"]),
                output.duration_spread(values["seconds"]), output.size(float(np.mean(values["peak_bytes"]))),
            )
        )  # fmt: skip
    columns = ["method", "accuracy %>", "forgetting %>", "multiply-adds>", "time>", "memory>"]
    note = f"{len(document['seeds'])} seeds, mean ± sample deviation" if len(document["seeds"]) > 1 else ""
    return [
        ("Methods", note, table(columns, rows)),
        ("Accuracy over time", "", svg("curves", lambda a: compare_runs.curves(a, document["runs"]))),
        ("Settings of the first run", "", settings(document["runs"][0]["config"])),
    ]


# --- pictures ---


def svg(name: str, draw: Callable[[Any], None]) -> str:
    # A salt and a prefix of its own, so that ids of several pictures in one page differ.
    from matplotlib import pyplot, rc_context

    with rc_context({**_STYLE, "svg.hashsalt": name}):
        figure, axes = pyplot.subplots(figsize=(9, 3.8), layout="constrained")
        draw(axes)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
        pyplot.close(figure)
    svg = text.getvalue()[text.getvalue().index("<svg") :]
    return re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)


def _accuracy(axes: Any, document: dict[str, Any]) -> None:
    tasks = document["tasks"]
    for which, style in (("accuracy_matrix", "-"), ("told_matrix", "--")):
        for t, task in enumerate(tasks if which in document else []):
            values = [100 * row[t] for row in document[which][t:]]
            label = f"{task}: {values[-1]:.1f} %" if style == "-" else None
            x = range(t + 1, len(tasks) + 1)
            axes.plot(x, values, style, marker="o" if style == "-" else None, color=f"C{t % 10}", label=label)
    axes.set(xlabel="learned so far", ylabel="accuracy, %", ylim=(0, 102))
    names = [f"+ {task}" if t else task for t, task in enumerate(tasks)]
    axes.set_xticks(range(1, len(tasks) + 1), names, rotation=_rotation(names))
    axes.grid(alpha=0.3)
    if len(tasks) <= 12:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)


def _novelty(axes: Any, document: dict[str, Any]) -> None:
    begin, ticks, places = 0, [], []
    for t, entry in enumerate(document["novelty"]):
        if entry["scores"] is None:
            continue
        growth, end = document["growth"][t], begin
        for scores, name, colour in (
            (entry["known"], "known", "tab:gray"),
            (entry["scores"], growth["task"], f"C{t % 10}"),
        ):
            axes.plot(np.arange(end, end + len(scores)), scores, ".", markersize=3, color=colour)
            if scores:
                places.append(end + len(scores) / 2)
                ticks.append(name)
            if name != "known" and growth["alarm"]:
                axes.axvspan(end, end + len(scores), color="tab:red", alpha=0.08, linewidth=0)
            end += len(scores)
        axes.hlines(entry["accept"], begin, end, color="black", linewidth=1)
        axes.hlines(entry["novel"], begin, end, color="black", linewidth=1, linestyle=":")
        if growth["grown"]:
            axes.plot([end], [entry["novel"]], marker="^", color="black", markersize=8, clip_on=False)
        begin = end
    axes.set_yscale("symlog", linthresh=3)
    axes.set(ylabel="fit, in deviations", xlim=(0, max(begin, 1)))
    axes.set_xticks(places, ticks, rotation=_rotation(ticks))


def _rotation(names: list[str]) -> int:
    # Degrees, so that neighbours do not overlap.
    letters = sum(map(len, names))
    return 0 if letters <= _LETTERS else 30 if letters <= 3 * _LETTERS else 90


def _routes(axes: Any, document: dict[str, Any]) -> None:
    names = [entry["name"] for entry in document["domains"]]
    tasks, routes = document["tasks"], document["routes"][-1]
    left = np.zeros(len(tasks))
    for d, name in enumerate(names):
        share = np.array([100 * route.get(name, 0.0) for route in routes])
        axes.barh(range(len(tasks)), share, left=left, color=f"C{d % 10}", label=name)
        left += share
    axes.set_yticks(range(len(tasks)), tasks)
    axes.invert_yaxis()
    axes.set(xlabel="share of the test rows, %", xlim=(0, 100))
    axes.legend(title="domain", loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)


def _memory(document: dict[str, Any]) -> str:
    rows = [("session, all told", output.size(document["peak_bytes"]))]
    rows += [(f"of it domain {entry['name']}", output.size(entry["bytes"])) for entry in document.get("domains", [])]
    rows += [("state on disk", output.size(document["state_bytes"]))]
    rows += [("process at its largest, with Python and data", output.size(document["peak_rss_bytes"]))]
    return table(["", ">"], rows)
