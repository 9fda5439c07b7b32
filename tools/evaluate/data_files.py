# Readers of the data folder: one function a file format, arrays out.
# Never here: tasks and orders (streams.py makes them).
"""Reading the data sets that the named streams are made of."""

from __future__ import annotations

import gzip
import io
import os
import zipfile
import zlib
from pathlib import Path

import numpy as np
from edgecl.errors import DataError, UnsupportedError
from edgecl.npz import damaged
from numpy.typing import NDArray

ENVIRONMENT = "EDGECL_DATA"
_DEFAULT = Path("..") / "shared" / "data"


def data_folder() -> Path:
    """The folder with the data sets: the environment variable EDGECL_DATA, else ../shared/data beside the working
    folder or repository.

    Raises:
        DataError: there is none.
    """
    given = os.environ.get(ENVIRONMENT)
    repository = Path(__file__).resolve().parents[2]
    candidates = [Path(given)] if given else [Path.cwd() / _DEFAULT, repository / _DEFAULT]
    for folder in candidates:
        if folder.is_dir():
            return folder
    tried = "' and '".join(os.path.normpath(c) for c in candidates)
    raise DataError(
        f"expected a folder with the data sets; found none at '{tried}'; set {ENVIRONMENT} to the folder that holds "
        "them"
    )


def data_file(name: str) -> Path:
    """The path of a file in the data folder.

    Raises:
        DataError: the folder or the file is missing.
    """
    path = data_folder() / name
    if not path.is_file():
        raise DataError(
            f"expected the file '{name}' in the data folder; found none at '{path}'; put it there or set {ENVIRONMENT}"
        )
    return path


def read_idx(prefix: str, part: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (n, 1, 28, 28) uint8 and labels of an idx.gz pair such as "fashion-mnist", "train"."""
    arrays = []
    for kind, offset in (("images-idx3", 16), ("labels-idx1", 8)):
        path = data_file(f"{prefix}-{part}-{kind}-ubyte.gz")
        try:
            with gzip.open(path) as stream:
                arrays.append(np.frombuffer(stream.read(), np.uint8, offset=offset))
        except (OSError, EOFError, zlib.error, ValueError) as error:
            raise damaged(path, error) from error
    images, labels = arrays
    if images.size != labels.size * 784 or labels.size == 0:
        raise DataError(
            f"expected 28 x 28 images, one a label, in '{prefix}-{part}-*'; found {images.size} bytes for "
            f"{labels.size} labels; "
            "replace the files"
        )
    return images.reshape(-1, 1, 28, 28), labels.astype(np.int64)


def read_cifar10() -> tuple[dict[str, tuple[NDArray[np.uint8], NDArray[np.int64]]], tuple[str, ...]]:
    """{"train" | "test": (images (n, 3, 32, 32) uint8, labels)} and the class names, from the mosaic archive. Needs
    Pillow."""
    try:
        from PIL import Image
    except ImportError as error:
        raise UnsupportedError(
            "expected Pillow, which decodes the pictures of split-cifar10; found none; pip install pillow"
        ) from error
    path = data_file("cifar10_20k_5k_webp.zip")
    parts = {}
    try:
        with zipfile.ZipFile(path) as archive:
            names = tuple(archive.read("classes.txt").decode().split())
            for part in ("train", "test"):
                labels = np.frombuffer(archive.read(f"{part}_labels.u8"), np.uint8).astype(np.int64)
                images = np.empty((len(labels), 3, 32, 32), np.uint8)
                for k in range(len(labels) // 1000):
                    with Image.open(io.BytesIO(archive.read(f"{part}_{k:02d}.webp"))) as picture:
                        mosaic = np.asarray(picture.convert("RGB"))
                    cells = mosaic.reshape(25, 32, 40, 32, 3).transpose(0, 2, 4, 1, 3)
                    images[k * 1000 : (k + 1) * 1000] = cells.reshape(1000, 3, 32, 32)
                parts[part] = (images, labels)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise damaged(path, error) from error
    return parts, names
