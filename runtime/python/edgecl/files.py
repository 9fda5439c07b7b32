# Reading and writing whole files so that a crash or a full disk never leaves half a file.
# Never here: anything that knows what the bytes mean.
"""Whole-file reads and atomic writes."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from edgecl.errors import ArgumentError, FileError


def read_file(path: str | os.PathLike[str]) -> bytes:
    """All bytes of a file.

    Raises:
        FileError: with the system's own words. ArgumentError: no path.
    """
    _refuse_no_path(path)
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise FileError(
            f"expected a readable file at '{os.fspath(path)}'; found: {_reason(error)}; check the path and "
            "its permissions"
        ) from error


def write_file_atomic(path: str | os.PathLike[str], data: bytes) -> None:
    """Replaces a file as a whole: written beside, synchronised, renamed, and the folder synchronised.

    After a power cut at any moment the path holds the old bytes or the new ones. On failure the old file is kept and
    the partial copy is removed. A symbolic link stays, and the file that it names is replaced. What is no file (a pipe,
    /dev/null) is written as it is. Cost: one write of `data` and two fsync calls.

    Raises:
        FileError: the disk is full, the folder is missing or not writable. ArgumentError: no path.
    """
    _refuse_no_path(path)
    temporary: str | None = None
    try:
        target = Path(os.path.realpath(path))
        folder = target.parent
        if _is_stream(target):
            target.write_bytes(data)
            return
        # Part of the name, so that a long one still has room for what is added.
        descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name[:32]}.", suffix=".part", dir=folder)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, _new_file_mode(target))
        os.replace(temporary, target)
        temporary = None
        folder_descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(folder_descriptor)
        finally:
            os.close(folder_descriptor)
    except (OSError, ValueError) as error:
        raise FileError(
            f"expected to write {len(data)} bytes to '{os.fspath(path)}'; found: {_reason(error)}; "
            "check the folder and its free space (an older file at that path is unchanged)"
        ) from error
    finally:
        if temporary is not None:
            _remove_quietly(temporary)


def _refuse_no_path(path: object) -> None:
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        raise ArgumentError(f"expected the path of a file; found {path!r}; pass a str or a Path")


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _is_stream(target: Path) -> bool:
    try:
        mode = target.stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def _new_file_mode(target: Path) -> int:
    # mkstemp makes the file private; a state or bundle keeps the mode that the path had, or what the process' umask
    # asks for.
    try:
        return target.stat().st_mode & 0o777
    except OSError:
        umask = os.umask(0)
        os.umask(umask)
        return 0o666 & ~umask


def _remove_quietly(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        return
