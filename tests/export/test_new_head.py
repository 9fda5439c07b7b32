# Heads that keep statistics in place of a source's last layer.
# Never here: what such a head computes (tests/python/test_heads.py).
"""Tests of Recipe(method="ncm" ...) in an export, and of from_embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import edgecl
import edgecl.export as export
import numpy as np
import pytest
import torch
from edgecl.cli.main import app
from torch import nn
from typer.testing import CliRunner


def _encoder(classes: int | None = 7) -> nn.Module:
    torch.manual_seed(1)
    layers: list[nn.Module] = [nn.Conv2d(2, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU()]
    if classes is not None:
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, classes)]
    return nn.Sequential(*layers).eval()


def _images(n: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal((n, 2, 5, 5)).astype(np.float32)


@pytest.mark.parametrize("classes", [7, None])
@pytest.mark.parametrize("normalise", [True, False])
def test_the_embedding_is_that_of_the_source(classes: int | None, normalise: bool) -> None:
    module = _encoder(classes)
    report = export.from_torch(
        module, _images(1), recipe=export.Recipe(method="lda"), normalise=normalise, calibration=_images(20)
    )
    assert report.parity is not None and report.trainable == "head"
    learner = edgecl.Classifier(report.bundle)
    with torch.no_grad():
        maps = nn.Sequential(*list(module)[:3])(torch.tensor(_images(9))).mean((2, 3))
        expected = (nn.functional.normalize(maps) if normalise else maps).numpy()
    assert np.abs(learner.embed(_images(9)) - expected).max() < 1e-5
    said = " ".join(report.notes)
    assert ("is left out" in said) == (classes is not None) and ("length 1" in said) == normalise
    assert ("mean of 6 channels" in said) == (classes is None) and "feature_range" in said
    assert learner.config()["max_classes"] == 100 and learner.config()["head"] == "lda"


def test_it_learns_and_names_its_classes() -> None:
    report = export.from_torch(
        _encoder(), _images(1), recipe=export.Recipe(method="ridge"), classes=["cup", "key"], max_classes=5
    )
    learner = edgecl.Classifier(report.bundle)
    x, y = _images(40), np.array(["cup", "fork"] * 20)
    x[1::2] += 2
    learner.partial_fit(x, y)
    assert list(learner.classes_) == ["cup", "fork", "key"] and learner.score(x, y) > 0.9
    assert learner.head_ is not None and learner.head_["saturated"] == 0


def test_a_projection_is_seeded_and_sparse() -> None:
    def weights(seed: int) -> Any:
        report = export.from_embeddings(50, projection=300, mask_seed=seed, max_classes=4)
        model = edgecl.open_bundle(report.bundle)
        layer = next(layer for layer in model.layers if layer["name"] == "projection.weight")
        assert layer["dims"] == [300, 50] and 0.05 < layer["density"] < 0.15
        return edgecl.Classifier(report.bundle).embed(np.eye(50, dtype=np.float32))

    assert (weights(3) == weights(3)).all() and (weights(3) != weights(4)).any()
    values = weights(3)
    assert values.shape == (50, 300) and (values >= 0).all() and np.allclose(np.linalg.norm(values, axis=1), 1)


def test_embeddings_of_the_callers_own_encoder() -> None:
    report = export.from_embeddings(6, recipe=export.Recipe(method="ncm"), max_classes=3, normalise=False)
    assert report.parity is None and "no source model" in report.summary()
    z = np.random.default_rng(0).standard_normal((30, 6)).astype(np.float32)
    y = np.arange(30) % 3
    z += 3 * np.eye(6, dtype=np.float32)[y]
    learner = edgecl.Classifier(report.bundle).partial_fit(z, y)
    assert (learner.embed(z) == z).all() and learner.score(z, y) > 0.95


@pytest.mark.parametrize(
    ("keywords", "saying"),
    [
        ({"trainable": "head"}, "trainable to be left out"),
        ({"max_classes": 0}, "max_classes"),
        ({"classes": ["a", "b"], "max_classes": 1}, "room for the 2 classes"),
        ({"projection": 9000}, "projection in 0..8192"),
        ({"recipe": export.Recipe(), "projection": 64}, "only before a head that keeps statistics"),
        ({"remember": export.Exemplars(_images(4), np.arange(4), 4)}, "no replay buffer"),
    ],
)
def test_wrong_keywords(keywords: dict[str, Any], saying: str) -> None:
    with pytest.raises(export.ExportError, match=saying):
        export.from_torch(_encoder(), _images(1), **{"recipe": export.Recipe(method="ncm"), **keywords})


def test_wrong_embeddings() -> None:
    for dim in (0, 9000, 2.5):
        with pytest.raises(export.ExportError, match=r"1\.\.8192"):
            export.from_embeddings(dim)  # type: ignore[arg-type]
    with pytest.raises(export.ExportError, match="learns by gradients"):
        export.from_embeddings(8, recipe=export.Recipe(method="er"))


def _call(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["export", *map(str, arguments)])


def test_command_line(tmp_path: Path) -> None:
    out = tmp_path / "a.ecl"
    done = _call("embeddings:32", "-o", out, "--head", "lda", "--classes", "red,blue")
    assert done.exit_code == 0 and "no source model to compare with" in done.output
    assert list(edgecl.Classifier(out).classes_) == ["blue", "red"]
    done = _call("small-cnn", "-o", out, "--head", "ridge", "--projection", 64)
    assert done.exit_code == 0 and "is left out for the new head" in " ".join(done.output.split())


@pytest.mark.parametrize(
    ("arguments", "saying"),
    [
        (["embeddings:x"], "embeddings:NUMBER"),
        (["embeddings:8", "--head", "ncm", "--method", "derpp"], "--head or --method"),
        (["embeddings:8", "--head", "nothing"], "expected a method among"),
    ],
)
def test_wrong_command_lines(arguments: list[str], saying: str, tmp_path: Path) -> None:
    done = _call(*arguments, "-o", tmp_path / "a.ecl")
    assert done.exit_code == 2 and saying in " ".join(done.stderr.split())
