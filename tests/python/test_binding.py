# The extension module by itself: arrays, errors, the writer, threads.
# Never here: the Classifier.
"""Tests of edgecl._core."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgecl import _core, errors


def _session(data: bytes, **config: Any) -> _core.Session:
    session = _core.Session(_core.Model(data=data), **config)
    for _ in range(3):
        session.class_add()
    return session


def test_model_describes_itself(make_bundle: Callable[..., bytes]) -> None:
    model = _core.Model(data=make_bundle(classes=("cat", "dog"), density=0.5))
    info = model.describe()
    assert (info["name"], info["producer"], info["input_dims"], info["class_capacity"]) == ("test-mlp", "test", [12], 6)
    assert info["classes"] == ["cat", "dog"] and info["n_classes"] == 2
    assert (
        info["recipe"]["method"] == "er" and info["recipe"]["batch_size"] == 4 and info["recipe"]["trainable"] == "all"
    )
    assert len(info["digest"]) == 64 and info["kernel_level"]
    layers = model.layers()
    assert [layer["name"] for layer in layers] == ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"]
    assert layers[0]["sparse"] and layers[0]["density"] == pytest.approx(0.5) and layers[0]["stored"] == 96
    assert [op["kind"] for op in model.ops()] == ["linear", "linear"]
    assert info["macs_forward"] == 12 * 16 + 16 * 6 and info["macs_forward_sparse"] == 96 + 96


def test_default_config_is_accepted_back(make_bundle: Callable[..., bytes]) -> None:
    model = _core.Model(data=make_bundle())
    config = model.default_config()
    assert config["max_batch"] == 4 and config["method"] == "er" and config["n_threads"] == 1
    sizes = model.sizes(**config)
    session = _core.Session(model, **config)
    assert session.sizes() == sizes and session.stats()["arena_bytes"] == sizes["arena_bytes"]
    assert session.config == config


@pytest.mark.parametrize(
    "config",
    [
        {"no_such_field": 1},
        {"max_batch": 0},
        {"max_batch": "many"},
        {"max_batch": -1},
        {"method": "magic"},
        {"learning_rate": "fast"},
        {"learning_rate": float("nan")},
        {"n_threads": 65},
        {"n_threads": 0},
        {"seed": -1},
    ],
)
def test_bad_configuration_is_refused(make_bundle: Callable[..., bytes], config: dict[str, Any]) -> None:
    model = _core.Model(data=make_bundle())
    with pytest.raises(errors.ArgumentError, match=r"expected .*; found .*;"):
        _core.Session(model, **config)


def test_learning_changes_predictions(make_bundle: Callable[..., bytes], blobs: Any) -> None:
    session = _session(make_bundle())
    before = session.logits(blobs.x)
    report = session.learn(blobs.x[:4], blobs.y[:4].astype(np.int32))
    assert (
        report["step"] == 1 and report["loss"] > 0 and report["n_replayed"] == 0 and report["macs_forward"] == 4 * 288
    )
    assert (session.logits(blobs.x)[:, :3] != before[:, :3]).any()
    for _ in range(10):
        session.learn_many(blobs.x, blobs.y.astype(np.int32), 4)
    labels, probabilities, margins = session.predict(blobs.x)
    assert (labels == blobs.y).mean() > 0.95
    assert labels.dtype == np.int32 and probabilities.dtype == margins.dtype == np.float32
    assert np.isneginf(session.logits(blobs.x)[:, 3:]).all()
    assert session.embed(blobs.x).shape == (60, 16)


def test_learn_many_is_a_loop_of_learn(make_bundle: Callable[..., bytes], blobs: Any) -> None:
    one, many = _session(make_bundle(), seed=5), _session(make_bundle(), seed=5)
    labels = blobs.y.astype(np.int32)
    losses = [one.learn(blobs.x[i : i + 4], labels[i : i + 4])["loss"] for i in range(0, 60, 4)]
    report = many.learn_many(blobs.x, labels, 4)
    assert report["n_done"] == 60 and report["mean_loss"] == pytest.approx(np.mean(losses), rel=1e-6)
    assert one.state_digest() == many.state_digest()


def test_replay_slots_are_told(make_bundle: Callable[..., bytes], blobs: Any) -> None:
    session = _session(make_bundle())
    labels = blobs.y.astype(np.int32)
    assert session.learn(blobs.x[:4], labels[:4], want_slots=True)["replay_slots"].tolist() == []
    report = session.learn(blobs.x[4:8], labels[4:8], want_slots=True)
    assert report["n_replayed"] == len(report["replay_slots"]) == 4
    assert sorted(set(report["replay_slots"].tolist())) == sorted(report["replay_slots"].tolist())


@pytest.mark.parametrize(
    ("x", "error"),
    [
        (np.zeros((4, 11), np.float32), errors.ShapeError),
        (np.zeros((12,), np.float32), errors.ShapeError),
        (np.zeros((2, 3, 5), np.float32), errors.ShapeError),
        (np.float32(3), errors.ShapeError),
        (np.zeros((4, 12), np.float64), errors.DtypeError),
        (np.zeros((4, 12), np.uint8), errors.DtypeError),
        (np.full((4, 12), np.nan, np.float32), errors.NumericError),
        (np.full((4, 12), np.inf, np.float32), errors.NumericError),
    ],
)
def test_bad_arrays_leave_the_state(make_bundle: Callable[..., bytes], x: Any, error: type[Exception]) -> None:
    session = _session(make_bundle())
    before = session.state_digest()
    n = x.shape[0] if x.ndim else 1
    with pytest.raises(error):
        session.learn(np.asarray(x), np.zeros(n, np.int32))
    if error is not errors.NumericError:
        with pytest.raises(error):
            session.predict(np.asarray(x))
    assert session.state_digest() == before


@pytest.mark.parametrize(
    ("labels", "error"),
    [
        (np.zeros(3, np.int32), errors.ShapeError),
        (np.zeros((4, 1), np.int32), errors.ShapeError),
        (np.zeros(4, np.float32), errors.DtypeError),
        (np.full(4, -1, np.int32), errors.NotFoundError),
        (np.full(4, 2**40, np.int64), errors.NotFoundError),
        (np.full(4, 4, np.int32), errors.NotFoundError),
    ],
)
def test_bad_labels_leave_the_state(make_bundle: Callable[..., bytes], labels: Any, error: type[Exception]) -> None:
    session = _session(make_bundle())
    before = session.state_digest()
    with pytest.raises(error):
        session.learn(np.zeros((4, 12), np.float32), labels)
    assert session.state_digest() == before


def test_batch_larger_than_planned_is_a_capacity_error(make_bundle: Callable[..., bytes]) -> None:
    session = _session(make_bundle())
    with pytest.raises(errors.CapacityError):
        session.learn(np.zeros((5, 12), np.float32), np.zeros(5, np.int32))
    with pytest.raises(errors.ArgumentError):
        session.learn_many(np.zeros((5, 12), np.float32), np.zeros(5, np.int32), 5)


def test_samples_are_taken_in_every_harmless_shape(make_bundle: Callable[..., bytes], blobs: Any) -> None:
    image = _session(make_bundle(dims=(1, 3, 4)))
    expected = image.logits(blobs.x.reshape(-1, 1, 3, 4))
    for shape in ((-1, 3, 4), (-1, 12), (-1, 1, 12)):
        assert (image.logits(blobs.x.reshape(shape)) == expected).all()
    with pytest.raises(errors.ShapeError):
        image.logits(blobs.x.reshape(-1, 4, 3))
    flat = _session(make_bundle())
    assert (flat.logits(blobs.x.reshape(-1, 3, 4)) == flat.logits(blobs.x)).all()
    strided = np.repeat(blobs.x, 2, axis=1)[:, ::2]
    assert not strided.flags.c_contiguous
    assert (flat.logits(strided) == flat.logits(blobs.x)).all()


def test_no_rows(make_bundle: Callable[..., bytes]) -> None:
    session = _session(make_bundle())
    empty = np.zeros((0, 12), np.float32)
    assert session.logits(empty).shape == (0, 6)
    assert [len(part) for part in session.predict(empty)] == [0, 0, 0]
    assert session.learn_many(empty, np.zeros(0, np.int32), 4)["n_done"] == 0


def test_failure_in_the_middle_says_n_done(make_bundle: Callable[..., bytes], blobs: Any) -> None:
    session, other = _session(make_bundle()), _session(make_bundle())
    x, labels = blobs.x.copy(), blobs.y.astype(np.int32)
    x[9, 0] = np.nan
    with pytest.raises(errors.NumericError) as caught:
        session.learn_many(x, labels, 4)
    assert caught.value.n_done == 8 and caught.value.status == -60 and caught.value.status_name == "E_NUMERIC"
    other.learn_many(x[:8], labels[:8], 4)
    assert session.state_digest() == other.state_digest()


def test_classes(make_bundle: Callable[..., bytes]) -> None:
    session = _core.Session(_core.Model(data=make_bundle(classes=("cat",))))
    assert session.class_find("cat") == 0 and session.class_find("dog") is None
    assert session.class_add("dog") == 1 and session.class_add() == 2
    assert [(c["label"], c["name"], c["present"]) for c in session.classes()] == [
        (0, "cat", True),
        (1, "dog", True),
        (2, "2", True),
    ]
    session.class_forget(1)
    assert session.class_find("dog") is None and session.class_add("dog") == 3
    assert [c["label"] for c in session.classes() if c["present"]] == [0, 2, 3]
    with pytest.raises(errors.ArgumentError):
        session.class_add("dog")
    with pytest.raises(errors.NotFoundError):
        session.class_forget(1)
    session.class_add()
    session.class_add()
    assert session.class_add() == 1  # the forgotten one's column, when nothing else is left
    with pytest.raises(errors.CapacityError):
        session.class_add()
    session.reset()
    assert [c["name"] for c in session.classes() if c["present"]] == ["cat"]


def test_state_round_trip_and_refusals(make_bundle: Callable[..., bytes], blobs: Any) -> None:
    data = make_bundle(density=0.3)
    session = _session(data)
    session.learn_many(blobs.x, blobs.y.astype(np.int32), 4)
    state = session.state_export()
    other = _core.Session(_core.Model(data=data))
    other.state_import(state)
    assert other.state_digest() == session.state_digest() == state[-32:].hex()
    before = other.state_digest()
    changed = bytearray(state)
    changed[len(state) // 2] ^= 1
    for bad in (b"", state[:-1], state + b"x", bytes(changed), b"\0" * 200, data):
        with pytest.raises(errors.StateError) as caught:
            other.state_import(bad)
        assert caught.value.status == -40
    foreign = _core.Session(_core.Model(data=make_bundle(seed=4, density=0.3)))
    with pytest.raises(errors.StateError) as caught:
        foreign.state_import(state)
    assert caught.value.status == -41
    with pytest.raises(errors.StateError) as caught:
        _core.Session(_core.Model(data=data), replay_capacity=19).state_import(state)
    assert caught.value.status == -41
    assert other.state_digest() == before


@pytest.mark.parametrize("density", [1.0, 0.3])
def test_parameters_are_the_present_weights(
    make_bundle: Callable[..., bytes], plan: Any, blobs: Any, density: float
) -> None:
    source = plan(density=density)
    session = _session(_core.write_bundle(source))
    shipped = session.parameters()
    assert list(shipped) == ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"]
    first = source["params"][0]
    if density == 1.0:
        assert (shipped["fc1.weight"] == first["values"]).all()
    else:
        expected = np.zeros(16 * 12, np.float32)
        expected[first["positions"]] = first["values"]
        assert (shipped["fc1.weight"].reshape(-1) == expected).all()
    session.learn(blobs.x[:4], blobs.y[:4].astype(np.int32))
    learned = session.parameters()
    assert (learned["fc1.weight"] != shipped["fc1.weight"]).any()
    assert ((learned["fc1.weight"] != 0) <= (shipped["fc1.weight"] != 0)).all()
    x = blobs.x[:1].astype(np.float64)
    w1 = learned["fc1.weight"].astype(np.float64)
    hidden = np.maximum(x @ (w1 if density == 1.0 else w1.T) + learned["fc1.bias"], 0)
    logits = hidden @ learned["fc2.weight"].astype(np.float64) + learned["fc2.bias"]
    assert session.logits(blobs.x[:1])[0, :3] == pytest.approx(logits[0, :3], abs=1e-5)


def test_profile(make_bundle: Callable[..., bytes], blobs: Any) -> None:
    session = _session(make_bundle())
    session.profile_start()
    with pytest.raises(errors.SequenceError):
        session.profile_start()
    session.learn(blobs.x[:4], blobs.y[:4].astype(np.int32))
    events = session.profile_stop()
    assert {e["op"] for e in events if e["op"] < 2} == {0, 1} and {e["pass"] for e in events} == {0, 1}
    assert all(e["end_us"] >= e["begin_us"] for e in events)


def test_a_model_with_sessions_stays_open(make_bundle: Callable[..., bytes]) -> None:
    model = _core.Model(data=make_bundle())
    session = _core.Session(model)
    with pytest.raises(errors.SequenceError):
        model.close()
    session.close()
    session.close()
    with pytest.raises(errors.SequenceError):
        session.stats()
    model.close()
    with pytest.raises(errors.SequenceError):
        model.describe()
    with pytest.raises(errors.SequenceError):
        _core.Session(model)


@pytest.mark.parametrize("n_threads", [2, 3, 8])
def test_threads_do_not_change_a_bit(make_bundle: Callable[..., bytes], blobs: Any, n_threads: int) -> None:
    data = make_bundle(density=0.4, hidden=48)
    digests = []
    for n in (1, n_threads):
        session = _session(data, n_threads=n)
        session.learn_many(blobs.x, blobs.y.astype(np.int32), 4)
        digests.append((session.state_digest(), session.logits(blobs.x).tobytes()))
    assert digests[0] == digests[1]


def test_second_thread_is_refused(make_bundle: Callable[..., bytes]) -> None:
    session = _session(make_bundle(hidden=256), max_batch=64, replay_batch=64)
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((20000, 12)).astype(np.float32), rng.integers(0, 3, 20000).astype(np.int32)
    running, refused = threading.Event(), []

    def learn() -> None:
        running.set()
        session.learn_many(x, labels, 64)

    thread = threading.Thread(target=learn)
    thread.start()
    running.wait()
    while thread.is_alive():
        try:
            session.stats()
        except errors.BusyError as error:
            refused.append(error.status)
    thread.join()
    assert refused and set(refused) == {-6}
    assert session.stats()["samples_learned"] == 20000


def test_sessions_of_one_model_run_side_by_side(make_bundle: Callable[..., bytes], blobs: Any) -> None:
    model = _core.Model(data=make_bundle())
    digests: list[str] = []

    def learn() -> None:
        session = _core.Session(model)
        for _ in range(3):
            session.class_add()
        session.learn_many(np.tile(blobs.x, (20, 1)), np.tile(blobs.y.astype(np.int32), 20), 4)
        digests.append(session.state_digest())

    threads = [threading.Thread(target=learn) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(digests) == 4 and len(set(digests)) == 1


def test_a_forked_child_still_computes(make_bundle: Callable[..., bytes], blobs: Any) -> None:
    session = _session(make_bundle(), n_threads=3)
    expected = session.logits(blobs.x).tobytes()
    child = os.fork()
    if child == 0:
        os._exit(0 if session.logits(blobs.x).tobytes() == expected else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_bundles_that_must_be_refused(make_bundle: Callable[..., bytes], tmp_path: Path) -> None:
    data = make_bundle()
    _core.verify_bundle(data)
    _core.verify_bundle(np.frombuffer(data, np.uint8))
    changed = bytearray(data)
    changed[-5] ^= 1
    newer = bytearray(data)
    newer[4] = 99
    cases = {
        b"": -30,
        b"ECL1": -30,
        data[:1000]: -30,
        data + b"\0": -30,
        bytes(changed): -30,
        bytes(newer): -31,
        b"PK" * 100: -30,
    }
    for bad, status in cases.items():
        for opens in (lambda bad=bad: _core.Model(data=bad), lambda bad=bad: _core.verify_bundle(bad)):
            with pytest.raises(errors.BundleError, match="expected") as caught:
                opens()
            assert caught.value.status == status
    path = tmp_path / "bad.ecl"
    path.write_bytes(data[:-1])
    with pytest.raises(errors.BundleError):
        _core.Model(path=str(path))
    with pytest.raises(errors.BundleError) as caught:
        _core.verify_bundle(data, b"k" * 32)
    assert caught.value.status == -32
    with pytest.raises(errors.ArgumentError):
        _core.verify_bundle(data, b"short")
    for bad_path in (tmp_path / "none.ecl", tmp_path):
        with pytest.raises(errors.FileError, match="expected a readable bundle"):
            _core.Model(path=str(bad_path))
    with pytest.raises(errors.ArgumentError):
        _core.Model()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p.pop("name"), "the key 'name'"),
        (lambda p: p.update(extra=1), "'extra'"),
        (lambda p: p.update(tensors=3), "tensors"),
        (lambda p: p["tensors"][1].pop("channels"), r"tensors\[1\]"),
        (lambda p: p["tensors"][1].update(channels=-1), r"tensors\[1\].channels"),
        (lambda p: p["tensors"][1].update(channels="many"), r"tensors\[1\].channels"),
        (lambda p: p["ops"][0].update(kind="teleport"), r"ops\[0\].kind"),
        (lambda p: p["ops"][0].update(activation="tan"), r"ops\[0\].activation"),
        (lambda p: p["ops"][0].update(stride=(1, 2, 3)), r"ops\[0\].stride"),
        (lambda p: p["ops"][0].update(inputs=[None]), r"ops\[0\].inputs\[0\]"),
        (lambda p: p["ops"][0].update(inputs=[77]), "."),
        (lambda p: p["params"][0].update(values=[1.0]), r"params\[0\].values"),
        (lambda p: p["params"][0].update(values=np.zeros(3, np.float32)), r"params\[0\].values"),
        (lambda p: p["params"][0].update(values=np.zeros((12, 16))), "float64"),
        (lambda p: p["params"][0].update(dims=[0, 4]), r"params\[0\].dims"),
        (lambda p: p["input"].update(dtype="i4"), "input.dtype"),
        (lambda p: p["input"].update(mean="zero"), "input.mean"),
        (lambda p: p["recipe"].update(method="magic"), "recipe.method"),
        (lambda p: p["recipe"].update(trainable="some"), "recipe.trainable"),
        (lambda p: p.update(classes=[("a", 0)]), r"classes\[0\]"),
        (lambda p: p.update(logits_tensor=99), "."),
        (lambda p: p.update(parity={"n_rows": 1}), "max_abs"),
    ],
)
def test_malformed_plans_are_named(plan: Any, change: Any, message: str) -> None:
    broken = plan()
    change(broken)
    with pytest.raises(ValueError, match=message) as caught:
        _core.write_bundle(broken)
    assert "expected" in str(caught.value)


def test_writing_is_deterministic(make_bundle: Callable[..., bytes]) -> None:
    assert make_bundle(density=0.2) == make_bundle(density=0.2)


def test_notes_taps_and_a_signature(plan: Callable[..., dict[str, Any]]) -> None:
    source = {**plan(), "notes": "line 3, stra\u00dfe", "taps": [{"tensor": 1, "pooled": True}]}
    data = _core.write_bundle(source)
    info = _core.Model(data=data).describe()
    assert info["notes"] == "line 3, stra\u00dfe" and not info["is_signed"]
    assert _core.Model(data=_core.write_bundle(plan())).describe()["notes"] == ""
    signed = _core.attach_signature(data, b"s" * 64, b"k" * 16)
    described = _core.Model(data=signed).describe()
    assert described["is_signed"] and (described["digest"], described["notes"]) == (info["digest"], info["notes"])
    state = _session(data).state_export()
    _session(signed).state_import(state)
    for bad in ((data, b"s" * 63), (data, b"s" * 64, b"k"), (data[:-1], b"s" * 64)):
        with pytest.raises(ValueError, match="expected"):
            _core.attach_signature(*bad)
    for change in ({"notes": "a\0b"}, {"taps": [{"tensor": 99}]}, {"taps": [{"tensor": 1}, {"tensor": 1}]}):
        with pytest.raises(ValueError, match="expected"):
            _core.write_bundle({**source, **change})


def test_schedules_of_the_recipe_are_checked(plan: Callable[..., dict[str, Any]]) -> None:
    schedules = {
        "rate_schedule": "cosine",
        "rate_floor": 0.05,
        "removal_share": 0.3,
        "removal_stages": [1, 2, 31],
        "removal_score": "forgetting",
        "rehearse_steps": 5,
        "rehearse_interval": 100,
        "preset": "sparcl",
    }
    source = plan()
    source["recipe"] = {**source["recipe"], **schedules}
    _core.write_bundle(source)
    changes = ({"rate_schedule": "steep"}, {"rate_floor": 2.0}, {"removal_stages": [32]}, {"removal_stages": []})
    for change in (*changes, {"removal_score": "x"}, {"rehearse_interval": 0}):
        with pytest.raises(ValueError, match="expected"):
            _core.write_bundle({**source, "recipe": {**source["recipe"], **change}})
