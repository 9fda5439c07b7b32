# Names of features: samples as dicts and as frames, in the order of the bundle's columns.
# Never here: labels, conversion of numbers (arrays.py).
"""`FeatureNames`: which feature is which column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import ArgumentError, ShapeError


class FeatureNames:
    """Names in the order of the columns. The first named samples fix them; later ones must have the same.

    A dict is taken by name, whatever its order. A frame must have its columns in the known order, as scikit-learn asks
    for. Names are not part of a state: after `load` the next named samples fix them again.
    """

    def __init__(self) -> None:
        self.names: tuple[str, ...] | None = None

    def sample(self, x: Mapping[Any, Any], n_features: int) -> NDArray[np.float64]:
        """A dict {feature: number} as one row.

        Raises:
            ShapeError: more or fewer features than the bundle takes, or others than before. ArgumentError: a value that
            is no number.
        """
        names = self.names if self.names is not None else tuple(map(str, x))
        values = {str(name): value for name, value in x.items()}
        absent = [name for name in names if name not in values]
        if absent:
            raise ShapeError(f"expected the features {_some(names)} as before; found none called {_some(absent)}")
        if len(values) != n_features:
            raise ShapeError(f"expected {n_features} features; found {len(values)}; hand in all of them and no others")
        try:
            row = np.array([float(values[name]) for name in names])
        except (TypeError, ValueError, OverflowError) as error:
            raise ArgumentError(
                f"expected numbers as features; found: {error}; encode text as numbers first"
            ) from error
        self.names = names
        return row

    def frame(self, x: Any, fitting: bool) -> Any:
        """The values of a frame; anything else as it is.

        Args:
            fitting: the names are taken over; else they must be those known.

        Raises:
            ShapeError: other names than before.
        """
        columns = getattr(x, "columns", None)
        if columns is None or not hasattr(x, "to_numpy"):
            if fitting and not isinstance(x, Mapping):
                self.names = None
            return x
        names = tuple(columns) if all(isinstance(name, str) for name in columns) else None
        if fitting:
            self.names = names
        elif self.names is not None and names is not None and names != self.names:
            raise ShapeError(_difference(self.names, names))
        return x.to_numpy()


def _difference(known: tuple[str, ...], found: tuple[str, ...]) -> str:
    text = "The feature names should match those that were passed during fit.\n"
    unseen, missing = sorted(set(found) - set(known)), sorted(set(known) - set(found))
    for title, names in (
        ("Feature names unseen at fit time:", unseen),
        ("Feature names seen at fit time, yet now missing:", missing),
    ):
        if names:
            text += title + "\n" + "".join(f"- {name}\n" for name in names)
    return text if unseen or missing else text + "Feature names must be in the same order as they were in fit.\n"


def _some(names: Any) -> str:
    shown = [repr(name) for name in names]
    return ", ".join(shown[:5]) + (", ..." if len(shown) > 5 else "")
