# Comparisons, choices by values of the input, signs: values and gradients as PyTorch has them.
# Never here: masks that are known at export (test_masks.py).
from __future__ import annotations

import io
import warnings
from collections.abc import Callable

import numpy as np
import onnx
import pytest
import torch
from edgecl import Classifier, export
from onnx import helper, numpy_helper
from oracle import assert_learns_alike
from torch import Tensor, nn
from torch.nn import functional as F

RECIPE = export.Recipe(method="finetune", learning_rate=0.1, momentum=0.0, weight_decay=0.0, replay_capacity=0)
ROWS = np.random.default_rng(0).standard_normal((8, 5)).astype(np.float32)
LABELS = np.arange(8) % 3


class Between(nn.Module):
    """A layer, a function of [N][6], a layer."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.first, self.last = nn.Linear(5, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.last(self.function(self.first(x)))
        return y


def shares(z: Tensor) -> Tensor:
    """Of values above and below borders, as ROCKET has them, beside the values."""
    above = (z > 0).float().mean(1, keepdim=True)
    count = (z <= -0.2).sum(1, keepdim=True).to(z.dtype)
    return torch.cat([above.to(z.dtype), count, z[:, 2:]], 1)


def splines(z: Tensor) -> Tensor:
    """A basis of boxes between knots, times hats."""
    knots = torch.linspace(-1, 1, 7, dtype=z.dtype)
    inside = ((z[..., None] >= knots[:-1]) & (z[..., None] < knots[1:])).to(z.dtype)
    return (inside * (z[..., None] - knots[:-1])).sum(-1)


def logic(z: Tensor) -> Tensor:
    zero = torch.relu(z) == 0
    outside = ~(z > 0.3) ^ ((z < -0.3) | (z > 1))
    return z * outside.to(z.dtype) + zero.to(z.dtype)


FUNCTIONS = [
    lambda z: torch.where(z >= 0, z + 0.5, torch.sigmoid(z)),
    lambda z: torch.where(z > 0.1, torch.log(z), z**2),  # no number where it is not chosen
    lambda z: torch.where(z < z.mean(1, keepdim=True), torch.tensor(0.5, dtype=z.dtype), z),
    lambda z: z.masked_fill(z > 0.5, 0.25),
    lambda z: torch.softmax(z.masked_fill(z < -0.5, float("-inf")), 1),
    lambda z: torch.sign(z) * torch.sqrt(z.abs() + 1e-3),
    lambda z: F.hardshrink(z, 0.3) + F.threshold(z, 0.1, -0.2),
    lambda z: F.lp_pool1d(z.unsqueeze(1), 2, 2, 1).squeeze(1).repeat(1, 2)[:, :6],
    shares,
    splines,
    logic,
]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_computes_and_learns_as_pytorch(function: Callable[[Tensor], Tensor]) -> None:
    torch.manual_seed(0)
    module = Between(function)
    report = export.from_torch(module, torch.zeros(1, 5), recipe=RECIPE)
    assert not report.untrainable
    assert_learns_alike(report.bundle, module, ROWS, LABELS)


@pytest.mark.parametrize(
    ("op_type", "expected"),
    [
        ("Greater", [0, 0, 0, 1, 1]),
        ("Less", [1, 1, 0, 0, 0]),
        ("Equal", [0, 0, 1, 0, 0]),
        ("GreaterOrEqual", [0, 0, 1, 1, 1]),
    ],
)
def test_the_smallest_numbers_count(op_type: str, expected: list[int]) -> None:
    nodes = [
        helper.make_node(op_type, ["x", "zero"], ["truths"]),
        helper.make_node("Cast", ["truths"], ["y"], to=onnx.TensorProto.FLOAT),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", 1, ["N", 5])],
        [helper.make_tensor_value_info("y", 1, ["N", 5])],
        [numpy_helper.from_array(np.zeros(1, np.float32), "zero")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    report = export.from_onnx(model, trainable="none")
    rows = np.array([[-1e30, -1e-38, 0.0, 1.2e-38, 3e38]], np.float32)
    np.testing.assert_array_equal(Classifier(report.bundle).decision_function(rows), [expected])


def exported(module: nn.Module, **keywords: object) -> onnx.ModelProto:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        buffer = io.BytesIO()
        torch.onnx.export(module.eval(), (torch.zeros(1, *SHAPE),), buffer, dynamo=False, **keywords)
    return onnx.load_from_string(buffer.getvalue())


SHAPE = (4, 5)


def test_softplus_as_a_choice_is_one() -> None:
    """As PyTorch's newer exporter writes it, with a beta of 2."""
    nodes = [
        helper.make_node("Mul", ["x", "beta"], ["scaled"]),
        helper.make_node("Softplus", ["scaled"], ["curve"]),
        helper.make_node("Div", ["curve", "beta"], ["whole"]),
        helper.make_node("Greater", ["scaled", "border"], ["above"]),
        helper.make_node("Where", ["above", "x", "whole"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", 1, ["N", 5])],
        [helper.make_tensor_value_info("y", 1, ["N", 5])],
        [numpy_helper.from_array(np.array(value, np.float32), key) for key, value in (("beta", 2), ("border", 20))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    report = export.from_onnx(model, trainable="none")
    rows = np.array([[-20.0, -1.0, 0.5, 9.0, 400.0]], np.float32)
    expected = F.softplus(torch.from_numpy(rows), beta=2.0).numpy()
    np.testing.assert_allclose(Classifier(report.bundle).decision_function(rows), expected, rtol=1e-6)


class Stacked(nn.Module):
    """Joins and picks along an axis in front of the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.recurrent, self.last = nn.GRU(5, 6, batch_first=True), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        outputs, state = self.recurrent(x)
        y: Tensor = self.last(torch.stack([state[-1], outputs[:, 0]]).mean(0))
        return y


def test_axes_in_front_of_a_batch_that_is_fixed_at_one() -> None:
    torch.manual_seed(0)
    module = Stacked()
    report = export.from_onnx(exported(module))
    rows = np.random.default_rng(1).standard_normal((3, *SHAPE)).astype(np.float32)
    expected = module(torch.from_numpy(rows)).detach().numpy()
    np.testing.assert_allclose(Classifier(report.bundle).decision_function(rows), expected, atol=1e-5)
