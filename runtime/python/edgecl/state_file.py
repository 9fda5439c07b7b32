# A reader of saved states (.ecs) in Python, for looking into them.
# Never here: writing states, or restoring them into a learner (the core does both).
"""`read_state`: what a saved state holds, without its bundle. The core reads and checks the frame (header, table of
sections, digests); here are the contents, after runtime/state/FORMAT.md."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecl import _core
from edgecl.errors import StateError

_CONFIG, _COUNTERS, _PARAMS, _STATISTICS, _CLASSES, _REPLAY, _SPARSITY, _HEAD, _NOVELTY, _DEVICES = range(1, 11)
_DOMAINS, _DRIFT, _DOMAIN_DEVICES = 12, 13, 14
_NAME_BYTES = 64  # of a domain
_LEARNING, _VELOCITY, _SELECTION, _LATENT = 1, 2, 4, 8
_SPARSE = 1
_SHARED_MOMENTS = ("lda", "ridge")
_CLASS_MOMENTS = ("fecam",)
_PRESENT, _WEIGHTED = 1, 4


@dataclass(frozen=True)
class StateParameter:
    """Values of one trainable parameter; `positions` are flat positions of the values of a sparse one, else None;
    `selected` says which of these get a gradient, where a gradient mask outlives its step."""

    index: int
    values: NDArray[np.float32]
    positions: NDArray[np.uint32] | None
    selected: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class StateFile:
    """The contents of a saved state.

    Attributes:
        bundle_sha256: digest of the bundle that it belongs to, hex.
        sha256: of the state itself, hex; the same as the learner's `state_digest()`.
        config: max_classes, class_capacity, replay_capacity, input_dtype, logits_width, sample_bytes, learns, momentum,
            latent_replay.
        recipe: the fields of the recipe in force, choices by name; learning_rate is among the counters. Empty when the
            session only predicted.
        counters: seed, step, samples_learned, tasks, macs_learn, macs_learn_dense, macs_paper, macs_paper_dense,
            reservoir_seen, learning_rate, steps_in_task, structure_updates, weights_dropped, weights_grown, rehearsals.
        parameters: trainable parameters, ascending index.
        statistics: {operator: (running mean, running variance)}.
        classes: {"label", "name", "present", "samples_seen", "weight"} of every label ever issued.
        replay_labels: labels of the exemplars, by slot.
        head: what a head that keeps statistics holds, {"head", "dim", "rows", "bank_rows", "class_rows"}: the rows of
            each column, in all domains, those of other devices included; None for another head.
        devices: {"device", "version", "rows", "n_classes", "own"}: this device, whose number is 0 where none was set,
            and those that were merged; empty for another head.
        thresholds: {"score", "accept", "novel", "rows"} of every novelty score that has thresholds.
        domains: {"name", "rows", "rows_merged", "adapted", "held", "features", "selected"} of every domain; empty
            without. rows are those of this device, rows_merged those of the others.
        drift: of the drift alarm, {"score", "window", "observed", "alarms", "alarm"}; None without thresholds.
        sections: {"id", "name", "version", "optional", "offset", "bytes", "sha256"} of every section, in file order.
    """

    bundle_sha256: str
    sha256: str
    config: dict[str, Any]
    recipe: dict[str, Any]
    counters: dict[str, Any]
    parameters: list[StateParameter]
    statistics: dict[int, tuple[NDArray[np.float32], NDArray[np.float32]]]
    classes: list[dict[str, Any]]
    replay_labels: NDArray[np.int32]
    head: dict[str, Any] | None
    devices: list[dict[str, Any]]
    thresholds: list[dict[str, Any]]
    domains: list[dict[str, Any]]
    drift: dict[str, Any] | None
    sections: list[dict[str, Any]]


class SectionReader:
    """Takes pieces off the front of a section; every piece is checked against what is left. StateError otherwise."""

    def __init__(self, data: memoryview, where: str) -> None:
        self._data = data
        self._where = where
        self._at = 0

    def take(self, n_bytes: int) -> memoryview:
        """The next bytes."""
        if n_bytes < 0 or self._at + n_bytes > len(self._data):
            raise _corrupt(f"{n_bytes} more bytes in {self._where}", f"{len(self._data) - self._at}")
        piece = self._data[self._at : self._at + n_bytes]
        self._at += n_bytes
        return piece

    def unpack(self, layout: str) -> tuple[Any, ...]:
        """The next words, as `struct` names them, little-endian."""
        return struct.unpack("<" + layout, self.take(struct.calcsize("<" + layout)))

    def array(self, dtype: str, n: int) -> NDArray[Any]:
        """The next n numbers."""
        return np.frombuffer(self.take(n * np.dtype(dtype).itemsize), dtype=dtype)

    def list_length(self) -> int:
        """The count that begins a list."""
        return int(self.unpack("II")[0])

    def finish(self) -> None:
        """StateError unless all was taken."""
        if self._at != len(self._data):
            raise _corrupt(f"the end of {self._where}", f"{len(self._data) - self._at} more bytes")


def read_state(data: bytes) -> StateFile:
    """Decodes a saved state after checking its digests and every length.

    Raises:
        StateError: not a state, truncated, changed, or of a newer format.
    """
    table = _core.read_state_table(data)
    view = memoryview(data)
    sections = {
        section["id"]: SectionReader(view[section["offset"] : section["offset"] + section["bytes"]], section["name"])
        for section in table["sections"]
    }
    versions = {section["id"]: section["version"] for section in table["sections"]}
    for wanted in range(_CONFIG, _SPARSITY + 1):
        if versions.get(wanted) != 1:
            raise _corrupt(f"a section {wanted} of version 1", f"{versions.get(wanted)}", "read it with a newer edgecl")
    (max_classes, capacity, head, flags, replay_capacity, dtype, sample_bytes, logits_width, n_recipe) = sections[
        _CONFIG
    ].unpack("9I")
    recipe = _recipe(sections[_CONFIG].array("<u4", n_recipe))
    numbers = sections[_COUNTERS].unpack("8QfI")
    names = (
        *("seed", "step", "samples_learned", "tasks", "macs_learn", "macs_learn_dense", "macs_paper"),
        "macs_paper_dense",
    )
    statistics_head = _head(sections[_HEAD], head) if _HEAD in sections else None
    domains: list[dict[str, Any]] = []
    devices: list[dict[str, Any]] = []
    if statistics_head is not None and _DOMAINS in sections:
        domains, devices = _domains(sections[_DOMAINS], sections.get(_DOMAIN_DEVICES), statistics_head, head)
    elif statistics_head is not None:
        devices = _devices(sections.get(_DEVICES), statistics_head)
    seen = sections[_REPLAY].unpack("QQQ")[0]
    sparsity = sections[_SPARSITY].unpack("QQQQQQdddII")
    sparsity_names = ("steps_in_task", "structure_updates", "weights_dropped", "weights_grown", "rehearsals")
    state = StateFile(
        bundle_sha256=table["bundle_sha256"],
        sha256=table["sha256"],
        config={
            "max_classes": max_classes,
            "class_capacity": capacity,
            "replay_capacity": replay_capacity,
            "input_dtype": dtype,
            "logits_width": logits_width,
            "sample_bytes": sample_bytes,
            "learns": bool(flags & _LEARNING),
            "momentum": bool(flags & _VELOCITY),
            "latent_replay": bool(flags & _LATENT),
        },
        recipe=recipe if flags & _LEARNING else {},
        counters={
            **dict(zip(names, numbers, strict=False)),
            "reservoir_seen": seen,
            "learning_rate": numbers[8],
            **dict(zip(sparsity_names, sparsity, strict=False)),
        },
        parameters=_parameters(sections[_PARAMS], bool(flags & _VELOCITY), bool(flags & _SELECTION)),
        statistics=_statistics(sections[_STATISTICS]),
        classes=_classes(sections[_CLASSES]),
        replay_labels=_replay_labels(sections[_REPLAY], sample_bytes, logits_width),
        head=None if statistics_head is None else {k: v for k, v in statistics_head.items() if k != "width"},
        devices=devices,
        thresholds=_thresholds(sections[_NOVELTY]) if _NOVELTY in sections else [],
        domains=domains,
        drift=_drift(sections[_DRIFT]) if _DRIFT in sections else None,
        sections=table["sections"],
    )
    for wanted in range(_CONFIG, _SPARSITY + 1):
        sections[wanted].finish()
    return state


def _recipe(words: NDArray[np.uint32]) -> dict[str, Any]:
    recipe: dict[str, Any] = {}
    for word, (name, kind, names) in zip(words, _core.recipe_fields(), strict=False):
        value = float(str(word.view(np.float32))) if kind == "number" else int(word)
        recipe[name] = names[int(word)] if int(word) < len(names) else value
    for name in ("learning_rate", "batch_size"):  # not of a state
        recipe.pop(name, None)
    return recipe


def _parameters(section: SectionReader, velocity: bool, selection: bool) -> list[StateParameter]:
    result = []
    for _ in range(section.list_length()):
        index, storage, n_values = section.unpack("IIQ")
        positions = section.array("<u4", n_values) if storage == _SPARSE else None
        selected = None
        values = section.array("<f4", n_values)
        if velocity:
            section.array("<f4", n_values)
        if selection and positions is not None:
            selected = np.frombuffer(section.take(n_values), np.uint8).astype(bool)
        result.append(StateParameter(index, values, positions, selected))
    return result


def _statistics(section: SectionReader) -> dict[int, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    result = {}
    for _ in range(section.list_length()):
        op, channels = section.unpack("II")
        result[op] = (section.array("<f4", channels), section.array("<f4", channels))
    return result


def _classes(section: SectionReader) -> list[dict[str, Any]]:
    result = []
    n, _label_kind = section.unpack("II")
    for _ in range(n):
        label, flags, samples_seen, n_name = section.unpack("IIQI")
        name = bytes(section.take(n_name)).decode(errors="replace")
        (weight,) = section.unpack("f") if flags & _WEIGHTED else (1.0,)
        present = bool(flags & _PRESENT)
        result.append(
            {"label": label, "name": name, "present": present, "samples_seen": samples_seen, "weight": weight}
        )
    return result


def _replay_labels(section: SectionReader, sample_bytes: int, logits_width: int) -> NDArray[np.int32]:
    n = section.list_length()
    stride = 4 + sample_bytes + 4 * logits_width
    slots = np.frombuffer(section.take(n * stride), np.uint8).reshape(n, stride)
    return slots[:, :4].copy().view("<i4").reshape(n)


def _names(field: str) -> list[str]:
    return next(names for name, _, names in _core.recipe_fields() if name == field)


def _head(section: SectionReader, kind: int) -> dict[str, Any]:
    # The counts alone; passes over the rest.
    dim, _scale, n_classes, bank_rows = section.unpack("IfII")
    rows: dict[int, int] = {}
    if head_name(kind) == "hd":
        bits, bank_rows = bank_rows, 0
        for _ in range(n_classes):
            label, n, _ = section.unpack("Qqq")
            rows[label] = n
            section.take(4 * bits)
        return _head_found("hd", dim, bits, bank_rows, rows)
    name = head_name(kind)
    for _ in range(n_classes):
        label, n, *_ = section.unpack("Qqqq")
        rows[label] = n
        section.take(8 * (dim + _triangle(name, dim)))
    if name in _SHARED_MOMENTS:
        section.take(8 * (dim * (dim + 1) // 2))
    section.take(bank_rows * (4 + 2 * dim))
    return _head_found(name, dim, dim, bank_rows, rows)


def _head_found(name: str, dim: int, width: int, bank_rows: int, rows: dict[int, int]) -> dict[str, Any]:
    # width: numbers of a class.
    found = {"head": name, "dim": dim, "rows": sum(rows.values()), "bank_rows": bank_rows}
    return {**found, "class_rows": rows, "width": width}


def _triangle(head: str, dim: int) -> int:
    # Second moments behind the sums of each class.
    return dim * (dim + 1) // 2 if head in _CLASS_MOMENTS else 0


def head_name(kind: int) -> str:
    """Name of a head by its number."""
    names = _names("head")
    return names[kind] if kind < len(names) else str(kind)


def _devices(section: SectionReader | None, head: dict[str, Any]) -> list[dict[str, Any]]:
    own = {"device": 0, "version": 0}
    others = []
    left = dict(head["class_rows"])
    if section is not None:
        own["device"], own["version"], _ = section.unpack("QQQ")
        for _ in range(section.list_length()):
            device, version = section.unpack("QQ")
            rows = read_part_sums(section, head["head"], head["width"], _label)
            others.append(_device(device, version, rows, own=False))
            left = {label: n - rows.get(label, 0) for label, n in left.items()}
        section.finish()
    return [_device(own["device"], own["version"], left, own=True), *others]


def _device(device: int, version: int, rows: dict[Any, int], own: bool) -> dict[str, Any]:
    n_classes = sum(n > 0 for n in rows.values())
    return {"device": device, "version": version, "rows": sum(rows.values()), "n_classes": n_classes, "own": own}


def _label(section: SectionReader) -> int:
    return int(section.unpack("I")[0])


def add_rows(to: dict[Any, int], rows: dict[Any, int]) -> None:
    """Adds the rows of classes."""
    for key, n in rows.items():
        to[key] = to.get(key, 0) + n


def read_part_sums(
    section: SectionReader, head: str, width: int, key: Callable[[SectionReader], Any]
) -> dict[Any, int]:
    """Rows of each class of what one device contributed to the sums of a head.

    Args:
        head: its name; "lda" for what routes.
        width: numbers of a class.
        key: reads what stands for a class: its column in states, its name in messages.
    """
    rows = {}
    for _ in range(section.list_length()):
        label = key(section)
        rows[label] = section.unpack("qqq")[0]
        section.take(4 * width if head == "hd" else 8 * (width + _triangle(head, width)))
    if head in _SHARED_MOMENTS:
        section.take(width * (width + 1) // 2 * 8)
    return rows


def read_part_domains(
    section: SectionReader, head: str, width: int, features: int, key: Callable[[SectionReader], Any]
) -> tuple[dict[Any, int], dict[int, tuple[int, int]]]:
    """The same with domains: rows of each class, and by the domain's number its rows and held-out rows."""
    rows: dict[Any, int] = {}
    domains = {}
    for _ in range(section.list_length()):
        domain = section.list_length()
        n_rows = section.unpack("Q")[0]
        held = section.list_length()
        section.take(2 * features * held)
        domains[domain] = (n_rows, held)
        add_rows(rows, read_part_sums(section, head, width, key))
        read_part_sums(section, "lda", features, key)
    return rows, domains


def _thresholds(section: SectionReader) -> list[dict[str, Any]]:
    result = []
    for _ in range(section.list_length()):
        score, accept, novel, rows = section.unpack("QffQ")
        result.append({"score": _names("novelty")[score], "accept": accept, "novel": novel, "rows": rows})
    return result


def _domains(
    section: SectionReader, parts: SectionReader | None, head: dict[str, Any], kind: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    # Domains, and devices over all of them; `head` is then that of all domains.
    n, selected, _routes, _ = section.unpack("IIII")
    found: dict[int, dict[str, Any]] = {}
    own_rows = dict(head["class_rows"])
    features = 0
    for _ in range(n):
        index, adapted, rows = section.unpack("IIQ")
        name = bytes(section.take(_NAME_BYTES)).rstrip(b"\0").decode()
        section.take(4 * section.unpack("Q")[0])
        features = _sums(section, _SHARED_MOMENTS[0])
        held = section.list_length()
        section.take(2 * held * features)
        if index > 0:
            add_rows(own_rows, _head(section, kind)["class_rows"])
        entry = {"name": name, "rows": rows, "rows_merged": 0, "adapted": bool(adapted), "held": held}
        found[index] = {**entry, "features": features, "selected": index == selected}
    section.finish()
    own, others = (0, 0), []
    all_rows = dict(own_rows)
    if parts is not None:
        own = parts.unpack("QQQQ")[:2]
        for _ in range(parts.list_length()):
            device, version = parts.unpack("QQ")
            class_rows, domains = read_part_domains(parts, head["head"], head["width"], features, _label)
            others.append(_device(device, version, class_rows, own=False))
            add_rows(all_rows, class_rows)
            for index, (rows, held) in domains.items():
                if index not in found:
                    raise _corrupt("parts of domains that exist", f"domain {index}")
                found[index]["rows_merged"] += rows
                found[index]["held"] += held
        parts.finish()
    head |= {"class_rows": all_rows, "rows": sum(all_rows.values())}
    return list(found.values()), [_device(*own, own_rows, own=True), *others]


def _sums(section: SectionReader, head: str) -> int:
    # Passes over statistics of such a head; their width.
    dim, _scale, n_classes, bank_rows = section.unpack("IfII")
    shared = dim * (dim + 1) // 2 if head in _SHARED_MOMENTS else 0
    section.take(n_classes * (32 + 8 * (dim + _triangle(head, dim))) + 8 * shared + bank_rows * (4 + 2 * dim))
    return int(dim)


def _drift(section: SectionReader) -> dict[str, Any]:
    for _ in range(section.list_length()):
        section.unpack("QfIQ")
    score, window, observed, alarms, alarm = section.unpack("IIQQI")
    found = {"score": _names("novelty")[score], "window": window, "observed": observed}
    return {**found, "alarms": alarms, "alarm": bool(alarm)}


def _corrupt(expected: str, found: str, remedy: str = "restore the file from a copy") -> StateError:
    return StateError(f"expected {expected}; found {found}; {remedy}")
