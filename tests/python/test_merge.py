# Devices become one: Classifier.delta, merge, unmerge, against sums in NumPy, and the commands merge, forget, inspect.
# Never here: random histories (tests/runtime/learn_merge.cpp).
"""Tests of merging what several devices learned."""

from __future__ import annotations

import itertools
import json
import pickle
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

HEADS = ("ncm", "ncm_distance", "lda", "ridge", "fecam")
RANGE = 16.0
NAMES = np.array(["ant", "bee", "cat", "dog"])
MakeBundle = Callable[..., bytes]


def _rows(n: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 4, n)
    centres = np.random.default_rng(99).standard_normal((4, 12))
    return (centres[y] + 0.7 * rng.standard_normal((n, 12))).astype(np.float32), NAMES[y]


def _learner(bundle: Any, head: str = "lda", **changes: Any) -> edgecl.Classifier:
    keywords = {"feature_range": RANGE, "head_merges": 4, "head_bank": 200, **changes}
    return edgecl.Classifier(bundle, method=head, **keywords)


def _sums(learner: edgecl.Classifier) -> tuple[dict[str, tuple[int, list[int]]], bytes]:
    # Rows and sums of each class by name, and the second moments, out of the state.
    state = learner.to_bytes()
    found = read_state(state)
    assert found.head is not None
    names = {record["label"]: record["name"] for record in found.classes}
    section = next(s for s in found.sections if s["name"] == "HEAD")
    data = state[section["offset"] : section["offset"] + section["bytes"]]
    dim, at, classes = found.head["dim"], 16, {}
    triangle = dim * (dim + 1) // 2
    n_words = 4 + dim + (triangle if found.head["head"] == "fecam" else 0)
    for _ in found.head["class_rows"]:
        words = np.frombuffer(data, "<i8", n_words, at)
        classes[names[int(words[0])]] = (int(words[1]), words[2:].tolist())
        at += 8 * n_words
    n = 8 * triangle if found.head["head"] in ("lda", "ridge") else 0
    return classes, data[at : at + n]


@pytest.mark.parametrize("head", HEADS)
def test_merged_sums_are_those_of_numpy(make_bundle: MakeBundle, head: str) -> None:
    bundle = make_bundle()
    x, y = _rows(90)
    devices = [_learner(bundle, head, device=n + 1).partial_fit(x[n::3], y[n::3]) for n in range(3)]
    hub = _learner(bundle, head)
    for device in devices:
        told = hub.merge(device.delta())
        assert told["new"] == 1 and told["rows"] - told["rows_before"] == 30
    q = np.rint(hub.embed(x).astype(np.float64) * (16383 / RANGE)).clip(-16383, 16383).astype(np.int64)
    classes, moments = _sums(hub)
    assert set(classes) == set(y)
    for name in set(y):
        of = q[y == name]
        own = of.T @ of
        triangle = own[np.tril_indices(len(own))].tolist() if head == "fecam" else []
        assert classes[name][0] == len(of) and classes[name][1][2:] == of.sum(0).tolist() + triangle
        assert classes[name][1][0] == int(((of * of).sum(1) >> 8).sum())
    if moments:
        full = q.T @ q
        assert np.frombuffer(moments, "<i8").tolist() == full[np.tril_indices(len(full))].tolist()
    # And those of one learner, whatever the order of rows.
    order = np.random.default_rng(5).permutation(90)
    one = _learner(bundle, head).partial_fit(x[order], y[order])
    assert _sums(one) == _sums(hub) and (one.predict(x) == hub.predict(x)).all()
    assert np.allclose(one.logits(x), hub.logits(x), rtol=1e-5, atol=1e-5 * np.abs(one.logits(x)).max())


@pytest.mark.parametrize("head", HEADS)
def test_any_order_and_repetition_gives_the_same(make_bundle: MakeBundle, head: str) -> None:
    bundle = make_bundle()
    x, y = _rows(60)
    messages = []
    for n in range(3):
        device = _learner(bundle, head, device=n + 1).partial_fit(x[n::3], y[n::3])
        messages.append(device.delta())
        device.unlearn(x[n : n + 1], y[n : n + 1])
        messages.append(device.delta())
    found = []
    for order in itertools.islice(itertools.permutations(range(6)), 0, 720, 37):
        hub = _learner(bundle, head, device=9)
        for index in (*order, *order[:3]):
            hub.merge(messages[index])
        found.append(_sums(hub))
    kept = np.arange(60) >= 3
    assert all(sums == _sums(_learner(bundle, head).partial_fit(x[kept], y[kept])) for sums in found)


def test_learners_files_and_states_can_be_merged(make_bundle: MakeBundle, tmp_path: Path) -> None:
    bundle = make_bundle()
    x, y = _rows(60)
    a = _learner(bundle, device=1).partial_fit(x[:20], y[:20])
    b = _learner(bundle, device=2).partial_fit(x[20:40], y[20:40])
    c = _learner(bundle).partial_fit(x[40:], y[40:])  # it has no number
    b.merge(c, device=3)
    b.save(tmp_path / "b.ecs")
    (tmp_path / "a.ecd").write_bytes(a.delta())
    everything = _sums(_learner(bundle).partial_fit(x, y))
    for first, second in ((a, tmp_path / "b.ecs"), (tmp_path / "a.ecd", b), (str(tmp_path / "a.ecd"), b.to_bytes())):
        hub = _learner(bundle, device=9)
        hub.merge(first)
        hub.merge(second)
        assert _sums(hub) == everything
        assert [record["device"] for record in hub.devices_] == [9, 1, 2, 3]
    copy = pickle.loads(pickle.dumps(hub))
    assert copy.devices_ == hub.devices_ and copy.state_digest() == hub.state_digest()
    hub.unmerge(3)
    hub.unmerge(2)
    assert _sums(hub) == _sums(a) and hub.classes_.tolist() == a.classes_.tolist()
    with pytest.raises(errors.NotFoundError, match="3"):
        hub.unmerge(3)
    with pytest.raises(errors.SequenceError, match="number"):
        hub.merge(c)
    with pytest.raises(errors.FileError):
        hub.merge(tmp_path / "none.ecd")


def test_devices_that_begin_with_one_state(make_bundle: MakeBundle) -> None:
    bundle = make_bundle()
    x, y = _rows(90)
    factory = _learner(bundle, device=100).partial_fit(x[:30], y[:30]).to_bytes()
    robots = [_learner(bundle, device=n).load(factory) for n in (1, 2)]
    for n, robot in enumerate(robots):
        robot.partial_fit(x[30 + n :: 2], y[30 + n :: 2])
        assert [r["rows"] for r in robot.devices_] == [30, 30]
    robots[0].merge(robots[1])
    robots[1].merge(robots[0].delta(relay=True))
    one = _sums(_learner(bundle).partial_fit(x, y))
    assert _sums(robots[0]) == one and _sums(robots[1]) == one
    # A robot goes on as itself from what a hub made of all.
    hub = _learner(bundle)
    hub.merge(robots[0])
    again = _learner(bundle, device=2).load(hub.to_bytes())
    assert [(r["device"], r["rows"]) for r in again.devices_] == [(2, 30), (1, 30), (100, 30)]
    again.unlearn(x[31:33:2], y[31:33:2])
    assert robots[0].merge(again.delta())["newer"] == 1


def test_what_is_forgotten_goes_everywhere(make_bundle: MakeBundle) -> None:
    bundle = make_bundle()
    x, y = _rows(80)
    a = _learner(bundle, device=1).partial_fit(x[:40], y[:40])
    b = _learner(bundle, device=2).partial_fit(x[40:], y[40:])
    a.merge(b)
    told = a.forget("cat")
    of_b = int((y[40:] == "cat").sum())
    assert told["rows_of_others"] == of_b and told["shared_parameters"] == 0 and "cat" in a.classes_
    with pytest.raises(errors.UnsupportedError, match="other devices"):
        a.forget("cat")
    assert b.forget("cat")["rows_of_others"] == 0
    assert a.merge(b)["classes_gone"] == 1 and "cat" not in a.classes_
    assert _sums(a) == _sums(_learner(bundle).partial_fit(x[y != "cat"], y[y != "cat"]))
    with pytest.raises(errors.NotFoundError):
        a.forget("cat")
    with pytest.raises(errors.NotFoundError, match="this device"):
        a.unlearn(x[40:41], y[40:41] if y[40] != "cat" else ["dog"])
    # Learning anew is a newer version, too.
    b.fit(x[:8], y[:8])
    assert a.merge(b)["newer"] == 1 and a.devices_[1]["rows"] == 8


def test_labels_of_another_kind(make_bundle: MakeBundle) -> None:
    bundle = make_bundle()
    x, y = _rows(40)
    numbers = np.searchsorted(NAMES, y)
    a = _learner(bundle, device=1).partial_fit(x[:20], numbers[:20])
    b = _learner(bundle, device=2).partial_fit(x[20:], y[20:])
    c = _learner(bundle, device=3).partial_fit(x[20:], numbers[20:].astype(np.float64))
    before = a.state_digest()
    with pytest.raises(errors.StateError, match="text"):
        a.merge(b)
    assert a.state_digest() == before
    a.merge(c)
    assert a.classes_.tolist() == [0, 1, 2, 3] and _sums(a) == _sums(_learner(bundle).partial_fit(x, numbers))


def test_what_is_refused(make_bundle: MakeBundle) -> None:
    bundle = make_bundle()
    x, y = _rows(30)
    a = _learner(bundle, device=1, head_merges=1).partial_fit(x, y)
    before = a.state_digest()
    other = _learner(make_bundle(seed=8), device=2).partial_fit(x, y)
    for message, error in (
        (other.delta(), errors.StateError),
        (_learner(bundle, "ridge", device=2).partial_fit(x, y).delta(), errors.StateError),
        (_learner(bundle, device=2, feature_range=8.0).partial_fit(x, y).delta(), errors.StateError),
        (a.delta()[:-1], errors.StateError),
        (b"", errors.StateError),
        (other.to_bytes(), errors.StateError),
    ):
        with pytest.raises(error, match="expected"):
            a.merge(message)
        assert a.state_digest() == before
    assert a.merge(_learner(bundle, device=2).partial_fit(x, y))["new"] == 1
    with pytest.raises(errors.CapacityError, match="head_merges"):
        a.merge(_learner(bundle, device=3).partial_fit(x, y))
    gradient = edgecl.Classifier(bundle).partial_fit(x, y)
    for call in (gradient.delta, lambda: gradient.merge(a), lambda: gradient.unmerge(2)):
        with pytest.raises(errors.UnsupportedError, match="not averaged"):
            call()
    assert gradient.devices_ == []
    with pytest.raises(errors.SequenceError, match="device"):
        _learner(bundle).partial_fit(x, y).delta()
    for device in (0, -1, 2**64, 1.5, True, "1"):
        with pytest.raises(errors.ArgumentError, match="device"):
            _learner(bundle, device=device).partial_fit(x, y)
    small = _learner(bundle, device=4, max_classes=2).partial_fit(x[:1], ["eel"])
    with pytest.raises(errors.CapacityError, match="max_classes"):
        small.merge(a)
    assert small.classes_.tolist() == ["eel"]
    # More room than the state that is loaded had, and less than it needs.
    assert len(_learner(bundle, head_merges=8).load(a.to_bytes()).devices_) == 2
    with pytest.raises(errors.StateError, match="head_merges"):
        _learner(bundle, head_merges=0).load(a.to_bytes())


# --- command line ---


def _call(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def _document(*arguments: object, code: int = 0) -> dict[str, Any]:
    result = _call(*arguments, "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


@pytest.fixture
def folder(make_bundle: MakeBundle, tmp_path: Path) -> Path:
    """net.ecl; a.ecs and b.ecs of devices 1 and 2; plain.ecs without a number; sgd.ecs of a gradient head."""
    (tmp_path / "net.ecl").write_bytes(make_bundle())
    (tmp_path / "broken.ecl").write_bytes(b"no bundle")
    x, y = _rows(60)
    for name, rows, keywords in (
        ("a", slice(0, 20), {"device": 1}),
        ("b", slice(20, 40), {"device": 2}),
        ("plain", slice(40, 60), {"head_merges": 0}),
    ):
        _learner(tmp_path / "net.ecl", **keywords).partial_fit(x[rows], y[rows]).save(tmp_path / f"{name}.ecs")
    edgecl.Classifier(tmp_path / "net.ecl").partial_fit(x, y).save(tmp_path / "sgd.ecs")
    return tmp_path


def test_merge_on_the_command_line(folder: Path) -> None:
    x, y = _rows(60)
    a, b, plain, out = (folder / f"{name}.ecs" for name in ("a", "b", "plain", "c"))
    document = _document("merge", a, b, "-o", out)
    assert document["rows"] == 40 and [d["device"] for d in document["devices"]] == [1, 2]
    assert document["classes"] == {name: int((y[:40] == name).sum()) for name in document["classes"]}
    assert [record["new"] for record in document["files"]] == [1, 1]
    merged = edgecl.Classifier(folder / "net.ecl").load(out)
    assert document["state_sha256"] == merged.state_digest()
    assert _sums(merged) == _sums(_learner(folder / "net.ecl").partial_fit(x[:40], y[:40]))
    assert _document("merge", b, a, "-o", out)["classes"] == document["classes"]
    # A message, and a state without a number.
    (folder / "a.ecd").write_bytes(edgecl.Classifier(folder / "net.ecl").load(a).delta())
    document = _document("merge", folder / "a.ecd", b, plain, "--devices", 3, "-o", out)
    assert document["rows"] == 60 and [f["kind"] for f in document["files"]] == ["message", "state", "state"]
    assert _document("merge", folder / "a.ecd", "-b", folder / "net.ecl", "-o", folder / "d.ecs", code=3)["error"]
    shown = _call("merge", a, b, "-o", out)
    assert shown.exit_code == 0 and "known already" in shown.stdout and "ant" in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80
    # What was merged can be merged on.
    assert _document("merge", out, plain, "--devices", 3, "-o", folder / "d.ecs")["rows"] == 60
    # A device that learned on replaces its older state.
    later = edgecl.Classifier(folder / "net.ecl").load(a).partial_fit(x[40:], y[40:])
    later.save(folder / "later.ecs")
    document = _document("merge", a, folder / "later.ecs", b, "-o", out)
    assert document["rows"] == 60 and document["files"][1]["newer"] == 1


def test_merges_that_are_refused(folder: Path, make_bundle: MakeBundle, tmp_path_factory: Any) -> None:
    a, b, plain, out = (folder / f"{name}.ecs" for name in ("a", "b", "plain", "c"))
    (folder / "half.ecs").write_bytes(a.read_bytes()[:100])
    x, y = _rows(30)
    elsewhere = tmp_path_factory.mktemp("other")
    other = _learner(make_bundle(seed=8), device=5).partial_fit(x, y)
    other.save(elsewhere / "other.ecs")
    _learner(folder / "net.ecl", "ridge", device=6).partial_fit(x, y).save(folder / "ridge.ecs")
    for arguments, code, saying in (
        ((a, a), 3, "device 1"),
        ((a, b, a), 3, "leave one out"),
        ((a, plain), 2, "--devices"),
        ((a, plain, "--devices", "3,4"), 2, "--devices"),
        ((a, plain, "--devices", "x"), 2, "--devices"),
        ((a, plain, "--devices", "0"), 2, "--devices"),
        ((a, plain, "--devices", "1"), 3, "device 1"),
        ((a, folder / "half.ecs"), 3, "half.ecs"),
        ((a, folder / "none.ecs"), 3, "none.ecs"),
        ((a, elsewhere / "other.ecs"), 3, "bundle"),
        ((elsewhere / "other.ecs",), 2, "--bundle"),
        ((a, folder / "ridge.ecs"), 3, "ridge"),
        ((a, folder / "sgd.ecs"), 2, "not averaged"),
    ):
        result = _call("merge", *arguments, "-o", out)
        assert result.exit_code == code, (arguments, result.output)
        assert saying in result.stderr and "expected" in result.stderr and not out.exists()
    assert _call("merge", a, b, "-o", folder).exit_code == 3


def test_forget_on_the_command_line(folder: Path) -> None:
    x, y = _rows(60)
    a, b, out = folder / "a.ecs", folder / "b.ecs", folder / "out.ecs"
    before = a.read_bytes()
    n = int((y[:20] == "bee").sum())
    document = _document("forget", a, "--class", "bee", "-o", out)
    assert document["exact"] and document["rows_removed"] == n and "bee" not in document["classes"]
    assert a.read_bytes() == before
    kept = y[:20] != "bee"
    left = edgecl.Classifier(folder / "net.ecl").load(out)
    assert _sums(left) == _sums(_learner(folder / "net.ecl").partial_fit(x[:20][kept], y[:20][kept]))
    assert document["state_sha256"] == left.state_digest()
    # Over the old file; what others learned stays.
    device = _learner(folder / "net.ecl", device=1).load(a)
    device.merge(b)
    device.save(a)
    shown = _call("forget", a, "--class", "bee")
    assert shown.exit_code == 0 and "rows of other devices" in shown.stdout
    assert edgecl.Classifier(folder / "net.ecl").load(a).devices_[0]["rows"] == 20 - n
    gradient = _document("forget", folder / "sgd.ecs", "--class", "ant")
    assert not gradient["exact"] and gradient["shared_parameters"] > 0
    before = a.read_bytes()
    for arguments, code, saying in (
        (("--class", "eel"), 3, "eel"),
        (("--class", "bee"), 2, "other devices"),
        (("--class", "ant", "-o", folder), 3, "folder"),
    ):
        result = _call("forget", a, *arguments)
        assert result.exit_code == code and saying in result.stderr and a.read_bytes() == before
    _learner(folder / "net.ecl", head_bank=0).partial_fit(x, y).save(a)
    result = _call("forget", a, "--class", "ant")
    assert result.exit_code == 2 and "bank" in result.stderr


def test_inspect_shows_devices(folder: Path) -> None:
    out = folder / "c.ecs"
    _call("merge", folder / "a.ecs", folder / "b.ecs", "-o", out)
    document = _document("inspect", out)
    assert document["head"]["rows"] == 40 and document["bytes"] == out.stat().st_size
    assert [(d["device"], d["rows"], d["own"]) for d in document["devices"]] == [
        (0, 0, True),
        (1, 20, False),
        (2, 20, False),
    ]
    shown = _call("inspect", out).stdout
    assert "merged" in shown and "rows in the head" in shown and max(map(len, shown.splitlines())) <= 80
    learner = edgecl.Classifier(folder / "net.ecl", device=7).load(out)
    (folder / "all.ecd").write_bytes(learner.delta(relay=True))
    document = _document("inspect", folder / "all.ecd")
    assert document["kind"] == "message" and [d["device"] for d in document["devices"]] == [1, 2]
    assert read_message(learner.delta()).devices == []
    assert "of bundle" in _call("inspect", folder / "all.ecd").stdout
    with pytest.raises(errors.StateError):
        read_state(learner.delta())
    with pytest.raises(errors.StateError):
        read_message(out.read_bytes())
