# The mapping between what users call a class (any hashable label) and the columns and names of the core.
# Never here: arrays of samples, sessions, files.
"""Labels: objects for the user, columns for the core, names in the state."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecl import _core
from edgecl.errors import ArgumentError, ShapeError

MAX_NAME_BYTES = _core.MAX_CLASS_NAME_BYTES


def label_list(y: Any, n_rows: int) -> list[Hashable]:
    """Labels of a batch as plain Python objects (numpy scalars become int, float, bool, str).

    Raises:
        ShapeError: not one label a row. ArgumentError: a label that is not hashable, or NaN.
    """
    if isinstance(y, np.ndarray):
        if y.ndim != 1:
            raise ShapeError(f"expected one label a row, shape ({n_rows},); found {y.shape}; flatten the labels")
        labels: list[Hashable] = y.tolist()
    else:
        try:
            labels = [label.item() if isinstance(label, np.generic) else label for label in y]
        except TypeError as error:
            raise ArgumentError(
                f"expected a sequence of labels; found {type(y).__name__}; pass a list or an array"
            ) from error
    if len(labels) != n_rows:
        raise ShapeError(f"expected {n_rows} labels, one a row; found {len(labels)}; pass equally many of both")
    for label in set(map(_checked, labels)):
        if isinstance(label, float) and label != label:
            raise ArgumentError("expected a label; found NaN; drop the rows that have none")
    return labels


def _checked(label: Any) -> Hashable:
    try:
        hash(label)
    except TypeError as error:
        raise ArgumentError(
            f"expected hashable labels; found {type(label).__name__}; use int, str or a tuple"
        ) from error
    return label  # type: ignore[no-any-return]


def class_name(label: Hashable) -> str:
    """The text under which a label is kept in the state: `str(label)`, shortened with a digest beyond 63 bytes."""
    name = str(label)
    encoded = name.encode(errors="surrogatepass")
    if not name or "\0" in name or encoded.decode(errors="replace") != name:
        raise ArgumentError(
            f"expected a label whose text is valid, not empty and without NUL; found {label!r}; rename the class"
        )
    if len(encoded) <= MAX_NAME_BYTES:
        return name
    digest = hashlib.sha256(encoded).hexdigest()[:16]
    return encoded[: MAX_NAME_BYTES - 17].decode(errors="ignore") + "#" + digest


def label_from_name(name: str) -> Hashable:
    """The label that a name read from a bundle or state stands for: an int where it is the canonical text of one,
    else the text."""
    digits = name.removeprefix("-")
    if digits.isascii() and digits.isdigit() and str(int(name)) == name:
        return int(name)
    return name


def label_array(labels: Sequence[Hashable]) -> NDArray[Any]:
    """Labels as a one-dimensional array of their common type; of objects when they have none."""
    kinds = {type(label) for label in labels}
    for kind, dtype in ((int, np.int64), (bool, np.bool_), (float, np.float64), (str, np.str_)):
        if kinds == {kind}:
            try:
                return np.array(labels, dtype=dtype)
            except OverflowError:  # an int beyond 64 bits stays a Python int
                break
    array = np.empty(len(labels), dtype=object)
    for i, label in enumerate(labels):
        array[i] = label
    return array


class LabelMap:
    """Which label is which column. Names come from the core; label objects are bound when a user first hands one in."""

    def __init__(self) -> None:
        self._code_of_name: dict[str, int] = {}
        self._label_of_code: dict[int, Hashable] = {}
        self._bound: dict[str, Hashable] = {}

    @classmethod
    def from_classes(cls, classes: Iterable[dict[str, Any]], bound: dict[str, Hashable] | None = None) -> LabelMap:
        """From the core's class records; `bound` keeps label objects that the user handed in earlier, by name."""
        result = cls()
        for record in classes:
            if record["present"]:
                name = str(record["name"])
                code = int(record["label"])
                result._code_of_name[name] = code
                result._label_of_code[code] = (bound or {}).get(name, label_from_name(name))
        if bound:
            result._bound = {name: label for name, label in bound.items() if name in result._code_of_name}
        return result

    def copy(self) -> LabelMap:
        """An independent copy."""
        other = LabelMap()
        other._code_of_name = dict(self._code_of_name)
        other._label_of_code = dict(self._label_of_code)
        other._bound = dict(self._bound)
        return other

    @property
    def bound(self) -> dict[str, Hashable]:
        """Label objects that the user handed in, by class name."""
        return dict(self._bound)

    @property
    def codes(self) -> list[int]:
        """Columns of the classes present, in order of first appearance (columns are issued ascending and never
        again)."""
        return sorted(self._label_of_code)

    @property
    def labels(self) -> list[Hashable]:
        """Labels in the order of `codes`."""
        return [self._label_of_code[code] for code in self.codes]

    def label(self, code: int) -> Hashable:
        """The label of a column that is present."""
        return self._label_of_code[code]

    def find(self, label: Hashable) -> int | None:
        """The column of a label, or None.

        Raises:
            ArgumentError: another label has the same text.
        """
        name = class_name(label)
        code = self._code_of_name.get(name)
        if code is not None and name in self._bound:
            known = self._bound[name]
            if known != label or isinstance(known, str) != isinstance(label, str):
                raise ArgumentError(
                    f"expected labels with different texts; found {label!r} beside {known!r}; rename one of them (the "
                    "state keeps the text)"
                )
        return code

    def bind(self, label: Hashable, code: int) -> None:
        """Remembers the user's object for a class that the core has issued or shipped."""
        name = class_name(label)
        if name not in self._bound:
            self._bound[name] = label
            self._code_of_name[name] = code
            self._label_of_code[code] = label

    def remove(self, code: int) -> None:
        """Forgets a column."""
        del self._label_of_code[code]
        for name in [n for n, c in self._code_of_name.items() if c == code]:
            del self._code_of_name[name]
            self._bound.pop(name, None)
