# What a Classifier can do whose head keeps statistics: take rows back, and become one with other devices.
# Never here: sums, messages (the core has them).
"""`StatisticsVerbs`: unlearning and merging."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from numpy.typing import NDArray

from edgecl.bundle import Bundle
from edgecl.engine import Engine
from edgecl.errors import ArgumentError
from edgecl.files import read_file
from edgecl.labels import Key
from edgecl.opening import message_of_state

_STATE = b"ECS"  # how a state begins


def check_device(device: Any) -> None:
    """ArgumentError for what is no number of a device; None is fine."""
    if device is None or (isinstance(device, int) and not isinstance(device, bool) and 0 < device < 2**64):
        return
    raise ArgumentError(
        f"expected device of 1..2**64-1, or None; found {device!r}; give each device a number of its own"
    )


class StatisticsVerbs:
    """The part of `Classifier` for heads that keep statistics ("ncm", "ncm_distance", "lda", "ridge", "hd",
    "fecam")."""

    device: int | None  # of the class that takes these verbs
    _engine: Engine | None
    _saved: dict[str, Any] | None
    _open: Callable[[], Engine]
    _opened: Callable[[], Bundle]
    _learning: Callable[[], AbstractContextManager[None]]
    _rows: Callable[[Any, Any], tuple[NDArray[Any], Sequence[Key], int]]

    def unlearn(self, X: Any, y: Any) -> Any:
        """Takes rows back, under a head that keeps statistics ("ncm", "ncm_distance", "lda", "ridge", "hd", "fecam").
        These are then, bit for bit, as if the rows had never been learned. Samples and labels as they were learned, in
        the domain that learned them (`select_domain`). What was not learned is noticed when its class has fewer rows,
        when `head_bank` keeps all rows of the class, or when no rows would have the sums that are left; not always.

        Raises:
            NotFoundError: a label that is not among `classes_`, or rows that were not learned. UnsupportedError: a head
            that learns by gradients. ShapeError, DtypeError, NumericError, ArgumentError, BusyError. Each step of
            `batch_size` rows is all or nothing. Cost: a forward pass a row.
        """
        with self._learning():
            engine = self._open()
            x, keys, _ = self._rows(X, y)
            engine.session.unlearn(x, engine.known_codes(keys))
        return self

    @property
    def head_(self) -> dict[str, Any] | None:
        """What a head that keeps statistics holds: {"head", "dim", "rows", "bank_rows", "saturated", "bytes", "solved",
        "devices"}; None for one that learns by gradients. `saturated` counts features beyond `feature_range`, `devices`
        those that were merged."""
        return self._open().session.head()

    # --- devices ---

    def delta(self, relay: bool = False) -> bytes:
        """A message for `merge` on other devices: what this device contributed, learned and not taken back. Write it to
        a file (.ecd) or send it; who may send one is the transport's to see to.

        Args:
            relay: also what was merged here, so that others can pass it on.

        Raises:
            SequenceError: no `device`. UnsupportedError: a head that learns by gradients. Cost: a copy of the sums.
        """
        return self._open().session.delta(relay)

    def merge(
        self, other: StatisticsVerbs | bytes | str | os.PathLike[str], device: int | None = None
    ) -> dict[str, int]:
        """Takes over what another device learned, all or nothing. The sums are then, bit for bit, those of one learner
        that learned the rows of both. Order and repetition do not matter: the newest contribution of each device
        counts, so what a device takes back is gone once its newer message comes. New labels become classes.

        Domains are matched by name: of one name they become one, new ones come while `max_domains` has room. Adaptors
        cannot be added: where a domain has another one here than in the message, all of it is refused. Give domains
        that were adapted on a device names of their own.

        Args:
            other: a message (`delta`), a saved state, the path of either, or a learner of the same bundle. Of a state
                and a learner also what was merged there.
            device: number of the other device, where it has none.

        Returns:
            {"devices", "new", "newer", "known", "classes_added", "classes_gone", "domains_added", "domains_gone",
            "rows_before", "rows"}: contributions found; of these from new devices, in place of older ones, and known
            already; classes; domains; rows of all devices.

        Raises:
            StateError: corrupt, or of another bundle, head, feature_range, hd_bits or kind of labels; domains on one
            side alone, or another adaptor of one; two devices of one number. CapacityError: more devices than
            `head_merges`, classes than `max_classes`, or domains than `max_domains`. UnsupportedError: a head that
            learns by gradients (weights are not averaged). SequenceError: the other has no number. FileError.
        """
        check_device(device)
        with self._learning():
            engine = self._open()
            return engine.merge(self._message_of(other, device))

    def unmerge(self, device: int) -> None:
        """Takes the contribution of a device out, as if it had never been merged.

        Raises:
            NotFoundError: it was not.
        """
        if device is None:
            raise ArgumentError("expected the number of a device; found None; see devices_")
        check_device(device)
        with self._learning():
            engine = self._open()
            engine.session.unmerge(device)
            engine.refresh()

    @property
    def devices_(self) -> list[dict[str, Any]]:
        """This device ("own") and those that were merged, by number: {"device", "version", "rows", "n_classes",
        "own"}. Number 0: none was given. Empty for a head that learns by gradients."""
        return sorted(self._open().session.devices(), key=lambda record: (not record["own"], record["device"]))

    def _message_of(self, other: Any, device: int | None) -> bytes:
        if isinstance(other, StatisticsVerbs):
            session = other._open().session
            if any(record["own"] and record["device"] for record in session.devices()):
                return session.delta(relay=True)
            return message_of_state(self, self._opened(), session.state_export(), device)
        data = bytes(other) if isinstance(other, bytes | bytearray | memoryview) else read_file(other)
        return message_of_state(self, self._opened(), data, device) if data[:3] == _STATE else data

    # Versions rise also over a `fit`, which begins a new session: others would take what it sends for old.

    def _last_version(self) -> int:
        engine = self._open() if self._saved is not None else self._engine
        devices = [] if engine is None else engine.session.devices()
        return max((record["version"] for record in devices if record["own"]), default=0)

    def _begin_versions(self, least: int) -> None:
        if self.device is not None and least > 1:
            self._open().session.device_set(self.device, least)
