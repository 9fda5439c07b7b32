# Rows of the new domain as scores see them.
# Never here: reading files, running the encoder.
"""`Batch`: the encoder's last feature map of some rows, with their classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from edgecl.export.adaptor_search.forms import Array, Shape
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Batch:
    """maps: (channels, n, height, width), behind which adaptors sit; columns: (n,) numbers of the classes, from 0;
    length_1: the head takes embeddings of length 1; seed: of all random values."""

    maps: Array
    columns: NDArray[np.int64]
    length_1: bool = True
    seed: int = 0

    @property
    def shape(self) -> Shape:
        """Of one map."""
        channels, _, height, width = self.maps.shape
        return channels, height, width
