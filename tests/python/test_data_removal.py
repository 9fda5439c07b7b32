# Data removal: the table, its schedule, and streams learned with it.
# Never here: the rule's details (tests/runtime/learn_removal.cpp).
"""Tests of edgecl.DataRemoval, edgecl.data_removal and their part in run_stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import edgecl
import numpy as np
import pytest
from edgecl import errors
from edgecl.data_removal import TaskRows
from edgecl.evaluate.experiment import run_stream, task_order
from edgecl.evaluate.stream_types import InputSpec, Stream, Task

N, BATCH = 64, 4


def _stream() -> Stream:
    rng = np.random.default_rng(2)
    centres = 0.8 * rng.standard_normal((4, 12))

    def samples(classes: range, n: int) -> tuple[Any, Any]:
        y = rng.permutation(np.resize(np.array(classes), n))
        return (centres[y] + rng.standard_normal((n, 12))).astype(np.float32), y.astype(np.int64)

    tasks = tuple(
        Task(f"task {t}", *samples(range(2 * t, 2 * t + 2), N), *samples(range(2 * t, 2 * t + 2), 20)) for t in range(2)
    )
    return Stream("noisy", "class-incremental", tasks, InputSpec("f32", (12,), 1.0, (0.0,), (1.0,)), tuple("abcd"))


@pytest.mark.parametrize("score", ["misclassified", "forgetting"])
def test_a_stream_is_learned_as_a_plain_loop_would(make_bundle: Callable[..., bytes], score: str) -> None:
    stream = _stream()
    learner = edgecl.Classifier(make_bundle(), removal_share=0.3, removal_stages=(1, 2, 3), removal_score=score)
    result = run_stream(learner, stream, epochs=5, seed=3)

    plain = edgecl.Classifier(make_bundle())
    names = np.array(list("abcd"))
    learned = 0
    for t, task in enumerate(stream.tasks):
        kept = list(range(N))
        for epoch in range(5):
            order = [kept[i] for i in task_order(len(kept), BATCH, 3, t, epoch, True)]
            seen: dict[int, tuple[bool, float]] = {}
            if epoch == 0 or score == "misclassified":
                history: dict[int, list[tuple[bool, float]]] = {i: [] for i in kept}
            for begin in range(0, len(order), BATCH):
                rows = order[begin : begin + BATCH]
                correct, loss = plain.partial_fit_rows(task.x_train[rows], names[task.y_train[rows]])
                seen.update({row: (bool(c), float(v)) for row, c, v in zip(rows, correct, loss, strict=True)})
            learned += len(order)
            if epoch + 1 in (1, 2, 3):
                history = {i: [seen[i]] if i in seen else [] for i in kept}

                def key(i: int, history: dict[int, list[tuple[bool, float]]] = history) -> tuple[int, float, int]:
                    # One presentation a stage: it was wrong or not, and nothing was forgotten within it.
                    if not history[i]:
                        return 65535, 0.0, i
                    right, loss = history[i][0]
                    wrong = int(not right) if score == "misclassified" else (0 if right else 65535)
                    return wrong, loss, i

                removed = sorted(kept, key=key)[: int(0.3 * N / 3)]
                kept = [i for i in kept if i not in removed]
        plain.begin_task()
    # The states differ in their recipes, so weights and buffer are compared.
    weights = plain._open().session.parameters()
    assert all((weights[name] == values).all() for name, values in learner._open().session.parameters().items())
    assert result["samples"] == learned == 2 * 5 * N - result["removal"]["samples_skipped"]
    assert result["removal"] == {
        "share": pytest.approx(0.3),
        "stages": [1, 2, 3],
        "score": score,
        "examples_removed": 2 * 18,
        "samples_skipped": 2 * 5 * N - learned,
    }
    assert result["train_macs"] < run_stream(edgecl.Classifier(make_bundle()), stream, epochs=5, seed=3)["train_macs"]


def test_no_removal_changes_nothing(make_bundle: Callable[..., bytes]) -> None:
    learned = set()
    # A share below one example a stage; stages without an epoch after them.
    for options in (
        {},
        {"removal_share": 0.005, "removal_stages": [1]},
        {"removal_share": 0.9, "removal_stages": [5, 9]},
    ):
        learner = edgecl.Classifier(make_bundle(), **options)  # type: ignore[arg-type]
        result = run_stream(learner, _stream(), epochs=5)
        assert result["removal"]["examples_removed"] == result["removal"]["samples_skipped"] == 0
        assert result["removal"]["stages"] == []
        learned.add(b"".join(values.tobytes() for values in learner._open().session.parameters().values()))
    assert len(learned) == 1


def test_stages_come_where_epochs_allow(make_bundle: Callable[..., bytes]) -> None:
    for epochs, stages in ((1, []), (2, [1]), (3, [1, 2]), (6, [1, 2, 3])):
        learner = edgecl.Classifier(make_bundle(density=0.5), method="sparcl-er", structure_inter=0.0)
        removal = run_stream(learner, _stream(), epochs=epochs)["removal"]
        assert removal["stages"] == stages and removal["examples_removed"] == 2 * 6 * len(stages)


@pytest.mark.parametrize(
    "options",
    [
        {"removal_share": 1.0},
        {"removal_share": -0.1},
        {"removal_share": float("nan")},
        {"removal_share": 0.3, "removal_stages": ()},
        {"removal_share": 0.3, "removal_stages": (0, 1)},
        {"removal_share": 0.3, "removal_stages": (1, 32)},
        {"removal_share": 0.3, "removal_stages": 4},
        {"removal_share": 0.3, "removal_stages": (1,), "removal_score": "luck"},
    ],
)
def test_bad_schedules(make_bundle: Callable[..., bytes], options: dict[str, Any]) -> None:
    with pytest.raises(errors.ArgumentError, match=r"expected .*; found .*;"):
        run_stream(edgecl.Classifier(make_bundle(), **options), _stream(), epochs=4)


def test_rows_of_a_task() -> None:
    recipe = {"learning_rate": 0.1, "batch_size": 1, "removal_score": "misclassified"}
    rows = TaskRows({**recipe, "removal_share": 0.5, "removal_stages": [1, 2]}, 8, epochs=3)
    assert rows.watches and rows.stages == [1, 2]
    rows.record(np.arange(8), np.array([1, 1, 1, 0, 0, 0, 0, 1], bool), np.arange(8, dtype=np.float32))
    rows.end_epoch(1)
    assert rows.kept.tolist() == [2, 3, 4, 5, 6, 7]
    rows.record(rows.kept, np.ones(6, bool), -np.arange(6, dtype=np.float32))
    rows.end_epoch(2)
    assert rows.kept.tolist() == [2, 3, 4, 5] and not rows.watches


def test_table_refuses_bad_input() -> None:
    table = edgecl.DataRemoval(4)
    ok, loss = np.ones(1, bool), np.zeros(1, np.float32)
    for ids in ([4], [-1], [2**32], [2**40 + 1]):
        with pytest.raises(errors.ArgumentError, match="ids of kept examples"):
            table.record(np.array(ids), ok, loss)
    with pytest.raises(errors.ShapeError):
        table.record(np.array([0, 1]), ok, loss)
    with pytest.raises(errors.ArgumentError, match="finite"):
        table.record(np.array([0]), ok, np.array([np.inf]))
    with pytest.raises(errors.DtypeError):
        table.record(np.array([0.5]), ok, loss)
    for n in (4, -1, 2**40):
        with pytest.raises(errors.ArgumentError):
            table.stage(n)
    for n in (0, -3, 2**31):
        with pytest.raises(errors.ArgumentError, match="n_examples"):
            edgecl.DataRemoval(n)
    assert table.kept().tolist() == [0, 1, 2, 3] and len(table) == table.n_kept == 4


def test_rows_of_many_steps(make_bundle: Callable[..., bytes], blobs: Any) -> None:
    """learn_many reports the rows of each of its steps, as single steps would."""
    learners = [edgecl.Classifier(make_bundle(), random_state=1) for _ in range(2)]
    n = 22
    correct, loss = learners[0].partial_fit_rows(blobs.x[:n], blobs.y[:n])
    assert correct.shape == loss.shape == (n,) and correct.dtype == bool and loss.dtype == np.float32
    parts = [learners[1].partial_fit_rows(blobs.x[i : i + 4], blobs.y[i : i + 4]) for i in range(0, n, 4)]
    parts[-1] = tuple(part[: n - 20] for part in parts[-1])
    assert learners[0].stats()["steps"] == learners[1].stats()["steps"]
    assert (np.concatenate([c for c, _ in parts]) == correct).all() and 0 < correct.sum() < n
    assert (np.concatenate([v for _, v in parts]) == loss).all() and (loss > 0).all()


def test_rehearsal(make_bundle: Callable[..., bytes], blobs: Any) -> None:
    learner = edgecl.Classifier(make_bundle(), method="fpf", random_state=1)
    assert learner.rehearse(5) == {"done": 0, "mean_loss": 0.0}
    learner.partial_fit(blobs.x, blobs.y)
    before = learner.state_digest()
    report = learner.rehearse(20)
    assert report["done"] == 20 and report["mean_loss"] > 0 and learner.state_digest() != before
    for n in (-1, 2**32, 1.5):
        with pytest.raises(errors.ArgumentError):
            learner.rehearse(n)  # type: ignore[arg-type]
    with pytest.raises(errors.UnsupportedError, match="buffer"):
        edgecl.Classifier(make_bundle(), method="finetune", replay_capacity=0).rehearse(1)
