# How a domain learns rows, with an adaptor of its own if that pays.
# Never here: which domain (domains.py, growth.py), routing and adaptors themselves (the core has them).
"""`LabelledRows`, `adapt`: a trainer's gradients, a head's statistics, and rows held out that decide."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecl import _core
from edgecl.bundle import Bundle
from edgecl.engine import Engine
from edgecl.errors import ArgumentError, BusyError, Error, NumericError
from edgecl.labels import Key

BY_FIT = -1  # EDGECL_DOMAIN_BY_FIT
_MOMENTUM = 0.9
_TRIES = 5  # rates
_WARM_UP = 0.2
_PAUSE = 1e-3  # seconds between two looks at a session that another thread uses


class Training(NamedTuple):
    """What an adaptor is trained with; `Classifier.adapt_domain` says what the numbers are."""

    epochs: Any
    learning_rate: Any
    batch_size: Any
    held_out: Any

    def check(self) -> None:
        """ArgumentError where a number is out of range."""
        for what, value in (("epochs", self.epochs), ("batch_size", self.batch_size)):
            if not isinstance(value, Integral) or value < 1:
                raise ArgumentError(f"expected {what} of at least 1; found {value!r}; give a whole number")
        for name, share in (("learning_rate", self.learning_rate), ("held_out", self.held_out)):
            if not isinstance(share, Real):
                raise ArgumentError(f"expected a number for {name}; found {share!r}; give one")
        if not self.learning_rate > 0:
            raise ArgumentError(f"expected learning_rate above 0; found {self.learning_rate!r}; 0.5 is a good start")
        if not 0 <= self.held_out < 1:
            raise ArgumentError(f"expected held_out in 0..1, 1 excluded; found {self.held_out!r}; 0.2 is a good share")


class LabelledRows(NamedTuple):
    """Rows of a call, checked, with the keys of their labels."""

    x: NDArray[Any]
    keys: list[Key]
    kind: int

    def of(self, rows: NDArray[np.int64]) -> LabelledRows:
        """These rows alone."""
        return LabelledRows(self.x[rows], [self.keys[row] for row in rows], self.kind)

    def learned_by(self, engine: Engine, rows: NDArray[np.int64]) -> None:
        """The selected domain learns them."""
        if len(rows):
            engine.learn(self.x[rows], [self.keys[row] for row in rows], self.kind, None, [], False)

    def accuracy(self, engine: Engine, rows: NDArray[np.int64]) -> float | None:
        """The share that is right; None of no rows."""
        if not len(rows):
            return None
        found, _, _ = engine.session.predict(self.x[rows])
        wanted = [engine.table.find(self.keys[row]) for row in rows]  # None: a label that no row had so far
        return float(np.mean([code == label for code, label in zip(found.tolist(), wanted, strict=True)]))

    def trained_by(
        self,
        trainer: _core.Session,
        rows: NDArray[np.int64],
        training: Training,
        order: np.random.Generator,
    ) -> float:
        """The rate with which it went well. The trainer's classes are its own: only the adaptor is used."""
        names = {key: place for place, key in enumerate(dict.fromkeys(self.keys))}
        columns = [entry["label"] for entry in trainer.classes()]
        columns += [trainer.class_add() for _ in range(len(names) - len(columns))]
        codes = np.array([columns[names[key]] for key in self.keys], np.int32)
        epochs, learning_rate, batch_size, _ = training
        drawn = [order.permutation(rows) for _ in range(epochs)]
        steps = [part[start : start + batch_size] for part in drawn for start in range(0, len(part), batch_size)]
        begin, tries, warm = trainer.state_export(), _TRIES, max(1, round(_WARM_UP * len(steps)))
        while True:
            schedule = {**trainer.config, "learning_rate": learning_rate}
            try:
                for step, part in enumerate(steps):
                    rate = _core.schedule_rate(schedule, step / len(steps)) * min(1.0, (step + 1) / warm)
                    trainer.set_learning_rate(rate)
                    trainer.learn(self.x[part], codes[part])
                return float(learning_rate)
            except NumericError:
                tries -= 1
                if tries == 0:
                    raise
            learning_rate /= 2
            trainer.state_import(begin)


State = tuple[bytes, Any]  # with its table of labels


def state_of(engine: Engine) -> State:
    """To be restored."""
    return engine.session.state_export(), engine.table


def restore(engine: Engine, state: State) -> None:
    """All is as it was then. Waits for calls of other threads: what was begun must not stay half done."""
    while True:
        try:
            engine.session.state_import(state[0])
            break
        except BusyError:
            time.sleep(_PAUSE)
    engine.table = state[1]


@contextmanager
def selected(engine: Engine, number: int) -> Iterator[None]:
    """The domain is selected inside; all is as before when something fails."""
    session = engine.session
    before = state_of(engine)
    learning, by_fit = _selection(session)
    try:
        session.domain_select(number)
        yield
        session.domain_select(learning)
        if by_fit:
            session.domain_select(BY_FIT)
    except BaseException as error:  # also an interrupt
        restore(engine, before)
        if isinstance(error, Error) and error.n_done is not None:
            error.args = (f"{error} (nothing of the call was kept)",)
            error.n_done = None
        raise


def _selection(session: _core.Session) -> tuple[int, bool]:
    entry = next(entry for entry in session.domains() if entry["selected"])
    return int(entry["domain"]), bool(entry["by_fit"])


def _trainer(bundle: Bundle, engine: Engine, batch_size: int) -> _core.Session:
    # A session of the same bundle that learns by gradients and keeps nothing but weights.
    config = engine.session.config
    return _core.Session(
        bundle.model, n_threads=config["n_threads"], seed=config["seed"], head="gradient", method="er", max_domains=0,
        max_batch=batch_size, replay_capacity=0, replay_batch=0, head_bank=0, novelty="none", momentum=_MOMENTUM,
        rate_schedule="cosine", rate_floor=0.0,
    )  # fmt: skip


def _adaptor_parameters(bundle: Bundle) -> int:
    head = (bundle.info["head_weight"], bundle.info["head_bias"])
    return sum(layer["stored"] for i, layer in enumerate(bundle.layers) if layer["trainable"] and i not in head)


def split(keys: Sequence[Key], share: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows that are learned first, and those held out: the last of each label, since neighbours in a stream are
    alike; at least one of a label that has two."""
    rows_of: dict[Key, list[int]] = {}
    for row, key in enumerate(keys):
        rows_of.setdefault(key, []).append(row)
    held = np.zeros(len(keys), np.bool_)
    for rows in rows_of.values():
        n = min(max(round(share * len(rows)), 1 if share > 0 else 0), len(rows) - 1)
        held[rows[len(rows) - n :]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)


def adapt(
    engine: Engine, bundle: Bundle, number: int, rows: LabelledRows, training: Training, order: np.random.Generator
) -> dict[str, Any]:
    """Domain `number`, selected and empty, learns all rows; `Classifier.adapt_domain` says how, and what comes back."""
    kept, held = split(rows.keys, training.held_out)
    parameters = _adaptor_parameters(bundle)
    report: dict[str, Any] = {
        "rows": len(rows.x), "held_out": len(held), "parameters": parameters, "learning_rate": None,
        "accuracy_head": None, "accuracy_adapted": None, "kept": False,
    }  # fmt: skip
    empty = state_of(engine)
    rows.learned_by(engine, kept)
    report["accuracy_head"] = rows.accuracy(engine, held)
    if parameters:
        alone = state_of(engine)
        trainer = _trainer(bundle, engine, training.batch_size)
        try:
            report["learning_rate"] = rows.trained_by(trainer, kept, training, order)
            restore(engine, empty)
            engine.session.domain_adapt(number, trainer)
            rows.learned_by(engine, kept)
            report["accuracy_adapted"] = rows.accuracy(engine, held)
            report["kept"] = not len(held) or report["accuracy_adapted"] > report["accuracy_head"]
        except NumericError:  # no rate would do: the head may all the same
            report["learning_rate"] = None
        finally:
            trainer.close()
        if not report["kept"]:
            restore(engine, alone)
    rows.learned_by(engine, held)
    return report
