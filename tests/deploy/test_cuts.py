# Cuts at each step, at random moments, and in the middle of what the device does alone.
# Never here: how cuts are made (tools/dev/deploy_cuts.py, which also makes 200 for the results).
"""A device serves the release before or the one that came, never neither."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from edgecl.cli.results import read_table

loopback, small = sys.modules["loopback_device"], sys.modules["small_bundles"]
ROOT = Path(__file__).resolve().parents[2]


def _name(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.slow
@pytest.mark.parametrize("options", [("--cuts", "10", "--seed", "2"), ("--cuts", "0", "--each-step")])
def test_cuts_leave_the_old_release_or_the_new_one(runner: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    if (why := loopback.missing()) is not None:
        pytest.skip(why)
    pytest.importorskip("cryptography", reason="signatures need the package cryptography")
    out = tmp_path / "cuts.json"
    command = [sys.executable, ROOT / "tools/dev/deploy_cuts.py", "--build", runner.parents[2], "--json", out, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=560, check=False)
    (result,) = read_table(out)["rows"]
    assert done.returncode == 0, (result, done.stderr)
    assert result["served_neither"] == result["stuck"] == result["learned_rows_lost"] == result["predicts_failed"] == 0
    assert result["served_old"] + result["served_new"] == result["cuts"] >= 10
    assert result["predicts_answered"] > 1000


class _OnProbation:
    """A device with a release on probation whose host is gone and whose guard stands still."""

    def __init__(self, device: Any) -> None:
        from edgecl.deploy.canary import make_canary
        from edgecl.deploy.remote import Remote, Target

        self.device = device
        first, second = device.sign(small.small_bundle(), 1), device.sign(small.small_bundle(seed=4), 2)
        self.first, self.second = _name(first), _name(second)
        device.first(first)
        device.learn(20)
        data = second.read_bytes()
        canary = make_canary(data)
        with Remote(Target.parse(device.loopback.host, device.loopback.port, device.loopback.options[3::2])) as remote:
            assert remote.hold() is None
            remote.put(f"releases/{self.second}.part/bundle.ecl", data)
            remote.put(f"releases/{self.second}.part/canary.ecc", canary)
            for command in (
                ("stage", self.second, hashlib.sha256(canary).hexdigest()),
                ("snapshot",),
                ("selftest", self.second, "carry", 60),
                ("switch", self.second, 2, 600, 600, 0),
                ("reload", self.second, "carry"),
            ):
                answer = remote.locked(*command)
                assert answer.code == 0, answer
        device.wait_for(lambda: (device.path / "guard.pid").exists())
        self.guard = int((device.path / "guard.pid").read_text())
        os.kill(self.guard, signal.SIGSTOP)
        assert device.serving() == self.second
        device.learn(5)

    def restart_server(self) -> None:
        os.kill(int((self.device.path / "server.pid").read_text()), signal.SIGKILL)

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.guard, signal.SIGKILL)


@pytest.fixture
def probation(device: Any) -> Any:
    made = _OnProbation(device)
    yield made
    made.close()


def test_a_rollback_that_was_cut_is_finished_by_the_next_start(probation: Any) -> None:
    device = probation.device
    (device.path / "probation").rename(device.path / "rolling")  # the deciding rename, and then the power goes
    probation.restart_server()
    device.wait_for(lambda: device.serving() == probation.first)
    status = device.status()
    assert status["current"] == probation.first and status["pending"] is None and status["counter"] == 1
    assert device.state(probation.first) == device.state(probation.first, "snapshot")
    assert status["health"]["samples_learned"] == 80


def test_a_rollback_that_was_cut_is_finished_by_the_next_deployment(probation: Any) -> None:
    device = probation.device
    (device.path / "probation").rename(device.path / "rolling")
    os.kill(probation.guard, signal.SIGKILL)
    third = device.sign(small.small_bundle(seed=5), 2)  # the counter of what failed is free
    assert device.deploy(third)["outcome"] == "confirmed" and device.serving() == _name(third)
    assert device.status()["previous"] == probation.first and device.status()["health"]["samples_learned"] == 80


def test_a_confirmation_that_was_cut_is_finished_by_the_next_start(probation: Any) -> None:
    device = probation.device
    (device.path / "probation").rename(device.path / "confirmed")
    probation.restart_server()
    device.wait_for(lambda: device.serving() == probation.second)
    status = device.status()
    assert (status["current"], status["previous"]) == (probation.second, probation.first)
    assert status["counter"] == 2 and status["pending"] is None
    assert [entry["event"] for entry in device.journal()][-1] == "confirmed"


def test_a_confirmation_that_was_cut_is_finished_by_the_guard(probation: Any) -> None:
    device = probation.device
    (device.path / "probation").rename(device.path / "confirmed")
    os.kill(probation.guard, signal.SIGCONT)
    device.wait_for(lambda: not (device.path / "confirmed").exists(), 30)
    assert device.status()["counter"] == 2 and device.serving() == probation.second
    device.wait_for(lambda: not (device.path / "guard.pid").exists(), 10)


def test_a_rollback_that_was_cut_is_finished_by_a_new_guard(probation: Any) -> None:
    device = probation.device
    (device.path / "probation").rename(device.path / "rolling")
    os.kill(probation.guard, signal.SIGKILL)
    device.wait_for(lambda: device.serving() == probation.first, 80)
    device.wait_for(lambda: not (device.path / "rolling").exists(), 30)
    assert device.status()["counter"] == 1 and device.status()["health"]["samples_learned"] == 80


def _number(path: Path) -> int | None:
    """The number in a file that may come and go."""
    try:
        return int(path.read_text())
    except (FileNotFoundError, ValueError):
        return None


def test_a_guard_that_was_killed_is_started_again(probation: Any) -> None:
    device = probation.device
    os.kill(probation.guard, signal.SIGKILL)
    device.wait_for(lambda: _number(device.path / "guard.pid") not in (None, probation.guard), 20)
    assert device.status()["guard"] and device.serving() == probation.second


def test_confirming_and_rolling_back_exclude_each_other(probation: Any) -> None:
    device = probation.device
    from edgecl.deploy.remote import Remote, Target

    with Remote(Target.parse(device.loopback.host, device.loopback.port, device.loopback.options[3::2])) as remote:
        assert remote.hold() is None
        assert remote.call("take_back").code == 0
        answer = remote.locked("confirm")
        assert answer.code == 3 and "rolled_back" in answer.error
    assert device.serving() == probation.first and device.status()["counter"] == 1
    assert device.state(probation.first) == device.state(probation.first, "snapshot")
