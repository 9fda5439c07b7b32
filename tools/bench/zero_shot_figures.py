# What the rows of zero_shot.json say: rank correlations, and how good the chosen adaptors are.
# Never here: measuring (zero_shot.py), Markdown (pages.py).
"""`correlations` and `choices`: a head and lines each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from edgecl.export.adaptor_search.scores import COMBINED, COMBINED_OF, SCORES
from rank_correlation import kendall, spearman

BRIEFLY, ANOTHER, WIDEST = "trained briefly", "another training", "widest depthwise"
CHOSEN_ON = (0, 1)  # seeds on which the default rule was chosen; the tables are of the others, where there are some
Rows = list[dict[str, Any]]
Lines = list[list[str]]


_OF_GROUP = ("stream", "domain", "seed")


def packed(rows: Rows) -> Rows:
    """A row a (stream, domain, seed), whose other fields are lists over the adaptors: a file of a thousand lines is
    nothing to look at."""
    groups: dict[Any, Rows] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in _OF_GROUP), []).append(row)
    found = []
    for key, group in groups.items():
        fields = [name for name in dict.fromkeys(name for row in group for name in row) if name not in _OF_GROUP]
        lists = {name: [row.get(name) for row in group] for name in fields}
        found.append({**dict(zip(_OF_GROUP, key, strict=True)), **lists})
    return found


def unpacked(rows: Rows) -> Rows:
    """The rows that `packed` took."""
    found = []
    for row in rows:
        lists = {name: values for name, values in row.items() if name not in _OF_GROUP}
        for at in range(len(lists["adaptor"])):
            own = {name: values[at] for name, values in lists.items() if values[at] is not None}
            found.append({**{key: row[key] for key in _OF_GROUP}, **own})
    return found


def cells(found: Iterable[dict[str, Any]]) -> dict[tuple[str, str, int], Rows]:
    """The head alone and the adaptors of each (stream, domain, seed), the smallest first."""
    found = list(found)
    found = [row for row in found if row["seed"] not in CHOSEN_ON] or found
    groups: dict[tuple[str, str, int], Rows] = {}
    for row in found:
        groups.setdefault((row["stream"], row["domain"], row["seed"]), []).append(row)
    return {key: sorted(rows, key=lambda row: row["parameters"]) for key, rows in groups.items()}


def guesses(rows: Rows) -> dict[str, list[float]]:
    """What each way of choosing says of the adaptors, larger is better."""
    found = {name: [-row[f"rank_{name}"] for row in rows] for name in SCORES}
    found[COMBINED] = [sum(values) for values in zip(*(found[name] for name in COMBINED_OF), strict=True)]
    found[BRIEFLY] = [row["briefly"] for row in rows]
    return found


def correlations(found: Iterable[dict[str, Any]]) -> tuple[list[str], Lines]:
    """A line a score: Spearman's and Kendall's of each stream, means over its domains and seeds; their means over the
    streams; seconds an adaptor. The last line is how well one training foretells another."""
    groups = cells(found)
    streams = list(dict.fromkeys(stream for stream, _, _ in groups))
    each: dict[str, dict[str, list[tuple[float, float]]]] = {}
    seconds: dict[str, list[float]] = {}
    for (stream, _, _), rows in groups.items():
        alone, *rows = rows
        means = [float(np.mean(row["accuracy"])) for row in rows]
        for name, values in guesses(rows).items():
            both = spearman(values, means), kendall(values, means)
            each.setdefault(name, {}).setdefault(stream, []).append(both)
            parts = COMBINED_OF if name == COMBINED else ("briefly",) if name == BRIEFLY else (name,)
            seconds.setdefault(name, []).append(sum(alone[f"seconds_{part}"] for part in parts))
        first, second = ([row["accuracy"][start] for row in rows] for start in (0, 1))
        each.setdefault(ANOTHER, {}).setdefault(stream, []).append((spearman(first, second), kendall(first, second)))
        seconds.setdefault(ANOTHER, []).append(alone["seconds_trained"])
    lines = []
    order = sorted(each, key=lambda name: (name in (BRIEFLY, ANOTHER), name == ANOTHER, -_mean(each[name])[0]))
    for name in order:
        of_streams = [np.mean(each[name][stream], 0) for stream in streams]
        lines.append([name, *map(_both, of_streams), _both(_mean(each[name])), f"{np.mean(seconds[name]):.3f}"])
    return ["score", *streams, "mean", "seconds an adaptor"], lines


def choices(found: Iterable[dict[str, Any]]) -> tuple[list[str], Lines]:
    """A line a stream: accuracy in points, means over its domains and seeds, of the head alone, of all adaptors, of the
    best one in hindsight, of the widest depthwise one (film, where none fits), and of the one that each score
    chooses."""
    groups = cells(found)
    lines = []
    ways = [*SCORES, COMBINED, BRIEFLY]
    for stream in dict.fromkeys(stream for stream, _, _ in groups):
        several: list[list[float]] = []
        counts: set[int] = set()
        for (of, _, _), rows in groups.items():
            if of != stream:
                continue
            alone, *rows = rows
            counts.add(len(rows))
            means = [float(np.mean(row["accuracy"])) for row in rows]
            said = guesses(rows)
            chosen = [means[int(np.argmax(said[way]))] for way in ways]
            widest = [mean for row, mean in zip(rows, means, strict=True) if _may_be_widest(row)][-1]
            several.append([float(np.mean(alone["accuracy"])), float(np.mean(means)), max(means), widest, *chosen])
        numbers = [f"{100 * value:.1f}" for value in np.mean(several, 0)]
        lines.append([stream, "-".join(map(str, sorted({min(counts), max(counts)}))), *numbers])
    return ["stream", "adaptors", "head alone", "mean", "best", WIDEST, *ways], lines


def _may_be_widest(row: dict[str, Any]) -> bool:
    return str(row["adaptor"]).startswith("depthwise") or row["adaptor"] == "film"


def _mean(of_streams: dict[str, list[tuple[float, float]]]) -> tuple[float, float]:
    found = np.mean([np.mean(values, 0) for values in of_streams.values()], 0)
    return float(found[0]), float(found[1])


def _both(values: Iterable[float]) -> str:
    return " / ".join(f"{value:.2f}" for value in values)
