# `edgecl sign`: keys, and signatures of bundles.
# Never here: verifying (verify.py).
"""The command `sign`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer
from edgecl import _core
from edgecl.bundle import Bundle
from edgecl.cli import failure, output
from edgecl.deploy import signing
from edgecl.files import check_output, read_file, write_file_atomic
from rich.console import Console


@failure.command
def sign(
    bundle: Path | None = typer.Argument(None, help="Bundle (.ecl); with --new-key none."),
    key: Path | None = typer.Option(None, "--key", help="Secret Ed25519 key, as --new-key writes it."),
    release: int | None = typer.Option(None, "--release", help="Counter, 1 or more; devices go back to no lower one."),
    out: Path | None = typer.Option(None, "--output", "-o", help="Signed bundle to write; may be the same file."),
    new_key: Path | None = typer.Option(None, "--new-key", help="Make a key: this file, and its public half in .pub."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Sign a bundle, or make a key. States that belong to the bundle go on fitting it.

    Example: edgecl sign model.ecl --key release.key --release 7 -o model.ecl

    JSON: {"bundle", "sha256" (of the content), "release", "key"}; with --new-key {"secret_key", "public_key", "key"}
    """
    document: dict[str, Any]
    if new_key is not None:
        if bundle is not None or key is not None or out is not None or release is not None:
            raise failure.UsageError("expected --new-key alone; found more; make the key first, then sign")
        public = signing.new_key(new_key)
        document = {"secret_key": str(new_key), "public_key": f"{new_key}.pub", "key": public.hex()}
    else:
        if bundle is None or key is None or out is None or release is None:
            parts = {"bundle": bundle, "--key": key, "--release": release, "-o": out}
            lacking = ", ".join(name for name, part in parts.items() if part is None)
            raise failure.UsageError(f"expected a bundle, --key, --release and -o; found no {lacking}; add it")
        check_output(out)
        data = read_file(bundle)
        _core.verify_bundle(data)
        signed = signing.sign(data, key, release)
        write_file_atomic(out, signed)
        document = {"bundle": str(out), "sha256": Bundle(signed).digest, "release": release, "key": str(key)}

    def render(console: Console) -> None:
        if new_key is not None:
            console.print(f"secret key: {new_key}; public key: {new_key}.pub")
        else:
            console.print(f"{out}: signed as release {release}")

    output.emit(document, as_json, render)
