# tools/bench/heads.py and what it is made of, on small data that is made here.
# Never here: encoders of others, the data folder, how good a head is on real data.
"""Tests of the bench of heads: formulas, streams, embeddings that are kept, episodes, table."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")


@pytest.fixture()
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "tools/bench"))
    import heads

    return heads


def _task(heads: Any, classes: int = 4, rows: int = 200, steps: int = 2) -> Any:
    generator = np.random.default_rng(0)
    centres = 1.5 * np.abs(generator.standard_normal((classes, 12)))
    y = np.arange(rows) % classes
    x = (centres[y] + 0.5 * generator.standard_normal((rows, 12))).astype(np.float32)
    half = rows // 2
    return heads.Task("blobs", "12 numbers", x[:half], y[:half], x[half:], y[half:], steps)


def test_formulas_are_those_of_scikit_learn(bench: Any) -> None:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.linear_model import Ridge
    from sklearn.neighbors import NearestCentroid

    task = _task(bench)
    z, y, at = task.x_train.astype(np.float64), task.y_train, task.x_test.astype(np.float64)
    lda = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.3, priors=np.full(4, 0.25)).fit(z, y)
    found = bench.joint_scores(bench.Head("lda", 0.3), z, y, at)
    wanted = lda.decision_function(at) - np.log(0.25)
    assert np.abs(np.diff(found - wanted, axis=1)).max() < 1e-6 * np.abs(wanted).max()
    penalty = 0.3 * ((z - z.mean(0)) ** 2).sum() / z.shape[1]
    wanted = Ridge(alpha=penalty).fit(z, np.eye(4)[y]).predict(at)
    found = bench.joint_scores(bench.Head("ridge", 0.3), z, y, at)
    assert np.ptp(found / wanted) < 1e-6 * np.abs(found / wanted).max()
    nearest = NearestCentroid().fit(z, y).predict(at)
    assert (bench.joint_scores(bench.Head("ncm-distance"), z, y, at).argmax(1) == nearest).all()
    cosine = bench.joint_scores(bench.Head("ncm"), z, y, 3 * z)
    assert np.abs(cosine).max() <= 16 and (cosine.argmax(1) == y).mean() > 0.8


def test_rows_come_once_in_groups_of_classes(bench: Any) -> None:
    task = _task(bench, classes=5, steps=2)
    order = task.order()
    assert sorted(order) == list(range(len(task.y_train)))
    labels = task.y_train[order]
    groups = [set(labels[:60].tolist()), set(labels[60:].tolist())]
    assert [len(group) for group in groups] == [3, 2] and not groups[0] & groups[1]
    assert (order == task.order()).all()
    few = task.few(3)
    assert list(np.bincount(few.y_train)) == [3] * 5 and len(few.x_train) == 15
    assert len(task.few(1000).y_train) == len(task.y_train)


@pytest.mark.parametrize(
    "settings", [("ncm",), ("ncm-distance",), ("lda", 0.3), ("ridge", 0.3), ("ridge", 0.3, 64), ("fecam", 1.0)]
)
def test_a_row_of_the_result(bench: Any, settings: tuple[Any, ...]) -> None:
    task = _task(bench)
    head = bench.Head(*settings)
    found = bench.row(head, [task, task], bench.logistic([task]))
    assert found["test_rows"] == 2 * len(task.y_test) and found["classes"] == 4
    assert found["dim"] == (head.projection or 12)
    assert 0.8 < found["accuracy"] <= 1 and found["accuracy"] == pytest.approx(found["joint"], abs=0.011)
    assert found["score_error"] <= 1e-4 and found["rounding"] <= 1e-2
    assert found["logistic"] > 0.8 and found["learn_us"] > 0 and found["solve_ms"] >= 0 and found["bytes"] > 0
    assert json.loads(json.dumps(found)) == found
    lines = bench.heads_table([found]).splitlines()
    assert len(lines) == 3 and len({line.count("|") for line in lines}) == 1
    said = [f"shrinkage {settings[1]:g}"] if len(settings) > 1 else []
    said += ["projection 64"] if head.projection else []
    assert all(text in lines[2] for text in (settings[0], *said, "blobs"))


def test_the_sweep_has_a_line_for_each_data_and_a_mean(bench: Any) -> None:
    task = _task(bench)
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in bench.sweep([[task], [task]]).splitlines()
    ]
    assert len(lines) == 2 + 2 * 3 and {len(cells) for cells in lines} == {2 + len(bench.SHRINKAGES)}
    assert [cells[1] for cells in lines[2:5]] == ["blobs, 12 numbers"] * 2 + ["mean"]
    assert lines[2][2:] == lines[4][2:] and lines[2][-1] == "-" and lines[5][-1] != "-"
    model = bench.joint_scores(bench.Head("ridge", 0.1), *_length1(task)).argmax(1)
    accuracy = 100 * float((model == task.y_test).mean())
    assert lines[5][2 + bench.SHRINKAGES.index(0.1)] == f"{accuracy:.1f}"


def _length1(task: Any) -> tuple[Any, Any, Any]:
    x, at = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (task.x_train, task.x_test))
    return x, task.y_train, at


def test_what_was_computed_is_kept(bench: Any, tmp_path: Path) -> None:
    import heads_data

    calls = []

    def compute() -> dict[str, Any]:
        calls.append(1)
        return {"x": np.arange(3), "name": np.array(["a", "b"])}

    for _ in range(2):
        found = heads_data.kept(tmp_path / "new", "some", compute)
        assert list(found["x"]) == [0, 1, 2] and list(found["name"]) == ["a", "b"]
    assert len(calls) == 1


def test_speakers_are_in_one_fold_and_pictures_are_cut_in_the_middle(bench: Any) -> None:
    import heads_data

    speakers = np.random.default_rng(0).integers(0, 17, 200)
    folds = list(heads_data.folds(speakers))
    assert (np.sum(folds, axis=0) == 1).all() and len(folds) == heads_data.FOLDS
    assert all(not set(speakers[fold]) & set(speakers[~fold]) for fold in folds)
    pixels = np.arange(6 * 8 * 3).reshape(6, 8, 3)
    assert (heads_data.middle(pixels, 4) == pixels[1:5, 2:6]).all()
    frames = np.random.default_rng(1).standard_normal((5, 7, 3)).astype(np.float32)
    assert np.allclose(heads_data.pooled(frames)[:, 3:6], frames.max(1)) and heads_data.pooled(frames).shape == (5, 9)


def test_tasks_of_groceries_and_keywords_from_what_is_kept(bench: Any, tmp_path: Path) -> None:
    import heads_data

    x = np.random.default_rng(0).random((12, 5)).astype(np.float32)
    split = np.array(["train", "test", "val"] * 4)
    for side in (heads_data.SIDE, heads_data.ENLARGED):
        np.savez(tmp_path / f"grocery_{side}.npz", x=x, mirrored=x + 2, y=np.arange(12) % 6, split=split)
    parts = list(heads_data.groceries(tmp_path))
    assert len(parts) == 3 and all(len(tasks) == 1 for tasks in parts)
    assert (
        np.allclose(parts[2][0].x_train, x[split == "train"] + 1) and (parts[0][0].x_test == x[split == "test"]).all()
    )
    frames = np.random.default_rng(0).random((20, 3, 4)).astype(np.float32)
    speaker = np.array(list("abcdefghij") * 2)
    np.savez(tmp_path / "keywords.npz", word=frames, padded=frames, y=np.arange(20) % 2, speaker=speaker)
    parts = list(heads_data.keywords(tmp_path))
    assert [len(tasks) for tasks in parts] == [heads_data.FOLDS] * 2
    assert all(sum(len(task.x_test) for task in tasks) == 20 for tasks in parts)
    assert [tasks[0].x_train.shape[1] for tasks in parts] == [4, 12]


def test_one_shot_of_characters(bench: Any, tmp_path: Path) -> None:
    import heads_omniglot

    generator = np.random.default_rng(0)
    shapes = (generator.random((12, 7, 7)) < 0.3).repeat(4, 1).repeat(4, 2)
    images = np.repeat(255 * shapes[:, None].astype(np.uint8), 20, axis=1)
    images[generator.random(images.shape) < 0.05] = 255
    drawn = list(heads_omniglot.episodes(images, 5, 3))
    assert len(drawn) == 3 and all(x.shape == at.shape == (5, 1, 28, 28) for x, _, at, _ in drawn)
    assert all((x != at).any(axis=(1, 2, 3)).all() and list(y) == list(truth) for x, y, at, truth in drawn)
    encoder = heads_omniglot.train_encoder(images[:8], steps=8, width=8)
    again = heads_omniglot.train_encoder(images[:8], steps=8, width=8)
    assert all((a == b).all() for a, b in zip(encoder.parameters(), again.parameters(), strict=True))
    for head in bench.ONE_SHOT:
        found = bench.one_shot(head, encoder, images[8:], 4, 5)
        assert found["test_rows"] == 20 and found["dim"] == 8
        assert found["accuracy"] > 0.5 and found["score_error"] <= 1e-4


def test_rows_of_other_data_stay(bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task, out = _task(bench), tmp_path / "heads.json"
    monkeypatch.setattr(bench, "HEADS", bench.HEADS[:1])
    for name in ("groceries", "keywords"):
        monkeypatch.setitem(bench.DATA, name, lambda cache, name=name: iter([[replace(task, data=name)]]))
        monkeypatch.setattr(sys, "argv", ["heads", "--cache", str(tmp_path), "--data", name, "--json", str(out)])
        bench.main()
    assert [r["data"] for r in bench.read_table(out)["rows"]] == ["groceries", "keywords"]
