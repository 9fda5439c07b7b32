# Whether samples look like those that a bundle normalises: bytes for bytes, 0..1 for 0..1.
# Never here: dtypes (arrays.py), shapes, anything that is refused: a range is a guess, so it is only told.
"""`RangeWatch`: tells a user whose samples are of another raw range than the bundle's input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecl.bundle import Bundle
from edgecl.notes import tell

_MOST_ROWS = 256  # that are looked at
_FEWEST_ROWS = 8  # that say something about spread: one dark picture is no other range
# Normalised samples have a magnitude of about 1. Mistaken ranges are off by 16 (digits) to 255 (bytes), another sensor
# or another light by 2 or 3.
_FACTOR = 10.0


class RangeWatch:
    """Looks at the first samples that come for a bundle, which stand for all."""

    def __init__(self) -> None:
        self._seen: Bundle | None = None

    def look(self, bundle: Bundle, x: NDArray[Any]) -> None:
        """A UserWarning when they are of another range."""
        if self._seen is bundle or len(x) == 0:
            return
        self._seen = bundle
        if sentence := range_sentence(bundle.samples, x):
            tell(sentence)


def range_sentence(info: Mapping[str, Any], x: NDArray[Any]) -> str | None:
    """What is wrong with the range of samples for the bundle that `info` describes; None if nothing is.

    Args:
        info: `Bundle.samples`.
        x: samples of the bundle's dtype and number of elements, (n, ...).
    """
    rows = x[:: max(1, len(x) // _MOST_ROWS)].reshape(-1, *info["input_dims"]).astype(np.float64)
    if rows.size == 0 or not np.isfinite(rows).all():  # the core refuses what is not finite
        return None
    spec = info["input"]
    mean, inv_std = np.asarray(spec["mean"], np.float64), np.asarray(spec["inv_std"], np.float64)
    scale = float(spec["scale"])
    first = rows.shape[1] == len(mean)  # the axis of channels; one number for all fits any
    shape = (-1, *[1] * (rows.ndim - 2)) if first else (-1,)
    normal = (rows * scale - mean.reshape(shape)) * inv_std.reshape(shape)
    large = float(np.sqrt(np.mean(normal**2))) > _FACTOR
    found = f"found {rows.min():.4g}..{rows.max():.4g}"
    if scale == 1 and not mean.any() and (inv_std == 1).all():  # the bundle does not say what it expects
        bytes_ = rows.min() >= 0 and rows.max() <= 255 and (rows == np.floor(rows)).all()
        if not (large and bytes_):
            return None
        return (
            f"expected samples as the model was trained on, since the bundle does not scale them; {found}, which are "
            "bytes; if it was trained on 0..1, divide them by 255, or export it with --input-dtype u8"
        )
    small = len(rows) >= _FEWEST_ROWS and float(normal.std()) < 1 / _FACTOR
    if not (large or small):
        return None
    middle, spread = float(mean.mean() / scale), float((1 / inv_std).mean() / abs(scale))
    return (
        f"expected raw samples of about {middle:.3g} ± {spread:.3g}, which the bundle normalises (scale {scale:.4g}); "
        f"{found}, so the model sees numbers {'far too large' if large else 'that hardly differ'}; hand in raw data of "
        "the range that it was exported for, or export it with --input-dtype, --scale, --mean and --std of these"
    )
