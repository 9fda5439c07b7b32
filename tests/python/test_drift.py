# The drift alarm through Classifier: rates on streams whose answer is known, a saved state, wrong requests.
# Never here: chances and windows in detail (tests/runtime/novelty_window.cpp), real data (tools/bench/novelty.py).
"""Tests of Classifier.observe and drift."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import edgecl
import numpy as np
import pytest
from edgecl import errors
from edgecl.state_file import read_state
from numpy.typing import NDArray

MakeBundle = Callable[..., bytes]


def _rows(n: int, seed: int = 0, shift: float = 0.0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((4, 12))
    return (centres[np.arange(n) % 4] + shift + 0.7 * rng.standard_normal((n, 12))).astype(np.float32)


def _learner(bundle: Any, **changes: Any) -> edgecl.Classifier:
    keywords = {"feature_range": 16.0, "novelty": "rmds", **changes}
    learner = edgecl.Classifier(bundle, method="lda", **keywords)
    learner.partial_fit(_rows(200), np.arange(200) % 4)
    learner.calibrate(_rows(400, seed=5))
    return learner


def test_alarms_on_another_domain_and_rarely_on_the_same(make_bundle: MakeBundle) -> None:
    learner = _learner(make_bundle())
    alarms = 0
    for i in range(1000):  # windows one behind the other, each sample looked at
        learner.observe(_rows(64, seed=100 + i))
        alarms = learner.drift()["alarms"]
    assert alarms <= 3, alarms
    seen = learner.drift()
    assert seen["observed"] == 64000 and seen["filled"] == seen["window"] == 64 and not seen["alarm"]
    assert 0 <= seen["unknown"] < 0.3 and 0.2 < seen["unusual"] < 0.8 and seen["chance"] > 0.01
    found = 0
    for i in range(40):
        learner.calibrate(_rows(400, seed=5))
        decisions = learner.observe(_rows(64, seed=5000 + i, shift=3.0))
        assert (decisions == learner.decide(_rows(64, seed=5000 + i, shift=3.0))).all()
        found += learner.drift()["alarm"]
    assert found >= 38, found


def test_one_sample_is_no_drift(make_bundle: MakeBundle) -> None:
    learner = _learner(make_bundle())
    for n in range(63):
        learner.observe(_rows(1, seed=n, shift=50.0))
        assert not learner.drift()["alarm"]
    learner.observe(_rows(1, seed=64, shift=50.0))
    assert learner.drift()["alarm"] and learner.drift()["unknown"] == 1


def test_an_alarm_stays_until_the_stream_is_ordinary(make_bundle: MakeBundle) -> None:
    learner = _learner(make_bundle(), novelty_window=32)
    learner.observe(_rows(32, seed=1, shift=6.0))
    changes = []
    for i in range(60):
        learner.observe(_rows(1, seed=200 + i))
        changes.append(learner.drift()["alarm"])
    assert changes[0] and not changes[-1] and sum(a != b for a, b in pairwise(changes)) == 1
    assert learner.drift()["alarms"] == 1


def test_the_window_is_saved(make_bundle: MakeBundle, tmp_path: Path) -> None:
    learner = _learner(make_bundle(), novelty_window=100)
    learner.observe(_rows(130, seed=1, shift=0.4))
    learner.save(tmp_path / "a.ecs")
    state = read_state((tmp_path / "a.ecs").read_bytes())
    seen = learner.drift()
    assert state.drift == {name: seen[name] for name in ("score", "window", "observed", "alarms", "alarm")}
    loaded = edgecl.Classifier(learner.bundle).load(tmp_path / "a.ecs")
    assert loaded.drift() == seen
    for one in (learner, loaded):
        one.observe(_rows(70, seed=2))
    assert loaded.drift() == learner.drift() != seen and loaded.state_digest() == learner.state_digest()


def test_wrong_requests(make_bundle: MakeBundle) -> None:
    learner = edgecl.Classifier(make_bundle(), method="ncm").partial_fit(_rows(8), np.arange(8) % 4)
    for call in (lambda: learner.observe(_rows(3)), learner.drift):
        with pytest.raises(errors.SequenceError, match="edgecl_novelty_calibrate"):
            call()
    with pytest.raises(errors.ArgumentError, match="novelty_window"):
        edgecl.Classifier(make_bundle(), novelty_window=513).partial_fit(_rows(8), np.arange(8) % 4)
    learner.calibrate(_rows(1))  # one held-out row says nothing: such a window never alarms
    learner.observe(_rows(64, shift=50.0))
    assert not learner.drift()["alarm"]
