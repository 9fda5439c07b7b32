# Timing of a bundle's own calls on this machine.
# Never here: predictions, peers, printing.
"""Measured rows of `edgecl bench`."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from edgecl._core import replay_rows
from numpy.typing import NDArray

if TYPE_CHECKING:
    from edgecl.external import ExternalEncoder

FLOPS_PER_MAC = 2
WARM_UP = 3
MOST_SECONDS = 10.0


def session_config(model: Any, what: str, batch: int) -> dict[str, Any]:
    """The recipe's configuration for calls of `batch` rows; predict needs no memory for learning."""
    config: dict[str, Any] = model.default_config()
    config.pop("n_threads", None)
    config |= {"max_batch": batch, "add_unseen_labels": 1}
    if what == "predict":
        config |= {"predict_only": 1}
    return config


def random_rows(model: Any, n: int) -> NDArray[Any]:
    """Seeded raw samples of the bundle's shape and type."""
    info = model.describe()
    shape = tuple(info["input_dims"][: info["input_rank"]])
    rng = np.random.default_rng(0)
    if info["input_dtype"] in (1, "u8"):
        return rng.integers(0, 256, (n, *shape), dtype=np.uint8)
    return rng.standard_normal((n, *shape), dtype=np.float32)


def time_calls(call: Callable[[], object], repeat: int) -> list[float]:
    """Milliseconds of each of `repeat` calls after a warm-up; fewer when they would take more than ten seconds."""
    for _ in range(WARM_UP):
        call()
    times: list[float] = []
    end = time.perf_counter() + MOST_SECONDS
    while len(times) < repeat and (len(times) < 3 or time.perf_counter() < end):
        begin = time.perf_counter()
        call()
        times.append(1e3 * (time.perf_counter() - begin))
    return times


def row_of(
    what: str, batch: int, replayed: int, threads: int, times: list[float], macs: int, peak: float
) -> dict[str, Any]:
    """A measured row. `macs`: multiply-adds of one call; `peak`: operations a second of one core."""
    p50 = statistics.median(times)
    gflops = FLOPS_PER_MAC * macs / p50 / 1e6
    return {
        "what": what,
        "batch": batch,
        "replayed": replayed,
        "threads": threads,
        "kind": "measured",
        "p50_ms": p50,
        "p95_ms": sorted(times)[int(0.95 * (len(times) - 1))],
        "low_ms": min(times),
        "high_ms": max(times),
        "macs": macs,
        "gflops": gflops,
        "percent_of_peak": 1e11 * gflops / (peak * threads),
    }


def encoder_at(bundle: Path, threads: int) -> ExternalEncoder | None:
    """The encoder of a bundle that another engine runs; None without one."""
    from edgecl.bundle import Bundle
    from edgecl.external import ExternalEncoder

    opened = Bundle(bundle)
    return None if opened.encoder is None else ExternalEncoder(opened, threads)


def measured(
    model: Any,
    config: dict[str, Any],
    what: str,
    batch: int,
    threads: int,
    repeat: int,
    peak: float,
    encoder: ExternalEncoder | None = None,
) -> dict[str, Any]:
    """Times `repeat` calls of predict or learn; learn steps replay from a buffer that was filled before. `encoder`: of
    another engine, which runs in each call."""
    from edgecl._core import Session

    session = Session(model, n_threads=threads, **config)
    info = model.describe()
    if encoder is None:
        x = random_rows(model, batch)
    else:
        probe = model.encoder_probe()
        x = probe[np.arange(batch) % len(probe)]

    def embedded() -> NDArray[Any]:
        return x if encoder is None else encoder.embed(x)

    if what == "predict":
        times = time_calls(lambda: session.predict(embedded()), repeat)
        return row_of(what, batch, 0, threads, times, batch * int(info["macs_forward_sparse"]), peak)
    session.set_learning_rate(1e-6)  # the weights stay where numbers are ordinary
    classes = max(1, int(info["n_classes"]))
    labels = (np.arange(batch) % classes).astype(np.int32)
    report = session.learn(embedded(), labels)
    for _ in range(-(-replay_rows(config) // batch)):
        report = session.learn(embedded(), labels)
    times = time_calls(lambda: session.learn(embedded(), labels), repeat)
    report = session.learn(embedded(), labels)
    macs = int(report["macs_forward"]) + int(report["macs_backward"])
    row = row_of(what, batch, int(report["n_replayed"]), threads, times, macs, peak)
    dense = (batch + row["replayed"]) * (int(info["macs_forward"]) + int(info["macs_backward"]))
    return row | {"macs_dense": dense, "macs_paper": int(report["macs_paper"])}
