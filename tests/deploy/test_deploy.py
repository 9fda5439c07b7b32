# Deployments to an sshd on loopback that go well, and those that are refused before anything is switched.
# Never here: bad releases (test_bad_releases.py), cuts (test_cuts.py).
"""Tests of `edgecl deploy`, `status`, `rollback`, `pull` and `sign`."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgecl.bundle import Bundle
from edgecl.classifier import Classifier

loopback, small = sys.modules["loopback_device"], sys.modules["small_bundles"]
DEVICE_SH = Path(__file__).resolve().parents[2] / "tools/deploy/device.sh"


def _name(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _remote(device: Any) -> Any:
    from edgecl.deploy.remote import Remote, Target

    flags = device.loopback.options
    return Remote(Target.parse(device.loopback.host, device.loopback.port, flags[3::2]))


class _Predicts:
    """A client that predicts about 100 times a second until it is ended."""

    def __init__(self, socket: Path) -> None:
        self.answered, self.failed, self._end = 0, [], False
        self._socket = socket
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        x, _ = small.blobs(1, 1)
        with loopback.Client(self._socket) as client:
            while not self._end:
                try:
                    status, body = client.ask(loopback.PREDICT, x.tobytes(), 1)
                except OSError as error:
                    self.failed.append(str(error))
                    return
                self.answered += status == 0
                if status != 0:
                    self.failed.append(body.decode())
                time.sleep(0.01)

    def __enter__(self) -> _Predicts:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end = True
        self._thread.join()


@pytest.mark.parametrize("device", ["dash", pytest.param("busybox", marks=pytest.mark.slow)], indirect=True)
def test_a_deployment_keeps_what_was_learned(device: Any, tmp_path: Path) -> None:
    first, second = device.sign(small.small_bundle(), 1), device.sign(small.small_bundle(seed=4), 2)
    outcome = device.first(first)
    assert outcome["outcome"] == "confirmed" and outcome["steps"][-1]["step"] == "confirm"
    assert device.serving() == _name(first) == device.status()["current"]
    device.learn(30)
    with _Predicts(device.path / "socket") as predicts:
        outcome = device.deploy(second)
    assert predicts.failed == [] and predicts.answered > 50
    steps = [step["step"] for step in outcome["steps"]]
    assert " ".join(steps) == "probe lock tidy copy verify snapshot self-test switch reload probation confirm"
    status = device.status()
    assert (status["current"], status["previous"], status["counter"]) == (_name(second), _name(first), 2)
    assert status["pending"] is None and not status["locked"]
    device.wait_for(lambda: not device.status()["guard"], 15)  # it looks once a second
    assert status["health"]["samples_learned"] == 120 and status["health"]["state"] == "migrated"
    # What the device knows is what migrating by hand gives.
    moved, _ = Bundle(first.read_bytes()).migrate(device.state(_name(first)), Bundle(second.read_bytes()))
    pulled = device.call("pull", device.loopback.host, "-o", tmp_path / "p.ecs")
    assert (tmp_path / "p.ecs").read_bytes() == moved and pulled["lines"] > 8
    x, y = small.blobs(500, 200)
    assert (Classifier(Bundle(second.read_bytes())).load(moved).predict(x) == y).mean() > 0.9
    # The same again is there already; back to the first and what it knew; and the second once more.
    assert device.deploy(second)["sentence"] == "was there already"
    assert device.call("rollback", device.loopback.host)["current"] == _name(first) == device.serving()
    assert device.deploy(second)["outcome"] == "confirmed"
    third = device.sign(small.small_bundle(seed=5), 3)
    device.deploy(third)
    assert sorted(p.name for p in (device.path / "releases").iterdir()) == sorted([_name(second), _name(third)])
    assert {p.name.split(".")[0] for p in (device.path / "state").glob("[!.]*")} == {_name(second), _name(third)}


def test_a_dry_run_changes_nothing(device: Any) -> None:
    bundle = device.sign(small.small_bundle(), 1)
    outcome = device.first(bundle, "--dry-run")
    assert outcome["sentence"] == "would be deployed" and not device.path.exists()
    outcome = device.deploy(bundle, "--dry-run", code=4)
    assert "--runner" in outcome["sentence"] and "--pin-key" in outcome["sentence"] and not device.path.exists()


def test_bundles_that_the_host_refuses(device: Any, tmp_path: Path) -> None:
    unsigned = tmp_path / "unsigned.ecl"
    unsigned.write_bytes(small.small_bundle())
    other = device.sign(small.small_bundle(), 9, "other")
    broken = tmp_path / "broken.ecl"
    data = bytearray(device.sign(small.small_bundle(), 9).read_bytes())
    data[-300] ^= 1
    broken.write_bytes(data)
    for bundle, saying in ((unsigned, "no signature"), (other, "by another"), (broken, "digest")):
        assert saying in device.first(bundle, code=4)["error"]["message"]
    assert not device.path.exists()


def test_bundles_that_the_device_refuses(device: Any, tmp_path: Path) -> None:
    first = device.sign(small.small_bundle(), 5)
    device.first(first)
    device.learn(5)
    unsigned = tmp_path / "unsigned.ecl"
    unsigned.write_bytes(small.small_bundle(seed=8))
    cases = [
        (device.sign(small.small_bundle(seed=8), 9, "other"), "not by this key"),
        (unsigned, "no signature"),
        (device.sign(small.small_bundle(seed=8), 4), "release above 5"),
        (device.sign(small.small_bundle(seed=8), 5), "release above 5"),  # the same counter, other content
    ]
    from edgecl.deploy.canary import make_canary

    with _remote(device) as remote:
        assert remote.hold() is None
        for bundle, saying in cases:
            data, name = bundle.read_bytes(), _name(bundle)
            canary = make_canary(data)
            for file, content in (("bundle.ecl", data), ("canary.ecc", canary)):
                assert remote.put(f"releases/{name}.part/{file}", content).code == 0
            answer = remote.locked("stage", name, hashlib.sha256(canary).hexdigest())
            assert answer.code == 4 and saying in answer.error, answer
            assert not list((device.path / "releases").glob(f"{name}*"))
        # A copy that was damaged on its way.
        good = device.sign(small.small_bundle(seed=8), 9)
        remote.put(f"releases/{_name(good)}.part/bundle.ecl", good.read_bytes()[:-1] + b"x")
        remote.put(f"releases/{_name(good)}.part/canary.ecc", b"canary")
        answer = remote.locked("stage", _name(good), hashlib.sha256(b"canary").hexdigest())
        assert answer.code == 4 and "damaged" in answer.error
        # Without the lock nothing goes.
        remote.token = "another"
        assert remote.locked("snapshot").code == 4
    assert device.serving() == _name(first) and device.status()["counter"] == 5


@pytest.mark.slow
def test_a_copy_goes_on_where_it_was_cut(device: Any) -> None:
    device.first(device.sign(small.small_bundle(), 1))
    bundle = device.sign(small.small_bundle(hidden=30000), 2)
    part = device.path / "releases" / f"{_name(bundle)}.part"
    part.mkdir()
    (part / "bundle.ecl").write_bytes(bundle.read_bytes()[:700_000])
    with _remote(device) as remote:
        assert remote.call("have", f"releases/{_name(bundle)}.part/bundle.ecl")["bytes"] == "700000"
    outcome = device.deploy(bundle, "--fresh-state", "--max-slowdown", 0)
    assert outcome["outcome"] == "confirmed" and device.serving() == _name(bundle)


@pytest.mark.slow
def test_one_deployment_at_a_time(device: Any) -> None:
    device.first(device.sign(small.small_bundle(), 1))
    second = device.sign(small.small_bundle(seed=4), 2)
    with _remote(device) as remote:
        assert remote.hold() is None
        assert "no other deployment" in device.deploy(second, code=4)["sentence"]
        (device.path / "lock/since").write_text(str(int(time.time()) - 901))
        assert device.deploy(second)["outcome"] == "confirmed"  # 15 minutes later the lock counts for nothing
    assert not device.status()["locked"]
    # A lock whose holder is gone, and one that was being made.
    (device.path / "lock/pid").write_text("999999\n")
    assert device.deploy(device.sign(small.small_bundle(seed=5), 3))["outcome"] == "confirmed"
    shutil.rmtree(device.path / "lock")
    (device.path / "lock").mkdir()
    assert device.deploy(device.sign(small.small_bundle(seed=6), 4))["outcome"] == "confirmed"
    # A command of a deployment whose host is gone: the next one waits for it.
    with _remote(device) as remote:
        assert remote.hold() is None
        command = f"exec sh {device.path}/device.sh append {device.path} {remote.token} releases/x.part/bundle.ecl 0"
        writer = subprocess.Popen(["sh", "-c", command], stdin=subprocess.PIPE)
        device.wait_for(lambda: bool(list((device.path / "lock").glob("busy.*"))))
    with _remote(device) as remote:
        began = time.monotonic()
        assert remote.hold() is None and time.monotonic() - began > 10
        assert writer.wait(5) != 0
    # And a rollback does not come in between.
    with _remote(device) as remote:
        assert remote.hold() is None
        assert "in progress" in device.call("rollback", device.loopback.host, code=4)["error"]["message"]


def test_several_devices_and_one_that_is_gone(device: Any) -> None:
    bundle = device.sign(small.small_bundle(), 1)
    host = device.loopback.host
    gone = "nobody@127.0.0.9:folder"
    options = ("--key", device.keys / "release.pub", "--pin-key", "--runner", device.runner, "--probation", 2)
    document = device.call("deploy", bundle, host, gone, *options, "--silence", 5, code=5)
    assert [entry["exit_code"] for entry in document["hosts"]] == [0, 5]
    assert "127.0.0.9" in document["hosts"][1]["sentence"]
    assert device.serving() == _name(bundle)
    for command in (("status", gone), ("rollback", gone), ("pull", gone, "-o", device.folder / "x.ecs")):
        device.call(*command, code=5)
    elsewhere = f"{host}-none"
    for command in (("status", elsewhere), ("rollback", elsewhere), ("pull", elsewhere, "-o", device.folder / "x.ecs")):
        assert "expected" in device.call(*command, code=4)["error"]["message"]
    device.call("rollback", host, code=4)  # there is no release before the first
    device.call("status", "bad host", code=2)
    device.call("deploy", bundle, host, "--pin-key", code=2)


def test_what_a_device_is_refused_for(runner: Path, keys: Path) -> None:
    from edgecl.deploy.remote import Answer
    from edgecl.deploy.steps import Release, Wishes, refusals

    good = {"arch": "x86_64", "free_kb": "999999", "file_system": "ext4", "runner": "ab", "key": "00", "counter": "3"}
    release, wishes = Release(bytes(10**6), b"", 3, 10**9), Wishes(runner=runner.read_bytes())

    def found(release: Release = release, wishes: Wishes = wishes, **changes: str) -> str:
        return "; ".join(refusals(Answer(0, {**good, **changes}, ""), release, wishes))

    assert found() == ""
    assert "expected a runner for aarch64; found one for x86_64" in found(arch="aarch64")
    assert "KiB free" in found(free_kb="5000") and found(free_kb="5000", wishes=Wishes()) == ""
    assert "KiB free" in found(free_kb="5000", wishes=Wishes(), state_bytes="3000000")
    for name in ("tmpfs", "overlay"):
        assert f"file system {name}" in found(file_system=name)
        assert found(file_system=name, wishes=replace(wishes, force=True)) == ""
    assert "sha256sum" in found(missing="sha256sum")
    assert "--runner" in found(runner="", wishes=Wishes())
    assert "another version" in found(runner_unfit="yes", wishes=Wishes()) and found(runner_unfit="yes") == ""
    assert "--pin-key" in found(key="") and found(key="", wishes=replace(wishes, allow_unsigned=True)) == ""
    assert "pinned on the device; found another" in found(wishes=replace(wishes, public_key=b"k" * 32))
    assert "a release of 4 or more; found 3" in found(counter="4")


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no /dev/shm")
def test_a_folder_that_forgets_is_refused(device: Any) -> None:
    folder = Path("/dev/shm") / f"edgecl-{device.folder.name}"
    host = f"{device.loopback.host.split(':')[0]}:{folder}"
    bundle = device.sign(small.small_bundle(), 1)
    options = ("--key", device.keys / "release.pub", "--pin-key", "--runner", device.runner)
    document = device.call("deploy", bundle, host, *options, code=4)
    assert "tmpfs" in document["hosts"][0]["sentence"] and not folder.exists()


@pytest.mark.slow
def test_a_full_disk(device: Any) -> None:
    device.path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "none", device.path]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("cannot mount a small file system here")
    try:
        first = device.sign(small.small_bundle(), 1)
        device.first(first, "--force")
        device.learn(5)
        large = device.sign(small.small_bundle(hidden=200000), 2)
        assert "KiB free" in device.deploy(large, "--force", "--fresh-state", code=4)["sentence"]
        # It fills up after the look at it.
        (device.path / "filler").write_bytes(bytes(2**20))
        with _remote(device) as remote:
            assert remote.hold() is None
            assert remote.put(f"releases/{_name(large)}.part/bundle.ecl", large.read_bytes()).code != 0
        subprocess.run(["dd", "if=/dev/zero", f"of={device.path}/more", "bs=4k"], capture_output=True, check=False)
        outcome = device.deploy(device.sign(small.small_bundle(seed=4), 2), "--force", code=4)
        assert outcome["outcome"] == "refused"
        assert device.serving() == _name(first) == device.status()["current"]
        for name in ("filler", "more"):
            (device.path / name).unlink()
        assert device.deploy(device.sign(small.small_bundle(seed=4), 2), "--force")["outcome"] == "confirmed"
        assert device.status()["health"]["samples_learned"] == 20
    finally:
        device.loopback.close()
        subprocess.run(["umount", "-l", device.path], check=False)


def test_an_unsigned_bundle_where_no_key_is_pinned(device: Any, tmp_path: Path) -> None:
    bundle = tmp_path / "unsigned.ecl"
    bundle.write_bytes(small.small_bundle())
    host = device.loopback.host
    options = ("--runner", device.runner, "--probation", 2, "--silence", 5)
    assert "--pin-key" in device.call("deploy", bundle, host, *options, code=4)["hosts"][0]["sentence"]
    document = device.call("deploy", bundle, host, *options, "--allow-unsigned")
    assert document["hosts"][0]["outcome"] == "confirmed" and device.status()["key"] is None


def test_units_of_systemd_are_well_formed(tmp_path: Path) -> None:
    for name in ("device.sh", "edgecl-run"):
        shutil.copy(DEVICE_SH, tmp_path / name)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "key").write_text("00\n")
    subprocess.run(["sh", DEVICE_SH, "write_units", tmp_path, tmp_path, "default.target"], check=True)
    text = (tmp_path / "edgecl.service").read_text()
    for line in ("Restart=on-failure", "WatchdogSec=30", "NoNewPrivileges=yes", "ProtectSystem=strict", "Type=notify"):
        assert line in text.splitlines()
    assert f"--state {tmp_path}/state/ --key {tmp_path}/key" in text
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    units = [tmp_path / "edgecl.service", tmp_path / "edgecl-guard.service"]
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    told = [line for line in done.stderr.splitlines() if str(tmp_path) in line or "edgecl" in line]
    assert told == [], done.stderr


def test_the_script_is_plain_sh() -> None:
    for shell in ("dash", "busybox"):
        if shutil.which(shell) is not None:
            command = [shell, *(["sh"] if shell == "busybox" else []), "-n", DEVICE_SH]
            subprocess.run(command, check=True)
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    subprocess.run(["shellcheck", "-s", "sh", DEVICE_SH], check=True)


def test_signatures(keys: Path, tmp_path: Path) -> None:
    from edgecl import errors
    from edgecl.cli.main import app
    from edgecl.deploy import signing
    from typer.testing import CliRunner

    def call(*arguments: object) -> Any:
        return CliRunner().invoke(app, [str(a) for a in arguments])

    bundle, signed = tmp_path / "b.ecl", tmp_path / "s.ecl"
    bundle.write_bytes(small.small_bundle())
    result = call("sign", bundle, "--key", keys / "release", "--release", 7, "-o", signed, "--json")
    assert result.exit_code == 0 and json.loads(result.stdout)["sha256"] == Bundle(bundle.read_bytes()).digest
    public = signing.read_public_key(keys / "release.pub")
    assert signing.check(signed.read_bytes(), public) == signing.release_of(signed.read_bytes()) == 7
    assert call("verify", signed, "--key", keys / "release.pub").exit_code == 0
    assert call("verify", signed, "--key", keys / "other.pub").exit_code == 1
    assert call("verify", bundle, "--key", keys / "release.pub").exit_code == 1
    again = signing.sign(signed.read_bytes(), keys / "release", 8)  # takes the place of the first
    assert signing.check(again, public) == 8 and len(again) == len(signed.read_bytes())
    data = bytearray(signed.read_bytes())  # the release is part of what is signed
    at = data.index(np.uint64(7).tobytes() + public[:16])
    data[at] = 9
    with pytest.raises(errors.BundleError):
        signing.check(bytes(data), public)
    assert (keys / "release").stat().st_mode & 0o777 == 0o600
    for code, arguments in (
        (2, ("sign",)),
        (3, ("sign", bundle, "--key", keys / "release.pub", "--release", 1, "-o", signed)),
        (2, ("sign", bundle, "--key", keys / "release", "--release", 0, "-o", signed)),
        (2, ("sign", bundle, "--new-key", tmp_path / "k")),
        (3, ("sign", "--new-key", keys / "release")),
        (3, ("sign", bundle, "--key", bundle, "--release", 1, "-o", signed)),
        (3, ("sign", keys / "release", "--key", keys / "release", "--release", 1, "-o", signed)),
    ):
        result = call(*arguments)
        assert result.exit_code == code and "expected" in result.stderr, (arguments, result.stderr)


def test_signatures_need_a_package_that_may_be_absent(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgecl import errors
    from edgecl.deploy import signing

    signed = signing.sign(small.small_bundle(), keys / "release", 1)
    for name in [name for name in sys.modules if name.split(".")[0] == "cryptography"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(errors.UnsupportedError, match=r"expected the package cryptography.*\[sign\]"):
        signing.check(signed, bytes(32))
    assert signing.release_of(signed) == 1


def test_the_runner_verifies_what_python_signed(runner: Path, keys: Path, tmp_path: Path) -> None:
    from edgecl.deploy import signing

    path = tmp_path / "s.ecl"
    good = signing.sign(small.small_bundle(), keys / "release", 2**40)

    def verify(data: bytes, key: str = "release.pub") -> subprocess.CompletedProcess[str]:
        path.write_bytes(data)
        command = [runner, path, "verify", "--key", keys / key]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = verify(good)
    if "without libsodium" in done.stderr:
        pytest.skip("edgecl-run was built without libsodium")
    assert done.returncode == 0 and json.loads(done.stdout)["release"] == 2**40
    assert verify(good, "other.pub").returncode == 1
    assert verify(small.small_bundle()).returncode == 1
    table = 64 + 64 * int(np.frombuffer(good, "<u4", 1, 16)[0])
    for i in [*range(table), *range(table, len(good), 37)]:  # any change of a byte
        data = bytearray(good)
        data[i] ^= 0x40
        assert verify(bytes(data)).returncode in (1, 3), i
