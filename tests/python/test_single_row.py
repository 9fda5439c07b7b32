# A step of one row: a batch norm over vectors has no spread to go by, and takes its running statistics.
# Never here: other steps (test_parity_*.py).
"""Batch norm of a single row beside PyTorch with the same layer in evaluation mode."""

from __future__ import annotations

import edgecl
import numpy as np
import pytest

torch = pytest.importorskip("torch")
export = pytest.importorskip("edgecl.export")


def test_one_row_a_step_is_that_of_running_statistics() -> None:
    torch.manual_seed(0)
    nn = torch.nn
    net = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))
    net(torch.randn(64, 8))  # statistics that are not 0 and 1
    recipe = export.Recipe(method="finetune", learning_rate=0.1, replay_capacity=0)
    learner = edgecl.Classifier(export.from_torch(net, torch.zeros(1, 8), recipe=recipe).bundle, batch_size=1)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((20, 8)).astype(np.float32), rng.integers(0, 3, 20)
    learner.partial_fit(x, y)
    net.eval()
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
    for row, label in zip(x, y, strict=True):
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(torch.from_numpy(row[None])), torch.tensor([label])).backward()
        optimiser.step()
    with torch.no_grad():
        expected = net(torch.from_numpy(x)).numpy()
    assert np.abs(learner.decision_function(x) - expected).max() < 1e-4
