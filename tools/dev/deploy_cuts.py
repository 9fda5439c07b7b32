"""Cuts deployments to a loopback device at each step and at random moments, while a client predicts 100 times a second.

After each cut the device must serve the release before or the one that came, with all that was learned, and the next
deployment must go through; or, left alone, the guard must take the release back. Prints counts; --json adds
them as a row.

Never here: tests of what a deployment does (tests/deploy).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

from edgecl.cli.results import read_table, write_table
from edgecl.deploy import signing
from edgecl.deploy.canary import make_canary
from edgecl.deploy.remote import Target
from edgecl.deploy.steps import Release, Wishes, deploy
from loopback_device import HEALTH, LEARN, PREDICT, Client, LoopbackDevice, children, kill_tree, missing
from small_bundles import blobs, small_bundle

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("host killed", "line cut", "script killed")
STEPS = "probe lock tidy copy verify snapshot self-test switch reload probation confirm"
LEARNED_STEPS, ROWS = 30, 4
PREDICTS_A_SECOND = 100
SETTLE_S = 60


def predict_all_the_time(socket: str, answered: Synchronized[int], failed: Synchronized[int]) -> None:
    """Until it is killed. A connection that breaks is a failure, and so is each try to connect that fails."""
    body = blobs(5, 1)[0].tobytes()
    while True:
        try:
            with Client(Path(socket), timeout=5) as client:
                while True:
                    due = time.monotonic() + 1 / PREDICTS_A_SECOND
                    status, _ = client.ask(PREDICT, body, 1)
                    counter = answered if status == 0 else failed
                    counter.value += 1
                    time.sleep(max(0.0, due - time.monotonic()))
        except OSError:
            failed.value += 1
            time.sleep(1 / PREDICTS_A_SECOND)


@dataclass
class Tally:
    """What came of the cuts."""

    cuts: int = 0
    served: Counter[str] = field(default_factory=Counter)  # right after the cut: "old", "new", "neither"
    kinds: Counter[str] = field(default_factory=Counter)
    steps: Counter[str] = field(default_factory=Counter)  # the last step before the cut
    cleaned: int = 0  # the next deployment went through
    taken_back: int = 0  # by the guard alone
    lost: int = 0  # something learned was missing
    stuck: int = 0  # neither cleaned nor taken back


class Bench:
    """A device with a first release that has learned, and a client that predicts."""

    def __init__(self, folder: Path, runner: Path, seed: int) -> None:
        self.folder, self.runner, self.random = folder, runner, random.Random(seed)
        self.device = LoopbackDevice(folder / "ssh", folder / "device")
        options = tuple(self.device.options[3::2])
        self.target = Target.parse(self.device.host, self.device.port, options)
        self.public = signing.new_key(folder / "key")
        self.count = 0
        self.tally = Tally()
        self.current = self.next_release()
        began = time.monotonic()
        self.run(self.current, pin_key=True, runner=runner.read_bytes())
        self.seconds = time.monotonic() - began
        with Client(self.socket) as client:
            for i in range(LEARNED_STEPS):
                x, y = blobs(i, ROWS)
                client.ask(LEARN, y.astype("<i4").tobytes() + x.tobytes(), ROWS)
        self.answered: Synchronized[int] = multiprocessing.Value("q", 0)
        self.failed: Synchronized[int] = multiprocessing.Value("q", 0)
        arguments = (str(self.socket), self.answered, self.failed)
        self.client = multiprocessing.Process(target=predict_all_the_time, args=arguments, daemon=True)
        self.client.start()

    @property
    def socket(self) -> Path:
        return self.folder / "device/socket"

    def next_release(self) -> Release:
        self.count += 1
        bundle = signing.sign(small_bundle(seed=self.count), self.folder / "key", self.count)
        return Release(bundle, make_canary(bundle), self.count, 10**9)

    def wishes(self, **changes: Any) -> Wishes:
        times: dict[str, Any] = {"probation": 1, "silence": 4, "slowdown": 0.0}  # times on a busy machine tell nothing
        return Wishes(public_key=self.public, **{**times, **changes})

    def run(self, release: Release, **changes: Any) -> None:
        outcome = deploy(self.target, release, self.wishes(**changes), lambda host, step: None)
        if outcome.code != 0:
            raise RuntimeError(f"expected a deployment that is confirmed; found: {outcome}")

    def health(self) -> dict[str, Any]:
        with Client(self.socket, timeout=5) as client:
            return dict(json.loads(client.ask(HEALTH)[1]))

    def start(self, release: Release, stop_after: str | None = None) -> tuple[int, Path]:
        """Deploys in a process of its own, which ends itself after the step `stop_after`. Its steps come in a file."""
        progress = self.folder / "progress"
        progress.write_text("")
        pid = os.fork()
        if pid != 0:
            return pid, progress
        with contextlib.suppress(BaseException):
            os.setsid()
            sys.stderr = sys.stdout = open(os.devnull, "w")  # noqa: SIM115

            def tell(_: str, step: dict[str, Any]) -> None:
                with progress.open("a") as stream:
                    stream.write(step["step"] + "\n")
                if step["step"] == stop_after:
                    os._exit(9)

            deploy(self.target, release, self.wishes(), tell)
        os._exit(0)

    def cut(self, pid: int, kind: str) -> None:
        if kind == "line cut":
            self.device.cut_connections()
        if kind == "script killed":  # whatever device.sh runs for the host; guard and server live on
            for connection in children(self.device.sshd_pid):
                for session in children(connection):
                    for script in children(session):
                        kill_tree(script)
        with contextlib.suppress(OSError):
            os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    def judge(self, release: Release, progress: Path, kind: str) -> None:
        """What the device serves now; then it is left alone, or the next deployment cleans up."""
        tally, old = self.tally, self.current
        tally.cuts += 1
        tally.kinds[kind] += 1
        tally.steps[(progress.read_text().split("\n")[:-1] or ["begin"])[-1]] += 1
        names = {old.name: "old", release.name: "new"}
        link, served, whole = self.look()
        if link in names and served in names and whole:
            tally.served[names[served]] += 1
        else:
            tally.served["neither"] += 1
            print(f"neither: link {link}, served {served}, whole {whole}, {names}", file=sys.stderr)
        if self.random.random() < 0.3:
            self.wait_until_settled(release)
        else:
            self.clean_up()
        if self.health()["samples_learned"] != LEARNED_STEPS * ROWS:
            tally.lost += 1

    def look(self) -> tuple[str, str, bool]:
        """Where the link leads, which release answers, and whether the link's release is there; all at one moment, as
        the guard may be at work."""
        while True:
            link = os.readlink(self.folder / "device/current")
            served = self.health()["release"]
            whole = (self.folder / "device" / link / "bundle.ecl").exists()
            if os.readlink(self.folder / "device/current") == link:
                return os.path.basename(link), served, whole

    def is_busy(self) -> bool:
        """Whether the device still does something about a deployment."""
        folder = self.folder / "device"
        if any((folder / name).exists() for name in ("probation", "rolling", "confirmed")):
            return True
        for path in (folder / "lock").glob("busy.*"):
            with contextlib.suppress(OSError):
                if Path(f"/proc/{path.read_text().strip()}").exists():
                    return True
        return False

    def wait_until_settled(self, release: Release) -> None:
        folder = self.folder / "device"
        end = time.monotonic() + SETTLE_S
        while self.is_busy() or self.is_busy():  # twice: a command may have left something as it ended
            if time.monotonic() > end:
                self.tally.stuck += 1
                if self.health()["release"] == release.name:
                    self.current = release
                return
            time.sleep(0.1)
        served = self.health()["release"]
        confirmed = (folder / "counter").read_text().split()[1] == release.name
        if served != (release.name if confirmed else self.current.name):
            self.tally.stuck += 1
        elif confirmed:
            self.current = release
        self.tally.taken_back += not confirmed

    def clean_up(self) -> None:
        following = self.next_release()
        try:
            self.run(following)
        except RuntimeError as error:
            print(error, file=sys.stderr)
            self.tally.stuck += 1
            return
        self.current = following
        self.tally.cleaned += 1

    def cut_at_random(self) -> None:
        release = self.next_release()
        pid, progress = self.start(release)
        time.sleep(self.random.uniform(0, self.seconds))
        kind = self.random.choice(KINDS)
        self.cut(pid, kind)
        self.judge(release, progress, kind)

    def cut_after(self, step: str) -> None:
        release = self.next_release()
        pid, progress = self.start(release, step)
        end = time.monotonic() + SETTLE_S
        while step not in progress.read_text().split("\n") and time.monotonic() < end:
            time.sleep(0.02)
        self.cut(pid, "host killed")
        self.judge(release, progress, "host killed")

    def close(self) -> None:
        self.client.kill()
        self.client.join()
        self.device.close()


def present_commit() -> str:
    """Of the tree that this file lies in; "" outside of one."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def document(bench: Bench, commit: str, seed: int, seconds: float) -> dict[str, Any]:
    """The counts, with what they were counted on."""
    tally = bench.tally
    return {
        "date": str(date.today()),
        "machine": platform.machine(),
        "system": platform.release(),
        "commit": commit,
        "seed": seed,
        "seconds": round(seconds),
        "cuts": tally.cuts,
        "kinds": dict(tally.kinds),
        "last_steps": dict(tally.steps),
        "served_old": tally.served["old"],
        "served_new": tally.served["new"],
        "served_neither": tally.served["neither"],
        "next_deployment_went_through": tally.cleaned,
        "settled_alone": tally.cuts - tally.cleaned - tally.stuck,
        "stuck": tally.stuck,
        "learned_rows_lost": tally.lost,
        "predicts_answered": bench.answered.value,
        "predicts_failed": bench.failed.value,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cuts", type=int, default=200, help="random moments")
    parser.add_argument("--each-step", action="store_true", help="also one cut after each step")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--build", type=Path, default=ROOT / "build/host", help="build folder with edgecl-run")
    parser.add_argument("--json", type=Path, help="table that gets a row")
    arguments = parser.parse_args()
    if (why := missing()) is not None:
        sys.exit(f"expected a machine that can be a device; found none: {why}")
    began, commit = time.monotonic(), present_commit()  # as the run begins
    with tempfile.TemporaryDirectory(prefix="cuts") as folder:
        bench = Bench(Path(folder), arguments.build / "runtime/runner/edgecl-run", arguments.seed)
        work: list[Callable[[], None]] = [bench.cut_at_random] * arguments.cuts
        try:
            if arguments.each_step:
                for step in STEPS.split():
                    bench.cut_after(step)
            for done, cut in enumerate(work):
                cut()
                if done % 20 == 19:
                    print(f"{done + 1} cuts: {dict(bench.tally.served)}", file=sys.stderr)
        finally:
            bench.close()
        result = document(bench, commit, arguments.seed, time.monotonic() - began)
    print(json.dumps(result, indent=2))
    if arguments.json is not None:
        kept = read_table(arguments.json)["rows"] if arguments.json.exists() else []
        write_table(arguments.json, {"date": result["date"], "rows": [*kept, {**result, "remark": None}]})
    bad = ("served_neither", "stuck", "learned_rows_lost", "predicts_failed")
    return 1 if any(result[name] for name in bad) else 0


if __name__ == "__main__":
    sys.exit(main())
