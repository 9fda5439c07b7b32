# The same network run by other libraries on this machine, for `edgecl bench --against`.
# Never here: predictions of any kind; a peer is measured or absent.
"""Measured rows of the peers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from edgecl.cli.bench_measure import row_of, time_calls
from edgecl.cli.failure import UsageError, needs


def peer_rows(
    peers: list[str],
    model: str | None,
    tflite: Path | None,
    bundle: Any,
    combinations: list[tuple[str, int, int]],
    repeat: int,
    peak: float,
) -> list[dict[str, Any]]:
    """Rows of each peer for each (what, batch, threads); `model` and `tflite` name the bundle's source.

    PyTorch and ONNX Runtime take `model`; LiteRT takes `tflite`, batch 1. Only PyTorch learns. A learn row takes
    the rows of the batch without replay: export with --method finetune to compare like with like.

    Raises:
        UsageError: the source is missing. UnsupportedError: the peer's package is not installed.
    """
    info = bundle.describe()
    macs = {"predict": int(info["macs_forward"]), "learn": int(info["macs_forward"]) + int(info["macs_backward"])}
    rows = []
    for peer in peers:
        for what, batch, threads in combinations:
            if peer == "litert":
                call = _litert(tflite, batch, threads) if what == "predict" and batch == 1 else None
            else:
                call = (_torch if peer == "torch" else _onnxruntime)(model, info, what, batch, threads)
            if call is None:
                continue
            row = row_of(what, batch, 0, threads, time_calls(call, repeat), batch * macs[what], peak)
            rows.append(row | {"by": peer})
    return rows


def _shape(info: dict[str, Any]) -> tuple[int, ...]:
    dims = tuple(info["input_dims"][: info["input_rank"]])
    return (dims[-1], *dims[:-1]) if info["channels_last"] else dims


def _module(model: str | None, info: dict[str, Any]) -> Any:
    from edgecl.cli.model_source import load_model

    if model is None:
        raise UsageError("expected --model with --against torch or onnxruntime; found none; name the bundle's source")
    return load_model(model, _shape(info), int(info["class_capacity"]), 0)


def _torch(model: str | None, info: dict[str, Any], what: str, batch: int, threads: int) -> Callable[[], object] | None:
    source = _module(model, info)
    if source.module is None:
        raise UsageError(
            f"expected a PyTorch model for --against torch; found '{model}'; name a module or a built-in network"
        )
    import torch
    from torch.nn import functional

    torch.set_num_threads(threads)
    module = source.module
    x = torch.randn(batch, *_shape(info))
    if x.dim() == 4:
        module, x = module.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    if what == "predict":
        module.eval()

        def predict() -> object:
            with torch.inference_mode():
                return module(x)

        return predict
    module.train()
    y = torch.arange(batch) % int(info["class_capacity"])
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-6)

    def learn() -> object:
        optimizer.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(module(x), y)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return loss.item()

    return learn


def _onnxruntime(
    model: str | None, info: dict[str, Any], what: str, batch: int, threads: int
) -> Callable[[], object] | None:
    if what == "learn":
        return None
    with needs("onnxruntime", "peers"):
        import onnxruntime
    source = _module(model, info)
    data = (
        source.onnx_model().SerializeToString()
        if source.file is not None
        else _to_onnx(source.module, (batch, *_shape(info)))
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0].name
    x = np.random.default_rng(0).standard_normal((batch, *_shape(info)), dtype=np.float32)
    return lambda: session.run(None, {entry: x})


def _to_onnx(module: Any, shape: tuple[int, ...]) -> bytes:
    import io
    import warnings

    import torch

    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), (torch.zeros(shape),), buffer, dynamo=False, opset_version=17)  # type: ignore[arg-type]
    return buffer.getvalue()


def _litert(tflite: Path | None, batch: int, threads: int) -> Callable[[], object]:
    if tflite is None:
        raise UsageError("expected --tflite FILE with --against litert; found none; convert the network first")
    with needs("ai-edge-litert", "peers"):
        from ai_edge_litert.interpreter import Interpreter
    interpreter = Interpreter(model_path=str(tflite), num_threads=threads)
    interpreter.allocate_tensors()
    entry, out = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    x = np.zeros(entry["shape"], entry["dtype"])

    def call() -> object:
        interpreter.set_tensor(entry["index"], x)
        interpreter.invoke()
        return interpreter.get_tensor(out["index"])

    return call
