# What may be a label, its one identity, and its way through learning, saving and loading.
# Never here: scikit-learn's and river's own checks (test_scikit_learn.py, test_river.py).
"""Tests of edgecl.labels and of labels in a Classifier."""

from __future__ import annotations

import enum
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import edgecl
import numpy as np
import pytest
from edgecl import errors
from edgecl.labels import BOOL, INTEGER, REAL, TEXT, UNKNOWN, LabelTable, label_array, label_keys


def _tensor(values: Any) -> Any:
    return pytest.importorskip("torch").tensor(values)


@pytest.mark.parametrize(
    ("labels", "keys", "kind"),
    [
        ([3, 1, 2], [3, 1, 2], INTEGER),
        (np.array([3, 1], np.uint8), [3, 1], INTEGER),
        (np.array([1.0, -2.0]), [1, -2], REAL),
        ([True, False], [1, 0], BOOL),
        (np.array([True]), [1], BOOL),
        ([1, True, 2.0], [1, 1, 2], REAL),
        (["b", "a"], ["b", "a"], TEXT),
        (np.array(["b", "ab"]), ["b", "ab"], TEXT),
        (np.array([1, np.int64(2)], dtype=object), [1, 2], INTEGER),
        ([np.str_("x"), "y"], ["x", "y"], TEXT),
        ((1, 2), [1, 2], INTEGER),
        ([], [], UNKNOWN),
    ],
)
def test_what_labels_are(labels: Any, keys: list[Any], kind: int) -> None:
    assert label_keys(labels) == (keys, kind)


def test_tensors_series_and_columns() -> None:
    assert label_keys(_tensor([2, 1])) == ([2, 1], INTEGER)
    assert label_keys([_tensor(2), _tensor(1)]) == ([2, 1], INTEGER)
    assert label_keys(_tensor([0.0, 1.0]).requires_grad_()) == ([0, 1], REAL)
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    assert label_keys(pandas.Series([2, 1])) == ([2, 1], INTEGER)
    assert label_keys(pandas.Series(["a", "b"], dtype="category")) == (["a", "b"], TEXT)
    assert label_keys(pandas.Series([1, 2], dtype="Int64")) == ([1, 2], INTEGER)
    with pytest.warns(UserWarning, match="column-vector"):
        assert label_keys(np.array([[2], [1]])) == ([2, 1], INTEGER)


@pytest.mark.parametrize(
    ("labels", "saying"),
    [
        ([1, None], "row 1; found none"),
        ([1, float("nan")], "NaN"),
        (np.array([0.5, 1]), "continuous"),
        (np.array(["2020-01-01", "NaT"], "datetime64[D]"), "datetime64"),
        ([b"a"], "bytes"),
        ([(1, 2)], "tuple"),
        ([1, "a"], "text beside numbers"),
        ([""], "not empty"),
        (["a\0b"], "without NUL"),
        (["\ud800"], "valid text"),
        (["x" * 64], "at most 63 bytes"),
        ([2**70], "64 bits"),
        ("abc", "str"),
        ({"a": 1}, "dict"),
        (3, "list or an array"),
        (np.array([1 + 2j]), "complex"),
    ],
)
def test_what_is_no_label(make_bundle: Callable[..., bytes], blobs: Any, labels: Any, saying: str) -> None:
    with pytest.raises(errors.ArgumentError, match=saying):
        label_keys(labels)
    learner = edgecl.Classifier(make_bundle())
    before = learner.state_digest()
    with pytest.raises(errors.ArgumentError):
        learner.partial_fit(blobs.x[: len(labels) if isinstance(labels, list | np.ndarray) else 1], labels)
    assert learner.state_digest() == before and len(learner.classes_) == 0


def test_missing_values_and_frames_of_pandas() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    for missing in (pandas.array([1, None], dtype="Int64"), pandas.Series([1, pandas.NaT], dtype=object)):
        with pytest.raises(errors.ArgumentError, match="drop the rows"):
            label_keys(missing)
    with pytest.raises(errors.ArgumentError, match="DataFrame"):
        label_keys(pandas.DataFrame({"label": [3]}))


def test_shapes() -> None:
    with pytest.raises(errors.ShapeError, match="expected 3 labels"):
        label_keys([1, 2], 3)
    with pytest.raises(errors.ShapeError, match="shape"):
        label_keys(np.zeros((2, 2), int))


def test_one_identity_a_value(make_bundle: Callable[..., bytes], blobs: Any) -> None:
    learner = edgecl.Classifier(make_bundle())
    learner.partial_fit(blobs.x, blobs.y > 0)
    assert learner.classes_.dtype == bool and learner.classes_.tolist() == [False, True]
    assert learner.predict(blobs.x).dtype == bool
    learner.partial_fit(blobs.x, blobs.y)
    assert learner.classes_.dtype == np.int64 and learner.classes_.tolist() == [0, 1, 2]
    learner.partial_fit(blobs.x, blobs.y.astype(float))
    assert learner.classes_.dtype == np.float64 and learner.classes_.tolist() == [0.0, 1.0, 2.0]
    learner.partial_fit(blobs.x, blobs.y)  # what was seen as real numbers stays so
    assert learner.classes_.dtype == np.float64
    learner.forget(1)
    assert 1 not in learner.predict(blobs.x).tolist()
    before = learner.state_digest()
    with pytest.raises(errors.ArgumentError, match=r"as the labels known already \(0.0, 2.0, ...\)"):
        learner.partial_fit(blobs.x, blobs.y.astype(str))
    assert learner.state_digest() == before


@pytest.mark.parametrize(
    "labels", [["b", "a", "c"], [30, -10, 20], [True, False, True], [2.0, 1.0, 7.0], ["9", "10", "x"]]
)
def test_the_kind_survives(make_bundle: Callable[..., bytes], blobs: Any, labels: list[Any], tmp_path: Path) -> None:
    learner = edgecl.Classifier(make_bundle())
    y = [labels[k] for k in blobs.y]
    for _ in range(8):
        learner.partial_fit(blobs.x, y)
    expected = np.unique(np.array(y))
    learner.save(tmp_path / "state.ecs")
    loaded = edgecl.Classifier(make_bundle()).load(tmp_path / "state.ecs")
    for each in (learner, loaded, pickle.loads(pickle.dumps(learner)), pickle.loads(pickle.dumps(loaded))):
        assert each.classes_.dtype == expected.dtype and each.classes_.tolist() == expected.tolist()
        assert each.score(blobs.x, y) > 0.95 and each.predict(blobs.x).dtype == expected.dtype
        assert type(each.predict_one(blobs.x[0])) is type(labels[0])
        assert each.predict_one(blobs.x[0]) in labels
        assert list(each.predict_proba_one(blobs.x[0])) == expected.tolist()


def test_columns_are_sorted_whatever_came_first(make_bundle: Callable[..., bytes], blobs: Any) -> None:
    data = make_bundle()
    y = np.array(["zebra", "ant", "mole"])[blobs.y]
    learner = edgecl.Classifier(data)
    for _ in range(8):
        learner.partial_fit(blobs.x, y)
    assert learner.classes_.tolist() == ["ant", "mole", "zebra"]
    for scores in (learner.predict_proba(blobs.x), learner.logits(blobs.x), learner.decision_function(blobs.x)):
        assert (learner.classes_[scores.argmax(axis=1)] == learner.predict(blobs.x)).all()
    assert np.allclose(np.exp(learner.predict_log_proba(blobs.x)), learner.predict_proba(blobs.x))
    learner.forget("mole")
    two = learner.decision_function(blobs.x)
    assert two.shape == (60,) and ((two > 0) == (learner.predict(blobs.x) == "zebra")).all()


def test_shipped_classes_take_the_kind_of_the_user(make_bundle: Callable[..., bytes], blobs: Any) -> None:
    shipped = make_bundle(classes=("0", "1"))
    assert edgecl.Classifier(shipped).classes_.tolist() == [0, 1]
    learner = edgecl.Classifier(shipped).partial_fit(blobs.x, blobs.y)
    assert learner.classes_.tolist() == [0, 1, 2]
    text = edgecl.Classifier(shipped).partial_fit(blobs.x[:2], ["1", "0"])
    assert text.classes_.tolist() == ["0", "1"]
    beyond = edgecl.Classifier(make_bundle(classes=("0", "9999999999999999999")))  # more than 64 bits hold
    assert beyond.classes_.tolist() == ["0", "9999999999999999999"]
    named = edgecl.Classifier(make_bundle(classes=("0", "cat")))
    assert named.classes_.tolist() == ["0", "cat"]
    with pytest.raises(errors.ArgumentError, match="expected text"):
        named.partial_fit(blobs.x, blobs.y)


def test_labels_that_float64_has_not_stay_integers(make_bundle: Callable[..., bytes], blobs: Any) -> None:
    learner = edgecl.Classifier(make_bundle()).partial_fit(blobs.x[:2], [2**53, 2**53 + 1])
    learner.partial_fit(blobs.x[:1], [1.0])
    assert learner.classes_.tolist() == [1, 2**53, 2**53 + 1] and len(learner.predict_proba_one(blobs.x[0])) == 3


class Fruit(str, enum.Enum):
    """Texts with names."""

    apple = "APPLE"
    pear = "PEAR"


def test_enumerations_count_as_their_values(make_bundle: Callable[..., bytes], blobs: Any) -> None:
    learner = edgecl.Classifier(make_bundle()).partial_fit(blobs.x[:2], [Fruit.pear, Fruit.apple])
    assert learner.classes_.tolist() == ["APPLE", "PEAR"] and learner.predict_one(blobs.x[0]) in list(Fruit)


def test_gaps_and_other_odd_arrays(make_bundle: Callable[..., bytes], blobs: Any) -> None:
    learner = edgecl.Classifier(make_bundle()).partial_fit(blobs.x, blobs.y)
    before = learner.state_digest()
    gap = np.ma.masked_array(blobs.x, mask=blobs.x > 1)
    huge: Any = [[10**400] * 12]
    for call in (
        lambda: learner.partial_fit(gap, blobs.y),
        lambda: learner.partial_fit(blobs.x, np.ma.masked_array(blobs.y, mask=blobs.y == 1)),
        lambda: learner.predict(huge),
        lambda: learner.learn_one(dict.fromkeys(map(str, range(12)), 10**400), 1),
        lambda: learner.partial_fit(blobs.x[:1], [1], sample_weight=[10**400]),
        lambda: edgecl.Classifier(make_bundle(), class_weight={"3": 5}).partial_fit(blobs.x, blobs.y),
    ):
        with pytest.raises(errors.Error, match="expected"):
            call()
    assert learner.state_digest() == before
    assert learner.predict(_tensor(blobs.x).requires_grad_()).shape == (60,)


def test_loaded_class_weights_must_agree(make_bundle: Callable[..., bytes], blobs: Any, tmp_path: Path) -> None:
    data = make_bundle()
    learner = edgecl.Classifier(data, class_weight={1: 2.0}).partial_fit(blobs.x, blobs.y)
    learner.save(tmp_path / "s.ecs")
    for same in (None, {1: 2.0}, {1: 2.0, 5: 9.0}):
        assert (
            edgecl.Classifier(data, class_weight=same).load(tmp_path / "s.ecs").state_digest() == learner.state_digest()
        )
    with pytest.raises(errors.StateError, match="class_weight 50 of 1"):
        edgecl.Classifier(data, class_weight={1: 50.0}).load(tmp_path / "s.ecs")


def test_declared_classes_exist_from_the_first_step(make_bundle: Callable[..., bytes], blobs: Any) -> None:
    data = make_bundle()
    learner = edgecl.Classifier(data)
    learner.partial_fit(blobs.x[:10], np.zeros(10, int), classes=[2, 0, 1])
    assert learner.classes_.tolist() == [0, 1, 2] and learner.predict_proba(blobs.x).shape == (60, 3)
    learner.partial_fit(blobs.x, blobs.y, classes=np.array([0, 1, 2]))
    before = learner.state_digest()
    with pytest.raises(errors.ArgumentError, match="classes="):
        learner.partial_fit(blobs.x, blobs.y, classes=[0, 1])
    with pytest.raises(errors.NumericError):
        learner.partial_fit(blobs.x * np.nan, blobs.y, classes=[0, 1, 2, 3])
    assert learner.state_digest() == before and len(learner.classes_) == 3


def test_weights_of_rows_and_classes(make_bundle: Callable[..., bytes], blobs: Any) -> None:
    data = make_bundle()
    plain = edgecl.Classifier(data).partial_fit(blobs.x, blobs.y).state_digest()
    ones = edgecl.Classifier(data).partial_fit(blobs.x, blobs.y, sample_weight=np.ones(60))
    assert ones.state_digest() == plain
    learner = edgecl.Classifier(data, replay_capacity=0, method="finetune")
    learner.partial_fit(blobs.x, blobs.y, sample_weight=np.zeros(60))
    untouched = learner.logits(blobs.x)
    learner.partial_fit(blobs.x, blobs.y, sample_weight=np.zeros(60))
    assert (learner.logits(blobs.x) == untouched).all() and learner.stats()["samples_learned"] == 120
    weighted = edgecl.Classifier(data, class_weight={0: 2.0, 2: 0.5}).partial_fit(blobs.x, blobs.y)
    assert weighted.state_digest() != plain
    for wrong in ([1.0], [-1.0] * 60, [np.nan] * 60, ["a"] * 60):
        with pytest.raises((errors.ArgumentError, errors.ShapeError)):
            learner.partial_fit(blobs.x, blobs.y, sample_weight=wrong)
    with pytest.raises(errors.ArgumentError, match="partial_fit"):
        edgecl.Classifier(data, class_weight="balanced").partial_fit(blobs.x, blobs.y)
    balanced = edgecl.Classifier(data, class_weight="balanced").fit(blobs.x, blobs.y)
    assert balanced.state_digest() == plain  # as many rows of each class
    with pytest.raises(errors.ArgumentError, match="class_weight"):
        edgecl.Classifier(data, class_weight=3).partial_fit(blobs.x, blobs.y)  # type: ignore[arg-type]


def test_score_refuses_what_it_cannot_average(make_bundle: Callable[..., bytes], blobs: Any) -> None:
    learner = edgecl.Classifier(make_bundle()).partial_fit(blobs.x, blobs.y)
    assert learner.score(blobs.x, np.full(60, 99)) == 0
    for x, y, weight in ((blobs.x[:0], [], None), (blobs.x, blobs.y, [1]), (blobs.x, blobs.y, np.zeros(60))):
        with pytest.raises((errors.ShapeError, errors.ArgumentError)):
            learner.score(x, y, sample_weight=weight)


def test_label_table() -> None:
    records = [{"name": "7", "label": 1, "present": True}, {"name": "-3", "label": 0, "present": True}]
    table = LabelTable.from_classes(records, UNKNOWN)
    assert table.keys == [-3, 7] and table.codes == [0, 1] and table.label(1) == 7
    assert table.widened(TEXT).keys == ["-3", "7"] and table.widened(REAL).classes.dtype == np.float64
    odd = LabelTable.from_classes([{"name": "07", "label": 0, "present": True}], UNKNOWN)
    assert odd.kind == TEXT and odd.keys == ["07"]
    assert label_array([2, 1], INTEGER).dtype == np.int64
    assert label_array([], UNKNOWN).shape == (0,)


def test_loading_goes_on_as_it_learned(make_bundle: Callable[..., bytes], blobs: Any, tmp_path: Path) -> None:
    data = make_bundle()
    learner = edgecl.Classifier(data, method="er_ace", learning_rate=0.07, random_state=5, batch_size=7, max_classes=4)
    learner.partial_fit(blobs.x[:30], blobs.y[:30])
    learner.save(tmp_path / "s.ecs")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        other = edgecl.Classifier(data).load(tmp_path / "s.ecs")
    config = other.config()
    assert (config["method"], config["seed"], config["max_batch"], config["max_classes"]) == ("er_ace", 5, 7, 4)
    assert config["learning_rate"] == np.float32(0.07)
    for each in (learner, other, pickle.loads(pickle.dumps(other))):
        each.partial_fit(blobs.x[30:], blobs.y[30:])
        assert each.state_digest() == learner.state_digest()

    before = other.state_digest()
    for wrong in ({"method": "derpp"}, {"max_classes": 5}, {"replay_capacity": 3}, {"momentum": 0.5}):
        third = edgecl.Classifier(data, **wrong).partial_fit(blobs.x, blobs.y)
        digest = third.state_digest()
        with pytest.raises(errors.StateError, match=f"{next(iter(wrong))}="):
            third.load(tmp_path / "s.ecs")
        assert third.state_digest() == digest
    assert other.state_digest() == before
    with pytest.warns(UserWarning, match="learning_rate=0.5.*goes on with 0.5"):
        assert edgecl.Classifier(data, learning_rate=0.5).load(tmp_path / "s.ecs").config()["learning_rate"] == 0.5
    with pytest.warns(UserWarning, match="random_state=9.*goes on with 5"):
        assert edgecl.Classifier(data, random_state=9).load(tmp_path / "s.ecs").config()["seed"] == 5
    with pytest.warns(UserWarning, match="batch_size=3.*goes on with 3"):
        assert edgecl.Classifier(data, batch_size=3).load(tmp_path / "s.ecs").config()["max_batch"] == 3
    same = edgecl.Classifier(data, method="er-ace", max_classes=4, learning_rate=0.07).load(tmp_path / "s.ecs")
    assert same.config()["method"] == "er_ace"
