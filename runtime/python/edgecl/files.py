# Reading and writing whole files so that a crash or a full disk never leaves half a file.
# Never here: anything that knows what the bytes mean.
"""Whole-file reads and atomic writes."""

from __future__ import annotations

import errno
import os
import stat
import uuid
from pathlib import Path

from edgecl.errors import ArgumentError, FileError

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class _DamagedError(OSError):
    """Overwriting in place stopped on the way."""


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


def check_output(path: str | os.PathLike[str]) -> None:
    """Whether `write_file_atomic` may write there, without writing: to be asked before long work.

    Raises:
        FileError: the path is a folder, a device, a pipe or a socket; the file is read-only; its folder is missing or
            not writable. ArgumentError: no path.
    """
    _refuse_no_path(path)
    try:
        _writable_target(path)
    except (OSError, ValueError) as error:
        raise _unwritable(path, "", error) from error


def write_file_atomic(path: str | os.PathLike[str], data: bytes) -> None:
    """Replaces a file as a whole: written beside, synchronised, renamed, and the folder synchronised.

    After a power cut at any moment the path holds the old bytes or the new ones. On failure the old file is kept and
    the partial copy is removed, also when an exception such as an interrupt comes in between. A symbolic link stays,
    and the file that it names is replaced. One case is not atomic: a file that is mounted by itself (a container's
    `-v state.ecs:/app/state.ecs`) cannot be replaced, so it is overwritten in place and synchronised; a power cut in
    that moment leaves a mixture, which the digest of a state or bundle tells. Cost: one write of `data` and two fsync
    calls; where the file is mounted by itself two writes.

    Raises:
        FileError: the disk is full; or as `check_output`. ArgumentError: no path.
    """
    _refuse_no_path(path)
    size = f" {len(data)} bytes"
    # The name exists before the file does, so that an interrupt at any moment finds what to remove.
    temporary: Path | None = None
    try:
        target, in_place = _writable_target(path)
        mode = _new_file_mode(target)
        if in_place:
            _overwrite(target, data)
            return
        # Part of the name, so that a long one still has room for what is added.
        temporary = target.parent / f".{target.name[:32]}.{uuid.uuid4().hex[:12]}.part"
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, mode)
        try:
            os.replace(temporary, target)
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.EXDEV):
                raise
            _overwrite(target, data)
            return
        _synchronise_folder(target.parent)
    except (OSError, ValueError) as error:
        raise _unwritable(path, size, error) from error
    finally:
        if temporary is not None:
            _remove_quietly(temporary)


def _writable_target(path: str | os.PathLike[str]) -> tuple[Path, bool]:
    # The file that is to be written, at the end of all links, and whether it can only be overwritten in place. OSError
    # where it cannot be written.
    text = os.fspath(path)
    target = Path(os.path.realpath(text))
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        if text.endswith(os.sep):
            raise OSError(errno.EISDIR, "the name of a folder") from None
        mode = None
    if mode is not None:
        for is_kind, name in _KINDS:
            if is_kind(mode):
                raise OSError(errno.EINVAL, f"{name} there")
        if not mode & 0o222 or not os.access(target, os.W_OK):  # root may write it all the same, and did not mean to
            raise OSError(errno.EACCES, "a file that is read-only")
    folder = target.parent
    if not folder.is_dir():
        raise OSError(errno.ENOENT, f"no folder '{folder}'")
    if not os.access(folder, os.W_OK | os.X_OK):
        if mode is not None and _is_mounted(target):
            return target, True
        raise OSError(errno.EACCES, f"a folder '{folder}' that is read-only")
    return target, False


def _is_mounted(target: Path) -> bool:
    try:
        table = Path("/proc/self/mountinfo").read_bytes()
    except OSError:  # another system
        return False
    wanted = os.fsencode(target)
    for escape in (b"\\", b" ", b"\t", b"\n"):
        wanted = wanted.replace(escape, b"\\%03o" % escape[0])
    return any(line.split(b" ")[4:5] == [wanted] for line in table.splitlines())


def _overwrite(target: Path, data: bytes) -> None:
    # Cut to length last: a shorter text over a longer one is whole before the rest goes.
    descriptor = os.open(target, os.O_WRONLY | os.O_CLOEXEC)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.ftruncate(descriptor, len(data))
            os.fsync(descriptor)
    except OSError as error:
        raise _DamagedError(error.errno, error.strerror) from error


def _synchronise_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refuse_no_path(path: object) -> None:
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        raise ArgumentError(f"expected the path of a file; found {path!r}; pass a str or a Path")


def _unwritable(path: str | os.PathLike[str], size: str, error: OSError | ValueError) -> FileError:
    fate = "damaged: it is mounted by itself and was overwritten" if isinstance(error, _DamagedError) else "unchanged"
    return FileError(
        f"expected to write{size} to '{os.fspath(path)}'; found: {_reason(error)}; name a file in a folder that can be "
        f"written and has free space (an older file there is {fate})"
    )


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _new_file_mode(target: Path) -> int:
    # The partial copy is private; a state or bundle keeps the mode that the path had, or what the process' umask asks
    # for.
    try:
        return target.stat().st_mode & 0o777
    except OSError:
        umask = os.umask(0)
        os.umask(umask)
        return 0o666 & ~umask


def _remove_quietly(path: Path) -> None:
    try:
        os.unlink(path)
    except OSError:
        return
