# SIGINT and SIGTERM of a command: when they are raised, and that none is lost.
# Never here: an import that takes time (start.py needs this before all others), what a command does about it.
"""`held` and `raised`: two ways to meet the signals that end a command; `check` for what was swallowed on the way."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class TerminatedError(KeyboardInterrupt):
    """SIGTERM: ends a command in the way that Ctrl-C does, so that files are closed and partial copies removed."""


_KINDS = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: TerminatedError}
_come: list[type[KeyboardInterrupt]] = []
_holding = False


def come() -> KeyboardInterrupt | None:
    """The last interrupt that came, raised or not; somebody may have swallowed it (an import that tries one package
    after the other, a destructor)."""
    return _come[-1]() if _come else None


def check() -> None:
    """Raises an interrupt that came."""
    if _come:
        raise _come[-1]


@contextmanager
def held() -> Iterator[None]:
    """Inside, signals only wait for `check` or `raised`: modules that are half loaded cannot be loaded again."""
    global _holding
    with _handlers(lambda kind: None):
        _holding = True
        try:
            yield
        finally:
            _holding = False


@contextmanager
def raised() -> Iterator[None]:
    """Inside, SIGINT raises KeyboardInterrupt and SIGTERM `TerminatedError`; one that `held` kept is raised first."""
    if not _holding:
        _come.clear()  # of an earlier command in this process

    def at_once(kind: type[KeyboardInterrupt]) -> None:
        raise kind

    with _handlers(at_once):
        check()
        yield


@contextmanager
def _handlers(act: Callable[[type[KeyboardInterrupt]], None]) -> Iterator[None]:
    def handle(number: int, frame: FrameType | None) -> None:
        kind = _KINDS[signal.Signals(number)]
        _come.append(kind)
        act(kind)

    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in _KINDS:
            # A signal that is ignored (SIGINT of what a shell starts in the background) stays ignored.
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
