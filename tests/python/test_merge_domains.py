# Devices become one that learn with codes of bits, or in domains: Classifier.merge, states, messages, commands.
# Never here: random histories (tests/runtime/learn_merge.cpp, learn_merge_domains.cpp).
"""Tests of merging the head "hd", and sessions with domains."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import edgecl
import numpy as np
import pytest
from edgecl import errors
from edgecl.cli.main import app
from edgecl.message_file import read_message
from edgecl.state_file import read_state
from numpy.typing import NDArray
from typer.testing import CliRunner

MakeBundle = Callable[..., bytes]
Rows = tuple[NDArray[np.float32], NDArray[np.str_]]
DIM, CLASSES = 12, 3
NAMES = np.array(["ant", "bee", "cat"])
BITS = 192


def _rows(n: int, shift: float = 0.0, seed: int = 0) -> Rows:
    rng = np.random.default_rng(seed)
    y = np.arange(n) % CLASSES
    centres = np.random.default_rng(99).standard_normal((CLASSES, DIM))
    return (centres[y] + shift + 0.5 * rng.standard_normal((n, DIM))).astype(np.float32), NAMES[y]


# --- codes of bits ---


def _hd(bundle: Any, **changes: Any) -> edgecl.Classifier:
    return edgecl.Classifier(bundle, **{"method": "hd", "head_merges": 4, "hd_bits": BITS, **changes})


def _counters(learner: edgecl.Classifier) -> dict[str, tuple[int, list[int]]]:
    # Rows and counters of each class by name, out of the state.
    state = learner.to_bytes()
    found = read_state(state)
    assert found.head is not None
    names = {record["label"]: record["name"] for record in found.classes}
    at = next(s for s in found.sections if s["name"] == "HEAD")["offset"] + 16
    classes = {}
    for _ in found.head["class_rows"]:
        label, rows, _ = np.frombuffer(state, "<i8", 3, at)
        classes[names[int(label)]] = (int(rows), np.frombuffer(state, "<i4", BITS, at + 24).tolist())
        at += 24 + 4 * BITS
    return classes


def test_counters_of_devices_add_in_any_order(make_bundle: MakeBundle) -> None:
    bundle = make_bundle()
    x, y = _rows(60)
    messages = []
    for n in range(3):
        device = _hd(bundle, device=n + 1).partial_fit(x[n::3], y[n::3])
        messages.append(device.delta())
        device.unlearn(x[n : n + 1], y[n : n + 1])
        messages.append(device.delta())
    kept = np.arange(60) >= 3
    one = _hd(bundle).partial_fit(x[kept], y[kept])
    for order in itertools.islice(itertools.permutations(range(6)), 0, 720, 61):
        hub = _hd(bundle, device=9)
        for index in (*order, *order[:3]):
            hub.merge(messages[index])
        assert _counters(hub) == _counters(one)
        assert (hub.logits(x) == one.logits(x)[:, [list(one.classes_).index(c) for c in hub.classes_]]).all()
    found = read_message(messages[1])
    assert found.head == "hd" and found.dim == BITS and found.devices[0]["rows"] == 19 and found.domains == []
    state = read_state(hub.to_bytes())
    assert [(r["device"], r["rows"]) for r in state.devices] == [(9, 0), (1, 19), (2, 19), (3, 19)]
    hub.unmerge(2)
    assert sum(rows for rows, _ in _counters(hub).values()) == 38


def test_codes_that_cannot_be_added(make_bundle: MakeBundle) -> None:
    bundle = make_bundle()
    x, y = _rows(30)
    a = _hd(bundle, device=1, head_merges=1).partial_fit(x, y)
    before = a.state_digest()
    for other, word in (
        (_hd(bundle, device=2, hd_bits=128), "hd_bits"),
        (_hd(bundle, device=2, feature_range=8.0), "feature_range"),
        (edgecl.Classifier(bundle, method="ncm", device=2, head_merges=1), "head"),
    ):
        with pytest.raises(errors.StateError, match=word):
            a.merge(other.partial_fit(x, y))
        assert a.state_digest() == before
    a.merge(_hd(bundle, device=2).partial_fit(x, y))
    with pytest.raises(errors.CapacityError, match="head_merges"):
        a.merge(_hd(bundle, device=3).partial_fit(x, y))
    with pytest.raises(errors.NotFoundError, match="this device"):
        _hd(bundle, device=4).partial_fit(x[:3], y[:3]).unlearn(x[3:4], y[3:4])


# --- domains ---


@pytest.fixture(scope="module")
def bundle() -> bytes:
    """A linear encoder under a ridge head, with an adaptor and room for three domains."""
    torch = pytest.importorskip("torch")
    from edgecl import export

    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(DIM, 16), torch.nn.Linear(16, CLASSES)).eval()
    recipe = export.Recipe(method="ridge", max_domains=3, batch_size=8)
    return export.from_torch(
        net, torch.zeros(1, DIM), recipe=recipe, max_classes=6, normalise=False, adaptor="bottleneck:8",
        calibration=_rows(60, 3.0)[0],
    ).bundle  # fmt: skip


def _learner(bundle: Any, **changes: Any) -> edgecl.Classifier:
    return edgecl.Classifier(bundle, **{"head_merges": 4, **changes})


def _learn(learner: edgecl.Classifier, domain: str, rows: Rows) -> edgecl.Classifier:
    if domain not in [d["name"] for d in learner.domains_]:
        learner.add_domain(domain)
    learner.select_domain(domain)
    learner.partial_fit(*rows)
    return learner.select_domain(None)


# Moments of all rows, and of each class.
@pytest.mark.parametrize("head", [{"head": "ridge"}, {"head": "fecam"}, {"head": "fecam", "feature_root": True}])
def test_domains_of_devices_become_one(bundle: bytes, head: dict[str, Any]) -> None:
    near, far, more = _rows(60), _rows(60, 3.0, 1), _rows(60, 0.0, 2)
    a = _learn(_learner(bundle, device=1, **head), "base", near)
    b = _learn(_learn(_learner(bundle, device=2, **head), "base", more), "night", far)
    told = a.merge(b)
    assert told["domains_added"] == 1 and told["domains_gone"] == 0 and told["rows"] == 180
    assert [(d["name"], d["rows"], d["rows_merged"]) for d in a.domains_] == [("base", 60, 60), ("night", 0, 60)]
    one = _learn(_learn(_learn(_learner(bundle, **head), "base", near), "base", more), "night", far)
    x = np.concatenate([_rows(30, 0.0, 7)[0], _rows(30, 3.0, 8)[0]])
    for mine, alone in zip(a.route(x), one.route(x), strict=True):
        assert (mine == alone).all()
    assert (a.logits(x) == one.logits(x)).all() and set(a.route(x).domain) == {"base", "night"}
    # State, message and the file readers.
    copy = _learner(bundle, **head).load(a.to_bytes())
    assert copy.state_digest() == a.state_digest() and (copy.logits(x) == a.logits(x)).all()
    state = read_state(a.to_bytes())
    assert [(d["name"], d["rows"], d["rows_merged"]) for d in state.domains] == [("base", 60, 60), ("night", 0, 60)]
    assert [(d["device"], d["rows"], d["own"]) for d in state.devices] == [(1, 60, True), (2, 120, False)]
    assert state.head is not None and state.head["rows"] == 180
    message = read_message(b.delta())
    assert message.head == head["head"] and message.feature_root == head.get("feature_root", False)
    assert message.devices[0]["domains"] == {"base": 60, "night": 60}
    assert [d["name"] for d in message.domains] == ["base", "night"]
    with pytest.raises(errors.UnsupportedError, match="unmerge"):
        a.remove_domain("night")
    a.unmerge(2)
    assert [d["name"] for d in a.domains_] == ["base"]


def test_adaptors_are_equal_or_refused(bundle: bytes) -> None:
    far = _rows(90, 3.0, 1)
    learners = [_learn(_learner(bundle, device=n, random_state=n), "base", _rows(60)) for n in (1, 2, 3)]
    a, b, c = learners
    for learner, name in ((a, "night"), (b, "night"), (c, "fog")):
        learner.add_domain(name)
        learner.adapt_domain(name, *far, epochs=3)
    # Kept or not is decided by rows held out; where it was not, all have the bundle's.
    a_kept, b_kept = (next(d["adapted"] for d in one.domains_ if d["name"] == "night") for one in (a, b))
    before = a.state_digest()
    if a_kept or b_kept:
        with pytest.raises(errors.StateError, match="two adaptors"):
            a.merge(b)
        assert a.state_digest() == before
    assert a.merge(c)["domains_added"] == 1
    assert [d["name"] for d in a.domains_] == ["base", "night", "fog"]
    full = _learn(_learner(bundle, device=4), "hall", far)
    before = a.state_digest()
    with pytest.raises(errors.CapacityError, match="max_domains"):
        a.merge(full)
    assert a.state_digest() == before
    plain = edgecl.Classifier(bundle, max_domains=0, head_merges=2, device=5).partial_fit(*far)
    for one, other in ((a, plain), (plain, a)):
        with pytest.raises(errors.StateError, match="max_domains"):
            one.merge(other)


def test_domains_that_grow_have_names_of_their_device(bundle: bytes) -> None:
    from edgecl.growth import _free_name

    for device, name in ((None, "domain-2"), (7, "domain-7-2")):
        learner = _learn(_learner(bundle, device=device), "base", _rows(30))
        assert _free_name(learner._open().session) == name


@pytest.mark.parametrize("head", ["ridge", "fecam"])
def test_rows_of_another_domain_are_not_unlearned(bundle: bytes, head: str) -> None:
    near, far = _rows(60), _rows(30, 3.0, 1)
    learner = _learn(_learn(_learner(bundle, head=head), "base", near), "night", far).select_domain("night")
    before = learner.state_digest()
    for row in range(20):
        with pytest.raises(errors.NotFoundError, match="domain that learned them"):
            learner.unlearn(near[0][row : row + 1], near[1][row : row + 1])
        assert learner.state_digest() == before
    learner.unlearn(*far)
    assert next(d["rows"] for d in learner.domains_ if d["name"] == "night") == 0


# --- command line ---


def _call(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def _document(*arguments: object) -> dict[str, Any]:
    result = _call(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_merge_of_domains_on_the_command_line(bundle: bytes, tmp_path: Path) -> None:
    net, a, b, c, out = (tmp_path / name for name in ("net.ecl", "a.ecs", "b.ecs", "c.ecs", "out.ecs"))
    net.write_bytes(bundle)
    near, far = _rows(60), _rows(60, 3.0, 1)
    _learn(_learner(net, device=1, head_merges=0), "base", near).save(a)
    second = _learn(_learn(_learner(net, device=2), "base", far), "night", far)
    second.save(b)
    document = _document("merge", a, b, "-o", out)
    assert document["rows"] == 180 and [d["device"] for d in document["devices"]] == [1, 2]
    assert document["domains"] == [
        {"name": "base", "rows": 120, "adapted": False},
        {"name": "night", "rows": 60, "adapted": False},
    ]
    assert document["devices"][1]["domains"] == {"base": 60, "night": 60}
    assert _document("merge", b, a, "-o", out)["domains"] == document["domains"]
    merged = _learner(net, device=1).load(out)
    assert [(d["device"], d["rows"]) for d in merged.devices_] == [(1, 60), (2, 120)]
    assert merged.partial_fit(*near).devices_[0]["rows"] == 120
    shown = _call("merge", a, b, "-o", out)
    assert shown.exit_code == 0 and "night" in shown.stdout and "the bundle's" in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80
    inspected = _call("inspect", out)
    assert inspected.exit_code == 0 and "DOMAIN_DEVICES" in inspected.stdout and "merged" in inspected.stdout
    message = tmp_path / "b.ecd"
    message.write_bytes(second.delta())
    assert _document("inspect", message)["devices"][0]["domains"] == {"base": 60, "night": 60}
    assert "night" in _call("inspect", message).stdout
    assert _document("merge", message, "-b", net, "-o", c)["rows"] == 120
    # More domains than the first state has room for.
    four = _learner(net, device=3)
    for name in ("fog", "hall"):
        _learn(four, name, near)
    four.save(c)
    out.unlink()
    refused = _call("merge", a, b, c, "-o", out)
    assert refused.exit_code == 3 and "max_domains" in refused.stderr and not out.exists()


def test_merge_of_codes_on_the_command_line(make_bundle: MakeBundle, tmp_path: Path) -> None:
    net, a, b, out = (tmp_path / name for name in ("net.ecl", "a.ecs", "b.ecs", "c.ecs"))
    net.write_bytes(make_bundle())
    x, y = _rows(60)
    _hd(net, device=1).partial_fit(x[:30], y[:30]).save(a)
    second = _hd(net, device=2, head_merges=0).partial_fit(x[30:], y[30:])
    second.save(b)
    document = _document("merge", a, b, "-o", out)
    assert document["head"] == "hd" and document["rows"] == 60 and document["domains"] == []
    assert _counters(_hd(net).load(out)) == _counters(_hd(net).partial_fit(x, y))
    message = tmp_path / "b.ecd"
    message.write_bytes(second.delta())
    assert _document("merge", message, a, "-o", out)["rows"] == 60
    assert _document("merge", message, "-b", net, "-o", out)["rows"] == 30


def test_messages_of_roots_on_the_command_line(bundle: bytes, tmp_path: Path) -> None:
    # No state says how the session of all is configured: the messages do.
    net, out = tmp_path / "net.ecl", tmp_path / "out.ecs"
    net.write_bytes(bundle)
    x, y = _rows(60)
    plain: dict[str, Any] = {"head": "fecam", "feature_root": True, "max_domains": 0}
    files = []
    for n in range(2):
        files.append(tmp_path / f"{n}.ecd")
        files[n].write_bytes(_learner(net, device=n + 1, **plain).partial_fit(x[n::2], y[n::2]).delta())
    assert _document("merge", *files, "-b", net, "-o", out)["rows"] == 60
    merged, one = _learner(net, **plain).load(out), _learner(net, **plain).partial_fit(x, y)
    assert (merged.logits(x) == one.logits(x)).all()
    (tmp_path / "other.ecd").write_bytes(
        _learner(net, device=3, **{**plain, "feature_root": False}).partial_fit(x, y).delta()
    )
    out.unlink()
    refused = _call("merge", files[0], tmp_path / "other.ecd", "-b", net, "-o", out)
    assert refused.exit_code == 3 and "feature_root" in refused.stderr and not out.exists()
