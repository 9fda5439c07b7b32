# Slices, joins, reductions, softmax and activations as PyTorch writes them: outputs and gradients of the plan and of
# the device against PyTorch, which operators they become, and what is refused.
# Never here: ONNX's own cases of each operator (test_onnx_node_cases.py).
from __future__ import annotations

import numpy as np
import pytest
import torch
from around import Around, Function, check, plan_of
from edgecl.export.errors import ExportError
from edgecl.export.onnx_front import graph_of_onnx
from edgecl.export.options import ExportOptions
from edgecl.export.pipeline import prepare
from edgecl.export.torch_front import graph_of_torch
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from plan_interpreter import PlanInterpreter
from torch import Tensor, nn
from torch.nn import functional


def shuffle(x: Tensor) -> Tensor:
    return x.reshape(-1, 2, 4, 6, 6).transpose(1, 2).reshape(-1, 8, 6, 6)


def halves(x: Tensor) -> Tensor:
    a, b = x.chunk(2, 1)
    return a * torch.sigmoid(b)


def windows(x: Tensor) -> Tensor:
    return x.reshape(-1, 8, 2, 3, 2, 3).permute(0, 2, 4, 3, 5, 1)


def chomp(x: Tensor) -> Tensor:
    return functional.conv1d(functional.pad(x.flatten(2), (4, 0)), torch.ones(8, 1, 5, dtype=x.dtype), groups=8)[
        :, :, :-3
    ]


def attention(x: Tensor) -> Tensor:
    return x * torch.softmax(x.mean(1, keepdim=True).flatten(2), 2).reshape(-1, 1, 6, 6)


def zeros_around_channels(x: Tensor) -> Tensor:  # option A of residual networks
    return functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2))


_WEIGHTS = torch.randn(8, 3, 3, 3, generator=torch.Generator().manual_seed(2)) * 0.2


def transposed(x: Tensor) -> Tensor:
    return functional.conv_transpose2d(x, _WEIGHTS.to(x), torch.ones(3).to(x), stride=2, padding=1, output_padding=1)


# Name: function, kinds of operators that must be among those of the plan.
FUNCTIONS: dict[str, tuple[Function | nn.Module, set[str]]] = {
    "slice": (lambda x: x[:, 1:7:2, :, 2:5], {"strided"}),
    "flip": (lambda x: torch.flip(x, (2, 3)), {"strided"}),
    "split": (lambda x: torch.cat(x.split([3, 5], 1)[::-1], 1), {"strided", "concat"}),
    "chunk": (halves, {"strided"}),
    "gather": (lambda x: x[:, [0, 2, 4, 6]], {"strided"}),
    "irregular gather": (lambda x: x[:, [7, 0, 3, 3, 1]], {"strided", "concat"}),
    "many irregular": (lambda x: x[:, :, ([5, 0, 2, 2, 3] * 3 + [1]) * 9], {"strided", "conv"}),
    "differences": (lambda x: x.flatten(1)[:, torch.arange(9)[:, None] - torch.arange(9) + 8], {"strided"}),
    "element": (lambda x: x[:, :, 2], {"strided"}),
    "expand": (lambda x: x.amax(1, keepdim=True).expand(-1, 3, -1, -1), {"strided", "reduce"}),
    "repeat": (lambda x: x.repeat(1, 2, 1, 3), {"strided"}),
    "transpose": (lambda x: x.transpose(1, 3), {"strided"}),
    "shuffle": (shuffle, {"strided"}),
    "windows": (windows, {"strided"}),
    "unfold": (lambda x: x.unfold(2, 3, 1), {"strided"}),
    "pixel shuffle": (nn.PixelShuffle(2), {"strided"}),
    "pixel unshuffle": (nn.PixelUnshuffle(2), {"strided"}),
    "upsample": (nn.Upsample(scale_factor=2), {"strided"}),
    "bilinear": (nn.Upsample(scale_factor=2, mode="bilinear"), {"conv"}),
    "bilinear corners": (lambda x: functional.interpolate(x, (9, 4), mode="bilinear", align_corners=True), {"conv"}),
    "chomp": (chomp, {"strided"}),
    "pad with a number": (lambda x: functional.pad(x, (1, 0, 2, 1), value=0.5), {"place"}),
    "reflect": (nn.ReflectionPad2d((2, 1, 0, 3)), {"strided", "place"}),
    "replicate": (nn.ReplicationPad2d(2), {"strided", "place"}),
    "transposed convolution": (transposed, {"conv", "strided"}),
    "transposed in groups": (
        lambda x: functional.conv_transpose2d(x, _WEIGHTS.to(x), stride=(1, 3), dilation=(2, 1), groups=2),
        {"conv", "strided"},
    ),
    "transposed line": (
        lambda x: functional.conv_transpose1d(x.flatten(2), _WEIGHTS[:, :, 0].to(x), stride=2),
        {"conv", "strided"},
    ),
    "local response": (nn.LocalResponseNorm(5, alpha=0.5), {"average_pool", "mul"}),
    "generalised mean": (lambda x: x.clamp(min=1e-2).pow(2.5).mean((2, 3)).pow(0.4), {"activation"}),
    "adaptive mean": (nn.AdaptiveAvgPool2d((4, 5)), {"conv"}),
    "adaptive mean of equal windows": (nn.AdaptiveAvgPool2d((3, 2)), {"average_pool"}),
    "adaptive mean that keeps an axis": (nn.AdaptiveAvgPool2d((None, 4)), {"conv"}),
    "adaptive maximum": (nn.AdaptiveMaxPool2d((4, 2)), {"reduce"}),
    "adaptive volume": (lambda x: nn.AdaptiveAvgPool3d((3, 4, 2))(x.reshape(-1, 2, 4, 6, 6)), {"conv"}),
    "antialiasing": (lambda x: functional.interpolate(x, (3, 4), mode="bilinear", antialias=True), {"conv"}),
    "antialiasing by factors": (
        lambda x: functional.interpolate(x, scale_factor=(0.7, 1.5), mode="bicubic", antialias=True),
        {"conv"},
    ),
    "tile": (lambda x: x.tile((2, 1, 3)), {"strided"}),
    "adaptive line": (lambda x: functional.adaptive_avg_pool1d(x.flatten(2), 7), {"conv"}),
    "pad channels": (zeros_around_channels, {"strided", "place"}),
    "concat of columns": (lambda x: torch.cat([x, x[..., :2] * 2.0, torch.tanh(x)], 3), {"place"}),
    "maximum": (lambda x: torch.maximum(x, x.mean(1, keepdim=True)), {"maximum"}),
    "minimum": (lambda x: torch.minimum(x, torch.flip(x, (3,))), {"minimum"}),
    "bounds": (lambda x: torch.maximum(x, torch.tensor(-0.2)).clamp(max=0.3), {"activation"}),
    "bounds a place": (lambda x: torch.maximum(x, torch.linspace(-1, 1, 6)[:, None]), {"maximum"}),
    "square": (lambda x: x * x, {"activation"}),
    "constant that enlarges": (lambda x: x.mean(2, keepdim=True) + torch.arange(6.0)[:, None] * 0.1, {"strided"}),
    "difference": (lambda x: x - x.mean((2, 3), keepdim=True), {"add"}),
    "quotient": (lambda x: x / (1.0 + x.abs()), {"mul"}),
    "square root": (lambda x: (x**2 + 0.1) ** 0.5, {"activation"}),
    "root mean square": (lambda x: x * torch.rsqrt(x.pow(2).mean(1, keepdim=True) + 1e-3), {"layer_norm"}),
    "sum": (lambda x: x.sum((1, 3)), {"strided", "reduce"}),
    "largest": (lambda x: x.amax((2, 3)), {"reduce"}),
    "smallest": (lambda x: x.amin(2), {"reduce"}),
    "norm": (lambda x: x.norm(dim=1), {"reduce"}),
    "norm times": (lambda x: x * x.norm(dim=(2, 3), keepdim=True), {"reduce"}),
    "log sum exp": (lambda x: torch.logsumexp(x, 2), {"reduce"}),
    "softmax": (lambda x: torch.softmax(x, 3), {"softmax"}),
    "softmax of channels": (lambda x: torch.softmax(x, 1), {"softmax", "strided"}),
    "log softmax": (lambda x: torch.log_softmax(x, 2), {"softmax", "strided"}),
    "attention": (attention, {"softmax"}),
    "prelu": (nn.PReLU(8), {"prelu"}),
    "prelu of one": (nn.PReLU(), {"mul"}),
}
ACTIVATIONS: dict[str, nn.Module] = {
    "tanh": nn.Tanh(), "gelu": nn.GELU(), "elu": nn.ELU(0.7), "celu": nn.CELU(0.5),
    "leaky_relu": nn.LeakyReLU(0.1), "softplus": nn.Softplus(), "mish": nn.Mish(), "silu": nn.SiLU(),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function(name: str) -> None:
    torch.manual_seed(5)
    function, kinds = FUNCTIONS[name]
    module = Around(function)
    assert kinds <= {op["kind"] for op in plan_of(module)["ops"]}
    check(module)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_is_one_operator(name: str) -> None:
    torch.manual_seed(6)
    module = Around(ACTIVATIONS[name])
    kinds = [(op["kind"], op["activation"]) for op in plan_of(module)["ops"] if op["kind"] != "reshape"]
    assert kinds == [("conv", "none"), ("activation", name), ("linear", "none")]
    check(module)


def test_large_transpose_costs_nothing_in_front_of_a_maximum() -> None:
    """The copying convolutions of earlier versions had a limit, and a view copies."""
    module = nn.Sequential(nn.Conv2d(1, 64, 1), nn.Flatten(2))

    class Large(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.maps, self.head = module, nn.Linear(64, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.maps(x).transpose(1, 2).reshape(-1, 4096, 64).amax(1))

    graph = graph_of_torch(Large(), torch.zeros(1, 1, 64, 64), "large")
    plan = prepare(graph, ExportOptions(trainable="head"), "test").plan
    assert [op["kind"] for op in plan["ops"]] == ["conv", "reshape", "reduce", "linear"]


def test_views_of_one_order_cost_nothing() -> None:
    module = Around(lambda x: x[:, 0:8].reshape(-1, 4, 2, 6, 6)[:, :, :, :, 0:6])
    assert "strided" not in [op["kind"] for op in plan_of(module)["ops"]]


@pytest.mark.parametrize("shared", [1, 2])
def test_gather_nd_with_shared_axes(shared: int) -> None:
    data = np.random.default_rng(4).normal(size=(3, 4, 5, 6)).astype(np.float32)
    picks = np.array([[1, 2], [0, -1], [2, 2]], np.int64)
    indices = np.broadcast_to(picks, (*data.shape[:shared], *picks.shape)) % data.shape[shared]
    indices = np.ascontiguousarray(indices) - 2 * (np.arange(2) == 1)  # some count from the end
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("GatherND", ["x", "i"], ["y"], batch_dims=shared)],
            "gather",
            [helper.make_tensor_value_info("x", 1, data.shape)],
            [helper.make_tensor_value_info("y", 1, ["N", "a", "b"])],
            [numpy_helper.from_array(indices, "i")],
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
    )
    expected = ReferenceEvaluator(model).run(None, {"x": data})[0]
    graph, options, _ = graph_of_onnx(model, ExportOptions(trainable="none"), "gather")
    found = PlanInterpreter(prepare(graph, options, "test").plan).forward(torch.from_numpy(data), learn=False)
    np.testing.assert_array_equal(found.numpy().astype(np.float32), np.asarray(expected).reshape(3, -1))


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: x.flatten(1)[:, torch.randperm(288).tolist() * 110], "irregular indices"),
        (lambda x: x.sum(0, keepdim=True).expand(x.shape[0], -1, -1, -1), "batch axis"),
        (lambda x: torch.softmax(x, 0), "batch axis"),
        (lambda x: x**7.0, "one exponent, among"),
    ],
)  # fmt: skip
def test_refused(function: Function, words: str) -> None:
    torch.manual_seed(1)
    with pytest.raises(ExportError) as caught:
        plan_of(Around(function))
    assert words in str(caught.value)
