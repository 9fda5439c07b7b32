"""Peer worker: edgecl. usage: worker_edgecl.py BUNDLE BATCH THREADS learn|predict

Never here: making of bundles (networks.py) and other peers.
"""

from __future__ import annotations

import sys

import numpy as np
from edgecl._core import Model, Session
from worker import serve


def main() -> None:
    path, batch, threads, what = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    model = Model(path=path)
    info = model.describe()
    shape = tuple(info["input_dims"][: info["input_rank"]])
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, *shape), dtype=np.float32)
    y = rng.integers(0, info["n_classes"], batch).astype(np.int32)
    config = {"max_batch": batch, "replay_capacity": 0, "method": 0, "learning_rate": 1e-4}
    session = Session(model, n_threads=threads, predict_only=int(what == "predict"), **config)
    if what == "learn":
        serve(lambda: session.learn(x, y), level=info["kernel_level"])
    else:
        serve(lambda: session.logits(x), level=info["kernel_level"])


main()
