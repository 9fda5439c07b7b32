# The drift alarm on scores that are there already: a transcription, so that a million samples need not be scored again.
# Never here: data, the alarm itself (runtime/novelty/window.cpp).
"""`alarm_rates`, and `check_against_product`, which holds the transcription to `Classifier.observe`."""

from __future__ import annotations

from typing import Any

import numpy as np
from edgecl import Classifier
from numpy.typing import NDArray
from scipy.stats import betabinom

WINDOW = 64
SPLITS, WINDOWS, STREAM_WINDOWS = 10, 1000, 200  # windows of each split; those' worth of samples of a stream
ACCEPTED, ALARM_TAIL, CALM_TAIL = 0.95, 1 / 32768, 1 / 16

F32 = NDArray[np.float32]


class Alarm:
    """Limits of the two counts from held-out scores."""

    def __init__(self, held_out: F32) -> None:
        n, ordered = len(held_out), np.sort(held_out)
        ranks = [(n + 1) // 2, int(np.ceil(ACCEPTED * n))]
        self.levels = [ordered[rank - 1] for rank in ranks]
        tails = [betabinom.sf(np.arange(WINDOW + 1) - 1, WINDOW, n - rank + 1, rank) for rank in ranks]
        self.alarm_from = [int((tail > ALARM_TAIL).sum()) for tail in tails]
        self.calm_to = [int((tail > CALM_TAIL).sum()) - 1 for tail in tails]

    def of_windows(self, windows: F32) -> NDArray[np.bool_]:
        """Whether each of (n, WINDOW) fresh ones alarms."""
        counts = [(windows > level).sum(1) for level in self.levels]
        return np.asarray((counts[0] >= self.alarm_from[0]) | (counts[1] >= self.alarm_from[1]))

    def rises(self, stream: F32) -> int:
        """How often the alarm rises in a stream that is judged at every sample."""
        sums = [np.concatenate([[0], np.cumsum(stream > level)]) for level in self.levels]
        counts = [total[WINDOW:] - total[:-WINDOW] for total in sums]
        high = (counts[0] >= self.alarm_from[0]) | (counts[1] >= self.alarm_from[1])
        calm = np.flatnonzero((counts[0] <= self.calm_to[0]) & (counts[1] <= self.calm_to[1]))
        rises, at = 0, 0
        for place in np.flatnonzero(high):
            if place < at:
                continue
            rises += 1
            later = calm[np.searchsorted(calm, place) :]
            at = later[0] if len(later) else len(high)
        return rises


def alarm_rates(like: F32, other: F32) -> dict[str, float]:
    """Share of windows of the other set that alarm, and of those of rows like the learned ones (`false_alarms`, per
    1,000); rises in streams of the latter per 1,000 windows' worth of samples. Seeded."""
    generator = np.random.default_rng(0)
    found, wrong, rises = [], [], 0
    for _ in range(SPLITS):
        order = generator.permutation(len(like))
        held_out, rest = like[order[: len(like) // 2]], like[order[len(like) // 2 :]]
        alarm = Alarm(held_out)
        found.append(alarm.of_windows(generator.choice(other, (WINDOWS, WINDOW))).mean())
        wrong.append(alarm.of_windows(generator.choice(rest, (WINDOWS, WINDOW))).mean())
        rises += alarm.rises(generator.choice(rest, STREAM_WINDOWS * WINDOW))
    return {
        "detected": float(np.mean(found)),
        "false_alarms": float(1000 * np.mean(wrong)),
        "stream_alarms": 1000 * rises / (SPLITS * STREAM_WINDOWS),
    }


def check_against_product(learner: Classifier, x_like: F32, x_other: F32) -> None:
    """The same stream through both: half like the learned rows, then the other set, then back again.

    Raises:
        AssertionError: they differ.
    """
    half = len(x_like) // 2
    learner.calibrate(x_like[:half], accepted=ACCEPTED)
    rows = np.concatenate([x_like[half:], x_other, x_like[half:]])
    learner.observe(rows)
    seen: dict[str, Any] = learner.drift()
    scores = learner.ood_score(rows)
    alarm = Alarm(learner.ood_score(x_like[:half]))
    assert seen["alarms"] == alarm.rises(scores), (seen, alarm.rises(scores))
    for name, level in zip(("unusual", "unknown"), alarm.levels, strict=True):
        assert np.isclose(seen[name], (scores[-WINDOW:] > level).mean())
