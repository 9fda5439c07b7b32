# `edgecl bench --to user@host`: the runner measures a bundle on another machine, over the system's ssh.
# Never here: installing and updating of bundles, keys and known hosts (ssh's own business).
"""`remote_rows`."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

from edgecl.cli.failure import UsageError
from edgecl.errors import DataError

FOLDER, RUNNER = "edgecl-bench", "edgecl-run"
CONNECT = ("-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10")
LONGEST_SECONDS = 600
_HOST = re.compile(r"[A-Za-z0-9_.@\[\]:%-]+")


class Remote:
    """A machine that ssh reaches, and the folder there in its user's home."""

    def __init__(self, host: str) -> None:
        if not _HOST.fullmatch(host) or host.startswith("-"):
            raise UsageError(f"expected --to as user@host; found '{host}'; write it as ssh takes it")
        if shutil.which("ssh") is None:
            raise UsageError("expected the program ssh for --to; found none; install OpenSSH's client")
        self.host = host

    def run(self, script: str, data: bytes | None = None) -> str:
        """What a text of sh prints there. DataError with the last line of its errors where it fails."""
        command = ["ssh", *CONNECT, "--", self.host, script]
        try:
            done = subprocess.run(command, input=data or b"", capture_output=True, timeout=LONGEST_SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
            raise DataError(
                f"expected an answer of {self.host} within {LONGEST_SECONDS} s; found none; time fewer calls (--repeat)"
            ) from error
        if done.returncode:
            said = (done.stderr.decode(errors="replace").strip().splitlines() or ["nothing was said"])[-1]
            raise DataError(
                f"expected {self.host} to do what bench asks; found: {said}; check the machine and --runner"
            )
        return done.stdout.decode(errors="replace")

    def put(self, source: Path, name: str) -> None:
        """Copies a file into the folder, under another name until it is whole."""
        path = shlex.quote(f"{FOLDER}/{name}")
        self.run(f"mkdir -p {FOLDER} && cat > {path}.part && mv {path}.part {path}", source.read_bytes())


def remote_rows(
    host: str,
    bundle: Path,
    runner: Path | None,
    kinds: list[str],
    batches: list[int],
    threads: list[int],
    repeat: int,
) -> dict[str, Any]:
    """Copies bundle and runner and measures there: {"machine", "kernel_level", "peak_bytes", "rows"}.

    `runner`: the static program for that machine; None: the one that lies in the folder already.
    """
    if runner is not None and not runner.is_file():
        raise UsageError(f"expected a program for --runner; found no file '{runner}'; build it for that machine")
    remote = Remote(host)
    if runner is not None:
        remote.put(runner, RUNNER)
        remote.run(f"chmod 755 {FOLDER}/{RUNNER}")
    remote.put(bundle, "bundle.ecl")
    about = "uname -m; cat /proc/device-tree/model 2>/dev/null | tr -d '\\0' || true"
    machine = " ".join(remote.run(about).split())
    rows: list[dict[str, Any]] = []
    peak_bytes, level = 0, ""
    for batch in batches:
        for count in threads:
            calls = {name: repeat if name in kinds else 0 for name in ("learn", "predict")}
            options = f"--learn {calls['learn']} --predict {calls['predict']} --batch {batch} --threads {count}"
            said = remote.run(f"{FOLDER}/{RUNNER} {FOLDER}/bundle.ecl run {options}")
            try:
                found = json.loads(said.strip().splitlines()[-1])
                peak_bytes, level = max(peak_bytes, int(found["arena_bytes"])), str(found["kernel_level"])
                rows += [_row(name, batch, count, found) for name in ("predict", "learn") if calls[name]]
            except (IndexError, ValueError, KeyError, TypeError) as error:
                raise DataError(
                    f"expected the runner's line of JSON from {host}; found {said[:80]!r}; send it with --runner"
                ) from error
    return {"machine": f"{host}, {machine}", "kernel_level": level, "peak_bytes": peak_bytes, "rows": rows}


def _row(what: str, batch: int, threads: int, found: dict[str, Any]) -> dict[str, Any]:
    p50, p95 = float(found[f"{what}_p50_ms"]), float(found[f"{what}_p95_ms"])
    steps = int(found["learn_steps"])
    macs = int(found["macs_learn"]) // steps if what == "learn" and steps else 0
    return {
        "what": what, "batch": batch, "replayed": 0, "threads": threads, "kind": "measured", "p50_ms": p50,
        "p95_ms": p95, "p99_ms": None, "low_ms": p50, "high_ms": p95, "macs": macs,
        "gflops": 2 * macs / p50 / 1e6 if p50 else 0.0, "percent_of_peak": None, "joules": None, "operators": [],
    }  # fmt: skip
