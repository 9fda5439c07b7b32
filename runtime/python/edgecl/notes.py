# Sentences that a user should see, told as warnings of the place in the user's own code.
# Never here: what the sentences say (the core's, or the caller's).
"""`tell`: a UserWarning that points out of this package."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

_PACKAGE = str(Path(__file__).parent)


def tell(sentence: str) -> None:
    """Warns at the innermost call that is not in this package."""
    depth, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        depth, frame = depth + 1, frame.f_back
    warnings.warn(sentence, UserWarning, stacklevel=depth + 1)
