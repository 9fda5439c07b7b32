# A reader of messages (.ecd) in Python, for looking into them.
# Never here: merging (the core does it).
"""`read_message`: which devices' contributions a message holds, without its bundle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgecl import _core
from edgecl.errors import StateError
from edgecl.state_file import SectionReader, head_name, read_part_domains, read_part_sums

MAGIC = b"ECM2"  # how a message begins
_PARTS, _DOMAIN_PARTS = 11, 15
_DOMAIN_NAME_BYTES = 64


@dataclass(frozen=True)
class MessageFile:
    """The contents of a message.

    Attributes:
        bundle_sha256: digest of the bundle that it belongs to, hex.
        sha256: of the message itself, hex.
        head: name of the head. dim: numbers of an embedding; under "hd" the bits of a code.
        feature_root: square roots of the features were counted.
        devices: {"device", "version", "rows", "classes"}: classes are {name: rows}. With domains also "domains": {name:
            rows}.
        domains: {"name", "adapted"} of each domain; empty for a session without.
    """

    bundle_sha256: str
    sha256: str
    head: str
    dim: int
    feature_root: bool
    devices: list[dict[str, Any]]
    domains: list[dict[str, Any]]


def read_message(data: bytes) -> MessageFile:
    """Decodes a message after checking its digests and every length.

    Raises:
        StateError: no message, truncated, changed, or of a newer format.
    """
    table = _core.read_state_table(data)
    found = [
        section for section in table["sections"] if section["id"] in (_PARTS, _DOMAIN_PARTS) and section["version"] == 1
    ]
    if not table["message"] or not found:
        raise StateError("expected a message of `delta`; found another file; name a message (.ecd)")
    at = found[0]["offset"]
    section = SectionReader(memoryview(data)[at : at + found[0]["bytes"]], found[0]["name"])
    head, dim, scale, _kind = section.unpack("IIfI")
    with_domains = found[0]["id"] == _DOMAIN_PARTS
    features = section.list_length() if with_domains else 0
    domains = [_domain(section) for _ in range(section.list_length())] if with_domains else []
    devices = []
    for _ in range(section.list_length()):
        device, version = section.unpack("QQ")
        record: dict[str, Any] = {"device": device, "version": version}
        if with_domains:
            rows, of_domains = read_part_domains(section, head_name(head), dim, features, _name)
            if any(index >= len(domains) for index in of_domains):
                raise StateError("expected domains of the message's list; found another one; have it sent again")
            record["domains"] = {domains[index]["name"]: n for index, (n, _) in of_domains.items()}
        else:
            rows = read_part_sums(section, head_name(head), dim, _name)
        devices.append({**record, "rows": sum(rows.values()), "classes": rows})
    section.finish()
    digests = table["bundle_sha256"], table["sha256"]
    return MessageFile(*digests, head_name(head), dim, scale < 0, devices, domains)


def _domain(section: SectionReader) -> dict[str, Any]:
    name = bytes(section.take(_DOMAIN_NAME_BYTES)).rstrip(b"\0").decode(errors="replace")
    adapted, _, n_values = section.unpack("IIQ")
    section.take(4 * n_values)
    return {"name": name, "adapted": bool(adapted)}


def _name(section: SectionReader) -> str:
    return bytes(section.take(section.unpack("I")[0])).decode(errors="replace")
