# Contenders as processes that take turns, so that a busy moment of the machine hits all of them alike.
# Never here: what a contender does (bench_workers) and what its figures mean.
"""Interleaved timing of worker processes."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WORKERS = Path(__file__).resolve().parent / "bench_workers"
FEWEST, MOST = 1, 2000  # calls in one turn
LONGEST_REASON = 200


class WorkerFailed(RuntimeError):
    """A worker could not prepare its case, or ended."""


class Worker:
    """One contender's process; it starts at once, `wait` says whether it is ready."""

    def __init__(self, module: str, config: Mapping[str, Any], threads: int, python: str | None = None) -> None:
        self.messages = tempfile.TemporaryFile("w+")  # noqa: SIM115  a pipe that nobody reads would fill up
        self.process = subprocess.Popen(
            [python or sys.executable, str(WORKERS / "worker.py"), module, json.dumps(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.messages,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": str(threads)},
        )

    def wait(self) -> dict[str, Any]:
        """The facts that the worker says when its cases are ready. Raises WorkerFailed with its reason."""
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout
        while line := self.process.stdout.readline():
            if line.startswith("{"):
                answer: dict[str, Any] = json.loads(line)
                if "error" in answer:
                    raise WorkerFailed(" ".join(str(answer["error"]).split())[:LONGEST_REASON])
                return answer
        self.messages.seek(0)
        last = (self.messages.read().strip().splitlines() or ["it ended without a word"])[-1]
        raise WorkerFailed(last[:LONGEST_REASON])

    def time(self, case: str, repeat: int) -> dict[str, Any]:
        """Times `repeat` calls: {"ms": [...], "cpu_ms", "cpu", "peak_rss_mib"} (bench_workers/worker.py)."""
        assert self.process.stdin
        try:
            self.process.stdin.write(json.dumps({"case": case, "repeat": repeat}) + "\n")
            self.process.stdin.flush()
        except OSError as error:
            raise WorkerFailed(f"the process ended: {error}") from error
        return self._answer()

    def close(self) -> None:
        """Ends the process by closing its input; after half a minute by force."""
        assert self.process.stdin and self.process.stdout
        with contextlib.suppress(OSError):  # the process is gone already
            self.process.stdin.close()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.messages.close()


@dataclass
class Timing:
    """One contender's turns.

    Attributes:
        rounds: median of each turn's calls, ms of wall time.
        cpu_ms: mean processor time of each turn's calls, all threads together, ms.
        cpu: processor seconds a wall second of each turn; well below the thread count, the machine was busy.
        peak_rss_mib: of the process, so far.
    """

    rounds: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak_rss_mib: float = 0.0

    @property
    def quietest(self) -> float:
        """The fastest turn's median, ms: other work on the machine only ever adds."""
        return min(self.rounds)

    @property
    def median(self) -> float:
        """The median of all turns, ms."""
        return statistics.median(self.rounds)


@dataclass
class Team:
    """Running workers by name, what each said when ready, and why others did not start."""

    workers: dict[str, Worker] = field(default_factory=dict)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


@contextlib.contextmanager
def team(starts: Mapping[str, Callable[[], Worker]]) -> Iterator[Team]:
    """Starts all workers at once, waits for each, and ends them with the block."""
    result = Team()
    started: dict[str, Worker] = {}
    try:
        for name, start in starts.items():
            try:
                started[name] = start()
            except OSError as error:
                result.failed[name] = str(error)
        for name, worker in started.items():
            try:
                result.facts[name] = worker.wait()
                result.workers[name] = worker
            except WorkerFailed as error:
                result.failed[name] = str(error)
        yield result
    finally:
        for worker in started.values():
            worker.close()


def take_turns(
    crew: Team,
    turns: Mapping[str, tuple[str, str]],
    rounds: int,
    seconds: float,
    tick: Callable[[], None] = lambda: None,
) -> dict[str, Timing]:
    """Times all of `turns` in each round, one after the other.

    turns: contender -> (worker, case); those whose worker is not in the crew are left out.
    seconds: of one contender in all rounds together; a turn has at least one call.
    A contender that fails on the way is left out, its reason is put into crew.failed.
    """
    timings = {label: Timing() for label, (worker, _) in turns.items() if worker in crew.workers}
    repeats: dict[str, int] = {}
    for index in range(-1, rounds):  # the turn before the first finds out how many calls a turn has
        for label in list(timings):
            worker, case = turns[label]
            try:
                answer = crew.workers[worker].time(case, repeats.get(label, 1))
            except WorkerFailed as error:
                crew.failed[worker] = str(error)
                del timings[label]
                continue
            ms = statistics.median(answer["ms"])
            if index < 0:
                repeats[label] = max(FEWEST, min(MOST, int(1e3 * seconds / rounds / max(ms, 1e-6))))
                continue
            timing = timings[label]
            timing.rounds.append(ms)
            timing.cpu_ms.append(answer["cpu_ms"])
            timing.cpu.append(answer["cpu"])
            timing.peak_rss_mib = answer["peak_rss_mib"]
        if index >= 0:
            tick()
    return timings
