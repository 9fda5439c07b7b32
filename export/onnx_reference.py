# The ONNX model as the parity reference: onnxruntime where it is installed, else ONNX's own evaluator.
# Never here: comparing (parity.py), preparing the model (onnx_prepare.py).
"""`OnnxReference`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from edgecl.export.errors import ExportError
from edgecl.export.onnx_double import DoubleModel
from edgecl.export.onnx_prepare import initialisers_of
from edgecl.export.opset import opset_of, upgraded
from edgecl.export.row_pieces import in_pieces
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

Run = Callable[[NDArray[Any], dict[str, NDArray[Any]]], NDArray[Any]]  # rows, weights beside the model


class OnnxReference:
    """A prepared model that runs. `channels_last`: its input is [N][H][W][C]. `before`: what the model was made of.
    `beside`: its large weights, which are further inputs of what runs, so that no engine copies them."""

    def __init__(self, model: onnx.ModelProto, beside: Mapping[str, NDArray[Any]] | None = None) -> None:
        self.channels_last = False
        self.before = ""
        self._beside = dict(beside or {})
        self._model = onnx.ModelProto()
        self._model.CopyFrom(model)
        self._model.graph.input.extend(
            onnx.helper.make_tensor_value_info(key, onnx.TensorProto.FLOAT, values.shape)
            for key, values in self._beside.items()
        )
        self._batch = model.graph.input[0].type.tensor_type.shape.dim[0].dim_value
        self._engine: tuple[str, Run] | None = None

    @property
    def source(self) -> str:
        """Name and version of what runs the model."""
        return self.before + self._running()[0]

    def run(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """As `parity.Reference`.

        Raises:
            ExportError: nothing here can run the model.
        """
        name, engine = self._running()
        try:
            return np.asarray(self._in_batches(engine, rows, self._beside), np.float32)
        except Exception as error:  # whatever the engine's operators raise
            raise self._not_run(name, error) from error

    def run_double(self, rows: NDArray[np.float32]) -> NDArray[np.float64] | None:
        """As `parity.Reference`: in ONNX's evaluator."""
        try:
            double = DoubleModel(self._model, self._beside)
            return self._in_batches(lambda piece, _: double.run(piece.astype(np.float64)), rows, {})
        except Exception:  # some operators of the evaluator are written for float32 only
            return None

    def weight(self, name: str) -> NDArray[np.float32]:
        """As `parity.Reference`."""
        return np.array((initialisers_of(self._model) | self._beside)[name], np.float32)

    def set_weight(self, name: str, values: NDArray[np.float32]) -> None:
        """As `parity.Reference`."""
        if name in self._beside:
            self._beside[name] = np.array(values, np.float32)
            return
        for tensor in self._model.graph.initializer:
            if tensor.name == name:
                dtype = numpy_helper.to_array(tensor).dtype
                tensor.CopyFrom(numpy_helper.from_array(values.astype(dtype), name))
        self._engine = None

    def _running(self) -> tuple[str, Run]:
        if self._engine is None:
            self._engine = _onnxruntime(self._model) or self._evaluating()
        return self._engine

    def _evaluating(self) -> tuple[str, Run]:
        try:
            return f"onnx {onnx.__version__} reference", _evaluator(upgraded(self._model))
        except Exception as error:  # an operator that it has not, or not of this set
            raise self._not_run("ONNX's evaluator", error) from error

    def _not_run(self, name: str, error: Exception) -> ExportError:
        opset = opset_of(self._model)
        remedy = "check the model"
        if not name.startswith("onnxruntime"):
            remedy = (
                "export it again in a newer set, or turn it into one (give it a batch axis of 1, then "
                "onnx.version_converter.convert_version(model, 13)), or install onnxruntime (extra engines)"
            )
        return ExportError(
            f"expected {name} to run the model (operator set {opset}), to compare the bundle with it; found: "
            f"{_first_line(error)}; {remedy}",
            -5,
        )

    def _in_batches(self, engine: Run, rows: NDArray[Any], beside: dict[str, NDArray[Any]]) -> NDArray[Any]:
        if self.channels_last:
            rows = np.ascontiguousarray(np.moveaxis(rows, 1, -1))

        def run(piece: NDArray[Any]) -> NDArray[Any]:
            lacking = max(0, self._batch - len(piece))
            full = np.concatenate([piece, np.repeat(piece[-1:], lacking, axis=0)]) if lacking else piece
            return engine(full, beside)[: len(piece)]

        return in_pieces(run, rows, self._batch)


def _onnxruntime(model: onnx.ModelProto) -> tuple[str, Run] | None:
    """None where it is not installed, or does not take the model: an operator set newer than its own, for example.
    Without its rewrites, which round otherwise."""
    try:
        import onnxruntime
    except ImportError:
        return None
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )  # fmt: skip
    except Exception:  # its own classes
        return None
    key, output = session.get_inputs()[0].name, session.get_outputs()[0].name
    return (
        f"onnxruntime {onnxruntime.__version__}",
        lambda rows, beside: np.asarray(session.run([output], {key: rows, **beside})[0]),
    )


def _evaluator(model: onnx.ModelProto) -> Run:
    evaluator = ReferenceEvaluator(model)
    key, output = model.graph.input[0].name, model.graph.output[0].name

    def run(rows: NDArray[Any], beside: dict[str, NDArray[Any]]) -> NDArray[Any]:
        results: Any = evaluator.run([output], {key: rows, **beside})
        return np.asarray(results[0])

    return run


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
