# `edgecl merge`: what several devices learned becomes one state.
# Never here: sums (the core adds them).
"""The command `merge`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from edgecl.bundle import Bundle
from edgecl.classifier import Classifier
from edgecl.cli import failure, output
from edgecl.cli.beside import bundle_of
from edgecl.engine import Engine
from edgecl.errors import StateError
from edgecl.files import check_output, read_file, write_file_atomic
from edgecl.message_file import MAGIC, MessageFile, read_message
from edgecl.opening import empty_engine, message_of_state, new_engine
from edgecl.state_file import StateFile, read_state
from rich.console import Console


@dataclass
class _Input:
    file: Path
    data: bytes
    state: StateFile | None  # None: a message
    bundle_sha256: str
    device: int | None = None  # of a state: whose it is
    message: bytes = b""
    found: MessageFile | None = None


@failure.command
def merge(
    files: list[Path] = typer.Argument(..., help="States (.ecs) and messages (.ecd) of devices with one bundle."),
    out: Path = typer.Option(..., "--output", "-o", help="State to write (.ecs)."),
    bundle: Path | None = typer.Option(
        None, "--bundle", "-b", help="Their bundle (.ecl); default: the one that lies beside them or here."
    ),
    devices: str | None = typer.Option(
        None, "--devices", help="Numbers for the states that were learned without one, in order: 1,2."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Merge what several devices learned, exactly: the sums are, bit for bit, those of one device that learned all.

    Example: edgecl merge kitchen.ecs garage.ecs -o fleet.ecs

    For heads that keep statistics (ncm, ncm-distance, lda, ridge, hd, fecam); weights that gradients trained are not
    averaged. Of each device the newest contribution counts, and what it took back is gone. The state has the
    configuration of the first one, and no thresholds; a device that loads it with its number (Classifier(...,
    device=N)) goes on as itself. States without numbers that began with one common state would count it twice: give
    numbers before they learn.

    Domains are matched by name: of one name they become one, and those that only some have are taken over, up to
    max_domains. Adaptors cannot be added: domains of one name must have the same one, bit for bit, else all is refused.

    JSON: {"output", "bytes", "state_sha256", "bundle_sha256", "head", "rows", "classes": {name: rows}, "domains":
    [{"name", "rows", "adapted"}], "devices": [{"device", "version", "rows", "classes"}, with domains also "domains":
    {name: rows}], "files": [{"file", "kind", "device", "devices", "new", "newer", "known"}]}
    """
    check_output(out)
    inputs = [_read(file) for file in files]
    source = bundle_of(files, inputs[0].bundle_sha256, bundle)
    _number(inputs, devices)
    _refuse_repeated(inputs)
    for item in inputs:
        item.message = item.data
        if item.state is not None:
            item.message = message_of_state(Classifier(source), source, item.data, item.device)
        item.found = read_message(item.message)
    engine = _engine(source, inputs)
    told = [engine.merge(item.message) for item in inputs]
    state = engine.session.state_export()
    write_file_atomic(out, state)
    newest = {(record["device"], record["version"]) for record in engine.session.devices()}
    parts = {
        (record["device"], record["version"]): record for item in inputs if item.found for record in item.found.devices
    }
    document: dict[str, Any] = {
        "output": str(out),
        "bytes": len(state),
        "state_sha256": engine.session.state_digest(),
        "bundle_sha256": source.digest,
        "head": inputs[0].found.head if inputs[0].found else "",
        "rows": told[-1]["rows"],
        "classes": {record["name"]: record["rows_merged"] for record in engine.session.classes() if record["present"]},
        "domains": [
            {"name": record["name"], "rows": record["rows_merged"], "adapted": record["adapted"]}
            for record in engine.session.domains()
        ],
        "devices": [parts[key] for key in sorted(newest & set(parts))],
        "files": [
            {
                "file": str(item.file),
                "kind": "message" if item.state is None else "state",
                "device": item.device,
                **{key: record[key] for key in ("devices", "new", "newer", "known")},
            }
            for item, record in zip(inputs, told, strict=True)
        ],
    }
    output.emit(document, as_json, lambda console: _render(console, document))


def _read(file: Path) -> _Input:
    data = read_file(file)
    try:
        if data[:4] == MAGIC:
            return _Input(file, data, None, read_message(data).bundle_sha256)
        state = read_state(data)
    except StateError as error:
        error.args = (f"'{file}': {error}",)
        raise
    own = next((record for record in state.devices if record["own"]), None)
    # A state that was merged and learned nothing itself needs no number.
    device = None if own is None or (own["device"] == 0 and own["rows"] == 0) else own["device"]
    return _Input(file, data, state, state.bundle_sha256, device)


def _number(inputs: Sequence[_Input], devices: str | None) -> None:
    # Numbers for states that have none.
    try:
        numbers = [int(text) for text in (devices or "").split(",") if text]
    except ValueError as error:
        raise failure.UsageError(
            f"expected --devices with numbers such as 1,2; found '{devices}'; correct it"
        ) from error
    without = [item for item in inputs if item.device == 0]
    if len(numbers) not in (0, len(without)):
        raise failure.UsageError(
            f"expected --devices with a number for each of the {len(without)} states without one; found "
            f"{len(numbers)}; leave the others out"
        )
    if without and not numbers:
        raise failure.UsageError(
            f"expected states of devices with numbers; found none in '{without[0].file}'; learn with device=N, or give "
            "numbers with --devices"
        )
    for item, number in zip(without, numbers, strict=False):
        if not 0 < number < 2**64:
            raise failure.UsageError(f"expected --devices in 1..2**64-1; found {number}; correct it")
        item.device = number


def _refuse_repeated(inputs: Sequence[_Input]) -> None:
    # The same device twice is a mistake, unless the later file has a newer version.
    seen: dict[int, tuple[int, Path]] = {}
    for item in inputs:
        if item.state is None or item.device is None:
            continue
        version = next(record["version"] for record in item.state.devices if record["own"])
        if item.device in seen and version <= seen[item.device][0]:
            raise StateError(
                f"expected states of different devices, or a newer one; found device {item.device} in "
                f"'{seen[item.device][1]}' (version {seen[item.device][0]}) and again in '{item.file}' (version "
                f"{version}); leave one out",
                status=-41,
            )
        seen[item.device] = (version, item.file)


def _engine(source: Bundle, inputs: Sequence[_Input]) -> Engine:
    # What the contributions go into: configured as the first state, with room for all devices.
    found = [item.found for item in inputs if item.found is not None]
    n = max(1, len({record["device"] for message in found for record in message.devices}))
    first = next((item for item in inputs if item.state is not None), None)
    if first is None:
        domains = {record["name"] for message in found for record in message.domains}
        room: dict[str, Any] = {"max_domains": len(domains | {"base"}) if domains else 0}
        room["feature_root"] = found[0].feature_root
        if found[0].head == "hd":
            room["hd_bits"] = found[0].dim
        return new_engine(Classifier(source, head=found[0].head, head_merges=n, **room), source)
    assert first.state is not None
    return empty_engine(Classifier(source), source, first.data, max(n, first.state.recipe.get("head_merges", 0)))


def _render(console: Console, d: dict[str, Any]) -> None:
    console.print(
        output.facts(
            [
                ("state", f"{d['output']}, {output.size(d['bytes'])}"),
                ("sha256", d["state_sha256"]),
                ("head", f"{d['head']} of {d['rows']:,} rows, of {len(d['devices'])} devices"),
            ]
        )
    )
    rows = [
        (r["file"], "" if r["device"] is None else r["device"], r["new"], r["newer"], r["known"]) for r in d["files"]
    ]
    console.print(output.table(["file", "device>", "new>", "newer>", "known already>"], rows))
    parts = [
        (r["device"], r["version"], f"{r['rows']:,}", ", ".join(f"{k} {n:,}" for k, n in r["classes"].items()))
        for r in d["devices"]
    ]
    console.print(output.table(["device>", "version>", "rows>", "classes"], parts))
    console.print(output.table(["class", "rows>"], [(name, f"{n:,}") for name, n in d["classes"].items()]))
    if d["domains"]:
        domains = [
            (r["name"], f"{r['rows']:,}", "own, equal" if r["adapted"] else "the bundle's") for r in d["domains"]
        ]
        console.print(output.table(["domain", "rows>", "adaptor"], domains))
