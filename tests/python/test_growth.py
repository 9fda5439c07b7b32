# Domains that grow by themselves: the score "fit", its thresholds and alarm, growth with its veto and cap, refusals.
# Never here: domains that a caller adds (test_domains.py), the alarm's counts (test_drift.py).
"""Tests of Classifier.grow and calibrate_domains."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import edgecl
import numpy as np
import pytest
from edgecl import errors
from numpy.typing import NDArray

DIM, CLASSES = 12, 3
Rows = tuple[NDArray[np.float32], NDArray[Any]]


@pytest.fixture(scope="module")
def bundle() -> bytes:
    """A linear encoder with an adaptor, a ridge head, and room for two domains, judged by fit."""
    torch = pytest.importorskip("torch")
    from edgecl import export

    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(DIM, 16), torch.nn.Linear(16, CLASSES)).eval()
    recipe = export.Recipe(method="ridge", max_domains=2, novelty="fit", batch_size=8)
    calibration = _rows(60, 3.0)[0]
    report = export.from_torch(
        net, torch.zeros(1, DIM), recipe=recipe, max_classes=6, normalise=False, adaptor="bottleneck:8",
        calibration=calibration,
    )  # fmt: skip
    return report.bundle


def _rows(n: int, shift: float = 0.0, seed: int = 0, turn: int = 0) -> Rows:
    """Around three centres, moved by `shift`; labels that are turned contradict those of others."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % CLASSES
    centres = np.random.default_rng(99).standard_normal((CLASSES, DIM))
    x = centres[y] + shift + 0.5 * rng.standard_normal((n, DIM))
    return x.astype(np.float32), (y + turn) % CLASSES


def _grown(bundle: bytes) -> edgecl.Classifier:
    learner = edgecl.Classifier(bundle, random_state=1)
    learner.grow(*_rows(300))
    return learner


def test_the_first_rows_are_learned_in_base(bundle: bytes) -> None:
    learner = edgecl.Classifier(bundle, random_state=1)
    report = learner.grow(*_rows(300))
    assert (report["domain"], report["grown"], report["rows"], report["alarm"]) == ("base", False, 300, None)
    assert [entry["name"] for entry in learner.domains_] == ["base"] and learner.domains_[0]["rows"] == 300


def test_rows_like_those_known_are_learned_where_they_fit(bundle: bytes) -> None:
    learner = _grown(bundle)
    report = learner.grow(*_rows(200, seed=1))
    assert (report["domain"], report["grown"], report["alarm"]) == ("base", False, False)
    assert learner.domains_[0]["rows"] == 500


def test_a_domain_comes_where_one_head_would_not_do(bundle: bytes) -> None:
    learner = _grown(bundle)
    report = learner.grow(*_rows(200, 3.0, 2, turn=1), name="far")
    assert report["grown"] and report["domain"] == "far" and report["alarm"] and report["unknown"] > 0.9
    assert report["accuracy_grown"] > report["accuracy_refit"] and report["adaptor"]["parameters"] > 0
    assert [entry["rows"] for entry in learner.domains_] == [300, 200]
    for rows, name in ((_rows(90, seed=5), "base"), (_rows(90, 3.0, 6, turn=1), "far")):
        assert (learner.route(rows[0]).domain == name).mean() > 0.9 and learner.score(*rows) > 0.85
    again = learner.grow(*_rows(100, 3.0, 7, turn=1))  # known by now
    assert (again["domain"], again["grown"], again["alarm"]) == ("far", False, False)


def test_a_veto_leaves_rows_to_the_head_that_does_as_well(bundle: bytes) -> None:
    learner = _grown(bundle)
    x, y = _rows(200, 3.0, 2)
    report = learner.grow(x, np.zeros_like(y))  # of one class: any head knows it
    assert report["alarm"] and not report["grown"] and report["domain"] == "base"
    assert report["accuracy_grown"] <= report["accuracy_refit"]
    assert [entry["rows"] for entry in learner.domains_] == [500]


def test_a_full_session_learns_where_rows_fit_best(bundle: bytes) -> None:
    learner = _grown(bundle)
    learner.grow(*_rows(200, 3.0, 2, turn=1))
    report = learner.grow(*_rows(200, -4.0, 3, turn=2))
    assert report["alarm"] and report["full"] and not report["grown"] and len(learner.domains_) == 2


def test_few_rows_never_make_a_domain(bundle: bytes) -> None:
    learner = _grown(bundle)
    report = learner.grow(*_rows(learner.config()["novelty_window"] or 63, 3.0, 2))
    assert report["alarm"] is None and not report["grown"]


def test_growth_is_the_same_again_and_after_loading(bundle: bytes) -> None:
    learner, other = _grown(bundle), _grown(bundle)
    other.load(learner.to_bytes())
    for each in (learner, other):
        each.grow(*_rows(200, 3.0, 2, turn=1))
    assert learner.state_digest() == other.state_digest()


def test_the_score_fit_is_that_of_routes(bundle: bytes) -> None:
    learner = _grown(bundle)
    learner.grow(*_rows(200, 3.0, 2, turn=1))
    x = np.concatenate([_rows(20, seed=8)[0], _rows(20, 3.0, 9)[0], _rows(20, -3.0, 9)[0]])
    assert np.array_equal(learner.ood_score(x), learner.route(x).fit)
    learner.select_domain("base")
    assert np.array_equal(learner.ood_score(x, "fit"), learner.route(x).fit)


def test_thresholds_come_from_rows_held_out_of_all_domains(bundle: bytes) -> None:
    learner = _grown(bundle)
    learner.grow(*_rows(200, 3.0, 2, turn=1))
    threshold = learner.calibrate_domains(0.9, 0.95)._open().session.novelty_threshold("fit")
    assert threshold is not None
    assert threshold["rows"] == sum(entry["held"] for entry in learner.domains_)
    known = np.concatenate([_rows(300, seed=10)[0], _rows(300, 3.0, 11)[0]])
    assert 0.8 < (learner.decide(known) == edgecl.Decision.ACCEPT).mean() < 0.97
    assert (learner.decide(_rows(60, -4.0, 3)[0]) == edgecl.Decision.NOVEL).mean() > 0.9
    learner.observe(known[np.random.default_rng(0).permutation(600)])
    assert not learner.drift()["alarm"]
    learner.observe(_rows(64, -4.0, 3)[0])
    assert learner.drift()["alarm"]


def test_what_cannot_grow_says_so_and_changes_nothing(bundle: bytes) -> None:
    learner = _grown(bundle)
    before = learner.state_digest()
    x, y = _rows(200, 3.0, 2, turn=1)
    for call, error in (
        (lambda: learner.grow(x, y, epochs=0), errors.ArgumentError),
        (lambda: learner.grow(x, y, held_out=1.0), errors.ArgumentError),
        (lambda: learner.grow(x, y, name="base"), errors.ArgumentError),
        (lambda: learner.grow(x, y, name=""), errors.ArgumentError),
        (lambda: learner.grow(x, y, name=7), errors.ArgumentError),
        (lambda: learner.grow(x * np.nan, y), errors.NumericError),
        (lambda: learner.grow(x[:, :3], y), errors.ShapeError),
        (lambda: learner.calibrate_domains(0.99, 0.9), errors.ArgumentError),
    ):
        with pytest.raises(error):
            call()
        assert learner.state_digest() == before
    plain = edgecl.Classifier(bundle, novelty="none").partial_fit(*_rows(60))
    with pytest.raises(errors.UnsupportedError, match="novelty 'fit' to grow"):
        plain.grow(x, y)
    with pytest.raises(errors.UnsupportedError, match="max_domains above 0 for novelty = fit"):
        edgecl.Classifier(bundle, max_domains=0).partial_fit(x, y)
    with pytest.raises(errors.SequenceError):
        edgecl.Classifier(bundle).calibrate_domains()


def test_few_first_rows_may_all_be_held_out(bundle: bytes) -> None:
    for seed in range(30):  # some single rows are held out by their bits
        learner = edgecl.Classifier(bundle, random_state=1)
        learner.grow(*_rows(1, seed=seed))
        assert learner.grow(*_rows(90, seed=100))["domain"] == "base" and learner.domains_[0]["rows"] == 91


def test_a_rate_that_fails_leaves_the_head(bundle: bytes) -> None:
    learner = _grown(bundle)
    report = learner.grow(*_rows(200, 3.0, 2, turn=1), learning_rate=1e6)
    assert report["grown"] and report["adaptor"]["learning_rate"] is None and not report["adaptor"]["kept"]


def test_rare_labels_decide_too(bundle: bytes) -> None:
    x, _ = _rows(80, 3.0, 2)
    learner = edgecl.Classifier(bundle, random_state=1, max_domains=2)
    learner.grow(*_rows(300))
    y = np.arange(80) % CLASSES
    report = learner.grow(x, y, held_out=0.01)
    assert report["accuracy_refit"] is not None and report["accuracy_grown"] is not None


def test_a_failure_in_the_middle_tells_that_nothing_was_kept(bundle: bytes) -> None:
    learner = _grown(bundle)
    before = learner.state_digest()
    x, y = _rows(200, seed=3)
    x[150] = np.nan
    with pytest.raises(errors.NumericError) as caught:
        learner.grow(x, y)
    assert caught.value.n_done is None and learner.state_digest() == before


def test_a_busy_session_is_waited_for_when_all_is_undone(bundle: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgecl import growth

    learner = _grown(bundle)
    before = learner.state_digest()
    session = learner._open().session
    blocked = threading.Event()

    def busy(*_: Any) -> Any:
        blocked.set()
        raise errors.BusyError("expected one call at a time; found two; wait")

    monkeypatch.setattr(growth, "adapt", busy)
    x = _rows(2000, seed=5)[0]

    def predict() -> None:
        blocked.wait(10)
        for _ in range(100):
            with contextlib.suppress(errors.BusyError):
                session.predict(x)

    other = threading.Thread(target=predict)
    other.start()
    with pytest.raises(errors.BusyError):
        learner.grow(*_rows(200, 3.0, 2, turn=1))
    other.join()
    assert learner.state_digest() == before
