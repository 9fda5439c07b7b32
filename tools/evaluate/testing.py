# The contract of a learner as code: what every Classifier must do, whatever its bundle.
# Never here: knowledge of one bundle; accuracy.
"""`check_learner(make)` runs the contract and raises AssertionError where a learner breaks it."""

from __future__ import annotations

import copy
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from edgecl import errors
from edgecl.bundle import Bundle, open_bundle
from edgecl.classifier import Classifier
from numpy.typing import NDArray

Make = Callable[[], Classifier]


class _Samples:
    # Seeded raw samples of any bundle; three classes that differ in mean, in an order that is not sorted.
    def __init__(self, learner: Classifier) -> None:
        info = (learner.bundle if isinstance(learner.bundle, Bundle) else open_bundle(learner.bundle)).samples
        rng = np.random.default_rng(7)
        n = 24
        base = rng.normal(size=(3, *info["input_dims"]))
        which = rng.permutation(np.arange(n) % 3)
        x = base[which] + 0.3 * rng.normal(size=(n, *info["input_dims"]))
        self.is_float = info["input_dtype"] == 0
        self.x: NDArray[Any] = x.astype(np.float32) if self.is_float else np.clip(128 + 40 * x, 0, 255).astype(np.uint8)
        names = [f"class {c}" for c in "zam"]
        self.y = [names[c] for c in which]
        self.order = list(dict.fromkeys(self.y))  # of appearance
        self.capacity = int(learner.config()["max_classes"])
        self.known = learner.classes_.tolist()  # those that the bundle ships
        self.shipped = len(self.known)
        self.classes = sorted([*self.known, *self.order])


def check_learner(make: Make) -> list[str]:
    """Runs the contract.

    Args:
        make: gives a fresh learner each time, always with the same parameters; its bundle needs room for three more
            classes.

    Returns:
        Names of the checks, in order.

    Raises:
        AssertionError: the first part of the contract that does not hold.
    """
    samples = _Samples(make())
    if samples.capacity - samples.shipped < 3:
        raise AssertionError(
            f"expected room for 3 more classes; found {samples.capacity - samples.shipped}; use another bundle"
        )
    done = []
    for check in _CHECKS:
        try:
            check(make, samples)
        except AssertionError as error:
            raise AssertionError(f"{check.__name__}: {error}") from error
        done.append(check.__name__)
    return done


def _require(condition: bool, text: str) -> None:
    if not condition:
        raise AssertionError(text)


def _raises(kind: type[Exception], call: Callable[[], Any]) -> Exception:
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"expected {kind.__name__}; found no error")


def parameters_are_stored_as_given(make: Make, samples: _Samples) -> None:
    learner = make()
    params = learner.get_params()
    again = type(learner)(**params)
    _require(all(again.get_params()[k] is v for k, v in params.items()), "constructor changed a parameter")
    learner.set_params(learning_rate=0.125)
    _require(learner.get_params()["learning_rate"] == 0.125, "set_params did not set")
    _raises(ValueError, lambda: learner.set_params(no_such_parameter=1))
    _require(learner.clone().get_params() == learner.get_params(), "clone differs in parameters")


def batch_equals_loop(make: Make, samples: _Samples) -> None:
    batch, loop = make().set_params(batch_size=1), make().set_params(batch_size=1)
    batch.partial_fit(samples.x, samples.y)
    for x, y in zip(samples.x, samples.y, strict=True):
        loop.learn_one(x, y)
    _require(
        batch.state_digest() == loop.state_digest(), "partial_fit with batch_size=1 and learn_one give other states"
    )


def batches_are_cut_in_order(make: Make, samples: _Samples) -> None:
    whole, parts = make().set_params(batch_size=5), make().set_params(batch_size=5)
    whole.partial_fit(samples.x, samples.y)
    for begin in range(0, len(samples.x), 5):
        parts.partial_fit(samples.x[begin : begin + 5], samples.y[begin : begin + 5])
    _require(
        whole.state_digest() == parts.state_digest(),
        "one call and consecutive calls of batch_size rows give other states",
    )


def equal_seeds_give_equal_bits(make: Make, samples: _Samples) -> None:
    digests = {n: make().set_params(n_threads=n).fit(samples.x, samples.y).state_digest() for n in (1, 2, 3)}
    _require(len(set(digests.values())) == 1, "the number of threads changes the state")
    one, two = (make().set_params(random_state=s).fit(samples.x, samples.y).state_digest() for s in (1, 2))
    _require(one != two, "the seed changes nothing")


def classes_are_sorted(make: Make, samples: _Samples) -> None:
    learner = make().fit(samples.x, samples.y)
    found = learner.classes_.tolist()
    _require(found == samples.classes, f"expected classes {samples.classes}; found {found}")


def predictions_agree(make: Make, samples: _Samples) -> None:
    learner = make().fit(samples.x, samples.y)
    labels, shares = learner.predict(samples.x), learner.predict_proba(samples.x)
    _require(shares.shape == (len(samples.x), len(learner.classes_)), f"probabilities of shape {shares.shape}")
    _require(bool(np.allclose(shares.sum(axis=1), 1, atol=1e-5)), "probabilities do not add up to 1")
    _require(bool((learner.classes_[shares.argmax(axis=1)] == labels).all()), "predict and predict_proba disagree")
    _require(learner.predict_one(samples.x[0]) == labels[0], "predict_one and predict disagree")
    one = learner.predict_proba_one(samples.x[0])
    _require(list(one) == learner.classes_.tolist(), "predict_proba_one has other classes")
    logits = learner.logits(samples.x)
    _require(bool((learner.classes_[logits.argmax(axis=1)] == labels).all()), "predict and logits disagree")
    _require(0 <= learner.score(samples.x, samples.y) <= 1, "score beyond 0..1")
    alone = np.concatenate([learner.logits(x[None]) for x in samples.x])
    _require(bool((alone == logits).all()), "a row's logits depend on the other rows")


def predicting_changes_nothing(make: Make, samples: _Samples) -> None:
    learner = make().fit(samples.x, samples.y)
    before = learner.state_digest()
    learner.predict(samples.x)
    learner.predict_proba(samples.x[:1])
    _require(learner.state_digest() == before, "predict changed the state")


def fit_forgets_what_was(make: Make, samples: _Samples) -> None:
    once = make().fit(samples.x, samples.y).state_digest()
    twice = make().fit(samples.x[::-1], samples.y[::-1]).fit(samples.x, samples.y).state_digest()
    _require(once == twice, "fit after fit differs from fit")


def state_survives_save_and_load(make: Make, samples: _Samples) -> None:
    learner = make().fit(samples.x, samples.y)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.ecs"
        learner.save(path)
        other = make().load(path)
        _require(other.state_digest() == learner.state_digest(), "load gives another state")
        _require(other.classes_.tolist() == learner.classes_.tolist(), "load gives other classes")
        for each in (learner, other):
            each.partial_fit(samples.x[:7], samples.y[:7])
        _require(other.state_digest() == learner.state_digest(), "learning goes another way after load")
        path.write_bytes(path.read_bytes()[:-1])
        before = other.state_digest()
        _raises(errors.StateError, lambda: other.load(path))
        _require(other.state_digest() == before, "a refused load changed the state")


def copies_are_independent(make: Make, samples: _Samples) -> None:
    learner = make().fit(samples.x, samples.y)
    digest = learner.state_digest()
    for other in (pickle.loads(pickle.dumps(learner)), copy.deepcopy(learner)):
        _require(other.state_digest() == digest, "a copy has another state")
        _require(other.classes_.tolist() == learner.classes_.tolist(), "a copy has other classes")
        other.partial_fit(samples.x, samples.y)
        _require(learner.state_digest() == digest, "learning in a copy changed the original")


def bad_input_leaves_the_state(make: Make, samples: _Samples) -> None:
    learner = make().fit(samples.x, samples.y)
    before = learner.state_digest()
    x, y = samples.x[:4], samples.y[:4]
    _raises(errors.ShapeError, lambda: learner.partial_fit(np.repeat(x, 2, axis=-1), y))
    _raises(errors.ShapeError, lambda: learner.partial_fit(x, y[:3]))
    _raises(errors.ShapeError, lambda: learner.partial_fit(x[:0], []))
    _raises(errors.DtypeError, lambda: learner.partial_fit(np.full(x.shape, "text"), y))
    _raises(errors.ArgumentError, lambda: learner.partial_fit(x, [[1], [2], [3], [4]]))
    _raises(errors.ShapeError, lambda: learner.predict(np.repeat(x, 2, axis=-1)))
    _raises(errors.NotFoundError, lambda: learner.forget("never seen"))
    broken = x.astype(np.float32)
    broken[2].reshape(-1)[0] = np.nan
    _raises(errors.NumericError, lambda: learner.partial_fit(broken, y))
    _raises(errors.NumericError, lambda: learner.partial_fit(broken, [*y[:3], "a class that must not stay"]))
    _require(learner.state_digest() == before, "bad input changed the state")
    _raises(errors.ArgumentError, lambda: learner.partial_fit(x, [*y[:3], None]))
    _raises(errors.ArgumentError, lambda: learner.partial_fit(x, [*y[:3], 7]))
    _raises(errors.ArgumentError, lambda: learner.partial_fit(x, y, sample_weight=[1, 1, 1, -1]))
    _require(learner.state_digest() == before, "bad labels or weights changed the state")
    _require(learner.classes_.tolist() == samples.classes, "bad input changed the classes")


def failure_says_how_far_it_came(make: Make, samples: _Samples) -> None:
    if not samples.is_float:
        return  # bytes are checked as a whole before the first step
    learner, other = make().set_params(batch_size=2), make().set_params(batch_size=2)
    broken = samples.x[:10].copy()
    broken[7].reshape(-1)[0] = np.inf
    error = _raises(errors.NumericError, lambda: learner.partial_fit(broken, samples.y[:10]))
    _require(getattr(error, "n_done", None) == 6, f"expected n_done 6; found {getattr(error, 'n_done', None)}")
    other.partial_fit(samples.x[:6], samples.y[:6])
    _require(learner.state_digest() == other.state_digest(), "a failed step left traces")


def capacity_is_kept(make: Make, samples: _Samples) -> None:
    learner = make().set_params(max_classes=samples.shipped + 2, batch_size=1)
    rows = [samples.y.index(label) for label in samples.order]
    learner.partial_fit(samples.x[rows[:2]], samples.order[:2])
    before = learner.state_digest()
    _raises(errors.CapacityError, lambda: learner.learn_one(samples.x[rows[2]], samples.order[2]))
    _require(learner.state_digest() == before, "a class too many changed the state")
    _require(len(learner.classes_) == samples.shipped + 2, "a class too many stayed")


def forgetting_a_class_removes_it(make: Make, samples: _Samples) -> None:
    learner = make().fit(samples.x, samples.y)
    gone = samples.order[1]
    learner.forget(gone)
    kept = [label for label in samples.classes if label != gone]
    _require(learner.classes_.tolist() == kept, "forget changed more than one class")
    _require(gone not in learner.predict(samples.x).tolist(), "a forgotten class is still predicted")


def nothing_learned_is_said(make: Make, samples: _Samples) -> None:
    if samples.shipped == 0:
        learner = make()
        _raises(errors.SequenceError, lambda: learner.predict(samples.x))
        _require(len(learner.classes_) == 0, "a fresh learner has classes")


_CHECKS: list[Callable[[Make, _Samples], None]] = [
    parameters_are_stored_as_given,
    batch_equals_loop,
    batches_are_cut_in_order,
    equal_seeds_give_equal_bits,
    classes_are_sorted,
    predictions_agree,
    predicting_changes_nothing,
    fit_forgets_what_was,
    state_survives_save_and_load,
    copies_are_independent,
    bad_input_leaves_the_state,
    failure_says_how_far_it_came,
    capacity_is_kept,
    forgetting_a_class_removes_it,
    nothing_learned_is_said,
]
