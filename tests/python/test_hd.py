# The head of hyperdimensional codes through Classifier and the exporter, and beside torchhd.
# Never here: kernels (tests/kernels), exactness and the state's bytes (tests/runtime/heads_hd.cpp).
"""Tests of method="hd" and novelty="hd"."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import edgecl
import numpy as np
import pytest
from edgecl import errors
from edgecl.state_file import read_state
from numpy.typing import NDArray

MakeBundle = Callable[..., bytes]
RANGE, BITS = 16.0, 1024


def _rows(n: int, seed: int = 0, shift: float = 0.0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 4
    centres = np.random.default_rng(99).standard_normal((4, 12))
    return (centres[y] + shift + 0.7 * rng.standard_normal((n, 12))).astype(np.float32), y


def _learner(bundle: Any, **changes: Any) -> edgecl.Classifier:
    keywords = {"novelty": "hd", "feature_range": RANGE, "hd_bits": BITS, **changes}
    return edgecl.Classifier(bundle, method="hd", **keywords).partial_fit(*_rows(120))


def _similarities(learner: edgecl.Classifier, x: Any, y: Any, at: Any) -> Any:
    # By torchhd where it is installed, from codes that our kernel makes: bundling and comparison are its own.
    kernels = pytest.importorskip("edgecl_kernels")
    torch = pytest.importorskip("torch")
    torchhd = pytest.importorskip("torchhd", reason="torchhd is not installed", exc_type=ImportError)

    def codes(rows: NDArray[np.float32]) -> Any:
        features, _ = kernels.quantize_rows(learner.embed(rows), 16383 / RANGE)
        bits = np.unpackbits(kernels.hd_encode(features, BITS, 0).view(np.uint8), axis=1, bitorder="little")
        return torchhd.MAPTensor(torch.tensor(2.0 * bits - 1))

    counters = torch.stack([torchhd.multiset(codes(x[y == c])) for c in range(4)])
    at_zero = counters == 0
    exemplars = torch.sign(counters)
    found = torchhd.dot_similarity(codes(at), torchhd.MAPTensor(exemplars)) / BITS
    return found.numpy(), at_zero.sum(1).numpy() / BITS


def test_scores_are_those_of_torchhd(make_bundle: MakeBundle) -> None:
    x, y = _rows(119)  # an odd number in each class but one: hardly a tie
    learner = _learner(make_bundle()).unlearn(*(part[-1:] for part in _rows(120)))
    at = _rows(40, seed=1)[0]
    theirs, ties = _similarities(learner, x, y, at)
    ours = learner.logits(at) / 16
    assert (np.abs(ours - theirs) <= ties + 1e-6).all() and (ours != 0).any()
    assert (np.abs(ours - theirs)[:, ties == 0] < 1e-6).all() and (ties == 0).any()


def test_novelty_is_minus_the_largest_similarity(make_bundle: MakeBundle) -> None:
    learner = _learner(make_bundle())
    at = _rows(60, seed=1)[0]
    assert np.allclose(learner.ood_score(at), -learner.logits(at).max(1) / 16, atol=1e-6)
    assert (learner.ood_score(at) == learner.ood_score(at, "hd")).all()
    far = -_rows(60, seed=2, shift=6.0)[0]
    assert learner.ood_score(far).mean() > learner.ood_score(at).mean()


def test_it_learns_forgets_and_is_saved(make_bundle: MakeBundle, tmp_path: Path) -> None:
    bundle = make_bundle()
    learner = _learner(bundle)
    x, y = _rows(120)
    before, scores = learner.state_digest(), learner.logits(x)
    assert learner.score(*_rows(200, seed=3)) > 0.8
    assert learner.head_["head"] == "hd" and learner.head_["rows"] == 120 and learner.head_["bank_rows"] == 0
    shuffled = np.random.default_rng(1).permutation(120)
    other = edgecl.Classifier(bundle, method="hd", novelty="hd", feature_range=RANGE, hd_bits=BITS)
    other.partial_fit(x[:4], y[:4]).partial_fit(x[shuffled], y[shuffled]).unlearn(x[:4], y[:4])
    assert (other.logits(x) == scores).all()
    more = _rows(50, seed=9)
    learner.partial_fit(*more).unlearn(*more)
    assert (learner.logits(x) == scores).all() and learner.head_["rows"] == 120
    learner.save(tmp_path / "a.ecs")
    loaded = edgecl.Classifier(learner.bundle).load(tmp_path / "a.ecs")
    assert (loaded.logits(x) == scores).all() and loaded.state_digest() == learner.state_digest() != before
    state = read_state((tmp_path / "a.ecs").read_bytes())
    assert state.head is not None and state.head.pop("class_rows") == dict.fromkeys(range(4), 30)
    assert state.head == {"head": "hd", "dim": learner.embed(x[:1]).shape[1], "rows": 120, "bank_rows": 0}
    learner.forget(2)
    assert 2 not in learner.classes_ and (learner.predict(x) != 2).all() and learner.head_["rows"] == 90


def test_wrong_requests(make_bundle: MakeBundle) -> None:
    with pytest.raises(errors.ArgumentError, match="hd_bits"):
        _learner(make_bundle(), hd_bits=100)
    with pytest.raises(errors.UnsupportedError, match="head = hd"):
        edgecl.Classifier(make_bundle(), method="ncm", novelty="hd").partial_fit(*_rows(8))
    with pytest.raises(errors.UnsupportedError, match="head_bank"):
        _learner(make_bundle()).ood_score(_rows(4)[0], "knn")


def test_the_exporter_centres_embeddings() -> None:
    export = pytest.importorskip("edgecl.export")
    rng = np.random.default_rng(4)
    x = (3 + rng.standard_normal((60, 20))).astype(np.float32)
    recipe = export.Recipe(method="hd", hd_bits=BITS)
    report = export.from_embeddings(20, recipe=recipe, calibration=x)
    assert any("subtracted" in note for note in report.notes)
    learner = edgecl.Classifier(report.bundle).partial_fit(x, np.arange(60) % 3)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    assert np.abs(learner.embed(x) - (unit - unit.mean(0) / 2)).max() < 1e-6
    plain = export.from_embeddings(20, recipe=recipe)
    assert any("not centred" in note for note in plain.notes)
    assert np.abs(edgecl.Classifier(plain.bundle).partial_fit(x[:3], range(3)).embed(x) - unit).max() < 1e-6
