# A fresh last layer that learns by gradients, on encoders of all forms; which layer is the classifier.
# Never here: heads that keep statistics (test_new_head.py).
"""`new_head`, `logits`, trainable='head', one logit."""

from __future__ import annotations

from typing import Any

import edgecl
import numpy as np
import pytest
import torch
from edgecl import export
from edgecl.export.errors import ExportError
from torch import nn

torch.manual_seed(0)


def _encoder() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Hardswish())


ENCODERS: dict[str, nn.Module] = {
    "map": _encoder(),
    "pooled": nn.Sequential(*_encoder(), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    "classifier": nn.Sequential(*_encoder(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)),
    "convolution": nn.Sequential(*_encoder(), nn.Conv2d(8, 3, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    "squeeze": nn.Sequential(*_encoder(), nn.Conv2d(8, 3, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
}


@pytest.mark.parametrize("trainable", ["head", "all"])
@pytest.mark.parametrize("form", ENCODERS)
def test_a_new_head_learns_on_any_encoder(form: str, trainable: str) -> None:
    report = export.from_torch(
        ENCODERS[form].eval(), torch.zeros(1, 3, 8, 8), new_head=4, trainable=trainable,
        recipe=export.Recipe(method="finetune", learning_rate=0.2),
    )  # fmt: skip
    learns = [layer.name for layer in report.layers if layer.trainable]
    assert learns[-1] == "head" and (len(learns) == 1) == (trainable == "head")
    assert report.layers[-1].dims == (4, 8)
    assert any("new head of 4 columns" in note for note in report.notes)
    assert report.parity is not None and report.parity.max_abs <= report.parity.tolerance
    rng = np.random.default_rng(0)
    y = np.arange(80) % 4
    x = rng.standard_normal((80, 3, 8, 8)).astype(np.float32) + y[:, None, None, None].astype(np.float32)
    learner = edgecl.Classifier(report.bundle, epochs=30, batch_size=10).fit(x, y)
    assert learner.score(x, y) > 0.7


def test_a_new_head_on_an_onnx_file(tmp_path: Any) -> None:
    path = tmp_path / "net.onnx"
    torch.onnx.export(ENCODERS["classifier"].eval(), (torch.zeros(2, 3, 8, 8),), path, dynamo=False)
    report = export.from_onnx(path, new_head=6)
    assert report.layers[-1].dims == (6, 8)
    assert any("of 3 outputs, is left out" in note for note in report.notes)


@pytest.mark.parametrize("columns", [0, 1, 1 << 20])
def test_columns_out_of_range(columns: int) -> None:
    with pytest.raises(ExportError, match="columns of a new head"):
        export.from_torch(ENCODERS["pooled"].eval(), torch.zeros(1, 3, 8, 8), new_head=columns)


def test_not_with_a_head_of_statistics() -> None:
    with pytest.raises(ExportError, match="learns by gradients"):
        export.from_torch(
            ENCODERS["pooled"].eval(), torch.zeros(1, 3, 8, 8), new_head=4, recipe=export.Recipe(method="lda")
        )


class Inner(nn.Module):
    """An encoder whose last linear layer gates its channels, as squeeze-and-excite does."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.gate = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = self.conv(x)
        return (maps * torch.sigmoid(self.gate(maps.mean((2, 3))))[:, :, None, None]).mean((2, 3))


def test_head_is_the_classifier_and_no_layer_inside() -> None:
    with pytest.raises(ExportError, match="classifier at the end") as caught:
        export.from_torch(Inner().eval(), torch.zeros(1, 3, 8, 8), trainable="head")
    assert "new_head=10" in str(caught.value)
    report = export.from_torch(Inner().eval(), torch.zeros(1, 3, 8, 8), trainable="head", new_head=10)  # the remedy
    assert [layer.name for layer in report.layers if layer.trainable] == ["head"]


def test_a_convolution_that_is_averaged_is_a_head_that_grows() -> None:
    net = ENCODERS["convolution"].eval()
    report = export.from_torch(net, torch.zeros(1, 3, 8, 8), trainable="head", max_classes=7)
    assert [(layer.name, layer.kind, layer.dims) for layer in report.layers if layer.trainable] == [
        ("3", "linear", (7, 8))
    ]
    x = np.random.default_rng(1).standard_normal((5, 3, 8, 8)).astype(np.float32)
    with torch.no_grad():
        expected = net(torch.from_numpy(x)).numpy()
    assert np.abs(edgecl.Classifier(report.bundle).decision_function(x) - expected).max() < 1e-5


class Twice(nn.Module):
    """One 1 x 1 convolution in two places, the last of them averaged."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(torch.relu(self.conv(x))).mean((2, 3))


def test_a_convolution_that_is_shared_stays_one() -> None:
    report = export.from_torch(Twice().eval(), torch.zeros(1, 3, 8, 8), trainable="none")
    assert [layer.kind for layer in report.layers] == ["conv", "conv"]


class Two(nn.Module):
    """Outputs in a dict, a tuple or alone."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form, self.a, self.b = form, nn.Linear(8, 3), nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> Any:
        return {"one": self.a(x), "logits": self.b(x)} if self.form == "dict" else (self.a(x), self.b(x))


@pytest.mark.parametrize(("form", "key"), [("dict", "logits"), ("tuple", 1)])
def test_one_of_several_outputs(form: str, key: str | int) -> None:
    net = Two(form).eval()
    x = torch.randn(4, 8)
    with pytest.raises(ExportError, match="logits="):
        export.from_torch(net, x)
    report = export.from_torch(net, x, logits=key)
    expected = net.b(x).detach().numpy()
    assert np.abs(edgecl.Classifier(report.bundle).decision_function(x.numpy()) - expected).max() < 1e-5
    assert [layer.name for layer in report.layers] == ["b"]
    with pytest.raises(ExportError, match="expected an output 'nothing'"):
        export.from_torch(net, x, logits="nothing")


def test_one_of_several_outputs_of_a_file(tmp_path: Any) -> None:
    net, path = Two("tuple").eval(), tmp_path / "two.onnx"
    torch.onnx.export(net, (torch.zeros(2, 8),), path, dynamo=False, output_names=["first", "second"])
    with pytest.raises(ExportError, match="--logits first"):
        export.from_onnx(path)
    for key in ("second", 1):
        report = export.from_onnx(path, logits=key)
        assert report.layers[-1].dims == (5, 8)
    with pytest.raises(ExportError, match="its outputs: first, second"):
        export.from_onnx(path, logits="third")


def test_one_logit_is_refused_and_two_columns_do_the_same() -> None:
    net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1)).eval()
    x = torch.randn(50, 8)
    with pytest.raises(ExportError, match="at least two outputs"):
        export.from_torch(net, x)
    wide = nn.Sequential(net[0], net[1], nn.Linear(16, 2)).eval()
    last, one = wide[2], net[2]
    assert isinstance(last, nn.Linear) and isinstance(one, nn.Linear)
    with torch.no_grad():
        last.weight.copy_(torch.cat([torch.zeros_like(one.weight), one.weight]))
        last.bias.copy_(torch.cat([torch.zeros_like(one.bias), one.bias]))
        expected = torch.sigmoid(net(x)).numpy()[:, 0]
    learner = edgecl.Classifier(export.from_torch(wide, x).bundle)
    assert np.abs(learner.predict_proba(x.numpy())[:, 1] - expected).max() < 1e-5
    assert export.from_torch(net, x, trainable="none").trainable == "head"  # it may predict


def test_modules_that_are_no_modules_as_written() -> None:
    net, x = nn.Sequential(nn.Linear(8, 4)), torch.zeros(1, 8)
    with pytest.raises(ExportError, match=r"torch\.jit"):
        export.from_torch(torch.jit.script(net), x)
    with pytest.raises(ExportError, match=r"module.float\(\)"):
        export.from_torch(nn.Sequential(nn.Linear(8, 4)).half(), x)
    assert export.from_torch(torch.compile(net), x).layers[0].name == "0"


class Restless(nn.Module):
    """Dropout that evaluation mode does not switch off."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(nn.functional.dropout(x, 0.5))


def test_a_source_that_differs_from_itself_is_refused() -> None:
    with pytest.raises(export.ParityError, match="same outputs for the same rows"):
        export.from_torch(Restless().eval(), torch.zeros(1, 8))


class Mixed(nn.Conv1d):
    """A kernel that is the product of two parameters of its size."""

    def __init__(self) -> None:
        super().__init__(6, 16, 3, bias=False)
        self.scale = nn.Parameter(torch.rand(16, 6, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.conv1d(x, self.weight * torch.sin(self.scale))


def test_weights_that_are_computed_of_several_are_named() -> None:
    computed = Mixed()
    net = nn.Sequential(computed, nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(16, 5)).eval()
    report = export.from_torch(net, torch.zeros(1, 6, 32))
    (named,) = report.untrainable
    assert "288 numbers" in named.reason and "make it a parameter of its own" in named.remedy
    plain = nn.Conv1d(6, 16, 3, bias=False)
    with torch.no_grad():  # the remedy
        plain.weight.copy_(computed.weight * torch.sin(computed.scale))
    net[0] = plain
    assert export.from_torch(net, torch.zeros(1, 6, 32)).untrainable == []


def test_pruning_a_trained_model_says_what_it_cost() -> None:
    net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)).eval()
    report = export.from_torch(net, torch.zeros(1, 64), density=0.1)
    assert any("pruning to density 0.1, on 8 random rows" in note for note in report.notes)
    assert not any("pruning" in note for note in export.from_torch(net, torch.zeros(1, 64)).notes)
