# The named streams and streams from the user's own arrays.
# Never here: file formats (data_files.py), learning (experiment.py).
"""Streams of tasks: `load_stream(name)` and `stream_from_npz(path)`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from edgecl.errors import ArgumentError, DataError, UnsupportedError
from edgecl.evaluate.data_files import data_file, read_cifar10, read_idx
from edgecl.evaluate.stream_types import InputSpec, Stream, Task
from edgecl.npz import read_npz
from numpy.typing import NDArray

__all__ = ["InputSpec", "Stream", "Task", "load_stream", "stream_from_npz", "stream_names"]

_FASHION = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle-boot")
_DIGITS = tuple(str(d) for d in range(10))

Arrays = tuple[NDArray[Any], NDArray[np.int64]]


def stream_names() -> list[str]:
    """Names that `load_stream` knows."""
    return sorted(_LOADERS)


def load_stream(name: str) -> Stream:
    """A named stream, read from the data folder (EDGECL_DATA, else ../shared/data).

    split-fashion-mnist, split-mnist, split-cifar10, digits: 5 tasks of 2 classes in natural order. permuted-mnist: 5
    tasks, each its own fifth of the training images under a fixed permutation of the pixels (the first unpermuted) and
    all test images under the same. har-phone-watch: 5 activities, phone then watch, subjects 17..23 held out.
    fsdd-speakers: spoken digits, one speaker a task, log-mel input, official test clips.

    Raises:
        ArgumentError: unknown name. DataError: the data are missing or damaged. UnsupportedError: a package that reads
        them is missing.
    """
    loader = _LOADERS.get(name)
    if loader is None:
        raise ArgumentError(f"expected a stream among {', '.join(stream_names())}; found '{name}'; check the spelling")
    return loader()


def stream_from_npz(path: str | os.PathLike[str], classes_per_task: int | None = None) -> Stream:
    """A stream from arrays x_train, y_train, x_test, y_test of an .npz file.

    Tasks come from the integer arrays task_train and task_test when both are there (ascending), or from domain_train
    and domain_test (numbers, ascending, or names in the order in which they come), else from the classes in ascending
    order, `classes_per_task` each. x is uint8 (taken as 0..255) or floats (converted to float32); labels
    are integers or text.

    Raises:
        DataError: the file is missing, damaged, or its arrays do not fit each other. ArgumentError: no way to cut tasks
        was given.
    """
    arrays = read_npz(path, ("x_train", "y_train", "x_test", "y_test"))
    source = os.fspath(path)
    x_train, x_test = _samples(arrays["x_train"], "x_train", source), _samples(arrays["x_test"], "x_test", source)
    if x_train.shape[1:] != x_test.shape[1:] or x_train.dtype != x_test.dtype:
        raise DataError(
            f"expected x_train and x_test with samples alike in '{source}'; found {x_train.shape[1:]} {x_train.dtype} "
            "and "
            f"{x_test.shape[1:]} {x_test.dtype}; convert one of them"
        )
    names, y_train, y_test = _class_ids(arrays["y_train"], arrays["y_test"], source)
    for part, x, y in (("train", x_train, y_train), ("test", x_test, y_test)):
        if len(x) != len(y):
            raise DataError(
                f"expected one label a sample in '{source}'; found {len(x)} samples and {len(y)} labels in x_{part}, "
                f"y_{part}; correct the file"
            )
    if x_train.dtype == np.uint8:
        scaled = x_train.astype(np.float32) / np.float32(255)
        spec = _spec("u8", x_train.shape[1:], 1 / 255, scaled)
    else:
        spec = _spec("f32", x_train.shape[1:], 1.0, x_train)
    train, test = (x_train, y_train), (x_test, y_test)
    for kind in ("task", "domain"):
        there = [part for part in ("train", "test") if f"{kind}_{part}" in arrays]
        if len(there) == 1:
            missing = f"{kind}_{'test' if there == ['train'] else 'train'}"
            raise DataError(
                f"expected {kind}_train and {kind}_test in '{source}'; found {kind}_{there[0]} alone; add {missing}"
            )
        if not there:
            continue
        of_train, of_test = arrays[f"{kind}_train"].ravel(), arrays[f"{kind}_test"].ravel()
        if len(of_train) != len(y_train) or len(of_test) != len(y_test):
            raise DataError(
                f"expected one {kind} a sample in '{source}'; found other lengths; correct {kind}_train and {kind}_test"
            )
        _check_origins(of_train, of_test, kind, source)
        tasks = tuple(
            _task(name if isinstance(name, str) else f"{kind} {name}", train, test, of_train == name, of_test == name)
            for name in _in_order(of_train)
        )
        return Stream(os.path.basename(source), "domain-incremental", _non_empty(tasks, source), spec, names)
    if classes_per_task is None or classes_per_task < 1:
        raise ArgumentError(
            "expected classes_per_task of at least 1 (--classes-per-task), because the file has no task_train and "
            f"task_test, nor domain_train and domain_test; found {classes_per_task}; pass it or add the arrays"
        )
    return _split(os.path.basename(source), train, test, classes_per_task, spec, names)


# --- the named ones ---


def _load_split_fashion_mnist() -> Stream:
    spec = InputSpec("u8", (1, 28, 28), 1 / 255, (0.2860,), (0.3530,))
    train, test = read_idx("fashion-mnist", "train"), read_idx("fashion-mnist", "t10k")
    return _split("split-fashion-mnist", train, test, 2, spec, _FASHION)


def _load_split_mnist() -> Stream:
    spec = InputSpec("u8", (1, 28, 28), 1 / 255, (0.1307,), (0.3081,))
    return _split("split-mnist", read_idx("mnist", "train"), read_idx("mnist", "t10k"), 2, spec, _DIGITS)


def _load_permuted_mnist() -> Stream:
    spec = InputSpec("u8", (1, 28, 28), 1 / 255, (0.1307,), (0.3081,))
    (x_train, y_train), (x_test, y_test) = read_idx("mnist", "train"), read_idx("mnist", "t10k")
    rng = np.random.default_rng(20100)
    share = len(x_train) // 5
    tasks = []
    for t in range(5):
        order = np.arange(784) if t == 0 else rng.permutation(784)
        part = slice(t * share, (t + 1) * share)
        tasks.append(
            Task(
                f"permutation {t}",
                np.ascontiguousarray(x_train[part].reshape(-1, 784)[:, order]).reshape(-1, 1, 28, 28),
                y_train[part],
                np.ascontiguousarray(x_test.reshape(-1, 784)[:, order]).reshape(-1, 1, 28, 28),
                y_test,
            )
        )
    return Stream("permuted-mnist", "domain-incremental", tuple(tasks), spec, _DIGITS)


def _load_split_cifar10() -> Stream:
    parts, names = read_cifar10()
    spec = InputSpec("u8", (3, 32, 32), 1 / 255, (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2615))
    return _split("split-cifar10", parts["train"], parts["test"], 2, spec, names)


def _load_digits() -> Stream:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise UnsupportedError(
            "expected scikit-learn, which ships the stream 'digits'; found none; pip install scikit-learn"
        ) from error
    bunch = load_digits()
    x = bunch.images.astype(np.uint8)[:, None]
    y = bunch.target.astype(np.int64)
    test = np.zeros(len(x), dtype=bool)
    rng = np.random.default_rng(0)
    for c in range(10):
        rows = np.flatnonzero(y == c)
        test[rng.permutation(rows)[: len(rows) // 5]] = True
    spec = InputSpec("u8", (1, 8, 8), 1 / 16, (0.3053,), (0.3760,))
    return _split("digits", (x[~test], y[~test]), (x[test], y[test]), 2, spec, _DIGITS)


def _load_har_phone_watch() -> Stream:
    required = ("x", "scale", "label", "subject", "device", "activities")
    arrays = read_npz(data_file("har_phone_watch.npz"), required)
    x = np.ascontiguousarray((arrays["x"] * arrays["scale"]).astype(np.float32).transpose(0, 2, 1))
    y = arrays["label"].astype(np.int64)
    test = arrays["subject"] >= 17
    spec = _spec("f32", x.shape[1:], 1.0, x[~test & (arrays["device"] == 0)])
    names = tuple(str(a).lower() for a in arrays["activities"].tolist())
    tasks = tuple(
        _task(name, (x, y), (x, y), ~test & (arrays["device"] == device), test & (arrays["device"] == device))
        for device, name in ((0, "phone"), (1, "watch"))
    )
    return Stream("har-phone-watch", "domain-incremental", tasks, spec, names)


def _load_fsdd_speakers() -> Stream:
    from edgecl.evaluate.audio import log_mel

    arrays = read_npz(data_file("fsdd.npz"), ("audio", "offsets", "label", "speaker", "speakers", "index"))
    audio, offsets = arrays["audio"], arrays["offsets"]
    clips = [audio[offsets[i] : offsets[i + 1]] for i in range(len(offsets) - 1)]
    x = np.stack([log_mel(clip, rate_hz=8000, seconds=1.0, n_mels=40) for clip in clips])[:, None]
    y = arrays["label"].astype(np.int64)
    test = arrays["index"] < 5
    spec = _spec("f32", x.shape[1:], 1.0, x[~test & (arrays["speaker"] == 0)])
    tasks = tuple(
        _task(str(name), (x, y), (x, y), ~test & (arrays["speaker"] == s), test & (arrays["speaker"] == s))
        for s, name in enumerate(arrays["speakers"].tolist())
    )
    return Stream("fsdd-speakers", "domain-incremental", tasks, spec, _DIGITS)


_LOADERS: dict[str, Callable[[], Stream]] = {
    "split-fashion-mnist": _load_split_fashion_mnist,
    "split-mnist": _load_split_mnist,
    "permuted-mnist": _load_permuted_mnist,
    "split-cifar10": _load_split_cifar10,
    "har-phone-watch": _load_har_phone_watch,
    "fsdd-speakers": _load_fsdd_speakers,
    "digits": _load_digits,
}


# --- cutting ---


def _check_origins(of_train: NDArray[Any], of_test: NDArray[Any], kind: str, source: str) -> None:
    for part, found in (("train", of_train), ("test", of_test)):
        if found.dtype.kind not in "iuUf" or (found.dtype.kind == "f" and not np.isfinite(found).all()):
            raise DataError(
                f"expected numbers or text as {kind}_{part} in '{source}'; found {found.dtype}, or numbers that are "
                "not finite; convert them"
            )
    unknown = np.setdiff1d(of_test, of_train)
    names = [name for name in of_train.tolist() if isinstance(name, str)]
    if any(not name or name.encode(errors="replace").decode() != name for name in names):
        raise DataError(f"expected names of Unicode text as {kind}_train in '{source}'; found another; rename it")
    if len(unknown):
        raise DataError(
            f"expected every {kind} of {kind}_test also in {kind}_train in '{source}'; found {unknown[:3].tolist()} "
            "there alone; add training rows, or leave these out"
        )


def _in_order(of_rows: NDArray[Any]) -> list[Any]:
    # Numbers ascending, names as they come.
    found, first = np.unique(of_rows, return_index=True)
    return list(found[np.argsort(first)].tolist() if found.dtype.kind == "U" else found.tolist())


def _task(name: str, train: Arrays, test: Arrays, train_rows: NDArray[np.bool_], test_rows: NDArray[np.bool_]) -> Task:
    return Task(name, train[0][train_rows], train[1][train_rows], test[0][test_rows], test[1][test_rows])


def _split(
    name: str, train: Arrays, test: Arrays, classes_per_task: int, spec: InputSpec, class_names: Sequence[str]
) -> Stream:
    classes = np.unique(train[1]).tolist()
    groups = [classes[i : i + classes_per_task] for i in range(0, len(classes), classes_per_task)]
    tasks = tuple(
        _task(_task_name(g, class_names), train, test, np.isin(train[1], g), np.isin(test[1], g)) for g in groups
    )
    return Stream(name, "class-incremental", _non_empty(tasks, name), spec, tuple(class_names))


def _task_name(classes: Sequence[int], class_names: Sequence[str]) -> str:
    # The names of its classes, the first three of many; numbers alone would say nothing.
    names = [class_names[c] for c in classes]
    text = ", ".join(names if len(names) <= 4 else [*names[:3], f"... ({len(names)} classes)"])
    return f"classes {text}" if all(name.isdigit() for name in names) else text


def _non_empty(tasks: tuple[Task, ...], source: str) -> tuple[Task, ...]:
    for task in tasks:
        if len(task.x_train) == 0 or len(task.x_test) == 0:
            raise DataError(
                f"expected training and test samples in {task.name} of '{source}'; "
                f"found {len(task.x_train)} and {len(task.x_test)}; add samples or cut the tasks differently"
            )
    if not tasks:
        raise DataError(f"expected at least one task in '{source}'; found no training sample; add some")
    return tasks


def _samples(x: NDArray[Any], name: str, source: str) -> NDArray[Any]:
    if x.dtype.kind not in "buif" or x.ndim < 2 or x.size == 0:
        raise DataError(
            f"expected samples (n, ...) of numbers, n >= 1, as {name} in '{source}'; found {x.dtype} of shape "
            f"{x.shape}; "
            "convert the array"
        )
    if x.dtype == np.uint8:
        return np.ascontiguousarray(x)
    converted = np.ascontiguousarray(x, dtype=np.float32)
    if not np.isfinite(converted).all():
        raise DataError(
            f"expected finite samples as {name} in '{source}'; found NaN or infinity; remove or repair them"
        )
    return converted


def _class_ids(
    y_train: NDArray[Any], y_test: NDArray[Any], source: str
) -> tuple[tuple[str, ...], NDArray[np.int64], NDArray[np.int64]]:
    for name, y in (("y_train", y_train), ("y_test", y_test)):
        if y.ndim != 1 or y.dtype.kind not in "iuU":
            raise DataError(
                f"expected integer or text labels (n,) as {name} in '{source}'; found {y.dtype} of shape {y.shape}; "
                "convert them"
            )
    if y_train.dtype.kind in "iu" and y_test.dtype.kind in "iu":
        most = int(max(y_train.max(initial=-1), y_test.max(initial=-1)))
        if min(y_train.min(initial=0), y_test.min(initial=0)) >= 0 and most < 65536:
            return tuple(str(c) for c in range(most + 1)), y_train.astype(np.int64), y_test.astype(np.int64)
    texts = np.concatenate([y_train.astype(str), y_test.astype(str)])
    names, codes = np.unique(texts, return_inverse=True)
    codes = codes.reshape(-1).astype(np.int64)
    return tuple(names.tolist()), codes[: len(y_train)], codes[len(y_train) :]


def _spec(dtype: str, dims: Sequence[int], scale: float, scaled: NDArray[np.float32]) -> InputSpec:
    # Channels are the first dimension of (C, T) and (C, H, W); a flat input has one mean for all its features.
    n_channels = int(dims[0]) if len(dims) > 1 else 1
    by_channel = scaled.reshape(len(scaled), n_channels, -1)
    mean = by_channel.mean(axis=(0, 2), dtype=np.float64)
    std = by_channel.std(axis=(0, 2), dtype=np.float64)
    std[std < 1e-6] = 1.0
    return InputSpec(dtype, tuple(int(d) for d in dims), scale, tuple(mean.tolist()), tuple(std.tolist()))
