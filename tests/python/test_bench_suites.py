# `edgecl bench --suite`: rows and keys, peers that cannot run, errors, turns of processes; the timer of single layers.
# Never here: how fast anything is.
"""Tests of the benchmark suites on tiny shapes."""

from __future__ import annotations

import json
import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from edgecl.cli.bench_layers import NAMES, parse_layer, write_layer_onnx
from edgecl.cli.bench_suite import KEPT, compact
from edgecl.cli.bench_turns import Worker, take_turns, team
from edgecl.cli.failure import UsageError
from edgecl.cli.main import app
from edgecl.cli.results import read_table
from typer.testing import CliRunner

kernels = pytest.importorskip("edgecl_kernels", reason="edgecl_kernels is not built here (tools/setup)")
TimedLayer, levels = kernels.TimedLayer, kernels.levels

KEYS = {"layer", "sparsity", "batch", "threads", "pass", "ours_ms", "percent_of_peak", "peer", "peer_ms", "ratio"}
QUICK = ["--rounds", "2", "--seconds", "0.01"]
TINY = {"name": "tiny", "in_channels": 4, "out_channels": 4, "size": [4, 4], "stride": 1, "kernel": 3}


def _call(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["bench", *map(str, arguments)])


def _document(*arguments: object) -> dict[str, Any]:
    result = _call(*arguments, *QUICK, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def _check_rows(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        assert set(row) >= KEYS
        assert (
            0 < row["ours_ms"] <= row["ours_wall_ms"] <= row["ours_median_ms"]
            and row["ours_cpu"] > 0
            and row["percent_of_peak"] > 0
        )
        assert row["ratio_to_own_dense"] == pytest.approx(row["ours_dense_ms"] / row["ours_ms"])
        if row["peer_ms"] is None:
            assert row["ratio"] is None and (row["peer"] is None or row["note"])
        else:
            assert row["ratio"] == pytest.approx(row["peer_ms"] / row["ours_ms"])
            assert row["ratio_to_best_dense_peer"] <= row["ratio"] or row["peer"] == "sparseprop"


def test_layers_alone(tmp_path: Path) -> None:
    out = tmp_path / "kept" / "sparse.json"
    found = _document("--suite", "sparse", "--layer", "8x6x6,4-8x6x6s2,linear-16x8", "--batch", "3", "--out", out)
    kept = read_table(out)
    assert {key: kept[key] for key in ("suite", "date", "measured_on", "rounds")} == {
        key: found[key] for key in ("suite", "date", "measured_on", "rounds")
    }
    assert len(kept["rows"]) == len(found["rows"]) and kept["rows"][0]["batch"] == "3"
    for row, whole in zip(kept["rows"], found["rows"], strict=True):
        assert all(row[key] == pytest.approx(whole[key], rel=1e-4) for key in KEPT if key in row)
    assert found["suite"] == "sparse" and found["date"] in found["measured_on"] and len(found["load_average"]) == 2
    rows = found["rows"]
    _check_rows(rows)
    assert len(rows) == 3 * 4 * 3
    assert {row["pass"] for row in rows} == {"forward", "dX", "dW", "all"}
    assert {row["sparsity"] for row in rows} == {0.8, 0.9, 0.95} and {row["peer"] for row in rows} == {None}
    first = {row["pass"]: row for row in rows if row["layer"] == "8x6x6" and row["sparsity"] == 0.8}
    assert first["forward"]["macs"] == round(0.2 * 8 * 8 * 9) * 3 * 6 * 6
    assert first["all"]["ours_ms"] == pytest.approx(sum(first[name]["ours_ms"] for name in ("forward", "dX", "dW")))
    assert first["all"]["macs"] == 3 * first["forward"]["macs"]
    assert first["all"]["counted_ratio_to_own_dense"] == pytest.approx(5, rel=0.01)


@pytest.mark.slow
def test_layers_beside_peers() -> None:
    pytest.importorskip("torch", reason="the peer of this test")
    arguments = ["--layer", "8x6x6", "--sparsity", "0.9", "--batch", "2", "--threads", "1,2"]
    found = _document("--suite", "sparse", "--against", "torch,onnxruntime,sparseprop", *arguments)
    rows = found["rows"]
    _check_rows(rows)
    by_peer = {peer: [row for row in rows if row["peer"] == peer] for peer in ("torch", "onnxruntime", "sparseprop")}
    assert all(len(of_peer) == 2 * 4 for of_peer in by_peer.values()), "four passes at one and at two threads"
    assert all(row["peer_variant"] in ("contiguous", "channels_last") for row in by_peer["torch"])
    assert all(row["note"] for row in by_peer["onnxruntime"] if row["pass"] != "forward")
    try:
        import sparseprop  # noqa: F401
    except ImportError:
        assert all("sparseprop" in row["note"] and "pip install" in row["note"] for row in by_peer["sparseprop"])
    else:
        assert all((row["peer_ms"] is None) == (row["pass"] in ("dX", "dW")) for row in by_peer["sparseprop"])
    assert {"edgecl", "torch"} <= set(found["versions"])
    kept = compact(found)
    assert len(kept["rows"]) == 2 * 4 and len(kept["notes"]["onnxruntime"]) == 1
    first = next(row for row in rows if row["peer"] == "torch")
    assert kept["rows"][0]["torch_ms"] == first["peer_ms"] and kept["rows"][0]["torch_ratio"] == first["ratio"]


@pytest.mark.slow
def test_steps_beside_pytorch() -> None:
    pytest.importorskip("torch", reason="makes the networks")
    arguments = ["--layer", "mlp", "--batch", "2+2,3", "--sparsity", "0.9", "--against", "torch"]
    rows = _document("--suite", "steps", *arguments)["rows"]
    _check_rows(rows)
    assert [(row["batch"], row["replayed"], row["sparsity"]) for row in rows] == [
        (4, 2, 0.0), (4, 2, 0.9), (3, 0, 0.0), (3, 0, 0.9),
    ]  # fmt: skip
    assert {(row["layer"], row["pass"], row["peer"]) for row in rows} == {("mlp", "step", "torch")}
    assert rows[0]["ratio_to_own_dense"] == 1 and rows[1]["macs"] < rows[0]["macs"] / 5
    assert [row["counted_ratio_to_own_dense"] for row in rows[:2]] == [1, rows[0]["macs"] / rows[1]["macs"]]


def test_a_missing_interpreter_is_a_note() -> None:
    pytest.importorskip("torch", reason="makes the networks")
    arguments = ["--layer", "mlp", "--batch", "2", "--sparsity", "0", "--against", "onnxruntime"]
    rows = _document("--suite", "steps", *arguments, "--ort-python", "/nowhere/python")["rows"]
    assert [row["peer_ms"] for row in rows] == [None] and "/nowhere/python" in rows[0]["note"]
    assert rows[0]["ratio_to_best_dense_peer"] is None


def test_without_the_kernels_module_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = _call("--suite", "sparse", "--layer", "linear-8x8")
    assert result.exit_code == 2 and len(result.stderr.split("error:")) == 2
    assert "expected the module edgecl_kernels; found none" in result.stderr
    assert "EDGECL_BUILD_KERNELS_MODULE=ON" in result.stderr


def test_tables_say_where_and_when() -> None:
    result = _call("--suite", "sparse", "--layer", "linear-8x8", "--batch", "2", "--sparsity", "0.5", *QUICK)
    assert result.exit_code == 0, result.output
    assert "linear-8x8, batch 2, 1 thread" in result.stdout and "measured 2" in result.stdout
    assert "50 %" in result.stdout and "nan" not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--suite", "fast"], ["sparse or steps", "'fast'"]),
        (["--suite", "sparse", "--against", "caffe"], ["torch,onnxruntime,sparseprop", "'caffe'"]),
        (["--suite", "steps", "--against", "sparseprop"], ["torch,onnxruntime", "'sparseprop'"]),
        (["--suite", "sparse", "--layer", "8x8"], ["CxHxW", "'8x8'", NAMES[0]]),
        (["--suite", "sparse", "--batch", "10+10"], ["--batch", "'10+10'"]),
        (["--suite", "sparse", "--sparsity", "1"], ["--sparsity", "'1'"]),
        (["--suite", "sparse", "--sparsity", "0"], ["--sparsity", "above 0"]),
        (["--suite", "sparse", "--threads", "0"], ["--threads", "'0'"]),
        (["--suite", "sparse", "--seconds", "0"], ["--seconds"]),
        (["--suite", "steps", "--layer", "lenet"], ["resnet18-nf20", "'lenet'"]),
        (["--suite", "steps", "--batch", "10-10"], ["10+10", "'10-10'"]),
        (["--suite", "steps", "--device", "rpi4"], ["--device"]),
        (["model.ecl", "--suite", "steps", "--budget", "1ms"], ["a bundle, --budget"]),
        (["model.ecl", "--layer", "8x8x8", "--rounds", "3"], ["--layer, --rounds", "--suite"]),
        ([], ["bundle or --suite"]),
    ],
)
def test_wrong_usage_ends_with_two(arguments: list[str], words: list[str]) -> None:
    if arguments[:2] == ["--suite", "steps"] and "--against" not in arguments:
        pytest.importorskip("torch", reason="the suite asks for it first")
    result = _call(*arguments)
    assert result.exit_code == 2, result.output
    for word in ("expected", "found", *words):
        assert word in result.stderr


def test_a_contender_that_fails_does_not_stop_the_others() -> None:
    config = TINY | {"batch": 2, "threads": 1, "sparsities": [0.5]}
    starts = {
        "good": partial(Worker, "layer_edgecl", config, 1),
        "ends": partial(Worker, "layer_edgecl", config, 1),
        "unknown": partial(Worker, "layer_of_nobody", config, 1),
        "nowhere": partial(Worker, "layer_edgecl", config, 1, "/nowhere/python"),
    }
    with team(starts) as crew:
        assert set(crew.workers) == {"good", "ends"}
        assert "layer_of_nobody" in crew.failed["unknown"] and "/nowhere/python" in crew.failed["nowhere"]
        crew.workers["ends"].process.kill()
        crew.workers["ends"].process.wait()
        turns = {name: (name, "0.5 dX") for name in starts}
        timings = take_turns(crew, turns, rounds=3, seconds=0.01)
        assert set(timings) == {"good"} and "ends" in crew.failed
        assert len(timings["good"].rounds) == len(timings["good"].cpu) == 3
        assert 0 < timings["good"].quietest <= timings["good"].median
    assert all(worker.process.poll() is not None for worker in crew.workers.values())


@pytest.mark.parametrize("level", levels())
@pytest.mark.parametrize("density", [None, 0.25])
def test_a_layer_is_timed_by_itself(level: str, density: float | None) -> None:
    conv = TimedLayer(
        5, 8, 4, (7, 6), density, n_threads=2, kernel_size=(3, 3), padding=(1, 1), stride=(2, 2), level=level
    )
    linear = TimedLayer(16, 12, 10, density=density, level=level)
    assert conv.n_weights == (288 if density is None else 72) and linear.n_weights == (120 if density is None else 30)
    assert conv.multiply_adds == conv.n_weights * 5 * 4 * 3 and linear.multiply_adds == linear.n_weights * 16
    for layer in (conv, linear):
        for name in ("forward", "backward_data", "backward_weight"):
            times = layer.time(name, 3)
            assert len(times) == 3 and all(0 < t < 1 and math.isfinite(t) for t in times)


def test_a_layer_that_cannot_be() -> None:
    for wrong in ({"density": 0.0}, {"density": 1.5}, {"n_threads": 0}, {"level": "pentium"}, {"input_size": (0, 3)}):
        with pytest.raises(ValueError, match=r"expected .* found .*: "):
            TimedLayer(1, 2, 3, **wrong)
    with pytest.raises(ValueError, match="batch"):
        TimedLayer(0, 2, 3)
    with pytest.raises(ValueError, match="padded input"):
        TimedLayer(1, 2, 3, (2, 2), kernel_size=(3, 3))
    with pytest.raises(TypeError, match="colour"):
        TimedLayer(1, 2, 3, colour=1)
    layer = TimedLayer(1, 2, 3)
    with pytest.raises(ValueError, match="backward_data"):
        layer.time("sideways", 1)
    with pytest.raises(ValueError, match="repeat"):
        layer.time("forward", 0)


def test_names_of_layers(tmp_path: Path) -> None:
    strided = parse_layer("64-128x32x16s2")
    assert (strided.in_channels, strided.out_channels, strided.size, strided.stride) == (64, 128, (32, 16), 2)
    assert parse_layer("20x8x8").out_channels == 20 and parse_layer("linear-5x3").size is None
    assert [parse_layer(name).name for name in NAMES] == list(NAMES)
    for wrong in ("", "0x8x8", "64x8", "linear-0x3", "linear-3", "64x8x8s0", "64x8x8s"):
        with pytest.raises(UsageError, match="expected --layer"):
            parse_layer(wrong)
    onnx = pytest.importorskip("onnx", reason="writes the file")
    for name in ("4-6x8x8s2", "linear-5x3"):
        file = tmp_path / f"{name}.onnx"
        shape = write_layer_onnx(parse_layer(name), 2, file)
        onnx.checker.check_model(onnx.load(file))
        assert shape[:2] == (2, parse_layer(name).in_channels)
