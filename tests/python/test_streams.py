# Streams from real data, from the user's arrays, and what is said when data are missing or damaged.
# Never here: learning.
"""Tests of edgecl.evaluate.streams."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgecl import errors
from edgecl.evaluate.audio import log_mel
from edgecl.evaluate.data_files import data_file, data_folder
from edgecl.evaluate.streams import Stream, load_stream, stream_from_npz, stream_names

FILES = {
    "split-fashion-mnist": "fashion-mnist-train-images-idx3-ubyte.gz",
    "split-mnist": "mnist-train-images-idx3-ubyte.gz",
    "permuted-mnist": "mnist-train-images-idx3-ubyte.gz",
    "split-cifar10": "cifar10_20k_5k_webp.zip",
    "har-phone-watch": "har_phone_watch.npz",
    "fsdd-speakers": "fsdd.npz",
}
# name: (tasks, classes, input dims, training samples, test samples of the whole stream)
SHAPES = {
    "split-fashion-mnist": (5, 10, (1, 28, 28), 60000, 10000),
    "split-mnist": (5, 10, (1, 28, 28), 60000, 10000),
    "permuted-mnist": (5, 10, (1, 28, 28), 60000, 50000),
    "split-cifar10": (5, 10, (3, 32, 32), 20000, 5000),
    "har-phone-watch": (2, 5, (6, 128), None, None),
    "fsdd-speakers": (6, 10, (1, 40, 61), 2700, 300),
    "digits": (5, 10, (1, 8, 8), 1442, 355),
}


def _load(name: str) -> Stream:
    if name in FILES:
        try:
            data_file(FILES[name])
        except errors.DataError as error:
            pytest.skip(str(error))
    if name == "split-cifar10":
        pytest.importorskip("PIL", reason="Pillow is not installed")
    if name == "digits":
        pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    return load_stream(name)


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_named_stream(name: str) -> None:
    stream = _load(name)
    n_tasks, n_classes, dims, n_train, n_test = SHAPES[name]
    assert (stream.name, len(stream.tasks), stream.n_classes, stream.input.dims) == (name, n_tasks, n_classes, dims)
    dtype = np.uint8 if stream.input.dtype == "u8" else np.float32
    for task in stream.tasks:
        for x, y in ((task.x_train, task.y_train), (task.x_test, task.y_test)):
            assert x.dtype == dtype and x.shape[1:] == dims and len(x) == len(y) > 0
            assert y.min() >= 0 and y.max() < n_classes
        assert set(task.y_test.tolist()) <= set(task.classes)
    if n_train is not None:
        assert sum(len(t.x_train) for t in stream.tasks) == n_train
        assert sum(len(t.x_test) for t in stream.tasks) == n_test
    if stream.kind == "class-incremental":
        assert [t.classes for t in stream.tasks] == [[2 * i, 2 * i + 1] for i in range(5)]
    else:
        assert all(len(t.classes) == n_classes for t in stream.tasks)
    first = stream.tasks[0].x_train.astype(np.float64) * stream.input.scale
    channels = (1, -1, *([1] * (len(dims) - 1)))
    mean, std = (np.reshape(v, channels) for v in (stream.input.mean, stream.input.std))
    network = (first - mean) / std
    assert np.isfinite(network).all() and abs(network.mean()) < 0.5 and 0.5 < network.std() < 1.5


def test_permutations_are_fixed_and_differ() -> None:
    one, two = _load("permuted-mnist"), _load("permuted-mnist")
    for a, b in zip(one.tasks, two.tasks, strict=True):
        assert (a.x_test == b.x_test).all()
    original, permuted = one.tasks[0].x_test.reshape(-1, 784), one.tasks[1].x_test.reshape(-1, 784)
    assert (original != permuted).any()
    assert (np.sort(original[:50], axis=1) == np.sort(permuted[:50], axis=1)).all()


def test_unknown_name() -> None:
    with pytest.raises(errors.ArgumentError, match="split-mnist"):
        load_stream("split-nothing")
    assert set(SHAPES) == set(stream_names())


def test_missing_folder_and_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECL_DATA", str(tmp_path / "none"))
    with pytest.raises(errors.DataError, match="set EDGECL_DATA"):
        data_folder()
    for name in FILES:
        with pytest.raises((errors.DataError, errors.UnsupportedError), match="expected"):
            load_stream(name)
    monkeypatch.setenv("EDGECL_DATA", str(tmp_path))
    with pytest.raises(errors.DataError, match="fashion-mnist-train-images"):
        load_stream("split-fashion-mnist")


def test_data_beside_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shared" / "data").mkdir(parents=True)
    (tmp_path / "work").mkdir()
    monkeypatch.delenv("EDGECL_DATA", raising=False)
    monkeypatch.chdir(tmp_path / "work")
    assert data_folder().resolve() == (tmp_path / "shared" / "data").resolve()


@pytest.mark.parametrize(
    "content",
    [b"", b"not gzip", gzip.compress(b"short"), gzip.compress(b"\0" * 16 + b"x" * 1000)],
    ids=["empty", "not gzip", "short", "wrong magic"],
)
def test_damaged_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setenv("EDGECL_DATA", str(tmp_path))
    for part in ("train", "t10k"):
        for kind in ("images-idx3", "labels-idx1"):
            (tmp_path / f"mnist-{part}-{kind}-ubyte.gz").write_bytes(content)
    for name in ("har_phone_watch.npz", "fsdd.npz", "cifar10_20k_5k_webp.zip"):
        (tmp_path / name).write_bytes(content)
    for name in ("split-mnist", "har-phone-watch", "fsdd-speakers", "split-cifar10"):
        with pytest.raises((errors.DataError, errors.UnsupportedError), match=r"expected .*; found"):
            load_stream(name)


def _arrays(n: int = 40, **changes: Any) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {
        "x_train": rng.standard_normal((n, 6)),
        "y_train": np.arange(n) % 4,
        "x_test": rng.standard_normal((n, 6)),
        "y_test": np.arange(n) % 4,
    }
    arrays.update(changes)
    return {k: v for k, v in arrays.items() if v is not None}


def _npz(folder: Path, **changes: Any) -> Path:
    np.savez(folder / "mine.npz", **_arrays(**changes))
    return folder / "mine.npz"


def test_own_arrays(tmp_path: Path) -> None:
    stream = stream_from_npz(_npz(tmp_path), classes_per_task=3)
    assert [t.classes for t in stream.tasks] == [[0, 1, 2], [3]] and stream.kind == "class-incremental"
    assert stream.input.dtype == "f32" and stream.tasks[0].x_train.dtype == np.float32
    assert stream.class_names == ("0", "1", "2", "3")
    texts = np.array(["cat", "dog", "ant", "bee"])[np.arange(40) % 4]
    named = stream_from_npz(_npz(tmp_path, y_train=texts, y_test=texts), classes_per_task=2)
    assert named.class_names == ("ant", "bee", "cat", "dog") and named.tasks[0].classes == [0, 1]
    images = np.random.default_rng(0).integers(0, 256, (40, 3, 4, 4), dtype=np.uint8)
    coloured = stream_from_npz(_npz(tmp_path, x_train=images, x_test=images), classes_per_task=4)
    assert coloured.input.dtype == "u8" and len(coloured.input.mean) == 3 and coloured.input.scale == 1 / 255
    tasks = stream_from_npz(_npz(tmp_path, task_train=np.arange(40) // 20, task_test=np.arange(40) // 20))
    assert len(tasks.tasks) == 2 and len(tasks.tasks[1].x_train) == 20 and tasks.kind == "domain-incremental"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_test": None}, "y_test"),
        ({"x_train": np.zeros((40, 5))}, "alike"),
        ({"x_train": np.zeros(40)}, "samples"),
        ({"x_train": np.full((40, 6), np.nan)}, "finite"),
        ({"x_train": np.array([["a"] * 6] * 40)}, "numbers"),
        ({"y_train": np.arange(39) % 4}, "one label a sample"),
        ({"y_train": np.zeros((40, 1), int)}, "labels"),
        ({"y_train": np.zeros(40)}, "labels"),
        ({"y_test": np.zeros(40, int)}, "training and test samples"),
        ({"task_train": np.zeros(39), "task_test": np.zeros(40)}, "one task a sample"),
        ({"domain_train": np.zeros(39), "domain_test": np.zeros(40)}, "one domain a sample"),
        ({"domain_train": np.zeros(40)}, "add domain_test"),
        ({"domain_train": np.full(40, b"a"), "domain_test": np.full(40, b"a")}, "numbers or text"),
        ({"domain_train": np.full(40, np.nan), "domain_test": np.zeros(40)}, "not finite"),
        ({"domain_train": np.full(40, ""), "domain_test": np.full(40, "")}, "Unicode text"),
        ({"domain_train": np.full(40, "a"), "domain_test": np.full(40, "b")}, "there alone"),
    ],
)
def test_own_arrays_that_do_not_fit(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.DataError, match=message):
        stream_from_npz(_npz(tmp_path, **changes), classes_per_task=2)


def test_own_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(errors.DataError, match="check the path"):
        stream_from_npz(tmp_path / "none.npz", 2)
    (tmp_path / "bad.npz").write_bytes(b"PK\3\4 broken")
    with pytest.raises(errors.DataError, match="readable data file"):
        stream_from_npz(tmp_path / "bad.npz", 2)
    np.savez(tmp_path / "objects.npz", **_arrays(y_train=np.array([{}] * 40)))
    with pytest.raises(errors.DataError):
        stream_from_npz(tmp_path / "objects.npz", 2)
    with pytest.raises(errors.ArgumentError, match="classes_per_task"):
        stream_from_npz(_npz(tmp_path))


def test_log_mel_finds_a_tone() -> None:
    t = np.arange(8000) / 8000
    rows = []
    for hz in (300, 1000, 3000):
        tone = (20000 * np.sin(2 * np.pi * hz * t)).astype(np.int16)
        image = log_mel(tone, 8000, 1.0, 40)
        assert image.shape == (40, 61) and image.dtype == np.float32
        rows.append(int(image.mean(axis=1).argmax()))
    assert rows == sorted(set(rows))
    short = log_mel(np.ones(100, np.int16), 8000, 1.0, 40)
    long = log_mel(np.ones(9000, np.int16), 8000, 1.0, 40)
    assert short.shape == long.shape == (40, 61) and np.isfinite(short).all()
