# Domains of a Classifier: several places that samples come from, each with an adaptor and a head beside one encoder.
# Never here: routing and adaptors themselves (the core has them), novelty (novelty.py).
"""`Routes`, `DomainVerbs`: the verbs of domains, and the training of an adaptor with a veto."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecl import _core
from edgecl.bundle import Bundle
from edgecl.engine import Engine
from edgecl.errors import ArgumentError, NotFoundError, NumericError, SequenceError
from edgecl.labels import Key

BY_FIT = -1  # EDGECL_DOMAIN_BY_FIT
_MOMENTUM = 0.9
_TRIES = 5  # rates
_WARM_UP = 0.2


class Routes(NamedTuple):
    """Where rows fit best: names of domains (n,) text; fits (n,) float32, in deviations from what is usual in the
    domain, 2 or less as a rule; `Decision` (n,) int32, NOVEL beyond 95 of 100 held-out rows of the domain, or
    ACCEPT."""

    domain: NDArray[np.str_]
    fit: NDArray[np.float32]
    decision: NDArray[np.int32]


class DomainVerbs:
    """The part of `Classifier` that has domains, with `max_domains` above 0 under a head that keeps statistics. "base"
    is there from the start. `partial_fit` and `unlearn` go to the selected domain; predictions to the domain that fits
    each row, unless one was selected. `fit` begins with "base" alone."""

    _open: Callable[[], Engine]  # of the class that takes these verbs
    _opened: Callable[[], Bundle]
    _with_classes: Callable[[], Engine]
    _batch: Callable[[Any], NDArray[Any]]
    _rows: Callable[[Any, Any], tuple[NDArray[Any], list[Key], int]]
    _learning: Callable[[], AbstractContextManager[None]]

    @property
    def domains_(self) -> list[dict[str, Any]]:
        """One dict a domain: {"name", "rows" learned, "adapted" (its adaptor is its own), "held" rows that say what fit
        is usual, "features" that routing compares, "bytes", "selected" (learns), "by_fit" (predictions go where they
        fit)}; empty without `max_domains`."""
        entries = self._open().session.domains()
        return [{key: value for key, value in entry.items() if key != "domain"} for entry in entries]

    def add_domain(self, name: str) -> Any:
        """A new domain with the bundle's adaptor and nothing learned; it is not selected.

        Raises:
            UnsupportedError: no `max_domains`. CapacityError: as many exist. ArgumentError: not 1..63 bytes of text, or
            a name in use. BusyError.
        """
        with self._learning():
            self._open().session.domain_add(_text(name))
        return self

    def select_domain(self, name: str | None = None) -> Any:
        """Learning and predictions go to this domain; None: predictions go where they fit, learning stays where it was.

        Raises:
            UnsupportedError: no `max_domains`. NotFoundError: no such domain. BusyError.
        """
        with self._learning():
            session = self._open().session
            session.domain_select(BY_FIT if name is None else _number(session, name))
        return self

    def remove_domain(self, name: str) -> Any:
        """All that the domain learned goes; learning goes on in "base" where it was selected. "base" itself stays
        (ArgumentError). Further errors as `select_domain`."""
        with self._learning():
            session = self._open().session
            session.domain_remove(_number(session, name))
        return self

    def route(self, X: Any) -> Routes:
        """The domain that fits each row, whichever is selected: the smallest Mahalanobis distance to a class of it
        (Lee et al. 2018), scaled by what its held-out rows have.

        Raises:
            UnsupportedError: no `max_domains`. SequenceError: nothing was learned. ShapeError, DtypeError,
            NumericError. Cost: the encoder up to the adaptor, and features^2 / 2 multiply-adds a domain, a row.
        """
        session = self._with_classes().session
        numbers, fits, decisions = session.route(self._batch(X))
        names = {entry["domain"]: entry["name"] for entry in session.domains()}
        return Routes(np.array([names[number] for number in numbers.tolist()], np.str_), fits, decisions)

    def adapt_domain(
        self,
        name: str,
        X: Any,
        y: Any,
        epochs: int = 10,
        learning_rate: float = 0.5,
        batch_size: int = 32,
        held_out: float = 0.2,
    ) -> dict[str, Any]:
        """Learns rows in a domain that has learned nothing yet, with an adaptor if that pays.

        A trainer, a second session of the bundle that learns by gradients (SGD, momentum 0.9), trains the adaptor on
        the rows but for those held out. The adaptor is kept if the domain then has more of these right than with the
        head alone. Afterwards the domain learns the rows held out as well. What is selected stays so. Labels:
        `partial_fit`.

        Args:
            epochs: passes of the trainer, in orders drawn from `random_state`.
            learning_rate: the largest; it rises in the first fifth, then falls. The default is for embeddings of length
                1, as an export makes them. Halved, up to four times, where numbers grow beyond all bounds.
            batch_size: rows of a step of the trainer.
            held_out: share of the rows that decide, 0..1, 1 excluded: the last of each label. 0: the
                adaptor is kept unseen.

        Returns:
            {"domain", "rows", "held_out" rows, "parameters" of the adaptor, "learning_rate" that it took, the shares of
            rows held out that are right, "accuracy_head" and "accuracy_adapted", "kept", "seconds" of the whole}; None
            for what there was not. Without an adaptor in the bundle the domain just learns.

        Raises:
            SequenceError: the domain has learned something. NotFoundError, UnsupportedError, ShapeError, DtypeError,
            NumericError (no rate would do), CapacityError, ArgumentError, BusyError: nothing has changed.

        Cost: epochs forward and backward passes a row, and two forward passes; memory of a second session and two
            states while it lasts.
        """
        begin = time.perf_counter()
        _check(epochs, learning_rate, batch_size, held_out)
        with self._learning():
            engine = self._open()
            number = _empty_number(engine.session, name)
            x, keys, kind = self._rows(X, y)
            order = np.random.default_rng(engine.session.config["seed"])
            kept, held = _split(keys, held_out)
            parameters = _adaptor_parameters(self._opened())
            report: dict[str, Any] = {
                "domain": name, "rows": len(x), "held_out": len(held), "parameters": parameters,
                "learning_rate": None, "accuracy_head": None, "accuracy_adapted": None, "kept": False,
            }  # fmt: skip
            with _selected(engine, number):
                plain = _Rows(x, keys, kind)
                empty = engine.session.state_export(), engine.table
                plain.learned_by(engine, kept)
                report["accuracy_head"] = plain.accuracy(engine, held)
                if parameters:
                    alone = engine.session.state_export(), engine.table
                    trainer = _trainer(self._opened(), engine, batch_size)
                    report["learning_rate"] = plain.trained_by(trainer, kept, epochs, learning_rate, batch_size, order)
                    _restore(engine, empty)
                    engine.session.domain_adapt(number, trainer)
                    trainer.close()
                    plain.learned_by(engine, kept)
                    report["accuracy_adapted"] = plain.accuracy(engine, held)
                    report["kept"] = not len(held) or report["accuracy_adapted"] > report["accuracy_head"]
                    if not report["kept"]:
                        _restore(engine, alone)
                plain.learned_by(engine, held)
        return {**report, "seconds": time.perf_counter() - begin}


class _Rows(NamedTuple):
    x: NDArray[Any]
    keys: list[Key]
    kind: int

    def learned_by(self, engine: Engine, rows: NDArray[np.int64]) -> None:
        if len(rows):
            engine.learn(self.x[rows], [self.keys[row] for row in rows], self.kind, None, [], False)

    def accuracy(self, engine: Engine, rows: NDArray[np.int64]) -> float | None:
        if not len(rows):
            return None
        found, _, _ = engine.session.predict(self.x[rows])
        wanted = [engine.table.find(self.keys[row]) for row in rows]  # None: a label that no row had so far
        return float(np.mean([code == label for code, label in zip(found.tolist(), wanted, strict=True)]))

    def trained_by(
        self,
        trainer: _core.Session,
        rows: NDArray[np.int64],
        epochs: int,
        learning_rate: float,
        batch_size: int,
        order: np.random.Generator,
    ) -> float:
        # The rate with which it went well. Its classes are its own: only the adaptor is used.
        names = {key: place for place, key in enumerate(dict.fromkeys(self.keys))}
        columns = [entry["label"] for entry in trainer.classes()]
        columns += [trainer.class_add() for _ in range(len(names) - len(columns))]
        codes = np.array([columns[names[key]] for key in self.keys], np.int32)
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
                return learning_rate
            except NumericError:
                tries -= 1
                if tries == 0:
                    raise
            learning_rate /= 2
            trainer.state_import(begin)


State = tuple[bytes, Any]  # with its table of labels


def _restore(engine: Engine, state: State) -> None:
    engine.session.state_import(state[0])
    engine.table = state[1]


@contextmanager
def _selected(engine: Engine, number: int) -> Iterator[None]:
    # The domain is selected inside; all is as before when something fails.
    session = engine.session
    before = session.state_export(), engine.table
    learning, by_fit = _selection(session)
    try:
        session.domain_select(number)
        yield
        session.domain_select(learning)
        if by_fit:
            session.domain_select(BY_FIT)
    except BaseException:  # also an interrupt
        _restore(engine, before)
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


def _split(keys: Sequence[Key], share: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    # Rows that are learned first, and those held out: the last of each label, since neighbours in a stream are alike.
    rows_of: dict[Key, list[int]] = {}
    for row, key in enumerate(keys):
        rows_of.setdefault(key, []).append(row)
    held = np.zeros(len(keys), np.bool_)
    for rows in rows_of.values():
        n = min(round(share * len(rows)), len(rows) - 1)
        held[rows[len(rows) - n :]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)


def _text(name: Any) -> str:
    if not isinstance(name, str):
        raise ArgumentError(f"expected a domain's name as text; found {type(name).__name__}; give it a name")
    return name


def _number(session: _core.Session, name: Any) -> int:
    numbers = {entry["name"]: int(entry["domain"]) for entry in session.domains()}
    if not numbers:
        session.domain_select(BY_FIT)  # says what is missing
    if _text(name) not in numbers:
        raise NotFoundError(f"expected one of the domains {sorted(numbers)}; found {name!r}; add it first (add_domain)")
    return numbers[name]


def _empty_number(session: _core.Session, name: Any) -> int:
    number = _number(session, name)
    rows = next(entry["rows"] for entry in session.domains() if entry["domain"] == number)
    if rows:
        raise SequenceError(
            f"expected a domain that has learned nothing yet; found {rows} rows in {name!r}; remove it and add it again"
        )
    return number


def _check(epochs: Any, learning_rate: Any, batch_size: Any, held_out: Any) -> None:
    for what, value in (("epochs", epochs), ("batch_size", batch_size)):
        if not isinstance(value, int) or value < 1:
            raise ArgumentError(f"expected {what} of at least 1; found {value!r}; give a whole number")
    if not learning_rate > 0:
        raise ArgumentError(f"expected learning_rate above 0; found {learning_rate!r}; 0.5 is a good start")
    if not 0 <= held_out < 1:
        raise ArgumentError(f"expected held_out in 0..1, 1 excluded; found {held_out!r}; 0.2 is a good share")
