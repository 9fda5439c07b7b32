# The exceptions of edgecl, one class a family of status numbers of edgecl.h.
# Never here: anything that needs the extension module or another import.
"""Exceptions. `Error` is the base; `.status` is the number of edgecl.h, the text is the C message unchanged."""

from __future__ import annotations

STATUS_NAMES: dict[int, str] = {
    -1: "E_ARGUMENT",
    -2: "E_SHAPE",
    -3: "E_DTYPE",
    -4: "E_SEQUENCE",
    -5: "E_UNSUPPORTED",
    -6: "E_BUSY",
    -20: "E_NO_MEMORY",
    -21: "E_ARENA_TOO_SMALL",
    -22: "E_CAPACITY",
    -23: "E_NOT_FOUND",
    -30: "E_BUNDLE_CORRUPT",
    -31: "E_BUNDLE_VERSION",
    -32: "E_BUNDLE_SIGNATURE",
    -33: "E_BUNDLE_OP",
    -40: "E_STATE_CORRUPT",
    -41: "E_STATE_MISMATCH",
    -50: "E_IO",
    -60: "E_NUMERIC",
    -99: "E_INTERNAL",
}


class Error(RuntimeError):
    """Base of every exception that edgecl raises on purpose.

    Attributes:
        status: the edgecl_status (negative).
        n_done: rows that were learned before the failure, where the call takes many steps; otherwise None.
    """

    status: int = -99
    n_done: int | None = None

    def __init__(self, message: str, status: int | None = None, n_done: int | None = None) -> None:
        super().__init__(message)
        if status is not None:
            self.status = status
        self.n_done = n_done

    @property
    def status_name(self) -> str:
        """The name of the status, such as "E_SHAPE"."""
        return STATUS_NAMES.get(self.status, f"E_{-self.status}")

    def __reduce__(self) -> tuple[type[Error], tuple[str, int, int | None]]:
        return (type(self), (str(self), self.status, self.n_done))


class ArgumentError(Error, ValueError):
    """A parameter has a value that nothing accepts."""

    status = -1


class ShapeError(Error, ValueError):
    """The dimensions of an array do not fit the bundle."""

    status = -2


class DtypeError(Error, TypeError):
    """The element type of an array is not accepted here."""

    status = -3


class SequenceError(Error):
    """The right call at the wrong moment (predicting before any class exists, using a closed model)."""

    status = -4


class UnsupportedError(Error):
    """The bundle, the session or this build has no such part."""

    status = -5


class BusyError(Error):
    """The session is in use by another thread; nothing was changed."""

    status = -6


class MemoryExhaustedError(Error, MemoryError):
    """No memory for the arena."""

    status = -20


class CapacityError(Error, ValueError):
    """A class or batch limit is reached; nothing was evicted."""

    status = -22


class NotFoundError(Error, LookupError):
    """No such label or name."""

    status = -23


class BundleError(Error):
    """The bundle is corrupt, too new, not signed by this key, or needs an operator that is not in this build."""

    status = -30


class StateError(Error):
    """The saved state is corrupt, or belongs to another bundle or configuration."""

    status = -40


class FileError(Error):
    """A file could not be read or written; the text holds the system's own words."""

    status = -50


class DataError(FileError):
    """A data set is missing or its files do not hold what they should."""


class NumericError(Error, ValueError):
    """A non-finite input, loss or gradient; the weights were not touched."""

    status = -60


class InternalError(Error):
    """A defect of edgecl itself; please report it with `edgecl.build_info()`."""

    status = -99


_CLASSES: dict[int, type[Error]] = {
    -1: ArgumentError,
    -2: ShapeError,
    -3: DtypeError,
    -4: SequenceError,
    -5: UnsupportedError,
    -6: BusyError,
    -20: MemoryExhaustedError,
    -21: MemoryExhaustedError,
    -22: CapacityError,
    -23: NotFoundError,
    -30: BundleError,
    -31: BundleError,
    -32: BundleError,
    -33: BundleError,
    -40: StateError,
    -41: StateError,
    -42: StateError,
    -50: FileError,
    -60: NumericError,
    -99: InternalError,
}


def from_status(status: int, message: str, n_done: int | None = None) -> Error:
    """The exception object for a failed C call (the binding calls this)."""
    return _CLASSES.get(status, Error)(message, status, n_done)
