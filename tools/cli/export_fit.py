# `edgecl export --fit 20ms --device NAME`: the form of a model that keeps a time, by the cost model.
# Never here: exporting (edgecl.export), the cost model (edgecl.devices), accuracy (nobody measured it).
"""`Fit`, `choices`, `fitting`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from edgecl.cli.bench_boards import span
from edgecl.cli.failure import UsageError
from edgecl.cli.output import digits
from edgecl.methods import GRADIENT_HEADS

DENSITIES = (0.5, 0.25, 0.1, 0.05)
RULE = (
    "the first that fits, in an order that gives up little first; accuracy is not measured: check it with edgecl learn"
)


@dataclass
class Fit:
    """What was tried, and what was taken."""

    device: str
    limit_ms: float
    range_source: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    chosen: str | None = None

    def why(self) -> str:
        """One sentence."""
        limit = f"{digits(self.limit_ms)} ms on {self.device}"
        if self.chosen is not None:
            return f"chosen for {limit}: {self.chosen} ({RULE})"
        timed = [row for row in self.rows if "worst_ms" in row]
        if not timed:
            return f"nothing fits {limit}, for nothing could be exported"
        best = min(timed, key=lambda row: row["worst_ms"])
        return (
            f"nothing fits {limit}; closest is {best['form']}, predicted up to {digits(best['worst_ms'])} ms, "
            f"{digits(best['worst_ms'] - self.limit_ms)} ms more; take a smaller model, a faster device or fewer rows "
            "a step"
        )

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        return {**vars(self), "why": self.why(), "rule": RULE}

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Columns and cells; times in ms with their range."""
        cells = []
        for row in self.rows:
            if "note" in row:
                cells.append([row["form"], "", "", row["note"]])
                continue
            mark = "chosen" if row["form"] == self.chosen else "yes" if row["fits"] else "no"
            cells.append([row["form"], span(row["predict_ms"]), span(row["learn_ms"]), mark])
        return ["form", "predict, ms>", "learn step, ms>", "fits"], cells


def choices(keywords: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(what it is in words, keywords of the export that change), what gives up least first."""
    yield "as asked", {}
    by_gradient = keywords["recipe"].head in GRADIENT_HEADS
    trainable, density = keywords["trainable"], keywords["density"]
    if by_gradient and trainable != "none":
        for less in DENSITIES:
            if less < density:
                yield f"{100 * less:g} % of the weights", {"density": less}
        for part in ("tail", "head"):
            if trainable not in (part, "head"):
                yield f"only the {part} learns", {"trainable": part, "density": 1.0}
    if keywords.get("calibration") is not None and keywords.get("encoder") != "int8":
        if by_gradient and trainable != "none":
            yield "only the head learns, the rest in int8", {"trainable": "head", "density": 1.0, "encoder": "int8"}
        else:
            yield "the frozen part in int8", {"encoder": "int8"}


def fitting(
    keywords: dict[str, Any], device: str | None, limit_ms: float, export: Callable[[dict[str, Any]], Any]
) -> tuple[Fit, Any]:
    """(what was tried, the report of the first form that fits or None).

    `export` makes a bundle from keywords and writes nothing. A form fits when a prediction of one row and a learn step
    of the recipe's rows both stay below the limit with the upper end of their range.
    """
    from edgecl import devices
    from edgecl._core import Model
    from edgecl.cli.bench_measure import session_config
    from edgecl.cli.bench_predict import predicted
    from edgecl.export.errors import ExportError

    if device is None:
        raise UsageError("expected --fit with --device; found none; name one that `edgecl devices` lists")
    try:
        profile = devices.load(device)
    except ValueError as error:
        raise UsageError(f"{error}") from error
    fit = Fit(profile.name, limit_ms, profile.range_source)
    for form, changes in choices(keywords):
        try:
            report = export({**keywords, **changes, "out": None})
        except ExportError as error:
            if not changes:
                raise
            fit.rows.append({"form": form, "note": f"cannot be: {str(error).splitlines()[0][:80]}"})
            continue
        model = Model(data=report.bundle)
        row: dict[str, Any] = {"form": form}
        for what, rows in (("predict", 1), ("learn", int(keywords["recipe"].batch_size))):
            found = predicted(model, profile, session_config(model, what, rows), what, rows, 1, 0)
            row[f"{what}_ms"] = [found["low_ms"], found["p50_ms"], found["high_ms"]]
        row["worst_ms"] = max(row["predict_ms"][2], row["learn_ms"][2])
        row["fits"] = row["worst_ms"] <= limit_ms
        fit.rows.append(row)
        if row["fits"]:
            fit.chosen = form
            return fit, report
    return fit, None
