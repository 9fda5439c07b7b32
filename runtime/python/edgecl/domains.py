# Domains of a Classifier: several places that samples come from, each with an adaptor and a head beside one encoder.
# Never here: routing and adaptors themselves (the core has them), novelty (novelty.py).
"""`Routes`, `DomainVerbs`: the verbs of domains."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecl import _core
from edgecl.adapting import BY_FIT, LabelledRows, Training, adapt, selected
from edgecl.bundle import Bundle
from edgecl.engine import Engine
from edgecl.errors import ArgumentError, NotFoundError, SequenceError
from edgecl.growth import check_growth, grow
from edgecl.labels import Key


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
        """One dict a domain: {"name", "rows" learned here, "rows_merged" of other devices, "adapted" (an adaptor of its
        own), "held" rows that say what fit is usual, "features" that routing compares, "bytes", "selected" (learns),
        "by_fit" (predictions go where they fit)}; empty without `max_domains`."""
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
        (ArgumentError), and so does one with rows of other devices (UnsupportedError): see `unmerge`. Further errors as
        `select_domain`."""
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
            for what there was not. Without an adaptor in the bundle the domain just learns; so it does where no rate
            would do.

        Raises:
            SequenceError: the domain has learned something. NotFoundError, UnsupportedError, ShapeError, DtypeError,
            NumericError, CapacityError, ArgumentError, BusyError: nothing has changed.

        Cost: epochs forward and backward passes a row, and two forward passes; memory of a second session and two
            states while it lasts.
        """
        begin = time.perf_counter()
        training = Training(epochs, learning_rate, batch_size, held_out)
        training.check()
        with self._learning():
            engine = self._open()
            number = _empty_number(engine.session, name)
            rows = LabelledRows(*self._rows(X, y))
            order = np.random.default_rng(engine.session.config["seed"])
            with selected(engine, number):
                report = adapt(engine, self._opened(), number, rows, training, order)
        return {"domain": name, **report, "seconds": time.perf_counter() - begin}

    def calibrate_domains(self, accepted: float = 0.95, kept: float = 0.99) -> Any:
        """Sets the thresholds of the score "fit" from the rows that each domain held out. With `novelty` "fit"
        `observe` and `drift` then tell when the stream has left all known domains. Again after a domain learned.

        Where new people or days are to count as known: `calibrate` with rows of such, which were not learned.

        Args:
            accepted, kept: as in `calibrate`.

        Raises:
            UnsupportedError: no `max_domains`. SequenceError: nothing was held out yet. ArgumentError, BusyError.
        """
        with self._learning():
            self._open().session.domain_calibrate(accepted, kept)
        return self

    def grow(
        self,
        X: Any,
        y: Any,
        name: str | None = None,
        epochs: int = 10,
        learning_rate: float = 0.5,
        batch_size: int = 32,
        held_out: float = 0.2,
    ) -> dict[str, Any]:
        """Learns rows of one place, all in the domain that fits most of them, or in a new one.

        A new domain comes if the alarm of `drift` is up after these rows (in a drawn order, by thresholds made now: see
        `calibrate_domains`), if there is room, and if it pays: of the rows held out it must have more right, routed,
        than the domain that fits best has after it learned the others as well. Needs `novelty` "fit". The first rows of
        all are learned in "base". Fewer rows than `novelty_window` cannot be judged and never make a domain; rows of
        several places in one call go to one domain. New classes of a known place look novel too. Thresholds and window
        of `drift` begin anew. Predictions of other threads may see what is tried on the way.

        Args:
            name: of a new domain; None: "domain-2" and so on.
            epochs, learning_rate, batch_size, held_out: as in `adapt_domain`; where nothing can be held out, the alarm
                alone decides.

        Returns:
            {"domain" that learned the rows, "grown" (it is new), "rows", "alarm" (None: nothing to judge by, or too few
            rows), "unknown" (share of the last window that is not accepted), "full" (the alarm is up and there is no
            room: the domain that fits best learned them), the shares of rows held out that are right,
            "accuracy_refit" and "accuracy_grown", "adaptor" (the report of `adapt_domain`), "seconds"}; None for what
            there was not.

        Raises:
            UnsupportedError: another `novelty`. Otherwise as `adapt_domain`; nothing has changed.

        Cost: two forward passes a row; where the alarm is up, `adapt_domain` and as many learn steps again.
        """
        begin = time.perf_counter()
        training = Training(epochs, learning_rate, batch_size, held_out)
        training.check()
        with self._learning():
            engine = self._open()
            check_growth(engine.session)
            if name is not None:
                _text(name)
            rows = LabelledRows(*self._rows(X, y))
            order = np.random.default_rng(engine.session.config["seed"])
            report = grow(engine, self._opened(), rows, name, training, order)
        return {**report, "seconds": time.perf_counter() - begin}


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
