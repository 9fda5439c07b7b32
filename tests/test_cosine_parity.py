"""The head `cosine` against plain PyTorch, from the same start and the same draws; and its export.

Never here: the layer by itself (tests/runtime/heads_cosine.cpp).
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import edgecl
import numpy as np
import pytest
from edgecl import _core, errors

torch = pytest.importorskip("torch", reason="PyTorch is the reference")
functional = torch.nn.functional

FEATURES, CLASSES, SCALE, BATCH = 20, 5, 9.0, 6


def _net() -> Any:
    torch.manual_seed(4)
    layers = [torch.nn.Linear(FEATURES, 24), torch.nn.ReLU(), torch.nn.Linear(24, CLASSES)]
    return torch.nn.Sequential(*layers).eval()


def _stream(steps: int) -> list[tuple[Any, Any]]:
    rng = np.random.default_rng(0)
    labels = np.sort(rng.integers(0, CLASSES, steps * BATCH)).astype(np.int32)  # classes come one after the other
    centres = rng.standard_normal((CLASSES, FEATURES))
    x = (centres[labels] + 0.5 * rng.standard_normal((len(labels), FEATURES))).astype(np.float32)
    return [(x[i : i + BATCH], labels[i : i + BATCH]) for i in range(0, len(labels), BATCH)]


def _bundle(method: str, out: Path | None = None, **settings: Any) -> bytes:
    from edgecl import export

    recipe = export.Recipe(
        method=method, head="cosine", cosine_scale=SCALE, learning_rate=0.02, batch_size=BATCH, replay_batch=7,
        replay_capacity=1000, **settings,
    )  # fmt: skip
    report = export.from_torch(_net(), torch.zeros(1, FEATURES), classes=CLASSES, recipe=recipe, out=out)
    assert any("cosine" in note for note in report.notes)
    return bytes(report.bundle)


def _cosines(net: Any, x: Any) -> Any:
    h, w = net[:-1](x), net[-1].weight
    norms = (w.square().sum(1) + 1e-6).sqrt() * (h.square().sum(1, keepdim=True) + 1e-6).sqrt()
    return SCALE * (h @ w.T) / norms


@pytest.mark.parametrize("method", ["er", "derpp"])
def test_losses_and_weights_of_40_steps(method: str) -> None:
    alpha, beta = 0.3, 0.5
    session = _core.Session(_core.Model(data=_bundle(method, alpha=alpha, beta=beta)), momentum=0.8, seed=1)
    twin = deepcopy(_net()).double()
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.02, momentum=0.8)
    rows: list[Any] = []
    labels: list[int] = []
    stored: list[Any] = []
    for x, y in _stream(40):
        report = session.learn(x, y, want_slots=True)
        current, target = torch.from_numpy(x).double(), torch.from_numpy(y).long()
        slots = report["replay_slots"].tolist()
        scores = _cosines(twin, torch.cat([current, *[rows[i][None] for i in slots]]))
        old = torch.tensor([labels[i] for i in slots])
        if method == "er":
            loss = functional.cross_entropy(scores, torch.cat([target, old.long()]))
        else:
            loss = functional.cross_entropy(scores[:BATCH], target)
            half = len(slots) // 2
            if slots:
                first, second = scores[BATCH : BATCH + half], scores[BATCH + half :]
                kept = torch.stack([stored[i] for i in slots[:half]])
                loss = loss + alpha * functional.mse_loss(first, kept)
                loss = loss + beta * functional.cross_entropy(second, old[half:].long())
        assert report["loss"] == pytest.approx(float(loss.detach()), rel=1e-3, abs=1e-5)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rows += list(current)
        labels += y.tolist()
        stored += list(scores[:BATCH].detach())
    ours = session.parameters()
    for name, value in twin.state_dict().items():
        found = ours[name].T if name.endswith("weight") else ours[name]
        if name != "2.bias":
            np.testing.assert_allclose(found, value.numpy(), rtol=1e-3, atol=1e-3, err_msg=name)
    assert (ours["2.bias"] == _net().state_dict()["2.bias"].numpy()).all()


def test_scores_of_a_bundle_and_a_classifier(tmp_path: Path) -> None:
    path = tmp_path / "net.ecl"
    _bundle("er", out=path)
    learner = edgecl.Classifier(path)
    x = np.concatenate([rows for rows, _ in _stream(4)])
    expected = _cosines(_net().double(), torch.from_numpy(x).double()).detach().numpy()
    learner.partial_fit(x[:1], np.array([0]), classes=range(CLASSES), sample_weight=np.zeros(1))
    assert learner.config()["head"] == "cosine" and learner.logits(x).shape == expected.shape
    plain = edgecl.Classifier(path, head="gradient")
    assert np.abs(plain.logits(x) - _net()(torch.from_numpy(x)).detach().numpy()).max() < 1e-4
    with pytest.raises(errors.UnsupportedError, match="uer"):
        edgecl.Classifier(path, method="uer", head="cosine").partial_fit(x[:2], [0, 1])
