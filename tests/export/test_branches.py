# Branches of ONNX's If whose condition is known at export; other conditions are refused.
# Never here: operators inside them.
from __future__ import annotations

import numpy as np
import onnx
import pytest
from edgecl.export.errors import ExportError
from edgecl.export.onnx_front import from_onnx
from edgecl.export.parity import bundle_logits
from onnx import TensorProto, helper, numpy_helper

pytest.importorskip("edgecl._core")


def model(condition: list[onnx.NodeProto]) -> onnx.ModelProto:
    """If the condition holds x @ w, else x @ -w; then a bias."""

    def branch(name: str, sign: float) -> onnx.GraphProto:
        weights.append(numpy_helper.from_array(np.full((4, 3), sign, np.float32), f"{name}_w"))
        output = helper.make_tensor_value_info(f"{name}_y", TensorProto.FLOAT, ["N", 3])
        return helper.make_graph([helper.make_node("MatMul", ["x", f"{name}_w"], [f"{name}_y"])], name, [], [output])

    weights: list[onnx.TensorProto] = []
    chosen = helper.make_node(
        "If", ["condition"], ["y"], name="choice", then_branch=branch("then", 1.0), else_branch=branch("else", -1.0)
    )
    graph = helper.make_graph(
        [*condition, chosen, helper.make_node("Add", ["y", "b"], ["z"])],
        "branches",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["N", 3])],
        [
            *weights,
            numpy_helper.from_array(np.arange(3, dtype=np.float32), "b"),
            numpy_helper.from_array(np.array(1, np.int64), "one"),
            numpy_helper.from_array(np.array(4, np.int64), "four"),
            numpy_helper.from_array(np.array(0, np.float32), "zero"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@pytest.mark.parametrize("size", ["one", "four"])
def test_a_condition_on_the_shape_is_known(size: str) -> None:
    """As PyTorch writes `squeeze`: by the size of an axis."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "one"], ["width"]),
        helper.make_node("Equal", ["width", size], ["condition"]),
    ]
    report = from_onnx(model(nodes))
    x = np.random.default_rng(1).standard_normal((5, 4)).astype(np.float32)
    sign = 1.0 if size == "four" else -1.0
    expected = sign * x.sum(1, keepdims=True) + np.arange(3)
    np.testing.assert_allclose(bundle_logits(report.bundle, x), expected, rtol=1e-5, atol=1e-5)


def test_a_condition_on_values_is_refused() -> None:
    nodes = [
        helper.make_node("ReduceSum", ["x"], ["total"], keepdims=0),
        helper.make_node("Greater", ["total", "zero"], ["condition"]),
    ]
    with pytest.raises(ExportError, match="If"):
        from_onnx(model(nodes))
