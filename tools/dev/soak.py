"""Runs the fuzz targets in turn, counts executions, and records a clean run. Started by tools/soak.

Never here: building the targets, what a target does (tests/fuzz).
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "fuzz"
# Longest input of each target, in bytes.
TARGETS = {"bundle": 16384, "state": 16384, "api": 768, "writer": 512, "merge": 4096}
SLICE_SECONDS = 60
# A slow input is a fault too: no valid file may make a call hang.
OPTIONS = ["-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1", "-verbosity=1"]


def run_slice(target: str, seconds: int) -> int:
    """Runs one target for some seconds and returns its executions.

    Raises SystemExit with the end of the log when the target found a fault.
    """
    found = BUILD / "found" / target
    crashes = BUILD / "crashes"
    found.mkdir(parents=True, exist_ok=True)
    crashes.mkdir(parents=True, exist_ok=True)
    corpus = ROOT / "tests" / "fuzz" / "corpus" / target
    command = [
        str(BUILD / "tests" / "fuzz" / f"fuzz_{target}"),
        f"-max_total_time={seconds}",
        f"-max_len={TARGETS[target]}",
        f"-artifact_prefix={crashes}/{target}-",
        *OPTIONS,
        str(found),
        str(corpus),
    ]
    environment = os.environ | {"ASAN_OPTIONS": "quarantine_size_mb=64", "UBSAN_OPTIONS": "print_stacktrace=1"}
    done = subprocess.run(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    count = re.search(r"stat::number_of_executed_units:\s*(\d+)", done.stderr)
    if done.returncode != 0 or count is None:
        log = crashes / f"{target}.log"
        log.write_text(done.stderr)
        lines = [line for line in done.stderr.splitlines() if not re.match(r"#\d+\s", line)]
        sys.exit("\n".join([*lines[-60:], f"fuzz_{target} found a fault: input in {crashes}, log in {log}"]))
    return int(count.group(1))


def machine() -> str:
    """Model name of the CPU, or what Python knows of the machine."""
    info = Path("/proc/cpuinfo")
    match = re.search(r"model name\s*:\s*(.*)", info.read_text()) if info.exists() else None
    return match.group(1).strip() if match else platform.machine()


def git(*arguments: str) -> str:
    """Output of one git command in the tree."""
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def main() -> None:
    """Runs slices until the time or the number of executions is reached."""
    parser = argparse.ArgumentParser(prog="tools/soak fuzz", description="Runs all fuzz targets in turn.")
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument("--hours", type=float, help="until so many hours have passed (default 1)")
    amount.add_argument("--runs", type=float, help="until so many executions in all, and a tenth of each target")
    amount.add_argument("--seconds", type=int, help="so many seconds a target, once")
    parser.add_argument("--jobs", type=int, default=1, help="targets at one time")
    parser.add_argument("--record", action="store_true", help="write a clean run to tests/fuzz/soak.json")
    arguments = parser.parse_args()

    commit = git("rev-parse", "--short", "HEAD") + ("" if git("status", "--porcelain") == "" else " with changes")
    begin = time.monotonic()
    executions = dict.fromkeys(TARGETS, 0)
    seconds = dict.fromkeys(TARGETS, 0.0)

    def wanted() -> list[str]:
        passed = time.monotonic() - begin
        if arguments.seconds is not None:
            return [target for target in TARGETS if executions[target] == 0]
        if arguments.runs is None:
            return list(TARGETS) if passed < 3600 * (arguments.hours or 1) else []
        if sum(executions.values()) < arguments.runs:
            return list(TARGETS)
        return [target for target in TARGETS if executions[target] < arguments.runs / 10]

    def turn(target: str) -> None:
        started = time.monotonic()
        executions[target] += run_slice(target, arguments.seconds or SLICE_SECONDS)
        seconds[target] += time.monotonic() - started

    with ThreadPoolExecutor(arguments.jobs) as pool:
        while targets := wanted():
            list(pool.map(turn, targets))
            counts = ", ".join(f"{target} {executions[target]:,}" for target in TARGETS)
            print(f"{time.monotonic() - begin:6.0f} s: {counts}", flush=True)

    record = {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
        "commit": commit,
        "machine": machine(),
        "sanitizers": "address, undefined",
        "executions": executions | {"all": sum(executions.values())},
        "executions_per_second": {t: round(executions[t] / seconds[t]) for t in TARGETS if seconds[t] > 0},
        "faults": 0,
    }
    print(json.dumps(record, indent=2))
    if arguments.record:
        (ROOT / "tests" / "fuzz" / "soak.json").write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
