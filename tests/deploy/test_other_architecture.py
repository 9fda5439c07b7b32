# A deployment whose device side is the aarch64 runner, under emulation.
# Never here: what the runner computes there (ctest --preset aarch64).
"""The host's canary has the bits of the other architecture."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

loopback, small = sys.modules["loopback_device"], sys.modules["small_bundles"]
ROOT = Path(__file__).resolve().parents[2]
RUNNER = ROOT / "build/aarch64/runtime/runner/edgecl-run"


def test_a_device_of_another_architecture(device: Any) -> None:
    emulator = shutil.which("qemu-aarch64")
    if emulator is None or not RUNNER.exists():
        pytest.skip("needs qemu-aarch64 and cmake --build --preset aarch64")
    refused = device.first(device.sign(small.small_bundle(), 1), "--runner", RUNNER, code=4)
    assert "expected a runner for x86_64; found one for aarch64" in refused["sentence"]
    wrapper = device.folder / "wrapper"
    wrapper.write_text(f'#!/bin/sh\nexec {emulator} -cpu cortex-a72 {RUNNER} "$@"\n')
    # Where the runner was built without libsodium there, it refuses every key.
    bundle = device.sign(small.small_bundle(), 1)
    key = ["--key", device.keys / "release.pub"]
    done = subprocess.run(["sh", wrapper, bundle, "verify", *key], capture_output=True, text=True, check=False)
    signed = "without libsodium" not in done.stderr
    options = ["--runner", wrapper, "--probation", 2, "--silence", 10, "--max-slowdown", 0]
    options += [*key, "--pin-key"] if signed else ["--allow-unsigned"]
    releases = [bundle, device.sign(small.small_bundle(seed=4), 2)]
    for i, path in enumerate(releases):
        if not signed:
            path.write_bytes(small.small_bundle(seed=3 + i))
        document = device.call("deploy", path, device.loopback.host, *options)
        assert document["hosts"][0]["outcome"] == "confirmed"
        assert device.serving() == hashlib.sha256(path.read_bytes()).hexdigest()
        device.learn(5)
    with loopback.Client(device.path / "socket") as client:
        state = client.ask(loopback.STATE)[1]
    # The same steps here give the same state, bit for bit.
    assert state == _learned_here(releases)


def _learned_here(releases: list[Path]) -> bytes:
    from edgecl import _core
    from edgecl.bundle import Bundle

    def learn(session: Any) -> bytes:
        for i in range(5):
            session.learn(*small.blobs(1 + i, 4))
        return bytes(session.state_export())

    first, second = (Bundle(path.read_bytes()) for path in releases)
    moved, _ = first.migrate(learn(_core.Session(first.model, add_unseen_labels=1)), second)
    session = _core.Session(second.model, add_unseen_labels=1)
    session.state_import(moved)
    return learn(session)
