# Linear layers over tokens are one weight each, which learns under its own name and may be sparse.
# Never here: where the batch lies (test_batch_axis.py), copies (test_transposes.py).
from __future__ import annotations

import io

import numpy as np
import onnx
import pytest
import torch
from edgecl import Classifier, export, open_bundle
from edgecl.export.options import ExportOptions
from edgecl.export.pipeline import prepare
from edgecl.export.torch_front import graph_of_torch
from oracle import masked, sgd_step
from torch import Tensor, nn

RECIPE = export.Recipe(method="finetune", learning_rate=0.1, momentum=0.0, weight_decay=0.0, replay_capacity=0)
ROWS = np.random.default_rng(0).standard_normal((10, 12, 6)).astype(np.float32)
LABELS = np.arange(10) % 3


class Rnn(nn.Module):
    """Layers over [N][T][F], or over its tokens alone, [N * T][F]."""

    def __init__(self, flat: bool = False, bias: bool = True) -> None:
        super().__init__()
        self.flat = flat
        self.wide, self.narrow = nn.Linear(6, 16, bias), nn.Linear(16, 8, bias)
        self.head = nn.Linear(8 * 12, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = x.reshape(-1, 6) if self.flat else x
        return self.head(self.narrow(torch.relu(self.wide(y))).reshape(-1, 96))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("flat", [True, False])
def test_one_weight_for_all_tokens(flat: bool, bias: bool) -> None:
    module = Rnn(flat, bias)
    report = export.from_torch(module, torch.zeros(1, 12, 6), recipe=RECIPE)
    assert not report.untrainable
    assert {layer.name: (layer.stored, layer.trainable) for layer in report.layers} == {
        "wide": (96, True), "narrow": (128, True), "head": (288, True)
    }  # fmt: skip
    assert {record["name"] for record in open_bundle(report.bundle).layers} >= {"wide.weight", "narrow.weight"}
    learner = Classifier(report.bundle, batch_size=10)
    twin = module.double()
    for _ in range(3):
        sgd_step(twin, torch.from_numpy(ROWS), torch.from_numpy(LABELS), 0.1)
        learner.partial_fit(ROWS, LABELS)
    expected = twin.eval()(torch.from_numpy(ROWS).double()).detach().numpy()
    np.testing.assert_allclose(learner.decision_function(ROWS), expected, atol=2e-5)


def test_sparse_weights_over_tokens() -> None:
    module = Rnn()
    report = export.from_torch(module, torch.zeros(1, 12, 6), recipe=RECIPE, density=0.25)
    assert {layer.name: layer.stored for layer in report.layers} == {"wide": 24, "narrow": 32, "head": 288}
    graph = graph_of_torch(module, torch.zeros(1, 12, 6), "rnn")
    plan = prepare(graph, ExportOptions(density=0.25, recipe=RECIPE), "test").plan
    twin = masked(module, plan)
    learner = Classifier(report.bundle, batch_size=10)
    expected = twin.eval()(torch.from_numpy(ROWS).double()).detach().numpy()
    np.testing.assert_allclose(learner.decision_function(ROWS), expected, atol=2e-5)


def test_layers_over_tokens_can_be_chosen_and_named() -> None:
    report = export.from_torch(Rnn(), torch.zeros(1, 12, 6), density=0.5, sparse_layers=["narrow"])
    assert {layer.name: layer.density for layer in report.layers} == {"wide": 1.0, "narrow": 0.5, "head": 1.0}
    report = export.from_torch(Rnn(), torch.zeros(1, 12, 6), trainable="tail:narrow")
    assert [layer.name for layer in report.layers if layer.trainable] == ["narrow", "head"]


class Classes(nn.Module):
    """Scores of each token, of which the mean is taken."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.scores = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.scores(torch.tanh(self.body(x))).mean(1)


def test_scores_of_tokens_are_a_head() -> None:
    report = export.from_torch(Classes(), torch.zeros(1, 12, 6), trainable="head", max_classes=5)
    assert [(layer.name, layer.kind, layer.trainable) for layer in report.layers] == [
        ("body", "conv", False), ("scores", "linear", True)
    ]  # fmt: skip
    kept = export.from_torch(Classes(), torch.zeros(1, 12, 6), recipe=export.Recipe(method="ridge"))
    assert kept.parity is not None


def file_of(module: nn.Module, batch: int | str) -> onnx.ModelProto:
    """As ONNX with a fixed batch, or a free one."""
    buffer = io.BytesIO()
    axes = {"x": {0: "n"}} if batch == "any" else None
    rows = batch if isinstance(batch, int) else 2
    torch.onnx.export(
        module.eval(), (torch.zeros(rows, 12, 6),), buffer, input_names=["x"], dynamic_axes=axes, dynamo=False
    )
    return onnx.load_from_string(buffer.getvalue())


@pytest.mark.parametrize("batch", [1, 2, "any"])
def test_files_keep_the_names_of_their_weights(batch: int | str) -> None:
    report = export.from_onnx(file_of(Rnn(flat=True), batch))
    assert [layer.name for layer in report.layers if layer.trainable] == ["wide", "narrow", "head"]


class ClassToken(nn.Module):
    """A token that learns in front of the others, positions that learn, and scores of that token."""

    def __init__(self, expand: bool, behind: bool = False) -> None:
        super().__init__()
        self.expand, self.behind = expand, behind
        self.token, self.positions = nn.Parameter(torch.randn(1, 1, 6)), nn.Parameter(torch.randn(1, 13, 6))
        self.mix, self.head = nn.Linear(13, 13), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        token = self.token.expand(x.shape[0], -1, -1) if self.expand else self.token.repeat(x.shape[0], 1, 1)
        x = torch.cat([x, token] if self.behind else [token, x], 1) + self.positions
        x = x + torch.tanh(self.mix(x.transpose(1, 2))).transpose(1, 2)
        return self.head(x[:, -1 if self.behind else 0])


@pytest.mark.parametrize("expand", [True, False])
@pytest.mark.parametrize("behind", [True, False])
def test_class_tokens_and_positions_learn(expand: bool, behind: bool) -> None:
    module = ClassToken(expand, behind)
    report = export.from_torch(module, torch.zeros(1, 12, 6), recipe=RECIPE)
    assert not report.untrainable
    learner = Classifier(report.bundle, batch_size=10)
    twin = module.double()
    for _ in range(3):
        sgd_step(twin, torch.from_numpy(ROWS), torch.from_numpy(LABELS), 0.1)
        learner.partial_fit(ROWS, LABELS)
    expected = twin.eval()(torch.from_numpy(ROWS).double()).detach().numpy()
    np.testing.assert_allclose(learner.decision_function(ROWS), expected, atol=2e-5)


@pytest.mark.parametrize("batch", [1, 2, "any"])
def test_class_tokens_of_files_are_constants(batch: int | str) -> None:
    report = export.from_onnx(file_of(ClassToken(True), batch))
    assert all(layer.trainable for layer in report.layers) and len(report.layers) == 2


class Maps(nn.Module):
    """Layers over [H][W][F] and over four axes."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(2, 5), nn.Linear(5, 4, bias=False), nn.Linear(24, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.tanh(self.first(x.reshape(-1, 3, 4, 3, 2)))
        return self.head(self.second(y).amax((1, 3)).reshape(-1, 16)[:, :12].repeat(1, 2))


def test_more_axes() -> None:
    report = export.from_torch(Maps(), torch.zeros(1, 12, 6))
    assert not report.untrainable
    assert {layer.name: layer.stored for layer in report.layers} == {"first": 10, "second": 20, "head": 72}
