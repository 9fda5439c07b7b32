# Bundles that carry a model file of another engine as their encoder, under a head that keeps statistics.
# Never here: how devices run it (edgecl.external), cutting ONNX models (external_onnx.py).
"""`export_external_onnx`, `export_external_tflite`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import onnx
from edgecl.errors import BundleError
from edgecl.export.errors import TOKENS_REMEDY, ExportError
from edgecl.export.external_onnx import averaged, encoder_of_onnx
from edgecl.export.graph import Graph
from edgecl.export.options import ExportOptions
from edgecl.export.pipeline import CALIBRATION_SEED, export_head
from edgecl.export.recipe import InputSpec
from edgecl.export.report import ExportReport
from edgecl.export.rows_apart import refuse_mixed_rows, refuse_random
from edgecl.external import embedding_of
from edgecl.external_engines import TITLES, FileEngine, Slot, open_engine
from numpy.typing import NDArray

PROBE_ROWS = 4
_ROWS_TOGETHER = 3
_NUMBERS = {"onnx": 1, "tflite": 2}  # of engines in a bundle
_IMAGE = 3  # axes of a sample that has channels to move
_MAP = 3  # axes of an output that is a map


@dataclass(frozen=True)
class _Encoder:
    kind: str
    file: bytes
    engine: FileEngine
    dims: tuple[int, ...]  # of a sample as the file takes it
    channels_last: bool  # of the file
    notes: list[str]


def export_external_onnx(model: onnx.ModelProto, options: ExportOptions, name: str) -> ExportReport:
    """A bundle of the model's encoder as a file for onnxruntime.

    Raises:
        ExportError: see `external_onnx.encoder_of_onnx`; the file does not load, or gives no embeddings.
        UnsupportedError: onnxruntime is not installed. FileError.
    """
    cut = encoder_of_onnx(model, options.external_output)
    if cut.channels_last and not options.input.channels_last:
        options = replace(options, input=replace(options.input, channels_last=True))
    proto, notes = cut.model, cut.notes
    file = _bytes_of(proto)
    engine = _opened("onnx", file)
    dims = _dims("onnx", engine.inputs[0])
    shape = _output_shape(engine, dims)
    if prod(shape) == 0:
        raise ExportError(f"expected an embedding of some numbers; found shape {shape}; make no size 0", -2)
    rows = _random_inputs(dims)
    refuse_random(proto, rows[:1])
    refuse_mixed_rows(proto, rows)
    if len(shape) == _MAP and sum(size > 1 for size in shape) > 1:
        proto = averaged(proto)
        file = _bytes_of(proto)
        engine = _opened("onnx", file)
        notes.append(f"the output is a map, {list(shape)}; a mean over its positions was put behind it in the file")
    return _exported(_Encoder("onnx", file, engine, dims, cut.channels_last, notes), options, name)


def export_external_tflite(
    file: bytes, options: ExportOptions, name: str, given_input: InputSpec | None
) -> ExportReport:
    """A bundle of a whole TFLite file for ai-edge-litert or tflite-runtime.

    Args:
        given_input: None: as the file has it.

    Raises:
        ExportError: the file does not load, has several inputs or outputs, or gives no embeddings. UnsupportedError: no
            engine is installed. FileError.
    """
    if options.external_output is not None:
        raise ExportError(
            "expected external_output with an ONNX file; found a TFLite file, of which the only output is taken; leave "
            "it out",
            -1,
        )
    engine = _opened("tflite", file)
    for what, slots in (("input", engine.inputs), ("output", engine.outputs)):
        if len(slots) != 1:
            names = ", ".join(slot.name for slot in slots)
            raise ExportError(
                f"expected one {what}; found {len(slots)} ({names}); convert the model with one of each", -5
            )
        if slots[0].dtype not in ("float32", "int8", "uint8"):
            raise ExportError(
                f"expected an {what} of float32, int8 or uint8; found '{slots[0].name}' of {slots[0].dtype}; "
                + TOKENS_REMEDY,
                -5,
            )
    own, told = _own_input(engine.inputs[0])
    spec = own if given_input is None else given_input
    notes = ["embeddings are the file's output"]
    if told and replace(spec, channels_last=False) == own:
        notes.append(told)
    dims = _dims("tflite", engine.inputs[0])
    last = len(dims) == _IMAGE or spec.channels_last
    options = replace(options, input=spec)
    return _exported(_Encoder("tflite", file, engine, dims, last, notes), options, name)


def _exported(encoder: _Encoder, options: ExportOptions, name: str) -> ExportReport:
    spec, notes = options.input, encoder.notes
    if spec.channels_last and len(encoder.dims) != _IMAGE:
        raise ExportError(
            f"expected images for channels_last; found samples of shape {list(encoder.dims)}; leave it out", -1
        )
    shape = _output_shape(encoder.engine, encoder.dims)
    positions, dim = _embedding(encoder.kind, shape)
    raw_dims = _moved(encoder.dims, encoder.channels_last, spec.channels_last)
    if raw_dims != encoder.dims:
        notes.append(f"raw samples are {list(raw_dims)}; the file takes {list(encoder.dims)}")
    if positions > 1:
        notes.append(f"the output is a map, {list(shape)}; an embedding is the mean over its {positions} positions")
    channels = raw_dims[-1 if spec.channels_last else 0]
    info: dict[str, Any] = {
        "engine": _NUMBERS[encoder.kind],
        "file": encoder.file,
        "dtype": spec.dtype,
        "channels_last": spec.channels_last,
        # Samples without an axis to move go in as they are.
        "file_channels_last": encoder.channels_last if len(raw_dims) == _IMAGE else spec.channels_last,
        "dims": list(raw_dims),
        "positions": positions,
        "scale": float(np.float32(spec.scale)),
        "mean": spec.mean_array(channels),
        "inv_std": spec.inv_std_array(channels),
        "n_probe": PROBE_ROWS,
        "probe_outputs": np.zeros((PROBE_ROWS, dim), np.float32),
    }
    plain = replace(options, input=InputSpec(), calibration=None, name=options.name or name)
    draft = export_head(_graph(name, dim), replace(plain, out=None), encoder=info)
    info["probe_outputs"] = _embeddings(encoder.engine, info, dim, _probe(draft.bundle))
    rows = info["probe_outputs"]
    if options.calibration is not None:
        rows = _embeddings(encoder.engine, info, dim, _calibration(options, raw_dims))
        plain = replace(plain, calibration=rows)
    title = TITLES[encoder.kind]
    if rows.min() >= 0 and rows.max() <= 1:
        notes.append(
            "all embeddings lie in 0..1, as probabilities of classes do; if they are such, what enters the classifier "
            "makes better ones: take a model without it"
            + (", or name its input with --external-output" if encoder.kind == "onnx" else "")
        )
    notes += [
        f"the encoder ({title}, {len(encoder.file):,} bytes) runs in {encoder.engine.title} here and needs such an "
        f"engine on the device, which compares {PROBE_ROWS} outputs at its first use"
    ]
    graph = _graph(name, dim)
    graph.notes += notes
    return export_head(graph, plain, rows=rows, encoder=info, source=encoder.engine.title)


def _graph(name: str, dim: int) -> Graph:
    return Graph(name, "embedding", (dim,), {"embedding": (dim, 1, 1)}, output="embedding")


def _probe(bundle: bytes) -> NDArray[Any]:
    from edgecl import _core

    return _core.Model(data=bundle).encoder_probe()


def _embeddings(engine: FileEngine, info: dict[str, Any], dim: int, raw: NDArray[Any]) -> NDArray[np.float32]:
    described = {
        **{key: info[key] for key in ("channels_last", "file_channels_last", "positions")},
        "embedding_dim": dim,
        "input": {key: info[key] for key in ("scale", "mean", "inv_std")},
    }
    try:
        rows = np.stack([embedding_of(engine, described, row) for row in raw])
    except BundleError as error:
        raise ExportError(str(error), error.status) from error
    if not np.isfinite(rows).all():
        raise ExportError(
            "expected finite embeddings; found others; check the model, and that --scale, --mean and --std are those "
            "it was trained with",
            -60,
        )
    return rows


def _calibration(options: ExportOptions, dims: tuple[int, ...]) -> NDArray[Any]:
    rows = np.asarray(options.calibration)
    wanted = np.dtype(np.uint8 if options.input.dtype == "u8" else np.float32)
    if rows.ndim != len(dims) + 1 or rows.shape[1:] != dims or len(rows) == 0 or rows.dtype != wanted:
        raise ExportError(
            f"expected calibration rows (n, {', '.join(map(str, dims))}) of {wanted}; found {rows.shape} of "
            f"{rows.dtype}; hand in raw samples as the device will see them",
            -2,
        )
    return rows


def _opened(kind: str, file: bytes) -> FileEngine:
    try:
        return open_engine(kind, file, 1)
    except BundleError as error:
        raise ExportError(str(error), error.status) from error


def _bytes_of(model: onnx.ModelProto) -> bytes:
    try:
        return bytes(model.SerializeToString())
    except Exception as error:  # protobuf's own class: more than 2 GiB
        raise ExportError(f"expected a model of less than 2 GiB; found: {error}; export a smaller one", -22) from error


def _dims(kind: str, entry: Slot) -> tuple[int, ...]:
    sizes = entry.dims
    if kind == "tflite" and len(sizes) == 1 and sizes[0] is not None and sizes[0] > 1:
        return (sizes[0],)  # a waveform, without a batch axis
    if not 2 <= len(sizes) <= 5 or sizes[0] not in (None, 1):
        raise ExportError(
            f"expected an input with a batch axis of 1 or free, and 1 to 4 others; found '{entry.name}' of "
            f"{[size or 'free' for size in sizes]}; convert the model with such an input",
            -2,
        )
    fixed = [size for size in sizes[1:] if size is not None]
    if len(fixed) < len(sizes) - 1:
        raise ExportError(
            f"expected fixed sizes behind the batch axis; found '{entry.name}' of "
            f"{[size or 'free' for size in sizes]}; fix every size but the batch",
            -2,
        )
    return tuple(fixed)


def _output_shape(engine: FileEngine, dims: tuple[int, ...]) -> tuple[int, ...]:
    try:
        found = engine.run(np.zeros((1, *dims), np.float32))
    except Exception as error:  # each engine has classes of its own
        raise ExportError(
            f"expected the model to run on one sample; found: {' '.join(str(error).split())[:300]}; export it again "
            "with a batch axis of 1 or free",
            -5,
        ) from error
    if found.ndim < 2 or found.shape[0] != 1:
        raise ExportError(
            f"expected one embedding a sample, (1, numbers) or a map; found an output of shape {found.shape}; choose "
            "another with --external-output, or export a model that gives one",
            -2,
        )
    return tuple(found.shape[1:])


def _random_inputs(dims: tuple[int, ...]) -> NDArray[np.float32]:
    return np.random.default_rng(CALIBRATION_SEED).standard_normal((_ROWS_TOGETHER, *dims)).astype(np.float32)


def _embedding(kind: str, shape: tuple[int, ...]) -> tuple[int, int]:
    """Positions and numbers of an embedding."""
    if sum(size > 1 for size in shape) <= 1:
        return 1, prod(shape)
    if kind == "tflite":
        return prod(shape[:-1]), shape[-1]
    raise ExportError(
        f"expected an embedding (1, numbers) or a map (1, C, H, W); found an output of shape {(1, *shape)}; choose "
        "another with --external-output, or average it in the model",
        -2,
    )


def _moved(dims: tuple[int, ...], is_last: bool, wants_last: bool) -> tuple[int, ...]:
    if len(dims) != _IMAGE or is_last == wants_last:
        return dims
    return (*dims[1:], dims[0]) if wants_last else (dims[-1], *dims[:-1])


def tflite_input(file: bytes) -> InputSpec:
    """What the file itself takes, as raw samples of a bundle.

    Raises:
        ExportError: it does not load. UnsupportedError: no engine is installed.
    """
    return _own_input(_opened("tflite", file).inputs[0])[0]


def _own_input(entry: Slot) -> tuple[InputSpec, str]:
    """What a file of integers takes, as bytes: its own, and those of int8 larger by 128."""
    if entry.dtype not in ("int8", "uint8"):
        return InputSpec(), ""
    shift = 128 if entry.dtype == "int8" else 0
    zero = entry.zero_point + shift
    told = (
        f"the file takes {entry.dtype}; the bundle takes bytes"
        + (" that are 128 larger" if shift else "")
        + f", scale {entry.scale:.9g}, zero point {zero}; --input-dtype f32 takes real numbers instead"
    )
    return InputSpec("u8", scale=entry.scale, mean=entry.scale * zero), told
