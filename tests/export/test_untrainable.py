# What cannot be exported or trained is reported all at once, by name, with a way out.
# Never here: models that can.
from __future__ import annotations

import io
import warnings

import numpy as np
import onnx
import pytest
import torch
from edgecl.export.errors import ExportError
from edgecl.export.onnx_front import from_onnx, graph_of_onnx
from edgecl.export.options import ExportOptions
from edgecl.export.pipeline import prepare
from edgecl.export.torch_front import from_torch, graph_of_torch
from onnx import helper, numpy_helper
from torch import Tensor, nn


class ThreeFaults(nn.Module):
    """A sine, a cumulative sum and an operator that ONNX has no form of, with layers between and behind."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3)
        self.second = nn.Conv2d(4, 4, 3)
        self.fc = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.sin(self.first(x))
        x = torch.floor(torch.relu(self.second(x)))
        x = torch.special.bessel_j0(x)
        return self.fc(x.flatten(1))


def test_all_nodes_are_named_at_once() -> None:
    with pytest.raises(ExportError) as caught:
        graph_of_torch(ThreeFaults(), torch.zeros(1, 1, 6, 6), "faults")
    kinds = [blocker.op_type for blocker in caught.value.blockers]
    assert kinds == ["Sin", "Floor", "special_bessel_j0"]
    text = str(caught.value)
    assert all(blocker.node in text and blocker.reason in text for blocker in caught.value.blockers)
    assert "/fc/Gemm" in caught.value.proposal
    assert caught.value.proposal in text


class TiedWeights(nn.Module):
    """A layer on the product with its own weight, then a head."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Linear(8, 8, bias=False)
        self.fc = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.relu(self.shared(x)) @ self.shared.weight)


def test_shared_weights_block_all_but_not_the_head(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the size that each row of a batch may hold."""
    monkeypatch.setattr("edgecl.export.ops.learned.MOST_TIED", 63)
    example = torch.zeros(1, 8)
    with pytest.raises(ExportError) as caught:
        prepare(graph_of_torch(TiedWeights(), example, "tied"), ExportOptions(), "test")
    assert [blocker.node for blocker in caught.value.blockers] == ["shared.weight"]
    assert "tail:fc" in caught.value.proposal
    for choice in ("head", "tail:fc", ["fc"]):
        prepared = prepare(graph_of_torch(TiedWeights(), example, "tied"), ExportOptions(trainable=choice), "test")
        assert [record["name"] for record in prepared.plan["params"] if record["trainable"]] == ["fc.weight", "fc.bias"]
        assert [blocker.node for blocker in prepared.untrainable] == ["shared.weight"]


def test_bias_alone() -> None:
    with pytest.raises(ExportError, match=r"fc\.bias.*fc\.weight"):
        prepare(graph_of_torch(TiedWeights(), torch.zeros(1, 8), "tied"), ExportOptions(trainable=["fc.bias"]), "test")


def test_nodes_of_another_domain_and_types() -> None:
    nodes = [
        helper.make_node("Mystery", ["x"], ["a"], name="m1", domain="somebody"),
        helper.make_node("Relu", ["a"], ["b"], name="r"),
        helper.make_node("Softmax", ["x"], ["c"], name="inner", axis=0),
        helper.make_node("Add", ["b", "c"], ["d"], name="sum"),
        helper.make_node("TopK", ["d", "k"], ["e", "f"], name="best"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", 1, ["N", 6])],
        [helper.make_tensor_value_info("e", 1, ["N", 2])],
        [numpy_helper.from_array(np.array([2], np.int64), "k")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("somebody", 1)])
    with pytest.raises(ExportError) as caught:
        graph_of_onnx(model, ExportOptions(), "g")
    assert [(blocker.node, blocker.op_type) for blocker in caught.value.blockers] == [
        ("m1", "Mystery"),
        ("inner", "Softmax"),
        ("best", "TopK"),
    ]


class ManyFaults(torch.nn.Module):
    """Forty nodes of two operators without a form on the device."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(20):
            x = torch.floor(x)
            x = torch.special.bessel_j0(x)
        return x


def test_blockers_of_one_operator_are_one_line() -> None:
    with pytest.raises(ExportError) as caught:
        graph_of_torch(ManyFaults(), torch.zeros(1, 6), "faults")
    assert len(caught.value.blockers) == 40
    lines = str(caught.value).splitlines()
    assert len(lines) == 4  # the head, two operators, a proposal
    assert "Floor, 20 nodes (" in lines[1] and ", ...): " in lines[1]


def test_the_weight_of_a_transposed_convolution_is_named() -> None:
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ConvTranspose2d(4, 5, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(845, 3)
    )
    prepared = prepare(graph_of_torch(module, torch.zeros(1, 3, 8, 8), "t"), ExportOptions(trainable="all"), "test")
    told = [str(blocker) for blocker in prepared.untrainable]
    assert any("transposed convolution" in line and "Upsample" in line for line in told), told


def test_the_bias_of_a_computed_weight_is_fixed_too() -> None:
    """A weight of two parameters by an operator that the device lacks, with a bias: the rest learns."""

    class Mixed(nn.Conv2d):
        def __init__(self, *sizes: int) -> None:
            super().__init__(*sizes)
            self.scale = nn.Parameter(torch.rand(self.weight.shape))

        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.conv2d(x, self.weight * torch.sin(self.scale), self.bias)

    module = nn.Sequential(Mixed(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    prepared = prepare(graph_of_torch(module, torch.zeros(1, 3, 8, 8), "t"), ExportOptions(trainable="all"), "test")
    assert [record["name"] for record in prepared.plan["params"] if record["trainable"]] == ["3.weight", "3.bias"]
    assert any(blocker.node == "0.bias" and "which is fixed" in str(blocker) for blocker in prepared.untrainable)


def test_parameters_that_an_exporter_merged() -> None:
    """PyTorch's ONNX exporter makes one parameter of equal ones: of the biases of a fresh encoder."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    module = nn.Sequential(nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Flatten(), nn.Linear(24, 4))
    module.eval()
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        axes = {"x": {0: "n"}}
        torch.onnx.export(module, (torch.randn(2, 3, 8),), buffer, dynamo=False, input_names=["x"], dynamic_axes=axes)
    model = onnx.load_from_string(buffer.getvalue())
    report = from_onnx(model)
    assert not report.untrainable
    assert any("numbers are all alike" in note and "out_proj.bias" in note for note in report.notes)
    for choice in ("head", "tail:2", ["2"]):
        assert from_onnx(model, trainable=choice).parity is not None
    assert not from_torch(module, torch.zeros(1, 3, 8)).untrainable


@pytest.mark.parametrize("choice", [["lyaers.17"], "tail:lyaers.17"])
def test_a_mistaken_name_gets_those_that_it_may_mean(choice: str | list[str]) -> None:
    """Not all of a large model, and one of those that are told is right."""
    module = nn.Sequential()
    module.layers = nn.Sequential(*(nn.Linear(4, 4) for _ in range(30)))
    with pytest.raises(ExportError, match=r"lyaers\.17") as caught:
        from_torch(module, torch.zeros(1, 4), trainable=choice)
    told = str(caught.value).split("of the model: ")[1]
    assert told.count("layers.") == 12 and told.endswith((" and 48 more", " and 18 more"))
    assert told.startswith("layers.17")
    right = told.split(",")[0].removesuffix(".bias").removesuffix(".weight")
    from_torch(module, torch.zeros(1, 4), trainable=[right] if isinstance(choice, list) else f"tail:{right}")
