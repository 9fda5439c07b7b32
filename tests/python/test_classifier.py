# The Classifier: the contract on several bundles, and what only users of Python see (labels, scikit-learn, copies).
# Never here: the binding's own checks.
"""Tests of edgecl.Classifier."""

from __future__ import annotations

import copy
import pickle
import re
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import edgecl
import numpy as np
import pytest
from edgecl import errors
from edgecl.evaluate.testing import check_learner

BUNDLES: dict[str, dict[str, Any]] = {
    "dense": {},
    "sparse": {"density": 0.3},
    "bytes": {"dtype": "u8", "dims": (1, 3, 4)},
    "shipped": {"classes": ("cat", "dog")},
    "derpp": {"method": "derpp"},
    "er_ace": {"method": "er_ace"},
    "finetune": {"method": "finetune", "replay_capacity": 0},
}


@pytest.mark.parametrize("name", sorted(BUNDLES))
def test_contract(make_bundle: Callable[..., bytes], name: str) -> None:
    data = make_bundle(**BUNDLES[name])
    done = check_learner(lambda: edgecl.Classifier(data, random_state=1))
    assert len(done) == 15


def test_contract_with_momentum_and_decay(make_bundle: Callable[..., bytes]) -> None:
    bundle = edgecl.open_bundle(make_bundle(density=0.5))
    check_learner(lambda: edgecl.Classifier(bundle, momentum=0.9, weight_decay=1e-3, learning_rate=0.02))


def test_contract_notices_a_broken_learner(make_bundle: Callable[..., bytes]) -> None:
    class Reversing(edgecl.Classifier):
        @property
        def classes_(self) -> Any:
            return super().classes_[::-1]

    data = make_bundle()
    with pytest.raises(AssertionError, match="classes_are_sorted"):
        check_learner(lambda: Reversing(data))
    with pytest.raises(AssertionError, match="room for 3"):
        check_learner(lambda: edgecl.Classifier(data, max_classes=2))


def test_it_learns(bundle_path: Path, blobs: Any) -> None:
    learner = edgecl.Classifier(bundle_path)
    for _ in range(10):
        assert learner.partial_fit(blobs.x, blobs.y) is learner
    assert learner.score(blobs.x, blobs.y) > 0.95
    assert learner.score(blobs.x, blobs.y, sample_weight=(learner.predict(blobs.x) == blobs.y)) == 1.0
    assert learner.predict(blobs.x).dtype == np.int64
    assert learner.embed(blobs.x).shape == (60, 16)
    assert learner.stats()["samples_learned"] == 600 and learner.stats()["n_classes"] == 3
    assert learner.sizes()["arena_bytes"] == learner.stats()["arena_bytes"]
    learner.begin_task()
    assert learner.stats()["tasks"] == 1


def test_class_grows_with_its_first_step_only(make_bundle: Callable[..., bytes], blobs: Any) -> None:
    # Row 7 brings class 2. In a step before it, the softmax must not know of it.
    data = make_bundle()
    y = np.array([0, 1, 0, 1, 0, 1, 0, 2, 1, 2])
    batch = edgecl.Classifier(data, batch_size=2).partial_fit(blobs.x[:10], y)
    steps = edgecl.Classifier(data, batch_size=2)
    for i in range(0, 10, 2):
        steps.partial_fit(blobs.x[i : i + 2], y[i : i + 2])
    assert batch.state_digest() == steps.state_digest()


def test_conversions_and_copy_error(make_bundle: Callable[..., bytes], blobs: Any) -> None:
    data = make_bundle()
    exact = edgecl.Classifier(data).partial_fit(blobs.x, blobs.y)
    converted = edgecl.Classifier(data).partial_fit(np.asfortranarray(blobs.x.astype(np.float64)), blobs.y)
    assert exact.state_digest() == converted.state_digest()
    strict = edgecl.Classifier(data, copy="error")
    strict.partial_fit(blobs.x, blobs.y)
    for x in (blobs.x.astype(np.float64), np.asfortranarray(blobs.x)):
        with pytest.raises(errors.ArgumentError, match="copy='error'"):
            strict.predict(x)
    with pytest.raises(errors.ArgumentError, match="copy='auto' or 'error'"):
        edgecl.Classifier(data, copy="never").partial_fit(blobs.x, blobs.y)


def test_byte_bundles_take_bytes(make_bundle: Callable[..., bytes]) -> None:
    learner = edgecl.Classifier(make_bundle(dtype="u8"))
    x = np.arange(24).reshape(2, 12)
    learner.partial_fit(x, ["a", "b"])
    assert (learner.decision_function(x) == learner.decision_function(x.astype(np.uint8))).all()
    assert (learner.decision_function(x.astype(np.float64)) == learner.decision_function(x)).all()
    for bad in (x - 1, x + 250, x + 0.5):
        with pytest.raises(errors.DtypeError, match="raw"):
            learner.predict(bad)
    with pytest.raises(errors.NumericError):
        learner.predict(np.full((1, 12), np.nan))


def test_parameters_take_effect(make_bundle: Callable[..., bytes], blobs: Any) -> None:
    data = make_bundle()
    learner = edgecl.Classifier(data)
    learner.partial_fit(blobs.x, blobs.y)
    learner.set_params(learning_rate=1e-8)
    before = learner.decision_function(blobs.x)
    learner.partial_fit(blobs.x, blobs.y)
    assert np.allclose(learner.decision_function(blobs.x), before, atol=1e-4)
    learner.set_params(learning_rate=None, method="derpp", replay_capacity=7)
    assert learner.config()["method"] == "er"
    learner.fit(blobs.x, blobs.y)
    assert learner.config()["method"] == "derpp" and learner.stats()["replay_capacity"] == 7
    with pytest.raises(errors.ArgumentError):
        edgecl.Classifier(data, method="magic").fit(blobs.x, blobs.y)
    with pytest.raises(errors.ArgumentError, match="max_classes"):
        edgecl.Classifier(data, max_classes=7).fit(blobs.x, blobs.y)


def test_the_range_of_n_threads_is_said_in_one_way(make_bundle: Callable[..., bytes]) -> None:
    data, text = make_bundle(), "1..64, or -1 for all processors (64 at the most)"
    assert f"threads of one call, {text}" in (edgecl.Classifier.__doc__ or "")
    for good in (1, 64, np.int64(2)):
        assert edgecl.Classifier(data, n_threads=good).config()["n_threads"] == good
    assert 1 <= edgecl.Classifier(data, n_threads=-1).config()["n_threads"] <= 64
    for bad in (0, 65, -2, 1.5, "all", None):
        with pytest.raises(errors.ArgumentError, match=re.escape(f"expected n_threads of {text}; found {bad!r};")):
            edgecl.Classifier(data, n_threads=bad).config()


def test_fit_keeps_what_was_learned_when_rows_do_not_fit(make_bundle: Callable[..., bytes], blobs: Any) -> None:
    learner = edgecl.Classifier(make_bundle()).partial_fit(blobs.x, blobs.y)
    digest = learner.state_digest()
    for x, y in ((blobs.x[:, :3], blobs.y), (blobs.x, blobs.y[:3]), (blobs.x[:0], blobs.y[:0])):
        with pytest.raises(errors.ShapeError):
            learner.fit(x, y)
    assert learner.state_digest() == digest
    assert learner.fit(blobs.x, blobs.y).state_digest() == digest


def test_forget_reports(make_bundle: Callable[..., bytes], blobs: Any) -> None:
    learner = edgecl.Classifier(make_bundle()).partial_fit(blobs.x, blobs.y)
    report = learner.forget(1)
    assert report["label"] == 1 and report["samples_learned"] == 20 and 0 < report["exemplars_dropped"] <= 20
    assert report["shared_parameters"] == 2
    assert 1 not in learner.classes_.tolist()
    learner.partial_fit(blobs.x, blobs.y)
    assert learner.classes_.tolist() == [0, 1, 2]


def test_second_learning_call_is_refused(make_bundle: Callable[..., bytes]) -> None:
    learner = edgecl.Classifier(make_bundle(hidden=256), batch_size=64, replay_batch=64)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((20000, 12)).astype(np.float32), rng.integers(0, 3, 20000)
    learner.partial_fit(x[:64], y[:64])
    thread = threading.Thread(target=learner.partial_fit, args=(x, y))
    thread.start()
    refused = 0
    while thread.is_alive():
        try:
            learner.partial_fit(x[:64], y[:64])
        except errors.BusyError:
            refused += 1
    thread.join()
    assert refused > 0
    assert (learner.stats()["samples_learned"] - 64 - 20000) % 64 == 0


def test_profile_adds_up(make_bundle: Callable[..., bytes], blobs: Any) -> None:
    learner = edgecl.Classifier(make_bundle())
    with learner.profile() as record:
        learner.partial_fit(blobs.x, blobs.y)
    rows = record.by_op()
    assert {("fc1", "forward"), ("fc2", "backward")} <= {(r["op"], r["pass"]) for r in rows}
    assert sum(r["total_us"] for r in rows) == record.total_us
    with learner.profile() as second:
        pass
    assert second.events == []


def test_pickle_needs_the_same_bundle(make_bundle: Callable[..., bytes], tmp_path: Path, blobs: Any) -> None:
    path = tmp_path / "m.ecl"
    path.write_bytes(make_bundle())
    blob = pickle.dumps(edgecl.Classifier(str(path)).partial_fit(blobs.x, blobs.y))
    path.unlink()
    with pytest.raises(errors.FileError):
        pickle.loads(blob).predict(blobs.x)
    path.write_bytes(make_bundle(seed=9))
    with pytest.raises(errors.StateError, match="put the original bundle back"):
        pickle.loads(blob).predict(blobs.x)
    assert pickle.loads(pickle.dumps(edgecl.Classifier(str(path)))).stats()["steps"] == 0


def test_errors_are_what_they_should_be() -> None:
    assert issubclass(errors.ShapeError, ValueError) and issubclass(errors.CapacityError, ValueError)
    assert all(issubclass(type(errors.from_status(s, "x")), errors.Error) for s in errors.STATUS_NAMES)
    error = errors.from_status(-22, "full", 7)
    assert (type(error), str(error), error.status, error.n_done, error.status_name) == (
        errors.CapacityError,
        "full",
        -22,
        7,
        "E_CAPACITY",
    )
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.status, again.n_done, str(again)) == (errors.CapacityError, -22, 7, "full")
    assert type(errors.from_status(-7777, "new")) is errors.Error


def test_bundle_object(bundle_path: Path, make_bundle: Callable[..., bytes]) -> None:
    bundle = edgecl.open_bundle(bundle_path)
    bundle.verify()
    assert bundle.path == str(bundle_path) and "test-mlp" in repr(bundle)
    assert bundle.sizes(max_batch=32)["learn_bytes"] > bundle.sizes(max_batch=1)["learn_bytes"]
    assert copy.deepcopy(bundle) is bundle and pickle.loads(pickle.dumps(bundle)).digest == bundle.digest
    from_bytes = edgecl.open_bundle(make_bundle())
    from_bytes.verify()
    assert from_bytes.digest == bundle.digest and from_bytes.path is None
    with pytest.raises(errors.ArgumentError):
        edgecl.open_bundle(3)  # type: ignore[arg-type]
    with pytest.raises(errors.BundleError):
        bundle.verify(b"k" * 32)


def test_repr_shows_what_was_given(make_bundle: Callable[..., bytes]) -> None:
    text = repr(edgecl.Classifier(make_bundle(), method="er", random_state=3))
    assert text.startswith("Classifier(<bytes>") and "method='er'" in text and "max_classes" not in text


class TestScikitLearn:
    """What scikit-learn's tools ask of a classifier."""

    def test_clone_and_tags(self, bundle_path: Path, blobs: Any) -> None:
        base = pytest.importorskip("sklearn.base", reason="scikit-learn is not installed")
        learner = edgecl.Classifier(str(bundle_path), batch_size=2).fit(blobs.x, blobs.y)
        fresh = base.clone(learner)
        assert fresh.get_params() == learner.get_params() and len(fresh.classes_) == 0
        assert base.is_classifier(learner)
        opened = edgecl.Classifier(edgecl.open_bundle(bundle_path))
        assert base.clone(opened).bundle is opened.bundle

    def test_fitted_check_and_cross_validation(self, bundle_path: Path, blobs: Any) -> None:
        pytest.importorskip("sklearn", reason="scikit-learn is not installed")
        from sklearn.exceptions import NotFittedError
        from sklearn.model_selection import cross_val_score
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from sklearn.utils.validation import check_is_fitted

        learner = edgecl.Classifier(str(bundle_path))
        with pytest.raises(NotFittedError):
            check_is_fitted(learner)
        check_is_fitted(learner.fit(blobs.x, blobs.y))
        x, y = np.tile(blobs.x, (8, 1)), np.tile(blobs.y, 8)
        assert cross_val_score(learner, x, y, cv=3).min() > 0.9
        assert make_pipeline(StandardScaler(), learner).fit(x, y).score(x, y) > 0.9


def test_probabilities_have_the_bits_of_predictions(make_bundle: Callable[..., bytes], blobs: Any) -> None:
    learner = edgecl.Classifier(make_bundle(classes=("7", "8", "9")), random_state=3)
    for _ in range(5):
        learner.partial_fit(blobs.x, blobs.y)
    shares = learner.predict_proba(blobs.x)
    assert shares.dtype == np.float32 and shares.shape == (len(blobs.x), len(learner.classes_))
    _, probabilities, _ = learner._open().session.predict(blobs.x)
    assert (shares.max(axis=1) == probabilities).all()
    assert np.abs(shares.sum(axis=1) - 1).max() < 1e-6


def test_config_tells_what_is_in_force_after_load(make_bundle: Callable[..., bytes], tmp_path: Path) -> None:
    data = make_bundle()
    donor = edgecl.Classifier(data, random_state=5, learning_rate=0.25)
    donor.save(tmp_path / "donor.ecs")
    learner = edgecl.Classifier(data, random_state=6)
    assert learner.config()["seed"] == 6
    with pytest.warns(UserWarning, match="random_state=6.*goes on with 5"):
        learner.load(tmp_path / "donor.ecs")
    assert learner.config()["seed"] == 5 and learner.config()["learning_rate"] == 0.25
    learner.set_params(learning_rate=0.5)
    assert learner.config()["learning_rate"] == 0.5


def test_first_use_from_two_threads_makes_one_session(
    make_bundle: Callable[..., bytes], blobs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, real = [], edgecl._core.Session

    def slow(*args: Any, **keywords: Any) -> Any:
        made.append(threading.get_ident())
        time.sleep(0.1)  # the other thread has time to come here too
        return real(*args, **keywords)

    monkeypatch.setattr("edgecl.opening._core.Session", slow)
    learner = edgecl.Classifier(make_bundle())
    start, sessions = threading.Barrier(2), []

    def use() -> None:
        start.wait()
        sessions.append(learner._open())

    threads = [threading.Thread(target=use) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1 and sessions[0] is sessions[1]


def test_a_bundle_file_may_be_overwritten_while_it_is_open(make_bundle: Callable[..., bytes], tmp_path: Path) -> None:
    path = tmp_path / "model.ecl"
    path.write_bytes(make_bundle(classes=("cat", "dog")))
    learner = edgecl.Classifier(path)
    x = np.zeros((1, learner.n_features_in_), np.float32)
    expected = learner.predict_proba(x)
    with path.open("r+b") as file:
        file.truncate(0)
    assert learner.bundle_info()["classes"] == ["cat", "dog"]
    assert (learner.clone().set_params(bundle=learner._opened()).predict_proba(x) == expected).all()


def test_arguments_of_the_wrong_kind_are_errors_of_the_library(make_bundle: Callable[..., bytes], blobs: Any) -> None:
    learner = edgecl.Classifier(make_bundle())
    x, y = blobs.x[:8], blobs.y[:8]
    learner.partial_fit(x, y)
    before = learner.state_digest()
    endless: Any = 10**5000  # has no text
    calls: list[Callable[[], Any]] = [
        lambda: edgecl.Classifier(make_bundle(), method=3).partial_fit(x, y),  # type: ignore[arg-type]
        lambda: edgecl.Classifier(make_bundle(), replay_capacity=endless).partial_fit(x, y),
        lambda: learner.set_params(learning_rate="x"),
        lambda: learner.set_params(learning_rate=float("nan")),
        lambda: learner.set_params(copy="sometimes"),
        lambda: learner.profile(-1).__enter__(),
        lambda: learner.profile(2**50).__enter__(),
        lambda: learner.profile("x").__enter__(),  # type: ignore[arg-type]
        lambda: learner.rehearse(2**80),
        lambda: learner.rehearse(1.5),  # type: ignore[arg-type]
        lambda: learner.save("a\0b"),
        lambda: learner.save(""),
        lambda: learner.load("a\0b"),
        lambda: learner.load(None),  # type: ignore[arg-type]
        lambda: learner.predict([[1.0], [1.0, 2.0]]),
    ]
    for call in calls:
        with pytest.raises(errors.Error, match="expected"):
            call()
    assert learner.state_digest() == before


def test_a_later_step_that_fails_says_how_many_rows_came_before(make_bundle: Callable[..., bytes], blobs: Any) -> None:
    learner = edgecl.Classifier(make_bundle(), batch_size=10)
    x, y = blobs.x[:40].copy(), blobs.y[:40]
    x[39, 0] = np.nan
    with pytest.raises(errors.NumericError, match=r"sample 9.* \(30 rows were learned before") as caught:
        learner.partial_fit(x, y)
    assert caught.value.n_done == 30
    with pytest.raises(errors.ShapeError, match=r"\(40, 3\)"):
        learner.partial_fit(np.zeros((40, 3), np.float32), y)


def test_a_fit_that_fails_keeps_what_was_learned(make_bundle: Callable[..., bytes], blobs: Any) -> None:
    learner = edgecl.Classifier(make_bundle()).partial_fit(blobs.x, blobs.y)
    before = learner.state_digest()
    late = blobs.x.copy()
    late[59, 3] = np.nan
    many = np.arange(60)  # more labels than the bundle has room for

    def fit(x: Any, y: Any, **more: Any) -> Callable[[], Any]:
        return lambda: learner.fit(x, y, **more)

    calls = [fit(late, blobs.y), fit(blobs.x, many), fit(blobs.x, [None] * 60)]
    calls += [fit(blobs.x, blobs.y, sample_weight=wrong) for wrong in ([-1.0] * 60, [1.0], np.zeros(60), ["a"] * 60)]
    for call in calls:
        with pytest.raises(errors.Error):
            call()
        assert learner.state_digest() == before
    for wrong in ({"method": "typo"}, {"class_weight": 3}, {"epochs": 0}, {"bundle": b"none"}, {"max_classes": 99}):
        old = {name: learner.get_params()[name] for name in wrong}
        learner.set_params(**wrong)
        with pytest.raises(errors.Error):
            learner.fit(blobs.x, blobs.y)
        assert learner.state_digest() == before and learner.predict(blobs.x).shape == (60,)
        learner.set_params(**old)
    assert learner.fit(blobs.x, blobs.y).state_digest() == before


def test_a_copy_does_not_see_parameters_that_wait_for_fit(make_bundle: Callable[..., bytes], blobs: Any) -> None:
    learner = edgecl.Classifier(make_bundle(), class_weight={0: 2.0}).partial_fit(blobs.x, blobs.y)
    learner.set_params(method="er_ace", batch_size=3, replay_capacity=7, class_weight={0: 5.0})
    for other in (pickle.loads(pickle.dumps(learner)), copy.deepcopy(learner)):
        assert other.state_digest() == learner.state_digest() and other.get_params()["method"] == "er_ace"
        assert other.config()["max_batch"] == learner.config()["max_batch"]
        again = pickle.loads(pickle.dumps(other))
        for each in (other, again):
            each.partial_fit(blobs.x, blobs.y)
        assert again.state_digest() == other.state_digest()
    learner.partial_fit(blobs.x, blobs.y)
    assert learner.state_digest() == other.state_digest()
    assert other.fit(blobs.x, blobs.y).config()["method"] == "er_ace"


def test_remembering_is_all_or_nothing(make_bundle: Callable[..., bytes], blobs: Any) -> None:
    learner = edgecl.Classifier(make_bundle(), batch_size=10).partial_fit(blobs.x, blobs.y)
    before = learner.state_digest()
    broken = blobs.x.copy()
    broken[25, 0] = np.nan
    with pytest.raises(errors.NumericError, match=r"sample 5.*counted from row 20 on"):
        learner.remember(broken, blobs.y)
    with pytest.raises(errors.NotFoundError, match="found \\[7\\]"):
        learner.remember(blobs.x[:2], [0, 7])
    assert learner.state_digest() == before
    learner.remember(blobs.x, blobs.y)
    assert learner.stats()["samples_seen"] == 120 and learner.stats()["steps"] == 6
    with pytest.raises(errors.UnsupportedError):
        edgecl.Classifier(make_bundle(classes=("0", "1", "2")), method="finetune", replay_capacity=0).remember(
            blobs.x, blobs.y
        )


def test_the_warning_of_shipped_classes_points_here(make_bundle: Callable[..., bytes], blobs: Any) -> None:
    learner = edgecl.Classifier(make_bundle(classes=("0", "1")))
    old = blobs.y < 2
    with pytest.warns(UserWarning, match="ships classes") as told:
        learner.partial_fit(blobs.x[~old], blobs.y[~old])
    assert len(told) == 1 and told[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        learner.partial_fit(blobs.x, blobs.y)
        edgecl.Classifier(make_bundle(classes=("0", "1"))).partial_fit(blobs.x[old], blobs.y[old]).partial_fit(
            blobs.x, blobs.y
        )
