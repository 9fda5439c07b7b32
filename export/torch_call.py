# What a PyTorch module is, takes and gives: checked before it is traced, explained when it fails.
# Never here: tracing (torch_front.py), ONNX.
"""`as_written` and `example_rows` check arguments, `one_of` finds the logits, `why_it_fails` says whose fault it is."""

from __future__ import annotations

import dataclasses
import inspect
import traceback
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from edgecl.export.errors import TOKENS_REMEDY, ExportError, raised

TRACED_ROWS = 2  # so that a shape which holds the batch size is not mistaken for one that holds a 1
_MOST_NAMED = 8  # outputs in a message
_ARRAYS = ("?", "u1", "i1", "i2", "i4", "i8", "f2", "f4", "f8", "c8", "c16")  # that PyTorch takes
_CONVERT = "convert it (x.float(), x.astype('float32'))"
_ANY_ROWS = "write sizes as x.shape[0] or -1 (flatten(1) in place of a reshape to fixed sizes)"
_WRAPPERS = (torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel)


def as_written(module: Any) -> torch.nn.Module:
    """What stands behind a compiled or parallel module; refuses what cannot be traced.

    Raises:
        ExportError: no module, a scripted one, one of several inputs, or parameters that are not float32 or hold no
            numbers.
    """
    if isinstance(module, type):
        raise ExportError(
            f"expected a torch.nn.Module; found the class {module.__name__}; make one first: {module.__name__}(...)", -3
        )
    module = getattr(module, "_orig_mod", module)
    if isinstance(module, _WRAPPERS):
        module = module.module
    if isinstance(module, torch.jit.ScriptModule):
        raise ExportError(
            "expected a module as it was written; found one of torch.jit; hand in the module that was scripted or "
            "traced",
            -3,
        )
    if not isinstance(module, torch.nn.Module):
        remedy = "put it into the forward of one" if callable(module) else "hand in the network itself"
        if isinstance(module, torch.export.ExportedProgram):
            remedy = "hand in the module that was exported"
        raise ExportError(f"expected a torch.nn.Module; found {_a(module)}; {remedy}", -3)
    tensors = [*module.parameters(), *module.buffers()]
    if any(torch.nn.parameter.is_lazy(tensor) for tensor in tensors):
        raise ExportError(
            "expected parameters with a shape; found a lazy layer that has not seen an input; call module(example) "
            "once first",
            -2,
        )
    if any(tensor.is_meta for tensor in tensors):
        raise ExportError(
            "expected parameters with numbers; found some on the device 'meta', which holds none; load the weights "
            "(module.to_empty(device='cpu'), then load_state_dict) first",
            -3,
        )
    made = [
        f"'{name}'"
        for name, layer in module.named_modules()
        if isinstance(layer, torch.jit.ScriptModule) or hasattr(layer, "_orig_mod")
    ]
    if made:
        raise ExportError(
            f"expected layers as they were written; found compiled or scripted ones, {', '.join(made[:3])}; put in the "
            "layers that they were made of (of torch.compile: layer._orig_mod)",
            -3,
        )
    if any(tensor.layout != torch.strided for tensor in tensors):
        raise ExportError(
            "expected dense parameters; found sparse ones; call to_dense() on them; density keeps the largest", -3
        )
    quantised = [
        f"'{name}' ({type(layer).__name__})"
        for name, layer in module.named_modules()
        if ".quantized." in f"{type(layer).__module__}."
    ]
    if quantised:
        raise ExportError(
            f"expected layers of float32; found quantised ones, {', '.join(quantised[:3])}; hand in the module before "
            "that, and encoder='int8' with calibration rows",
            -3,
        )
    projected = [f"'{name}'" for name, layer in module.named_modules() if getattr(layer, "proj_size", 0)]
    if projected:
        raise ExportError(
            f"expected recurrent layers that give their states as they are; found proj_size in "
            f"{', '.join(projected[:3])}; put a linear layer behind, and leave proj_size out",
            -5,
        )
    types = {_name(p.dtype) for p in module.parameters() if p.is_floating_point() or p.is_complex()} - {"float32"}
    if types:
        is_complex = any(kind.startswith("complex") for kind in types)
        raise ExportError(
            f"expected parameters of float32; found {', '.join(sorted(types))}; "
            + ("write it with real numbers" if is_complex else "call module.float() first"),
            -3,
        )
    _refuse_inputs(module)
    return module


def _refuse_inputs(module: torch.nn.Module) -> None:
    try:
        inspect.signature(module.forward).bind(None)
    except ValueError:  # written in C
        return
    except TypeError as error:
        names = [
            name
            for name, entry in inspect.signature(module.forward).parameters.items()
            if entry.default is entry.empty and entry.kind not in (entry.VAR_POSITIONAL, entry.VAR_KEYWORD)
        ]
        found = f"{len(names)} ({', '.join(names)})" if names else "none"
        remedy = (
            "wrap it in a module that takes one tensor and cuts the others out of it, or gives them fixed values"
            if names
            else "let forward take the input"
        )
        raise ExportError(
            f"expected a module whose forward takes one tensor; found that {type(module).__name__}.forward needs "
            f"{found}; {remedy}",
            -5,
        ) from error


def example_rows(example: Any) -> torch.Tensor:
    """As many rows as are traced, with the numbers of the example's first one.

    Raises:
        ExportError: no float32 tensor or array with a batch axis.
    """
    if isinstance(example, torch.Tensor):
        tensor = torch.zeros(example.shape, dtype=example.dtype) if example.is_meta else example.detach().cpu()
    elif isinstance(example, np.ndarray) and example.dtype in _ARRAYS:
        tensor = torch.from_numpy(np.array(example))
    else:
        kind = f"an array of {example.dtype}" if isinstance(example, np.ndarray) else _a(example)
        raise ExportError(
            f"expected an example that is a torch tensor or a numpy array of float32; found {kind}; hand in one such "
            "as torch.zeros(1, 3, 32, 32)",
            -3,
        )
    if tensor.is_sparse or tensor.layout != torch.strided:
        raise ExportError(f"expected a dense example; found one of {tensor.layout}; call to_dense()", -3)
    if tensor.dtype != torch.float32:
        remedies = {
            torch.uint8: f"{_CONVERT}; raw bytes are declared by InputSpec(dtype='u8')",
            torch.int64: f"{_CONVERT} if the module takes real numbers too; {TOKENS_REMEDY}",
            torch.int32: f"{_CONVERT} if the module takes real numbers too; {TOKENS_REMEDY}",
        }
        remedy = "hand in real numbers" if tensor.is_complex() else remedies.get(tensor.dtype, _CONVERT)
        raise ExportError(
            f"expected an example of float32, as the network takes it; found {_name(tensor.dtype)}; {remedy}", -3
        )
    if tensor.ndim < 2 or tensor.numel() == 0:
        remedy = "make no axis 0" if tensor.ndim > 1 else "add the axis"
        raise ExportError(
            f"expected an example with a batch axis, [N][...] and N >= 1; found shape {tuple(tensor.shape)}; {remedy}",
            -2,
        )
    return torch.cat([tensor[:1]] * TRACED_ROWS)


def one_of(outputs: Any, logits: str | int | None) -> torch.Tensor:
    """The tensor of logits among what a module gives. `logits`: its position, key or field; inside others a path with
    dots.

    Raises:
        ExportError: there are several and none is named, or no such one.
    """
    if logits is None and isinstance(outputs, torch.Tensor):
        return outputs
    tensors = dict(_tensors(outputs, ""))
    chosen = tensors.get(str(logits))
    if chosen is None and isinstance(outputs, tuple) and str(logits).isdecimal() and int(str(logits)) < len(outputs):
        chosen = outputs[int(str(logits))]  # of a named tuple
    if isinstance(chosen, torch.Tensor):
        return chosen
    names = [repr(int(path) if path.isdecimal() else path) for path in tensors]
    more = ", ..." if len(names) > _MOST_NAMED else ""
    held = f" with the tensor{'s' * (len(names) > 1)} {', '.join(names[:_MOST_NAMED])}{more}" if names else ""
    found = "one tensor" if isinstance(outputs, torch.Tensor) else _a(outputs) + held
    if logits is not None:
        raise ExportError(f"expected an output {logits!r} that is a tensor; found {found}; name another, or none", -23)
    remedy = "return a tensor"
    if tensors:
        best = next((path for path in tensors if path.rpartition(".")[2] == "logits"), next(iter(tensors)))
        shown = repr(int(best) if best.isdecimal() else best)
        remedy = f"name the tensor to learn: logits={shown} (--logits {best})"
    raise ExportError(f"expected one tensor as the module's output; found {found}; {remedy}", -3)


def _tensors(value: Any, path: str) -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor with its path."""
    if isinstance(value, torch.Tensor):
        yield path, value
        return
    inner: dict[Any, Any] = {}
    if isinstance(value, dict):
        inner = value
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        inner = dict(zip(value._fields, value, strict=True))
    elif isinstance(value, (tuple, list)):
        inner = dict(enumerate(value))
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        inner = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    for key, entry in inner.items():
        yield from _tensors(entry, f"{path}.{key}" if path else str(key))


def why_it_fails(module: torch.nn.Module, example: Any, rows: torch.Tensor, error: Exception) -> ExportError:
    """What to tell of a module that could not be traced: its own fault, that of the example, or of the tracer.

    Args:
        module: in evaluation mode, on the CPU.
        error: of the tracer.
    """
    own = _run(module, rows)
    if own is None:
        remedy = (
            "replace that operator"
            if type(error).__module__.startswith("torch.onnx")
            else "replace that, or control flow that depends on values"
        )
        return ExportError(
            f"expected a module that can be traced; found {raised(error)}, while module(example) by itself works; "
            f"{remedy}",
            -5,
        )
    given = example if isinstance(example, torch.Tensor) else torch.from_numpy(np.asarray(example))
    for batch in dict.fromkeys((len(given), 1)):
        if batch != len(rows) and _run(module, torch.cat([rows[:1]] * batch)) is None:
            return ExportError(
                f"expected a module that takes any number of rows; found that it takes {batch} and not {len(rows)}: "
                f"{raised(own)}; {_ANY_ROWS}",
                -2,
            )
    name, layer, function = _where(module, own)
    if isinstance(layer, (torch.nn.Embedding, torch.nn.EmbeddingBag)) or function == "embedding":
        at = f"the layer '{name}' ({type(layer).__name__})" if name else f"{type(layer).__name__}"
        return ExportError(f"expected a module that takes float32; found that {at} takes integers; {TOKENS_REMEDY}", -3)
    inside = f" in the layer '{name}' ({type(layer).__name__})" if name else ""
    # PyTorch's operators raise plain RuntimeErrors where sizes do not fit.
    of_example = type(own) is RuntimeError
    remedy = "hand in an example of the shape that it takes (--input-shape)" if of_example else "mend the module there"
    return ExportError(
        f"expected a module that runs on a float32 tensor of shape {tuple(rows.shape)}; found {raised(own)}{inside}; "
        f"{remedy}; module(example) by itself raises the same",
        -1 if of_example else -5,
    )


def run_rows(module: torch.nn.Module, rows: torch.Tensor) -> Any:
    """What a module gives.

    Raises:
        ExportError: it fails on so many rows.
    """
    try:
        return module(rows)
    except Exception as error:  # whatever its own code raises
        raise ExportError(
            f"expected a module that takes any number of rows; found that it fails on {len(rows)}: {raised(error)}; "
            f"{_ANY_ROWS}",
            -2,
        ) from error


def _run(module: torch.nn.Module, rows: torch.Tensor) -> Exception | None:
    """What the module raises by itself."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            module(rows)
        except Exception as error:  # whatever its own code raises
            return error
    return None


def _where(module: torch.nn.Module, error: Exception) -> tuple[str, torch.nn.Module, str]:
    """The innermost layer that was running, with its name, and PyTorch's innermost function."""
    names = {id(layer): name for name, layer in module.named_modules()}
    layer, function = module, ""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        running = frame.f_locals.get("self")
        if id(running) in names and isinstance(running, torch.nn.Module):
            layer = running
        function = frame.f_code.co_name
    return names[id(layer)], layer, function


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _a(value: Any) -> str:
    name = type(value).__name__
    return "nothing (None)" if value is None else f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
