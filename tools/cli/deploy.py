# `edgecl deploy`: a bundle goes to devices, and is taken back where it does no good.
# Never here: the steps (tools/deploy).
"""The command `deploy`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import typer
from edgecl import _core
from edgecl.bundle import Bundle
from edgecl.cli import failure, interrupts, output
from edgecl.cli.remote_options import PORT, REFUSED
from edgecl.deploy import signing
from edgecl.deploy.canary import make_canary
from edgecl.deploy.remote import Target
from edgecl.deploy.steps import NAMES, Outcome, Release, Wishes
from edgecl.deploy.steps import deploy as deploy_to
from edgecl.errors import ArgumentError, Error, FileError, ShapeError, UnsupportedError
from edgecl.files import read_file
from numpy.typing import NDArray
from rich.console import Console

T = TypeVar("T")
_AT_ONCE = 8
_SEVERITY = (0, 4, 3, 5)  # of many devices the last of these counts


def _array(path: Path | None) -> NDArray[Any] | None:
    if path is None:
        return None
    try:
        loaded: NDArray[Any] = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise FileError(f"expected an array in '{path}'; found: {error}; save it with numpy.save") from error
    return loaded


def _here(read: Callable[[], T]) -> T:
    """What a file of this machine holds; one that cannot be used is wrong usage, for 3 says that a device went back."""
    try:
        return read()
    except FileError as error:
        raise failure.DeviceError(str(error), failure.USAGE) from error


def _release(
    data: bytes,
    public_key: bytes | None,
    samples: NDArray[Any] | None,
    labels: NDArray[Any] | None,
    max_memory: int | None,
) -> Release:
    _core.verify_bundle(data)
    counter = signing.release_of(data) if public_key is None else signing.check(data, public_key)
    bundle = Bundle(data)
    sizes = bundle.model.sizes()
    # The bundle, another one beside it while a state moves, two sessions in turn, and the program.
    declared = 2 * len(data) + 2 * sizes["arena_bytes"] + 2 * sizes["state_bytes_max"] + 2**26
    canary = make_canary(data, samples, labels)
    return Release(data, canary, counter, declared if max_memory is None else max_memory * 2**20)


@failure.command
def deploy(
    bundle: Path = typer.Argument(..., help="Bundle (.ecl), signed by `edgecl sign`."),
    hosts: list[str] = typer.Argument(
        ..., help="user@host or user@host:folder (default: edgecl in the home folder); several at once."
    ),
    key: Path | None = typer.Option(None, "--key", help="Ed25519 public key; the bundle must be signed by it."),
    pin_key: bool = typer.Option(False, "--pin-key", help="Pin --key on a device that has none yet."),
    allow_unsigned: bool = typer.Option(False, "--allow-unsigned", help="Deploy to devices without a pinned key."),
    runner: Path | None = typer.Option(None, "--runner", help="Static edgecl-run for the device, if it has another."),
    canary_data: Path | None = typer.Option(None, "--canary-data", help="Samples (.npy) that the device must answer."),
    canary_labels: Path | None = typer.Option(None, "--canary-labels", help="Their class numbers (.npy)."),
    probation: int = typer.Option(30, "--probation", min=1, max=86400, help="Seconds until a release is confirmed."),
    silence: int = typer.Option(30, "--silence", min=1, max=86400, help="Seconds beyond, after which it goes back."),
    fresh_state: bool = typer.Option(
        False, "--fresh-state/--keep-state", help="Begin as shipped, or with what was learned."
    ),
    max_memory: int | None = typer.Option(
        None, "--max-memory", min=1, help="MiB for the self-test; default: by sizes."
    ),
    max_slowdown: float = typer.Option(1.25, "--max-slowdown", min=0, help="Times the old release's p95; 0: any."),
    selftest: int = typer.Option(60, "--selftest", min=1, max=3600, help="Seconds that the self-test may take."),
    systemd: bool = typer.Option(False, "--systemd", help="Let systemd start the server (user units unless root)."),
    force: bool = typer.Option(False, "--force", help="Also onto tmpfs and overlay file systems."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Check bundle and devices, and change nothing."),
    port: int | None = PORT,
    ssh_option: list[str] = typer.Option([], "--ssh-option", "-o", help="NAME=VALUE for ssh -o; repeatable."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Bring a bundle to devices over ssh: verified there, tested there, switched without a gap, taken back if it fails.

    Exit code 0 confirmed, 2 wrong usage or a file here that cannot be used (no device was asked), 3 rolled back (what
    was learned is as before), 4 refused: the bundle, or by a device (nothing was switched), 5 unreachable or unknown.
    Of many devices the worst counts. 130 and 143: interrupted; each device's line says what was undone and what stays.

    Example: edgecl deploy arm.ecl pi@robot --key release.pub --runner edgecl-run-aarch64

    JSON: {"bundle", "release", "counter", "dry_run", "interrupted", "hosts": [{"host", "outcome", "exit_code",
    "sentence", "steps": [{"step", "seconds", ...}]}]}
    """
    if pin_key and key is None:
        raise failure.UsageError("expected --key with --pin-key; found none; name the public key")
    if canary_labels is not None and canary_data is None:
        raise failure.UsageError("expected --canary-data with --canary-labels; found none; name the samples")
    if probation + silence < 5 and not force:
        raise failure.UsageError("expected --probation and --silence of 5 s together; found less; give it more")
    targets = [Target.parse(host, port, ssh_option) for host in hosts]
    data = _here(lambda: read_file(bundle))
    public_key = None if key is None else _here(lambda: signing.read_public_key(key))
    arrays = _here(lambda: _array(canary_data)), _here(lambda: _array(canary_labels))
    wishes = Wishes(
        runner=None if runner is None else _here(lambda: read_file(runner)),
        public_key=public_key,
        pin_key=pin_key,
        allow_unsigned=allow_unsigned,
        force=force,
        dry_run=dry_run,
        systemd=systemd,
        fresh_state=fresh_state,
        probation=probation,
        silence=silence,
        selftest=selftest,
        slowdown=max_slowdown,
    )
    try:
        release = _release(data, public_key, *arrays, max_memory)
    except (ArgumentError, UnsupportedError):
        raise
    except ShapeError as error:  # the arrays
        raise failure.DeviceError(str(error), failure.USAGE) from error
    except Error as error:  # of the bundle: refused before any device is asked
        raise failure.DeviceError(str(error), REFUSED) from error

    def tell(host: str, step: dict[str, Any]) -> None:
        if not as_json:
            output.log(f"{host}: {step['seconds']:7.2f} s  {step['step']}")

    stop = threading.Event()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        work = [pool.submit(deploy_to, target, release, wishes, tell, stop) for target in targets]
        while not all(one.done() for one in work):
            try:
                wait(work)
            except KeyboardInterrupt:
                if not stop.is_set():
                    output.log("interrupted: stops after the present step and undoes what was begun; please wait")
                stop.set()
    outcomes = [one.result() for one in work]
    document = {
        "bundle": str(bundle),
        "release": release.name,
        "counter": release.counter,
        "dry_run": dry_run,
        "interrupted": stop.is_set(),
        "hosts": [
            {
                "host": o.host,
                "outcome": o.name or NAMES[o.code],
                "exit_code": o.code,
                "sentence": o.sentence,
                "steps": o.steps,
            }
            for o in outcomes
        ],
    }
    output.emit(document, as_json, lambda console: _render(console, outcomes))
    code = max((o.code for o in outcomes), key=_SEVERITY.index)
    if stop.is_set() and code != 0:
        terminated = isinstance(interrupts.come(), interrupts.TerminatedError)
        code = failure.TERMINATED if terminated else failure.INTERRUPTED
    if code != 0:
        failure.finish(code)


def _render(console: Console, outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        console.print(f"{outcome.host}: {outcome.name or NAMES[outcome.code]}: {outcome.sentence}")
