# `edgecl evaluate` and the counting behind it.
# Never here: learning, streams.
"""Tests of edgecl.evaluate.confusion and the command `evaluate`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import edgecl
import numpy as np
import pytest
from edgecl import errors
from edgecl.cli import failure
from edgecl.cli.main import app
from edgecl.evaluate.confusion import confusion, largest_confusions
from typer.testing import CliRunner


def _call(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def names(blobs: Any) -> Any:
    """Labels of the blobs as text."""
    return np.array(["cat", "dog", "guinea-pig"])[blobs.y]


@pytest.fixture
def learned(bundle_path: Path, blobs: Any, names: Any, tmp_path: Path) -> edgecl.Classifier:
    """Knows cats, dogs and guinea pigs, not perfectly; saved as s.ecs."""
    learner = edgecl.Classifier(bundle_path, random_state=0).partial_fit(blobs.x[:20], names[:20])
    learner.save(tmp_path / "s.ecs")
    return learner


def test_counts_are_those_of_scikit_learn(learned: edgecl.Classifier, blobs: Any, names: Any) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    x, y = blobs.x + np.random.default_rng(0).normal(size=blobs.x.shape).astype(np.float32), names
    found = confusion(learned, x, y)
    predicted = learned.predict(x)
    assert found["accuracy"] == metrics.accuracy_score(y, predicted) < 1
    assert found["matrix"] == metrics.confusion_matrix(y, predicted, labels=found["classes"]).tolist()
    recall = metrics.recall_score(y, predicted, labels=found["classes"], average=None)
    precision = metrics.precision_score(y, predicted, labels=found["classes"], average=None)
    assert [c["recall"] for c in found["per_class"]] == recall.tolist()
    assert [c["precision"] for c in found["per_class"]] == precision.tolist()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    pairs = largest_confusions(found, 2)
    off = [(n, i, j) for i, row in enumerate(found["matrix"]) for j, n in enumerate(row) if i != j]
    assert pairs[0]["samples"] == max(off)[0] and pairs[0]["label"] != pairs[0]["taken_for"]
    assert (
        pairs[0]["share"]
        == pairs[0]["samples"] / found["per_class"][found["classes"].index(pairs[0]["label"])]["samples"]
    )


def test_unknown_labels_are_wrong_and_said(
    learned: edgecl.Classifier, bundle_path: Path, blobs: Any, names: Any, tmp_path: Path
) -> None:
    y = names.copy()
    y[:6] = "yak"
    np.savez(tmp_path / "t.npz", x=blobs.x, y=y)
    arguments = ["evaluate", bundle_path, "--state", tmp_path / "s.ecs", "--data", tmp_path / "t.npz"]
    document = json.loads(_call(*arguments, "--json", "--output", tmp_path / "out.json").stdout)
    assert document["unknown"] == {"names": ["yak"], "samples": 6}
    assert document["accuracy"] == pytest.approx((learned.predict(blobs.x) == y).mean())
    assert document["per_class"][3] == {
        "name": "yak",
        "known": False,
        "samples": 6,
        "predicted": 0,
        "recall": 0.0,
        "precision": None,
    }
    assert document["state_sha256"] == learned.state_digest()
    assert json.loads((tmp_path / "out.json").read_text()) == document
    text = _call(*arguments).stdout
    assert "6 samples have labels that the learner does not know and count as wrong: yak" in text
    assert "guinea-pig" in text and "confusions: a row a label" in text and "yak (unknown)" in text


def test_numbers_and_texts_are_the_same_labels(make_bundle: Callable[..., bytes], blobs: Any, tmp_path: Path) -> None:
    bundle = tmp_path / "b.ecl"
    bundle.write_bytes(make_bundle())
    learner = edgecl.Classifier(bundle).partial_fit(blobs.x, blobs.y)
    learner.save(tmp_path / "s.ecs")
    found = [
        confusion(learner, blobs.x, y) for y in (blobs.y, blobs.y.astype(np.uint8), blobs.y.astype(str), blobs.y * 1.0)
    ]
    assert found[0] == found[1] == found[2] == found[3] and found[0]["accuracy"] > 0.5
    loaded = edgecl.Classifier(bundle).load(tmp_path / "s.ecs")
    assert confusion(loaded, blobs.x, blobs.y) == found[0]


def test_many_classes_show_the_largest_confusions(make_bundle: Callable[..., bytes], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(30, 12))
    y = np.arange(300) % 30
    x = (centres[y] + rng.normal(size=(300, 12))).astype(np.float32)
    labels = np.array([f"a class with the long name {c}" for c in range(30)])[y]
    bundle = tmp_path / "many.ecl"
    bundle.write_bytes(make_bundle(capacity=30))
    edgecl.Classifier(bundle).partial_fit(x, labels).save(tmp_path / "s.ecs")
    np.savez(tmp_path / "t.npz", x_test=x, y_test=labels)
    result = _call("evaluate", bundle, "--state", tmp_path / "s.ecs", "--data", tmp_path / "t.npz")
    assert "largest confusions of 30 classes" in result.stdout and "taken for" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_bad_input(learned: edgecl.Classifier, bundle_path: Path, blobs: Any, names: Any, tmp_path: Path) -> None:
    def refused(code: int, saying: str, *more: object, **arrays: Any) -> None:
        np.savez(tmp_path / "t.npz", **(arrays or {"x": blobs.x, "y": names}))
        state = () if "--state" in more else ("--state", tmp_path / "s.ecs")
        result = _call("evaluate", bundle_path, "--data", tmp_path / "t.npz", *state, *more)
        assert result.exit_code == code and saying in result.stderr and result.stdout == "", result.output
        assert "Traceback" not in result.stderr and len(result.stderr.splitlines()) == 1

    refused(failure.INPUT, "x_test and y_test, or x and y", z=blobs.x)
    refused(failure.INPUT, "one integer or text label a sample", x=blobs.x, y=names[:-1])
    refused(failure.INPUT, "expected", x=blobs.x, y=blobs.y + 0.5)
    refused(failure.INPUT, "one integer or text label a sample", x=blobs.x, y=blobs.y[:, None])
    refused(failure.INPUT, "one integer or text label a sample", x=blobs.x[:0], y=blobs.y[:0])
    refused(failure.INPUT, "expected", x=blobs.x[:, :5], y=blobs.y)
    refused(failure.INPUT, "expected", "--state", tmp_path / "none.ecs")
    refused(failure.INPUT, "a folder", "--output", tmp_path)
    os.mkfifo(tmp_path / "pipe")
    refused(failure.INPUT, "a pipe", "--output", tmp_path / "pipe")
    result = _call("evaluate", bundle_path, "--data", tmp_path / "t.npz")
    assert result.exit_code == failure.USAGE and "at least one learned class" in result.stderr
    with pytest.raises(errors.DataError):
        confusion(learned, blobs.x, blobs.y[:, None])
