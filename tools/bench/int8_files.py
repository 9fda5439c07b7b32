"""Int8 files that stay in integers: outputs beside their own runtime, time, and what the integers cost in accuracy.

    python tools/bench/int8_files.py --cache FOLDER --json tools/bench/results/int8_files.json

Each int8 .tflite of the data folder: the stored logits of real rows against LiteRT's reference kernels, the
probabilities against LiteRT as it comes (XNNPACK, which rounds otherwise), the time of an export, and one prediction,
one row, one thread, in turns with LiteRT. QDQ files, made here by onnxruntime.quantization: the embedding against
onnxruntime, that against itself without its fusions, and each operator alone on onnxruntime's own integers. Accuracy: a
ridge head on the embeddings of the frozen network in float32 and in int8, one pass. Needs the data folder
(EDGECL_DATA), the extra `peers` and Pillow; --cache keeps QDQ files. Never here: data (int8_data.py), tests of single
operators (tests/export).
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from edgecl import _core, export
from edgecl.cli.results import read_table, write_table
from edgecl.devices.machine import this_machine
from edgecl.evaluate.data_files import data_file
from edgecl.export.graph import Graph
from edgecl.export.onnx_front import graph_of_onnx
from edgecl.export.options import ExportOptions
from edgecl.export.pipeline import prepare, with_stored_integers
from edgecl.export.stored import Stored
from edgecl.export.tflite.read import read_tflite
from edgecl.export.tflite_front import onnx_of_tflite
from heads import stream
from heads_data import Task, folds
from heads_formulas import Head
from int8_data import U8, as_bytes, groceries, keywords, qdq_file, rows_of
from numpy.typing import NDArray
from pages import int8_accuracy_table, int8_files_table, int8_qdq_table

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests/export"))
interpreter = importlib.import_module("int8_interpreter")  # the formulas, which the kernels are held to bit for bit

FILES = ("mlperf_tiny_resnet8_cifar10_int8", "mlperf_tiny_dscnn_kws_int8", "mlperf_tiny_mobilenetv1_025_vww96_int8")
MOBILENET = "mobilenet_v2_1.0_224_imagenet_uint8"
ROWS, SLOW_ROWS = 64, 8  # compared; of a large network
ROUNDS, ROUND = 60, 1e-3  # of a timing; seconds of a round, about, since a longer one is interrupted
CALIBRATION = 100
RIDGE = Head("ridge", shrinkage=0.3)


def smallest_ms(calls: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Milliseconds of one call, the smallest of rounds in turns: the machine does other work too."""

    def seconds(call: Callable[[], Any], n: int) -> float:
        begin = time.perf_counter()
        for _ in range(n):
            call()
        return (time.perf_counter() - begin) / n

    times = {name: max(1, int(ROUND / min(seconds(call, 1) for _ in range(5)))) for name, call in calls.items()}
    found = dict.fromkeys(calls, float("inf"))
    for _ in range(ROUNDS):
        for name, call in calls.items():
            found[name] = min(found[name], 1e3 * seconds(call, times[name]))
    return found


@dataclass(frozen=True)
class Network:
    """Graph and plan of a network whose frozen part is in integers."""

    graph: Graph
    plan: dict[str, Any]

    @staticmethod
    def of(model: onnx.ModelProto, stored: Stored | None, trainable: str, spec: export.InputSpec, raw: U8) -> Network:
        """As an export makes it."""
        options = ExportOptions(trainable=trainable, input=spec)
        graph, options, _ = graph_of_onnx(model, options, "network", stored)
        prepared = with_stored_integers(prepare(graph, options, "bench"), options, "bench", raw[:1], False)
        assert prepared is not None
        return Network(prepared.graph, prepared.plan)

    def against_runtime(self, spec: export.InputSpec, raw: U8) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Integers of the first tensor that is dequantised: the bundle's, the runtime's, the runtime's other ones."""
        stored = self.graph.stored
        assert stored is not None and stored.run is not None
        border = next(op for op in self.graph.ops if op.kind == "dequantize")
        index = 1 + self.graph.ops.index(border)
        draft = {**self.plan, "recipe": export.Recipe().as_plan("head"), "embedding_tensor": index}
        session = _core.Session(_core.Model(data=_core.write_bundle(draft)), predict_only=1, max_batch=1)
        real = np.concatenate([session.embed(row[None]) for row in raw])
        entry = self.graph.quantisations[border.inputs[0]]
        steps = np.rint(real.astype(np.float64) / entry.scale) + entry.zero_point
        rows = spec.network_input(raw, self.graph.tensors[self.graph.input][0]).reshape(
            len(raw), *self.graph.input_dims
        )
        origin = [stored.origins[border.output]]
        wanted = stored.run(rows, origin)[0].reshape(steps.shape)
        other = wanted if stored.again is None else stored.again(rows, origin)[0].reshape(steps.shape)
        return steps, wanted, other

    def alone(self, spec: export.InputSpec, raw: U8) -> tuple[float, int]:
        """Each int8 operator on the runtime's integers of its inputs: numbers in a million that differ, by how much at
        most."""
        stored = self.graph.stored
        assert stored is not None and stored.again is not None
        known = {name: stored.origins[name.removesuffix(".int8")] for name in self.graph.quantisations}
        rows = spec.network_input(raw, self.graph.tensors[self.graph.input][0]).reshape(
            len(raw), *self.graph.input_dims
        )
        values = dict(zip(known, stored.again(rows, list(known.values())), strict=True))
        differ = total = most = 0
        for op, record in zip(self.graph.ops, self.plan["ops"], strict=True):
            if not op.kind.startswith("int8_"):
                continue
            shapes = [(len(raw), *self.graph.tensors[name]) for name in (*op.inputs, op.output)]
            x = [values[name].reshape(shape) for name, shape in zip(op.inputs, shapes, strict=False)]
            apart = np.abs(interpreter.run_op(self.plan, record, x) - values[op.output].reshape(shapes[-1]))
            differ, total, most = differ + int((apart > 0).sum()), total + apart.size, max(most, int(apart.max()))
        return 1e6 * differ / total, most


def figures(found: NDArray[Any], wanted: NDArray[Any]) -> tuple[float, int]:
    """Share of equal numbers, largest difference in steps."""
    apart = np.abs(found - wanted)
    return float((apart == 0).mean()), int(apart.max())


def softmax_steps(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """As a file stores probabilities: in steps of 1/256 from -128."""
    powers = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    return np.asarray(np.clip(np.rint(256 * powers / powers.sum(1, keepdims=True)) - 128, -128, 127))


def file_row(name: str) -> dict[str, Any]:
    """One int8 .tflite."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    path = data_file(f"encoders/{name}.tflite")
    converted = onnx_of_tflite(path)
    spec = converted.input
    raw = rows_of(name, spec.scale, float(np.ravel(spec.mean)[0]), ROWS)
    begin = time.perf_counter()
    report = export.from_tflite(path, trainable="none")
    export_s = time.perf_counter() - begin
    network = Network.of(converted.model, converted.stored, "none", spec, raw)
    steps, wanted, _ = network.against_runtime(spec, raw)
    floats = export.from_tflite(path, trainable="none", encoder="float32")
    bundles = {"auto": report.bundle, "float32": floats.bundle}
    sessions = {
        kind: _core.Session(_core.Model(data=data), predict_only=1, max_batch=1) for kind, data in bundles.items()
    }
    reference = Interpreter(str(path), num_threads=1, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    peer = Interpreter(str(path), num_threads=1)
    for each in (reference, peer):
        each.allocate_tensors()
    entry, end = peer.get_input_details()[0]["index"], peer.get_output_details()[0]["index"]
    given = [np.moveaxis(row.astype(np.int16) - 128, 0, -1)[None].astype(np.int8) for row in raw]

    def ask(runtime: Any, row: NDArray[np.int8]) -> NDArray[np.int16]:
        runtime.set_tensor(entry, row)
        runtime.invoke()
        return np.array(runtime.get_tensor(end)[0], np.int16)

    probabilities = softmax_steps(np.concatenate([sessions["auto"].logits(row[None]) for row in raw]))
    as_it_comes = np.stack([ask(peer, row) for row in given])
    equal, most = figures(steps, wanted)
    equal_default, most_default = figures(probabilities, as_it_comes)
    equal_self, most_self = figures(np.stack([ask(reference, row) for row in given]), as_it_comes)
    one = np.ascontiguousarray(raw[:1])
    calls = {kind: (lambda session=session: session.logits(one)) for kind, session in sessions.items()}
    ms = smallest_ms({**calls, "litert": lambda: ask(peer, given[0])})
    layers = len(read_layers(path))
    turned = sum(op["kind"] == "int8_conv" for op in network.plan["ops"])
    return {
        "file": name, "layers": layers, "int8_layers": turned, "rows": len(raw), "outputs": steps.shape[1],
        "equal": equal, "steps": most, "equal_default": equal_default, "steps_default": most_default,
        "equal_self": equal_self, "steps_self": most_self,
        "export_s": export_s, "ms": ms["auto"], "ms_float32": ms["float32"], "ms_litert": ms["litert"],
        "bytes": len(report.bundle), "bytes_float32": len(bundles["float32"]),
    }  # fmt: skip


def read_layers(path: Path) -> list[str]:
    """Operators with weights."""
    kinds = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
    return [op.kind for op in read_tflite(path.read_bytes(), path.name).operators if op.kind in kinds]


def quantised(cache: Path, name: str, unsigned: bool) -> tuple[Path, Any, U8]:
    """A QDQ file of the network `name`, its input, and rows."""
    converted = onnx_of_tflite(data_file(f"encoders/{name}.tflite"))
    spec = converted.input if converted.input.dtype == "u8" else export.InputSpec("u8")
    raw = rows_of(name, spec.scale, 0.0, CALIBRATION)
    path = cache / f"{name}_{'u8' if unsigned else 's8'}.qdq.onnx"
    return qdq_file(converted.model, spec.network_input(raw, raw.shape[1]), path, unsigned), spec, raw


def qdq_row(cache: Path, name: str, unsigned: bool) -> dict[str, Any]:
    """One QDQ file."""
    import onnxruntime

    path, spec, raw = quantised(cache, name, unsigned)
    begin = time.perf_counter()
    report = export.from_onnx(path, trainable="head", input=spec, calibration=raw[:8])
    export_s = time.perf_counter() - begin
    raw = raw[:SLOW_ROWS]
    network = Network.of(onnx.load(path), None, "head", spec, raw)
    steps, wanted, other = network.against_runtime(spec, raw)
    alone = network.alone(spec, raw[:2])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    peer = onnxruntime.InferenceSession(str(path), options)
    session = _core.Session(_core.Model(data=report.bundle), predict_only=1, max_batch=1)
    one = np.ascontiguousarray(raw[:1])
    given = {peer.get_inputs()[0].name: spec.network_input(one, one.shape[1])}
    ms = smallest_ms({"ours": lambda: session.logits(one), "peer": lambda: peer.run(None, given)})
    equal, most = figures(steps, wanted)
    equal_self, most_self = figures(other, wanted)
    return {
        "file": name, "activations": "uint8" if unsigned else "int8", "rows": len(raw), "numbers": steps.shape[1],
        "equal": equal, "steps": most, "equal_self": equal_self, "steps_self": most_self, "differ_alone": alone[0],
        "steps_alone": alone[1], "export_s": export_s, "ms": ms["ours"], "ms_onnxruntime": ms["peer"],
    }  # fmt: skip


def embedded(report: export.ExportReport, raw: NDArray[Any]) -> NDArray[np.float32]:
    """What the head sees."""
    session = _core.Session(_core.Model(data=report.bundle), predict_only=1, max_batch=1)
    return np.concatenate([session.embed(np.ascontiguousarray(row[None])) for row in raw])


def grocery_rows(cache: Path) -> Iterator[dict[str, Any]]:
    """59 classes; training rows learned in one pass, test rows asked."""
    path, found = data_file(f"encoders/{MOBILENET}.tflite"), groceries(224)
    train, test = found.split == "train", found.split == "test"
    calibration = found.x[train][:CALIBRATION]
    qdq, spec, _ = quantised(cache, MOBILENET, False)
    made = {
        "float32": export.from_tflite(path, trainable="head", encoder="float32"),
        "int8, ranges measured here": export.from_tflite(
            path, trainable="head", encoder="int8", calibration=calibration
        ),
        "int8, QDQ file": export.from_onnx(qdq, trainable="head", input=spec, calibration=calibration[:8]),
    }
    for numbers, report in made.items():
        x = embedded(report, found.x)
        task = Task("groceries", numbers, x[train], found.y[train], x[test], found.y[test], 6)
        yield {
            "data": "groceries, 59 classes", "network": "MobileNetV2", "numbers": numbers, "test_rows": int(test.sum()),
            "accuracy": stream(RIDGE, task)["hits"] / int(test.sum()),
        }  # fmt: skip


def keyword_rows() -> Iterator[dict[str, Any]]:
    """10 words, speakers held out, five folds."""
    found = keywords()
    made = {
        "float32": export.from_tflite(data_file("encoders/mlperf_tiny_dscnn_kws_f32.tflite"), trainable="head"),
        "int8, the int8 file": export.from_tflite(
            data_file("encoders/mlperf_tiny_dscnn_kws_int8.tflite"), trainable="head"
        ),
    }
    spec = onnx_of_tflite(data_file("encoders/mlperf_tiny_dscnn_kws_int8.tflite")).input
    for numbers, report in made.items():
        raw: NDArray[Any] = found.x
        if numbers != "float32":
            raw = as_bytes(found.x, spec.scale, float(np.ravel(spec.mean)[0]))
        x = embedded(report, raw)
        hits = 0
        for held_out in folds(found.speaker):
            task = Task("keywords", numbers, x[~held_out], found.y[~held_out], x[held_out], found.y[held_out], 5)
            hits += stream(RIDGE, task)["hits"]
        yield {
            "data": "keywords, 10 words", "network": "DS-CNN", "numbers": numbers, "test_rows": len(x),
            "accuracy": hits / len(x),
        }  # fmt: skip


def main() -> None:
    """Runs what is asked for and prints the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--parts", nargs="+", default=["files", "qdq", "accuracy"], choices=["files", "qdq", "accuracy"]
    )
    parser.add_argument("--cache", type=Path, required=True, help="folder for QDQ files")
    parser.add_argument("--json", type=Path, help="parts that are not measured stay")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", module="ai_edge_litert")
    arguments.cache.mkdir(parents=True, exist_ok=True)
    record: dict[str, Any] = {"rows": [], "qdq": [], "accuracy": []}
    if arguments.json and arguments.json.exists():
        record = read_table(arguments.json)

    def told(row: dict[str, Any]) -> dict[str, Any]:
        print(json.dumps(row), file=sys.stderr, flush=True)
        return row

    if "files" in arguments.parts:
        record["rows"] = [told(file_row(name)) for name in FILES]
        print(int8_files_table(record["rows"]))
    if "qdq" in arguments.parts:
        wanted = (
            ("mlperf_tiny_resnet8_cifar10_f32", True),
            ("mlperf_tiny_resnet8_cifar10_f32", False),
            (MOBILENET, True),
        )
        record["qdq"] = [told(qdq_row(arguments.cache, *each)) for each in (*wanted, (MOBILENET, False))]
        print(int8_qdq_table(record["qdq"]))
    if "accuracy" in arguments.parts:
        record["accuracy"] = [told(row) for rows in (grocery_rows(arguments.cache), keyword_rows()) for row in rows]
        print(int8_accuracy_table(record["accuracy"]))
    if arguments.json:
        machine = this_machine()
        date = datetime.now(timezone.utc).strftime("%Y-%m-%d")
        measured_on = f"{' '.join(machine.cpu_parts)} ({machine.architecture})"
        write_table(arguments.json, {**record, "date": date, "measured_on": measured_on})


if __name__ == "__main__":
    main()
