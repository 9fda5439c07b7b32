# What `adaptor="search"` goes by: rows of a new domain, and how far to look.
# Never here: choosing (adaptor_choice.py).
"""`AdaptorData`."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any

from edgecl.export.adaptor_search.scores import RULES
from edgecl.export.errors import ExportError

SEARCH = "search"
LARGEST_SHARE = 0.05  # of the encoder's parameters
ROWS, FEWEST_ROWS = 256, 16


@dataclass(frozen=True, eq=False)
class AdaptorData:
    """Rows of a new domain, for which an adaptor is to be chosen.

    Attributes:
        x: raw samples as the device will see them, (n, *sample dims), in the dtype of the input; 16 or more.
        y: their labels, of two classes or more.
        budget: seconds after which no further candidate is scored; None: all are.
        share: candidates have at most this share of the encoder's parameters, above 0.
        score: what decides: "parameters", "naswot", "zen", "synflow", "zico", "spectral", "ridge_loo", "hidden_loo" or
            "combined"; None: what was best in our measurement.
        rows: how many rows are looked at, as many of each class as of the others, drawn by `mask_seed`.
    """

    x: Any
    y: Any
    budget: float | None = None
    share: float = LARGEST_SHARE
    score: str | None = None
    rows: int = ROWS

    def __post_init__(self) -> None:
        if self.budget is not None and not (isfinite(self.budget) and self.budget > 0):
            raise ExportError(
                f"expected a budget above 0 seconds for the choice of an adaptor; found {self.budget}; leave it out to "
                "score all",
                -1,
            )
        if not (isfinite(self.share) and self.share > 0):
            raise ExportError(
                f"expected the largest share of an adaptor above 0; found {self.share}; 0.05 is a twentieth of the "
                "encoder",
                -1,
            )
        if self.score is not None and self.score not in RULES:
            raise ExportError(f"expected a score among {', '.join(RULES)}; found '{self.score}'; choose one", -1)
        if not isinstance(self.rows, int) or self.rows < FEWEST_ROWS:
            raise ExportError(
                f"expected {FEWEST_ROWS} rows or more to choose an adaptor by; found {self.rows!r}; {ROWS} is a good "
                "number",
                -1,
            )

    @classmethod
    def of(cls, given: Any) -> AdaptorData:
        """The same, or (x, y) with the defaults.

        Raises:
            ExportError: neither.
        """
        if isinstance(given, cls):
            return given
        if isinstance(given, tuple | list) and len(given) == 2:
            return cls(*given)
        raise ExportError(
            f"expected adaptor_data to be (x, y) or export.AdaptorData; found {type(given).__name__}; hand in samples "
            "and labels",
            -1,
        )
