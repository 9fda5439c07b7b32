# Heads that keep statistics: scores against the formulas in NumPy and scikit-learn, and exactness.
# Never here: kernels (tests/kernels), the state's bytes (tests/runtime/heads_statistics.cpp).
"""Tests of method="ncm", "ncm_distance", "lda", "ridge" and "fecam"."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import edgecl
import numpy as np
import pytest
from edgecl import errors
from numpy.typing import NDArray

HEADS = ("ncm", "ncm_distance", "lda", "ridge", "fecam")
SECOND_ORDER = ("lda", "ridge")
RANGE = 16.0
F64 = NDArray[np.float64]
MakeBundle = Callable[..., bytes]


def _rows(n: int, seed: int = 0, classes: int = 4) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    centres = np.random.default_rng(99).standard_normal((classes, 12))
    return (centres[y] + 0.7 * rng.standard_normal((n, 12))).astype(np.float32), y


def _learner(bundle: Any, head: str, **changes: Any) -> edgecl.Classifier:
    return edgecl.Classifier(bundle, method=head, feature_range=RANGE, **changes)


def _features(learner: edgecl.Classifier, x: NDArray[np.float32]) -> F64:
    # In the steps that statistics tell apart.
    step = RANGE / 16383
    return np.rint(learner.embed(x).astype(np.float64) / step) * step


def _means(z: F64, y: NDArray[np.int64]) -> F64:
    return np.stack([z[y == c].mean(0) for c in np.unique(y)])


def _lda(z: F64, y: NDArray[np.int64], shrinkage: float) -> tuple[F64, F64]:
    means = _means(z, y)
    centred = z - means[y]
    covariance = centred.T @ centred / len(z)
    covariance = (1 - shrinkage) * covariance + shrinkage * np.trace(covariance) / len(covariance) * np.eye(z.shape[1])
    w = np.linalg.solve(covariance, means.T)
    return w, -0.5 * (means.T * w).sum(0)


def _ridge(z: F64, y: NDArray[np.int64], shrinkage: float) -> tuple[F64, F64]:
    from sklearn.linear_model import Ridge

    centred = z - z.mean(0)
    penalty = shrinkage * (centred**2).sum() / z.shape[1]
    model = Ridge(alpha=penalty).fit(z, np.eye(y.max() + 1)[y])
    targets = np.eye(y.max() + 1)[y]
    covariance = centred.T @ (targets - targets.mean(0)) / len(z)
    left = (targets.var(0) - (model.coef_.T * covariance).sum(0)).mean()
    return model.coef_.T / left, model.intercept_ / left


def _fecam(z: F64, y: NDArray[np.int64], at: F64, shrinkage: float, scale: float = 16) -> F64:
    # Goswami et al. 2023: shrunk covariance of each class, as correlations; means and samples at length 1.
    found = []
    for c in range(y.max() + 1):
        rows = z[y == c]
        covariance = np.cov(rows.T, bias=True)
        covariance += shrinkage * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
        deviation = np.sqrt(np.diag(covariance))
        mean = rows.mean(0)
        off = at / np.linalg.norm(at, axis=1)[:, None] - mean / np.linalg.norm(mean)
        found.append((off * np.linalg.solve(covariance / np.outer(deviation, deviation), off.T).T).sum(1))
    return -0.5 * scale * np.stack(found, axis=1)


def _scores(head: str, z: F64, y: NDArray[np.int64], at: F64) -> F64:
    if head == "ncm":
        means = _means(z, y)
        return 16 * (at @ means.T) / np.linalg.norm(at, axis=1)[:, None] / np.linalg.norm(means, axis=1)
    if head == "ncm_distance":
        means = _means(z, y)
        variance = ((z - means[y]) ** 2).mean()
        return (at @ means.T - 0.5 * (means**2).sum(1)) / variance
    if head == "fecam":
        return _fecam(z, y, at, 1.0)
    w, b = (_lda if head == "lda" else _ridge)(z, y, 0.3)
    return at @ w + b


@pytest.mark.parametrize("head", HEADS)
def test_scores_are_those_of_the_formula(make_bundle: MakeBundle, head: str) -> None:
    pytest.importorskip("sklearn")
    learner = _learner(make_bundle(), head)
    x, y = _rows(120)
    learner.partial_fit(x, y)
    at = _rows(50, seed=1)[0]
    z = learner.embed(at).astype(np.float64)
    expected = _scores(head, _features(learner, x), y, z)
    found = learner.logits(at)
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()
    assert (learner.predict(at) == expected.argmax(1)).all()
    assert learner.head_ is not None and learner.head_["rows"] == 120 and learner.head_["saturated"] == 0


@pytest.mark.parametrize("shrinkage", [0.1, 0.5])
def test_fecam_of_roots_is_the_formula_on_roots(make_bundle: MakeBundle, shrinkage: float) -> None:
    learner = _learner(make_bundle(), "fecam", head_shrinkage=shrinkage, cosine_scale=2.0, feature_root=True)
    x, y = _rows(150)
    learner.partial_fit(x, y)
    at = _rows(70, seed=1)[0]
    step = np.sqrt(RANGE) / 16383
    z, z_at = (np.sign(e) * np.sqrt(np.abs(e)) for e in (learner.embed(rows).astype(np.float64) for rows in (x, at)))
    expected = _fecam(np.rint(z / step) * step, y, z_at, shrinkage, 2.0)
    found = learner.logits(at)
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()
    assert (learner.predict(at) == expected.argmax(1)).all()
    assert (learner.logits(at[:5]) == found[:5]).all()  # whatever rows are beside it
    with pytest.raises(errors.UnsupportedError, match="feature_root"):
        _learner(make_bundle(), "lda", feature_root=True).partial_fit(x, y)


def test_fecam_of_one_row_a_class_is_ncm_but_for_a_constant(make_bundle: MakeBundle) -> None:
    x, y = _rows(4)
    at = _rows(30, seed=1)[0]
    bundle = make_bundle()
    found = _learner(bundle, "fecam").partial_fit(x, y).logits(at)
    expected = _learner(bundle, "ncm").partial_fit(x, y).logits(at) - 16
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


def test_fecam_forgets_a_class_without_a_bank(make_bundle: MakeBundle) -> None:
    bundle = make_bundle()
    x, y = _rows(80)
    learner = _learner(bundle, "fecam").partial_fit(x, y)
    learner.predict(x[:1])
    learner.forget(2)
    never = _learner(bundle, "fecam").partial_fit(x[y != 2], y[y != 2])
    at = _rows(30, seed=1)[0]
    assert (learner.logits(at) == never.logits(at)).all()


def test_shrunk_lda_is_that_of_scikit_learn(make_bundle: MakeBundle) -> None:
    lda = pytest.importorskip("sklearn.discriminant_analysis").LinearDiscriminantAnalysis
    learner = _learner(make_bundle(), "lda", head_shrinkage=0.25)
    x, y = _rows(200)
    learner.partial_fit(x, y)
    at = _rows(40, seed=1)[0]
    peer = lda(solver="lsqr", shrinkage=0.25, priors=np.full(4, 0.25)).fit(_features(learner, x), y)
    theirs = peer.predict_log_proba(learner.embed(at))
    assert np.abs(learner.predict_log_proba(at) - theirs).max() < 1e-3


@pytest.mark.parametrize("head", HEADS)
def test_order_and_batches_do_not_matter(make_bundle: MakeBundle, head: str) -> None:
    bundle = make_bundle()
    x, y = _rows(60)
    one = _learner(bundle, head, batch_size=60).partial_fit(x, y)
    order = np.random.default_rng(2).permutation(60)
    other = _learner(bundle, head, batch_size=7).partial_fit(x[order], y[order])
    at = _rows(30, seed=1)[0]
    columns = [list(other.classes_).index(c) for c in one.classes_]
    assert (one.logits(at) == other.logits(at)[:, columns]).all()


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("bank", [0, 100])
def test_unlearning_rows_is_never_having_learned_them(make_bundle: MakeBundle, head: str, bank: int) -> None:
    bundle = make_bundle()
    x, y = _rows(90)
    gone = np.random.default_rng(3).permutation(90)[:37]
    kept = np.setdiff1d(np.arange(90), gone)
    never = _learner(bundle, head, head_bank=bank).partial_fit(x[kept], y[kept], classes=range(4))
    other = _learner(bundle, head, head_bank=bank).partial_fit(x, y, classes=range(4))
    other.predict(x[:1])  # the weights are solved in between
    other.unlearn(x[gone], y[gone])
    at = _rows(30, seed=1)[0]
    assert (never.logits(at) == other.logits(at)).all()
    assert never.head_ == other.head_ or never.head_ | {"solved": True} == other.head_ | {"solved": True}


@pytest.mark.parametrize("head", HEADS)
def test_forgetting_a_class_is_never_having_seen_it(make_bundle: MakeBundle, head: str) -> None:
    bundle = make_bundle()
    x, y = _rows(80)
    learner = _learner(bundle, head, head_bank=80).partial_fit(x, y)
    learner.forget(2)
    never = _learner(bundle, head, head_bank=80).partial_fit(x[y != 2], y[y != 2])
    at = _rows(30, seed=1)[0]
    assert list(learner.classes_) == [0, 1, 3]
    assert (learner.logits(at) == never.logits(at)).all()


@pytest.mark.parametrize("head", SECOND_ORDER)
def test_second_moments_need_the_rows_of_a_class(make_bundle: MakeBundle, head: str) -> None:
    x, y = _rows(80)
    learner = _learner(make_bundle(), head, head_bank=10).partial_fit(x, y)
    before = learner.predict_proba(x)
    with pytest.raises(errors.UnsupportedError, match=r"every row of class 1 in the bank.*edgecl_unlearn"):
        learner.forget(1)
    assert (learner.predict_proba(x) == before).all()
    learner.unlearn(x[y == 1], y[y == 1]).forget(1)
    assert 1 not in list(learner.classes_)


def test_what_was_not_learned_is_not_taken_back(make_bundle: MakeBundle) -> None:
    x, y = _rows(20)
    learner = _learner(make_bundle(), "ridge", head_bank=20).partial_fit(x, y)
    before = learner.predict_proba(x)
    other, labels = _rows(4, seed=5)
    for rows, of in ((other, labels), (np.repeat(x[:1], 2, axis=0), y[[0, 0]]), (x[:1], y[:1] + 1)):
        with pytest.raises(errors.NotFoundError, match="learned under their labels"):
            learner.unlearn(rows, of)
        assert (learner.predict_proba(x) == before).all()
    plain = _learner(make_bundle(), "ncm").partial_fit(x[:8], y[:8])
    with pytest.raises(errors.NotFoundError, match=r"row 2"):
        plain.unlearn(np.repeat(x[:1], 3, axis=0), y[[0, 0, 0]])
    with pytest.raises(errors.NotFoundError, match="labels among"):
        plain.unlearn(x[:1], [17])
    with pytest.raises(errors.UnsupportedError, match="learns by gradients"):
        edgecl.Classifier(make_bundle()).partial_fit(x, y).unlearn(x, y)


@pytest.mark.parametrize("head", HEADS)
def test_one_row_a_class_and_constant_features(make_bundle: MakeBundle, head: str) -> None:
    x, y = _rows(4)
    learner = _learner(make_bundle(), head).partial_fit(x, y)
    assert (learner.predict(x) == y).all()
    same = _learner(make_bundle(), head).partial_fit(np.repeat(x[:1], 6, axis=0), [0, 1, 0, 1, 0, 1])
    assert np.isfinite(same.predict_proba(x)).all() and np.allclose(same.predict_proba(x), 0.5)
    alone = _learner(make_bundle(), head).partial_fit(x[:1], [3])
    assert list(alone.predict(x)) == [3] * 4


@pytest.mark.parametrize("head", HEADS)
def test_state_goes_out_and_in(make_bundle: MakeBundle, tmp_path: Path, head: str) -> None:
    bundle = make_bundle()
    x, y = _rows(50)
    learner = _learner(bundle, head, head_bank=30).partial_fit(x, y)
    learner.save(tmp_path / "a.ecs")
    loaded = edgecl.Classifier(bundle).load(tmp_path / "a.ecs")
    at, labels = _rows(30, seed=1)
    assert (loaded.logits(at) == learner.logits(at)).all() and loaded.head_["rows"] == 50
    for one in (learner, loaded):
        one.partial_fit(at, labels)
    assert (loaded.logits(x) == learner.logits(x)).all()
    learner.save(tmp_path / "a.ecs")
    loaded.save(tmp_path / "b.ecs")
    assert (tmp_path / "a.ecs").read_bytes() == (tmp_path / "b.ecs").read_bytes()


def test_weights_of_rows_are_none_or_one(make_bundle: MakeBundle) -> None:
    x, y = _rows(12)
    learner = _learner(make_bundle(), "lda")
    with pytest.raises(errors.UnsupportedError, match="weights of 0 or 1"):
        learner.partial_fit(x, y, sample_weight=np.full(12, 0.5))
    keep = (np.arange(12) % 3 != 0).astype(float)
    learner.partial_fit(x, y, classes=range(4), sample_weight=keep)
    other = _learner(make_bundle(), "lda").partial_fit(x[keep > 0], y[keep > 0], classes=range(4))
    assert (learner.logits(x) == other.logits(x)).all()


def test_saturated_features_are_counted(make_bundle: MakeBundle) -> None:
    x, y = _rows(20)
    learner = edgecl.Classifier(make_bundle(), method="ncm", feature_range=0.5).partial_fit(x, y)
    beyond = int((learner.embed(x) > 0.5 + 0.25 / 16383).sum())
    assert beyond > 0 and learner.head_["saturated"] == beyond
    assert learner.unlearn(x, y).head_["saturated"] == 0


def test_a_bundle_without_a_separate_head_is_refused(make_bundle: MakeBundle) -> None:
    with pytest.raises(errors.UnsupportedError, match="last layer is dense and linear"):
        _learner(make_bundle(embedding=False), "ncm").partial_fit(*_rows(8))
