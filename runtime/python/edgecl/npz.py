# Arrays out of .npz files of the user's.
# Never here: what the arrays mean (commands and streams know), other file formats.
"""`read_npz`: all arrays of a file, or one sentence why not."""

from __future__ import annotations

import os
import zipfile
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import DataError


def read_npz(path: str | os.PathLike[str], required: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """All arrays of an .npz file; no pickled objects are read.

    Raises:
        DataError: missing, damaged, or without one of the required arrays.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except FileNotFoundError as error:
        raise DataError(f"expected an .npz file at '{os.fspath(path)}'; found none; check the path") from error
    except (OSError, ValueError, KeyError, AttributeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise damaged(path, error) from error
    missing = [name for name in required if name not in arrays]
    if missing:
        raise DataError(
            f"expected the arrays {', '.join(required)} in '{os.fspath(path)}'; found "
            f"{', '.join(sorted(arrays)) or 'none'}; "
            f"add {', '.join(missing)}"
        )
    return arrays


def damaged(path: str | os.PathLike[str], error: Exception) -> DataError:
    """The error for a file of data that cannot be read; `error` says why."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return DataError(f"expected a readable data file at '{os.fspath(path)}'; found: {reason}; replace the file")
