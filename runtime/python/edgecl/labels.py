# The mapping between labels of the user and the columns and names of the core.
# Never here: arrays of samples, sessions, files.
"""Labels: texts, integers or truth values for the user, columns for the core, names in the state.

A label has one identity, as numpy compares values: 1, 1.0 and True are one label. What a user gets back is of the kind
that was handed in, and that kind is part of the state.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecl import _core
from edgecl.errors import ArgumentError, ShapeError

# EDGECL_LABELS_*. Numbers widen: a learner that saw truth values and integers has integers.
UNKNOWN, TEXT, BOOL, INTEGER, REAL = range(5)
_DTYPES: dict[int, type[np.generic]] = {TEXT: np.str_, BOOL: np.bool_, INTEGER: np.int64, REAL: np.float64}
_EXACT = 2**53  # beyond it float64 has no longer every integer
KIND_NAMES = {TEXT: "text", BOOL: "truth values", INTEGER: "integers", REAL: "real numbers"}

Key = int | str  # the identity of a label: its text, or the integer that it equals


def label_keys(y: Any, n_rows: int | None = None, what: str = "labels") -> tuple[list[Key], int]:
    """Identities of labels, and their kind.

    Args:
        y: one-dimensional array, tensor, Series or list of texts, integers or truth values. Real numbers that equal
            integers count as these; a column (n, 1) is taken with a warning.
        n_rows: how many there must be; None: any number.
        what: name of the argument in error texts.

    Raises:
        ShapeError: not one label a row. ArgumentError: missing values, other kinds, or text beside numbers.
    """
    array = _as_array(y, what)
    if array.ndim == 2 and array.shape[1] == 1:
        _warn_of_column(array.shape)
        array = array[:, 0]
    if array.ndim != 1:
        raise ShapeError(f"expected one label a row; found {what} of shape {array.shape}; hand in one dimension")
    if n_rows is not None and len(array) != n_rows:
        raise ShapeError(f"expected {n_rows} {what}, one a row; found {len(array)}; pass equally many of both")
    kind = array.dtype.kind
    if kind == "T":  # numpy's strings of any length
        return _objects(array.astype(object), what)
    if kind == "U":
        return _texts(array.tolist(), what), TEXT
    if kind == "b":
        return array.astype(np.int64).tolist(), BOOL
    if kind in "iu":
        if array.size and array.max() > np.iinfo(np.int64).max:
            raise ArgumentError(f"expected {what} of 64 bits; found {array.max()}; use text for such long numbers")
        return array.tolist(), INTEGER
    if kind == "f":
        return [_integer(value, row, what) for row, value in enumerate(array.tolist())], REAL
    if kind == "O":
        return _objects(array, what)
    raise ArgumentError(
        f"expected {what} of text, integers or truth values; found {array.dtype}; convert them to one of these"
    )


def class_name(key: Key) -> str:
    """The text under which the core keeps a label."""
    return str(key)


def is_integer_text(name: str) -> bool:
    """Whether a name is what Python writes for an integer of 64 bits: "7", not "07"."""
    digits = name.removeprefix("-")
    if len(digits) > 19 or not (digits.isascii() and digits.isdigit()):
        return False
    return str(int(name)) == name and -(2**63) <= int(name) < 2**63


def label_array(keys: Sequence[Key], kind: int) -> NDArray[Any]:
    """Labels of these identities as the user knows them."""
    if kind == UNKNOWN:
        kind = TEXT if any(isinstance(key, str) for key in keys) else INTEGER
    if kind == REAL and any(abs(key) > _EXACT for key in keys if isinstance(key, int)):
        kind = INTEGER  # two labels must not become one
    return np.array(keys, dtype=_DTYPES[kind])


@dataclass
class LabelTable:
    """Which label is which column."""

    kind: int = UNKNOWN
    _code_of: dict[Key, int] = field(default_factory=dict)

    @classmethod
    def from_classes(cls, classes: Iterable[dict[str, Any]], kind: int) -> LabelTable:
        """From the core's class records and its kind of labels. A kind that was not said is open until labels come."""
        named: dict[Key, int] = {str(record["name"]): int(record["label"]) for record in classes if record["present"]}
        if (kind == UNKNOWN and all(map(is_integer_text, map(str, named)))) or kind in (BOOL, INTEGER, REAL):
            numbers: dict[Key, int] = {int(name): code for name, code in named.items() if is_integer_text(str(name))}
            if len(numbers) == len(named):
                return cls(kind, numbers)
        return cls(TEXT if named else kind, named)

    def copy(self) -> LabelTable:
        """An independent copy."""
        return LabelTable(self.kind, dict(self._code_of))

    @property
    def keys(self) -> list[Key]:
        """Identities in ascending order."""
        return sorted(self._code_of)

    @property
    def codes(self) -> list[int]:
        """Columns in the order of `keys`."""
        return [self._code_of[key] for key in self.keys]

    @property
    def classes(self) -> NDArray[Any]:
        """Labels in ascending order."""
        return label_array(self.keys, self.kind)

    def widened(self, kind: int) -> LabelTable:
        """This table once labels of another kind came.

        Raises:
            ArgumentError: text beside numbers.
        """
        table = self.copy()
        if self.kind == kind or not self._code_of:
            table.kind = kind if not self._code_of else self.kind
        elif self.kind == UNKNOWN:
            table.kind = kind
            if kind == TEXT:
                table._code_of = {class_name(key): code for key, code in self._code_of.items()}
        elif TEXT in (self.kind, kind):
            some = ", ".join(repr(label) for label in self.classes[:3].tolist())
            raise ArgumentError(
                f"expected {KIND_NAMES[self.kind]}, as the labels known already ({some}, ...); found "
                f"{KIND_NAMES[kind]}; convert the labels"
            )
        else:
            table.kind = max(self.kind, kind)
        return table

    def find(self, key: Key) -> int | None:
        """The column of a label, or None."""
        return self._code_of.get(key)

    def add(self, key: Key, code: int) -> None:
        """A label and its column."""
        self._code_of[key] = code

    def remove(self, key: Key) -> None:
        """Forgets a label."""
        del self._code_of[key]

    def label(self, code: int) -> Any:
        """The label of a column, as a Python object."""
        key = next(key for key, known in self._code_of.items() if known == code)
        return label_array([key], self.kind).tolist()[0]


def _as_array(y: Any, what: str) -> NDArray[Any]:
    if isinstance(y, str | bytes | dict | set) or hasattr(y, "columns"):
        raise ArgumentError(
            f"expected {what} as an array, a Series or a list; found {type(y).__name__}; hand in one column of it"
        )
    if isinstance(y, list | tuple):  # numpy would turn a mixture into text
        array = np.empty(len(y), dtype=object)
        for i, value in enumerate(y):
            array[i] = value
        return array
    if hasattr(y, "detach"):  # a tensor that may ask for gradients or live elsewhere
        y = y.detach().cpu()
    if isinstance(y, np.ma.MaskedArray) and np.ma.is_masked(y):
        raise ArgumentError(f"expected {what} without gaps; found a masked array; drop the rows that have none")
    try:
        array = np.asarray(y)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"expected {what} as an array; found: {error}; hand in a list or an array") from error
    if array.ndim == 0:
        raise ArgumentError(f"expected {what} as an array; found {type(y).__name__}; pass a list or an array")
    return array


def _objects(array: NDArray[Any], what: str) -> tuple[list[Key], int]:
    keys: list[Key] = []
    kinds: set[int] = set()
    for row, value in enumerate(array.tolist()):
        if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):  # numpy scalars, tensors of one number
            value = value.item()
        if isinstance(value, bool):
            kinds.add(BOOL)
            keys.append(int(value))
        elif isinstance(value, int):
            kinds.add(INTEGER)
            keys.append(_of_64_bits(int(value), row, what))
        elif isinstance(value, float):
            kinds.add(REAL)
            keys.append(_integer(value, row, what))
        elif isinstance(value, str):
            kinds.add(TEXT)
            keys.append(str.__str__(value))  # of an enumeration of texts its value
        else:
            _refuse_value(value, row, what)
    if TEXT in kinds and len(kinds) > 1:
        raise ArgumentError(
            f"expected {what} of one kind; found text beside numbers; convert them all to text, or all to numbers"
        )
    kind = max(kinds, default=UNKNOWN)
    return (_texts([str(key) for key in keys], what) if kind == TEXT else keys), kind


def _refuse_value(value: Any, row: int, what: str) -> None:
    missing = value is None or type(value).__name__ in ("NAType", "NaTType")
    raise ArgumentError(
        f"expected a label in row {row}; found {'none: ' if missing else ''}{type(value).__name__} in {what}; "
        + ("drop the rows that have none" if missing else "use text, integers or truth values")
    )


def _integer(value: float, row: int, what: str) -> int:
    if math.isnan(value):
        raise ArgumentError(f"expected a label in row {row}; found NaN in {what}; drop the rows that have none")
    if not value.is_integer():
        raise ArgumentError(
            f"Unknown label type: continuous. expected classes; found {value} in row {row} of {what}; a classifier "
            "learns integers, truth values or text"
        )
    return _of_64_bits(int(value), row, what)


def _of_64_bits(value: int, row: int, what: str) -> int:
    if -(2**63) <= value < 2**63:
        return value
    raise ArgumentError(f"expected {what} of 64 bits; found a longer number in row {row}; use text for such numbers")


def _texts(texts: list[str], what: str) -> list[Key]:
    for text in set(texts):
        encoded = text.encode(errors="surrogatepass")
        if not text or "\0" in text or encoded.decode(errors="replace") != text:
            raise ArgumentError(
                f"expected {what} of valid text, not empty and without NUL; found {text!r}; rename the class"
            )
        if len(encoded) > _core.MAX_CLASS_NAME_BYTES:
            raise ArgumentError(
                f"expected {what} of at most {_core.MAX_CLASS_NAME_BYTES} bytes; found {len(encoded)} in "
                f"{text[:40]!r}...; use a shorter name"
            )
    return list(texts)


def _warn_of_column(shape: tuple[int, ...]) -> None:
    # scikit-learn's own category where it is in use, so that its users can filter it.
    known = sys.modules.get("sklearn.exceptions")
    warnings.warn(
        f"A column-vector y was passed when a 1d array was expected (shape {shape}); use y.ravel()",
        getattr(known, "DataConversionWarning", UserWarning),
        stacklevel=5,
    )


def balanced_weights(keys: Sequence[Key]) -> dict[Key, float]:
    """Rows / (classes * rows of the class), as scikit-learn's "balanced" has it."""
    names, counts = np.unique(np.array(keys), return_counts=True)
    return {key: len(keys) / (len(names) * int(n)) for key, n in zip(names.tolist(), counts, strict=True)}
