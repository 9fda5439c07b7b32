"""UER, k-FPF, latent replay and data removal against plain PyTorch and plain Python, from the same start and the same
draws.

Never here: ER, ER-ACE and DER++ (test_recipe_parity.py), accuracy.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
from edgecl import _core, errors
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="PyTorch is the reference")
functional = torch.nn.functional

SHAPE = (2, 8, 8)
CLASSES = 5


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(4)


def _mlp() -> Any:
    return torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(128, 32), torch.nn.ReLU(), torch.nn.Linear(32, 24), torch.nn.ReLU(),
        torch.nn.Linear(24, CLASSES),
    )  # fmt: skip


def _convnet() -> Any:
    layers = [
        torch.nn.Conv2d(2, 8, 3, padding=1, bias=False), torch.nn.BatchNorm2d(8), torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(8, 12, 3, padding=1, bias=False), torch.nn.BatchNorm2d(12), torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(12, CLASSES),
    ]  # fmt: skip
    for layer in layers:
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.uniform_(-0.2, 0.2)
            layer.running_var.uniform_(0.5, 1.5)
    return torch.nn.Sequential(*layers)


def _session(module: Any, method: str, trainable: Any = "all", **config: Any) -> _core.Session:
    from edgecl import export

    recipe = export.Recipe(method=method, learning_rate=0.05, batch_size=6, replay_batch=7, replay_capacity=1000)
    report = export.from_torch(
        module.eval(), torch.zeros(1, *SHAPE), classes=CLASSES, recipe=recipe, trainable=trainable
    )
    return _core.Session(_core.Model(data=report.bundle), **config)


def _stream(steps: int, batch: int = 6, seed: int = 0) -> list[tuple[NDArray[np.float32], NDArray[np.int32]]]:
    rng = np.random.default_rng(seed)
    labels = np.sort(rng.integers(0, CLASSES, steps * batch)).astype(np.int32)  # classes come one after the other
    centres = rng.standard_normal((CLASSES, *SHAPE))
    x = (centres[labels] + rng.standard_normal((len(labels), *SHAPE))).astype(np.float32)
    return [(x[i : i + batch], labels[i : i + batch]) for i in range(0, len(labels), batch)]


def _assert_weights(session: _core.Session, module: Any, tolerance: float = 1e-4, first: int = 0) -> None:
    # Of the layers from number `first` on: the export folds frozen batch norms into their convolutions.
    ours = session.parameters()
    for name, value in module.state_dict().items():
        if "num_batches" in name or int(name.split(".")[0]) < first:
            continue
        wanted = value.numpy()
        found = ours[name].T if name.endswith("weight") and wanted.ndim == 2 else ours[name]
        np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance, err_msg=name)


class _Buffer:
    """Samples (or activations) and labels by insertion number, which the runtime's slots are while it has room."""

    def __init__(self) -> None:
        self.rows: list[Any] = []
        self.labels: list[int] = []

    def add(self, rows: Any, labels: NDArray[np.int32]) -> None:
        self.rows += list(rows)
        self.labels += labels.tolist()

    def drawn(self, slots: NDArray[np.uint32]) -> tuple[Any, Any]:
        numbers = slots.tolist()
        return torch.stack([self.rows[i] for i in numbers]), torch.tensor([self.labels[i] for i in numbers])


def test_uer_for_50_steps() -> None:
    scale = 12.0
    module = _mlp()
    session = _session(module, "uer", cosine_scale=scale, learning_rate=0.005, momentum=0.8, seed=1)
    twin, buffer = deepcopy(module).double(), _Buffer()
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.005, momentum=0.8)
    trunk, head = twin[:-1], twin[-1]
    for x, y in _stream(50):
        report = session.learn(x, y, want_slots=True, want_rows=True)
        current, labels = torch.from_numpy(x).double(), torch.from_numpy(y).long()
        slots = report["replay_slots"]
        rows = current
        if len(slots):
            old, old_labels = buffer.drawn(slots)
            rows = torch.cat([current, old])
        hidden = trunk(rows)
        h, w = hidden[: len(y)], head.weight
        norms = (w.square().sum(1) + 1e-6).sqrt() * (h.square().sum(1, keepdim=True) + 1e-6).sqrt()
        of_rows = functional.cross_entropy(scale * (h @ w.T) / norms, labels, reduction="none")
        np.testing.assert_allclose(report["row_loss"], of_rows.detach().numpy(), rtol=1e-3, atol=1e-4)
        correct = (head(h).argmax(1) == labels).numpy()
        assert (report["row_correct"] == correct).mean() >= 5 / 6  # one near tie may fall the other way
        loss = of_rows.mean()
        if len(slots):
            loss = loss + functional.cross_entropy(head(hidden[len(y) :]), old_labels)
        assert report["loss"] == pytest.approx(float(loss.detach()), rel=1e-3, abs=1e-5)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        buffer.add(current, y)
    _assert_weights(session, twin, 1e-3)


def test_fpf_rehearses_head_and_normalisations() -> None:
    module = _convnet()
    stream = _stream(6)
    n = sum(len(y) for _, y in stream)
    # Every draw is the whole buffer.
    session = _session(module, "fpf", replay_capacity=n, replay_batch=n, weight_decay=0.01)
    twin = deepcopy(module).train()
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.05, weight_decay=0.01)

    def step(x: Any, y: Any) -> float:
        loss = functional.cross_entropy(twin(torch.as_tensor(x)), torch.as_tensor(y).long())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    for x, y in stream:
        report = session.learn(x, y)
        assert report["n_replayed"] == 0 and report["loss"] == pytest.approx(step(x, y), rel=1e-4)
    sensitive = {id(p) for m in twin for p in m.parameters() if isinstance(m, torch.nn.BatchNorm2d | torch.nn.Linear)}
    for parameter in twin.parameters():
        parameter.requires_grad_(id(parameter) in sensitive)
    whole = [np.concatenate(part) for part in zip(*stream, strict=True)]
    wanted = [step(*whole) for _ in range(8)]
    report = session.rehearse(8)
    assert report["done"] == 8 and report["mean_loss"] == pytest.approx(np.mean(wanted), rel=1e-4)
    assert wanted[-1] < wanted[0]
    _assert_weights(session, twin)


def test_latent_replay_is_replay_of_the_frozen_trunk() -> None:
    module = _convnet()
    session = _session(module, "er", trainable="tail:4", latent_replay=1, momentum=0.5)
    twin, buffer = deepcopy(module), _Buffer()
    trunk, tail = twin[:4].eval(), twin[4:].train()
    optimizer = torch.optim.SGD(tail.parameters(), lr=0.05, momentum=0.5)
    macs = []
    for x, y in _stream(50):
        report = session.learn(x, y, want_slots=True)
        with torch.no_grad():
            latents = trunk(torch.from_numpy(x))
        rows, labels = latents, torch.from_numpy(y).long()
        if len(report["replay_slots"]):
            old, old_labels = buffer.drawn(report["replay_slots"])
            rows, labels = torch.cat([latents, old]), torch.cat([labels, old_labels])
        loss = functional.cross_entropy(tail(rows), labels)
        assert report["loss"] == pytest.approx(float(loss.detach()), rel=1e-3, abs=1e-5)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        buffer.add(latents, y)
        macs.append(report["macs_forward"])
    _assert_weights(session, twin, 1e-3, first=4)
    stem, upper = 2 * 8 * 9 * 64, 8 * 12 * 9 * 16 + 12 * CLASSES
    assert macs[-1] == 6 * stem + 13 * upper
    assert session.sizes()["replay_bytes"] >= 1000 * 4 * 8 * 4 * 4


def test_latent_replay_needs_a_frozen_part() -> None:
    with pytest.raises(errors.UnsupportedError, match='trainable="tail"'):
        _session(_convnet(), "er", latent_replay=1)
    with pytest.raises(errors.ArgumentError, match="augment_flip"):
        _session(_convnet(), "er", trainable="tail:4", latent_replay=1, augment_flip=1)
