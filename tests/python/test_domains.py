# Domains of a Classifier: fits against their formula in NumPy, where rows go, adaptors with a veto, states, refusals.
# Never here: what domains reach on real data (tools/bench/ear.py).
"""Tests of Classifier.add_domain, select_domain, route, adapt_domain and remove_domain."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import edgecl
import numpy as np
import pytest
from edgecl import errors
from edgecl.state_file import read_state
from numpy.typing import NDArray

F64 = NDArray[np.float64]
Rows = tuple[NDArray[np.float32], NDArray[Any]]

DIM, WIDTH, CLASSES = 12, 16, 3
SHRINKAGE, HELD_ONE_IN, HELD_QUANTILE = 0.1, 5, 0.95  # runtime/adapt/routing.h
STEP = np.float32(64) / np.float32(16383)  # of a routing feature, whatever the head's feature_range


@pytest.fixture(scope="module")
def bundles() -> Callable[..., bytes]:
    """Bundles of a linear encoder under a head that keeps statistics, with an adaptor unless told otherwise."""
    torch = pytest.importorskip("torch")
    from edgecl import export

    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(DIM, WIDTH), torch.nn.Linear(WIDTH, CLASSES)).eval()
    made: dict[Any, bytes] = {}

    def make(adaptor: str | None = "bottleneck:8", **recipe: Any) -> bytes:
        settings = {"method": "ridge", "max_domains": 3, "batch_size": 8, **recipe}
        key = (adaptor, *sorted(settings.items()))
        if key not in made:
            report = export.from_torch(
                net, torch.zeros(1, DIM), recipe=export.Recipe(**settings), max_classes=6, normalise=False,
                adaptor=adaptor, calibration=_rows(60, 3.0)[0],
            )  # fmt: skip
            made[key] = report.bundle
        return made[key]

    return make


def _rows(n: int, shift: float = 0.0, seed: int = 0) -> Rows:
    rng = np.random.default_rng(seed)
    y = np.arange(n) % CLASSES
    centres = np.random.default_rng(99).standard_normal((CLASSES, DIM))
    return (centres[y] + shift + 0.5 * rng.standard_normal((n, DIM))).astype(np.float32), y


def _rings(n: int, seed: int = 0) -> Rows:
    # Classes that differ in their distance from the middle: nothing that a linear head can tell.
    rng = np.random.default_rng(seed)
    y = np.arange(n) % CLASSES
    x = rng.standard_normal((n, 2))
    x *= (1 + y[:, None]) / np.linalg.norm(x, axis=1, keepdims=True)
    return np.concatenate([x, np.full((n, DIM - 2), -1.0) + 0.1 * rng.standard_normal((n, DIM - 2))], 1).astype("f4"), y


def _two(bundle: bytes, **keywords: Any) -> edgecl.Classifier:
    """ "base" around 0, "far" around 3; predictions go where they fit."""
    learner = edgecl.Classifier(bundle, random_state=1, **keywords).partial_fit(*_rows(90))
    learner.add_domain("far").select_domain("far")
    learner.partial_fit(*_rows(90, 3.0, 1))
    return learner.select_domain(None)


# --- fits against their formula ---


class _Oracle:
    """A domain's routing model in NumPy, from the formula of runtime/adapt/routing.h."""

    def __init__(self, x: NDArray[np.float32], y: NDArray[Any]) -> None:
        q = self.steps(x)
        held = np.array([self.is_held_out(row) for row in q])
        z, labels = q[~held].astype(np.float64), y[~held]
        self.means = np.stack([z[labels == c].mean(0) for c in np.unique(labels)])
        centred = z - self.means[np.searchsorted(np.unique(labels), labels)]
        within = centred.T @ centred / len(z)
        mean_variance = np.trace(within) / len(within)
        self.within = (1 - SHRINKAGE) * within + SHRINKAGE * mean_variance * np.eye(len(within))
        scores = np.sort(self.scores(q[held]))
        self.n_held = len(scores)
        self.mean, self.deviation = scores.mean(), scores.std()
        bound = scores[int(np.ceil(HELD_QUANTILE * len(scores))) - 1]
        self.bound = (bound - self.mean) / self.deviation

    def steps(self, x: NDArray[np.float32]) -> NDArray[np.int16]:
        return np.rint(x / STEP).astype(np.int16)

    @staticmethod
    def is_held_out(row: NDArray[np.int16]) -> bool:
        found = 0xCBF29CE484222325
        for byte in struct.pack(f"<{len(row)}h", *row):
            found = (found ^ byte) * 0x100000001B3 % 2**64
        return (found >> 32) % HELD_ONE_IN == 0

    def scores(self, q: NDArray[np.int16]) -> F64:
        off = q.astype(np.float64)[:, None] - self.means
        scaled = np.linalg.solve(self.within, off.transpose(0, 2, 1)).transpose(0, 2, 1)
        return np.asarray((off * scaled).sum(2).min(1) / q.shape[1])

    def fits(self, x: NDArray[np.float32]) -> F64:
        return (self.scores(self.steps(x)) - self.mean) / self.deviation


def test_fits_are_mahalanobis_distances_to_the_nearest_class(bundles: Callable[..., bytes]) -> None:
    learner = _two(bundles(adaptor=None))
    oracles = [_Oracle(learner.embed(x), y) for x, y in (_rows(90), _rows(90, 3.0, 1))]
    at = np.concatenate([_rows(20, seed=5)[0], _rows(20, 3.0, 6)[0], _rows(20, 1.4, 7)[0], _rows(20, -2.0, 8)[0]])
    wanted = np.stack([oracle.fits(learner.embed(at)) for oracle in oracles], 1)
    found = learner.route(at)
    best = wanted.argmin(1)
    assert len(set(best)) == 2 and (found.domain == np.array(["base", "far"])[best]).all()
    assert np.abs(found.fit - wanted.min(1)).max() <= 1e-4 * np.abs(wanted).max()
    bounds = np.array([oracle.bound for oracle in oracles])[best]
    clear = np.abs(wanted.min(1) - bounds) > 1e-3 * np.abs(bounds)
    novel = found.decision == edgecl.Decision.NOVEL
    assert (novel == (wanted.min(1) > bounds))[clear].all() and novel[-20:].all() and not novel[:40].all()
    assert set(found.decision.tolist()) <= {edgecl.Decision.ACCEPT, edgecl.Decision.NOVEL}
    assert [entry["held"] for entry in learner.domains_] == [oracle.n_held for oracle in oracles]
    alone = learner.route(at[:7])
    assert (alone.fit == found.fit[:7]).all() and (alone.domain == found.domain[:7]).all()
    learner.select_domain("base")  # routing asks all, whatever is selected
    assert (learner.route(at).domain == found.domain).all()


# --- learning and predicting ---


def test_rows_get_what_their_domain_says(bundles: Callable[..., bytes]) -> None:
    learner = _two(bundles())
    at = np.concatenate([_rows(30, seed=5)[0], _rows(30, 3.0, 6)[0]])
    routes, found = learner.route(at), learner.logits(at)
    for name in ("base", "far"):
        told = learner.select_domain(name).logits(at)
        assert (told[routes.domain == name] == found[routes.domain == name]).all()
        assert (told != found).any()
    assert learner.select_domain(None).score(at, np.arange(60) % CLASSES) > 0.95
    alone = edgecl.Classifier(learner.bundle).partial_fit(*_rows(90))
    assert (alone.logits(at[:30]) == found[:30]).all()  # the other domain has no part in it


def test_domains_in_words(bundles: Callable[..., bytes]) -> None:
    learner = edgecl.Classifier(bundles())
    assert [entry["name"] for entry in learner.domains_] == ["base"]
    learner = _two(bundles())
    base, far = learner.domains_
    assert base["name"] == "base" and far["name"] == "far" and base["rows"] == far["rows"] == 90
    assert not base["adapted"] and not base["selected"] and far["selected"] and base["by_fit"] and far["by_fit"]
    assert far["features"] == WIDTH and 0 < far["held"] < 45 and far["bytes"] > 0 and "domain" not in far
    learner.select_domain("base")
    assert learner.domains_[0]["selected"] and not learner.domains_[0]["by_fit"]
    learner.unlearn(*_rows(8))
    assert [entry["rows"] for entry in learner.domains_] == [82, 90]


def test_a_domain_goes_and_its_place_is_free(bundles: Callable[..., bytes]) -> None:
    learner = _two(bundles())
    at = _rows(30, 3.0, 6)[0]
    assert (learner.route(at).domain == "far").all()
    learner.remove_domain("far")
    assert [entry["name"] for entry in learner.domains_] == ["base"] and learner.domains_[0]["selected"]
    assert (learner.route(at).domain == "base").all() and (learner.route(at).decision == edgecl.Decision.NOVEL).all()
    learner.add_domain("b").add_domain("c")
    with pytest.raises(errors.CapacityError, match="max_domains"):
        learner.add_domain("d")
    assert [entry["name"] for entry in learner.domains_] == ["base", "b", "c"]
    learner.fit(*_rows(30))
    assert [entry["name"] for entry in learner.domains_] == ["base"]


def test_a_saved_learner_goes_on_with_the_same_bits(bundles: Callable[..., bytes], tmp_path: Path) -> None:
    learner = _two(bundles())
    learner.add_domain("rings")
    learner.adapt_domain("rings", *_rings(120), epochs=3)
    learner.save(tmp_path / "a.ecs")
    loaded = edgecl.Classifier(bundles()).load(tmp_path / "a.ecs")
    assert loaded.domains_ == learner.domains_
    keys = ("name", "rows", "rows_merged", "adapted", "held", "features", "selected")
    found = read_state((tmp_path / "a.ecs").read_bytes()).domains
    assert found == [{key: entry[key] for key in keys} for entry in learner.domains_]
    at = np.concatenate([_rows(30, seed=5)[0], _rows(30, 3.0, 6)[0], _rings(30, 7)[0]])
    for mine, theirs in zip(learner.route(at), loaded.route(at), strict=True):
        assert (mine == theirs).all()
    for one in (learner, loaded):
        one.select_domain("far").partial_fit(*_rows(16, 3.0, 9))
        one.select_domain(None)
    assert (learner.logits(at) == loaded.logits(at)).all() and learner.state_digest() == loaded.state_digest()


# --- adaptors ---


def test_an_adaptor_that_helps_is_kept(bundles: Callable[..., bytes]) -> None:
    learner = _two(bundles("bottleneck:32"))
    before = learner.logits(_rows(30)[0])
    report = learner.add_domain("rings").adapt_domain("rings", *_rings(600), epochs=60, learning_rate=0.05)
    assert report["kept"] and report["accuracy_adapted"] > report["accuracy_head"] + 0.3, report
    assert report["domain"] == "rings" and report["rows"] == 600 and report["held_out"] == 120
    assert report["parameters"] == 2 * WIDTH * 32 + WIDTH + 32 and report["seconds"] > 0
    entry = learner.domains_[2]
    assert entry["adapted"] and entry["rows"] == 600 and not entry["selected"] and entry["by_fit"]
    x, y = _rings(90, 5)
    assert (learner.route(x).domain == "rings").all() and learner.score(x, y) > 0.65
    assert (learner.logits(_rows(30)[0]) == before).all()  # no other domain knows of it
    learner.select_domain("far")
    again = _two(bundles("bottleneck:32"))
    again.add_domain("rings").adapt_domain("rings", *_rings(600), epochs=60, learning_rate=0.05)
    assert again.select_domain("far").state_digest() == learner.state_digest()  # the same bits from the same seed


def test_an_adaptor_that_does_not_help_is_not_kept(bundles: Callable[..., bytes]) -> None:
    learner, plain = _two(bundles()), _two(bundles())
    x, y = _rows(60, -3.0, 4)
    report = learner.add_domain("easy").adapt_domain("easy", x, y, epochs=2)
    assert not report["kept"] and report["accuracy_head"] == 1 >= report["accuracy_adapted"], report
    assert not learner.domains_[2]["adapted"] and learner.domains_[2]["rows"] == 60
    plain.add_domain("easy").select_domain("easy").partial_fit(x, y)
    at = _rows(30, -3.0, 5)[0]
    assert (learner.select_domain("easy").logits(at) == plain.logits(at)).all()
    forced = _two(bundles()).add_domain("easy").adapt_domain("easy", x, y, epochs=2, held_out=0)
    assert forced["kept"] and forced["held_out"] == 0 and forced["accuracy_head"] is None


def test_a_bundle_without_an_adaptor_just_learns(bundles: Callable[..., bytes]) -> None:
    learner = _two(bundles(adaptor=None))
    report = learner.add_domain("new").adapt_domain("new", *_rows(60, -3.0, 4))
    assert report["parameters"] == 0 and not report["kept"] and report["accuracy_adapted"] is None
    assert report["accuracy_head"] == 1 and learner.domains_[2]["rows"] == 60 and not learner.domains_[2]["adapted"]


def test_labels_of_a_new_domain_grow_classes(bundles: Callable[..., bytes]) -> None:
    x, y = _rows(60)
    learner = edgecl.Classifier(bundles()).partial_fit(x, np.array(["a", "b", "c"])[y])
    learner.add_domain("more")
    far, _ = _rows(60, 3.0, 1)
    learner.adapt_domain("more", far, np.array(["c", "d", "b"])[y], epochs=2)
    assert learner.classes_.tolist() == ["a", "b", "c", "d"]
    assert set(learner.predict(far[y == 1]).tolist()) == {"d"} and set(learner.predict(x[y == 0]).tolist()) == {"a"}
    empty = edgecl.Classifier(bundles())
    assert empty.adapt_domain("base", x, y, epochs=2)["rows"] == 60 and empty.classes_.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("call", "error", "saying"),
    [
        (lambda c: c.adapt_domain("nowhere", *_rows(20)), errors.NotFoundError, "'base', 'far', 'new'"),
        (lambda c: c.adapt_domain("far", *_rows(20)), errors.SequenceError, "90 rows in 'far'"),
        (lambda c: c.adapt_domain("new", *_rows(20), epochs=0), errors.ArgumentError, "epochs"),
        (lambda c: c.adapt_domain("new", *_rows(20), batch_size=2.5), errors.ArgumentError, "batch_size"),
        (lambda c: c.adapt_domain("new", *_rows(20), learning_rate=0), errors.ArgumentError, "learning_rate"),
        (lambda c: c.adapt_domain("new", *_rows(20), held_out=1), errors.ArgumentError, "held_out"),
        (lambda c: c.adapt_domain("new", _rows(20)[0], [0] * 19), errors.ShapeError, "19"),
        (lambda c: c.adapt_domain("new", _rows(20)[0], ["a"] * 20), errors.ArgumentError, "integers"),
        (lambda c: c.adapt_domain("new", _rows(20)[0], range(20)), errors.CapacityError, "max_classes"),
        (lambda c: c.select_domain("nowhere"), errors.NotFoundError, "add_domain"),
        (lambda c: c.select_domain(1), errors.ArgumentError, "text"),
        (lambda c: c.remove_domain("base"), errors.ArgumentError, "domain 0"),
        (lambda c: c.remove_domain("nowhere"), errors.NotFoundError, "nowhere"),
        (lambda c: c.add_domain("far"), errors.ArgumentError, "far"),
        (lambda c: c.add_domain(""), errors.ArgumentError, "name"),
        (lambda c: c.add_domain("x" * 64), errors.ArgumentError, "63"),
        (lambda c: c.add_domain(7), errors.ArgumentError, "text"),
        (lambda c: c.route(_rows(4)[0][:, :5]), errors.ShapeError, "12"),
    ],
)
def test_wrong_requests_change_nothing(
    bundles: Callable[..., bytes], call: Callable[[Any], Any], error: type[Exception], saying: str
) -> None:
    learner = _two(bundles()).add_domain("new")
    before, classes = learner.state_digest(), learner.classes_.tolist()
    with pytest.raises(error, match=saying):
        call(learner)
    assert learner.state_digest() == before and learner.classes_.tolist() == classes


def test_sessions_without_domains_say_so(bundles: Callable[..., bytes]) -> None:
    learner = edgecl.Classifier(bundles(), max_domains=0).partial_fit(*_rows(20))
    assert learner.domains_ == []
    x, y = _rows(8)
    calls: list[Callable[[], Any]] = [
        lambda: learner.add_domain("a"), lambda: learner.select_domain("a"), lambda: learner.select_domain(None),
        lambda: learner.remove_domain("a"), lambda: learner.route(x), lambda: learner.adapt_domain("a", x, y),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(errors.UnsupportedError, match="max_domains"):
            call()
    with pytest.raises(errors.Error, match="learn one first"):
        edgecl.Classifier(bundles()).route(x)


def test_domains_need_a_head_that_keeps_statistics(make_bundle: Callable[..., bytes]) -> None:
    with pytest.raises(errors.Error, match="head"):
        edgecl.Classifier(make_bundle(), max_domains=2).partial_fit(*_rows(8))


def test_a_trainer_must_be_of_the_model_and_learn_by_gradients(bundles: Callable[..., bytes]) -> None:
    from edgecl import _core

    model = _core.Model(data=bundles())
    session = _core.Session(model)
    number = session.domain_add("a")
    other = _core.Session(_core.Model(data=bundles("film")), head="gradient", max_domains=0)
    for trainer in (_core.Session(model), other):
        with pytest.raises(errors.ArgumentError, match="trainer"):
            session.domain_adapt(number, trainer)
    trainer = _core.Session(model, head="gradient", max_domains=0)
    assert session.domain_adapt(number, trainer) == 0 and session.domains()[1]["adapted"]
