"""Dynamic structures and gradient masks against the same rules written down in PyTorch, step by step.

Before each step PyTorch takes over the runtime's weights and masks, so every step is compared by itself. Never here:
long runs and accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="PyTorch is the reference")

Masks = dict[str, NDArray[np.bool_]]
BATCH = 6


def mlp() -> Any:
    return torch.nn.Sequential(
        torch.nn.Linear(40, 32), torch.nn.ReLU(), torch.nn.Linear(32, 24), torch.nn.ReLU(), torch.nn.Linear(24, 6)
    )


def conv() -> Any:
    return torch.nn.Sequential(
        torch.nn.Conv2d(2, 8, 3, padding=1),
        torch.nn.BatchNorm2d(8),
        torch.nn.ReLU(),
        torch.nn.Conv2d(8, 12, 3, padding=1, stride=2),
        torch.nn.BatchNorm2d(12),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(12, 6),
    )


NETS = {"mlp": (mlp, (40,)), "conv": (conv, (2, 7, 7))}


@dataclass
class Twin:
    """A session, and its step in PyTorch: loss, gradients and update, without any structure rule."""

    net: str
    settings: dict[str, Any]
    density: float = 0.3
    seen: list[tuple[Any, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        from edgecl import _core, export

        build, self.shape = NETS[self.net]
        torch.manual_seed(5)
        self.module = build()
        self.rng = np.random.default_rng(1)
        recipe = export.Recipe(
            learning_rate=0.05, batch_size=BATCH, replay_batch=BATCH, replay_capacity=4096, **self.settings
        )
        sparse = lambda name: not name.endswith(("8", "4") if self.net == "conv" else ("4",))  # noqa: E731
        bundle = export.from_torch(
            self.module,
            torch.zeros(1, *self.shape),
            density=self.density,
            sparse_layers=sparse,
            classes=6,
            recipe=recipe,
        ).bundle
        self.model = _core.Model(data=bundle)
        self.session = _core.Session(self.model, seed=11)
        self.layers = self.model.layers()

    def masks(self, selected: bool = False) -> Masks:
        """Positions that hold a weight (and get a gradient), by parameter name, from the exported state."""
        from edgecl.state_file import read_state

        found: Masks = {}
        for parameter in read_state(self.session.state_export()).parameters:
            layer = self.layers[parameter.index]
            if parameter.positions is not None:
                mask = np.zeros(int(np.prod(layer["dims"])), bool)
                mask[parameter.positions] = parameter.selected if selected else True
                found[layer["name"]] = mask.reshape(layer["dims"])
        return found

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Present weights in PyTorch's dims."""
        turned = {layer["name"] for layer in self.layers if len(layer["dims"]) == 2 and not layer["sparse"]}
        return {name: value.T if name in turned else value for name, value in self.session.parameters().items()}

    def batch(self) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        y = self.rng.integers(0, 6, BATCH).astype(np.int32)
        x = self.rng.standard_normal((BATCH, *self.shape)).astype(np.float32)
        return x + y.reshape(-1, *([1] * len(self.shape))).astype(np.float32) / 4, y

    def gradients(
        self, x: NDArray[np.float32], y: NDArray[np.int32], slots: NDArray[np.uint32], part: str = "all"
    ) -> dict[str, NDArray[np.float64]]:
        """Dense gradients of ER-ACE's loss at the runtime's present weights: of all rows or of the current ones."""
        module = NETS[self.net][0]().double()
        weights = self.weights()
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                parameter.copy_(torch.from_numpy(np.ascontiguousarray(weights[name])))
        module.train()
        old = [self.seen[slot] for slot in slots]
        rows = torch.stack([*torch.from_numpy(x).double(), *[row for row, _ in old]])
        z = module(rows)
        current = torch.as_tensor(y, dtype=torch.long)
        hidden = torch.full((6,), -np.inf, dtype=torch.float64)
        hidden[current.unique()] = 0
        loss = torch.nn.functional.cross_entropy(z[:BATCH] + hidden, current)
        if part == "all" and old:
            loss = loss + torch.nn.functional.cross_entropy(z[BATCH:], torch.tensor([label for _, label in old]))
        loss.backward()
        return {name: parameter.grad.numpy() for name, parameter in module.named_parameters()}

    def learn(self) -> tuple[dict[str, Any], NDArray[np.float32], NDArray[np.int32]]:
        x, y = self.batch()
        report = self.session.learn(x, y, want_slots=True)
        return report, x, y

    def keep(self, x: NDArray[np.float32], y: NDArray[np.int32]) -> None:
        self.seen += list(zip(torch.from_numpy(x).double(), y.tolist(), strict=True))


def step(twin: Twin) -> tuple[dict[str, Any], dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]:
    """One step of the runtime; its report, the gradients before it and those of the current rows alone."""
    digest = twin.session.state_export()
    x, y = twin.batch()
    report = twin.session.learn(x, y, want_slots=True)
    after = twin.session.state_export()
    twin.session.state_import(digest)
    whole = twin.gradients(x, y, report["replay_slots"])
    current = twin.gradients(x, y, report["replay_slots"], "current")
    twin.session.state_import(after)
    twin.keep(x, y)
    return report, whole, current


def assert_largest(chosen: NDArray[np.bool_], scores: NDArray[np.float64], among: NDArray[np.bool_]) -> None:
    """`chosen` holds the largest scores `among` the candidates, up to ties within rounding."""
    n = int(chosen.sum())
    assert not (chosen & ~among).any()
    if n == 0 or n == among.sum():
        return
    least_in, most_out = scores[chosen].min(), scores[among & ~chosen].max()
    assert least_in >= most_out - 1e-5 * max(1.0, most_out), f"chosen down to {least_in}, left out {most_out}"


TDM = {
    "method": "er_ace",
    "structure": "tdm",
    "structure_interval": 5,
    "structure_updates": 3,
    "structure_inter": 0.05,
    "structure_intra": 0.04,
}


def share(x: float, n: int) -> int:
    return int(float(np.float32(x)) * n + 0.5)


@pytest.mark.parametrize("net", ["mlp", "conv"])
def test_tdm_counts_and_importance(net: str) -> None:
    """Expand at a task's start, exchange by |w| + a |g|, settle at the target; two tasks."""
    twin = Twin(net, TDM)
    targets = {layer["name"]: layer["stored"] for layer in twin.layers if layer["sparse"]}
    for _ in range(2):
        start = twin.masks()
        for name, mask in start.items():
            assert mask.sum() == targets[name] + share(0.05, mask.size), "a task starts above the target"
        for s in range(1, 27):
            before = twin.masks()
            report, gradients, _ = step(twin)
            after, weights = twin.masks(), twin.weights()
            update = s // 5 if s % 5 == 0 and s // 5 <= 4 else 0
            changes = update in (1, 2, 3)  # the last update finds the target already
            assert bool(report["structure_changed"]) == changes
            for name, mask in before.items():
                assert report["structure_changed"] or (after[name] == mask).all()
                if not changes:
                    continue
                assert after[name].sum() == targets[name]
                kept = after[name] & (weights[name] != 0)
                assert kept.sum() == targets[name] - share(0.04, mask.size)
                importance = _after_step(twin, name, weights, gradients, mask)
                assert_largest(kept, importance, mask)
        twin.session.begin_task()


def _after_step(
    twin: Twin,
    name: str,
    weights: dict[str, NDArray[np.float32]],
    gradients: dict[str, NDArray[np.float64]],
    mask: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """|w| + 0.5 |g| after the step; a dropped weight is gone from the state, so it comes from the update rule."""
    before = twin.previous[name]  # type: ignore[attr-defined]
    moved = before - 0.05 * gradients[name]
    present = np.where(weights[name] != 0, weights[name], moved)
    return np.where(mask, np.abs(present) + 0.5 * np.abs(gradients[name]), 0.0)


@pytest.fixture(autouse=True)
def _remember_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights before each step, for importance after it."""
    original = Twin.batch

    def batch(self: Twin) -> Any:
        self.previous = self.weights()  # type: ignore[attr-defined]
        return original(self)

    monkeypatch.setattr(Twin, "batch", batch)


@pytest.mark.parametrize("net", ["mlp", "conv"])
@pytest.mark.parametrize("rule", ["set", "rigl", "tdm-gradient", "tdm-importance"])
def test_growth(net: str, rule: str) -> None:
    """SET and RigL replace a falling share of the smallest weights; gradient growth takes the largest gradients."""
    settings: dict[str, Any] = {**TDM, "structure_intra": 0.3, "structure_inter": 0.0}
    if rule.startswith("tdm"):
        settings.update(growth=rule.removeprefix("tdm-"), structure_intra=0.05)
        if rule == "tdm-importance":
            if net == "conv":
                pytest.skip(
                    "batch statistics mix current and replayed rows: PyTorch has no such gradient to compare with"
                )
            settings.update(importance_current=0.7, importance_replay=0.2)
    else:
        settings["structure"] = rule
    twin = Twin(net, settings)
    for s in range(1, 21):
        before = twin.masks()
        _, gradients, current = step(twin)
        if s % 5 or s == 20:
            continue
        after, weights = twin.masks(), twin.weights()
        for name, mask in before.items():
            n = int(mask.sum())
            moved = twin.previous[name] - 0.05 * gradients[name]  # type: ignore[attr-defined]
            g = np.abs(gradients[name])
            kept = after[name] & (weights[name] != 0)
            if rule.startswith("tdm"):
                replaced = share(0.05, mask.size)
            else:
                replaced = share(0.3, n) * (4 - s // 5) // 4
                assert_largest(kept, np.abs(moved) * mask, mask)
            assert after[name].sum() == n and kept.sum() == n - replaced
            grown = after[name] & ~kept
            if rule in ("rigl", "tdm-gradient"):
                assert_largest(grown, g, ~mask)
            elif rule == "tdm-importance":
                of_current = np.abs(current[name])
                of_replayed = np.abs(gradients[name] - current[name])
                score = 0.7 * of_current + 0.2 * of_replayed
                assert_largest(grown, score, ~mask)
                importance = np.where(mask, np.abs(moved) + score, 0.0)
                assert_largest(kept, importance, mask)


@pytest.mark.parametrize("net", ["mlp", "conv"])
def test_dgm(net: str) -> None:
    """Each refresh chooses the largest gradients; between refreshes only these weights move."""
    twin = Twin(net, {"method": "er_ace", "gradient_mask": "dgm", "gradient_interval": 4, "gradient_keep": 0.5})
    chosen: Masks = {}
    full = 0.0
    for s in range(12):
        masks = twin.masks()
        report, gradients, _ = step(twin)
        weights = twin.weights()
        row_macs = report["macs_backward"] / (BATCH + report["n_replayed"])
        if s % 4 == 0:
            chosen, full = twin.masks(selected=True), row_macs
        else:
            assert row_macs < full, "masked work must not be done"
        for name, mask in masks.items():
            moved = weights[name] != twin.previous[name]  # type: ignore[attr-defined]
            assert moved.any() and not (moved & ~chosen[name]).any()
            if s % 4 == 0:
                assert chosen[name].sum() == share(0.5, int(mask.sum()))
                assert_largest(chosen[name], np.abs(gradients[name]) * mask, mask)


def test_migu_and_hft() -> None:
    """MIGU moves whole rows from the second task on; HFT moves half of the tensors, the head always."""
    twin = Twin("mlp", {"method": "er_ace", "gradient_mask": "migu", "gradient_keep": 0.25})
    step(twin)
    assert len(_rows_moved(twin, "0.weight")) > 8, "the first task updates every row"
    twin.session.begin_task()
    for _ in range(3):
        step(twin)
        assert len(_rows_moved(twin, "0.weight")) <= 8 and len(_rows_moved(twin, "2.weight")) <= 6

    hft = Twin("mlp", {"method": "er_ace", "gradient_mask": "hft", "gradient_keep": 0.5})
    choices = set()
    for _ in range(8):
        step(hft)
        moving = [name for name in ("0.weight", "2.weight") if len(_rows_moved(hft, name))]
        assert len(moving) == 1 and len(_rows_moved(hft, "4.weight"))
        choices.add(moving[0])
        hft.session.begin_task()
    assert len(choices) == 2, "each task draws anew"


def _rows_moved(twin: Twin, name: str) -> NDArray[np.int64]:
    weights = twin.weights()[name]
    return np.flatnonzero((weights != twin.previous[name]).any(axis=1))  # type: ignore[attr-defined]


def test_state_carries_structure_and_mask() -> None:
    """A state saved in the middle of a task goes on bit for bit in another session."""
    settings = {**TDM, "gradient_mask": "dgm", "gradient_interval": 4, "gradient_keep": 0.5, "momentum": 0.9}
    one, other = Twin("conv", settings), Twin("conv", settings)
    for _ in range(7):
        one.learn()
    other.session.state_import(one.session.state_export())
    other.rng = np.random.default_rng(1)
    for _ in range(7):
        other.batch()
    for _ in range(16):
        one.learn()
        other.learn()
    one.session.begin_task()
    other.session.begin_task()
    assert one.session.state_digest() == other.session.state_digest()
    assert one.session.stats()["structure_updates"] > 3


def test_drift_marks_a_boundary() -> None:
    """A jump of the current rows' loss ends the task without any call."""
    settings = {**TDM, "boundary": "drift", "drift_delta": 0.05, "drift_threshold": 2.0, "structure_interval": 1000}
    twin = Twin("mlp", settings)
    target = sum(layer["stored"] for layer in twin.layers if layer["sparse"])

    def learn(shift: float, n: int) -> None:
        for _ in range(n):
            y = twin.rng.integers(0, 3, BATCH).astype(np.int32)
            x = twin.rng.standard_normal((BATCH, 40)).astype(np.float32) * 0.1
            x[:, :3] += shift * np.eye(3, dtype=np.float32)[y]
            twin.session.learn(x, y)

    learn(4.0, 300)
    assert twin.session.stats()["tasks"] == 0
    learn(-4.0, 100)
    assert twin.session.stats()["tasks"] == 1
    assert sum(int(mask.sum()) for mask in twin.masks().values()) > target
