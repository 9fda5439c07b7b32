# A learner of a bundle that carries a model file: the same as with embeddings handed in.
# Never here: the export (test_external_onnx.py, test_external_tflite.py).
from __future__ import annotations

import pickle
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra: engines)")

import edgecl
import edgecl.export as export
import onnxruntime
import torch
from edgecl import _core, errors
from edgecl.evaluate.testing import check_learner
from edgecl.external import check_probe
from external_models import DIM, Attention, sequences, write_onnx
from numpy.typing import NDArray

X, Y = sequences(60)
NEW, _ = sequences(30, seed=1)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    torch.manual_seed(3)
    path = write_onnx(Attention(), (6, 8), tmp_path_factory.mktemp("onnx") / "attention.onnx")
    recipe = export.Recipe(method="ridge", head_bank=100, novelty="rmds", head_merges=2, max_domains=0)
    return export.from_onnx(path, external=True, recipe=recipe).bundle


@pytest.fixture(scope="module")
def domains(bundle: bytes, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = write_onnx(Attention(), (6, 8), tmp_path_factory.mktemp("onnx") / "attention.onnx")
    recipe = export.Recipe(method="ridge", max_domains=3, novelty="fit", novelty_window=16)
    return export.from_onnx(path, external=True, recipe=recipe).bundle


def _by_hand(bundle: bytes, x: NDArray[Any]) -> NDArray[np.float32]:
    """Embeddings by onnxruntime itself."""
    file = edgecl.open_bundle(bundle).model.encoder_file()
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {session.get_inputs()[0].name: row[None]})[0] for row in x])


def test_every_verb_is_that_of_embeddings_handed_in(bundle: bytes) -> None:
    raw, ours = edgecl.Classifier(bundle, device=1), edgecl.Classifier(bundle, device=1)
    for learner, x, new in ((raw, X, NEW), (ours, _by_hand(bundle, X), _by_hand(bundle, NEW))):
        learner.partial_fit(x[:40], Y[:40])
        for row, label in zip(x[40:50], Y[40:50], strict=True):
            learner.learn_one(row, label)
        learner.unlearn(x[:3], Y[:3])
        learner.calibrate(new)
        learner.observe(new)
    assert raw.state_digest() == ours.state_digest()
    assert raw.to_bytes() == ours.to_bytes()
    e = _by_hand(bundle, NEW)
    for name in ("predict", "predict_proba", "logits", "embed", "score_samples", "decide"):
        assert np.array_equal(getattr(raw, name)(NEW), getattr(ours, name)(e)), name
    labels, decisions = raw.predict(NEW, return_decision=True)
    assert np.array_equal(labels, ours.predict(e)) and np.array_equal(decisions, ours.decide(e))
    assert raw.predict_one(NEW[0]) == ours.predict_one(e[0])
    assert raw.score(X, Y) == ours.score(_by_hand(bundle, X), Y) > 0.9
    assert raw.forget("bee") == ours.forget("bee")
    other = edgecl.Classifier(bundle, device=2).partial_fit(NEW, ["dog"] * len(NEW))
    raw.merge(other.delta())
    assert "dog" in raw.classes_


def test_domains_grow_from_raw_samples(domains: bytes) -> None:
    raw, ours = edgecl.Classifier(domains), edgecl.Classifier(domains)
    e = _by_hand(domains, X)
    assert raw.grow(X, Y)["domain"] == ours.grow(e, Y)["domain"] == "base"
    moved = X * 3 + 2
    first, second = raw.grow(moved, Y), ours.grow(_by_hand(domains, moved), Y)
    first.pop("seconds"), second.pop("seconds")
    assert str(first) == str(second) or first["domain"] == second["domain"]
    assert raw.state_digest() == ours.state_digest()
    assert np.array_equal(raw.route(NEW).fit, ours.route(_by_hand(domains, NEW)).fit)


def test_rows_do_not_depend_on_their_neighbours_or_threads(bundle: bytes) -> None:
    learner = edgecl.Classifier(bundle)
    alone = np.concatenate([learner.embed(row[None]) for row in NEW])
    assert np.array_equal(learner.embed(NEW), alone)
    assert np.array_equal(edgecl.Classifier(bundle, n_threads=2).embed(NEW), alone)


def test_states_and_copies(bundle: bytes, tmp_path: Path) -> None:
    learner = edgecl.Classifier(bundle).partial_fit(X, Y)
    learner.save(tmp_path / "s.ecs")
    again = edgecl.Classifier(bundle).load(tmp_path / "s.ecs")
    for other in (again, pickle.loads(pickle.dumps(learner)), learner.clone().fit(X, Y)):
        assert other.state_digest() == learner.state_digest()
        assert np.array_equal(other.predict(NEW), learner.predict(NEW))


def test_the_contract_of_a_learner(bundle: bytes) -> None:
    assert check_learner(lambda: edgecl.Classifier(bundle))


@pytest.mark.parametrize(
    ("x", "kind", "words"),
    [
        (np.zeros((2, 6, 7), np.float32), errors.ShapeError, r"\(n, 6, 8\).*or hand in embeddings of shape \(n, 16\)"),
        (np.zeros((2, DIM + 1), np.float32), errors.ShapeError, "is expecting 48 features"),
        (np.full((2, 6, 8), np.nan, np.float32), errors.NumericError, "finite"),
        (np.full((2, DIM), np.nan, np.float32), errors.NumericError, "finite"),
        (np.array([["a"] * 8] * 6)[None], errors.DtypeError, "expected numbers"),
    ],
)
def test_wrong_input_leaves_the_state(bundle: bytes, x: Any, kind: type[Exception], words: str) -> None:
    learner = edgecl.Classifier(bundle).partial_fit(X, Y)
    before = learner.state_digest()
    with pytest.raises(kind, match=words):
        learner.partial_fit(x, ["ant"] * len(x))
    assert learner.state_digest() == before


def test_flat_samples_and_embeddings_are_told_apart(bundle: bytes) -> None:
    learner = edgecl.Classifier(bundle)
    assert np.array_equal(learner.embed(X.reshape(60, 48)), learner.embed(X))
    assert learner.n_features_in_ == 48


def test_a_missing_engine(bundle: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    learner = edgecl.Classifier(bundle)
    with pytest.raises(errors.UnsupportedError, match=r"expected onnxruntime.*hand in embeddings") as caught:
        learner.partial_fit(X, Y)
    assert "pip install onnxruntime" in str(caught.value) and len(str(caught.value).splitlines()) == 1
    learner.partial_fit(np.random.default_rng(0).standard_normal((60, DIM)).astype(np.float32), Y)  # needs none
    assert set(learner.classes_) == set(Y)


def _with_probe(bundle: bytes, change: Any) -> bytes:
    """The same bundle with other outputs of the probe. They lie behind the record, mean and inv_std of 6 channels."""
    encoder = edgecl.open_bundle(bundle).encoder
    assert encoder is not None
    old = encoder["probe_outputs"].tobytes()
    assert bundle.count(old) == 1
    return _redigested(bundle.replace(old, change(encoder["probe_outputs"]).astype(np.float32).tobytes()))


def _redigested(bundle: bytes) -> bytes:
    import hashlib
    import struct

    data = bytearray(bundle)
    (n,) = struct.unpack_from("<I", data, 16)
    for i in range(n):
        at = 64 + 64 * i
        offset, size = struct.unpack_from("<QQ", data, at + 8)
        data[at + 24 : at + 56] = hashlib.sha256(data[offset : offset + size]).digest()
    data[32:64] = hashlib.sha256(data[64 : 64 + 64 * n]).digest()
    return bytes(data)


def test_the_probe_is_compared_at_the_first_use(bundle: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        edgecl.Classifier(bundle).embed(X)
    near = edgecl.Classifier(_with_probe(bundle, lambda p: p * np.float32(1.001)))
    with pytest.warns(UserWarning, match="the largest difference is .* of their spread") as told:
        near.embed(X)
    assert len(told) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        near.embed(X)  # told once
    far = edgecl.Classifier(_with_probe(bundle, lambda p: p[:, ::-1]))
    with pytest.raises(errors.BundleError, match="expected the embeddings of the probe as the export had them"):
        far.embed(X)


def test_bounds_of_the_probe() -> None:
    wanted = np.random.default_rng(0).standard_normal((4, 50)).astype(np.float32)
    assert check_probe(wanted, wanted.copy(), "engine") is None
    sentence = check_probe(wanted, wanted + np.float32(0.01), "engine")
    assert sentence is not None and "engine" in sentence
    for found in (wanted + np.float32(0.6), wanted * np.nan, wanted[::-1]):
        with pytest.raises(errors.BundleError):
            check_probe(wanted, found, "engine")


def test_a_damaged_file_is_told_by_the_engine(bundle: bytes) -> None:
    encoder = edgecl.open_bundle(bundle)
    file = encoder.model.encoder_file()
    with pytest.raises(errors.BundleError, match="sha256"):
        edgecl.open_bundle(bundle.replace(file[:64], bytes(64)))
    broken = edgecl.Classifier(_redigested(bundle.replace(file, bytes(len(file)))))
    with pytest.raises(errors.BundleError, match="expected an ONNX file that onnxruntime can run"):
        broken.embed(X)
    assert broken.embed(np.ones((1, DIM), np.float32)).shape == (1, DIM)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("engine", 3, "engine"),
        ("positions", 0, "positions"),
        ("n_probe", 0, "n_probe|probe_outputs"),
        ("scale", 0.0, "scale"),
        ("dims", [6, 8, 2], None),
        ("dims", [1] * 5, "1..4 dims"),
        ("file", b"", "bytes"),
        ("dtype", "i8", "'u8' or 'f32'"),
        ("more", 1, "keys among"),
    ],
)
def test_the_writer_refuses_broken_records(field: str, value: Any, words: str | None) -> None:
    record = {
        "engine": 1, "dtype": "f32", "dims": [6, 8], "channels_last": False, "file_channels_last": False,
        "positions": 1, "scale": 1.0, "mean": np.zeros(6, np.float32), "inv_std": np.ones(6, np.float32), "n_probe": 1,
        "probe_outputs": np.zeros((1, 4), np.float32), "file": b"anything",
    }  # fmt: skip
    plan = _plan(4)
    assert _core.Model(data=_core.write_bundle({**plan, "encoder": record})).encoder() is not None
    changed = {**plan, "encoder": {**record, field: value}}
    if words is None:
        assert _core.write_bundle(changed)
        return
    with pytest.raises(ValueError, match=words):
        _core.write_bundle(changed)


def _plan(dim: int) -> dict[str, Any]:
    kept: list[dict[str, Any]] = []
    writer = _core.write_bundle
    try:
        _core.write_bundle = lambda plan: kept.append(plan) or writer(plan)  # type: ignore[assignment,func-returns-value]
        export.from_embeddings(dim)
    finally:
        _core.write_bundle = writer
    return kept[-1]
