# PyTorch modules to bundles: the same outputs, and after one SGD step the same weights as PyTorch. Once on the plan
# alone (an interpreter in float64), once on the device's core. Never here: single operators, limited trainable sets,
# wrong input.
from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from edgecl.export.options import ExportOptions
from edgecl.export.pipeline import prepare
from edgecl.export.recipe import InputSpec, Recipe
from edgecl.export.stages import watched
from edgecl.export.torch_front import from_torch, graph_of_torch
from export_models import MODELS, ReducedResNet18, settle_statistics
from oracle import largest_difference, masked, sgd_step
from plan_interpreter import PlanInterpreter
from torch import nn

LEARNING_RATE = 0.1
ROWS = 16


def build(name: str) -> tuple[torch.nn.Module, tuple[int, ...]]:
    constructor, shape = MODELS[name]
    return settle_statistics(constructor(), shape), shape


def plan_of(module: torch.nn.Module, shape: tuple[int, ...], **keywords: Any) -> dict[str, Any]:
    return prepare(graph_of_torch(module, torch.zeros(1, *shape), "test"), ExportOptions(**keywords), "test").plan


def batch(shape: tuple[int, ...], classes: int, n: int = ROWS) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(11)
    return torch.randn(n, *shape, generator=generator), torch.randint(0, classes, (n,), generator=generator)


@pytest.mark.parametrize("density", [1.0, 0.3])
@pytest.mark.parametrize("name", MODELS)
def test_plan_computes_outputs_and_gradients(name: str, density: float) -> None:
    if name == "vectors" and density < 1.0:
        density = 0.5
    module, shape = build(name)
    plan = plan_of(module, shape, density=density, sparse_layers=(lambda layer: True) if density < 1.0 else None)
    reference = masked(module, plan)
    interpreter = PlanInterpreter(plan)
    classes = plan["class_capacity"]
    rows, labels = batch(shape, classes)
    with torch.no_grad():
        expected = reference(rows.double())
    # Constants such as eps pass through float32 on the way.
    assert torch.allclose(interpreter.forward(rows, learn=False), expected, rtol=1e-6, atol=1e-6)
    gradient = sgd_step(reference, rows, labels, LEARNING_RATE)
    interpreter.forward(rows, learn=True)
    interpreter.backward(gradient)
    interpreter.step(LEARNING_RATE, ROWS)
    worst, names = largest_difference(interpreter.parameters(), plan, reference)
    assert worst < 1e-6
    learning = {key for key, _ in module.named_parameters()}
    assert learning <= set(names)
    assert len(interpreter.gradients) == len(learning)


@pytest.mark.parametrize("density", [1.0, 0.3])
@pytest.mark.parametrize("name", MODELS)
def test_core_learns_like_pytorch(name: str, density: float) -> None:
    core = pytest.importorskip("edgecl._core")
    module, shape = build(name)
    chosen = (lambda layer: True) if density < 1.0 else None
    report = from_torch(
        module,
        torch.zeros(1, *shape),
        density=density,
        sparse_layers=chosen,
        recipe=Recipe(
            method="finetune", learning_rate=LEARNING_RATE, replay_capacity=0, replay_batch=0, batch_size=ROWS
        ),
    )
    assert report.parity.max_abs <= report.parity.tolerance
    assert report.parity.n_rows == 8
    plan = plan_of(module, shape, density=density, sparse_layers=chosen)
    reference = masked(module, plan)
    for n in (ROWS, 5):
        rows, labels = batch(shape, plan["class_capacity"], n)
        twin = masked(module, plan)
        sgd_step(twin, rows, labels, LEARNING_RATE)
        session = core.Session(core.Model(data=report.bundle), max_batch=ROWS)
        with torch.no_grad():
            expected = reference.eval()(rows.double()).numpy()
        np.testing.assert_allclose(session.logits(rows.numpy()), expected, atol=report.parity.tolerance * 2)
        outcome = session.learn(rows.numpy(), labels.numpy().astype(np.int32))
        assert np.isfinite(outcome["loss"])
        worst, names = largest_difference(session.parameters(), plan, twin)
        assert len(names) >= len(dict(module.named_parameters()))
        assert worst < 2e-4, f"{name}, {n} rows: {worst}"


def test_module_and_random_state_stay(recwarn: pytest.WarningsRecorder, capfd: pytest.CaptureFixture[str]) -> None:
    module, shape = build("resnet18")
    module.layer1.eval()
    module.layer2.train()
    modes = [layer.training for layer in module.modules()]
    before = {key: value.clone() for key, value in module.state_dict().items()}
    state = torch.get_rng_state()
    warnings.simplefilter("always")
    graph_of_torch(module, torch.zeros(1, *shape), "test")
    assert [layer.training for layer in module.modules()] == modes
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    assert not recwarn.list
    assert capfd.readouterr() == ("", "")


def test_names_and_orientation() -> None:
    module, shape = build("mlp")
    plan = plan_of(module, shape, density=0.5)
    records = {record["name"]: record for record in plan["params"]}
    assert list(records) == ["1.weight", "1.bias", "3.weight", "3.bias", "5.weight", "5.bias"]
    head = records["5.weight"]
    assert head["dims"] == [256, 10]
    assert np.array_equal(head["values"], module[5].weight.detach().numpy().T)
    hidden = records["1.weight"]
    assert hidden["dims"] == [256, 784]
    flat = module[1].weight.detach().numpy().reshape(-1)
    assert np.array_equal(hidden["values"], flat[hidden["positions"]])
    assert hidden["positions"].size == 256 * 784 // 2
    assert hidden["nnz_capacity"] == 256 * 784 // 2 + int(np.ceil(0.01 * 256 * 784))  # room for structures that move
    assert np.abs(hidden["values"]).min() >= np.abs(np.delete(flat, hidden["positions"])).max()
    assert plan["embedding_tensor"] is not None
    assert plan["params"][plan["head_weight"]]["name"] == "5.weight"
    assert [tensor["alias"] for tensor in plan["tensors"]][:2] == [None, 0]


def test_variance_scale_keeps_the_sum_of_squares() -> None:
    """What stays of a layer has the layer's sum of squares, and the bundle still agrees with the scaled source."""
    module, shape = build("mlp")
    report = from_torch(module, torch.zeros(1, *shape), density=0.1, initial_scale="variance")
    assert report.parity.max_abs < 1e-5
    plan = plan_of(module, shape, density=0.1, initial_scale="variance")
    hidden = next(record for record in plan["params"] if record["name"] == "1.weight")
    dense = module[1].weight.detach().numpy().reshape(-1).astype(np.float64)
    assert np.isclose(np.square(hidden["values"], dtype=np.float64).sum(), np.square(dense).sum(), rtol=1e-5)
    ratio = hidden["values"] / dense[hidden["positions"]]
    assert np.allclose(ratio, ratio[0], rtol=1e-5) and ratio[0] > 1.5


def test_default_sparse_layers_are_those_of_sparcl() -> None:
    module = ReducedResNet18(8)
    plan = plan_of(module, (3, 32, 32), density=0.1)
    sparse = [record["name"] for record in plan["params"] if "positions" in record]
    assert len(sparse) == 16
    assert all(".conv" in name for name in sparse)
    assert all(round(0.1 * np.prod(r["dims"])) == r["positions"].size for r in plan["params"] if "positions" in r)


def test_erk_gives_small_layers_more() -> None:
    module = ReducedResNet18(8)
    plan = plan_of(module, (3, 32, 32), density=0.1, distribution="erk", initial_mask="random", mask_seed=3)
    layers = [r for r in plan["params"] if len(r["dims"]) == 4 and r["dims"][2] == 3 and r["name"] != "conv1.weight"]
    kept = [r["positions"].size if "positions" in r else np.prod(r["dims"]) for r in layers]
    assert abs(sum(kept) / sum(np.prod(r["dims"]) for r in layers) - 0.1) < 1e-3
    densities = [count / np.prod(r["dims"]) for count, r in zip(kept, layers, strict=True)]
    assert densities[0] > 3 * densities[-1]
    again = plan_of(module, (3, 32, 32), density=0.1, distribution="erk", initial_mask="random", mask_seed=3)
    other = plan_of(module, (3, 32, 32), density=0.1, distribution="erk", initial_mask="random", mask_seed=4)
    positions = [[r.get("positions", np.zeros(0)).tolist() for r in p["params"]] for p in (plan, again, other)]
    assert positions[0] == positions[1] != positions[2]


def test_structure_room() -> None:
    plan = plan_of(build("mlp")[0], (1, 28, 28), density=0.1, structure_room=0.01)
    record = plan["params"][0]
    assert record["nnz_capacity"] == record["positions"].size + int(np.ceil(0.01 * 256 * 784))


def test_head_grows_like_a_fresh_linear() -> None:
    module, shape = build("mlp")
    plan = plan_of(module, shape, classes=["cat", "dog"], max_classes=40)
    weight, bias = (plan["params"][plan[key]] for key in ("head_weight", "head_bias"))
    assert plan["class_capacity"] == 40
    assert plan["classes"] == [(0, "cat"), (1, "dog")]
    assert weight["dims"] == [256, 40]
    assert np.array_equal(weight["values"][:, :10], module[5].weight.detach().numpy().T)
    fresh = np.concatenate([weight["values"][:, 10:].ravel(), bias["values"][10:]])
    assert np.abs(fresh).max() <= 1 / 16
    assert 0.9 < fresh.std() * 16 * np.sqrt(3) < 1.1
    assert np.array_equal(
        weight["values"], plan_of(module, shape, max_classes=40)["params"][plan["head_weight"]]["values"]
    )


def test_raw_bytes_channels_last() -> None:
    pytest.importorskip("edgecl._core")
    module, shape = build("resnet18")
    spec = InputSpec("u8", True, 1 / 255, (0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2615))
    rows = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), dtype=np.uint8)
    report = from_torch(module, torch.zeros(1, *shape), input=spec, calibration=rows)
    assert report.parity.n_rows == 6
    assert report.parity.max_abs < 1e-4


def test_report_and_file(tmp_path: Any) -> None:
    core = pytest.importorskip("edgecl._core")
    module, shape = build("small_cnn")
    path = tmp_path / "cnn.ecl"
    report = from_torch(module, torch.zeros(1, *shape), out=path, name="digits", density=0.25, max_classes=12)
    assert path.read_bytes() == report.bundle
    info = core.Model(path=str(path)).describe()
    assert info["name"] == "digits"
    assert info["parity_rows"] == 8
    assert info["class_capacity"] == 12
    assert report.macs["forward"] == info["macs_forward"] == sum(layer.macs_forward for layer in report.layers)
    assert report.macs["backward"] == sum(layer.macs_backward for layer in report.layers)
    assert report.macs["forward_sparse"] < report.macs["forward"]
    text = report.summary()
    assert "digits" in text
    assert all(layer.name in text for layer in report.layers)
    assert report.sizes["arena_bytes"] > 0


def test_softmax_and_dropout_are_left_out() -> None:
    pytest.importorskip("edgecl._core")
    module = torch.nn.Sequential(
        torch.nn.Linear(6, 9), torch.nn.ReLU(), torch.nn.Dropout(0.5), torch.nn.Linear(9, 3), torch.nn.Softmax(1)
    )
    report = from_torch(module, torch.zeros(1, 6))
    assert report.parity.max_abs <= report.parity.tolerance
    assert sum("left out" in note for note in report.notes) == 2


def test_the_users_module_is_shared_and_left_as_it_was() -> None:
    """The graph holds its own memory, and no comparison, pruned or in float64, writes to it."""
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)).train()
    before = {name: (tensor.clone(), tensor.data_ptr()) for name, tensor in module.state_dict().items()}
    held = [param.values for param in graph_of_torch(module, torch.zeros(1, 1, 8, 8), "shared").params()]
    for name in ("0.weight", "4.weight"):
        assert any(np.shares_memory(values, module.state_dict()[name].numpy()) for values in held), name
    heard: list[str] = []
    with watched(heard.append):
        from_torch(module, torch.zeros(1, 1, 8, 8), density=0.5, sparse_layers=["0"])
    assert module.training and all(part.training for part in module.modules())
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, before[name][0]) and tensor.data_ptr() == before[name][1], name
        assert tensor.dtype == before[name][0].dtype
    assert heard[0] == "tracing the module" and heard[-1] == "writing the bundle"
