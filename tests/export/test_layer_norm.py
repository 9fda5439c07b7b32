# Layer normalisation as PyTorch and its exporters write it, whole and in pieces: outputs and three training steps of
# the plan and of the device against PyTorch, the operator that it becomes, what is refused.
# Never here: the kernels (tests/kernels), ONNX's own cases (test_onnx_node_cases.py).
from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from around import Around, check, plan_of
from edgecl.export.errors import ExportError
from edgecl.export.onnx_front import graph_of_onnx
from edgecl.export.options import ExportOptions
from edgecl.export.pipeline import prepare
from onnx import helper, numpy_helper
from plan_interpreter import PlanInterpreter
from torch import Tensor, nn
from torch.nn import functional


class Affine(nn.Module):
    """gamma and beta of random numbers, along the last axis or the channels."""

    def __init__(self, size: int, beta: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(size) + 0.5)
        self.bias = nn.Parameter(torch.rand(size) - 0.5) if beta else None


class Channels(Affine):
    """As vision models write it for maps: over the channels of each position."""

    def forward(self, x: Tensor) -> Tensor:
        turned = functional.layer_norm(x.permute(0, 2, 3, 1), (x.shape[1],), self.weight, self.bias, 1e-6)
        return turned.permute(0, 3, 1, 2)


class ChannelsInPieces(Affine):
    def forward(self, x: Tensor) -> Tensor:
        centre = x.mean(1, keepdim=True)
        variance = (x - centre).pow(2).mean(1, keepdim=True)
        y = (x - centre) / torch.sqrt(variance + 1e-6)
        return self.weight[:, None, None] * y + self.bias[:, None, None]  # type: ignore[index]


class Rms(Affine):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * self.weight


class RmsOfSquares(Affine):
    def forward(self, x: Tensor) -> Tensor:
        return self.weight * (x / (x * x).mean(-1, keepdim=True).add(1e-5).sqrt())


class GroupsInPieces(Affine):
    def forward(self, x: Tensor) -> Tensor:
        y = x.reshape(x.shape[0], 2, -1)
        d = y - y.mean(2, keepdim=True)
        y = d * (d.square().mean(2, keepdim=True) + 1e-5) ** -0.5
        return y.reshape(x.shape) * self.weight[:, None, None] + self.bias[:, None, None]  # type: ignore[index]


def randomised(norm: nn.Module) -> nn.Module:
    with torch.no_grad():
        for parameter in norm.parameters():
            parameter += torch.rand(parameter.shape) - 0.5
    return norm


class Tokens(nn.Module):
    """Maps as 36 tokens of 8 numbers."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.flatten(2).transpose(1, 2))


class Vector(nn.Module):
    """Means of the channels."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.mean((2, 3)))


def norms() -> dict[str, nn.Module]:
    torch.manual_seed(11)
    return {
        "vector": Vector(randomised(nn.LayerNorm(8))),
        "vector, no beta": Vector(randomised(nn.LayerNorm(8, bias=False))),
        "vector, no affine": Vector(nn.LayerNorm(8, elementwise_affine=False)),
        "tokens": Tokens(randomised(nn.LayerNorm(8, eps=1e-6))),
        "whole map": randomised(nn.LayerNorm([8, 6, 6])),
        "columns": randomised(nn.LayerNorm(6)),
        "channels": Channels(8),
        "channels in pieces": ChannelsInPieces(8),
        "rms": Tokens(Rms(8, beta=False)),
        "rms of squares": Tokens(RmsOfSquares(8, beta=False)),
        "rms of torch": Tokens(randomised(nn.RMSNorm(8, eps=1e-5))),
    }


@pytest.mark.parametrize("name", norms())
def test_three_steps(name: str) -> None:
    module = Around(norms()[name])
    (norm,) = (op for op in plan_of(module)["ops"] if op["kind"] in ("layer_norm", "group_norm"))
    assert norm["kind"] == "layer_norm" and norm["i"][0] == ("rms" in name)
    check(module, steps=3)


def test_groups_in_pieces() -> None:
    torch.manual_seed(12)
    module = Around(GroupsInPieces(8))
    kinds = [op["kind"] for op in plan_of(module)["ops"]]
    assert kinds == ["conv", "group_norm", "reshape", "linear"]
    check(module, steps=3)


@pytest.mark.parametrize("opset", [9, 11, 13, 16, 17, 18])
@pytest.mark.parametrize("name", ["tokens", "channels", "channels in pieces", "rms", "groups"])
def test_operator_sets(name: str, opset: int) -> None:
    """Files of PyTorch's older exporter, before there was an operator for it and after."""
    inner = randomised(nn.GroupNorm(2, 8)) if name == "groups" else norms()[name]
    module = Around(inner).eval()
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (torch.zeros(1, 2, 8, 8),), file, opset_version=opset, dynamo=False)
    graph, options, _ = graph_of_onnx(onnx.load_from_string(file.getvalue()), ExportOptions(), name)
    plan = prepare(graph, options, "test").plan
    wanted = "group_norm" if name == "groups" else "layer_norm"
    assert [op["kind"] for op in plan["ops"] if op["kind"] in ("reduce", "group_norm", "layer_norm")] == [wanted]
    trained = sorted(record["values"].size for record in plan["params"] if record["trainable"])
    assert trained == sorted(parameter.numel() for parameter in module.parameters())
    rows = torch.randn(3, 2, 8, 8, generator=torch.Generator().manual_seed(1))
    found = PlanInterpreter(plan).forward(rows, learn=False)
    with torch.no_grad():
        assert torch.allclose(found, module.double()(rows.double()), rtol=1e-6, atol=1e-6)


def plan_of_nodes(nodes: list[onnx.NodeProto], constants: dict[str, Any], shape: tuple[int, ...]) -> dict[str, Any]:
    graph = helper.make_graph(
        nodes, "norm", [helper.make_tensor_value_info("x", 1, shape)],
        [helper.make_tensor_value_info("y", 1, ["N", *["a", "b", "c"][: len(shape) - 1]])],
        [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    found, options, _ = graph_of_onnx(model, ExportOptions(trainable="none"), "norm")
    return prepare(found, options, "test").plan


def pieces(change: dict[str, Any]) -> tuple[list[onnx.NodeProto], dict[str, Any]]:
    node = helper.make_node
    nodes = [
        node("ReduceMean", ["x", "axes"], ["mean"]),
        node("Sub", ["x", "mean"], ["d"]),
        node("Pow", ["d", "two"], ["squares"]),
        node("ReduceMean", ["squares", "other axes"], ["variance"]),
        node("Add", ["epsilon", "variance"], ["above"]),
        node("Sqrt", ["above"], ["root"]),
        node("Div", ["d", "root"], ["n"]),
        node("Mul", ["gamma", "n"], ["scaled"]),
        node("Add", ["scaled", "beta"], ["y"]),
    ]
    ramp = np.arange(1, 6, dtype=np.float32)
    constants = {
        "axes": np.array([-1]), "other axes": np.array([2]), "two": np.float32(2), "epsilon": np.float32(1e-3),
        "gamma": ramp, "beta": -ramp, **change,
    }  # fmt: skip
    return nodes, constants


@pytest.mark.parametrize(
    ("change", "without_mean"),
    [
        ({}, [0]),
        ({"other axes": np.array([1])}, [1]),  # the differences have a norm of their own
        ({"two": np.float32(3)}, []),
        ({"epsilon": np.float32(2)}, []),
        ({"epsilon": np.full(4, 1e-3, np.float32)[:, None]}, []),
    ],
)
def test_what_is_one_and_what_is_not(change: dict[str, Any], without_mean: list[int]) -> None:
    nodes, constants = pieces({"other axes": np.array([-1]), **change})
    plan = plan_of_nodes(nodes, constants, (2, 4, 5))
    assert [op["i"][0] for op in plan["ops"] if op["kind"] == "layer_norm"] == without_mean
    x = torch.randn(2, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2)).abs()
    d = x - x.mean(-1, keepdim=True)
    axis = int(constants["other axes"][0])
    variance = (d ** float(constants["two"])).mean(axis, keepdim=True)
    wanted = d / (torch.tensor(constants["epsilon"]) + variance).sqrt()
    wanted = wanted * torch.tensor(constants["gamma"]) + torch.tensor(constants["beta"])
    result = PlanInterpreter(plan).forward(x, learn=False)
    same = torch.isfinite(wanted.flatten(1))
    assert torch.allclose(result[same], wanted.flatten(1)[same], rtol=1e-5, atol=1e-5)


def test_gamma_of_positions_stays_a_product() -> None:
    """What varies along other axes is no gamma."""
    nodes, constants = pieces({"other axes": np.array([-1]), "gamma": np.ones((4, 1), np.float32) * 2})
    kinds = [op["kind"] for op in plan_of_nodes(nodes, constants, (2, 4, 5))["ops"] if op["kind"] != "reshape"]
    assert "mul" in kinds


def test_a_piece_that_is_read_elsewhere() -> None:
    nodes, constants = pieces({"other axes": np.array([-1])})
    nodes[-1].output[0] = "norm"
    nodes.append(helper.make_node("Add", ["norm", "root"], ["y"]))
    plan = plan_of_nodes(nodes, constants, (2, 4, 5))
    assert "layer_norm" in [op["kind"] for op in plan["ops"]]
    x = torch.randn(2, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    d = x - x.mean(-1, keepdim=True)
    root = (d.square().mean(-1, keepdim=True) + 1e-3).sqrt()
    wanted = d / root * torch.tensor(constants["gamma"]) + torch.tensor(constants["beta"]) + root
    assert torch.allclose(PlanInterpreter(plan).forward(x, learn=False), wanted.flatten(1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("attributes", "gamma", "words"),
    [
        ({"axis": 0}, (2, 4, 5), "over the batch axis"),
        ({"epsilon": 0.0}, (5,), "expected epsilon in (0, 1]"),
        ({"epsilon": 2.0}, (5,), "expected epsilon in (0, 1]"),
        ({}, (4,), "expected gamma of (5,)"),
    ],
)
def test_refused(attributes: dict[str, Any], gamma: tuple[int, ...], words: str) -> None:
    node = helper.make_node("LayerNormalization", ["x", "gamma"], ["y"], **attributes)
    with pytest.raises(ExportError) as caught:
        plan_of_nodes([node], {"gamma": np.full(gamma, 2.0, np.float32)}, (2, 4, 5))
    assert words in str(caught.value)
