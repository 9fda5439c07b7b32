# The figures of continual learning against values worked out by hand.
# Never here: learners.
"""Tests of edgecl.evaluate.metrics."""

from __future__ import annotations

import numpy as np
import pytest
from edgecl import errors
from edgecl.evaluate import metrics

R = [[0.9, 0.0, 0.0], [0.95, 0.8, 0.0], [0.5, 0.6, 0.7]]


def test_by_hand() -> None:
    assert metrics.average_accuracy(R) == pytest.approx(0.6)
    assert metrics.forgetting(R) == pytest.approx((0.4 + 0.2) / 2)
    assert metrics.backward_transfer(R) == pytest.approx(-0.3)
    assert metrics.forgetting_from_best(R) == pytest.approx((0.45 + 0.2) / 2)


def test_one_task() -> None:
    assert metrics.average_accuracy([[0.8]]) == 0.8
    assert (
        metrics.forgetting([[0.8]]) == metrics.backward_transfer([[0.8]]) == metrics.forgetting_from_best([[0.8]]) == 0
    )


def test_what_is_not_yet_learned_does_not_count() -> None:
    unknown = np.array(R)
    unknown[np.triu_indices(3, 1)] = np.nan
    assert metrics.average_accuracy(unknown) == metrics.average_accuracy(R)
    assert metrics.forgetting(unknown) == metrics.forgetting(R)
    assert metrics.forgetting_from_best(unknown) == metrics.forgetting_from_best(R)


@pytest.mark.parametrize("bad", [[], [[0.1, 0.2]], [0.5], [[[0.5]]]])
def test_other_shapes_are_refused(bad: list[object]) -> None:
    with pytest.raises(errors.ShapeError, match="square"):
        metrics.average_accuracy(bad)  # type: ignore[arg-type]
