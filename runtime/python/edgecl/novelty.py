# What a Classifier says of samples that it should not judge.
# Never here: scores and thresholds (the core has them).
"""`Decision` and the verbs of novelty."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecl.engine import Engine


class Decision(IntEnum):
    """What to do with a prediction."""

    ACCEPT = 0
    UNCERTAIN = 1
    NOVEL = 2


class NoveltyVerbs:
    """The part of `Classifier` that judges novelty. Scores by name: "max_logit", "energy" (any head), "rmds" (`novelty`
    is "rmds", head "lda", "ridge" or "fecam"), "knn" (with a `head_bank`), "hd" (head "hd"), "fit"
    (`Routes.fit`, with `max_domains`); None: the parameter `novelty`, or energy where that is "none"."""

    _with_classes: Callable[[], Engine]  # of the class that takes these verbs
    _batch: Callable[[Any], NDArray[Any]]

    def score_samples(self, X: Any, score: str | None = None) -> NDArray[np.float32]:
        """Familiarity, (n,) float32: larger is closer to what was learned, the direction of scikit-learn.

        Raises:
            SequenceError: nothing was learned. UnsupportedError: the session does not keep what the score needs.
            ArgumentError: no such score. ShapeError, DtypeError, NumericError. Cost: one forward pass a row.
        """
        return -self.ood_score(X, score)

    def ood_score(self, X: Any, score: str | None = None) -> NDArray[np.float32]:
        """Novelty, (n,) float32: exactly minus `score_samples`."""
        return self._with_classes().session.novelty_scores(self._batch(X), score or "none")

    def calibrate(self, X: Any, accepted: float = 0.95, kept: float = 0.99, score: str | None = None) -> dict[str, Any]:
        """Sets the thresholds of a score from rows like those learned, which must not have been learned themselves.

        Args:
            accepted: share of such rows that `decide` accepts, 0.5..kept.
            kept: 1 - the share of such rows that it calls novel, below 1.

        Returns:
            {"score", "accept", "novel", "rows"}; saved with the state.
        """
        session = self._with_classes().session
        name = score or "none"
        session.novelty_calibrate(name, session.novelty_scores(self._batch(X), name), accepted, kept)
        threshold = session.novelty_threshold(name)
        assert threshold is not None
        return threshold

    def threshold(self, score: str | None = None) -> dict[str, Any] | None:
        """What `calibrate` returned for a score, or what a state brought; None without thresholds."""
        return self._with_classes().session.novelty_threshold(score or "none")

    def decide(self, X: Any) -> NDArray[np.int32]:
        """`Decision` of each row, (n,), by the parameter `novelty`: accepted, uncertain (between thresholds), novel.

        Raises:
            SequenceError: no thresholds (`calibrate`); else as `score_samples`.
        """
        return self._with_classes().session.decide(self._batch(X))

    def observe(self, X: Any) -> NDArray[np.int32]:
        """As `decide`, and the rows enter the window that `drift` judges: for a stream, each row once, in its order."""
        return self._with_classes().session.observe(self._batch(X))

    def drift(self) -> dict[str, Any]:
        """How strange the latest `novelty_window` observed rows are, taken together; part of the state.

        Returns:
            "alarm": whether they are not like the rows of `calibrate`; "unknown" and "unusual": shares of the window
            that are not accepted and that lie above the median of those rows; "chance" of a window as strange as this
            among rows like these; "alarms": how often the alarm rose; "observed", "filled", "window": numbers of rows;
            "score".

        Raises:
            SequenceError: no thresholds (`calibrate`).
        """
        return self._with_classes().session.drift()
