# Models whose result for a row depends on the other rows of its batch: found by running them, refused by node.
# Never here: how single operators are refused (test_batch_axis.py).
from __future__ import annotations

from typing import Any

import edgecl.export as export
import numpy as np
import onnx
import pytest
from edgecl.export.errors import ExportError
from onnx import helper, numpy_helper

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra: engines)")

F = 6
# By kind: the node that is named, and nodes from `x` to `z`.
MIXED: dict[str, tuple[str, list[Any]]] = {
    "einsum over the batch": (
        "gram",
        [
            helper.make_node("Einsum", ["x", "x"], ["g"], name="gram", equation="nf,mf->nm"),
            helper.make_node("MatMul", ["g", "x"], ["z"]),
        ],
    ),
    "product of rows with rows": (
        "product",
        [
            helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0]),
            helper.make_node("MatMul", ["x", "t"], ["g"], name="product"),
            helper.make_node("MatMul", ["g", "x"], ["z"]),
        ],
    ),
    "mean over the batch": (
        "mean",
        [
            helper.make_node("ReduceMean", ["x", "zero"], ["m"], name="mean"),
            helper.make_node("Sub", ["x", "m"], ["z"]),
        ],
    ),
    "softmax over the batch": ("soft", [helper.make_node("Softmax", ["x"], ["z"], name="soft", axis=0)]),
    "a running sum": ("sum", [helper.make_node("CumSum", ["x", "first"], ["z"], name="sum")]),
    "a reshape that moves the batch": (
        "moves",
        [
            helper.make_node("Reshape", ["x", "turned"], ["t"], name="moves"),
            helper.make_node("Transpose", ["t"], ["u"], perm=[1, 0]),
            helper.make_node("Reshape", ["u", "back"], ["z"]),
        ],
    ),
}
APART: dict[str, list[Any]] = {
    "plain": [helper.make_node("Tanh", ["x"], ["z"])],
    "sequences first": [
        helper.make_node("Reshape", ["x", "three"], ["s"]),
        helper.make_node("Transpose", ["s"], ["t"], perm=[1, 0, 2]),
        helper.make_node("Softmax", ["t"], ["u"], axis=0),
        helper.make_node("Transpose", ["u"], ["v"], perm=[1, 0, 2]),
        helper.make_node("Reshape", ["v", "back"], ["z"]),
    ],
    "positions as rows": [
        helper.make_node("Reshape", ["x", "pairs"], ["p"]),
        helper.make_node("Softmax", ["p"], ["q"], axis=1),
        helper.make_node("Reshape", ["q", "back"], ["z"]),
    ],
}
CONSTANTS = {
    "zero": np.array([0]),
    "first": np.array(0),
    "turned": np.array([F, -1]),
    "back": np.array([-1, F]),
    "three": np.array([-1, 3, 2]),
    "pairs": np.array([-1, 2]),
    "sizes": np.array([1, 2, 3]),
}


def model(nodes: list[Any], batch: Any = "N") -> onnx.ModelProto:
    nodes = [*nodes, helper.make_node("MatMul", ["z", "w"], ["e"]), helper.make_node("Relu", ["e"], ["y"])]
    weight = np.random.default_rng(0).standard_normal((F, 5)).astype(np.float32)
    read = {name for node in nodes for name in node.input}
    held = {"w": weight, **{name: values for name, values in CONSTANTS.items() if name in read}}
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", 1, [batch, F])],
        [helper.make_tensor_value_info("y", 1, [batch, 5])],
        [numpy_helper.from_array(values, name) for name, values in held.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(made)
    return made


@pytest.mark.parametrize("kind", MIXED)
def test_mixed_rows_are_refused_by_node(kind: str) -> None:
    name, nodes = MIXED[kind]
    with pytest.raises(ExportError, match="does not depend on others") as caught:
        export.from_onnx(model(nodes), external=True)
    assert [blocker.node for blocker in caught.value.blockers] == [name]
    assert "batch axis of 1" in str(caught.value)
    export.from_onnx(model(nodes, batch=1), external=True)  # the remedy


@pytest.mark.parametrize("kind", [kind for kind in MIXED if "reshape" not in kind])
def test_no_other_engine_is_proposed(kind: str) -> None:
    with pytest.raises(ExportError) as caught:
        export.from_onnx(model(MIXED[kind][1]))
    assert "--external" not in str(caught.value) and not caught.value.proposal, str(caught.value)


@pytest.mark.parametrize("kind", APART)
def test_rows_that_only_lie_elsewhere_are_taken(kind: str) -> None:
    report = export.from_onnx(model(APART[kind]), external=True)
    assert report.bundle


def test_a_dynamic_scale_of_all_rows_is_taken() -> None:
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "scale", "point"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "point"], ["z"]),
    ]
    assert export.from_onnx(model(nodes), external=True).bundle


def test_a_file_that_takes_single_rows_only() -> None:
    """Its shapes hold the batch of the export; one row at a time is what a device does."""
    nodes = [
        helper.make_node("Reshape", ["x", "sizes"], ["s"]),
        helper.make_node("Reshape", ["s", "back"], ["z"]),
    ]
    assert export.from_onnx(model(nodes), external=True).bundle
