# Running streams: order, batches, evaluation, the document of results.
# Never here: data sets by name, the command line.
"""Tests of edgecl.evaluate.experiment."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import edgecl
import numpy as np
import pytest
from edgecl import _core, errors
from edgecl.evaluate import metrics
from edgecl.evaluate.experiment import evaluate, run_stream, task_intervals, task_order
from edgecl.evaluate.stream_types import InputSpec, Stream, Task


def _stream(n_classes: int = 4, per_task: int = 2, rows: int = 43, names: tuple[str, ...] | None = None) -> Stream:
    rng = np.random.default_rng(1)
    centres = 2 * rng.standard_normal((n_classes, 12))

    def samples(classes: range, n: int) -> tuple[Any, Any]:
        y = rng.permutation(np.resize(np.array(classes), n))
        return (centres[y] + 0.3 * rng.standard_normal((n, 12))).astype(np.float32), y.astype(np.int64)

    tasks = []
    for first in range(0, n_classes, per_task):
        classes = range(first, first + per_task)
        tasks.append(Task(f"classes {first}..", *samples(classes, rows), *samples(classes, 30)))
    spec = InputSpec("f32", (12,), 1.0, (0.0,), (1.0,))
    return Stream("blobs", "class-incremental", tuple(tasks), spec, names or tuple("abcdefgh"[:n_classes]))


def test_document(make_bundle: Callable[..., bytes]) -> None:
    stream = _stream()
    calls: list[tuple[str, int, int]] = []
    learner = edgecl.Classifier(make_bundle(density=0.5))
    result = run_stream(learner, stream, epochs=3, progress=lambda *a: calls.append(a))
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert (
        result["steps"] == 2 * 3 * 10 and result["samples"] == 240
    )  # 43 rows are 10 batches of 4; 3 rows are left out
    assert result["average_accuracy"] > 0.8 and result["task_il_accuracy"] >= result["average_accuracy"]
    matrix = np.array([[np.nan if v is None else v for v in row] for row in result["accuracy_matrix"]])
    assert np.isnan(matrix[0, 1]) and result["per_task"] == matrix[-1].tolist()
    assert result["forgetting"] == metrics.forgetting(matrix) == -result["backward_transfer"]
    assert (
        result["state_sha256"] == learner.state_digest() and result["bundle_sha256"] == learner.bundle_info()["digest"]
    )
    assert 0 < result["train_macs"] < result["train_macs_dense"]
    for whole, parts in (
        ("train_macs", "task_macs"),
        ("train_macs_paper", "task_macs_paper"),
        ("seconds", "task_seconds"),
    ):
        assert len(result[parts]) == 2 and np.isclose(sum(result[parts]), result[whole], rtol=1e-12)
    assert result["peak_bytes"] == learner.sizes()["arena_bytes"]
    assert learner.classes_.tolist() == sorted(learner.classes_.tolist(), key=lambda c: c > "b")
    assert learner.stats()["tasks"] == 2
    assert calls[0][0].startswith("learn") and all(0 < done <= total for _, done, total in calls)


def test_seed_decides_all(make_bundle: Callable[..., bytes]) -> None:
    def run(seed: int, threads: int = 1) -> str:
        learner = edgecl.Classifier(make_bundle(), random_state=seed, n_threads=threads)
        return str(run_stream(learner, _stream(), seed=seed)["state_sha256"])

    assert run(0) == run(0) == run(0, threads=2) != run(1)


def test_incomplete_batches(make_bundle: Callable[..., bytes]) -> None:
    kept = run_stream(edgecl.Classifier(make_bundle()), _stream(), drop_last=False)
    assert kept["steps"] == 2 * 11 and kept["samples"] == 86
    order = task_order(43, 4, 0, 0, 0, drop_last=True)
    assert len(order) == 40 == len(set(order.tolist()))
    assert (order == task_order(43, 4, 0, 0, 0, drop_last=False)[:40]).all()
    assert (order != task_order(43, 4, 0, 0, 1, drop_last=True)).any()
    assert len(task_order(3, 4, 0, 0, 0, drop_last=True)) == 3  # never nothing


def test_finetuning_forgets_and_replay_does_not(make_bundle: Callable[..., bytes]) -> None:
    stream = _stream(n_classes=6, rows=200)
    plain = run_stream(edgecl.Classifier(make_bundle(), method="finetune"), stream, epochs=8)
    replay = run_stream(edgecl.Classifier(make_bundle(), method="er"), stream, epochs=8)
    assert plain["forgetting"] > replay["forgetting"] + 0.1
    assert replay["average_accuracy"] > plain["average_accuracy"] + 0.1


@pytest.mark.parametrize("kind", ["linear", "cosine"])
def test_rate_falls_in_a_task_and_is_warm_again_in_the_next(kind: str, make_bundle: Callable[..., bytes]) -> None:
    """The same weights as learning each stretch by hand at its rate."""
    stream = _stream(rows=203)
    learner = edgecl.Classifier(make_bundle(), learning_rate=0.2, rate_schedule=kind, rate_floor=0.05)
    result = run_stream(learner, stream, epochs=2)
    assert result["rate_schedule"] == kind and result["config"]["learning_rate"] == np.float32(0.2)
    assert learner.learning_rate == 0.2

    by_hand = edgecl.Classifier(make_bundle(), learning_rate=0.2, rate_schedule=kind, rate_floor=0.05)
    config, labels, batch = by_hand.config(), np.array(stream.class_names), 4
    steps = 203 // batch  # a pass; 2 steps make one of its 24 stairs
    for t, task in enumerate(stream.tasks):
        for epoch in range(2):
            order = task_order(203, batch, 0, t, epoch, drop_last=True)
            for first in range(0, steps, 2):
                by_hand.set_params(learning_rate=edgecl.schedule_rate(config, (epoch + first / steps) / 2))
                rows = order[first * batch : (first + 2) * batch]
                by_hand.partial_fit(task.x_train[rows], labels[task.y_train[rows]])
        by_hand.begin_task()
    by_hand.set_params(learning_rate=0.2)
    assert by_hand.state_digest() == learner.state_digest()


def test_rate_is_whole_again_after_a_refused_step(make_bundle: Callable[..., bytes]) -> None:
    stream = _stream(rows=203)
    stream.tasks[1].x_train[150] = np.nan
    learner = edgecl.Classifier(make_bundle(), learning_rate=0.2, rate_schedule="linear")
    with pytest.raises(errors.Error):
        run_stream(learner, stream)
    assert learner.config()["learning_rate"] == np.float32(0.2) and learner.learning_rate == 0.2


def test_rates() -> None:
    recipe = {"learning_rate": 2.0, "batch_size": 1, "rate_floor": 0.05}
    for kind, middle, end in (("constant", 2.0, 2.0), ("linear", 1.0, 0.1), ("cosine", 1.05, 0.1)):
        config = {**recipe, "rate_schedule": kind}
        assert np.allclose([edgecl.schedule_rate(config, x) for x in (-1, 0, 0.5, 1, 7)], [2.0, 2.0, middle, end, end])
    with pytest.raises(errors.ArgumentError, match="'linear', 'cosine' for 'rate_schedule'; found 'warm'"):
        edgecl.schedule_rate({**recipe, "rate_schedule": "warm"}, 0)
    with pytest.raises(errors.ArgumentError, match=r"expected rate_floor in .*; found"):
        edgecl.schedule_rate({**recipe, "rate_floor": 2.0}, 0)


def test_rehearsals_come_when_the_recipe_says(make_bundle: Callable[..., bytes]) -> None:
    """The same state as rehearsing by hand after every seventh step of a task."""
    stream = _stream(rows=203)
    options = {"method": "fpf", "rehearse_steps": 3, "rehearse_interval": 7}
    learner, by_hand = (edgecl.Classifier(make_bundle(), **options) for _ in range(2))  # type: ignore[arg-type]
    result = run_stream(learner, stream)
    labels, n = np.array(stream.class_names), 0
    for t, task in enumerate(stream.tasks):
        order = task_order(203, 4, 0, t, 0, drop_last=True)
        for step in range(50):
            rows = order[4 * step : 4 * step + 4]
            by_hand.partial_fit(task.x_train[rows], labels[task.y_train[rows]])
            if (step + 1) % 7 == 0:
                n += by_hand.rehearse(3)["done"]
        by_hand.begin_task()
    assert by_hand.state_digest() == learner.state_digest() == result["state_sha256"]
    assert n == 3 * result["rehearsals"] == 3 * 14


def test_intervals_that_fit_a_task(make_bundle: Callable[..., bytes]) -> None:
    moving = edgecl.Classifier(make_bundle(density=0.5), method="sparcl-er", structure_inter=0.0).config()
    assert task_intervals(moving, 1200) == {"structure_interval": 120}
    assert task_intervals(edgecl.Classifier(make_bundle(), method="fpf").config(), 1200) == {"rehearse_interval": 600}
    assert task_intervals(edgecl.Classifier(make_bundle(), method="er").config(), 1200) == {}


DRAWS = {"finetune": 0, "er": 1, "derpp": 2, "er_ace": 1, "uer": 1, "fpf": 0}


@pytest.mark.parametrize("method", DRAWS)
def test_a_step_replays_as_many_draws_as_said(method: str, make_bundle: Callable[..., bytes]) -> None:
    stream = _stream(rows=43)
    learner = edgecl.Classifier(make_bundle(), method=method, batch_size=4, replay_batch=3, replay_capacity=20)
    learner.partial_fit(stream.tasks[0].x_train[:40], np.array(stream.class_names)[stream.tasks[0].y_train[:40]])
    session = learner._open().session
    assert session is not None
    report = session.learn(stream.tasks[0].x_train[:4], np.zeros(4, np.int32))
    assert report["n_replayed"] == _core.replay_rows(learner.config()) == 3 * DRAWS[method]


def test_too_many_classes_is_said_before_learning(make_bundle: Callable[..., bytes]) -> None:
    learner = edgecl.Classifier(make_bundle(), max_classes=3)
    with pytest.raises(errors.CapacityError, match="room for 4 new classes"):
        run_stream(learner, _stream())
    assert learner.stats()["steps"] == 0
    with pytest.raises(errors.ArgumentError):
        run_stream(learner, _stream(), epochs=0)


def test_labels_fall_back_to_numbers_when_names_repeat(make_bundle: Callable[..., bytes]) -> None:
    learner = edgecl.Classifier(make_bundle())
    run_stream(learner, _stream(names=("same", "same", "x", "y")))
    assert sorted(learner.classes_.tolist()) == [0, 1, 2, 3]


def test_evaluate_is_score(make_bundle: Callable[..., bytes]) -> None:
    stream = _stream()
    learner = edgecl.Classifier(make_bundle())
    labels = np.array(stream.class_names)
    task = stream.tasks[0]
    learner.partial_fit(task.x_train, labels[task.y_train])
    assert evaluate(learner, task, labels).class_il == learner.score(task.x_test, labels[task.y_test])
    unseen = evaluate(learner, stream.tasks[1], labels)
    assert unseen.class_il == unseen.task_il == 0.0
