# ONNX files of odd shape: taken where they mean something, else refused with a remedy that works.
# Never here: modules (test_model_faults.py), operators (test_untrainable.py).
from __future__ import annotations

from pathlib import Path
from typing import Any

import edgecl.export as export
import numpy as np
import onnx
import pytest
from edgecl.export.errors import ExportError
from onnx import helper, numpy_helper

F = 6
WEIGHT = np.random.default_rng(0).standard_normal((F, 5)).astype(np.float32)
value, node = helper.make_tensor_value_info, helper.make_node


def model(nodes: list[Any], outputs: Any = ("y",), dims: Any = ("N", F), opset: int = 18, **held: Any) -> Any:
    held = {"w": WEIGHT} | held
    read = {name for entry in nodes for name in entry.input} | set(held) - {"w"} | {"w"}
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", 1, list(dims))],
        [value(name, 1, ["N", None]) for name in outputs],
        [numpy_helper.from_array(values, name) for name, values in held.items() if name in read],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def refused(made: Any, *words: str, **keywords: Any) -> ExportError:
    with pytest.raises(ExportError) as caught:
        export.from_onnx(made, **keywords)
    text = str(caught.value)
    assert text.startswith("expected ") and "found" in text and ";" in text
    assert all(word in text for word in words), text
    return caught.value


LINEAR = [node("MatMul", ["x", "w"], ["y"])]


def engines() -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra: engines)")


def test_nodes_of_one_name() -> None:
    engines()
    nodes = [node("Tanh", ["x"], ["h"], name="a"), node("MatMul", ["h", "w"], ["e"], name="a")]
    made = model([*nodes, node("Relu", ["e"], ["y"], name="a")])
    assert [layer.name for layer in export.from_onnx(made).layers] == ["w"]
    export.from_onnx(made, external=True)


def test_long_names() -> None:
    long = "n" * 5000
    report = export.from_onnx(model([node("Tanh", ["x"], ["h"], name=long), node("MatMul", ["h", "w"], ["y"])]))
    assert report.parity is not None
    refused(model([node("MatMul", ["x", long], ["y"])], **{long: WEIGHT}), "5000 bytes; rename it, to 255 at most")
    fits = "ü" * 127
    assert export.from_onnx(model([node("MatMul", ["x", fits], ["y"])], **{fits: WEIGHT})).layers[0].name == fits


def test_names_that_are_no_text(tmp_path: Path) -> None:
    made = model([node("Tanh", ["x"], ["h"], name="layer"), node("MatMul", ["h", "w"], ["y"])]).SerializeToString()
    path = tmp_path / "m.onnx"
    for name in (b"layer", b"Tanh"):
        assert made.count(name) == 1
        path.write_bytes(made.replace(name, b"\xff" * len(name)))
        refused(path, "UTF-8", "\\xff")


def branches(condition: str) -> list[Any]:
    arms = [
        helper.make_graph([node("MatMul", ["x", "w"], [name])], name, [], [value(name, 1, ["N", 5])]) for name in "te"
    ]
    return [node("If", [condition], ["z"], then_branch=arms[0], else_branch=arms[1])]


def test_branches_read_weights_from_around_them() -> None:
    engines()
    made = model([*branches("c"), node("Relu", ["z"], ["y"])], c=np.array(True))
    assert export.from_onnx(made).parity is not None
    assert export.from_onnx(made, external=True).bundle


def test_sparse_weights() -> None:
    engines()
    made = model(LINEAR)
    del made.graph.initializer[:]
    numbers = numpy_helper.from_array(np.array([1.5, -2.0], np.float32), "w")
    for places in (np.array([3, 7]), np.array([[0, 3], [1, 2]])):
        del made.graph.sparse_initializer[:]
        made.graph.sparse_initializer.append(
            helper.make_sparse_tensor(numbers, numpy_helper.from_array(places, "places"), [F, 5])
        )
        report = export.from_onnx(made)
        assert report.parity is not None and report.parity.reference_abs > 0
    export.from_onnx(made, external=True)


def test_no_numbers() -> None:
    refused(model(LINEAR, dims=(0, F)), "a size of 0 on axes [0]")
    refused(model(LINEAR, dims=("N", 0), w=np.zeros((0, 5), np.float32)), "a size of 0 on axes [1]")
    refused(model(LINEAR, w=np.zeros((F, 0), np.float32)), "holds no number")
    engines()
    refused(model(LINEAR, dims=(0, F)), "a size of 0 on axes [0]", external=True)
    nothing = [node("MatMul", ["x", "w"], ["z"]), node("Relu", ["z"], ["y"])]
    refused(model(nothing, w=np.zeros((F, 0), np.float32)), "an embedding of some numbers", external=True)


def test_outputs() -> None:
    made = model(LINEAR)
    del made.graph.output[:]
    refused(made, "a model with an output; found none")
    constant = refused(model([node("Identity", ["w"], ["y"])]), "does not depend on the network's input")
    assert not constant.proposal
    nothing_learns = refused(model([node("Relu", ["x"], ["y"])]), "new_head=10", "trainable='none'")
    assert nothing_learns.status == -1
    export.from_onnx(model([node("Relu", ["x"], ["y"])]), new_head=10)
    export.from_onnx(model([node("Relu", ["x"], ["y"])]), trainable="none")


def test_an_output_by_name_beside_an_external_encoder() -> None:
    engines()
    nodes = [node("Tanh", ["x"], ["h"]), node("MatMul", ["h", "w"], ["y"]), node("Relu", ["y"], ["z"])]
    made = model(nodes, outputs=("y", "z"))
    refused(made, "--external-output", external=True)
    export.from_onnx(made, external=True, external_output="h")
    by_name = export.from_onnx(made, external=True, logits="y")
    assert any("embeddings are its input, 'h'" in note for note in by_name.notes)


def test_old_operator_sets() -> None:
    nodes = [node("Gemm", ["x", "w", "b"], ["h"], broadcast=1), node("Relu", ["h"], ["y"])]
    b = np.ones(5, np.float32)
    refused(model(nodes, opset=5, b=b), "operator set 5", "convert_version(model, 13)")
    single = model(nodes, opset=5, dims=(1, F), b=b)
    assert export.from_onnx(onnx.version_converter.convert_version(single, 13)).parity is not None
    for opset in range(7, onnx.defs.onnx_opset_version() + 1):
        nodes = [node("Gemm", ["x", "w", "b"], ["h"]), node("Relu", ["h"], ["y"])]
        assert export.from_onnx(model(nodes, opset=opset, b=b)).parity is not None, opset


def test_numbers_that_are_none_are_no_mixture() -> None:
    engines()
    for bad in (np.nan, np.inf):
        made = model([node("Add", ["x", "b"], ["h"]), node("Tanh", ["h"], ["y"])], b=np.full(F, bad, np.float32))
        text = str(refused(made, external=True) if np.isnan(bad) else "")
        assert "depend" not in text


def test_random_files_are_refused_by_node() -> None:
    engines()
    drops = [node("Dropout", ["x", "r", "t"], ["h"], name="drop"), node("Tanh", ["h"], ["y"])]
    for dims in (("N", F), (1, F)):
        held = {"r": np.array(0.5, np.float32), "t": np.array(True)}
        text = str(refused(model(drops, dims=dims, **held), "random numbers", external=True))
        assert "drop (Dropout)" in text and "evaluation mode" in text
    export.from_onnx(model([node("Dropout", ["x"], ["h"]), node("Tanh", ["h"], ["y"])]), external=True)


def test_weights_outside_the_folder(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(WEIGHT.tobytes())
    (tmp_path / "models").mkdir()
    made = model(LINEAR)
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key = "location"
    for place, location in ((tmp_path / "models" / "m.onnx", "../weights.bin"), (tmp_path / "m.onnx", "weights.bin")):
        entry.value = location
        place.write_bytes(made.SerializeToString())
    refused(tmp_path / "models" / "m.onnx", "beside it", "same folder")
    export.from_onnx(tmp_path / "m.onnx")
