# Releases that do no good are taken back, and what the device had learned is as before.
# Never here: what is refused before anything is tested (test_deploy.py).
"""Six kinds of bad releases, silence, and a server that does not come up."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

loopback, small = sys.modules["loopback_device"], sys.modules["small_bundles"]
HARD_FAULT_S = 45  # from the fault to the old release, without the network

# In place of the runner: what the file `sabotage` says happens to every release but the one that `base` names.
_WRAPPER = """#!/bin/sh
here=$(dirname "$0")
case "$(cat "$here/sabotage" 2> /dev/null) $2 $*" in
  "crash selftest "*--canary*) kill -SEGV $$ ;;
  "hang selftest "*--canary*) sleep 300 ;;
  "dead serve "*) if [ "$(readlink "$here/current")" != "releases/$(cat "$here/base")" ]; then exit 1; fi ;;
esac
exec {runner} "$@"
"""


def _name(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class _Bench:
    """A device that serves a first release and has learned, with a runner that can be sabotaged."""

    def __init__(self, device: Any) -> None:
        self.device = device
        x, y = small.blobs(77, 60)
        np.save(device.folder / "x.npy", x)
        np.save(device.folder / "y.npy", y)
        self.canary = ("--canary-data", device.folder / "x.npy", "--canary-labels", device.folder / "y.npy")
        wrapper = device.folder / "wrapper"
        wrapper.write_text(_WRAPPER.format(runner=device.runner))
        first = device.sign(small.small_bundle(), 1)
        device.deploy(first, "--pin-key", "--runner", wrapper, *self.canary)
        device.learn(60)
        with loopback.Client(device.path / "socket") as client:
            assert client.ask(loopback.COMMIT)[0] == 0
        self.base = _name(first)
        (device.path / "base").write_text(self.base)
        self.learned = device.state(self.base)

    def sabotage(self, what: str) -> None:
        (self.device.path / "sabotage").write_text(what)

    def is_as_before(self) -> bool:
        d = self.device
        status = d.status()
        return bool(
            status["current"] == d.serving() == self.base
            and status["pending"] is None
            and status["counter"] == 1
            and d.state(self.base) == self.learned
            and status["health"]["samples_learned"] == 240
            and [p.name for p in (d.path / "releases").iterdir()] == [self.base]
            and status["last"]["event"] in ("rolled_back", "selftest_failed", "refused")
        )


@pytest.fixture
def bench(device: Any) -> _Bench:
    return _Bench(device)


@pytest.mark.slow
def test_bad_releases_do_not_pass_the_self_test(bench: _Bench) -> None:
    device = bench.device
    same, large = small.small_bundle(seed=4), small.small_bundle(seed=4, hidden=60000)
    any_speed = ("--fresh-state", "--max-slowdown", 0)
    cases: list[tuple[str, bytes, tuple[object, ...], str]] = [
        ("crash", same, (), "exit code 139"),
        ("hang", same, ("--selftest", 3), "more than 3 s"),
        ("", large, ("--fresh-state",), "times the running release's"),
        ("", large, (*any_speed, "--max-memory", 1), "bytes of memory"),
        ("", small.small_bundle(hidden=9), (), "E_STATE_MISMATCH"),  # other shapes: what was learned cannot come
        ("", same, ("--fresh-state", *bench.canary), "points below the running release"),
    ]
    for what, bundle, options, saying in cases:
        bench.sabotage(what)
        began = time.monotonic()
        outcome = device.deploy(device.sign(bundle, 9), *options, code=3)
        assert outcome["outcome"] == "rolled back" and saying in outcome["sentence"], outcome
        assert time.monotonic() - began < HARD_FAULT_S and bench.is_as_before(), saying
    bench.sabotage("")
    assert device.deploy(device.sign(same, 2), *bench.canary)["outcome"] == "confirmed"  # the counter was not raised


def test_other_outputs_than_the_hosts_are_noticed(bench: _Bench) -> None:
    from edgecl.deploy.canary import make_canary
    from edgecl.deploy.remote import Target
    from edgecl.deploy.steps import Release, Wishes, deploy

    device = bench.device
    bundle = device.sign(small.small_bundle(seed=4), 2).read_bytes()
    canary = bytearray(make_canary(bundle))
    canary[-16 * 4 * small.N_CLASSES] ^= 1  # the last bit of a logit
    target = Target.parse(device.loopback.host, device.loopback.port, device.loopback.options[3::2])
    release = Release(bundle, bytes(canary), 2, 10**9)
    outcome = deploy(target, release, Wishes(), lambda host, step: None)
    assert outcome.code == 3 and "bit for bit" in outcome.sentence and bench.is_as_before()
    assert "bit for bit" in device.journal()[-1]["reason"]
    outcome = deploy(target, replace(release, canary=make_canary(bundle)), Wishes(probation=1), lambda host, step: None)
    assert outcome.code == 0


def test_a_release_that_learns_to_nonsense(bench: _Bench) -> None:
    device = bench.device
    bundle = device.sign(small.small_bundle(seed=3, learning_rate=0.5), 2)
    stop = threading.Event()

    def learn_nonsense() -> None:
        while not stop.is_set():
            if device.serving() == _name(bundle):
                device.learn(10, seed=int(time.monotonic() * 1000), shift=1)
            time.sleep(0.1)

    thread = threading.Thread(target=learn_nonsense)
    thread.start()
    try:
        outcome = device.deploy(bundle, *bench.canary, code=3, seconds=40)
    finally:
        stop.set()
        thread.join()
    assert outcome["outcome"] == "rolled back"
    device.wait_for(lambda: device.serving() == bench.base)
    assert bench.is_as_before() and "labels" in device.journal()[-1]["reason"] + outcome["sentence"]


def _deploy_in_background(device: Any, bundle: Path, *options: object) -> subprocess.Popen[bytes]:
    key = ("--key", device.keys / "release.pub")
    command = device.command("deploy", bundle, device.loopback.host, *key, *options)
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def test_silence_is_failure(bench: _Bench) -> None:
    device = bench.device
    bundle = device.sign(small.small_bundle(seed=4), 2)
    process = _deploy_in_background(device, bundle, "--probation", 5, "--silence", 3)
    device.wait_for(lambda: device.serving() == _name(bundle))
    device.learn(3)  # what is learned on probation goes with the release
    process.send_signal(signal.SIGKILL)
    process.wait()
    device.loopback.cut_connections()
    began = time.monotonic()
    device.wait_for(lambda: device.serving() == bench.base)
    assert time.monotonic() - began < HARD_FAULT_S
    device.wait_for(lambda: not (device.path / "rolling").exists())
    assert bench.is_as_before() and device.journal()[-1]["reason"] == "no confirmation came"


def test_a_server_that_does_not_come_up_again(bench: _Bench) -> None:
    device = bench.device
    bundle = device.sign(small.small_bundle(seed=4), 2)
    process = _deploy_in_background(device, bundle, "--probation", 100)
    device.wait_for(lambda: device.serving() == _name(bundle))
    bench.sabotage("dead")
    subprocess.run(["kill", "-9", (device.path / "server.pid").read_text().strip()], check=True)
    began = time.monotonic()
    device.wait_for(lambda: device.serving() == bench.base)
    assert time.monotonic() - began < HARD_FAULT_S
    assert process.wait(60) == 3
    device.wait_for(lambda: not (device.path / "rolling").exists())
    assert bench.is_as_before()


def test_rollback_during_a_probation(bench: _Bench) -> None:
    device = bench.device
    bundle = device.sign(small.small_bundle(seed=4), 2)
    process = _deploy_in_background(device, bundle, "--probation", 100)
    device.wait_for(lambda: device.serving() == _name(bundle))
    assert device.status()["pending"] == "probation"
    assert device.call("rollback", device.loopback.host)["current"] == bench.base
    assert process.wait(60) == 3 and bench.is_as_before()
    assert device.journal()[-1]["reason"] == "asked for"
