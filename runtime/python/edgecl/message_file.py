# A reader of messages (.ecd) in Python, for looking into them.
# Never here: merging (the core does it).
"""`read_message`: which devices' contributions a message holds, without its bundle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgecl import _core
from edgecl.errors import StateError
from edgecl.state_file import SectionReader, head_name, read_part

MAGIC = b"ECM2"  # how a message begins
_PARTS = 11


@dataclass(frozen=True)
class MessageFile:
    """The contents of a message.

    Attributes:
        bundle_sha256: digest of the bundle that it belongs to, hex.
        sha256: of the message itself, hex.
        head: name of the head. dim: numbers of an embedding.
        devices: {"device", "version", "rows", "classes"}: classes are {name: rows}.
    """

    bundle_sha256: str
    sha256: str
    head: str
    dim: int
    devices: list[dict[str, Any]]


def read_message(data: bytes) -> MessageFile:
    """Decodes a message after checking its digests and every length.

    Raises:
        StateError: no message, truncated, changed, or of a newer format.
    """
    table = _core.read_state_table(data)
    found = [section for section in table["sections"] if section["id"] == _PARTS and section["version"] == 1]
    if not table["message"] or not found:
        raise StateError("expected a message of `delta`; found another file; name a message (.ecd)")
    at = found[0]["offset"]
    section = SectionReader(memoryview(data)[at : at + found[0]["bytes"]], found[0]["name"])
    head, dim, _scale, _kind = section.unpack("IIfI")
    devices = []
    for _ in range(section.list_length()):
        device, version, rows = read_part(section, head_name(head), dim, _name)
        devices.append({"device": device, "version": version, "rows": sum(rows.values()), "classes": rows})
    section.finish()
    return MessageFile(table["bundle_sha256"], table["sha256"], head_name(head), dim, devices)


def _name(section: SectionReader) -> str:
    return bytes(section.take(section.unpack("I")[0])).decode(errors="replace")
