# Contender PyTorch, a whole call: one SGD step or one prediction, eager.
# Never here: other contenders.
"""config: {"network", "batch", "threads", "what": learn|predict, "layout": eager|channels_last}."""

from __future__ import annotations

from typing import Any


def prepare(config: dict[str, Any]) -> dict[str, Any]:
    """The network in one memory layout; `eager` is PyTorch's own (contiguous) one."""
    import torch
    from edgecl.cli.bench_networks import INPUT_SHAPE, N_CLASSES, build
    from torch.nn import functional

    torch.set_num_threads(config["threads"])
    torch.set_num_interop_threads(1)
    network = build(config["network"])
    x = torch.randn(config["batch"], *INPUT_SHAPE[config["network"]])
    y = torch.randint(0, N_CLASSES, (config["batch"],))
    if config["layout"] == "channels_last":
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

    what = config["what"]
    network.train(what == "learn")
    return {"steps": {what: learn if what == "learn" else predict}, "version": torch.__version__}
