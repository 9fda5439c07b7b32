# The order of a conversion: the input, operator after operator, the model; collects all that stands in the way.
# Never here: what a single operator means (its family's file), the flatbuffer (read.py).
"""`convert` makes an ONNX model of a `File`."""

from __future__ import annotations

from collections import Counter
from math import prod

import onnx
from edgecl.export.errors import EXTERNAL_REMEDY, Blocker, ExportError, Unsupported
from edgecl.export.tflite import HANDLERS
from edgecl.export.tflite.network import Dims, Network, Value
from edgecl.export.tflite.read import MAX_ROW, File
from onnx import helper, numpy_helper

OPSET, IR_VERSION = 17, 9
_PROPOSAL = (
    "where only the front of the model is the trouble, let an interpreter run it as a frozen encoder, and export the "
    f"part behind it as a model of its own that takes the encoder's output; {EXTERNAL_REMEDY}"
)


def convert(file: File, name: str) -> tuple[onnx.ModelProto, Network]:
    """The model with a free batch axis, and the network that it was made with.

    Raises:
        ExportError: with every operator that stands in the way.
    """
    network = Network(file)
    blockers = _entry_faults(network)
    if not blockers:
        _enter(network)
    strange = Counter(op.kind for op in file.operators if op.kind not in HANDLERS)
    for op in file.operators:
        if not op.outputs:
            blockers.append(
                Blocker("an operator without output", op.kind, "it computes nothing", "convert the model again")
            )
        elif op.kind not in HANDLERS:
            if count := strange.pop(op.kind, 0):  # told once
                reason = f"operator not supported ({count} in the model)"
                blockers.append(Blocker(network.label(op), op.kind, reason, "replace it, or keep it outside"))
        elif not blockers:  # behind the first fault the values are not known
            try:
                HANDLERS[op.kind](network, op)
            except Unsupported as fault:
                blockers.append(Blocker(network.label(op), op.kind, fault.reason, fault.remedy))
    if blockers:
        raise ExportError.from_blockers("every part of the TFLite model to be supported", blockers, _PROPOSAL)
    return _model(network, name), network


def _entry_faults(network: Network) -> list[Blocker]:
    """Of the file's ends: one subgraph, one output and one input [N][...] of fixed sizes are taken."""
    file = network.file
    faults = []
    counts = (("subgraphs", file.subgraphs), ("inputs", len(file.inputs)), ("outputs", len(file.outputs)))
    for what, count in counts:
        if count != 1:
            faults.append(
                Blocker("model", what, f"{count} instead of one", "convert the part that classifies by itself")
            )
    for tensor in [network.tensor(index) for index in file.inputs]:
        shape = tensor.shape
        if not 2 <= len(shape) <= 4 or tensor.dynamic or 0 in shape or prod(shape[1:]) > MAX_ROW:
            reason = f"shape {list(shape)}" + (f" with axes {list(tensor.dynamic)} left open" if tensor.dynamic else "")
            remedy = f"give it a batch axis and one to three fixed axes behind it, of at most {MAX_ROW} numbers"
            faults.append(Blocker(tensor.name, "input", reason, remedy))
    return faults


def _enter(network: Network) -> None:
    """The network's input: channels first."""
    index = network.file.inputs[0]
    tensor = network.tensor(index)
    rank = len(tensor.shape)
    first = rank == 4 or (rank == 3 and _channels_stay_last(network.file, index, tensor.shape))
    network.values[index] = Value(network.unique(tensor.name or "input"), tensor.shape, first)
    network.round(index)


def _channels_stay_last(file: File, index: int, shape: Dims) -> bool:
    """A row [T][C] goes into a one-dimensional convolution: all that is done to it is one more axis in front of T or
    C."""
    readers = [op for op in file.operators if index in op.inputs and op.outputs]
    outputs = [file.tensors[op.outputs[0]].shape for op in readers]
    return bool(readers) and all(
        op.kind in ("RESHAPE", "EXPAND_DIMS") and len(out) == 4 and out[-1] == shape[-1]
        for op, out in zip(readers, outputs, strict=True)
    )


def _model(network: Network, name: str) -> onnx.ModelProto:
    entry, index = network.values[network.file.inputs[0]], network.file.outputs[0]
    if index not in network.values:
        raise ExportError(
            f"expected the output '{network.tensor(index).name}' to be computed from the input; found no operator that "
            "does; convert the model again",
            -5,
        )
    value = network.values[index]
    output = value.name if value.name and value.one_order else network.plain(value)
    dims = value.dims if output == value.name else value.shape
    graph = helper.make_graph(
        network.nodes,
        name,
        [helper.make_tensor_value_info(entry.name, onnx.TensorProto.FLOAT, ["N", *entry.dims[1:]])],
        [helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, ["N", *dims[1:]])],
        [numpy_helper.from_array(values, key) for key, values in network.initialisers.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
