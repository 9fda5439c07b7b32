# Contender PyTorch, one layer, dense: forward, gradient of the input, gradient of the weight, in each memory layout.
# Never here: other contenders.
"""config: a layer (edgecl.cli.bench_layers.Layer as a dict) and {"batch", "threads"}."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any


def prepare(config: dict[str, Any]) -> dict[str, Any]:
    """Cases "LAYOUT PASS". Gradients are those that autograd calls, without its bookkeeping."""
    import torch

    torch.set_num_threads(config["threads"])
    torch.set_num_interop_threads(1)
    torch.manual_seed(0)
    torch.set_grad_enabled(False)
    batch, n_in, n_out = config["batch"], config["in_channels"], config["out_channels"]
    steps: dict[str, Callable[[], object]] = {}
    if config["size"] is None:
        x, dy, weight = torch.randn(batch, n_in), torch.randn(batch, n_out), torch.randn(n_out, n_in)
        transposed = dy.t()
        steps["contiguous forward"] = partial(torch.nn.functional.linear, x, weight)
        steps["contiguous dX"] = partial(torch.mm, dy, weight)
        steps["contiguous dW"] = partial(torch.mm, transposed, x)
        return {"steps": steps, "version": torch.__version__}
    kernel, stride = config["kernel"], [config["stride"]] * 2
    padding, unit = [kernel // 2] * 2, [1, 1]
    for layout, memory in (("contiguous", torch.contiguous_format), ("channels_last", torch.channels_last)):
        x = torch.randn(batch, n_in, *config["size"]).contiguous(memory_format=memory)
        weight = torch.randn(n_out, n_in, kernel, kernel).contiguous(memory_format=memory)
        forward = partial(torch.nn.functional.conv2d, x, weight, None, stride, padding)
        dy = torch.randn_like(forward()).contiguous(memory_format=memory)
        backward = partial(
            torch.ops.aten.convolution_backward, dy, x, weight, None, stride, padding, unit, False, [0, 0], 1
        )
        steps[f"{layout} forward"] = forward
        steps[f"{layout} dX"] = partial(backward, [True, False, False])
        steps[f"{layout} dW"] = partial(backward, [False, True, False])
    return {"steps": steps, "version": torch.__version__}
