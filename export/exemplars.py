# Samples of the shipped classes that travel in the bundle, for the replay buffer of the device.
# Never here: how the device uses them (runtime/learn/replay/remember.cpp).
"""`Exemplars`: which samples go along, and the record that the bundle writer takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from edgecl.errors import Error
from edgecl.export.errors import ExportError
from edgecl.labels import TEXT, label_keys
from numpy.typing import NDArray

_ROWS_A_CALL = 1000


@dataclass(frozen=True, eq=False)
class Exemplars:
    """Old samples that a bundle takes along, so that a device which learns new classes can replay the shipped ones.

    Attributes:
        x: raw samples as the device will see them, (n, *sample dims), in the dtype of the input; the data that the
            model was trained on, or a sample of them.
        y: their labels: names of the bundle's classes, or their columns.
        n: samples to keep, as many of each class as of the others.
        choice: "herding" (Rebuffi et al. 2017, iCaRL: samples whose mean embedding follows the class mean) or "random".
        dtype: "input", or "i8": one byte a number for float samples, with a scale and an offset a channel.
        seed: of a random choice.

    The data's rows of each class count as seen, so that the buffer treats old and new samples alike.
    """

    x: Any
    y: Any
    n: int = 200
    choice: Literal["herding", "random"] = "herding"
    dtype: Literal["input", "i8"] = "input"
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.n, int) or not 1 <= self.n <= 16384:
            raise ExportError(f"expected 1..16384 exemplars; found {self.n!r}; 200 is a usual number", -1)
        if self.choice not in ("herding", "random"):
            raise ExportError(f"expected choice 'herding' or 'random'; found {self.choice!r}; choose one", -1)
        if self.dtype not in ("input", "i8"):
            raise ExportError(f"expected dtype 'input' or 'i8'; found {self.dtype!r}; choose one", -1)


def exemplar_record(wanted: Exemplars, draft: bytes) -> tuple[dict[str, Any], list[str]]:
    """The record of `write_bundle`, and notes for the report.

    Args:
        draft: the bundle without them; its network makes the embeddings.

    Raises:
        ExportError: samples or labels that do not fit the bundle.
    """
    from edgecl.classifier import Classifier

    learner = Classifier(draft, random_state=wanted.seed)
    info = learner.bundle_info()
    names = info["classes"]
    if not names:
        raise ExportError("expected classes that the bundle ships, to remember samples of; found none; name them", -1)
    x = _samples(wanted.x, info)
    columns = _columns(wanted.y, names, len(x))
    quotas = _quotas(np.bincount(columns, minlength=len(names)), wanted.n)
    generator = np.random.default_rng(wanted.seed)
    chosen = []
    for column, quota in enumerate(quotas.tolist()):
        rows = np.flatnonzero(columns == column)
        if quota and wanted.choice == "random":
            chosen.append(generator.permutation(rows)[:quota])
        elif quota:
            chosen.append(rows[herding(_embeddings(learner, x[rows]), quota)])
        else:
            chosen.append(rows[:0])
    order = np.array([rows[i] for i in range(int(quotas.max())) for rows in chosen if i < len(rows)])
    counts = np.bincount(columns, minlength=len(names))
    record = {
        "labels": columns[order].astype(np.uint32),
        "rows": [(column, int(counts[column])) for column in np.flatnonzero(quotas).tolist()],
        **_stored(x[order], wanted.dtype, info),
    }
    notes = [f"{len(order)} exemplars of {np.count_nonzero(quotas)} classes travel in the bundle ({wanted.choice})"]
    without = [name for name, quota in zip(names, quotas, strict=True) if not quota]
    if without:
        notes.append(f"no exemplars of: {', '.join(without)}")
    capacity = int(info["recipe"]["replay_capacity"])
    if capacity < len(order):
        notes.append(f"the recipe's buffer holds {capacity} of the {len(order)} exemplars")
    return record, notes


def herding(embeddings: NDArray[np.floating[Any]], n: int) -> NDArray[np.int64]:
    """The first n rows whose running mean stays closest to the mean of all (Rebuffi et al. 2017, algorithm 4; each row
    scaled to length 1). Any prefix is a good choice of that size. Cost: n * rows * width."""
    rows = embeddings.astype(np.float64).reshape(len(embeddings), -1)
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    mean = rows.mean(axis=0)
    taken = np.zeros(len(rows), bool)
    total = np.zeros_like(mean)
    order = []
    for k in range(1, n + 1):
        distance = np.linalg.norm(mean - (total + rows) / k, axis=1)
        distance[taken] = np.inf
        best = int(distance.argmin())
        taken[best] = True
        total += rows[best]
        order.append(best)
    return np.array(order, np.int64)


def _samples(x: Any, info: dict[str, Any]) -> NDArray[Any]:
    rows = np.asarray(x)
    dtype = np.dtype(np.uint8 if info["input_dtype"] == 1 else np.float32)
    dims = tuple(info["input_dims"])
    if rows.dtype != dtype or rows.shape[1:] != dims or len(rows) == 0:
        raise ExportError(
            f"expected samples to remember of shape (n, {', '.join(map(str, dims))}) and {dtype}; found "
            f"{rows.shape} of {rows.dtype}; hand in raw samples as the device will see them",
            -2,
        )
    if dtype == np.float32 and not np.isfinite(rows).all():
        raise ExportError("expected finite samples to remember; found NaN or infinity; repair or drop them", -60)
    return rows


def _columns(y: Any, names: list[str], n_rows: int) -> NDArray[np.int64]:
    try:
        keys, kind = label_keys(y, n_rows)
    except Error as error:
        raise ExportError(str(error), error.status) from error
    known = {name: column for column, name in enumerate(names)}
    if kind != TEXT and not all(str(key) in known for key in set(keys)):  # columns of classes with other names
        known = {str(column): column for column in range(len(names))}
    unknown = sorted({str(key) for key in keys if str(key) not in known})
    if unknown:
        raise ExportError(
            f"expected labels among the classes of the bundle ({', '.join(names[:8])}); found "
            f"{', '.join(unknown[:5])}; leave their rows out, or ship the classes",
            -2,
        )
    return np.array([known[str(key)] for key in keys], np.int64)


def _quotas(counts: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    # As even as the data allow: what a small class cannot give goes to the others.
    quotas = np.zeros_like(counts)
    for _ in range(min(n, int(counts.sum()))):
        open_classes = np.flatnonzero(quotas < counts)
        quotas[open_classes[quotas[open_classes].argmin()]] += 1
    return quotas


def _embeddings(learner: Any, x: NDArray[Any]) -> NDArray[np.float32]:
    read = learner.embed if learner.bundle_info()["embedding_dim"] else learner.logits
    return np.concatenate([read(x[i : i + _ROWS_A_CALL]) for i in range(0, len(x), _ROWS_A_CALL)])


def _stored(x: NDArray[Any], dtype: str, info: dict[str, Any]) -> dict[str, Any]:
    if dtype == "input":
        return {"samples": np.ascontiguousarray(x)}
    if x.dtype == np.uint8:
        raise ExportError("expected float samples for dtype='i8'; found bytes, which take one each; leave it out", -1)
    last = bool(info["channels_last"]) and x.ndim > 2
    by_channel = np.moveaxis(x, -1, 1) if last else x
    n_channels = len(info["input"]["mean"])
    flat = by_channel.reshape(len(x), n_channels, -1).astype(np.float64)
    low, high = flat.min(axis=(0, 2)), flat.max(axis=(0, 2))
    scale = ((high - low) / 255).astype(np.float32)
    offset = (low + 128 * scale.astype(np.float64)).astype(np.float32)
    steps = np.where(scale > 0, scale, 1).astype(np.float64)[:, None]
    stored = np.clip(np.rint((flat - offset[:, None]) / steps), -128, 127).astype(np.int8).reshape(by_channel.shape)
    return {
        "samples": np.ascontiguousarray(np.moveaxis(stored, 1, -1) if last else stored),
        "scale": scale,
        "offset": offset,
    }
