# Samples that travel in a bundle: choice, storage, and what a device begins with.
# Never here: how a session fills its buffer from them (tests/runtime/learn_remember.cpp).
"""Tests of edgecl.export.Exemplars."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import edgecl
import numpy as np
import pytest
from edgecl import export
from edgecl.cli.main import app
from edgecl.export.exemplars import herding
from typer.testing import CliRunner

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: export)")

N = 90


@pytest.fixture
def net() -> Any:
    """Twelve inputs, five columns."""
    torch.manual_seed(2)
    return torch.nn.Sequential(torch.nn.Linear(12, 16), torch.nn.ReLU(), torch.nn.Linear(16, 5))


@pytest.fixture
def data() -> tuple[Any, Any]:
    """Three classes, of 60, 20 and 10 rows."""
    rng = np.random.default_rng(3)
    y = rng.permutation(np.repeat([0, 1, 2], [60, 20, 10]))
    return (rng.standard_normal((N, 12)) + 2 * y[:, None]).astype(np.float32), y


def _export(net: Any, x: Any, y: Any, **options: Any) -> Any:
    names = options.pop("classes", ["ant", "bee", "cat"])
    return export.from_torch(
        net, torch.zeros(1, 12), classes=names, max_classes=5, remember=export.Exemplars(x, y, **options)
    )


def test_a_device_begins_with_them(net: Any, data: Any) -> None:
    x, y = data
    report = _export(net, x, np.array(["ant", "bee", "cat"])[y], n=24)
    assert report.notes == ["24 exemplars of 3 classes travel in the bundle (herding)"]
    learner = edgecl.Classifier(report.bundle)
    assert learner.bundle_info()["n_exemplars"] == learner.stats()["replay_fill"] == 24
    assert learner.stats()["samples_seen"] == N
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        learner.partial_fit(x[:10], ["dog"] * 10)
    assert learner.classes_.tolist() == ["ant", "bee", "cat", "dog"]
    with pytest.warns(UserWarning, match="--remember"):
        edgecl.Classifier(export.from_torch(net, torch.zeros(1, 12), classes=3).bundle).partial_fit(x[:3], [3, 3, 3])


def test_as_many_of_each_class(net: Any, data: Any) -> None:
    x, y = data
    for n, expected in ((9, [3, 3, 3]), (24, [8, 8, 8]), (40, [15, 15, 10]), (200, [60, 20, 10])):
        for choice in ("herding", "random"):
            learner = edgecl.Classifier(_export(net, x, y, n=n, choice=choice).bundle, replay_capacity=500)
            counts = [record["replay_samples"] for record in learner._open().session.classes()]
            assert counts == expected
    small = edgecl.Classifier(_export(net, x, y, n=24).bundle, replay_capacity=5)
    assert [record["replay_samples"] for record in small._open().session.classes()] == [2, 2, 1]


def test_herding_follows_the_mean() -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((200, 6)) + 1
    order = herding(rows, 20)
    assert len(set(order.tolist())) == 20 and order[:7].tolist() == herding(rows, 7).tolist()
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    # By the definition, one at a time.
    taken: list[int] = []
    for k in range(1, 6):
        distances = [
            np.inf if i in taken else np.linalg.norm(unit.mean(axis=0) - unit[[*taken, i]].sum(axis=0) / k)
            for i in range(200)
        ]
        taken.append(int(np.argmin(distances)))
    assert order[:5].tolist() == taken
    of_random = [np.linalg.norm(unit.mean(axis=0) - unit[rng.permutation(200)[:20]].mean(axis=0)) for _ in range(50)]
    assert np.linalg.norm(unit.mean(axis=0) - unit[order].mean(axis=0)) < min(of_random)


def test_one_byte_a_number(net: Any, data: Any) -> None:
    x, y = data
    x = x.copy()
    x[:, 4] = 7  # a channel that does not move
    whole, short = _export(net, x, y, n=30), _export(net, x, y, n=30, dtype="i8")
    assert len(whole.bundle) - len(short.bundle) > 30 * 12 * 2
    one = edgecl.Classifier(short.bundle)
    assert one.stats()["replay_fill"] == 30
    difference = np.abs(_exemplars(whole.bundle) - _exemplars(short.bundle))
    assert difference.max() <= (x.max() - x.min()) / 255 * 0.51 and difference.reshape(30, 12)[:, 4].max() == 0


def _exemplars(bundle: bytes) -> Any:
    # The raw samples of a fresh buffer, from the end of the section REPLAY.
    state = edgecl.Classifier(bundle)._open().session.state_export()
    table = edgecl._core.read_state_table(state)["sections"]
    section = next(s for s in table if s["name"] == "REPLAY")
    data = state[section["offset"] : section["offset"] + section["bytes"]][32:]
    slots = np.frombuffer(data, np.uint8).reshape(30, 4 + 48)
    return slots[:, 4:].copy().view(np.float32)


@pytest.mark.parametrize(
    ("change", "saying"),
    [
        ({"n": 0}, "1..16384"),
        ({"choice": "best"}, "herding"),
        ({"dtype": "f16"}, "'input' or 'i8'"),
        ({"x": np.zeros((N, 11), np.float32)}, "of shape"),
        ({"x": np.zeros((N, 12))}, "float32"),
        ({"x": np.full((N, 12), np.nan, np.float32)}, "finite"),
        ({"y": np.zeros(3, int)}, "90 labels"),
        ({"y": ["eel"] * N}, "found eel"),
        ({"y": [7] * N}, "found 7"),
        ({"y": [None] * N}, "row 0"),
        ({"classes": 0}, "classes that the bundle ships"),
    ],
)
def test_what_cannot_be_remembered(net: Any, data: Any, change: dict[str, Any], saying: str) -> None:
    x, y = data
    with pytest.raises(export.ExportError, match=saying):
        _export(net, change.pop("x", x), change.pop("y", y), **change)


def test_command_line(net: Any, data: Any, tmp_path: Path) -> None:
    x, y = data
    (tmp_path / "nets.py").write_text(
        "import torch\ndef net():\n    torch.manual_seed(2)\n    return torch.nn.Sequential(torch.nn.Linear(12, 16), "
        "torch.nn.ReLU(), torch.nn.Linear(16, 5))\n"
    )
    np.savez(tmp_path / "data.npz", x_train=x, y_train=y)
    out = tmp_path / "m.ecl"
    arguments = ["export", f"{tmp_path / 'nets.py'}:net", "-o", out, "--input-shape", 12, "--classes", 3]
    arguments += ["--remember", tmp_path / "data.npz", "--exemplars", 12, "--json"]
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["notes"] == ["12 exemplars of 3 classes travel in the bundle (herding)"]
    assert edgecl.open_bundle(out).info["n_exemplars"] == 12
    shown = CliRunner().invoke(app, ["inspect", str(out)])
    assert "12 samples for the replay buffer" in shown.stdout
    np.savez(tmp_path / "none.npz", z=x)
    arguments[-4] = str(tmp_path / "none.npz")
    refused = CliRunner().invoke(app, list(map(str, arguments)))
    assert refused.exit_code == 3 and "x_train" in refused.output
