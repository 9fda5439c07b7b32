# Predicted rows of `edgecl bench`: predict, learn, route and commit on a device that is not here.
# Never here: the cost model (edgecl.devices), measuring, printing.
"""`predicted`."""

from __future__ import annotations

from typing import Any

HASH_CYCLES = 15.0  # of a byte of SHA-256 without instructions for it, assumed; a state is hashed and copied once
WITHOUT = {
    "route": "the encoder's pass; scores of the domains are not in it",
    "commit": "hash and copy; the medium's time is not in it",
}


def predicted(
    model: Any, device: Any, config: dict[str, Any], what: str, batch: int, threads: int, state_bytes: int
) -> dict[str, Any]:
    """One predicted row; `config` is the session's."""
    from edgecl._core import replay_rows
    from edgecl.devices import forward_operators, learn_operators, predict

    row: dict[str, Any] = {"what": what, "batch": batch, "replayed": 0, "threads": threads, "kind": "predicted"}
    if what in WITHOUT:
        row["without"] = WITHOUT[what]
    if what == "commit":
        seconds = state_bytes * HASH_CYCLES / device.clock_hz + 2 * state_bytes / device.bandwidth_bytes_per_s
        ms, low, high, macs, operators = 1e3 * seconds, device.range_low, device.range_high, 0, []
        row |= {"batch": 0, "bytes": state_bytes}
    else:
        replayed = replay_rows(config) if what == "learn" else 0
        if what == "learn":
            listed = learn_operators(model.ops(), batch + replayed, momentum=config["momentum"] > 0)
        else:
            listed = forward_operators(model.ops(), batch)
        result = predict(listed, device, threads)
        ms, low, high, macs = result.ms, device.range_low, device.range_high, result.macs
        operators = [vars(op) for op in result.operators]
        row["replayed"] = replayed
    gflops = 2 * macs / ms / 1e6 if ms else 0.0
    return row | {
        "p50_ms": ms, "p95_ms": None, "p99_ms": None, "low_ms": ms * low, "high_ms": ms * high, "macs": macs,
        "gflops": gflops, "percent_of_peak": 1e11 * gflops / (device.peak_flops(1) * threads) if macs else None,
        "joules": None, "operators": operators,
    }  # fmt: skip
