# Whether rows come from a place that is not known yet, and whether a domain of their own pays.
# Never here: how a domain learns rows (adapting.py), scores and the alarm (the core has them).
"""`grow`: an alarm over a window, room, and a veto on rows held out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecl import _core
from edgecl.adapting import BY_FIT, LabelledRows, Training, adapt, restore, selected, split, state_of
from edgecl.bundle import Bundle
from edgecl.engine import Engine
from edgecl.errors import UnsupportedError

ACCEPTED, KEPT = 0.95, 0.99  # of rows of known domains
_FIT = "fit"  # EDGECL_NOVELTY_FIT


def check_growth(session: _core.Session) -> None:
    """UnsupportedError where the alarm does not go by the fit of domains."""
    if session.config["novelty"] != _FIT or not session.config["max_domains"]:
        raise UnsupportedError(
            f"expected max_domains of 2 or more and novelty '{_FIT}' to grow; found {session.config['max_domains']} "
            f"and '{session.config['novelty']}'; give both to Classifier or Recipe"
        )


def grow(
    engine: Engine, bundle: Bundle, rows: LabelledRows, name: str | None, training: Training, order: np.random.Generator
) -> dict[str, Any]:
    """Domain by fit, or a new one; `Classifier.grow` says how, and what comes back. What is selected stays so."""
    session = engine.session
    report: dict[str, Any] = {
        "domain": None, "grown": False, "rows": len(rows.x), "alarm": None, "unknown": None, "full": False,
        "accuracy_refit": None, "accuracy_grown": None, "adaptor": None,
    }  # fmt: skip
    every = np.arange(len(rows.x))
    known = _can_judge(session)
    nearest = _nearest(session, rows.x) if known else 0
    with selected(engine, nearest):
        if known:
            report |= _judged(session, rows.x[order.permutation(len(rows.x))])
        report["full"] = bool(report["alarm"]) and len(session.domains()) == session.config["max_domains"]
        if not report["alarm"] or report["full"]:
            rows.learned_by(engine, every)
            report["domain"] = _name(session, nearest)
        else:
            report |= _grown_or_not(engine, bundle, rows, nearest, name, training, order)
        if _can_judge(session) and any(entry["held"] for entry in session.domains()):
            session.domain_calibrate(ACCEPTED, KEPT)
    return report


def _can_judge(session: _core.Session) -> bool:
    # Whether a domain has rows beside those that it holds out.
    return any(entry["rows"] > entry["held"] for entry in session.domains())


def _judged(session: _core.Session, x: NDArray[Any]) -> dict[str, Any]:
    # By thresholds of today, in an order that makes rows exchangeable.
    if not any(entry["held"] for entry in session.domains()):
        return {}  # too few rows were learned to say what is usual
    session.domain_calibrate(ACCEPTED, KEPT)
    session.observe(x)
    drift = session.drift()
    if drift["filled"] < drift["window"]:
        return {}
    return {"alarm": drift["alarm"], "unknown": drift["unknown"]}


def _grown_or_not(
    engine: Engine,
    bundle: Bundle,
    rows: LabelledRows,
    nearest: int,
    name: str | None,
    training: Training,
    order: np.random.Generator,
) -> dict[str, Any]:
    # Both ways are tried on the rows but for those held out, which then are judged as they will be: routed.
    session = engine.session
    kept, held = split(rows.keys, training.held_out)
    before = state_of(engine)
    rows.learned_by(engine, kept)
    session.domain_select(BY_FIT)
    refit = rows.accuracy(engine, held)
    rows.learned_by(engine, held)
    refitted = state_of(engine)
    restore(engine, before)

    number = session.domain_add(name if name is not None else _free_name(session))
    session.domain_select(number)
    adaptor = adapt(engine, bundle, number, rows.of(kept), training, order)
    session.domain_select(BY_FIT)
    grown = rows.accuracy(engine, held)
    pays = grown is None or refit is None or grown > refit
    if pays:
        rows.learned_by(engine, held)
    found = _name(session, number if pays else nearest)
    if not pays:
        restore(engine, refitted)
    return {
        "domain": found, "grown": pays, "accuracy_refit": refit, "accuracy_grown": grown, "adaptor": adaptor,
    }  # fmt: skip


def _nearest(session: _core.Session, x: NDArray[Any]) -> int:
    return int(np.bincount(session.route(x)[0]).argmax())


def _name(session: _core.Session, number: int) -> str:
    return next(str(entry["name"]) for entry in session.domains() if entry["domain"] == number)


def _free_name(session: _core.Session) -> str:
    # With the number of a device, if it has one: what two devices found by themselves is not the same domain.
    device = next((record["device"] for record in session.devices() if record["own"]), 0)
    prefix = f"domain-{device}-" if device else "domain-"
    names, n = {entry["name"] for entry in session.domains()}, 2
    while f"{prefix}{n}" in names:
        n += 1
    return f"{prefix}{n}"
