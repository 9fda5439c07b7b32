# What an export is doing right now, for whoever shows it.
# Never here: showing it (the command line).
"""`stage` is called by the steps of an export, `watched` by a program that wants to hear of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_watcher: ContextVar[Callable[[str], None] | None] = ContextVar("watcher", default=None)


def stage(what: str) -> None:
    """The step that begins now, in words."""
    watcher = _watcher.get()
    if watcher is not None:
        watcher(what)


@contextmanager
def watched(watcher: Callable[[str], None]) -> Iterator[None]:
    """`watcher` hears of each step while this lasts, in the thread that exports."""
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)
