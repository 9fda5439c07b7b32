# Streams of domains: the same classes from other devices, speakers or pictures; and the caller's own arrays.
# Never here: networks, learning (ear_contenders.py).
"""`STREAMS` by name and `own_stream`, each an `edgecl.evaluate.Stream` whose tasks are domains."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from edgecl.errors import DataError
from edgecl.evaluate.data_files import read_cifar10, read_idx
from edgecl.evaluate.stream_types import InputSpec, Stream, Task
from edgecl.evaluate.streams import load_stream
from edgecl.npz import read_npz
from numpy.typing import NDArray

MNIST_ROWS, BLENDED_ROWS, TEST_ROWS = 5000, 2500, 1000  # of the chain of digits
DIGITS_TEST = 500
OWN_TEST_SHARE = 0.2

Arrays = tuple[NDArray[Any], NDArray[np.int64]]


def har(order: tuple[int, int]) -> Stream:
    """Five activities by phone and watch (GeoTecINIT), subjects 17..23 held out, as maps (6, 128, 1)."""
    stream = load_stream("har-phone-watch")
    tasks = tuple(_map(stream.tasks[i]) for i in order)
    return _stream(" to ".join(task.name for task in tasks), tasks, 1.0)


def _map(task: Task) -> Task:
    return replace(task, x_train=task.x_train[..., None], x_test=task.x_test[..., None])


def speakers() -> Stream:
    """Spoken digits (FSDD), six speakers one after the other, log-mel maps (1, 40, 61), official test clips."""
    return _stream("speakers", load_stream("fsdd-speakers").tasks, 1.0)


def digits() -> Stream:
    """MNIST as pictures (3, 32, 32); MNIST blended into CIFAR-10 by absolute difference (after MNIST-M, Ganin et al.
    2016, with other pictures); scikit-learn's digits, each pixel three by three."""
    from sklearn.datasets import load_digits

    (x, y), (x_test, y_test) = read_idx("mnist", "train"), read_idx("mnist", "t10k")
    parts, _ = read_cifar10()
    pictures, pictures_test = parts["train"][0], parts["test"][0]
    first, second, test = slice(0, MNIST_ROWS), slice(20000, 20000 + BLENDED_ROWS), slice(4000, 4000 + TEST_ROWS)
    plain = Task("mnist", framed(x[first]), y[first], framed(x_test[:TEST_ROWS]), y_test[:TEST_ROWS])
    blended = Task("blended", blend(x[second], pictures), y[second], blend(x_test[test], pictures_test), y_test[test])
    found = load_digits()
    order = np.random.default_rng(0).permutation(len(found.target))
    small = (found.images[order] * (255 / 16)).astype(np.uint8)[:, None].repeat(3, 2).repeat(3, 3)
    z, n = found.target[order].astype(np.int64), len(order) - DIGITS_TEST
    return _stream(
        "digits", (plain, blended, Task("8 x 8", framed(small[:n]), z[:n], framed(small[n:]), z[n:])), 1 / 255
    )


def framed(x: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey pictures (n, 1, h, w) in the middle of black ones of three channels, (n, 3, 32, 32)."""
    before = [(32 - side) // 2 for side in x.shape[2:]]
    room = [(0, 0), (0, 0), *((b, 32 - side - b) for b, side in zip(before, x.shape[2:], strict=True))]
    return np.pad(x, room).repeat(3, 1)


def blend(x: NDArray[np.uint8], pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """|picture - digit|, each digit in another picture (n, 3, 32, 32)."""
    blended: NDArray[np.uint8] = np.abs(framed(x).astype(np.int16) - pictures[: len(x)]).astype(np.uint8)
    return blended


STREAMS = {
    "phone-watch": lambda: har((0, 1)),
    "watch-phone": lambda: har((1, 0)),
    "speakers": speakers,
    "digits": digits,
}


def own_stream(path: Path) -> Stream:
    """Arrays x, y, domain, or x_train, y_train, domain_train, x_test, y_test, domain_test, of an .npz file. x: uint8
    (taken as 0..255) or numbers; vectors (n, d), images (n, h, w), (n, h, w, 1 or 3) or (n, c, h, w), time series as
    (n, channels, steps, 1). Domains come in the order of their first row. Without test arrays a fifth of each domain's
    rows, drawn with a seed, is for the test.

    Raises:
        DataError: missing, damaged, of other lengths, fewer than two domains, or one without rows of a part.
    """
    arrays = read_npz(path, ())
    names = ("x", "y", "domain")
    if set(names) <= set(arrays):
        x, y, domain = (arrays[name] for name in names)
        _same_lengths(path, x, y, domain)
        test = _drawn(domain)
        parts = [[values[~test] for values in (x, y, domain)], [values[test] for values in (x, y, domain)]]
    else:
        wanted = [f"{name}_{part}" for part in ("train", "test") for name in names]
        if missing := [name for name in wanted if name not in arrays]:
            raise DataError(
                f"expected x, y and domain, or also {missing}; found {sorted(arrays)} in '{path}'; add them"
            )
        parts = [[arrays[f"{name}_{part}"] for name in names] for part in ("train", "test")]
        for part in parts:
            _same_lengths(path, *part)
    classes = np.unique(np.concatenate([parts[0][1], parts[1][1]]))
    order = list(dict.fromkeys([*parts[0][2].tolist(), *parts[1][2].tolist()]))
    tasks = []
    for name in order:
        pieces: list[NDArray[Any]] = []
        for x, y, domain in parts:
            rows = domain == name
            if not rows.any():
                raise DataError(f"expected training and test rows of domain {name!r}; found none of one; add some")
            pieces += [_maps(x[rows]), np.searchsorted(classes, y[rows]).astype(np.int64)]
        tasks.append(Task(str(name), *pieces))
    if len(tasks) < 2:
        raise DataError(f"expected two domains or more; found {order} in '{path}'; say in `domain` where rows are from")
    return _stream(path.name, tuple(tasks), 1 / 255 if tasks[0].x_train.dtype == np.uint8 else 1.0)


def _same_lengths(path: Path, x: NDArray[Any], y: NDArray[Any], domain: NDArray[Any]) -> None:
    if not len(x) == len(y) == len(domain):
        lengths = [len(values) for values in (x, y, domain)]
        raise DataError(f"expected one label and one domain a row; found {lengths} rows in '{path}'; correct the file")


def _drawn(domain: NDArray[Any]) -> NDArray[np.bool_]:
    generator, test = np.random.default_rng(0), np.zeros(len(domain), np.bool_)
    for name in np.unique(domain):
        rows = generator.permutation(np.flatnonzero(domain == name))
        test[rows[: max(1, round(OWN_TEST_SHARE * len(rows)))]] = True
    return test


def _maps(x: NDArray[Any]) -> NDArray[Any]:
    x = x if x.dtype == np.uint8 else x.astype(np.float32)
    if x.ndim == 3:
        x = x[:, None]
    elif x.ndim == 4 and x.shape[3] in (1, 3) and x.shape[1] > 4:
        x = x.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(x)


def _stream(name: str, tasks: tuple[Task, ...], scale: float) -> Stream:
    # The input is standardised by the first domain's channels: what is known when the encoder is made.
    x = tasks[0].x_train
    scaled = x.astype(np.float32) * np.float32(scale)
    axes = (0,) if x.ndim == 2 else (0, *range(2, x.ndim))
    mean, std = scaled.mean(axes), np.maximum(scaled.std(axes), 1e-3)
    dtype = "u8" if x.dtype == np.uint8 else "f32"
    spec = InputSpec(dtype, x.shape[1:], scale, tuple(map(float, mean)), tuple(map(float, std)))
    n = 1 + max(int(task.y_train.max()) for task in tasks)
    return Stream(name, "domain-incremental", tasks, spec, tuple(map(str, range(n))))
