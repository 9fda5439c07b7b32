# The engines that run model files of other formats: onnxruntime, ai-edge-litert, tflite-runtime.
# Never here: bundles, samples (external.py); an import of an engine before one is asked for.
"""`open_engine`: a model file, loaded by the engine that is installed, from one sample to one output."""

from __future__ import annotations

import importlib
import threading
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import BundleError, UnsupportedError
from edgecl.parts import from_source

# By format: the modules that can run it, each with the package that has it, best first.
_MODULES = {
    "onnx": (("onnxruntime", "onnxruntime"),),
    "tflite": (("ai_edge_litert.interpreter", "ai-edge-litert"), ("tflite_runtime.interpreter", "tflite-runtime")),
}
PACKAGES = {kind: tuple(package for _, package in modules) for kind, modules in _MODULES.items()}
TITLES = {"onnx": "ONNX", "tflite": "TFLite"}
_INTEGERS = ("int8", "uint8")


@dataclass(frozen=True)
class Slot:
    """The input or output of a file.

    Attributes:
        dims: with the batch axis, if there is one (a waveform [T] has none); None where the size is free.
        dtype: "float32", "int8", "uint8" or the engine's own name of another.
        scale, zero_point: of integers, value = (stored - zero_point) * scale.
    """

    name: str
    dims: tuple[int | None, ...]
    dtype: str
    scale: float = 1.0
    zero_point: int = 0


class FileEngine(Protocol):
    """A loaded file. `title`: the engine and its version."""

    title: str
    inputs: list[Slot]
    outputs: list[Slot]

    def run(self, row: NDArray[np.float32]) -> NDArray[np.float32]:
        """The first output of one sample, (1, *dims), as floats. Safe to call from several threads."""


def open_engine(kind: str, file: bytes, n_threads: int) -> FileEngine:
    """Loads a file.

    Args:
        kind: "onnx" or "tflite".
        n_threads: of one run.

    Raises:
        UnsupportedError: no engine for it is installed. BundleError: the engine does not load it, in its words.
    """
    module, package = _installed(kind)
    engine: type[_OnnxEngine | _TfliteEngine] = _OnnxEngine if kind == "onnx" else _TfliteEngine
    try:
        return engine(module, package, file, n_threads)
    except Exception as error:  # each engine has classes of its own
        raise BundleError(
            f"expected {_a(kind)} file that {package} can run; found: {_words(error)}; use a version of {package} that "
            "knows its operators, or export the file again"
        ) from error


def _installed(kind: str) -> tuple[Any, str]:
    broken = ""
    for module, package in _MODULES[kind]:
        try:
            return importlib.import_module(module), package
        except ModuleNotFoundError:
            continue
        except Exception as error:  # installed, and of another interpreter or numpy
            broken = broken or f" that works ({package}: {_words(error)})"
    raise UnsupportedError(
        f"expected {' or '.join(PACKAGES[kind])} to run {_a(kind)} encoder; found none{broken}; pip install "
        f"{PACKAGES[kind][0]}, or "
        f"{from_source('engines')}, or hand in embeddings"
    )


class _OnnxEngine:
    def __init__(self, module: Any, package: str, file: bytes, n_threads: int) -> None:
        options = module.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = n_threads, 1
        options.execution_mode = module.ExecutionMode.ORT_SEQUENTIAL
        options.use_deterministic_compute = True
        options.log_severity_level = 3  # errors; they come as exceptions, too
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # between calls the CPU is others'
        self._session = module.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        self.title = f"{package} {module.__version__}"
        self.inputs = [_onnx_slot(value) for value in self._session.get_inputs()]
        self.outputs = [_onnx_slot(value) for value in self._session.get_outputs()]

    def run(self, row: NDArray[np.float32]) -> NDArray[np.float32]:
        (found,) = self._session.run([self.outputs[0].name], {self.inputs[0].name: row})
        return np.asarray(found, np.float32)


class _TfliteEngine:
    def __init__(self, module: Any, package: str, file: bytes, n_threads: int) -> None:
        self._interpreter = module.Interpreter(model_content=file, num_threads=n_threads)
        self._interpreter.allocate_tensors()
        self._lock = threading.Lock()  # an interpreter has one set of tensors
        self._places = [
            self._interpreter.get_input_details()[0]["index"],
            self._interpreter.get_output_details()[0]["index"],
        ]
        self.title = f"{package} {_version(package)}"
        self.inputs = [_tflite_slot(entry) for entry in self._interpreter.get_input_details()]
        self.outputs = [_tflite_slot(entry) for entry in self._interpreter.get_output_details()]

    def run(self, row: NDArray[np.float32]) -> NDArray[np.float32]:
        entry, result = self.inputs[0], self.outputs[0]
        given: NDArray[Any] = row
        if entry.dtype in _INTEGERS:
            bounds = np.iinfo(entry.dtype)
            steps = np.rint(row / np.float32(entry.scale)) + np.float32(entry.zero_point)
            given = np.clip(steps, bounds.min, bounds.max).astype(entry.dtype)
        if len(entry.dims) == 1:  # without a batch axis
            given = given.reshape(-1)
        with self._lock:
            self._interpreter.reset_all_variables()  # a sample does not depend on those before it
            self._interpreter.set_tensor(self._places[0], given)
            self._interpreter.invoke()
            found = self._interpreter.get_tensor(self._places[1])
        if result.dtype in _INTEGERS:
            found = (found.astype(np.float32) - np.float32(result.zero_point)) * np.float32(result.scale)
        return np.asarray(found, np.float32)


def _onnx_slot(value: Any) -> Slot:
    kind = str(value.type).removeprefix("tensor(").removesuffix(")")
    dims = tuple(size if isinstance(size, int) and size > 0 else None for size in value.shape)
    return Slot(value.name, dims, {"float": "float32"}.get(kind, kind))


def _tflite_slot(entry: dict[str, Any]) -> Slot:
    signature = entry.get("shape_signature", entry["shape"])
    dims = tuple(None if size < 1 else int(size) for size in np.asarray(signature).tolist())
    scales, zeros = (np.asarray(entry["quantization_parameters"][key]) for key in ("scales", "zero_points"))
    scale, zero = (float(scales[0]), int(zeros[0])) if scales.size else (1.0, 0)
    return Slot(str(entry["name"]), dims, np.dtype(entry["dtype"]).name, scale, zero)


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "of no known version"


def _a(kind: str) -> str:
    return f"{'an' if kind == 'onnx' else 'a'} {TITLES[kind]}"


def _words(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
