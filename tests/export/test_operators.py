# Every operator of the library's list, and every handler of an ONNX operator, has its cases: a new one without them
# fails here.
# Never here: results (test_onnx_node_cases.py runs them).
from __future__ import annotations

import node_cases
import pytest

# Handled, but without a node test that has a network output: what stands in for it.
WITHOUT_NODE_TEST = {
    **dict.fromkeys(("And", "Equal", "Not", "Or", "Xor"), "of truths and whole numbers: test_choices.py"),
    "Cast": "of constants and shapes, inside other graphs: test_from_onnx.py",
    "NormOverAxes": "in pieces: test_layer_norm.py",
    "Shape": "part of a reshape's target: test_from_onnx.py",
}


def test_every_handler_has_node_cases() -> None:
    from edgecl.export.ops import HANDLERS

    assert set(HANDLERS) - set(node_cases.SUPPORTED) == set(WITHOUT_NODE_TEST)


def test_every_operator_comes_out_of_a_node_case() -> None:
    core = pytest.importorskip("edgecl._core")
    # Those of int8 come from no node: test_int8_encoder.py. PRelu's cases have no slope a channel: test_views.py.
    # MatMul's have one tensor that depends on the input: test_attention.py.
    left = {kind for kind in core.operators() if "quantize" not in kind and not kind.startswith("int8_")} - {
        "prelu",
        "matmul",
    }
    for name, test in node_cases.node_tests().items():
        if not left:
            break
        if node_cases.exclusion(name) is None:
            left -= {op["kind"] for op in node_cases.plan_of(node_cases.adapt(test))["ops"]}
    assert left == set()
