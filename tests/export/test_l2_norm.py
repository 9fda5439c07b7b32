# L2 normalisation as PyTorch and ONNX write it: one operator, the same outputs and gradients, and what is refused.
# Never here: ONNX's own cases of LpNormalization (test_onnx_node_cases.py).
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from edgecl.export.errors import ExportError
from edgecl.export.onnx_front import graph_of_onnx
from edgecl.export.options import ExportOptions
from edgecl.export.pipeline import prepare
from edgecl.export.torch_front import from_torch, graph_of_torch
from onnx import helper, numpy_helper
from oracle import largest_difference, sgd_step
from plan_interpreter import PlanInterpreter
from torch import Tensor, nn
from torch.nn import functional

SMALLEST = float(np.finfo(np.float32).tiny)
Function = Callable[[Tensor], Tensor]


class Normalised(nn.Module):
    """A convolution, the function under test on its maps, and a cosine classifier on the vectors behind."""

    def __init__(self, function: Function, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.function = function
        self.stem: nn.Module = nn.Linear(shape[0], 20) if len(shape) == 1 else nn.Conv2d(shape[0], 20, 3)
        size = 20 if len(shape) == 1 else 20 * (shape[1] - 2) * (shape[2] - 2)
        self.head = nn.Linear(size, 4, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.function(self.stem(x)).flatten(1))


FUNCTIONS: dict[str, tuple[Function, float]] = {
    "normalize": (lambda x: functional.normalize(x, dim=1), 1e-12),
    "with epsilon": (lambda x: functional.normalize(x, dim=1, eps=0.75), 0.75),
    "norm": (lambda x: x / x.norm(dim=1, keepdim=True), SMALLEST),
    "vector norm": (lambda x: x / torch.linalg.vector_norm(x, dim=1, keepdim=True), SMALLEST),
    "clamped": (lambda x: x / x.norm(dim=1, keepdim=True).clamp(min=1e-6), 1e-6),
    "expanded": (lambda x: x / x.norm(dim=1, keepdim=True).expand_as(x), SMALLEST),
    "maximum": (lambda x: x / torch.maximum(x.norm(dim=1, keepdim=True), torch.tensor(1e-3)), 1e-3),
    "flat": (lambda x: functional.normalize(x.flatten(1), dim=1), 1e-12),
}


def plan_of(module: nn.Module, shape: tuple[int, ...]) -> dict[str, Any]:
    return prepare(graph_of_torch(module, torch.zeros(1, *shape), "test"), ExportOptions(), "test").plan


def check_step(module: nn.Module, plan: dict[str, Any], shape: tuple[int, ...]) -> None:
    """Outputs, and the weights after one step, against PyTorch in double."""
    generator = torch.Generator().manual_seed(3)
    rows, labels = torch.randn(8, *shape, generator=generator), torch.randint(0, 4, (8,), generator=generator)
    reference, interpreter = module.double(), PlanInterpreter(plan)
    with torch.no_grad():
        expected = reference(rows.double())
    assert torch.allclose(interpreter.forward(rows, learn=False), expected, rtol=1e-6, atol=1e-6)
    gradient = sgd_step(reference, rows, labels, 0.1)
    interpreter.forward(rows, learn=True)
    interpreter.backward(gradient)
    interpreter.step(0.1, len(rows))
    worst, names = largest_difference(interpreter.parameters(), plan, reference)
    assert worst < 1e-6 and "stem.weight" in names


@pytest.mark.parametrize("shape", [(7,), (2, 6, 5)], ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_torch_function_is_one_operator(name: str, shape: tuple[int, ...]) -> None:
    torch.manual_seed(5)
    function, epsilon = FUNCTIONS[name]
    module = Normalised(function, shape)
    plan = plan_of(module, shape)
    assert [op["kind"] for op in plan["ops"] if op["kind"] != "reshape"] in (
        ["linear", "l2_normalize", "linear"],
        ["conv", "l2_normalize", "linear"],
    )
    (norm,) = (op for op in plan["ops"] if op["kind"] == "l2_normalize")
    assert norm["epsilon"] == float(np.float32(epsilon))
    check_step(module, plan, shape)


@pytest.mark.parametrize("dim", [2, 3, -1, (2, 3), (1, 2)], ids=str)
def test_other_axes(dim: Any) -> None:
    torch.manual_seed(6)
    shape = (2, 6, 5)
    module = Normalised(lambda x: functional.normalize(x, dim=dim), shape)
    plan = plan_of(module, shape)
    assert "l2_normalize" in [op["kind"] for op in plan["ops"]]
    check_step(module, plan, shape)


@pytest.mark.parametrize("shape", [(7,), (2, 6, 5)], ids=str)
def test_device(shape: tuple[int, ...]) -> None:
    pytest.importorskip("edgecl._core")
    torch.manual_seed(7)
    report = from_torch(Normalised(lambda x: functional.normalize(x, dim=1), shape), torch.zeros(1, *shape))
    assert report.parity.max_abs < 1e-5


PIECES: list[Function] = [
    lambda x: functional.normalize(x, p=1.0, dim=1),
    lambda x: functional.normalize(x, dim=(1, 3)),
    lambda x: x / x.norm(dim=1, keepdim=True).clamp(min=1e-6, max=2.0),
    lambda x: x / x.norm(dim=1, keepdim=True).clamp(min=3.0),
    lambda x: x / (x.norm(dim=1, keepdim=True) + 1e-6),
    lambda x: x * x.norm(dim=1, keepdim=True),
    lambda x: (x + 1.0) / x.norm(dim=1, keepdim=True),
    lambda x: x / x.norm(dim=1).unsqueeze(1),
    lambda x: x + x.norm(dim=2, keepdim=True).expand_as(x),
]


@pytest.mark.parametrize("function", PIECES)
def test_other_norms_are_computed_piece_by_piece(function: Function) -> None:
    torch.manual_seed(8)
    shape = (2, 6, 5)
    module = Normalised(function, shape)
    plan = plan_of(module, shape)
    kinds = [op["kind"] for op in plan["ops"]]
    assert "reduce" in kinds and "l2_normalize" not in kinds
    check_step(module, plan, shape)


def test_norm_over_the_batch_is_refused() -> None:
    shape = (2, 6, 5)
    with pytest.raises(ExportError) as caught:
        plan_of(Normalised(lambda x: functional.normalize(x, dim=0), shape), shape)
    assert "batch axis" in str(caught.value)


def lp_model(opset: int = 22, **attributes: int) -> onnx.ModelProto:
    nodes = [
        helper.make_node("LpNormalization", ["x"], ["n"], **attributes),
        helper.make_node("MatMul", ["n", "w"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", 1, ["N", 6])],
        [helper.make_tensor_value_info("y", 1, ["N", 2])],
        [numpy_helper.from_array(np.ones((6, 2), np.float32), "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


@pytest.mark.parametrize("axis", [1, -1])
def test_lp_normalization(axis: int) -> None:
    graph, options, _ = graph_of_onnx(lp_model(axis=axis), ExportOptions(), "lp")
    plan = prepare(graph, options, "test").plan
    assert [(op["kind"], op["epsilon"]) for op in plan["ops"]] == [("l2_normalize", SMALLEST), ("linear", 0.0)]
    rows = torch.zeros(2, 6)
    rows[0, 3] = -4.0
    assert PlanInterpreter(plan).forward(rows, learn=False).tolist() == [[-1.0, -1.0], [0.0, 0.0]]


@pytest.mark.parametrize(
    ("attributes", "words"),
    [({"p": 3}, "found p = 3; replace it, or leave this part out"), ({"axis": 0}, "a norm over the batch axis")],
)
def test_lp_normalization_is_refused(attributes: dict[str, int], words: str) -> None:
    with pytest.raises(ExportError) as caught:
        graph_of_onnx(lp_model(**attributes), ExportOptions(), "lp")
    assert words in str(caught.value)
