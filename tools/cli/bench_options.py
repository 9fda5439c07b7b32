# What the options of `edgecl bench` say: numbers, words and times out of text, the settings of a suite.
# Never here: the options themselves (bench.py).
"""Options of the command `bench`."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edgecl.cli.bench_suite import SUITES, Settings
from edgecl.cli.failure import UsageError
from edgecl.errors import ArgumentError

if TYPE_CHECKING:
    from edgecl.devices import Device


def numbers(text: str, what: str) -> list[int]:
    """The numbers of an option, each at least 1."""
    try:
        values = [int(part) for part in text.split(",")]
    except ValueError:
        values = []
    if not values or min(values) < 1:
        raise UsageError(f"expected --{what} as numbers of at least 1 with commas; found '{text}'; write 1,10,32")
    return values


def words(text: str, allowed: tuple[str, ...], what: str) -> list[str]:
    """The words of an option, each one of `allowed`."""
    found = [part.strip() for part in text.split(",") if part.strip()]
    if not found or not set(found) <= set(allowed):
        raise UsageError(f"expected --{what} among {','.join(allowed)}; found '{text}'; check the spelling")
    return found


def milliseconds(text: str, option: str = "--budget") -> float:
    """A time above 0 with its unit, in ms."""
    for unit, factor in (("us", 1e-3), ("ms", 1.0), ("s", 1e3)):
        if text.endswith(unit):
            try:
                value = float(text.removesuffix(unit)) * factor
            except ValueError:
                break
            if 0 < value < math.inf:
                return value
            break
    raise UsageError(f"expected {option} as a time above 0 with a unit; found '{text}'; write 20ms or 1.5s")


@contextmanager
def option_names() -> Iterator[None]:
    """Inside, errors of the library name the options and not its parameters."""
    try:
        yield
    except ArgumentError as error:
        text = str(error).replace("max_batch", "--batch").replace("n_threads", "--threads")
        raise UsageError(text) from error


def tell_of_cores(device: Device, thread_counts: Sequence[int]) -> None:
    """Warns of more threads than the board has cores."""
    if (most := max(thread_counts)) > device.cores:
        warnings.warn(
            f"expected --threads of at most {device.cores}, the cores of {device.name}; found {most}; a prediction "
            f"counts {device.cores}, and measured threads share them",
            stacklevel=2,
        )


def shares(text: str) -> tuple[float, ...]:
    """Shares of zeros, each in [0, 1)."""
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if not values or not all(0 <= value < 1 for value in values):
        raise UsageError(f"expected --sparsity as shares of zeros from 0 to below 1; found '{text}'; write 0.8,0.9")
    return values


def refuse_options(options: Mapping[str, tuple[object, object]], with_suite: bool) -> None:
    """Raises UsageError for options that mean nothing with, or without, --suite: name -> (value, default)."""
    given = ", ".join(name for name, (value, default) in options.items() if value != default)
    if given and with_suite:
        raise UsageError(f"expected --suite without what belongs to a bundle; found {given}; leave one of them out")
    if given:
        raise UsageError(f"expected {given} only with --suite; found no --suite; add it or leave that out")


def refuse_alone(options: Mapping[str, tuple[object, object]], beside: str) -> None:
    """Raises UsageError for options that mean nothing beside another one: name -> (value, default)."""
    given = ", ".join(name for name, (value, default) in options.items() if value != default)
    if given:
        raise UsageError(f"expected {beside} without {given}; found both; leave one of them out")


def suite_settings(
    suite: str,
    against: str | None,
    layer: str | None,
    batch: str | None,
    threads: str,
    sparsity: str | None,
    rounds: int,
    seconds: float,
    ort_python: str | None,
) -> Settings:
    """The settings of `bench --suite`; what only one suite can judge (layers, batches) stays text."""
    if suite not in SUITES:
        raise UsageError(f"expected --suite {' or '.join(SUITES)}; found '{suite}'; run one at a time")
    if not 0 < seconds < math.inf:
        raise UsageError(f"expected --seconds above 0; found {seconds:g}; write 0.5")

    def parts(text: str | None) -> tuple[str, ...] | None:
        return None if text is None else tuple(part.strip() for part in text.split(","))

    return Settings(
        against=tuple(dict.fromkeys(words(against, SUITES[suite], "against"))) if against is not None else (),
        layers=parts(layer),
        batches=parts(batch),
        threads=tuple(numbers(threads, "threads")),
        sparsities=None if sparsity is None else shares(sparsity),
        rounds=rounds,
        seconds=seconds,
        ort_python=ort_python,
    )
