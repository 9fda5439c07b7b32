# From the parameters of a learner, or from a saved state, to a session that runs.
# Never here: learning, files.
"""`new_engine` and `restored_engine`: how a `Classifier` opens."""

from __future__ import annotations

import os
from collections.abc import Mapping
from operator import index
from typing import Any

import numpy as np

from edgecl import _core
from edgecl.bundle import Bundle
from edgecl.engine import Engine
from edgecl.errors import ArgumentError, Error, SequenceError, StateError
from edgecl.labels import Key, label_keys
from edgecl.methods import method_settings
from edgecl.notes import tell
from edgecl.recipe_parameters import N_THREADS, PARAMETERS

# Constructor parameters that have another name among the fields of a session's configuration.
_CONFIG_FIELDS = {"max_classes": "max_classes", "random_state": "seed", "batch_size": "max_batch"}
_NAMES = {field: name for name, field in _CONFIG_FIELDS.items()}
# What a state may go on with in another way, once the constructor asks for it.
_FREE_FIELDS = {"learning_rate", "max_batch", "seed"}
# And without a word, as it changes nothing that was learned.
_ROOM = {"head_merges"}
# What a state does not say.
_OF_THE_SESSION = ("n_threads", "predict_only", "add_unseen_labels", "batch_size")


def saved_engine(engine: Engine) -> dict[str, Any]:
    """What a pickle needs beside the parameters, which may wait for the next `fit`."""
    return {
        "state": engine.session.state_export(),
        "max_batch": int(engine.session.config["max_batch"]),
        "class_weights": dict(engine.class_weights),
    }


def copied_engine(learner: Any, bundle: Bundle, saved: Mapping[str, Any]) -> Engine:
    """A session that is what `saved_engine` described, whatever the learner's parameters say by now.

    Raises:
        StateError: of another bundle.
    """
    config = {**_restorable(bundle, saved["state"]), "max_batch": saved["max_batch"]}
    session = _session(learner, bundle, config)
    session.state_import(saved["state"])
    return Engine(session, saved["class_weights"], known=True)


def new_engine(learner: Any, bundle: Bundle) -> Engine:
    """A session as the bundle's recipe and the learner's parameters say, with nothing learned.

    Args:
        learner: has the constructor parameters of a `Classifier` as attributes.

    Raises:
        ArgumentError, CapacityError, UnsupportedError, MemoryExhaustedError.
    """
    session = _session(learner, bundle, {**_named_fields(learner), **_given_fields(learner)})
    if learner.device is not None:
        session.device_set(learner.device)
    return Engine(session, _weights_by_key(learner.class_weight))


def restored_engine(learner: Any, bundle: Bundle, state: bytes) -> Engine:
    """A session that goes on as the one that saved the state. What the learner was given must agree with it; a
    UserWarning tells of another seed, learning rate or batch size.

    Raises:
        StateError: corrupt, of another bundle, or learned with other parameters than those given.
    """
    found = _restorable(bundle, state)
    given = _given_fields(learner)
    for name, value in {**_named_fields(learner), **given}.items():
        if name not in _FREE_FIELDS | _ROOM and not _same(value, found[name]):
            raise StateError(
                f"expected a state that was learned with {name}={_shown(value)}; found one with "
                f"{_shown(found[name])}; leave {name} out to go on as it was learned",
                status=-41,
            )
    kept: dict[str, Any] = {name: given[name] for name in ("learning_rate", "max_batch", *_ROOM) if name in given}
    for name in _FREE_FIELDS & set(given):
        if not _same(given[name], found[name]):
            in_force = kept.get(name, found[name])
            tell(
                f"this learner has {_NAMES.get(name, name)}={_shown(given[name])}, the state was learned with "
                f"{_shown(found[name])}; it goes on with {_shown(in_force)}"
            )
    session = _session(learner, bundle, {**found, **kept})
    session.state_import(state)
    if "learning_rate" in kept:
        session.set_learning_rate(kept["learning_rate"])
    if learner.device is not None:
        session.device_set(learner.device)
    engine = Engine(session, _weights_by_key(learner.class_weight), known=True)
    _agree_on_weights(engine)
    return engine


def empty_engine(learner: Any, bundle: Bundle, state: bytes, head_merges: int) -> Engine:
    """A session of the configuration of a saved state, with nothing learned and room for so many devices.

    Raises:
        StateError: corrupt, or of another bundle.
    """
    return Engine(_session(learner, bundle, {**_restorable(bundle, state), "head_merges": head_merges}), {})


def message_of_state(learner: Any, bundle: Bundle, state: bytes, device: int | None) -> bytes:
    """A saved state as a message to merge: what its device contributed, and what was merged there.

    Args:
        learner: its threads are used.
        device: number for a state whose device has none.

    Raises:
        StateError: of another bundle. SequenceError: no number. UnsupportedError: a head that learns by gradients.
    """
    session = _session(learner, bundle, _restorable(bundle, state))
    session.state_import(state)
    own = next((record for record in session.devices() if record["own"]), None)
    if own is not None and own["device"] == 0 and own["rows"] > 0:
        if device is None:
            raise SequenceError(
                "expected a state whose device has a number; found one without; learn with device=N, or say which "
                "number it has"
            )
        session.device_set(device)
    return session.delta(relay=True)


def _restorable(bundle: Bundle, state: bytes) -> dict[str, Any]:
    found = bundle.model.config_from_state(state)
    return {name: value for name, value in found.items() if name not in _OF_THE_SESSION}


def _agree_on_weights(engine: Engine) -> None:
    for key, weight in engine.class_weights.items():
        code = engine.table.find(key)
        if code is not None and not _same(float(weight), engine.session.class_weight(code)):
            raise StateError(
                f"expected a state that was learned with class_weight {_shown(weight)} of {key!r}; found one with "
                f"{_shown(engine.session.class_weight(code))}; leave class_weight out to go on as it was learned",
                status=-41,
            )


def _session(learner: Any, bundle: Bundle, config: dict[str, Any]) -> _core.Session:
    try:
        return _core.Session(bundle.model, n_threads=threads_of(learner.n_threads), **config)
    except Error as error:  # the core's words, with the parameter's name
        for field, name in _NAMES.items():
            error.args = (str(error).replace(f"'{field}'", f"'{name}'"),)
        raise


def threads_of(given: Any) -> int:
    """The parameter `n_threads` as a number. ArgumentError where it is none."""
    try:
        n = index(given)
    except TypeError:
        n = 0
    if n == -1:
        return min(os.cpu_count() or 1, _core.MAX_THREADS)
    if not 1 <= n <= _core.MAX_THREADS:  # the core knows no -1, so its sentence would not name it
        raise ArgumentError(f"expected n_threads of {N_THREADS}; found {given!r}; set it within the range")
    return n


def _named_fields(learner: Any) -> dict[str, Any]:
    return {} if learner.method is None else method_settings(learner.method)


def _given_fields(learner: Any) -> dict[str, Any]:
    # Fields of the session's configuration that the constructor names; the method by the core's name of it.
    given = {
        _CONFIG_FIELDS.get(name, name): getattr(learner, name)
        for name in (*PARAMETERS, *_CONFIG_FIELDS)
        if getattr(learner, name) is not None
    }
    if learner.method is not None:
        given["method"] = method_settings(learner.method)["method"]
    return given


def _shown(value: Any) -> str:
    return f"{value:.7g}" if isinstance(value, float) else repr(value)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, float) or isinstance(b, float):
        return bool(np.float32(a) == np.float32(b))
    return bool(np.array_equal(a, b))


def _weights_by_key(weights: Any) -> dict[Key, float]:
    if weights is None or weights == "balanced":  # `fit` makes the latter, once it knows the rows
        return {}
    if not isinstance(weights, Mapping):
        raise ArgumentError(f"expected class_weight as a dict, 'balanced' or None; found {weights!r}; give a dict")
    keys, _ = label_keys(list(weights), what="class_weight")
    return dict(zip(keys, weights.values(), strict=True))
