# Interrupted runs of `edgecl learn`: what they leave, how they go on, and that the end is the same.
# Never here: accuracy; options that have nothing to do with it (test_cli.py).
"""Tests of edgecl.evaluate.runs, edgecl.evaluate.checkpoint and `edgecl learn --resume`."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import edgecl
import numpy as np
import pytest
from edgecl import errors
from edgecl.cli import failure, interrupts
from edgecl.cli.main import app
from edgecl.evaluate import experiment, runs
from edgecl.evaluate.checkpoint import Checkpoint, definition_of_data, differences
from edgecl.evaluate.streams import stream_from_npz
from typer.testing import CliRunner

ROOT = Path(__file__).resolve().parents[2]
TIMES = {"seconds", "task_seconds", "evaluate_seconds", "structure", "peak_rss_bytes"}  # what no two runs share


def _call(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def stream_file(make_stream_file: Callable[[int, int, int], Path]) -> Path:
    """Three tasks of two classes in an .npz."""
    return make_stream_file(6, 360, 240)


class _Interrupt:
    """Raises in the n-th call of a function of a module, once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, n: int, kind: Any) -> None:
        self.left, self.kind, self.inner = n, kind, getattr(module, name)
        monkeypatch.setattr(module, name, self)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            raise self.kind
        return self.inner(*arguments, **named)


def _same(one: dict[str, Any], two: dict[str, Any]) -> bool:
    return {k: v for k, v in one.items() if k not in TIMES} == {k: v for k, v in two.items() if k not in TIMES}


@pytest.mark.parametrize(
    "options", [(), ("--method", "derpp", "--epochs", 3, "--set", "removal_share=0.5", "--set", "removal_stages=1,2")]
)
@pytest.mark.parametrize(("where", "n"), [("_learn_task", 2), ("_learn_task", 3), ("_test_tasks", 3)])
def test_the_end_is_that_of_an_uninterrupted_run(
    bundle_path: Path,
    stream_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    n: int,
    options: tuple[object, ...],
) -> None:
    data = ["learn", bundle_path, "--data", stream_file, "--classes-per-task", 2, "--seed", 5, *options]
    whole = json.loads(_call(*data, "--state", tmp_path / "whole.ecs", "--json").stdout)
    state, progress = tmp_path / "s.ecs", tmp_path / "s.ecs.progress"
    with monkeypatch.context() as patch:
        _Interrupt(patch, experiment, where, n, KeyboardInterrupt)
        stopped = _call(*data, "--state", state)
    assert stopped.exit_code == failure.INTERRUPTED == 130, stopped.stderr
    assert f"interrupted: {n - 1} of 3 tasks learned" in stopped.stdout and "average accuracy" in stopped.stdout
    assert "--resume goes on" in stopped.stderr and str(progress) in stopped.stderr
    assert progress.exists() and not state.exists()
    gone_on = _call(*data, "--state", state, "--resume", "--json")
    assert gone_on.exit_code == 0 and f"{n - 1} task" in gone_on.stderr
    assert state.read_bytes() == (tmp_path / "whole.ecs").read_bytes()
    assert _same(json.loads(gone_on.stdout) | {"state": None}, whole | {"state": None})
    assert not progress.exists()


def test_sigterm_has_its_own_code_and_json_says_how_far(
    bundle_path: Path, stream_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = ["learn", bundle_path, "--data", stream_file, "--classes-per-task", 2, "--state", tmp_path / "s.ecs"]
    _Interrupt(monkeypatch, experiment, "_learn_task", 2, interrupts.TerminatedError)
    stopped = _call(*data, "--json")
    document = json.loads(stopped.stdout)
    assert stopped.exit_code == failure.TERMINATED == 143 and "ended by SIGTERM" in stopped.stderr
    assert document["interrupted"] and document["n_tasks"] == 3 and len(document["tasks"]) == 1
    assert document["state"] is None and not (tmp_path / "s.ecs").exists()


def test_before_the_first_task_and_after_the_last(
    bundle_path: Path, stream_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, progress = tmp_path / "s.ecs", tmp_path / "s.ecs.progress"
    data = ["learn", bundle_path, "--data", stream_file, "--classes-per-task", 2, "--state", state]
    assert "beginning from the start" in _call(*data, "--resume").stderr
    for before in (None, state.read_bytes()):  # fresh, and learning on from a state
        state.unlink()
        if before is not None:
            state.write_bytes(before)
        with monkeypatch.context() as patch:
            _Interrupt(patch, experiment, "_learn_task", 1, KeyboardInterrupt)
            stopped = _call(*data)
        assert stopped.exit_code == 130 and stopped.stdout == "" and "before a task was done" in stopped.stderr
        assert progress.exists()
        begun = _call(*data, "--resume")
        assert begun.exit_code == 0 and "0 tasks done" in begun.stderr and not progress.exists()
        # A finished run is not learned again by a script that always says --resume.
        finished = state.read_bytes()
        again = _call(*data, "--resume")
        assert again.exit_code == failure.USAGE and "a run that is finished" in again.stderr
        assert state.read_bytes() == finished != before


def test_an_error_before_the_first_task_leaves_nothing(bundle_path: Path, stream_file: Path, tmp_path: Path) -> None:
    data = ["learn", bundle_path, "--data", stream_file, "--classes-per-task", 2, "--state", tmp_path / "s.ecs"]
    assert _call(*data, "--learning-rate", "1e30").exit_code == failure.INPUT
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.npz", "mlp.ecl"]


def test_a_checkpoint_is_not_used_unasked_and_not_for_another_run(
    bundle_path: Path,
    make_bundle: Callable[..., bytes],
    stream_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state, progress = tmp_path / "s.ecs", tmp_path / "s.ecs.progress"
    base = ["learn", bundle_path, "--data", stream_file, "--classes-per-task", 2, "--state", state]
    with monkeypatch.context() as patch:
        _Interrupt(patch, experiment, "_learn_task", 3, KeyboardInterrupt)
        _call(*base, "--epochs", 2)
    kept = progress.read_bytes()
    other_bundle, other_data = tmp_path / "other.ecl", tmp_path / "other.npz"
    other_bundle.write_bytes(make_bundle(seed=8))
    arrays = dict(np.load(stream_file))
    arrays["x_train"][0, 0] += 1
    np.savez(other_data, **arrays)
    other_start = tmp_path / "start.ecs"
    edgecl.Classifier(bundle_path).partial_fit(np.zeros((4, 12), np.float32), [0, 1, 2, 3]).save(other_start)
    for changes, saying in (
        (["--epochs", 3], "epochs: 2 there, 3 here"),
        (["--epochs", 2, "--seed", 1], "runs: "),
        (["--epochs", 2, "--lr", "0.01"], "learning_rate: None there, 0.01 here"),
        (["--epochs", 2, "--method", "derpp"], "runs: "),
        (["--epochs", 2, "--keep-last"], "keep last: False there, True here"),
        (["--epochs", 2, "--data", other_data], "data: "),
    ):
        refused = _call(*base, *changes, "--resume")
        assert refused.exit_code == failure.USAGE and saying in refused.stderr and refused.stdout == "", refused.stderr
        assert progress.read_bytes() == kept and not state.exists()
    refused = _call("learn", other_bundle, *base[2:], "--epochs", 2, "--resume")
    assert refused.exit_code == failure.USAGE and "model: " in refused.stderr
    state.write_bytes(other_start.read_bytes())  # the run began without one
    refused = _call(*base, "--epochs", 2, "--resume")
    assert refused.exit_code == failure.USAGE and "state that it began from: None there" in refused.stderr
    state.unlink()
    for damaged, saying in ((kept[:-1], "checksum"), (b"a note of mine", "other contents"), (b"", "other contents")):
        progress.write_bytes(damaged)
        for more in ([], ["--resume"]):
            refused = _call(*base, "--epochs", 2, *more)
            assert refused.exit_code == failure.INPUT and saying in refused.stderr
            assert progress.read_bytes() == damaged
    progress.write_bytes(kept)
    with monkeypatch.context() as patch:
        _Interrupt(patch, experiment, "_learn_task", 1, KeyboardInterrupt)
        assert _call(*base, "--epochs", 3).exit_code == 130
    assert progress.read_bytes() == kept  # the one who forgot --resume has lost nothing yet
    anew = _call(*base, "--epochs", 2)
    assert anew.exit_code == 0 and "note: " in anew.stderr and "2 tasks done" in anew.stderr
    assert not progress.exists()
    refused = _call("learn", bundle_path, "--data", stream_file, "--classes-per-task", 2, "--resume")
    assert (
        refused.exit_code == failure.USAGE
        and "expected --state, --csv, --plot or --report with --resume" in refused.stderr
    )


def test_a_run_that_goes_on_from_a_state_resumes_too(
    bundle_path: Path, stream_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = ["learn", bundle_path, "--data", stream_file, "--classes-per-task", 2, "--state"]
    whole, state = tmp_path / "whole.ecs", tmp_path / "s.ecs"
    for path in (whole, state):
        assert _call(*base, path, "--seed", 3).exit_code == 0
    before = state.read_bytes()
    assert _call(*base, whole).exit_code == 0 and whole.read_bytes() != before
    with monkeypatch.context() as patch:
        _Interrupt(patch, experiment, "_learn_task", 3, KeyboardInterrupt)
        assert _call(*base, state).exit_code == 130
    assert state.read_bytes() == before
    # Interrupted again where the state is written and the checkpoint is still there.
    with monkeypatch.context() as patch:
        _Interrupt(patch, sys.modules["edgecl.cli.learn"], "_write", 1, KeyboardInterrupt)
        assert _call(*base, state, "--resume").exit_code == 130
    assert state.read_bytes() == whole.read_bytes() and (tmp_path / "s.ecs.progress").exists()
    assert _call(*base, state, "--resume").exit_code == 0
    assert state.read_bytes() == whole.read_bytes() and not (tmp_path / "s.ecs.progress").exists()


def test_learning_on_keeps_the_intervals_of_the_state(
    make_bundle: Callable[..., bytes], stream_file: Path, tmp_path: Path
) -> None:
    bundle, state = tmp_path / "sparse.ecl", tmp_path / "s.ecs"
    bundle.write_bytes(make_bundle(density=0.5))
    base = ["learn", bundle, "--data", stream_file, "--classes-per-task", 2, "--state", state]
    base += ["--method", "sparcl-er", "--set", "structure_inter=0"]
    first = json.loads(_call(*base, "--json").stdout)["config"]["structure_interval"]
    again = _call(*base, "--epochs", 9, "--json")  # nine times the steps a task
    assert again.exit_code == 0, again.stderr
    assert json.loads(again.stdout)["config"]["structure_interval"] == first


def test_finished_runs_of_a_comparison_are_not_done_again(
    bundle_path: Path, stream_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = ["learn", bundle_path, "--data", stream_file, "--classes-per-task", 2, "--seeds", 2, "--methods", "er,derpp"]
    whole = json.loads(_call(*base, "--csv", tmp_path / "whole.csv", "--json").stdout)
    table = tmp_path / "t.csv"
    with monkeypatch.context() as patch:
        _Interrupt(patch, experiment, "_learn_task", 8, KeyboardInterrupt)  # the second task of the third run
        stopped = _call(*base, "--csv", table)
    assert stopped.exit_code == 130 and "2 of 4 runs done" in stopped.stdout
    assert len(table.read_text().splitlines()) == 3
    with monkeypatch.context() as patch:
        count = _Interrupt(patch, experiment, "_learn_task", -1, KeyboardInterrupt)
        gone_on = _call(*base, "--csv", table, "--resume", "--json")
    assert -1 - count.left == 2 + 3  # the rest of the third run and the fourth
    assert "2 runs and 1 task done" in gone_on.stderr
    document = json.loads(gone_on.stdout)
    assert all(_same(one, two) for one, two in zip(document["runs"], whole["runs"], strict=True))
    assert len({run["state_sha256"] for run in whole["runs"]}) == 4
    rows = [list(csv.DictReader(path.open())) for path in (table, tmp_path / "whole.csv")]
    assert [[r["state_sha256"] for r in part] for part in rows] == [[r["state_sha256"] for r in whole["runs"]]] * 2
    assert [(r["method"], r["seed"]) for r in rows[0]] == [("er", "0"), ("er", "1"), ("derpp", "0"), ("derpp", "1")]
    assert float(rows[0][3]["average_accuracy"]) == whole["runs"][3]["average_accuracy"]
    assert not list(tmp_path.glob("*.progress"))
    for entry in whole["methods"]:
        values = [r["average_accuracy"] for r in whole["runs"] if r["method"] == entry["method"]]
        assert entry["average_accuracy"]["mean"] == pytest.approx(np.mean(values))
        assert entry["average_accuracy"]["deviation"] == pytest.approx(np.std(values, ddof=1))
    one = json.loads(_call(*base[:5], 2, "--seed", 1, "--method", "derpp", "--json").stdout)
    assert one["state_sha256"] == whole["runs"][3]["state_sha256"]  # a run of a comparison is that run alone


def test_outputs_are_checked_before_any_work(
    bundle_path: Path, stream_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("data were read")

    monkeypatch.setattr("edgecl.evaluate.streams.stream_from_npz", never)
    (tmp_path / "folder").mkdir()
    (tmp_path / "busy.ecs.progress").mkdir()
    os.mkfifo(tmp_path / "pipe")
    base = ["learn", bundle_path, "--data", stream_file, "--classes-per-task", 2]
    for option in ("--state", "--csv", "--plot"):
        for path, saying in (
            ("folder", "a folder"),
            ("pipe", "a pipe"),
            ("/dev/null", "a device"),
            ("none/file", "no folder"),
            ("busy.ecs", "a folder"),
        ):
            if option == "--plot" and path == "busy.ecs":
                continue
            refused = _call(*base, option, tmp_path / path)
            assert refused.exit_code == failure.INPUT and saying in refused.stderr, refused.stderr
    for more, saying in (
        (["--state", "s.ecs", "--seeds", 2], "--state with one run"),
        (["--csv", "a", "--plot", "a"], "one twice"),
        (["--plot", "picture.xyz"], "ending"),
        (["--methods", "er,magic"], "magic"),
        (["--methods", "er,er"], "different methods"),
        (["--methods", "er", "--method", "er"], "found both"),
        (["--methods", "er@half"], "NAME@DENSITY"),
        (["--methods", "er@0.5"], "exported on the fly"),
    ):
        refused = _call(*base, *more)
        assert refused.exit_code == failure.USAGE and saying in refused.stderr, refused.stderr


def test_a_picture_is_drawn_and_asked_for_only_when_wanted(
    bundle_path: Path, stream_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = ["learn", bundle_path, "--data", stream_file, "--classes-per-task", 2, "--seeds", 2]
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "matplotlib", None)
        assert _call(*base).exit_code == 0
        refused = _call(*base, "--plot", tmp_path / "p.png")
        assert refused.exit_code == failure.USAGE and "expected matplotlib" in refused.stderr
    pytest.importorskip("matplotlib")
    assert _call(*base, "--plot", tmp_path / "p.png").exit_code == 0
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("per_task", "options", "warned"),
    [
        (1, ("--method", "er_ace"), True),
        (1, ("--method", "derpp", "--class-mask"), True),
        (2, ("--method", "er_ace", "--batch-size", 1), True),
        (2, ("--method", "er_ace"), False),
        (1, ("--method", "er"), False),
    ],
)
def test_one_class_under_a_mask_is_said_once(
    bundle_path: Path, stream_file: Path, per_task: int, options: tuple[object, ...], warned: bool
) -> None:
    base = ["learn", bundle_path, "--data", stream_file, "--classes-per-task", per_task, "--seeds", 2]
    result = _call(*base, *options)
    assert result.exit_code == 0
    assert result.stderr.count("that loss is 0") == int(warned), result.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_prints_the_table_and_how_to_go_on(
    bundle_path: Path, stream_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    inner = experiment._learn_task

    def signalled(*arguments: Any) -> None:
        if arguments[2] == 2:
            os.kill(os.getpid(), number)
        inner(*arguments)

    monkeypatch.setattr(experiment, "_learn_task", signalled)
    base = ["learn", bundle_path, "--data", stream_file, "--classes-per-task", 2, "--state", tmp_path / "s.ecs"]
    stopped = _call(*base)
    assert stopped.exit_code == code and "2 of 3 tasks learned" in stopped.stdout
    assert len(stopped.stderr.splitlines()) == 1 and "the same command with --resume goes on" in stopped.stderr


def test_a_swallowed_interrupt_is_raised_at_the_next_moment(
    bundle_path: Path, stream_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def swallowing(*arguments: Any, **named: Any) -> Any:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            for _ in range(1000):
                pass
        except BaseException:
            pass
        return stream_from_npz(*arguments, **named)

    monkeypatch.setattr("edgecl.evaluate.streams.stream_from_npz", swallowing)
    base = ["learn", bundle_path, "--data", stream_file, "--classes-per-task", 2]
    before = signal.getsignal(signal.SIGTERM)
    assert _call(*base, "--state", tmp_path / "s.ecs").exit_code == failure.TERMINATED
    assert signal.getsignal(signal.SIGTERM) is before and not (tmp_path / "s.ecs").exists()


@pytest.mark.parametrize(
    ("module", "number", "code"),
    [
        ("signal", signal.SIGINT, 130),  # before our own handlers are in place
        ("numpy", signal.SIGINT, 130),
        ("numpy", signal.SIGTERM, 143),
        ("typer", signal.SIGINT, 130),
        ("edgecl.cli.learn", signal.SIGTERM, 143),
    ],
)
def test_a_signal_while_modules_load(module: str, number: int, code: int) -> None:
    script = f"""
import os, sys

class Signalling:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "{module}":
            sys.meta_path.remove(Signalling)
            os.kill(os.getpid(), {int(number)})

sys.meta_path.insert(0, Signalling)
sys.argv = ["edgecl", "devices"]
from edgecl.cli.start import main
main()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr == "error: interrupted; nothing was begun\n"


def test_a_signal_while_arguments_are_read(bundle_path: Path) -> None:
    with interrupts.held():
        os.kill(os.getpid(), signal.SIGINT)
        stopped = _call("inspect", bundle_path)
    assert stopped.exit_code == failure.INTERRUPTED and stopped.stdout == "" and "interrupted" in stopped.stderr
    assert _call("inspect", bundle_path).exit_code == 0


def test_library_runs_resume(make_bundle: Callable[..., bytes], stream_file: Path, tmp_path: Path) -> None:
    stream, bundle = stream_from_npz(stream_file, 2), make_bundle()
    plan = [runs.Run("er", seed, lambda seed=seed: edgecl.Classifier(bundle, random_state=seed)) for seed in (0, 1)]
    whole, learner = runs.run_all(plan, stream)
    assert learner is not None and learner.state_digest() == whole[1]["state_sha256"]
    place, calls = tmp_path / "p", []

    def progress(what: str, done: int, total: int) -> None:
        calls.append(what)
        if len(calls) == 8:
            raise KeyboardInterrupt

    with pytest.raises(runs.RunsInterrupted) as caught:
        runs.run_all(plan, stream, checkpoint=place, progress=progress)
    assert caught.value.kept and isinstance(caught.value.__cause__, KeyboardInterrupt)
    kept = Checkpoint.read(place)
    assert kept.definition["data"] == definition_of_data(stream)["data"] and kept.progress is not None
    found, _ = runs.run_all(plan, stream, checkpoint=place, resume=True)
    assert all(_same(one, two) for one, two in zip(found, whole, strict=True))
    with pytest.raises(errors.ArgumentError, match="runs: er seed 0, er seed 1 there, er seed 0 here"):
        runs.run_all(plan[:1], stream, checkpoint=place, resume=True)
    assert differences({"a": (1, 2), "b": "x" * 64}, {"a": [1, 2], "c": 1}) == [
        "c: None there, 1 here",
        f"b: {'x' * 12} there, None here",
    ]


def _interrupted_moments(n: int, bundle: Path | None, data: Path | None, epochs: int) -> None:
    arguments: list[object] = []
    if bundle is not None:
        arguments = [bundle, "--data", data, "--classes-per-task", 2, "--epochs", epochs]
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools/dev/interrupt_learn.py"), "--moments", str(n), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_random_moments(bundle_path: Path, stream_file: Path) -> None:
    _interrupted_moments(3, bundle_path, stream_file, 150)


@pytest.mark.slow
def test_many_random_moments() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    _interrupted_moments(6, None, None, 0)  # a minute; the tool's own number is larger
