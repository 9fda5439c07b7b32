"""The process protocol of the peer benchmark: a worker prepares one configuration, then times calls when asked.

Never here: a peer (one file each) and the order of turns (peers.py).

A worker prints one JSON line {"ready": true, ...facts}; then it reads lines {"repeat": n} and answers each with
{"ms": [...], "cpu": share}.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def seconds_since_start() -> float:
    """Seconds since the kernel started this process (10 ms resolution): interpreter start and imports included."""
    ticks = int(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])
    return float(Path("/proc/uptime").read_text().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")


def peak_rss_mib() -> float:
    """Largest resident size of this process so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def serve(step: Callable[[], object], **facts: Any) -> None:
    """Runs one step, says so with `facts`, and then times steps on request until the input ends."""
    step()
    facts |= {"ready": True, "start_to_first_step_s": seconds_since_start()}
    step()
    print(json.dumps(facts | {"peak_rss_mib": peak_rss_mib()}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        times = []
        cpu, wall = time.process_time(), time.perf_counter()
        for _ in range(request["repeat"]):
            begin = time.perf_counter()
            step()
            times.append(1e3 * (time.perf_counter() - begin))
        share = (time.process_time() - cpu) / (time.perf_counter() - wall)
        print(json.dumps({"ms": times, "cpu": share, "peak_rss_mib": peak_rss_mib()}), flush=True)
