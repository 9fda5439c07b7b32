# river's protocol, from river itself: dicts, labels that are not there yet, metrics, progressive validation.
# Never here: arrays (test_classifier.py).
"""Tests of edgecl.Classifier inside river."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import edgecl
import numpy as np
import pytest
from edgecl import errors

river = pytest.importorskip("river", reason="river is not installed")

from river import datasets, evaluate, metrics  # noqa: E402


@pytest.fixture
def make(make_bundle: Callable[..., bytes]) -> Callable[[], edgecl.Classifier]:
    """Gives learners of nine features, those of river's Phishing."""
    data = make_bundle(dims=(9,))
    return lambda: edgecl.Classifier(data, batch_size=1)


def test_progressive_validation_is_a_plain_loop(make: Callable[[], edgecl.Classifier]) -> None:
    stream = list(datasets.Phishing().take(400))
    for metric, ask in ((metrics.Accuracy(), "predict_one"), (metrics.LogLoss(), "predict_proba_one")):
        theirs = evaluate.progressive_val_score(stream, learner := make(), metric.clone())
        ours, plain = metric.clone(), make()
        for x, y in stream:
            guess = getattr(plain, ask)(x)
            if guess not in (None, {}):
                ours.update(y, guess)
            plain.learn_one(x, y)
        assert theirs.get() == ours.get() and learner.state_digest() == plain.state_digest()
        assert metrics.Accuracy().works_with(learner)
    assert theirs.get() < 0.5  # it learned


def test_dicts_go_by_name(make: Callable[[], edgecl.Classifier]) -> None:
    rows = [x for x, _ in datasets.Phishing().take(2)]
    named, plain = make(), make()
    for x, y in zip(rows, (True, False), strict=True):
        named.learn_one(dict(reversed(x.items())) if y is False else x, y)
        plain.learn_one(np.array(list(x.values()), np.float32), y)
    assert named.state_digest() == plain.state_digest()
    assert named.predict_one(rows[0]) is plain.predict_one(list(rows[0].values()))
    assert set(named.predict_proba_one(rows[0])) == {False, True}
    before = named.state_digest()
    for wrong in ({"a": 1.0}, {**rows[0], "more": 1.0}, {**rows[0], next(iter(rows[0])): "text"}, {}):
        with pytest.raises(errors.Error, match="expected"):
            named.learn_one(wrong, True)
    other: dict[Any, float] = {f"x{i}": 0.0 for i in range(9)}
    with pytest.raises(errors.ShapeError, match="as before"):
        named.predict_one(other)
    assert named.state_digest() == before


def test_before_the_first_class(make: Callable[[], edgecl.Classifier]) -> None:
    learner = make()
    x, _ = next(iter(datasets.Phishing()))
    assert learner.predict_one(x) is None and learner.predict_proba_one(x) == {}
    with pytest.raises(errors.SequenceError):
        learner.predict(np.zeros((1, 9), np.float32))


def test_weights(make: Callable[[], edgecl.Classifier]) -> None:
    x, y = next(iter(datasets.Phishing()))
    weighted, plain = make(), make()
    for learner, w in ((weighted, 2.0), (plain, 1.0)):
        for label in (y, not y):
            learner.learn_one(x, label, w=w)
    assert weighted.state_digest() != plain.state_digest()
