# Tensors whose batch is not the first axis, or shares it: the bundle computes what the source does, for any batch size.
# Never here: recurrent layers, linear layers over tokens (test_tokens.py).
from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import onnx
import pytest
import torch
from edgecl import export
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

FIXED = {"dynamo": False, "opset_version": 17}


class Body(nn.Module):
    """A function between two layers that learn; samples [T][F]."""

    def __init__(self, body: Callable[[Tensor], Tensor], width: int) -> None:
        super().__init__()
        self.body, self.last = body, nn.Linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.body(x))


class TokenNorm(nn.Module):
    """Batch normalisation of [N * T][F]."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.last = nn.BatchNorm1d(4), nn.Linear(24, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.norm(x.flatten(0, 1)).reshape_as(x).flatten(1))


def time_first(x: Tensor) -> Tensor:
    y = torch.relu(x.transpose(0, 1)) * 2 + torch.linspace(-1, 1, 4)
    return y[-1] + y.mean(0) + y[1:3].amax(0)


def flattened_tokens(x: Tensor) -> Tensor:
    y = torch.softmax(x.reshape(-1, 4), 1) + x.flatten(0, 1)
    return y.reshape(x.shape[0], 6, 4).sum(1)


def windows(x: Tensor) -> Tensor:
    n, t, f = x.shape
    y = x.reshape(n, 2, t // 2, f).flatten(0, 1)
    y = torch.tanh(y - y.mean(1, keepdim=True)) * torch.arange(3.0)[:, None]
    return y.reshape(n, 2, t // 2, f).transpose(1, 2).flatten(1)


def heads_in_front(x: Tensor) -> Tensor:
    n, t, f = x.shape
    y = x.reshape(n, t, 2, f // 2).permute(2, 0, 1, 3).reshape(2 * n, t, f // 2)
    y = torch.cat([y, y.exp()], 1)[:, ::2]
    return y.reshape(2, n, t, f // 2).permute(1, 2, 0, 3).flatten(1)


def batch_last(x: Tensor) -> Tensor:
    y = x.permute(1, 2, 0).reshape(6, 2, 2, -1).unsqueeze(1).squeeze(1)
    return y.abs().reshape(24, -1).t()


def split_tokens(x: Tensor) -> Tensor:
    first, second = x.transpose(0, 1).split([2, 4], 0)
    return torch.cat([second, first], 0).permute(1, 0, 2).flatten(1)


BODIES = {
    time_first: 4, flattened_tokens: 4, windows: 24, heads_in_front: 24, batch_last: 24, split_tokens: 24
}  # fmt: skip


def onnx_of(module: nn.Module, rows: int, free: bool) -> onnx.ModelProto:
    buffer = io.BytesIO()
    axes = {"x": {0: "n"}} if free else None
    torch.onnx.export(module.eval(), (torch.randn(rows, 6, 4),), buffer, input_names=["x"], dynamic_axes=axes, **FIXED)
    return onnx.load_from_string(buffer.getvalue())


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
def test_a_module(body: Callable[[Tensor], Tensor]) -> None:
    report = export.from_torch(Body(body, BODIES[body]), torch.zeros(1, 6, 4))
    assert report.parity is not None and report.parity.max_abs <= 2e-5 * report.parity.reference_abs


@pytest.mark.parametrize(("rows", "free"), [(1, False), (3, False), (2, True)], ids=["one", "three", "any"])
@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
def test_a_file(body: Callable[[Tensor], Tensor], rows: int, free: bool) -> None:
    report = export.from_onnx(onnx_of(Body(body, BODIES[body]), rows, free))
    assert report.parity is not None and report.parity.max_abs <= 2e-5 * report.parity.reference_abs


def test_batch_norm_of_tokens_counts_all_of_them() -> None:
    module = TokenNorm()
    recipe = export.Recipe(method="finetune", learning_rate=0.1, momentum=0.0, weight_decay=0.0, replay_capacity=0)
    report = export.from_torch(module, torch.zeros(1, 6, 4), recipe=recipe)
    from edgecl import Classifier

    x, y = np.random.default_rng(0).standard_normal((8, 6, 4)).astype(np.float32), np.arange(8) % 3
    learner = Classifier(report.bundle, batch_size=8)
    optimiser = torch.optim.SGD(module.parameters(), 0.1)
    module.train()
    for _ in range(3):
        optimiser.zero_grad()
        nn.functional.cross_entropy(module(torch.from_numpy(x)), torch.from_numpy(y)).backward()
        optimiser.step()
        learner.partial_fit(x, y)
    expected = module.eval()(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(learner.decision_function(x), expected, atol=2e-5)


def small_file(nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray], batch: int | str) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes, "small", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 6, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["a", "b"])],
        [numpy_helper.from_array(value, key) for key, value in constants.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("batch", ["n", 4])
@pytest.mark.parametrize(("shape", "found"), [([-1, 16], "mixes or drops"), ([-1, 4], "batch is not the first")])
def test_rows_that_are_mixed_are_refused(batch: int | str, shape: list[int], found: str) -> None:
    nodes = [helper.make_node("Reshape", ["x", "shape"], ["y"])]
    with pytest.raises(export.ExportError, match=found):
        export.from_onnx(small_file(nodes, {"shape": np.array(shape)}, batch), trainable="none")


def test_a_softmax_over_the_batch_is_refused() -> None:
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        helper.make_node("Softmax", ["t"], ["y"], axis=1),
    ]
    with pytest.raises(export.ExportError, match="along the axis that holds the batch"):
        export.from_onnx(small_file(nodes, {}, "n"), trainable="none")


def test_shapes_computed_at_run_time_fold() -> None:
    """x to [N * 2][12] by Shape, Gather, Mul and Concat."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "first"], ["n"], axis=0),
        helper.make_node("Mul", ["n", "two"], ["rows"]),
        helper.make_node("Concat", ["rows", "rest"], ["wide"], axis=0),
        helper.make_node("Reshape", ["x", "wide"], ["folded"]),
        helper.make_node("Relu", ["folded"], ["r"]),
        helper.make_node("Shape", ["r"], ["again"]),
        helper.make_node("Gather", ["again", "second"], ["width"], axis=0),
        helper.make_node("Concat", ["n", "two", "width"], ["back"], axis=0),
        helper.make_node("Reshape", ["r", "back"], ["three"]),
        helper.make_node("ReduceMean", ["three"], ["y"], axes=[1], keepdims=0),
    ]
    constants = {key: np.array([value]) for key, value in (("first", 0), ("two", 2), ("rest", -1), ("second", 1))}
    for batch in ("n", 1, 4):
        report = export.from_onnx(small_file(nodes, constants, batch), trainable="none")
        assert report.parity is not None


@pytest.mark.parametrize(("apart", "rows"), [(0.0, 1), (1e-7, 1), (1e-4, 2)])
def test_rows_of_a_computed_constant_may_differ_by_rounding(apart: float, rows: int) -> None:
    """A matrix product gives equal rows other last bits (positions that a layer projects)."""
    from edgecl.export.context import Constant, Context
    from edgecl.export.graph import Graph

    context = Context(Graph("g", "x", (3,)), 2, "y", 17, lambda name, role: False)
    values = np.ones((2, 3), np.float32)
    values[1] += np.float32(apart)
    assert context.one_for_all(Constant("c", values), 2).values.shape[0] == rows
    given = context.one_for_all(Constant("c", values, "c", (2, 3)), 2)  # numbers of the source are what they are
    assert given.values.shape[0] == (1 if apart == 0 else 2)
