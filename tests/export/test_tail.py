# Limited trainable sets: less backward work, batch-norms below the cut frozen and folded, and nothing below it changes.
# Never here: full training.
from __future__ import annotations

import numpy as np
import pytest
import torch
from edgecl.export.errors import ExportError
from edgecl.export.options import ExportOptions
from edgecl.export.pipeline import Prepared, layer_reports, prepare
from edgecl.export.recipe import Recipe
from edgecl.export.torch_front import from_torch, graph_of_torch
from export_models import MODELS, MobileBlockNet, ReducedResNet18, settle_statistics
from oracle import largest_difference, sgd_step
from plan_interpreter import PlanInterpreter

SHAPE = (3, 16, 16)


def prepared(module: torch.nn.Module, shape: tuple[int, ...] = SHAPE, **keywords: object) -> Prepared:
    return prepare(graph_of_torch(module, torch.zeros(1, *shape), "test"), ExportOptions(**keywords), "test")  # type: ignore[arg-type]


def resnet() -> torch.nn.Module:
    return settle_statistics(ReducedResNet18(8), SHAPE)


def learning(result: Prepared) -> list[str]:
    return [record["name"] for record in result.plan["params"] if record["trainable"]]


def backward_work(result: Prepared) -> int:
    return sum(layer.macs_backward for layer in layer_reports(result.graph, result.backward))


def test_default_tail_is_the_last_stage() -> None:
    module = resnet()
    whole, tail, head = (prepared(module, trainable=choice) for choice in ("all", "tail", "head"))
    assert {name.split(".")[0] for name in learning(tail)} == {"layer4", "fc"}
    assert learning(head) == ["fc.weight", "fc.bias"]
    assert backward_work(whole) > 4 * backward_work(tail) > 40 * backward_work(head) > 0
    assert len(whole.plan["backward"]) > len(tail.plan["backward"]) > len(head.plan["backward"]) == 1
    assert whole.plan["recipe"]["trainable"] == "all"
    assert tail.plan["recipe"]["trainable"] == "tail"
    assert head.plan["recipe"]["trainable"] == "head"


def test_batch_norms_below_the_cut_are_folded() -> None:
    module = resnet()
    kinds = [op["kind"] for op in prepared(module, trainable="tail").plan["ops"]]
    assert kinds.count("batch_norm") == 5
    assert prepared(module, trainable="head").plan["ops"][0]["activation"] == "relu"
    assert "batch_norm" not in [op["kind"] for op in prepared(module, trainable="head").plan["ops"]]


def test_no_input_gradient_for_the_first_learning_layer() -> None:
    plan = prepared(resnet()).plan
    assert plan["backward"][-1]["op"] == 0
    assert plan["backward"][-1]["input_gradients"] == [None]
    tail = prepared(resnet(), trainable="tail:layer4.1").plan
    last = tail["ops"][tail["backward"][-1]["op"]]
    assert tail["params"][last["params"][0]]["name"] == "layer4.1.conv1.weight"
    assert tail["backward"][-1]["input_gradients"] == [None]


@pytest.mark.parametrize(
    "choice",
    ["tail", "head", "tail:layer3.1", ["layer4.1", "fc"], lambda name: name.startswith("layer2") or "fc" in name],
)
def test_step_equals_pytorch_with_a_frozen_bottom(choice: object) -> None:
    module = resnet()
    result = prepared(module, trainable=choice)
    names = set(learning(result))
    reference = settle_statistics(ReducedResNet18(8), SHAPE).double()
    reference.load_state_dict(module.state_dict())
    for name, parameter in reference.named_parameters():
        parameter.requires_grad_(name in names)
    rows, labels = torch.randn(16, *SHAPE), torch.randint(0, 10, (16,))
    frozen = [
        layer
        for name, layer in reference.named_modules()
        if isinstance(layer, torch.nn.BatchNorm2d) and f"{name}.weight" not in names
    ]
    train = reference.train

    def train_but_frozen(mode: bool = True) -> torch.nn.Module:
        train(mode)
        for layer in frozen:
            layer.eval()
        return reference

    reference.train = train_but_frozen  # type: ignore[method-assign]
    before = {name: value.clone() for name, value in reference.state_dict().items()}
    gradient = sgd_step(reference, rows, labels, 0.1)
    interpreter = PlanInterpreter(result.plan)
    interpreter.forward(rows, learn=True)
    interpreter.backward(gradient)
    interpreter.step(0.1, 16)
    for record in list(result.plan["params"]):
        if not record["trainable"] and "running" not in record["name"] and record["name"] in before:
            folded = record["name"].endswith("weight") and len(record["dims"]) == 4
            changed = np.abs(record["values"] - before[record["name"]].numpy().reshape(record["dims"])).max() > 0
            assert folded or not changed or record["name"].endswith("bias")
    plan = {**result.plan, "params": [r if r["trainable"] else {**r, "name": ""} for r in result.plan["params"]]}
    parameters = {
        record["name"]: value.numpy() for record, value in zip(result.plan["params"], interpreter.params, strict=True)
    }
    worst, compared = largest_difference(parameters, plan, reference)
    assert set(compared) == names
    assert worst < 1e-5


def test_tail_costs_and_changes_less_on_the_core() -> None:
    core = pytest.importorskip("edgecl._core")
    module = resnet()
    rows = np.random.default_rng(0).standard_normal((16, *SHAPE), dtype=np.float32)
    labels = np.arange(16, dtype=np.int32) % 10
    recipe = Recipe(method="finetune", learning_rate=0.1, batch_size=16, replay_capacity=0, replay_batch=0)
    work, memory = {}, {}
    for choice in ("all", "tail", "head"):
        report = from_torch(module, torch.zeros(1, *SHAPE), trainable=choice, recipe=recipe)
        session = core.Session(core.Model(data=report.bundle))
        before = session.parameters()
        outcome = session.learn(rows, labels)
        after = session.parameters()
        changed = {name for name in before if not np.array_equal(before[name], after[name])}
        result = prepared(module, trainable=choice)
        assert {name for name in changed if "running" not in name} == set(learning(result))
        work[choice] = outcome["macs_backward"]
        memory[choice] = report.sizes["arena_bytes"]
    assert work["all"] > 4 * work["tail"] > 40 * work["head"] > 0
    assert memory["all"] > memory["tail"] > memory["head"]


def test_squeeze_excite_block_as_tail() -> None:
    shape = MODELS["mobile_block"][1]
    module = settle_statistics(MobileBlockNet(), shape)
    result = prepared(module, shape, trainable=["project", "classifier"])
    assert set(learning(result)) == {
        "project.0.weight",
        "project.1.weight",
        "project.1.bias",
        "classifier.weight",
        "classifier.bias",
    }


@pytest.mark.parametrize("choice", ["tail:nowhere", ["nowhere"], lambda name: False])
def test_unknown_names(choice: object) -> None:
    with pytest.raises(ExportError, match=r"layer4|fc"):
        prepared(resnet(), trainable=choice)


def test_requires_grad_is_honoured() -> None:
    module = resnet()
    for parameter in module.layer1.parameters():
        parameter.requires_grad_(False)
    result = prepared(module)
    assert not any(name.startswith("layer1") for name in learning(result))
    assert any("requires_grad" in note for note in result.graph.notes)


def test_none_trains_nothing() -> None:
    result = prepared(resnet(), trainable="none")
    assert learning(result) == []
    assert result.plan["backward"] == []
