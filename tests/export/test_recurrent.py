# LSTM, GRU and RNN from PyTorch and ONNX: outputs, three steps of learning, names of parameters, what is refused.
# Never here: the kernels alone (tests/kernels).
from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from edgecl.export.errors import ExportError
from edgecl.export.onnx_front import graph_of_onnx
from edgecl.export.options import ExportOptions
from edgecl.export.pipeline import prepare
from edgecl.export.recipe import Recipe
from edgecl.export.torch_front import from_torch, graph_of_torch
from onnx import helper, numpy_helper
from oracle import largest_difference, sgd_step
from plan_interpreter import PlanInterpreter
from torch import Tensor, nn

STEPS, FEATURES, CLASSES = 12, 5, 4


class Last(nn.Module):
    """A recurrent layer, and a classifier of its last step or of the mean over all."""

    def __init__(self, kind: Callable[..., nn.RNNBase], last: bool = True, **keywords: Any) -> None:
        super().__init__()
        self.rnn = kind(FEATURES, 6, batch_first=True, **keywords)
        self.head = nn.Linear(12 if self.rnn.bidirectional else 6, CLASSES)
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        y = self.rnn(x)[0]
        return self.head(y[:, -1] if self.last else y.mean(1))


class State(nn.Module):
    """The final states of all layers and directions, from states of zeros that the module makes itself."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = nn.GRU(FEATURES, 6, 2, bidirectional=True), nn.Linear(24, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        h = self.rnn(x.transpose(0, 1), torch.zeros(4, x.size(0), 6, dtype=x.dtype))[1]
        return self.head(h.transpose(0, 1).flatten(1))


class DeepConvLstm(nn.Module):
    """Convolutions over time, then two LSTM layers (Ordonez and Roggen 2016)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.rnn, self.head = nn.Conv1d(FEATURES, 7, 3), nn.LSTM(7, 6, 2, batch_first=True), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.conv(x.transpose(1, 2))).transpose(1, 2)
        return self.head(self.rnn(y)[0][:, -1])


class Lines(nn.Module):
    """A layer along the rows and one along the columns of a map of 3 x 4 cells (Tatsunami and Taki 2022)."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.LSTM(FEATURES, 3, batch_first=True, bidirectional=True)
        self.along, self.head = nn.GRU(FEATURES, 4, batch_first=True), nn.Linear(10, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        cells = x.reshape(-1, 3, 4, FEATURES)
        down = self.down(cells.permute(0, 2, 1, 3).reshape(-1, 3, FEATURES))[0]
        down = down.reshape(-1, 4, 3, 6).permute(0, 2, 1, 3)
        along = self.along(cells.reshape(-1, 4, FEATURES))[0].reshape(-1, 3, 4, 4)
        return self.head(torch.cat([down, along], -1).mean((1, 2)))


class WindowStates(nn.Module):
    """The final states of four windows of one row."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = nn.GRU(FEATURES, 3, batch_first=True, bidirectional=True), nn.Linear(24, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        states = self.rnn(x.reshape(-1, 3, FEATURES))[1]
        return self.head(states.transpose(0, 1).reshape(-1, 24))


NETS: dict[str, Callable[[], nn.Module]] = {
    "lstm": lambda: Last(nn.LSTM),
    "lstm without biases": lambda: Last(nn.LSTM, bias=False),
    "gru": lambda: Last(nn.GRU),
    "rnn": lambda: Last(nn.RNN),
    "rnn relu": lambda: Last(nn.RNN, nonlinearity="relu"),
    "bilstm, mean": lambda: Last(nn.LSTM, last=False, bidirectional=True),
    "bigru": lambda: Last(nn.GRU, bidirectional=True),
    "two layers": lambda: Last(nn.GRU, num_layers=2, dropout=0.3),
    "states of a deep bigru": State,
    "deep conv lstm": DeepConvLstm,
    "lines of a map": Lines,
    "states of windows": WindowStates,
}


def made(name: str) -> nn.Module:
    torch.manual_seed(7)
    return NETS[name]()


def plan_of(module: nn.Module, **keywords: Any) -> dict[str, Any]:
    graph = graph_of_torch(module, torch.zeros(1, STEPS, FEATURES), "test")
    return prepare(graph, ExportOptions(**keywords), "test").plan


@pytest.mark.parametrize("name", NETS)
def test_three_steps_are_those_of_pytorch(name: str) -> None:
    """The plan in double, the device in float32."""
    core = pytest.importorskip("edgecl._core")
    module = made(name)
    recipe = Recipe(method="finetune", learning_rate=0.1, replay_capacity=0, replay_batch=0, batch_size=16)
    report = from_torch(module, torch.zeros(1, STEPS, FEATURES), recipe=recipe)
    assert report.parity is not None and report.parity.max_abs <= report.parity.tolerance
    plan = plan_of(module)
    generator = torch.Generator().manual_seed(3)
    for n in (16, 5):
        session = core.Session(core.Model(data=report.bundle), max_batch=16)
        twin, interpreter = copy.deepcopy(module).double().eval(), PlanInterpreter(plan)
        for layer in twin.modules():
            if isinstance(layer, nn.RNNBase):
                layer.dropout = 0.0
        for _ in range(3):
            rows = torch.randn(n, STEPS, FEATURES, generator=generator)
            labels = torch.randint(0, CLASSES, (n,), generator=generator)
            with torch.no_grad():
                expected = twin(rows.double())
            assert torch.allclose(interpreter.forward(rows, learn=True), expected, rtol=1e-6, atol=1e-6)
            np.testing.assert_allclose(session.logits(rows.numpy()), expected.numpy(), rtol=1e-4, atol=1e-5)
            interpreter.backward(sgd_step(twin, rows, labels, 0.1))
            interpreter.step(0.1, n)
            session.learn(rows.numpy(), labels.numpy().astype(np.int32))
        for parameters, bound in ((interpreter.parameters(), 1e-6), (session.parameters(), 1e-5)):
            worst, names = largest_difference(parameters, plan, twin)
            assert worst < bound
            assert set(dict(module.named_parameters())) == set(names)


def test_frozen_layers_need_no_memory_of_their_steps() -> None:
    plan = plan_of(made("two layers"), trainable="head")
    assert [step["op"] for step in plan["backward"]] == [len(plan["ops"]) - 1]
    plan = plan_of(made("two layers"), trainable=["rnn.weight_hh_l1", "head"])
    trained = {record["name"] for record in plan["params"] if record["trainable"]}
    assert trained == {"rnn.weight_hh_l1", "head.weight", "head.bias"}


def test_more_sequences_than_operators_may_be_are_refused() -> None:
    class Many(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.LSTM(1, 2, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.rnn(x.reshape(-1, 5, 1))[0].reshape(x.shape[0], -1)

    with pytest.raises(ExportError, match="200 sequences of one row; at most 128"):
        from_torch(Many(), torch.zeros(1, 200, 5))


def test_density_leaves_them_dense_and_says_so() -> None:
    report = from_torch(made("deep conv lstm"), torch.zeros(1, STEPS, FEATURES), density=0.5, sparse_layers=["conv"])
    assert "recurrent layers stay dense: rnn.weight_ih_l0, rnn.weight_ih_l1" in report.notes
    with pytest.raises(ExportError, match=r"found none \(recurrent layers stay dense\)"):
        from_torch(made("lstm"), torch.zeros(1, STEPS, FEATURES), density=0.5)


# --- ONNX nodes of any form ------------------------------------------------------------------------------------------
def onnx_net(kind: str, *, outputs: int = 0, **attributes: Any) -> Any:
    """One node whose output `outputs` (0: Y, 1: Y_h) is turned to [N][...]."""
    rng = np.random.default_rng(5)
    gates = {"RNN": 1, "GRU": 3, "LSTM": 4}[kind]
    directions = 2 if attributes.get("direction") == "bidirectional" else 1
    extra = attributes.pop("extra", {})
    batch = attributes.pop("batch", "N")
    bias, opset = attributes.pop("bias", True), attributes.pop("opset", 18)
    by_row = attributes.get("layout", 0)
    arrays = {
        "W": rng.uniform(-0.5, 0.5, (directions, gates * 3, FEATURES)),
        "R": rng.uniform(-0.5, 0.5, (directions, gates * 3, 3)),
        "B": rng.uniform(-0.5, 0.5, (directions, 2 * gates * 3)),
    }
    arrays = {key: value.astype(np.float32) for key, value in arrays.items() if key != "B" or bias}
    names = ["x", "W", "R", "B" if bias else "", "", "", "", ""]
    for position, value in extra.items():
        names[position] = f"extra{position}"
        arrays[names[position]] = value
    while not names[-1]:
        names.pop()
    made_by = ["y" if k == outputs else "" for k in range(outputs + 1)]
    nodes = []
    if not by_row:
        nodes.append(helper.make_node("Transpose", ["rows"], ["x"], perm=[1, 0, 2]))
    nodes.append(helper.make_node(kind, names, made_by, hidden_size=3, **attributes))
    order = {(0, 0): [2, 0, 1, 3], (0, 1): [0, 1, 2, 3], (1, 0): [1, 0, 2], (1, 1): [0, 1, 2]}[outputs, by_row]
    nodes += [
        helper.make_node("Transpose", ["y"], ["turned"], perm=order),
        helper.make_node("Flatten", ["turned"], ["z"], axis=1),
    ]
    if by_row:
        nodes[0].input[0] = "rows"
    graph = helper.make_graph(
        nodes,
        "recurrent",
        [helper.make_tensor_value_info("rows", 1, [batch, STEPS, FEATURES])],
        [helper.make_tensor_value_info("z", 1, ["N", "K"])],
        [numpy_helper.from_array(value, key) for key, value in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


FORMS: dict[str, dict[str, Any]] = {
    "lstm": {"kind": "LSTM"},
    "lstm, no bias": {"kind": "LSTM", "bias": False},
    "lstm, reverse": {"kind": "LSTM", "direction": "reverse", "outputs": 1},
    "gru": {"kind": "GRU"},
    "gru, linear before reset": {"kind": "GRU", "linear_before_reset": 1},
    "gru, both, states": {"kind": "GRU", "direction": "bidirectional", "outputs": 1},
    "rnn, both": {"kind": "RNN", "direction": "bidirectional", "activations": ["Tanh", "Relu"]},
    "rnn, states of zeros": {"kind": "RNN", "extra": {5: np.zeros((1, 2, 3), np.float32)}},
    "lstm by row": {"kind": "LSTM", "layout": 1},
    "lstm of set 7": {"kind": "LSTM", "opset": 7, "direction": "bidirectional"},
    "gru of set 7": {"kind": "GRU", "opset": 7, "linear_before_reset": 1},
    "gru of a batch of one": {"kind": "GRU", "batch": 1, "direction": "bidirectional"},
    "rnn of set 22": {"kind": "RNN", "opset": 22},
    "gru by row, both, states": {"kind": "GRU", "layout": 1, "direction": "bidirectional", "outputs": 1},
}


@pytest.mark.parametrize("name", FORMS)
def test_node(name: str) -> None:
    """Against onnxruntime, which has no layout by row."""
    runtime = pytest.importorskip("onnxruntime")
    model = onnx_net(**FORMS[name])
    size = FORMS[name].get("batch", 2)
    rows = np.random.default_rng(6).normal(size=(size, STEPS, FEATURES)).astype(np.float32)
    plain = onnx_net(**{key: value for key, value in FORMS[name].items() if key != "layout"})
    session = runtime.InferenceSession(plain.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = session.run(None, {"rows": rows})[0]
    graph, options, _ = graph_of_onnx(model, ExportOptions(trainable="none"), "recurrent")
    plan = prepare(graph, options, "test").plan
    found = PlanInterpreter(plan).forward(torch.from_numpy(rows), learn=False)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-5)


def test_one_row_of_steps_is_no_batch() -> None:
    """[1][T][F] where the layer wants [T][N][F]: a batch of T single steps, which is refused."""
    model = onnx_net("GRU", batch=1)
    model.graph.node[0].attribute[0].ints[:] = [0, 1, 2]
    with pytest.raises(ExportError, match="whose batch is not axis 1"):
        graph_of_onnx(model, ExportOptions(), "recurrent")


def test_names_of_parts_of_one_initialiser() -> None:
    graph, _, _ = graph_of_onnx(onnx_net("LSTM", direction="bidirectional"), ExportOptions(), "recurrent")
    names = [[param.name for param in op.params if param] for op in graph.ops if op.kind == "recurrent"]
    assert names == [
        [f"W.{side}", f"R.{side}", f"B.{side}.input", f"B.{side}.state"] for side in ("forward", "reverse")
    ]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "activations": ({"kind": "LSTM", "activations": ["HardSigmoid", "Tanh", "Tanh"]}, "activations hardsigmoid, tanh"),
    "clip": ({"kind": "GRU", "clip": 3.0}, "clipped at 3"),
    "input_forget": ({"kind": "LSTM", "input_forget": 1}, "input_forget"),
    "peepholes": ({"kind": "LSTM", "extra": {7: np.ones((1, 9), np.float32)}}, "peepholes"),
    "lengths": ({"kind": "GRU", "extra": {4: np.array([3, 12], np.int32)}}, "sequence_lens"),
    "states": ({"kind": "GRU", "extra": {5: np.ones((1, 2, 3), np.float32)}}, "states that are not zero"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_device_does_not_have(name: str) -> None:
    form, words = REFUSED[name]
    with pytest.raises(ExportError, match=words):
        graph_of_onnx(onnx_net(**form), ExportOptions(), "recurrent")


@pytest.mark.parametrize(
    ("keywords", "words"),
    [({}, "batch_first=True"), ({"proj_size": 4, "batch_first": True}, r"SequenceConstruct|aten::lstm|lstm")],
    ids=["steps first", "projected states"],
)
def test_layers_that_cannot_be(keywords: dict[str, Any], words: str) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn, self.head = nn.LSTM(FEATURES, 6, **keywords), nn.LazyLinear(CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.rnn(x)[0][:, -1])

    module = Net()
    module(torch.zeros(1, STEPS, FEATURES))
    with pytest.raises(ExportError, match=words) as refusal:
        graph_of_torch(module, torch.zeros(1, STEPS, FEATURES), "test")
    assert len(str(refusal.value).splitlines()) <= 6


def test_states_of_another_layer_are_refused() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = (nn.GRU(FEATURES, 6, batch_first=True) for _ in range(2))
            self.head = nn.Linear(6, CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            return torch.as_tensor(self.head(self.b(x, self.a(x)[1])[0][:, -1]))

    with pytest.raises(ExportError, match=r"/b/GRU \(GRU\): states in front that another layer computes \(initial_h\)"):
        graph_of_torch(Net(), torch.zeros(1, STEPS, FEATURES), "test")


def test_the_state_c_is_no_output() -> None:
    model = onnx_net("LSTM", outputs=1)
    node = next(node for node in model.graph.node if node.op_type == "LSTM")
    node.output[:] = ["", "", "y"]
    onnx.checker.check_model(model)
    with pytest.raises(ExportError, match="output 2 of node"):
        graph_of_onnx(model, ExportOptions(), "recurrent")


def test_projected_states_are_refused_by_the_layers_name() -> None:
    class Projected(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.recurrent, self.last = nn.LSTM(4, 8, proj_size=3, batch_first=True), nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.last(self.recurrent(x)[0][:, -1])
            return y

    with pytest.raises(ExportError, match="proj_size in 'recurrent'; put a linear layer behind"):
        from_torch(Projected(), torch.zeros(1, 5, 4))
