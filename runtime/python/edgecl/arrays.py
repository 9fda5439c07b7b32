# Turning what a caller hands in into arrays that the core takes without copying.
# Never here: shapes (the binding checks them against the bundle), learning, labels.
"""Conversion of sample arrays to the dtype of a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import ArgumentError, DtypeError, NumericError, ShapeError

DTYPES: dict[int, type[np.generic]] = {0: np.float32, 1: np.uint8}  # EDGECL_F32, EDGECL_U8


def as_batch(x: Any, dtype: type[np.generic], copy: str = "auto") -> NDArray[Any]:
    """Samples as a C-contiguous array of `dtype`; the same memory when it already is one.

    Args:
        x: array of numbers.
        dtype: float32 or uint8, the bundle's.
        copy: "auto" converts once where it must; "error" refuses to.

    Raises:
        DtypeError: not numbers, or not bytes where the bundle takes bytes.
        NumericError: a value that is not finite where the bundle takes bytes (where it takes floats, the core checks).
        ArgumentError: copy="error" and a copy is needed.
    """
    wanted = np.dtype(dtype)
    if isinstance(x, np.ma.MaskedArray) and np.ma.is_masked(x):
        raise NumericError("expected samples without gaps; found a masked array; repair or drop the samples")
    if hasattr(x, "detach"):  # a tensor that may ask for gradients or live elsewhere
        x = x.detach().cpu()
    try:
        array = np.asarray(x)
    except OverflowError as error:
        raise DtypeError(f"expected numbers, {wanted} best; found: {error}; convert the array") from error
    except ValueError as error:  # rows of different lengths
        raise ShapeError(f"expected samples of one shape; found: {error}; hand in samples that are alike") from error
    if array.dtype != wanted:
        if copy == "error":
            raise ArgumentError(
                f"expected {wanted} because copy='error'; found {array.dtype}; "
                "convert the array once before the loop, or use copy='auto'"
            )
        array = _convert(array, wanted)
    if not array.flags.c_contiguous:
        if copy == "error":
            raise ArgumentError(
                f"expected a C-contiguous array because copy='error'; found strides {array.strides}; "
                "use numpy.ascontiguousarray once, or copy='auto'"
            )
        array = np.ascontiguousarray(array)
    return array


def check_copy(copy: Any) -> None:
    """ArgumentError unless it is a way of copying."""
    if copy not in ("auto", "error"):
        raise ArgumentError(f"expected copy='auto' or 'error'; found {copy!r}; choose one of them")


def row_weights(weights: Any, n_rows: int) -> NDArray[np.float32] | None:
    """Weights of rows, (n_rows,); None stays None.

    Raises:
        ShapeError: not one a row. ArgumentError: not numbers, negative, or not finite.
    """
    if weights is None:
        return None
    try:
        array = np.asarray(weights, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ArgumentError(f"expected numbers as sample_weight; found: {error}; convert them") from error
    if array.ndim == 0:
        array = np.full(n_rows, float(array))
    if array.shape != (n_rows,):
        raise ShapeError(f"expected {n_rows} weights, one a row; found shape {array.shape}; pass one a row")
    if not np.isfinite(array).all() or (array.size and array.min() < 0):
        row = int(np.flatnonzero(~np.isfinite(array) | (array < 0))[0])
        raise ArgumentError(f"expected weights of at least 0; found {array[row]} in row {row}; correct it")
    return array.astype(np.float32)


def _convert(array: NDArray[Any], wanted: np.dtype[Any]) -> NDArray[Any]:
    kind = array.dtype.kind
    if kind == "O":  # numbers as Python's objects
        try:
            return _convert(array.astype(np.float64), wanted)
        except (TypeError, ValueError, OverflowError) as error:
            raise DtypeError(
                f"expected numbers, {wanted} best; found objects: {error}; convert the array (sparse matrices with "
                "toarray)"
            ) from error
    if kind not in "buif":
        raise DtypeError(f"expected numbers, {wanted} best; found dtype {array.dtype}; convert the array to {wanted}")
    if wanted == np.uint8:
        if kind == "f" and not np.isfinite(array).all():
            raise NumericError("expected bytes 0..255; found a value that is not finite; remove or repair the sample")
        if array.size and (array.min() < 0 or array.max() > 255 or (kind == "f" and (array != np.floor(array)).any())):
            raise DtypeError(
                "expected raw bytes 0..255, because the bundle itself scales and normalises; "
                f"found {array.dtype} values {array.min():.4g}..{array.max():.4g}, not bytes; hand in the raw uint8 "
                "data"
            )
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite, and the core refuses it as such
        return array.astype(wanted)


def shape_of(x: Any) -> tuple[int, ...]:
    """The shape of anything that can become an array; () where rows have different lengths."""
    try:
        return tuple(np.shape(x))
    except ValueError:
        return ()


def shape_sentence(
    info: Mapping[str, Any], shape: tuple[int, ...], owner: str, encoder: Mapping[str, Any] | None = None
) -> str:
    """What is wrong with an array of this shape for samples as `info` says, or embeddings of an encoder."""
    sentence = (
        f"expected samples of shape (n, {', '.join(map(str, info['input_dims']))}); found an array of shape "
        f"{shape}. Reshape your data (one sample alone needs a leading axis of 1)"
    )
    if encoder is not None:
        sentence += f", or hand in embeddings of shape (n, {encoder['embedding_dim']})"
    if len(shape) != 2:
        return sentence
    n = info["input_elements"]  # scikit-learn's words, which its users know
    return f"X has {shape[1]} features, but {owner} is expecting {n} features as input: {sentence}"
