# The process protocol of the benchmarks: a worker prepares one configuration, then times its cases when asked.
# Never here: a contender (one module each) and the order of turns (edgecl.cli.bench_turns).
"""Answers on stdout, one JSON line each: first {"ready": true, "cases": [...], ...facts} or {"error": why}; then, for
each line {"case": name, "repeat": n} on stdin, {"ms": [...], "cpu_ms": processor time of a call, "cpu": processor
seconds a wall second, "peak_rss_mib"}."""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

WARM_UP_BELOW_MS = 50.0  # a case that is slower warms itself up


def seconds_since_start() -> float:
    """Seconds since the kernel started this process (10 ms resolution): interpreter start and imports included."""
    ticks = int(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])
    return float(Path("/proc/uptime").read_text().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")


def peak_rss_mib() -> float:
    """Largest resident size of this process so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timer(step: Callable[[], object]) -> Callable[[int], list[float]]:
    """From a step a function of `repeat` that gives the seconds of each call."""

    def run(repeat: int) -> list[float]:
        times = []
        for _ in range(repeat):
            begin = time.perf_counter()
            step()
            times.append(time.perf_counter() - begin)
        return times

    return run


def serve(
    steps: dict[str, Callable[[], object]] | None = None,
    timers: dict[str, Callable[[int], list[float]]] | None = None,
    **facts: Any,
) -> None:
    """Runs each case once, says so with `facts`, then times cases on request until the input ends.

    steps: name -> one call to be timed. timers: name -> function that takes a number of calls and times them itself.
    """
    cases = {name: timer(step) for name, step in (steps or {}).items()} | (timers or {})
    last_ms = {}
    for name, case in cases.items():
        case(1)
        facts.setdefault("start_to_first_step_s", seconds_since_start())
        last_ms[name] = 1e3 * case(1)[0]
    print(json.dumps(facts | {"ready": True, "cases": list(cases), "peak_rss_mib": peak_rss_mib()}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        name = request["case"]
        if last_ms[name] < WARM_UP_BELOW_MS:  # others used the caches since the last turn
            cases[name](1)
        cpu, wall = time.process_time(), time.perf_counter()
        times = [1e3 * seconds for seconds in cases[name](request["repeat"])]
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        last_ms[name] = times[-1]
        answer = {"ms": times, "cpu_ms": 1e3 * cpu / len(times), "cpu": cpu / wall, "peak_rss_mib": peak_rss_mib()}
        print(json.dumps(answer), flush=True)


def main() -> None:
    """Prepares the module and configuration of the command line and serves them."""
    try:
        prepared = importlib.import_module(sys.argv[1]).prepare(json.loads(sys.argv[2]))
    except Exception as error:  # the reason is an answer: the other contenders go on
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)
        return
    serve(**prepared)


if __name__ == "__main__":
    main()
