# A session of the core and the labels of its columns; steps over rows whose labels may be new.
# Never here: what users hand in (arrays.py, labels.py, features.py), parameters, files.
"""`Engine`: what a `Classifier` runs on, once it is open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecl import _core
from edgecl.errors import ArgumentError, Error, NotFoundError
from edgecl.labels import KIND_NAMES, TEXT, UNKNOWN, Key, LabelTable, class_name

Reports = list[dict[str, Any]]


class Engine:
    """One session with its labels. `table` is replaced, never changed, so that a reader keeps what it has read."""

    def __init__(self, session: _core.Session, class_weights: Mapping[Key, float], known: bool = False) -> None:
        """known: the session's classes have their weights; those to come get them from `class_weights`."""
        self.session = session
        self.class_weights = class_weights
        self.table = LabelTable.from_classes(session.classes(), session.label_kind)
        for key, weight in {} if known else class_weights.items():
            self._set_weight(key, weight)

    def learn(
        self,
        x: NDArray[Any],
        keys: Sequence[Key],
        kind: int,
        weights: NDArray[np.float32] | None,
        declared: Sequence[Key],
        want_rows: bool,
    ) -> Reports:
        """Consecutive steps over the rows, in order; labels never seen before grow a class with their first step.

        Args:
            declared: labels whose classes exist from the first step on.
            want_rows: reports have row_correct and row_loss.

        Returns:
            What each call of the core reports.

        Raises:
            Errors of the core. Each step is all or nothing, and `n_done` of the error says how many rows were learned.
        """
        with self._undone_when_nothing_was(kind, bool(declared)):
            for key in declared:
                if self.table.find(key) is None:
                    self._add(key)
            return self._steps(x, keys, weights, want_rows)

    def remember(self, x: NDArray[Any], keys: Sequence[Key], kind: int) -> None:
        """Rows enter the buffer without a step, all or nothing.

        Raises:
            Errors of the core.
        """
        codes = np.array([-1 if code is None else code for code in map(self.table.widened(kind).find, keys)], np.int32)
        several = len(x) > self.session.config["max_batch"]
        before = self.session.state_export() if several else None
        try:
            self.session.remember(x, codes)
        except BaseException as error:
            if before is not None:
                self.session.state_import(before)
            if isinstance(error, Error) and error.n_done:
                error.args = (f"{error} (samples are counted from row {error.n_done} on)",)
                error.n_done = None
            raise

    def known_codes(self, keys: Sequence[Key]) -> NDArray[np.int32]:
        """Columns of labels that all have one.

        Raises:
            NotFoundError: labels that are not among the classes.
        """
        codes = {key: self.table.find(key) for key in dict.fromkeys(keys)}
        unknown = [key for key, code in codes.items() if code is None]
        if unknown:
            raise NotFoundError(
                f"expected labels among {self.table.classes.tolist()}; found {unknown[:5]}; learn them first, or leave "
                "their rows out"
            )
        return np.array([codes[key] for key in keys], np.int32)

    def forget(self, key: Key) -> None:
        """A class and its label are gone."""
        code = self.table.find(key)
        assert code is not None
        self.session.class_forget(code)
        if self.session.class_find(class_name(key)) is not None:
            return  # it stays, with the rows of other devices
        table = self.table.copy()
        table.remove(key)
        self.table = table

    def merge(self, message: bytes) -> dict[str, int]:
        """What is newer in a message; classes may come and go."""
        told = self.session.merge(message)
        self.refresh()
        return told

    def refresh(self) -> None:
        """The table anew, after the core changed classes by itself."""
        self.table = LabelTable.from_classes(self.session.classes(), self.session.label_kind)

    @contextmanager
    def _undone_when_nothing_was(self, kind: int, adds: bool) -> Iterator[None]:
        # A call that fails before its first step leaves nothing: no class that it declared, no other kind of labels.
        texts = any(isinstance(key, str) for key in self.class_weights)
        if self.class_weights and kind != UNKNOWN and texts != (kind == TEXT):
            raise ArgumentError(
                f"expected the labels of class_weight to be as those of y; found {list(self.class_weights)[:5]} for "
                f"{KIND_NAMES[kind]}; write them as they are in y"
            )
        table, kind_before, steps = self.table, self.session.label_kind, self.session.stats()["steps"]
        self.table = table.widened(kind)
        state = self.session.state_export() if adds else None
        self.session.label_kind = self.table.kind
        try:
            yield
        except BaseException:  # also an interrupt
            if self.session.stats()["steps"] == steps:
                if state is not None:
                    self.session.state_import(state)
                self.session.label_kind = kind_before
                self.table = table
            raise

    def _steps(
        self, x: NDArray[Any], keys: Sequence[Key], weights: NDArray[np.float32] | None, want_rows: bool
    ) -> Reports:
        reports: Reports = []
        step = int(self.session.config["max_batch"])
        code_of = {key: self.table.find(key) for key in dict.fromkeys(keys)}
        codes = np.array([-1 if code_of[key] is None else code_of[key] for key in keys], np.int32)
        rows_of_new: dict[Key, list[int]] = {}
        for row in np.flatnonzero(codes < 0).tolist():
            rows_of_new.setdefault(keys[row], []).append(row)
        # Steps that bring a new class are taken one by one, because the class must come to exist with its first step
        # and not before: else a batch would not equal a loop over its rows.
        growing = sorted({rows[0] // step * step for rows in rows_of_new.values()})
        row = 0
        try:
            for start in [*growing, len(x)]:
                if row < start:
                    part = slice(row, start)
                    reports.append(self.session.learn_many(x[part], codes[part], step, want_rows, _part(weights, part)))
                    row = start
                if start < len(x):
                    part = slice(start, min(start + step, len(x)))
                    new = {key: rows for key, rows in rows_of_new.items() if part.start <= rows[0] < part.stop}
                    reports.append(self._growing_step(x[part], codes, part, new, _part(weights, part)))
                    row = part.stop
        except Error as error:
            error.n_done = row + (error.n_done or 0)
            if error.n_done:
                error.args = (f"{error} ({error.n_done} rows were learned before; samples are counted after them)",)
            raise
        return reports

    def _growing_step(
        self,
        x: NDArray[Any],
        codes: NDArray[np.int32],
        part: slice,
        new: Mapping[Key, list[int]],
        weights: NDArray[np.float32] | None,
    ) -> dict[str, Any]:
        before, table = self.session.state_export(), self.table
        try:
            for key, rows in new.items():
                codes[rows] = self._add(key)
            return self.session.learn(x, codes[part], want_rows=True, weights=weights)
        except BaseException:  # also an interrupt: no class without a row
            self.session.state_import(before)
            self.table = table
            raise

    def _add(self, key: Key) -> int:
        code = self.session.class_add(class_name(key))
        table = self.table.copy()
        table.add(key, code)
        self.table = table
        if key in self.class_weights:
            self._set_weight(key, self.class_weights[key])
        return code

    def _set_weight(self, key: Key, weight: float) -> None:
        code = self.table.find(key)
        if code is not None:
            self.session.set_class_weight(code, weight)


def _part(weights: NDArray[np.float32] | None, rows: slice) -> NDArray[np.float32] | None:
    return None if weights is None else weights[rows]
