# From the graph to the dict that the bundle writer takes.
# Never here: decisions about the network; encoding (runtime/bundle/bundle_writer.h).
"""`build_plan` numbers tensors and parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from edgecl.export.backward import BackwardPass
from edgecl.export.graph import Graph, Op, Param, unique
from edgecl.export.recipe import InputSpec, Recipe


def build_plan(
    graph: Graph,
    backward: BackwardPass,
    *,
    name: str,
    producer: str,
    input_spec: InputSpec,
    recipe: Recipe,
    trainable: str,
    classes: Sequence[str],
    label_kind: int,
    structure_room: float,
) -> dict[str, Any]:
    """The plan of `edgecl._core.write_bundle` without a parity record. Tensors: the input, op outputs in order, then
    gradients."""
    tensors, index = _tensors(graph, backward)
    params = graph.params()
    param_index = {id(param): position for position, param in enumerate(params)}
    linear_weights = {id(op.params[0]) for op in graph.ops if op.kind == "linear"}
    linear_weights |= {id(param) for op in graph.ops if op.kind == "recurrent" for param in op.params[:2]}
    ops = [_op(op, index, param_index) for op in graph.ops]
    op_index = {id(op): position for position, op in enumerate(graph.ops)}
    head = graph.head()
    raw_dims = input_spec.raw_dims(graph.sample_dims)
    channels = graph.tensors[graph.input][0]
    names: dict[str, tuple[int, int, int]] = {}
    records = []
    for param in params:
        label = unique(param.name, names)
        names[label] = (0, 0, 0)
        records.append(_param(param, label, id(param) in linear_weights, structure_room))
    head_bias = head.params[1] if head is not None else None
    return {
        "name": name,
        "producer": producer,
        "tensors": tensors,
        "ops": ops,
        "backward": [
            {
                "op": op_index[id(step.op)],
                "output_gradient": index[step.output_gradient],
                "input_gradients": [None if gradient is None else index[gradient] for gradient in step.input_gradients],
                "accumulate": list(step.accumulate),
                "train_params": list(step.train_params),
            }
            for step in backward.steps
        ],
        "params": records,
        "input": {
            "dtype": input_spec.dtype,
            "channels_last": input_spec.channels_last,
            "dims": list(raw_dims),
            "scale": float(np.float32(input_spec.scale)),
            "mean": input_spec.mean_array(channels),
            "inv_std": input_spec.inv_std_array(channels),
        },
        "recipe": recipe.as_plan(trainable),
        "classes": list(enumerate(classes)),
        "class_capacity": graph.tensors[graph.output][0],
        "logits_tensor": index[graph.output],
        "embedding_tensor": index[head.inputs[0]] if head is not None else None,
        "head_weight": param_index[id(head.params[0])] if head is not None else None,
        "head_bias": param_index[id(head_bias)] if head_bias is not None else None,
        "parity": None,
        "taps": [{"tensor": index[tensor], "pooled": True} for tensor in graph.taps],
        "label_kind": label_kind,
    }


def _tensors(graph: Graph, backward: BackwardPass) -> tuple[list[dict[str, Any]], dict[str, int]]:
    index = {graph.input: 0}
    records: list[dict[str, Any]] = [_tensor(graph.input, graph.tensors[graph.input], False, None)]
    for op in graph.ops:
        alias = None
        if op.kind == "reshape":  # of the tensor that owns the memory
            source = records[index[op.inputs[0]]]
            alias = index[op.inputs[0]] if source["alias"] is None else source["alias"]
        index[op.output] = len(records)
        records.append(_tensor(op.output, graph.tensors[op.output], False, alias))
        if op.output in graph.quantisations:
            records[-1] |= vars(graph.quantisations[op.output])
    for gradient, tensor in backward.gradients.items():
        owner = backward.aliases.get(gradient)
        index[gradient] = len(records)
        records.append(_tensor(gradient, graph.tensors[tensor], True, None if owner is None else index[owner]))
    return records, index


def _tensor(name: str, shape: tuple[int, int, int], gradient: bool, alias: int | None) -> dict[str, Any]:
    return {
        "name": name,
        "channels": shape[0],
        "height": shape[1],
        "width": shape[2],
        "gradient": gradient,
        "alias": alias,
    }


def _op(op: Op, index: dict[str, int], param_index: dict[int, int]) -> dict[str, Any]:
    return {
        "name": op.name,
        "kind": op.kind,
        "inputs": [index[tensor] for tensor in op.inputs],
        "output": index[op.output],
        "params": [None if param is None else param_index[id(param)] for param in op.params],
        "activation": op.activation.kind,
        "activation_lo": op.activation.lo,
        "activation_hi": op.activation.hi,
        "kernel": op.kernel,
        "stride": op.stride,
        "dilation": op.dilation,
        "pads": op.pads,
        "groups": op.groups,
        "epsilon": op.epsilon,
        "momentum": op.momentum,
        "frozen": op.frozen,
        "i": list(op.i),
    }


def _param(param: Param, name: str, is_linear: bool, structure_room: float) -> dict[str, Any]:
    record: dict[str, Any] = {"name": name, "trainable": param.trainable}
    if param.mask is not None:
        positions = np.flatnonzero(param.mask).astype(np.uint32)
        room = math.ceil(structure_room * param.values.size)
        record["dims"] = list(param.values.shape)
        record["positions"] = positions
        record["values"] = np.ascontiguousarray(param.values.reshape(-1)[positions], np.float32)
        record["nnz_capacity"] = min(param.values.size, positions.size + room)
        return record
    values = param.values.T if is_linear else param.values
    record["dims"] = list(values.shape)
    record["dtype"] = str(values.dtype)
    record["values"] = values if is_linear else np.ascontiguousarray(values)  # the writer turns it while it copies
    return record
