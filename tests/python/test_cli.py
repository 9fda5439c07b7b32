# The command line: help, JSON, exit codes, and one clear error for every kind of bad input.
# Never here: numbers that other tests check; PyTorch models (test_cli_export.py).
"""Tests of the `edgecl` command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import edgecl
import numpy as np
import pytest
from edgecl.cli import failure
from edgecl.cli.main import app
from edgecl.cli.output import count, percent, plain, size
from typer.testing import CliRunner

COMMANDS = [
    "export",
    "inspect",
    "run",
    "learn",
    "evaluate",
    "methods",
    "verify",
    "bench",
    "devices",
    "quickstart",
    "merge",
    "forget",
    "sign",
    "deploy",
    "status",
    "rollback",
    "pull",
]


def _call(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def _document(*arguments: object, code: int = 0) -> dict[str, Any]:
    result = _call(*arguments, "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def _refused(code: int, *arguments: object, saying: str = "expected") -> str:
    """One error line, no traceback, the right code; with --json one document that says the same."""
    result = _call(*arguments)
    assert result.exit_code == code, (result.exit_code, result.output)
    assert "Traceback" not in result.output and saying in result.stderr
    assert result.stdout == ""
    again = _call(*arguments, "--json")
    document = json.loads(again.stdout)
    assert again.exit_code == document["error"]["exit_code"] == code
    assert saying in document["error"]["message"]
    return str(result.stderr)


@pytest.fixture
def stream_file(make_stream_file: Callable[[int, int, int], Path]) -> Path:
    """Two tasks of two classes in an .npz."""
    return make_stream_file(4, 160, 120)


def test_every_command_has_help_with_an_example() -> None:
    general = _call("--help").stdout
    for name in COMMANDS:
        result = _call(name, "--help")
        assert result.exit_code == 0 and name in general
        assert (
            f"Example: edgecl {name}" in " ".join(result.stdout.split())
            and "JSON" in result.stdout
            and "--json" in result.stdout
        )
    assert _call("--version").stdout.startswith("edgecl ")
    assert _call().exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["teleport"],
        ["run"],
        ["learn", "x.ecl", "--epochs", "0"],
        ["inspect", "--no-such-option"],
        ["learn", "x.ecl", "--method", "magic"],
    ],
)
def test_wrong_usage(arguments: list[str]) -> None:
    result = _call(*arguments)
    assert result.exit_code == failure.USAGE and "Traceback" not in result.output


def test_inspect_bundle(bundle_path: Path) -> None:
    document = _document("inspect", bundle_path)
    assert document["kind"] == "bundle" and document["name"] == "test-mlp" and document["input_dtype"] == "float32"
    assert document["memory"]["arena_bytes"] > document["memory_predict_only"]["arena_bytes"] > 0
    assert len(document["layers"]) == 4 and len(document["ops"]) == 2
    text = _call("inspect", bundle_path, "--layers", "--memory").stdout
    assert all(word in text for word in ("test-mlp", "fc1.weight", "replay buffer", "learning_rate 0.05"))


def test_inspect_counts_memory_for_a_device(bundle_path: Path) -> None:
    document = _document("inspect", bundle_path, "--device", "rpi4")
    assert document["memory_device"] == "rpi4" and document["memory_level"] == "neon"
    assert document["memory"] == edgecl.open_bundle(bundle_path).sizes(level="neon", n_threads=1)
    assert "rpi4, kernels neon" in " ".join(_call("inspect", bundle_path, "--device", "rpi4").stdout.split())
    _refused(failure.USAGE, "inspect", bundle_path, "--device", "no-such-board")


def test_learn_run_verify_inspect(bundle_path: Path, stream_file: Path, tmp_path: Path) -> None:
    state = tmp_path / "s.ecs"
    learned = _document(
        "learn", bundle_path, "--data", stream_file, "--classes-per-task", 2, "--epochs", 4, "--state", state
    )
    for key in (
        "average_accuracy",
        "forgetting",
        "backward_transfer",
        "per_task",
        "seconds",
        "train_macs",
        "peak_bytes",
    ):
        assert key in learned
    assert learned["average_accuracy"] > 0.8 and learned["state"] == str(state)
    inspected = _document("inspect", state)
    assert inspected["sha256"] == learned["state_sha256"] and inspected["bundle_sha256"] == learned["bundle_sha256"]
    assert {c["name"] for c in inspected["classes"]} == {"0", "1", "2", "3"}
    verified = _document("verify", state, "--bundle", bundle_path)
    assert verified["ok"] and verified["kind"] == "state" and verified["sha256"] == learned["state_sha256"]

    data = np.load(stream_file)
    np.save(tmp_path / "x.npy", data["x_test"])
    out = tmp_path / "out.npz"
    ran = _document("run", bundle_path, "--input", tmp_path / "x.npy", "--state", state, "--output", out)
    assert ran["state_sha256"] == learned["state_sha256"] and ran["n_samples"] == 40
    saved = np.load(out)
    assert saved["label"].tolist() == [p["label"] for p in ran["predictions"]]
    assert (saved["label"] == data["y_test"].astype(str)).mean() > 0.8
    assert saved["logits"].shape == (40, 4) and saved["classes"].tolist() == ran["classes"]
    assert "and 20 more" in _call("run", bundle_path, "-i", tmp_path / "x.npy", "-s", state).stdout

    further = _document(
        "learn", bundle_path, "--data", stream_file, "--classes-per-task", 4, "--state", state, "--lr", 0.01
    )
    assert further["config"]["learning_rate"] == pytest.approx(0.01)
    assert _document("inspect", state)["counters"]["samples_learned"] == learned["samples"] + further["samples"]
    assert "average accuracy" in _call("learn", bundle_path, "--data", stream_file, "--classes-per-task", 2).stdout
    for path in (state, bundle_path):
        assert _call("inspect", path).exit_code == _call("verify", path).exit_code == 0


def test_same_seed_same_state(bundle_path: Path, stream_file: Path) -> None:
    def digest(*options: object) -> str:
        return str(
            _document("learn", bundle_path, "--data", stream_file, "--classes-per-task", 2, *options)["state_sha256"]
        )

    assert digest("--seed", 3) == digest("--seed", 3, "--threads", 2) != digest("--seed", 4)
    assert digest("--method", "derpp") != digest("--method", "finetune")


@pytest.mark.parametrize("command", ["inspect", "verify", "run", "learn"])
def test_bad_bundles(
    command: str, bundle_path: Path, tmp_path: Path, stream_file: Path, make_bundle: Callable[..., bytes]
) -> None:
    rest: list[object] = []
    if command == "run":
        rest = ["--input", tmp_path / "x.npy"]
    if command == "learn":
        rest = ["--data", stream_file, "--classes-per-task", 2]
    data = bundle_path.read_bytes()
    changed, newer = bytearray(data), bytearray(data)
    changed[len(data) // 2] ^= 4
    newer[4] = 9
    for name, content in (
        ("empty", b""),
        ("cut", data[:-64]),
        ("changed", bytes(changed)),
        ("newer", bytes(newer)),
        ("foreign", b"\x7fELF" * 99),
    ):
        path = tmp_path / f"{name}.ecl"
        path.write_bytes(content)
        _refused(failure.INPUT, command, path, *rest)
    _refused(failure.INPUT, command, tmp_path / "none.ecl", *rest)
    _refused(failure.INPUT, command, tmp_path, *rest)


def test_bad_states(bundle_path: Path, tmp_path: Path, stream_file: Path, make_bundle: Callable[..., bytes]) -> None:
    good = tmp_path / "good.ecs"
    learner = edgecl.Classifier(bundle_path).partial_fit(np.zeros((4, 12), np.float32), [0, 1, 2, 3])
    learner.save(good)
    np.save(tmp_path / "x.npy", np.zeros((2, 12), np.float32))
    data = good.read_bytes()
    changed, newer = bytearray(data), bytearray(data)
    changed[60] ^= 1
    newer[4] = 9
    other = tmp_path / "other.ecs"
    edgecl.Classifier(make_bundle(seed=8)).partial_fit(np.zeros((4, 12), np.float32), [0, 1, 2, 3]).save(other)
    cases = {
        "empty": b"",
        "cut": data[:-1],
        "changed": bytes(changed),
        "newer": bytes(newer),
        "foreign": b"MZ" * 500,
        "other": other.read_bytes(),
    }
    for name, content in cases.items():
        path = tmp_path / f"{name}.ecs"
        path.write_bytes(content)
        _refused(failure.INPUT, "run", bundle_path, "--input", tmp_path / "x.npy", "--state", path)
        _refused(failure.INPUT, "learn", bundle_path, "--data", stream_file, "--classes-per-task", 2, "--state", path)
        assert path.read_bytes() == content
        if name != "other":
            _refused(failure.INPUT, "verify", path)
            _refused(failure.INPUT, "inspect", path)
    _refused(failure.INPUT, "verify", other, "--bundle", bundle_path)
    _refused(failure.USAGE, "verify", good, "--against", "model.onnx")


@pytest.mark.parametrize(
    ("array", "status"),
    [
        (np.zeros((3, 11), np.float32), "samples of shape"),
        (np.zeros(12, np.float32), "samples of shape"),
        (np.full((3, 12), np.nan, np.float32), "expected"),
        (np.array([["a"] * 12]), "numbers"),
        (np.zeros((3, 12), complex), "numbers"),
    ],
)
def test_bad_arrays(make_bundle: Callable[..., bytes], tmp_path: Path, array: Any, status: str) -> None:
    bundle = tmp_path / "shipped.ecl"
    bundle.write_bytes(make_bundle(classes=("a", "b")))
    np.save(tmp_path / "x.npy", array)
    _refused(failure.INPUT, "run", bundle, "--input", tmp_path / "x.npy", saying=status)


def test_bad_array_files(make_bundle: Callable[..., bytes], tmp_path: Path) -> None:
    bundle = tmp_path / "shipped.ecl"
    bundle.write_bytes(make_bundle(classes=("a", "b")))
    (tmp_path / "bad.npy").write_bytes(b"\x93NUMPY garbage")
    (tmp_path / "bad.npz").write_bytes(b"PK garbage")
    np.savez(tmp_path / "names.npz", y=np.zeros(3))
    np.save(tmp_path / "objects.npy", np.array([{}, {}]), allow_pickle=True)
    for name in ("bad.npy", "bad.npz", "names.npz", "objects.npy", "none.npy", "none.npz"):
        _refused(failure.INPUT, "run", bundle, "--input", tmp_path / name)


def test_predicting_without_a_class(bundle_path: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((2, 12), np.float32))
    _refused(failure.USAGE, "run", bundle_path, "--input", tmp_path / "x.npy", saying="at least one learned class")


def test_more_classes_than_room(make_bundle: Callable[..., bytes], stream_file: Path, tmp_path: Path) -> None:
    bundle, state = tmp_path / "small.ecl", tmp_path / "s.ecs"
    bundle.write_bytes(make_bundle(capacity=3))
    _refused(
        failure.INPUT,
        "learn",
        bundle,
        "--data",
        stream_file,
        "--classes-per-task",
        2,
        "--state",
        state,
        saying="room for 4 new classes",
    )
    assert not state.exists()


def test_missing_data(bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECL_DATA", str(tmp_path / "none"))
    _refused(failure.INPUT, "learn", bundle_path, "--stream", "split-mnist", saying="EDGECL_DATA")
    _refused(failure.USAGE, "learn", bundle_path, "--stream", "no-such-stream", saying="split-mnist")
    _refused(failure.USAGE, "learn", bundle_path, saying="--stream NAME or --data FILE")
    _refused(failure.INPUT, "learn", bundle_path, "--data", tmp_path / "none.npz", "--classes-per-task", 2)
    arrays = {"x_train": np.zeros((0, 12), np.float32), "y_train": np.zeros(0, np.int64)}
    np.savez(tmp_path / "empty.npz", **arrays, x_test=arrays["x_train"], y_test=arrays["y_train"])
    _refused(failure.INPUT, "learn", bundle_path, "--data", tmp_path / "empty.npz", "--classes-per-task", 2)


def test_wrong_values(bundle_path: Path, stream_file: Path) -> None:
    data = ["--data", stream_file, "--classes-per-task", 2]
    _refused(failure.USAGE, "learn", bundle_path, "--data", stream_file, saying="--classes-per-task")
    _refused(failure.USAGE, "learn", bundle_path, *data, "--density", 0.5, saying="on the fly")
    _refused(failure.USAGE, "learn", bundle_path, *data, "--learning-rate", "nan")
    _refused(failure.USAGE, "learn", bundle_path, *data, "--learning-rate", "-1")
    _refused(failure.USAGE, "learn", bundle_path, "--data", stream_file, saying="classes_per_task")
    _refused(failure.INPUT, "learn", bundle_path, *data, "--learning-rate", "1e30", saying="expected")


def test_signature_is_asked_for(bundle_path: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"k" * 32)
    (tmp_path / "hexkey").write_text("6b" * 32 + "\n")
    (tmp_path / "nokey").write_bytes(b"short")
    _refused(failure.NO, "verify", bundle_path, "--key", tmp_path / "key")
    _refused(failure.NO, "verify", bundle_path, "--key", tmp_path / "hexkey")
    _refused(failure.INPUT, "verify", bundle_path, "--key", tmp_path / "nokey", saying="public key")


def _process(
    *arguments: object, prelude: str = "", environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    argv = ["edgecl", *map(str, arguments)]
    code = f"{prelude}\nimport sys; sys.argv = {argv!r}\nfrom edgecl.cli.main import main\nmain()"
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **(environment or {})},
        check=False,
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_an_output_that_cannot_be_written(bundle_path: Path, options: tuple[str, ...]) -> None:
    arguments = ["inspect", str(bundle_path), *options]
    code = f"import sys; sys.argv[1:] = {arguments!r}; from edgecl.cli.main import main; main()"
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == failure.INPUT
    assert "expected to write the output" in done.stderr and len(done.stderr.splitlines()) == 1


def test_full_disk_keeps_the_old_state(bundle_path: Path, stream_file: Path, tmp_path: Path) -> None:
    state = tmp_path / "s.ecs"
    arguments = ["learn", bundle_path, "--data", stream_file, "--classes-per-task", 2, "--state", state]
    assert _process(*arguments).returncode == 0
    before = state.read_bytes()
    limit = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))"
    )
    done = _process(*arguments, prelude=limit)
    assert done.returncode == failure.INPUT and "expected to write" in done.stderr and "Traceback" not in done.stderr
    assert done.stderr.count("error:") == 1 and done.stdout == ""
    assert state.read_bytes() == before and sorted(p.name for p in tmp_path.iterdir()) == [
        "data.npz",
        "mlp.ecl",
        "s.ecs",
    ]


def test_internal_errors_are_one_line(bundle_path: Path) -> None:
    broken = (
        "import edgecl.cli.inspect as i\n"
        "def fail(*a): raise ZeroDivisionError('a defect\\nof two lines')\n"
        "i._bundle_document = fail"
    )
    done = _process("inspect", bundle_path, prelude=broken)
    assert done.returncode == failure.INTERNAL and "Traceback" not in done.stderr
    assert done.stderr.strip().splitlines() == [
        line for line in done.stderr.strip().splitlines() if "internal error: ZeroDivisionError" in line
    ]
    shown = _process("inspect", bundle_path, prelude=broken, environment={"EDGECL_DEBUG": "1"})
    assert shown.returncode == failure.INTERNAL and "Traceback" in shown.stderr


def test_one_document_on_stdout_and_logs_elsewhere(bundle_path: Path, stream_file: Path, tmp_path: Path) -> None:
    done = _process(
        "learn", bundle_path, "--data", stream_file, "--classes-per-task", 2, "--json", "--state", tmp_path / "s.ecs"
    )
    assert done.returncode == 0 and json.loads(done.stdout)["n_tasks"] == 2
    again = _process(
        "learn", bundle_path, "--data", stream_file, "--classes-per-task", 2, "--json", "--state", tmp_path / "s.ecs"
    )
    assert "learning on from" in again.stderr and json.loads(again.stdout)


def test_methods() -> None:
    found = {method["name"]: method for method in _document("methods")["methods"]}
    assert {"er", "derpp", "er_ace", "uer", "fpf", "sharp", "sparcl-er", "sparcl-derpp", "set-er", "rigl-er"} <= set(
        found
    )
    assert found["sparcl-derpp"]["settings"]["structure"] == "tdm" and found["sparcl-er"]["needs"] == [
        "replay",
        "sparse",
        "boundaries",
    ]
    assert "sparcl-derpp" in _call("methods").stdout and "dgm" in _call("methods", "sparcl-derpp").stdout
    assert [m["name"] for m in _document("methods", "er-ace")["methods"]] == ["er_ace"]
    _refused(failure.USAGE, "methods", "no-such-method", saying="expected a method among")


def test_a_method_must_fit_the_bundle(bundle_path: Path, stream_file: Path) -> None:
    _refused(failure.USAGE, "learn", bundle_path, "--data", stream_file, "--method", "nothing", saying="a method among")
    _refused(
        failure.USAGE, "learn", bundle_path, "--data", stream_file, "--method", "sparcl-er", saying="sparse layers"
    )


def test_devices() -> None:
    listed = _document("devices")["devices"]
    assert {"rpi4", "rpi5", "jetson-orin-nano"} <= {d["name"] for d in listed}
    one = _document("devices", "rpi4")["devices"][0]
    assert all(figure["source"] and figure["kind"] for figure in one["figures"].values())
    assert "rpi4" in _call("devices").stdout and "source" in _call("devices", "rpi4").stdout
    _refused(failure.USAGE, "devices", "no-such-board", saying="rpi4")


def test_formatting() -> None:
    assert [size(0), size(1023), size(1536), size(3 << 30), size(5 << 40)] == [
        "0 B",
        "1023 B",
        "1.5 KiB",
        "3.0 GiB",
        "5120.0 GiB",
    ]
    assert [count(5), count(1500), count(2.5e9)] == ["5", "1.5 k", "2.5 G"]
    assert [percent(0.123), percent(None), percent(float("nan"))] == ["12.3 %", "", ""]
    assert plain({1: np.float32(0.5), "a": (np.nan, b"\1", np.arange(2), True)}) == {
        "1": 0.5,
        "a": [None, "01", [0, 1], True],
    }


def test_learn_follows_the_schedules_of_a_recipe(bundle_path: Path, stream_file: Path) -> None:
    data = ["learn", bundle_path, "--data", stream_file, "--classes-per-task", 2]
    removal = ["--set", "removal_share=0.5", "--set", "removal_stages=1,2,5"]
    document = _document(*data, "--epochs", 3, *removal, "--set", "rate_schedule=linear")
    assert document["removal"]["stages"] == [1, 2] and document["removal"]["examples_removed"] > 0
    assert document["rate_schedule"] == "linear" == document["config"]["rate_schedule"]
    assert "examples after epochs 1, 2" in _call(*data, "--epochs", 3, *removal).stdout
    assert "needs --epochs 2 or more" in _call(*data, *removal).stdout
    assert "2 of 100 steps" in _call(*data, "--method", "fpf", "--classes-per-task", 4).stdout
    for setting, saying in (
        ("alhpa=1", "a name among"),
        ("alpha", "NAME=VALUE"),
        ("alpha=many", "a number"),
        ("class_mask=perhaps", "true or false"),
        ("replay_batch=1.5", "a whole number"),
        ("removal_stages=1,b", "epochs"),
        ("removal_stages=1,40", "1..31"),
        ("structure=fluid", "'static', 'tdm'"),
        ("rate_floor=2", "rate_floor in [0, 1]"),
    ):
        _refused(failure.USAGE, *data, "--set", setting, saying=saying)


def test_a_state_goes_on_with_its_own_seed(bundle_path: Path, stream_file: Path, tmp_path: Path) -> None:
    data = ["learn", bundle_path, "--data", stream_file, "--classes-per-task", 2, "--state", tmp_path / "s.ecs"]
    assert _document(*data, "--seed", 3)["config"]["seed"] == 3
    assert _document(*data)["config"]["seed"] == 3
    assert "seed 3" in _call(*data).stderr
