# How results reach the user: one JSON document or tables on stdout, progress on stderr.
# Never here: what the results are.
"""Tables, JSON, numbers with units, progress bars."""

from __future__ import annotations

import json
import math
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from edgecl.cli import interrupts
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

_PLAIN_WIDTH = 80  # of tables that go to a file or pipe, where COLUMNS does not say otherwise

ProgressCallback = Callable[[str, int, int], None]


def console(stderr: bool = False) -> Console:
    """A console on stdout or stderr as they are now (tests replace them)."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _columns()
    return Console(file=stream, width=width, highlight=False, markup=False, soft_wrap=False)


def _columns() -> int:
    text = os.environ.get("COLUMNS", "")
    return max(int(text), 20) if text.isdigit() else _PLAIN_WIDTH


def emit(document: dict[str, Any], as_json: bool, render: Callable[[Console], None]) -> None:
    """Prints the document as JSON, or calls `render` with a console on stdout."""
    if as_json:
        print(json.dumps(plain(document), indent=2, allow_nan=False))
    else:
        render(console())


def plain(value: Any) -> Any:
    """The same of plain JSON types: numpy unpacked, NaN and infinity as null, bytes as hex."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, bytes):
        return value.hex()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str | None = None) -> Table:
    """A table; columns whose name ends in ">" are right-aligned."""
    result = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in columns:
        right = name.endswith(">")
        result.add_column(name.removesuffix(">"), justify="right" if right else "left", overflow="fold")
    for row in rows:
        result.add_row(*[str(cell) for cell in row])
    return result


def facts(pairs: Sequence[tuple[str, Any]]) -> Table:
    """Two columns: what, value."""
    result = Table(box=None, show_header=False, pad_edge=False)
    result.add_column()
    result.add_column(overflow="fold")
    for name, value in pairs:
        result.add_row(name, str(value))
    return result


def size(n_bytes: float) -> str:
    """Bytes with a binary unit: 1.5 MiB."""
    value = float(n_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def digits(value: float) -> str:
    """Three significant digits, never an exponent of large numbers: 0.118, 27.4, 1,080."""
    return f"{value:.3g}" if abs(value) < 999.5 else f"{value:,.0f}"


def span(low: float, high: float) -> str:
    """From a number to another: 608 to 1,080."""
    return f"{digits(low)} to {digits(high)}"


def count(number: float) -> str:
    """A count with a decimal unit: 1.25 G."""
    value = float(number)
    for unit in ("", " k", " M", " G", " T", " P"):
        if abs(value) < 1000 or unit == " P":
            return f"{value:.0f}" if unit == "" else f"{value:.3g}{unit}"
        value /= 1000
    return f"{value:.3g}"


def duration(seconds: float) -> str:
    """Seconds as people say them: 3 ms, 2.6 s, 2 min 05 s, 3 h 20 min."""
    if seconds < 0.9995:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def spread(values: Sequence[float], unit: str = "", digits: int = 1) -> str:
    """Mean ± sample deviation: 80.2 ± 0.6 %; the mean alone of one value."""
    text = f"{np.mean(values):,.{digits}f}"
    if len(values) > 1:
        text += f" ± {np.std(values, ddof=1):,.{digits}f}"
    return f"{text} {unit}".rstrip()


def duration_spread(values: Sequence[float]) -> str:
    """The same for seconds: 2.6 ± 0.1 s."""
    mean = float(np.mean(values))
    factor, unit = (1000.0, "ms") if mean < 1 else (1.0, "s") if mean < 600 else (1 / 60, "min")
    return spread([value * factor for value in values], unit, 0 if unit == "ms" else 1)


def count_spread(values: Sequence[float]) -> str:
    """The same for counts, with a decimal unit: 11.3 ± 0.1 G; no deviation where all are equal."""
    mean = float(np.mean(values))
    unit = count(mean).lstrip("0123456789.").strip()
    factor = 1000.0 ** " kMGTP".index(unit or " ")
    scaled = [value / factor for value in values]
    return spread(scaled[:1] if len(set(values)) == 1 else scaled, unit, 0 if not unit else 1)


def percent(share: float | None) -> str:
    """A share 0..1 as 12.3 %; empty for None."""
    return "" if share is None or math.isnan(share) else f"{100 * share:.1f} %"


def value(setting: Any) -> str:
    """A setting of a recipe: yes, no, 0.3, 1, 2, 3 or a name."""
    if isinstance(setting, bool):
        return "yes" if setting else "no"
    if isinstance(setting, list | tuple):
        return ", ".join(map(value, setting)) or "none"
    return f"{setting:.6g}" if isinstance(setting, float) else str(setting)


def log(text: str) -> None:
    """A line on stderr."""
    print(text, file=sys.stderr)


@contextmanager
def progress() -> Iterator[ProgressCallback]:
    """A progress bar on stderr, where that is a terminal; the callback takes (what, done, total)."""
    shown = console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=shown,
        transient=True,
        disable=not shown.is_terminal,
    )
    with bar:
        task = bar.add_task("", total=1)

        def update(what: str, done: int, total: int) -> None:
            interrupts.check()
            bar.update(task, description=what, completed=done, total=total)

        yield update


@contextmanager
def doing(what: str, after: float = 2.0) -> Iterator[Callable[[str], None]]:
    """A line on stderr, where that is a terminal, once `after` seconds have passed: what is being done, for how long.
    The callback changes the words."""
    shown = console(stderr=True)
    bar = Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=shown, transient=True
    )
    task = bar.add_task(what, total=None)
    starting = threading.Timer(after, bar.start)
    starting.daemon = True
    if shown.is_terminal:
        starting.start()

    def update(words: str) -> None:
        interrupts.check()
        bar.update(task, description=words)

    try:
        yield update
    finally:
        starting.cancel()
        if bar.live.is_started:
            bar.stop()
