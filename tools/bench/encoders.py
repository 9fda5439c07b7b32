"""Frozen encoders beside LiteRT and ONNX Runtime: float32 and int8, one row, one thread, in turns.

    python tools/bench/encoders.py --cache FOLDER --json tools/bench/results/encoders.json

EfficientNet-Lite0 (as `edgecl` has it) and MobileNetV2 (Sandler et al. 2018; random weights) come from PyTorch, MLPerf
Tiny's networks from the files of the data folder, both forms of each. In int8: ONNX Runtime runs a QDQ file that its
own quantize_static makes; LiteRT the data folder's file, or what ai-edge-quantizer makes of the float file, where that
package is installed. ResNet-18, MobileNetV3 and V4 take part where torchvision and timm
are on PYTHONPATH. Ranges are those of random rows: the times do not depend on them. A figure is the smallest of
rounds in turns. Needs the data folder (EDGECL_DATA), the extras `export`, `encoder` and `peers`; --cache keeps files.
Never here: accuracy (int8_files.py), learning (peers.py).
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from edgecl import _core, export
from edgecl.evaluate.data_files import data_file
from edgecl.export.tflite_front import onnx_of_tflite
from int8_data import qdq_file
from int8_files import smallest_ms
from litert_model import write_network
from network_sources import of_timm, of_torchvision
from networks import INPUT_SHAPE, build
from numpy.typing import NDArray
from pages import encoders_table
from torch import nn
from written import write_measured

TINY = ("mlperf_tiny_resnet8_cifar10", "mlperf_tiny_dscnn_kws", "mlperf_tiny_mobilenetv1_025_vww96")
CALIBRATION = 8
Call = Callable[[], Any]
Numbers = Literal["float32", "int8"]
NUMBERS: tuple[Numbers, ...] = ("float32", "int8")


def block(width: int, out: int, stride: int, expansion: int) -> nn.Module:
    """An inverted residual: 1x1 to more channels, depthwise 3x3, 1x1 back; added to its input where shapes allow."""
    hidden = width * expansion
    layers = [] if expansion == 1 else convolution(width, hidden, 1, 1)
    layers += convolution(hidden, hidden, 3, stride, hidden)
    layers += [nn.Conv2d(hidden, out, 1, bias=False), nn.BatchNorm2d(out)]
    return Residual(*layers) if stride == 1 and width == out else nn.Sequential(*layers)


def convolution(width: int, out: int, kernel: int, stride: int, groups: int = 1) -> list[nn.Module]:
    """With its norm and activation."""
    layer = nn.Conv2d(width, out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [layer, nn.BatchNorm2d(out), nn.ReLU6()]


class Residual(nn.Module):
    """Its layers' result is added to the input."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The sum."""
        out: torch.Tensor = self.layers(x)
        return x + out


def mobilenet_v2() -> nn.Module:
    """Width 1.0; ten classes."""
    torch.manual_seed(0)
    layers, width = convolution(3, 32, 3, 2), 32
    stages = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    for expansion, out, repeats, stride in stages:
        for i in range(repeats):
            layers.append(block(width, out, stride if i == 0 else 1, expansion))
            width = out
    layers += [*convolution(width, 1280, 1, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 10)]
    return nn.Sequential(*layers).eval()


@dataclass(frozen=True)
class Encoder:
    """A network as each runtime takes it. `model`: ONNX; `litert_int8`: None where it cannot be made."""

    name: str
    model: Any
    litert: Path | None
    litert_int8: Path | None
    make: Callable[[Numbers], export.ExportReport]


def litert_int8(source: Path, shape: tuple[int, ...]) -> Path | None:
    """What ai-edge-quantizer makes of a float file; inputs and outputs stay floats."""
    try:
        from ai_edge_quantizer import quantizer, recipe
    except ImportError:
        return None
    path = source.with_suffix(".int8.tflite")
    if not path.exists():
        maker = quantizer.Quantizer(str(source))
        maker.load_quantization_recipe(recipe.static_wi8_ai8())
        rows = np.moveaxis(random_rows(shape), 1, -1)
        ranges = maker.calibrate({"serving_default": [{"x": row[None]} for row in rows]})
        path.write_bytes(maker.quantize(ranges).quantized_model)
    return path


def random_rows(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Standard normal."""
    return np.random.default_rng(0).standard_normal((CALIBRATION, *shape)).astype(np.float32)


def from_torch(name: str, network: nn.Module, shape: tuple[int, ...], cache: Path) -> Encoder:
    """A PyTorch network."""
    import onnx

    rows, path = random_rows(shape), cache / f"{name}.onnx"
    if not path.exists():
        torch.onnx.export(network.eval(), (torch.zeros(1, *shape),), path, dynamo=False)
    try:
        litert: Path | None = write_network(network, shape, cache / f"{name}.tflite")
    except Exception as error:  # a layer that its converter here does not know
        print(f"{name}: without LiteRT: {type(error).__name__}: {str(error).splitlines()[0]}", file=sys.stderr)
        litert = None
    return Encoder(
        name, onnx.load(path), litert, None if litert is None else litert_int8(litert, shape),
        lambda kind: export.from_torch(
            network, torch.zeros(1, *shape), trainable="none", encoder=kind, calibration=rows,
        ),
    )  # fmt: skip


def from_data(name: str) -> Encoder:
    """A network of the data folder."""
    files = {kind: data_file(f"encoders/{name}_{kind}.tflite") for kind in ("f32", "int8")}
    return Encoder(
        name, onnx_of_tflite(files["f32"]).model, files["f32"], files["int8"],
        lambda kind: export.from_tflite(files["f32" if kind == "float32" else "int8"], trainable="none"),
    )  # fmt: skip


def others(cache: Path) -> Iterator[Encoder]:
    """Networks of torchvision and timm, where these are."""
    shape = (3, 224, 224)
    for name, make, of in (
        ("resnet18", of_torchvision, "resnet18"),
        ("mobilenet-v3-large", of_torchvision, "mobilenet_v3_large"),
        ("mobilenet-v4-conv-small", of_timm, "mobilenetv4_conv_small"),
    ):
        try:
            yield from_torch(name, make(of), shape, cache)
        except ImportError as error:
            print(f"{name}: left out: {error}", file=sys.stderr)


def litert_call(path: Path) -> Call:
    """One prediction by LiteRT with XNNPACK."""
    from ai_edge_litert.interpreter import Interpreter

    runtime = Interpreter(str(path), num_threads=1)
    runtime.allocate_tensors()
    entry, end = runtime.get_input_details()[0], runtime.get_output_details()[0]["index"]
    row = np.zeros(entry["shape"], entry["dtype"])

    def call() -> Any:
        runtime.set_tensor(entry["index"], row)
        runtime.invoke()
        return runtime.get_tensor(end)

    return call


def onnxruntime_call(model: bytes) -> Call:
    """One prediction by ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(model, options)
    entry = session.get_inputs()[0]
    given = {entry.name: np.zeros([d if isinstance(d, int) else 1 for d in entry.shape], np.float32)}
    return lambda: session.run(None, given)


def edgecl_call(report: export.ExportReport) -> Call:
    """One prediction here."""
    model = _core.Model(data=report.bundle)
    session, told = _core.Session(model, predict_only=1, max_batch=1), model.describe()
    row = np.zeros((1, *told["input_dims"]), np.uint8 if told["input_dtype"] == 1 else np.float32)
    return lambda: session.logits(row)


def rows_of(encoder: Encoder, cache: Path) -> Iterator[dict[str, Any]]:
    """Float32 and int8 of one encoder."""
    entry = encoder.model.graph.input[0]
    shape = tuple(d.dim_value for d in entry.type.tensor_type.shape.dim)[1:]
    for kind in NUMBERS:
        begin = time.perf_counter()
        report = encoder.make(kind)
        export_s = time.perf_counter() - begin
        calls = {"edgecl": edgecl_call(report)}
        if kind == "float32":
            model = encoder.model.SerializeToString()
        else:
            model = qdq_file(encoder.model, random_rows(shape), cache / f"{encoder.name}.qdq.onnx", True).read_bytes()
        calls["onnxruntime"] = onnxruntime_call(model)
        litert = encoder.litert if kind == "float32" else encoder.litert_int8
        if litert is not None:
            calls["litert"] = litert_call(litert)
        ms = smallest_ms(calls)
        yield {
            "encoder": encoder.name, "numbers": kind, "export_s": export_s, "ms": ms["edgecl"],
            "ms_litert": ms.get("litert"), "ms_onnxruntime": ms["onnxruntime"], "load": os.getloadavg()[0],
        }  # fmt: skip


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True, help="folder for the peers' files")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    arguments.cache.mkdir(parents=True, exist_ok=True)
    lite = "efficientnet-lite0"
    encoders = [
        from_torch(lite, build(lite), INPUT_SHAPE[lite], arguments.cache),
        from_torch("mobilenet-v2", mobilenet_v2(), (3, 224, 224), arguments.cache),
        *map(from_data, TINY),
        *others(arguments.cache),
    ]
    rows = [row for encoder in encoders for row in rows_of(encoder, arguments.cache)]
    print(encoders_table(rows))
    if arguments.json:
        write_measured(arguments.json, rows)


if __name__ == "__main__":
    main()
