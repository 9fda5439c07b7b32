# A deployment that is told to stop, and devices whose files are not as they were left.
# Never here: cuts, after which nobody tells anything (test_cuts.py).
"""Ctrl-C and SIGTERM of `edgecl deploy`; damaged files, full disks and wrong files here, each with its sentence."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

loopback, small = sys.modules["loopback_device"], sys.modules["small_bundles"]

# In place of the runner: a self-test that takes its time.
_SLOW = """#!/bin/sh
case "$2 $*" in "selftest "*--canary*) sleep 3 ;; esac
exec {runner} "$@"
"""


def _name(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _begin(device: Any, bundle: Path, *options: object) -> subprocess.Popen[str]:
    key = ("--key", device.keys / "release.pub")
    command = device.command("deploy", bundle, device.loopback.host, *key, *options)
    # What a shell starts in the background ignores Ctrl-C, and so would this, if the tests are run like that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:  # in a group of its own, for a terminal's signal goes to the whole group
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_before_the_switch_undoes(device: Any, number: signal.Signals, code: int) -> None:
    slow = device.folder / "slow"
    slow.write_text(_SLOW.format(runner=device.runner))
    first, second = device.sign(small.small_bundle(), 1), device.sign(small.small_bundle(seed=4), 2)
    device.deploy(first, "--pin-key", "--runner", slow)
    process = _begin(device, second, "--probation", 3)
    device.wait_for(lambda: "snapshot" in (device.path / "journal").read_text().splitlines()[-1])
    os.killpg(process.pid, number)
    out, errors = process.communicate(timeout=60)
    outcome = json.loads(out)["hosts"][0]
    assert process.returncode == code and "Traceback" not in errors
    assert outcome["outcome"] == "refused" and "before the switch" in outcome["sentence"], outcome
    assert [p.name for p in (device.path / "releases").iterdir()] == [_name(first)]
    assert device.serving() == _name(first) == device.status()["current"] and device.status()["pending"] is None
    assert device.deploy(second)["outcome"] == "confirmed"


def test_an_interrupt_ends_a_copy_and_nothing_else(device: Any) -> None:
    from edgecl.deploy.remote import Remote, StoppedError, Target

    stop = threading.Event()
    with Remote(
        Target.parse(device.loopback.host, device.loopback.port, device.loopback.options[3::2]), stop
    ) as remote:
        assert remote.shell("wc -c", bytes(3_000_000), stoppable=True).text.strip() == "3000000"
        threading.Timer(1, stop.set).start()
        began = time.monotonic()
        with pytest.raises(StoppedError):
            remote.shell("sleep 60", b"a copy", stoppable=True)
        assert time.monotonic() - began < 20
        assert remote.shell("sleep 1; echo done").text.strip() == "done"


def test_an_interrupt_in_the_probation_goes_back(device: Any) -> None:
    first, second = device.sign(small.small_bundle(), 1), device.sign(small.small_bundle(seed=4), 2)
    device.first(first)
    device.learn(5)
    process = _begin(device, second, "--probation", 60)
    device.wait_for(lambda: device.serving() == _name(second))
    os.killpg(process.pid, signal.SIGINT)
    out, errors = process.communicate(timeout=90)
    document = json.loads(out)
    assert process.returncode == 130 and document["interrupted"] and "unchanged" not in errors
    assert document["hosts"][0]["outcome"] == "rolled back", document
    assert device.serving() == _name(first) == device.status()["current"]
    assert device.status()["counter"] == 1 and device.status()["health"]["samples_learned"] == 20


def test_a_damaged_release_on_the_device_is_replaced(device: Any) -> None:
    first, second = device.sign(small.small_bundle(), 1), device.sign(small.small_bundle(seed=4), 2)
    device.first(first)
    path = device.path / "current/bundle.ecl"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    subprocess.run(["kill", "-9", (device.path / "server.pid").read_text().strip()], check=True)
    # The supervisor tries, each time after a longer pause.
    device.wait_for(lambda: (device.path / "journal").read_text().count("server_ended") >= 5)
    sentence = device.deploy(second, code=4)["sentence"]
    assert _name(first) in sentence and "damaged" in sentence and "--fresh-state" in sentence
    assert device.deploy(second, "--fresh-state")["outcome"] == "confirmed" and device.serving() == _name(second)


def test_a_counter_that_cannot_be_written_is_no_confirmation(device: Any) -> None:
    first, second = device.sign(small.small_bundle(), 1), device.sign(small.small_bundle(seed=4), 2)
    device.first(first)
    counter = device.path / "counter"
    before = counter.read_text()

    def put_a_folder_there() -> None:
        device.wait_for(lambda: (device.path / "probation").exists())
        counter.unlink()
        counter.mkdir()

    thread = threading.Thread(target=put_a_folder_there)
    thread.start()
    outcome = device.deploy(second, code=3, seconds=3)
    thread.join()
    assert outcome["outcome"] == "rolled back" and "counter" in outcome["sentence"]
    assert device.serving() == _name(first) == device.status()["current"] and device.status()["pending"] is None
    assert device.status()["counter"] is None
    counter.rmdir()
    for text in ("", "foo bar\n", "7\n", before + before, "x" + before):
        counter.write_text(text)
        assert "file counter" in device.deploy(second, code=4)["sentence"], text
        assert device.status()["counter"] is None
    counter.write_text(before)
    assert device.deploy(second)["outcome"] == "confirmed" and device.status()["counter"] == 2


def test_files_of_this_machine_that_cannot_be_used(device: Any, tmp_path: Path) -> None:
    bundle, wrong = device.sign(small.small_bundle(), 1), tmp_path / "wrong"
    wrong.write_text("no key")
    host, key = device.loopback.host, ("--key", device.keys / "release.pub")
    x, _ = small.blobs(1, 4)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", np.full(4, small.N_CLASSES + 100))
    for arguments in (
        (tmp_path / "none.ecl", host, *key),
        (bundle, host, "--key", wrong),
        (bundle, host, *key, "--runner", tmp_path / "none"),
        (bundle, host, *key, "--canary-data", wrong),
        (bundle, host, *key, "--canary-data", tmp_path / "x.npy", "--canary-labels", tmp_path / "y.npy"),
    ):
        assert "expected" in device.call("deploy", *arguments, code=2)["error"]["message"]
    assert not device.path.exists()


def test_a_lock_and_folders_that_are_something_else(device: Any) -> None:
    first, second = device.sign(small.small_bundle(), 1), device.sign(small.small_bundle(seed=4), 2)
    device.first(first)
    (device.path / "lock").mkdir(exist_ok=True)
    (device.path / "lock/since").write_text("soon\n")
    assert device.deploy(second)["outcome"] == "confirmed"
    elsewhere = device.folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "releases").write_text("a file")
    host = f"{device.loopback.host.split(':')[0]}:{elsewhere}"
    options = ("--key", device.keys / "release.pub", "--pin-key", "--runner", device.runner)
    document = device.call("deploy", second, host, *options, code=4)
    assert "a file in their place" in document["hosts"][0]["sentence"]


def test_a_disk_that_fills_up_while_it_learns(device: Any) -> None:
    device.path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "none", device.path]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("cannot mount a small file system here")

    def fill(name: str) -> None:
        command = ["dd", "if=/dev/zero", f"of={device.path / name}", "bs=1k"]
        subprocess.run(command, capture_output=True, check=False)

    try:
        first, second = device.sign(small.small_bundle(), 1), device.sign(small.small_bundle(seed=4), 2)
        device.first(first, "--force")
        device.deploy(second, "--force")
        process = _begin(device, device.sign(small.small_bundle(seed=5), 3), "--force", "--probation", 8)
        device.wait_for(lambda: (device.path / "probation").exists())
        time.sleep(2)
        fill("more")
        out, _ = process.communicate(timeout=90)
        assert process.returncode == 3 and "no free space" in json.loads(out)["hosts"][0]["sentence"], out
        assert device.serving() == _name(second) == device.status()["current"]
        fill("rest")
        device.learn(3)
        with loopback.Client(device.path / "socket") as client:
            assert client.ask(loopback.COMMIT)[0] != 0
        health = device.status()["health"]
        assert health["commit_failed"] is True and health["rows_not_committed"] == 12
        command = [part for part in device.command("status", device.loopback.host) if part != "--json"]
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert "COMMIT FAILED" in shown and "12 rows" in " ".join(shown.split())
        before = device.state(_name(second))
        fill("last")  # what ended since may have left a page free
        lost = device.call("rollback", device.loopback.host)["lost"]
        assert device.serving() == _name(first)
        if lost is None:  # another page came free, and what was learned is on the disk
            assert device.state(_name(second)) != before
        else:
            assert "12 rows" in lost and "lost" in lost and device.state(_name(second)) == before
    finally:
        device.loopback.close()
        subprocess.run(["umount", "-l", device.path], check=False)
    shutil.rmtree(device.path, ignore_errors=True)
