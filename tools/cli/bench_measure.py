# Timing of a bundle's own calls on this machine.
# Never here: predictions, peers, printing.
"""Measured rows of `edgecl bench`."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from edgecl._core import replay_rows
from edgecl.files import write_file_atomic
from numpy.typing import NDArray

if TYPE_CHECKING:
    from edgecl.cli.bench_energy import EnergyMeter
    from edgecl.external import ExternalEncoder

FLOPS_PER_MAC = 2
WARM_UP = 3
MOST_SECONDS = 10.0
PROFILED_CALLS = 20
DOMAIN_ROWS = 160  # a routing model holds some of its rows out


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
    ordered = sorted(times)
    p50 = statistics.median(times)
    gflops = FLOPS_PER_MAC * macs / p50 / 1e6
    return {
        "what": what,
        "batch": batch,
        "replayed": replayed,
        "threads": threads,
        "kind": "measured",
        "p50_ms": p50,
        "p95_ms": ordered[int(0.95 * (len(times) - 1))],
        "p99_ms": ordered[int(0.99 * (len(times) - 1))],
        "low_ms": ordered[0],
        "high_ms": ordered[-1],
        "macs": macs,
        "gflops": gflops,
        "percent_of_peak": 1e11 * gflops / (peak * threads) if macs else None,
    }


def profiled(session: Any, ops: list[dict[str, Any]], call: Callable[[], object], repeat: int) -> list[dict[str, Any]]:
    """Times of operators: of each the shortest of a few calls, ms; a layer's gradients together. Parts of a call that
    are no operator are left out."""
    best: dict[tuple[int, int], tuple[float, int]] = {}
    for _ in range(max(3, min(repeat, PROFILED_CALLS))):
        found: dict[tuple[int, int], tuple[float, int]] = {}
        session.profile_start()
        call()
        for event in session.profile_stop():
            ms, macs = found.get((event["op"], event["pass"]), (0.0, 0))
            span = (event["end_us"] - event["begin_us"]) / 1e3
            found[event["op"], event["pass"]] = (ms + span, macs + int(event["macs"]))
        for key, value in found.items():
            best[key] = min(best.get(key, value), value)
    return [
        {
            "name": ops[index]["name"] + (" (backward)" if backward else ""),
            "kind": ("sparse " if ops[index]["sparse"] else "") + str(ops[index]["kind"]),
            "macs": macs, "ms": ms, "low_ms": ms, "high_ms": ms, "bound": "",
            "direction": "backward" if backward else "forward",
            "bytes": int(ops[index]["weight_bytes"]) + int(ops[index]["index_bytes"]),
        }
        for (index, backward), (ms, macs) in sorted(best.items())
        if index < len(ops)
    ]  # fmt: skip


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
    meter: EnergyMeter | None = None,
) -> dict[str, Any]:
    """Times `repeat` calls of predict, learn, route or commit; learn steps replay from a buffer that was filled before.

    `encoder`: of another engine, which runs in each call. `meter`: joules of a call where it can read them.
    """
    from edgecl._core import Session

    session = Session(model, n_threads=threads, **config)
    info = model.describe()
    if encoder is None:
        x = random_rows(model, batch)
    else:
        probe = model.encoder_probe()
        x = probe[np.arange(batch) % len(probe)]
    labels = (np.arange(batch) % max(1, int(info["n_classes"]))).astype(np.int32)

    def embedded() -> NDArray[Any]:
        return x if encoder is None else encoder.embed(x)

    calls: dict[str, Callable[[], object]] = {
        "predict": lambda: session.predict(embedded()),
        "learn": lambda: session.learn(embedded(), labels),
        "route": lambda: session.route(embedded()),
    }
    n_bytes = 0
    if what == "learn":
        session.set_learning_rate(1e-6)  # the weights stay where numbers are ordinary
        for _ in range(1 + -(-replay_rows(config) // batch)):
            calls["learn"]()
    elif what == "route":
        _one_domain(session, model, batch, encoder)
    with tempfile.TemporaryDirectory() as folder:

        def commit() -> None:
            nonlocal n_bytes
            data = session.state_export()
            n_bytes = len(data)
            write_file_atomic(Path(folder) / "state.ecs", data)

        call = commit if what == "commit" else calls[what]
        times = time_calls(call, repeat)
        joules = None if meter is None else meter.joules(call)
    more: dict[str, Any] = {"joules": joules}
    macs = replayed = 0
    if what == "learn":
        report = session.learn(embedded(), labels)
        macs, replayed = int(report["macs_forward"]) + int(report["macs_backward"]), int(report["n_replayed"])
        dense = (batch + replayed) * (int(info["macs_forward"]) + int(info["macs_backward"]))
        more |= {"macs_dense": dense, "macs_paper": int(report["macs_paper"])}
    elif what == "commit":
        more |= {"bytes": n_bytes, "without": f"to {tempfile.gettempdir()}, synchronised"}
    else:
        macs = batch * int(info["macs_forward_sparse"])
    row = row_of(what, 0 if what == "commit" else batch, replayed, threads, times, macs, peak) | more
    return row | {"operators": [] if what == "commit" else profiled(session, model.ops(), call, repeat)}


def _one_domain(session: Any, model: Any, batch: int, encoder: ExternalEncoder | None) -> None:
    """The first domain learns rows, so that there is something to route to."""
    if encoder is None:
        rows = random_rows(model, DOMAIN_ROWS)
    else:
        probe = model.encoder_probe()
        rows = encoder.embed(probe[np.arange(DOMAIN_ROWS) % len(probe)])
    labels = (np.arange(DOMAIN_ROWS) % max(2, int(model.describe()["n_classes"]))).astype(np.int32)
    for begin in range(0, DOMAIN_ROWS, batch):
        session.learn(rows[begin : begin + batch], labels[begin : begin + batch])
