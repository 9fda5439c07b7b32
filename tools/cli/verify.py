# `edgecl verify`: is this file intact, is it signed, does it compute what the source model does?
# Never here: exporting.
"""The command `verify`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import typer
from edgecl import _core
from edgecl.bundle import Bundle
from edgecl.cli import failure, output
from edgecl.deploy import signing
from edgecl.files import read_file
from numpy.typing import NDArray
from rich.console import Console

_ROWS = 16
_RELATIVE_TOLERANCE = 1e-4
BUNDLE_MAGIC = b"ECL1"


def compare(bundle: Bundle, data: bytes, model: str) -> dict[str, Any]:
    """Outputs of the bundle against those of its source model on seeded random samples.

    Returns:
        {"rows", "max_abs", "reference_abs", "tolerance", "same", "source"}
    """
    from edgecl.cli.model_source import load_model
    from edgecl.export.parity import bundle_logits

    if any(op["kind"].startswith("int8_") for op in bundle.model.ops()):
        raise failure.UsageError(
            "expected layers of float32 for --against; found int8 ones, whose outputs differ from the source's by "
            "their rounding; the export compared both, and `edgecl inspect` shows the figures"
        )
    if bundle.encoder is not None:
        raise failure.UsageError(
            "expected a bundle whose encoder edgecl runs for --against; found one with a file of another engine, whose "
            "probe is compared at its first use (`edgecl run`); leave it out"
        )
    info = bundle.info
    dims = tuple(info["input_dims"])
    network_dims = (dims[-1], *dims[:-1]) if info["channels_last"] else dims
    source = load_model(model, network_dims, int(info["class_capacity"]), seed=0)
    reference: Any
    if source.file is not None:
        from edgecl.export.onnx_prepare import prepared_model
        from edgecl.export.onnx_reference import OnnxReference
        from edgecl.export.qdq import take_integers

        reference = OnnxReference(take_integers(prepared_model(source.onnx_model()))[0])
    else:
        from edgecl.export.torch_front import TorchReference

        reference = TorchReference(source.module)
    parameters = _core.Session(bundle.model, max_batch=1, replay_capacity=0).parameters()
    for layer in bundle.layers:
        if layer["sparse"]:
            stored, source_weight = parameters[layer["name"]], reference.weight(layer["name"])
            reference.set_weight(layer["name"], _as_stored(stored.reshape(source_weight.shape), source_weight))
    raw = _random_samples(info, _ROWS)
    expected = np.asarray(reference.run(_network_input(info, raw, network_dims)), np.float64).reshape(_ROWS, -1)
    found = bundle_logits(data, raw)[:, : expected.shape[1]].astype(np.float64)
    if expected.min() >= 0 and np.allclose(expected.sum(axis=1), 1, atol=1e-5):  # the source ends in a softmax
        found = np.exp(found - found.max(axis=1, keepdims=True))
        found /= found.sum(axis=1, keepdims=True)
    elif expected.min() >= 0 and expected.max() <= 1 and (found.min() < 0 or found.max() > 1):  # in a sigmoid
        found = 1 / (1 + np.exp(-found))
    largest = float(np.abs(expected).max(initial=0.0))
    difference = float(np.abs(found - expected).max(initial=0.0))
    tolerance = _RELATIVE_TOLERANCE * max(largest, 1e-6)
    return {
        "rows": _ROWS,
        "max_abs": difference,
        "reference_abs": largest,
        "tolerance": tolerance,
        "same": bool(difference <= tolerance),
        "source": reference.source,
    }


def _as_stored(stored: NDArray[np.float32], source: NDArray[np.float32]) -> NDArray[np.float32]:
    """The source's weights where the bundle stores any, with the factor that the export gave a layer
    (`initial_scale`)."""
    kept = np.where(stored != 0, source, np.float32(0))
    squares = float(np.sum(np.square(kept, dtype=np.float64)))
    factor = math.sqrt(float(np.sum(np.square(stored, dtype=np.float64))) / squares) if squares > 0 else 1.0
    scaled = kept * np.float32(factor)
    return scaled if np.allclose(stored, scaled, rtol=1e-5, atol=0) else kept


def _random_samples(info: dict[str, Any], rows: int) -> NDArray[Any]:
    rng = np.random.default_rng(1)
    shape = (rows, *info["input_dims"])
    if info["input_dtype"] == 1:
        return rng.integers(0, 256, shape, dtype=np.uint8)
    return rng.standard_normal(shape).astype(np.float32)


def _network_input(info: dict[str, Any], raw: NDArray[Any], dims: tuple[int, ...]) -> NDArray[np.float32]:
    rows = np.moveaxis(raw, -1, 1) if info["channels_last"] else raw
    channels = (1, -1, *([1] * (len(dims) - 1)))
    mean, inv_std = (np.asarray(info["input"][key], np.float32).reshape(channels) for key in ("mean", "inv_std"))
    values = rows.astype(np.float32) * np.float32(info["input"]["scale"])
    return np.ascontiguousarray((values - mean) * inv_std, np.float32)


@failure.command
def verify(
    file: Path = typer.Argument(..., help="Bundle (.ecl) or state (.ecs)."),
    key: Path | None = typer.Option(None, "--key", help="Ed25519 public key; the bundle must be signed by it."),
    against: str | None = typer.Option(
        None, "--against", help="Source model (as in `edgecl export`): outputs must agree."
    ),
    bundle: Path | None = typer.Option(None, "--bundle", help="For a state: it must belong to this bundle."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Check structure and digests; on request the signature, the numbers, or that a state belongs to a bundle.

    Exit code 0 yes, 1 no (signature, numbers), 3 unreadable or corrupt.

    Example: edgecl verify model.ecl --against model.onnx

    JSON: {"file", "kind": "bundle" | "state", "bytes", "sha256", "ok", "signed_by_key", "release", "against": {"rows",
    "max_abs", "reference_abs", "tolerance", "same", "source"} | null}
    """
    data = read_file(file)
    document: dict[str, Any] = {
        "file": str(file),
        "bytes": len(data),
        "against": None,
        "signed_by_key": None,
        "release": None,
    }
    if data[:4] == BUNDLE_MAGIC or (bundle is None and file.suffix == ".ecl"):
        public_key = None if key is None else signing.read_public_key(key)
        _core.verify_bundle(data)
        if public_key is not None:
            document["release"] = signing.check(data, public_key)
        opened = Bundle(data)
        document.update(kind="bundle", sha256=opened.digest, ok=True)
        document["signed_by_key"] = None if key is None else True
        if against is not None:
            document["against"] = compare(opened, data, against)
            document["ok"] = document["against"]["same"]
    else:
        if key is not None or against is not None:
            raise failure.UsageError("expected a bundle for --key and --against; found a state; leave them out")
        from edgecl.state_file import read_state

        document.update(kind="state", sha256=read_state(data).sha256, ok=True)
        if bundle is not None:
            session = _core.Session(Bundle(bundle).model)
            session.state_import(data)

    def render(console: Console) -> None:
        console.print(f"{document['kind']} {file}: intact, {output.size(len(data))}, sha256 {document['sha256']}")
        if key is not None:
            console.print(f"signed by this key as release {document['release']}")
        if document["against"] is not None:
            a = document["against"]
            verdict = "agrees" if a["same"] else "DIFFERS"
            console.print(
                f"{verdict} with {a['source']}: at most {a['max_abs']:.3g} on {a['rows']} samples "
                f"(outputs up to {a['reference_abs']:.3g}, allowed {a['tolerance']:.3g})"
            )

    output.emit(document, as_json, render)
    if not document["ok"]:
        failure.finish(failure.NO)
