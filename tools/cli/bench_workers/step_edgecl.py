# Contender edgecl, a whole call: one learn step or one prediction of a bundle.
# Never here: making of bundles (edgecl.cli.bench_networks) and other contenders.
"""config: {"bundle", "batch", "replayed", "threads", "what": learn|predict}."""

from __future__ import annotations

from typing import Any

REPLAY_CAPACITY = 500
WARM_STEPS = 5  # enough for a buffer that holds more rows than a step replays


def prepare(config: dict[str, Any]) -> dict[str, Any]:
    """A step learns `batch` new rows and, by experience replay, `replayed` rows of the buffer; without it, none."""
    import numpy as np
    from edgecl._core import Model, Session

    batch, replayed, learns = config["batch"], config.get("replayed", 0), config["what"] == "learn"
    model = Model(path=config["bundle"])
    info = model.describe()
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, *info["input_dims"][: info["input_rank"]]), dtype=np.float32)
    y = rng.integers(0, info["n_classes"], batch).astype(np.int32)
    replay: dict[str, Any] = {"method": "finetune", "replay_capacity": 0}
    if replayed:
        replay = {"method": "er", "replay_capacity": REPLAY_CAPACITY, "replay_batch": replayed}
    session = Session(
        model, n_threads=config["threads"], predict_only=int(not learns), max_batch=batch, learning_rate=1e-4, **replay
    )
    facts = {"level": info["kernel_level"]}
    if not learns:
        return {"steps": {"predict": lambda: session.logits(x)}, **facts}
    for _ in range(WARM_STEPS + -(-replayed // batch)):
        report = session.learn(x, y)
    if report["n_replayed"] != replayed:
        raise RuntimeError(f"expected {replayed} replayed rows a step, found {report['n_replayed']}")
    macs = int(report["macs_forward"]) + int(report["macs_backward"])
    return {"steps": {"learn": lambda: session.learn(x, y)}, "macs": macs, **facts}
