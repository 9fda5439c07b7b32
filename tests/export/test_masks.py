# Choices by constant masks, and minus infinity in what is added to scores: outputs and steps against PyTorch.
from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from around import Around, Function, check
from edgecl.export.errors import ExportError
from edgecl.export.onnx_front import from_onnx
from edgecl.export.torch_front import from_torch
from onnx import helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional as F

TRIANGLE = torch.ones(6, 6).tril()
CHOSEN = torch.arange(8 * 36).reshape(8, 6, 6) % 3 == 0


def _added(x: Tensor) -> Tensor:
    return x.add(torch.zeros(6, 6).masked_fill(TRIANGLE == 0, float("-inf"))).softmax(-1) @ x


def _filled(x: Tensor) -> Tensor:
    return (x @ x.transpose(-2, -1)).masked_fill(TRIANGLE[None, None] == 0, float("-inf")).softmax(-1) @ x


def _causal(x: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(x, 0.5 * x, x, is_causal=True)


FUNCTIONS: dict[str, Function] = {
    "added": _added,
    "filled": _filled,
    "causal": _causal,
    "constant else": lambda x: torch.where(CHOSEN, x, torch.tensor(0.5)),
    "constant first": lambda x: torch.where(CHOSEN, torch.arange(6.0), x),
    "two tensors": lambda x: torch.where(CHOSEN[:1], x.tanh(), x * x),
    "grown": lambda x: torch.where(CHOSEN, x.mean(-1, keepdim=True), torch.tensor(1.0)),
    "by values": lambda x: torch.where(x.relu() * x == 0, x, -x),
    "mask of a row": lambda x: torch.where(CHOSEN.expand(len(x), -1, -1, -1), x, -x),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_masks(name: str) -> None:
    torch.manual_seed(2)
    check(Around(FUNCTIONS[name]))


def _model(op_type: str, constant: np.ndarray) -> onnx.ModelProto:
    nodes = [
        helper.make_node(op_type, ["x", "c"], ["y"], name="here"),
        helper.make_node("Softmax", ["y"], ["s"]),
        helper.make_node("MatMul", ["s", "w"], ["z"]),
    ]
    held = [numpy_helper.from_array(constant, "c"), numpy_helper.from_array(np.eye(4, 3, dtype=np.float32), "w")]
    x, z = (helper.make_tensor_value_info(n, 1, ["N", size]) for n, size in (("x", 4), ("z", 3)))
    graph = helper.make_graph(nodes, "masked", [x], [z], held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def test_minus_infinity_in_a_file() -> None:
    report = from_onnx(_model("Add", np.array([0, -np.inf, 0.5, 0], np.float32)))
    assert report.parity is not None and report.parity.max_abs < 1e-6
    with pytest.raises(ExportError, match="1 numbers of a constant are minus infinity"):
        from_onnx(_model("Mul", np.array([0, -np.inf, 0.5, 0], np.float32)))
    with pytest.raises(ExportError, match="not finite"):
        from_onnx(_model("Add", np.array([0, np.inf, 0.5, 0], np.float32)))


def test_weights_of_minus_infinity_are_refused() -> None:
    module = nn.Linear(3, 2)
    with torch.no_grad():
        module.weight[0, 0] = -float("inf")
    with pytest.raises(ExportError, match="minus infinity"):
        from_torch(module, torch.zeros(1, 3))
