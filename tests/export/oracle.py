# What PyTorch itself gives for one learn step, and comparison of a bundle's parameters with a module's.
# Never here: tests.
from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from edgecl import Classifier
from torch import Tensor, nn
from torch.nn import functional


def masked(module: nn.Module, plan: dict[str, Any]) -> nn.Module:
    """A float64 copy of the module whose weights are zero where the plan stores nothing."""
    twin = copy.deepcopy(module).double()
    parameters = dict(twin.named_parameters())
    with torch.no_grad():
        for record in plan["params"]:
            if "positions" in record and record["name"] in parameters:
                keep = torch.zeros(int(np.prod(record["dims"])), dtype=torch.bool)
                keep[torch.from_numpy(record["positions"].astype(np.int64))] = True
                weight = parameters[record["name"]]
                weight.masked_fill_(~keep.reshape(weight.shape), 0.0)
    return twin


def sgd_step(module: nn.Module, rows: Tensor, labels: Tensor, learning_rate: float) -> Tensor:
    """One step of mean cross-entropy in training mode without dropout; returns the gradient of the logits."""
    for layer in module.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
    module.train()
    module.zero_grad()
    logits = module(rows.double())
    logits.retain_grad()
    functional.cross_entropy(logits, labels).backward()
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.grad is not None:
                parameter -= learning_rate * parameter.grad
    assert logits.grad is not None
    return logits.grad


def assert_learns_alike(
    bundle: bytes, module: nn.Module, rows: np.ndarray, labels: np.ndarray, learning_rate: float = 0.1
) -> None:
    """Three steps of a session in batches of all rows, and of the module, which becomes float64."""
    learner, twin = Classifier(bundle, batch_size=len(rows)), module.double()
    for _ in range(3):
        sgd_step(twin, torch.from_numpy(rows), torch.from_numpy(labels), learning_rate)
        learner.partial_fit(rows, labels)
    expected = twin.eval()(torch.from_numpy(rows).double()).detach().numpy()
    np.testing.assert_allclose(learner.decision_function(rows), expected, atol=2e-5)


def gates_in_order(values: np.ndarray, cell: int) -> np.ndarray:
    """PyTorch's gates along the first axis (GRU r z n, LSTM i f g o) in ONNX's order (z r n, i o f g)."""
    order = {0: (0,), 1: (0,), 2: (1, 0, 2), 3: (1, 0, 2), 4: (0, 3, 1, 2)}[cell]
    parts = np.split(values, len(order))
    return np.concatenate([parts[k] for k in order])


def largest_difference(
    parameters: dict[str, np.ndarray], plan: dict[str, Any], module: nn.Module
) -> tuple[float, list[str]]:
    """Largest |difference| over all parameters of the plan that the module has too, and their names. Sparse ones at
    stored positions."""
    state = module.state_dict()
    linear = {op["params"][0] for op in plan["ops"] if op["kind"] == "linear"}
    recurrent = {i: op["i"][0] for op in plan["ops"] if op["kind"] == "recurrent" for i in op["params"]}
    worst, names = 0.0, []
    for index, record in enumerate(plan["params"]):
        if record["name"] not in state:
            continue
        found = parameters[record["name"]]
        wanted = state[record["name"]].numpy()
        if "positions" in record:
            at = record["positions"]
            found, wanted = found.reshape(-1)[at], wanted.reshape(-1)[at]
        elif index in linear:
            wanted = wanted.reshape(wanted.shape[0], -1).T
        elif index in recurrent:
            wanted = gates_in_order(wanted, recurrent[index]).T
        worst = max(worst, float(np.abs(found - wanted.reshape(found.shape)).max()))
        names.append(record["name"])
    return worst, names
