# Novelty scores against their formulas in NumPy, thresholds against order statistics, decisions.
# Never here: accuracy of a score on real data (tools/bench).
"""Tests of Classifier.ood_score, calibrate and decide."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import edgecl
import numpy as np
import pytest
from edgecl import errors
from numpy.typing import NDArray

MakeBundle = Callable[..., bytes]
F64 = NDArray[np.float64]
RANGE = 16.0
SHRINKAGE = 0.05


def _rows(n: int, seed: int = 0, shift: float = 0.0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 4
    centres = np.random.default_rng(99).standard_normal((4, 12))
    return (centres[y] + shift + 0.7 * rng.standard_normal((n, 12))).astype(np.float32), y


def _learner(bundle: Any, head: str = "lda", **changes: Any) -> edgecl.Classifier:
    keywords = {"novelty": "rmds", "feature_range": RANGE, "head_shrinkage": SHRINKAGE, "head_bank": 40, **changes}
    return edgecl.Classifier(bundle, method=head, **keywords).partial_fit(*_rows(120))


def _features(learner: edgecl.Classifier, x: NDArray[np.float32]) -> F64:
    step = RANGE / 16383
    return np.rint(learner.embed(x).astype(np.float64) / step) * step


def _relative_mahalanobis(z: F64, y: NDArray[np.int64], at: F64) -> F64:
    means = np.stack([z[y == c].mean(0) for c in np.unique(y)])
    centred = z - means[y]
    within = centred.T @ centred / len(z)
    within = (1 - SHRINKAGE) * within + SHRINKAGE * np.trace(within) / len(within) * np.eye(len(within))
    share = np.bincount(y) / len(y)
    centre = share @ means
    between = ((means - centred.mean(0) - centre).T * share) @ (means - centre)
    whole = within + between

    def distance(mean: F64, covariance: F64) -> F64:
        off = at - mean
        return np.asarray((off * np.linalg.solve(covariance, off.T).T).sum(1))

    return np.min([distance(mean, within) for mean in means], axis=0) - distance(centre, whole)


@pytest.mark.parametrize("head", ["lda", "ridge", "fecam"])
def test_relative_mahalanobis_is_that_of_the_two_covariances(make_bundle: MakeBundle, head: str) -> None:
    learner = _learner(make_bundle(), head)
    x, y = _rows(120)
    at = np.concatenate([_rows(20, seed=1)[0], _rows(20, seed=2, shift=2.0)[0]])
    expected = _relative_mahalanobis(_features(learner, x), y, learner.embed(at).astype(np.float64))
    found = learner.ood_score(at)
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()
    assert (learner.score_samples(at) == -found).all()
    assert (learner.ood_score(at[:7]) == found[:7]).all()  # whatever rows are beside it


def test_relative_mahalanobis_is_that_of_pytorch_ood(make_bundle: MakeBundle) -> None:
    detector = pytest.importorskip("pytorch_ood.detector", reason="pytorch-ood is not installed", exc_type=ImportError)
    torch = pytest.importorskip("torch")
    learner = _learner(make_bundle(), head_shrinkage=1e-6)
    x, y = _rows(120)
    rmd = detector.RMD(None).fit_features(torch.tensor(_features(learner, x)), torch.tensor(y))
    at = _rows(40, seed=1, shift=1.0)[0]
    theirs = rmd.predict_features(torch.tensor(learner.embed(at).astype(np.float64))).numpy()
    theirs *= len(x)  # its covariances are sums, not means
    assert np.abs(learner.ood_score(at) - theirs).max() <= 1e-3 * np.abs(theirs).max()


def test_logit_scores(make_bundle: MakeBundle) -> None:
    learner = _learner(make_bundle())
    at = _rows(30, seed=1)[0]
    logits = learner.logits(at).astype(np.float64)
    assert (learner.ood_score(at, "max_logit") == -logits.max(1).astype(np.float32)).all()
    energy = -(logits.max(1) + np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1)))
    assert np.allclose(learner.ood_score(at, "energy"), energy, rtol=1e-5)
    gradient = edgecl.Classifier(make_bundle()).partial_fit(*_rows(20))
    assert gradient.ood_score(at, "energy").shape == (30,)


def test_distance_to_the_tenth_nearest_row(make_bundle: MakeBundle) -> None:
    learner = _learner(make_bundle(), "ncm", novelty="knn")
    at = _rows(30, seed=1)[0]

    def directions(x: NDArray[np.float32]) -> F64:
        z = _features(learner, x)
        return z / np.linalg.norm(z, axis=1, keepdims=True)

    bank = directions(_rows(120)[0][:40])
    distances = np.sort(np.linalg.norm(directions(at)[:, None] - bank[None], axis=2), axis=1)[:, 9]
    assert np.abs(learner.ood_score(at) - distances).max() < 1e-4


def test_thresholds_are_order_statistics_and_decide(make_bundle: MakeBundle, tmp_path: Path) -> None:
    learner = _learner(make_bundle())
    held_out = _rows(203, seed=5)[0]
    scores = np.sort(learner.ood_score(held_out))
    with pytest.raises(errors.SequenceError, match="edgecl_novelty_calibrate"):
        learner.decide(held_out)
    threshold = learner.calibrate(held_out, accepted=0.9, kept=0.97)
    assert threshold == {"score": "rmds", "accept": scores[182], "novel": scores[196], "rows": 203}
    far = _rows(50, seed=6, shift=6.0)[0]
    labels, decisions = learner.predict(far, return_decision=True)
    assert (labels == learner.predict(far)).all() and (decisions == edgecl.Decision.NOVEL).mean() > 0.9
    found = learner.decide(held_out)
    assert [(found == d).sum() for d in edgecl.Decision] == [183, 14, 6]
    learner.save(tmp_path / "a.ecs")
    loaded = edgecl.Classifier(learner.bundle).load(tmp_path / "a.ecs")
    assert (loaded.decide(held_out) == found).all() and (loaded.decide(far) == decisions).all()
    # The thresholds stay while more is learned, and go with a reset.
    loaded.partial_fit(*_rows(10, seed=8))
    assert loaded._open().session.novelty_threshold() == threshold
    loaded._open().session.reset()
    assert loaded._open().session.novelty_threshold() is None


def test_scores_follow_what_is_learned_and_taken_back(make_bundle: MakeBundle) -> None:
    learner = _learner(make_bundle())
    at = _rows(20, seed=1)[0]
    before = learner.ood_score(at)
    more, labels = _rows(30, seed=7)
    learner.partial_fit(more, labels)
    assert (learner.ood_score(at) != before).any()
    learner.unlearn(more, labels)
    assert (learner.ood_score(at) == before).all()


@pytest.mark.parametrize(
    ("call", "error", "saying"),
    [
        (lambda c, x: c.ood_score(x, "nothing"), errors.ArgumentError, "max_logit, energy, rmds, knn"),
        (lambda c, x: c.calibrate(x, accepted=0.3), errors.ArgumentError, "0.5 <= accepted"),
        (lambda c, x: c.calibrate(x, accepted=0.99, kept=0.9), errors.ArgumentError, "accepted <= kept"),
        (lambda c, x: c.calibrate(x[:0]), errors.ArgumentError, "held-out rows"),
        (lambda c, x: c.ood_score(x[:, :5]), errors.ShapeError, "12"),
    ],
)
def test_wrong_requests(make_bundle: MakeBundle, call: Any, error: type[Exception], saying: str) -> None:
    learner = _learner(make_bundle())
    with pytest.raises(error, match=saying):
        call(learner, _rows(20)[0])


def test_scores_that_a_session_does_not_keep(make_bundle: MakeBundle) -> None:
    x = _rows(4)[0]
    plain = _learner(make_bundle(), novelty="none", head_bank=0)
    with pytest.raises(errors.UnsupportedError, match="novelty = rmds"):
        plain.ood_score(x, "rmds")
    with pytest.raises(errors.UnsupportedError, match="head_bank"):
        plain.ood_score(x, "knn")
    assert (plain.ood_score(x) == plain.ood_score(x, "energy")).all()
    with pytest.raises(errors.UnsupportedError, match="head = lda, ridge or fecam"):
        _learner(make_bundle(), "ncm")
    with pytest.raises(errors.Error, match="learn one first"):
        edgecl.Classifier(make_bundle(), method="lda", novelty="rmds").ood_score(x)
