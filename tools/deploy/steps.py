# The steps of a deployment to one device, in order. What a step does there is in device.sh.
# Never here: ssh (remote.py), how results are shown (tools/cli/deploy.py).
"""`deploy`: one bundle to one device. `Release`, `Wishes`, `Outcome`."""

from __future__ import annotations

import hashlib
import json
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from edgecl.deploy.remote import Answer, Remote, StoppedError, Target, UnreachableError

CONFIRMED, ROLLED_BACK, REFUSED, UNKNOWN = 0, 3, 4, 5
NAMES = {CONFIRMED: "confirmed", ROLLED_BACK: "rolled back", REFUSED: "refused", UNKNOWN: "unknown"}
_VOLATILE = {"tmpfs", "ramfs", "overlay", "overlayfs", "squashfs", "rootfs"}
# ELF's e_machine -> what `uname -m` may say.
_MACHINES = {62: {"x86_64"}, 183: {"aarch64", "arm64"}, 40: {"armv6l", "armv7l", "armv8l", "aarch64"}, 243: {"riscv64"}}
_EVERY_SECOND = 30  # of a probation; then once a minute


@dataclass(frozen=True)
class Release:
    """What is sent."""

    bundle: bytes
    canary: bytes
    counter: int  # of the signature; 0: none
    memory_bytes: int  # that the self-test may take

    @property
    def name(self) -> str:
        """SHA-256 of the file: the release's folder on the device."""
        return hashlib.sha256(self.bundle).hexdigest()


@dataclass(frozen=True)
class Wishes:
    """How to deploy. Seconds where nothing else is said."""

    runner: bytes | None = None
    public_key: bytes | None = None
    pin_key: bool = False
    allow_unsigned: bool = False
    force: bool = False
    dry_run: bool = False
    systemd: bool = False
    fresh_state: bool = False
    probation: int = 30
    silence: int = 30
    selftest: int = 60
    slowdown: float = 1.25  # 0: not judged
    slack_ms: float = 0.05  # below that, times differ by chance
    drop: float = 1.0  # points of labelled canary accuracy that the self-test may cost
    live_drop: float = 10.0  # and the probation


@dataclass
class Outcome:
    """What became of it."""

    host: str
    code: int
    sentence: str
    steps: list[dict[str, Any]] = field(default_factory=list)
    name: str = ""  # in place of that of the code


Tell = Callable[[str, dict[str, Any]], None]


class _StopError(Exception):
    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


def refusals(probe: Answer, release: Release, wishes: Wishes) -> list[str]:
    """Why this device does not take the release; empty: it may."""
    found = []
    if probe["missing"]:
        found.append(f"expected the program {probe['missing']} on the device; found none; install it")
    state = int(probe["state_bytes"] or 0)
    size = len(release.bundle) + len(release.canary) + len(wishes.runner or b"")
    needed = 2 * (size + state) // 1024 + 1
    if int(probe["free_kb"] or 0) < needed:
        found.append(f"expected {needed} KiB free; found {probe['free_kb']}; make room")
    if probe["file_system"] in _VOLATILE and not wishes.force:
        found.append(
            f"expected a folder that lasts; found the file system {probe['file_system']}, which forgets what was "
            "learned; name another folder, or --force"
        )
    if not probe["runner"] and wishes.runner is None:
        found.append("expected a runner on the device, or one to copy; found neither; name it with --runner")
    if probe["runner_unfit"] and wishes.runner is None:
        found.append("expected a runner that can place files; found another version; name one with --runner")
    if wishes.runner is not None and (machines := _machines(wishes.runner)) and probe["arch"] not in machines:
        found.append(
            f"expected a runner for {probe['arch']}; found one for {' or '.join(sorted(machines))}; name another"
        )
    if probe["counter_damaged"]:
        found.append(
            "expected one line with a release and a name in the device's file counter; found other contents; restore "
            "it, or remove it by hand: then any release may come"
        )
    if not probe["key"] and not wishes.pin_key and not wishes.allow_unsigned:
        found.append("expected a key that is pinned on the device; found none; --pin-key pins that of --key")
    if (stored := int(probe["counter"] or 0)) > release.counter:
        found.append(f"expected a release of {stored} or more; found {release.counter}; sign with a higher --release")
    if probe["key"] and wishes.public_key is not None and probe["key"] != wishes.public_key.hex():
        found.append("expected the key that is pinned on the device; found another; sign with that one")
    return found


def _machines(runner: bytes) -> set[str]:
    # Empty for what is no ELF file: a script tells nothing.
    if runner[:4] != b"\x7fELF":
        return set()
    (machine,) = struct.unpack_from("<H", runner, 18)
    return _MACHINES.get(machine, {f"machine {machine}"})


def _good(answer: Answer) -> Answer:
    if answer.code == 0:
        return answer
    raise _StopError(answer.code if answer.code in (ROLLED_BACK, REFUSED) else REFUSED, answer.error)


def _judge(new: dict[str, Any], old: dict[str, Any] | None, release: Release, wishes: Wishes) -> str | None:
    """What the self-test measured that is not good enough."""
    if new["peak_rss_bytes"] > release.memory_bytes:
        return (
            f"expected at most {release.memory_bytes} bytes of memory; found {new['peak_rss_bytes']}; see --max-memory"
        )
    if old is None:
        return None
    allowed = old["predict_p95_ms"] * wishes.slowdown + wishes.slack_ms
    if wishes.slowdown > 0 and new["predict_p95_ms"] > allowed:
        return (
            f"expected a predict of at most {allowed:.3f} ms ({wishes.slowdown:g} times the running release's); found "
            f"{new['predict_p95_ms']:.3f}; see --max-slowdown"
        )
    lost = 100 * (old["canary_correct"] - new["canary_correct"]) / max(1, new["canary_rows"])
    if new["canary_labels"] and lost > wishes.drop:
        return (
            f"expected at most {wishes.drop:g} points below the running release on the canary's labels; found "
            f"{lost:.1f}; --fresh-state learns anew"
        )
    return None


class _Deployment:
    def __init__(self, remote: Remote, release: Release, wishes: Wishes, outcome: Outcome, tell: Tell) -> None:
        self.remote, self.release, self.wishes, self.outcome, self._tell = remote, release, wishes, outcome, tell
        self.switched = self.staged = False
        self.stays: list[str] = []  # what an interrupt before the switch leaves
        self.confirmed = False
        self.note = ""  # for the last sentence
        self._began = time.monotonic()

    def step(self, name: str, **facts: Any) -> None:
        self._report(name, **facts)
        self.look_for_interrupt()

    def _report(self, name: str, **facts: Any) -> None:
        entry = {"step": name, "seconds": round(time.monotonic() - self._began, 3), **facts}
        self.outcome.steps.append(entry)
        self._tell(self.outcome.host, entry)

    def look_for_interrupt(self) -> None:
        """Not after the confirmation: then all is done."""
        if self.remote.stop.is_set() and not self.confirmed:
            raise StoppedError

    def run(self) -> tuple[int, str]:
        probe = _good(self.remote.probe())
        self.step("probe", **{key: value for key, value in probe.values.items() if key != "journal"})
        if found := refusals(probe, self.release, self.wishes):
            raise _StopError(REFUSED, "; ".join(found))
        if self.wishes.dry_run:
            self.outcome.name = "dry run"
            return CONFIRMED, "would be deployed"
        _good(self.remote.install())
        if (busy := self.remote.hold()) is not None:
            raise _StopError(REFUSED, busy)
        self.step("lock")
        self.prepare(probe)
        if self.remote.call("status")["current"] == self.release.name:
            return CONFIRMED, "; ".join(filter(None, ("was there already", self.note)))
        self.bring()
        least, counter = self.test()
        unfinished = self.switch(least, counter)
        return CONFIRMED, "; ".join(filter(None, ("serves", unfinished, self.note)))

    def prepare(self, probe: Answer) -> None:
        wishes, remote = self.wishes, self.remote
        if wishes.runner is not None:  # before anything that the runner is asked for
            digest = hashlib.sha256(wishes.runner).hexdigest()
            if probe["runner"] != digest:
                _good(remote.put("edgecl-run.part", wishes.runner))
                _good(remote.locked("take_runner", digest))
                self.stays.append("the runner")
                self.step("runner", sha256=digest)
        _good(remote.locked("tidy", self.release.name, timeout=180))
        self.step("tidy")
        if wishes.pin_key and wishes.public_key is not None:
            _good(remote.locked("pin", wishes.public_key.hex()))
            if not probe["key"]:
                self.stays.append("the pinned key")
        if wishes.systemd:
            whose = "system" if remote.shell("id -u").text.strip() == "0" else "user"
            self.note = _good(remote.locked("install_units", whose, timeout=120))["note"]
            self.stays.append("the units of systemd")
            self.step("units", of=whose)

    def bring(self) -> None:
        part = f"releases/{self.release.name}.part"
        self.staged = True
        if int(self.remote.call("have", f"releases/{self.release.name}/bundle.ecl")["bytes"] or 0) == 0:
            _good(self.remote.put(f"{part}/bundle.ecl", self.release.bundle))
            _good(self.remote.put(f"{part}/canary.ecc", self.release.canary))
            self.step("copy", bytes=len(self.release.bundle))
        staged = _good(self.remote.locked("stage", self.release.name, hashlib.sha256(self.release.canary).hexdigest()))
        self.step("verify", counter=int(staged["counter"]))
        _good(self.remote.locked("snapshot"))
        self.step("snapshot")

    def test(self) -> tuple[int, int]:
        """Least number of canary rows to get right in the probation (0: not judged), and the counter."""
        how = "fresh" if self.wishes.fresh_state else "carry"
        limit = self.wishes.selftest
        answer = _good(self.remote.locked("selftest", self.release.name, how, limit, timeout=2 * limit + 60))
        new = json.loads(answer["new"])
        old = json.loads(answer["old"]) if answer["old"].startswith("{") else None
        if reason := _judge(new, old, self.release, self.wishes):
            self.remote.locked("refuse", self.release.name, reason)
            raise _StopError(ROLLED_BACK, f"self-test: {reason}")
        self.step("self-test", new=new, old=old)
        if not new["canary_labels"]:
            return 0, int(new["release"])
        allowed = int(self.wishes.live_drop / 100 * new["canary_rows"])
        return max(0, new["canary_correct"] - allowed), int(new["release"])

    def switch(self, least: int, counter: int) -> str:
        """What is left of a confirmation; "" as a rule."""
        wishes, remote, name = self.wishes, self.remote, self.release.name
        self.switched = True  # from here on an unknown end is possible
        _good(remote.locked("switch", name, counter, wishes.probation, wishes.silence, least))
        self.step("switch")
        _good(remote.locked("reload", name, "fresh" if wishes.fresh_state else "carry"))
        self.step("reload")
        self.watch()
        self.look_for_interrupt()
        answer = _good(remote.locked("confirm"))
        self.confirmed = True
        self.step("confirm")
        return answer["unfinished"]

    def watch(self) -> None:
        began = time.monotonic()
        bad = 0
        while (elapsed := time.monotonic() - began) < self.wishes.probation:
            left = self.wishes.probation - elapsed
            self.remote.stop.wait(min(left, 1.0 if elapsed < _EVERY_SECOND else 60.0))
            self.look_for_interrupt()
            answer = _good(self.remote.locked("check", self.release.name))
            bad = 0 if answer["good"] else bad + 1
            if bad >= 3:
                raise _StopError(ROLLED_BACK, f"probation: {answer['bad']}")
        self.step("probation", asked_s=self.wishes.probation)

    def take_back(self) -> None:
        """Goes back, and tells what the device says afterwards, not what it was asked for."""
        outcome, name = self.outcome, self.release.name
        outcome.code = ROLLED_BACK
        try:
            answer = self.remote.call("take_back", timeout=180)
            said = self.remote.call("status")
        except UnreachableError as error:
            outcome.code = UNKNOWN
            outcome.sentence += f"; {error}; the device takes the release back by itself"
            return
        if said["current"] != name:
            self._report("roll back")
        elif said["probation"] or said["rolling"]:
            outcome.code = UNKNOWN
            outcome.sentence += f"; going back is not done yet ({answer.error}); the device goes on with it by itself"
        else:
            outcome.code = UNKNOWN
            outcome.sentence += "; the release was confirmed before and serves; `edgecl rollback` takes it back"

    def interrupted(self) -> None:
        """Undoes what was begun; the sentence names what stays."""
        outcome = self.outcome
        if self.switched:
            outcome.sentence = "interrupted after the switch"
            self.take_back()
            if outcome.code == ROLLED_BACK:
                outcome.sentence += "; what served before serves again"
            return
        outcome.code, outcome.sentence = REFUSED, "interrupted before the switch; nothing was switched"
        if self.staged:
            answer = self.remote.locked("abandon", self.release.name)
            removed = answer.code == 0
            outcome.sentence += "; what was copied is removed" if removed else f"; the copy stays: {answer.error}"
        if self.stays:
            outcome.sentence += f"; {', '.join(self.stays)} stay{'s' if len(self.stays) == 1 else ''}"


def deploy(
    target: Target, release: Release, wishes: Wishes, tell: Tell, stop: threading.Event | None = None
) -> Outcome:
    """Brings the release to one device and reports each step to `tell`. Never raises what a device can cause. Once
    `stop` is set the deployment ends after the present command and is undone; a copy ends at once."""
    outcome = Outcome(target.host, UNKNOWN, "")
    with Remote(target, stop) as remote:
        work = _Deployment(remote, release, wishes, outcome, tell)
        try:
            work.look_for_interrupt()
            outcome.code, outcome.sentence = work.run()
        except _StopError as error:
            outcome.code, outcome.sentence = error.code, str(error)
            if work.switched:
                work.take_back()
        except StoppedError:
            try:
                work.interrupted()
            except UnreachableError as error:
                outcome.sentence += f"; {error}; what was copied stays until the next deployment"
        except UnreachableError as error:
            outcome.sentence = str(error)
            if work.switched:
                outcome.sentence += "; without a confirmation the device takes the release back by itself"
    return outcome
