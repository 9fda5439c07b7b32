# A Classifier among scikit-learn's checks, scorers and meta-estimators: what they give equals a plain loop.
# Never here: labels by themselves (test_labels.py).
"""Tests of edgecl.Classifier inside scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import edgecl
import numpy as np
import pytest
from numpy.typing import NDArray

sklearn = pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from sklearn.base import clone  # noqa: E402
from sklearn.calibration import CalibratedClassifierCV  # noqa: E402
from sklearn.ensemble import BaggingClassifier, VotingClassifier  # noqa: E402
from sklearn.metrics import log_loss, roc_auc_score  # noqa: E402
from sklearn.model_selection import (  # noqa: E402
    GridSearchCV,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
    learning_curve,
)
from sklearn.multiclass import OneVsRestClassifier  # noqa: E402
from sklearn.multioutput import MultiOutputClassifier  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.utils.estimator_checks import check_estimator  # noqa: E402

FOLDS = StratifiedKFold(3)
MAKE: list[Callable[..., bytes]] = []  # the fixture make_bundle, for a class that is made without arguments


class AnyWidth(edgecl.Classifier):
    """Makes a bundle for the width of the data in `fit`, as scikit-learn's checks need it; a bundle has one width."""

    def __init__(self, *, epochs: int = 30, batch_size: int = 4, random_state: Any = None) -> None:
        super().__init__(b"", epochs=epochs, batch_size=batch_size, random_state=random_state, learning_rate=0.05)
        self._made: bytes | None = None

    def _source(self) -> bytes | None:
        return self._made

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> AnyWidth:
        from sklearn.utils.validation import check_X_y

        x, _ = check_X_y(X, y, dtype=np.float32)  # its own words for what it does not take
        self._made = MAKE[0](dims=(x.shape[1],), hidden=32, capacity=20)
        super().fit(X, y, sample_weight)
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> AnyWidth:
        if self._made is None:
            self._made = MAKE[0](dims=(np.asarray(X).shape[1],), hidden=32, capacity=20)
        super().partial_fit(X, y, classes, sample_weight)
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "made": self._made}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._made = state["made"]


EXCUSED = {
    "check_sample_weight_equivalence_on_dense_data": "rows are steps of a stream: two of them are no row of weight two",
}


@pytest.fixture
def data() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """300 rows of three classes, the last of which comes first."""
    rng = np.random.default_rng(1)
    y = 2 - rng.permutation(np.arange(300) % 3)
    first = int(np.flatnonzero(y == 2)[0])
    y[[0, first]] = y[[first, 0]]
    centres = rng.standard_normal((3, 12))
    return (centres[y] + 0.9 * rng.standard_normal((300, 12))).astype(np.float32), y


@pytest.fixture
def learner(make_bundle: Callable[..., bytes]) -> edgecl.Classifier:
    """A fresh one."""
    return edgecl.Classifier(make_bundle(), epochs=3)


@pytest.mark.filterwarnings("ignore")
def test_check_estimator(make_bundle: Callable[..., bytes]) -> None:
    MAKE[:] = [make_bundle]
    results = check_estimator(AnyWidth(), expected_failed_checks=EXCUSED, on_fail=None, on_skip=None)
    failed = {r["check_name"]: r["exception"] for r in results if r["status"] == "failed"}
    assert not failed, failed
    assert sum(r["status"] == "passed" for r in results) >= 40


def by_hand(learner: Any, x: Any, y: Any, call: Callable[[Any, Any], Any]) -> Any:
    """What cross-validation does, in a plain loop."""
    out = None
    for train, test in FOLDS.split(x, y):
        part = call(clone(learner).fit(x[train], y[train]), x[test])
        if out is None:
            out = np.empty((len(x), *part.shape[1:]), part.dtype)
        out[test] = part
    return out


def test_cross_validation_is_a_plain_loop(learner: Any, data: Any) -> None:
    x, y = data
    for method in ("predict", "predict_proba", "decision_function", "predict_log_proba"):
        ours = by_hand(learner, x, y, lambda fitted, part, m=method: getattr(fitted, m)(part))
        assert (cross_val_predict(learner, x, y, cv=FOLDS, method=method) == ours).all(), method
    shares = by_hand(learner, x, y, lambda fitted, part: fitted.predict_proba(part))
    labels = by_hand(learner, x, y, lambda fitted, part: fitted.predict(part))
    assert (np.arange(3)[shares.argmax(axis=1)] == labels).all() and (labels == y).mean() > 0.8
    for scoring, metric in (
        ("roc_auc_ovr", lambda y, p: roc_auc_score(y, p, multi_class="ovr")),
        ("neg_log_loss", lambda y, p: -log_loss(y, p)),
        ("accuracy", lambda y, p: (p.argmax(axis=1) == y).mean()),
    ):
        expected = [metric(y[test], shares[test]) for _, test in FOLDS.split(x, y)]
        assert np.allclose(cross_val_score(learner, x, y, cv=FOLDS, scoring=scoring), expected), scoring


def test_two_classes(learner: Any, data: Any) -> None:
    x, y = data
    y = np.where(y == 2, "yes", "no")
    margins = cross_val_predict(learner, x, y, cv=FOLDS, method="decision_function")
    assert margins.shape == (300,)
    labels = cross_val_predict(learner, x, y, cv=FOLDS)
    assert ((margins > 0) == (labels == "yes")).all()
    expected = [roc_auc_score(y[test] == "yes", margins[test]) for _, test in FOLDS.split(x, y)]
    assert np.allclose(cross_val_score(learner, x, y, cv=FOLDS, scoring="roc_auc"), expected) and min(expected) > 0.9


def test_ensembles_are_plain_loops(learner: Any, data: Any) -> None:
    x, y = data
    alone = clone(learner).fit(x, y)
    voting = VotingClassifier([("one", learner)], voting="soft").fit(x, y)
    assert (voting.predict_proba(x) == alone.predict_proba(x)).all() and (voting.predict(x) == alone.predict(x)).all()
    assert VotingClassifier([("one", learner)], voting="hard").fit(x, y).score(x, y) == alone.score(x, y)

    bagging = BaggingClassifier(learner, 4, random_state=0).fit(x, y)
    shares = []
    for member, rows in zip(bagging.estimators_, bagging.estimators_samples_, strict=True):
        again = clone(learner).set_params(random_state=member.random_state)
        weights = np.bincount(rows, minlength=len(x))  # bags reach a learner that takes weights as such
        shares.append(again.fit(x, y, sample_weight=weights).predict_proba(x))
        assert (shares[-1] == member.predict_proba(x)).all()
    assert np.allclose(bagging.predict_proba(x), np.mean(shares, axis=0), atol=1e-6)

    rest = OneVsRestClassifier(learner).fit(x, y)
    margins = np.stack([clone(learner).fit(x, (y == c).astype(int)).decision_function(x) for c in range(3)], axis=1)
    assert np.allclose(rest.decision_function(x), margins) and (rest.predict(x) == margins.argmax(axis=1)).all()

    for member in CalibratedClassifierCV(learner, cv=FOLDS, ensemble=True).fit(x, y).calibrated_classifiers_:
        assert member.estimator.classes_.tolist() == [0, 1, 2]
    calibrated = CalibratedClassifierCV(learner, cv=FOLDS).fit(x, y)
    assert (calibrated.predict(x) == y).mean() > 0.8


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_other_callers(learner: Any, data: Any) -> None:
    x, y = data
    sizes, train, test = learning_curve(learner, x, y, cv=3, exploit_incremental_learning=True, error_score="raise")
    assert train.shape == test.shape == (len(sizes), 3)
    outputs = MultiOutputClassifier(learner).partial_fit(x, np.c_[y, y == 1], classes=[[0, 1, 2], [0, 1]])
    assert [part.classes_.tolist() for part in outputs.estimators_] == [[0, 1, 2], [0, 1]]
    grid = GridSearchCV(learner, {"learning_rate": [1e-6, 0.1]}, cv=3).fit(x, y)
    assert grid.best_params_ == {"learning_rate": 0.1}
    assert make_pipeline(StandardScaler(), learner).fit(x, y).score(x, y) > 0.8


def test_frames(learner: Any, data: Any) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    x, y = data
    frame = pandas.DataFrame(x, columns=[f"sensor {i}" for i in range(12)])
    named = clone(learner).fit(frame, pandas.Series(y))
    assert named.state_digest() == clone(learner).fit(x, y).state_digest()
    assert named.feature_names_in_.tolist() == list(frame.columns)
    assert (named.predict(frame) == named.predict(x)).all()
    with pytest.raises(ValueError, match="same order"):
        named.predict(frame[frame.columns[::-1]])
    with pytest.raises(ValueError, match="unseen at fit time"):
        named.predict(frame.rename(columns={"sensor 3": "other"}))
