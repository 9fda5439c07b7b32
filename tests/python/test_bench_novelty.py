# tools/bench/novelty.py and what it is made of, on small data that is made here.
# Never here: encoders of others, the data folder, how good a score is on real data.
"""Tests of the bench of novelty scores: figures, the transcribed alarm, rows, table."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
pytest.importorskip("torch")
pytest.importorskip("sklearn")
pytest.importorskip("scipy")


@pytest.fixture()
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "tools/bench"))
    import novelty

    return novelty


def _pair(bench: Any, name: str = "blobs / noise") -> Any:
    generator = np.random.default_rng(0)
    centres = np.abs(generator.standard_normal((4, 12)))
    y = np.arange(600) % 4
    x = np.abs(centres[y] + 0.2 * generator.standard_normal((600, 12))).astype(np.float32)
    other = np.abs(generator.standard_normal((200, 12))).astype(np.float32)
    return bench.Pair(name, "12 numbers", x[:200], y[:200], x[200:], other)


def test_figures_are_those_of_scikit_learn(bench: Any) -> None:
    from sklearn.metrics import roc_auc_score, roc_curve

    generator = np.random.default_rng(1)
    like = np.round(generator.standard_normal(400), 1).astype(np.float32)  # with ties
    other = np.round(generator.standard_normal(300) + 1, 1).astype(np.float32)
    truth = np.repeat([0, 1], [400, 300])
    scores = np.concatenate([like, other])
    assert abs(bench.auroc(like, other) - roc_auc_score(truth, scores)) < 1e-9
    # Their curve takes rows like the learned ones as positive, so that 95 % of them are to be found.
    rates, found, _ = roc_curve(1 - truth, -scores, drop_intermediate=False)
    assert abs(bench.accepted_at_95(like, other) - rates[np.argmax(found >= 0.95)]) < 1e-9


def test_an_alarm_is_that_of_a_plain_loop(bench: Any) -> None:
    generator = np.random.default_rng(2)
    alarm = sys.modules["novelty_alarm"].Alarm(generator.standard_normal(300).astype(np.float32))
    strength = np.repeat([0, 1.0, 0, 0.4, 0, 2.0], 300)
    stream = (generator.standard_normal(len(strength)) + strength).astype(np.float32)
    rises, on = 0, False
    for end in range(bench.WINDOW, len(stream) + 1):
        counts = [int((stream[end - bench.WINDOW : end] > level).sum()) for level in alarm.levels]
        high = any(count >= limit for count, limit in zip(counts, alarm.alarm_from, strict=True))
        calm = all(count <= limit for count, limit in zip(counts, alarm.calm_to, strict=True))
        rises += high and not on
        on = high or (on and not calm)
    assert alarm.rises(stream) == rises >= 2
    windows = stream[: len(stream) // 64 * 64].reshape(-1, 64)
    assert (alarm.of_windows(windows) == [alarm.rises(window) == 1 for window in windows]).all()


@pytest.mark.parametrize("which", range(5))
def test_a_row_of_each_score(bench: Any, which: int) -> None:
    found = bench.row(_pair(bench), *bench.SCORES[which])
    assert found["auroc"] > 0.9 and found["fpr95"] < 0.5 and found["rows"] == [200, 400, 200]
    assert found["detected"] > 0.9 and found["false_alarms"] < 5 and found["stream_alarms"] < 20
    assert found["peer"] is None or found["peer"] < 1e-3
    twice = bench.merged([found, {**found, "auroc": 0.5, "peer": 0.25}])
    assert len(twice) == 1 and twice[0]["pairs"] == 2 and twice[0]["peer"] == 0.25
    assert abs(twice[0]["auroc"] - (found["auroc"] + 0.5) / 2) < 1e-12
    lines = bench.novelty_table(twice).splitlines()
    assert len(lines) == 3 and lines[2].startswith(f"| blobs / noise | 12 numbers | {found['score']} (")
