"""Peer worker: PyTorch. usage: worker_torch.py NETWORK BATCH THREADS learn|predict eager|channels_last

Never here: other peers.
"""

from __future__ import annotations

import sys

import torch
from networks import INPUT_SHAPE, N_CLASSES, build
from torch.nn import functional
from worker import serve


def main() -> None:
    name, batch, threads, what, layout = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5]
    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    network = build(name)
    x = torch.randn(batch, *INPUT_SHAPE[name])
    y = torch.randint(0, N_CLASSES, (batch,))
    if layout == "channels_last":
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        x = x.contiguous(memory_format=torch.channels_last)

    def predict() -> torch.Tensor:
        with torch.inference_mode():
            out: torch.Tensor = network(x)
            return out

    optimizer = torch.optim.SGD(network.parameters(), lr=1e-4)

    def learn() -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(network(x), y)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return loss.item()

    network.train(what == "learn")
    serve(learn if what == "learn" else predict, version=torch.__version__)


main()
