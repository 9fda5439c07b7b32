# One device over the system's ssh. Keys, agents and known hosts are ssh's own business.
# Never here: what a deployment consists of (steps.py).
"""`Target`, `Remote`, `UnreachableError`, `StoppedError`."""

from __future__ import annotations

import contextlib
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecl.errors import ArgumentError

SCRIPT = Path(__file__).with_name("device.sh")
_NO_CONNECTION = 255  # exit code of ssh itself
_LOOK_S = 0.5  # between two looks whether to stop
_HOST = re.compile(r"[A-Za-z0-9_.@:\[\]%-]+")


class StoppedError(Exception):
    """The host was told to stop while a copy was on its way."""


class UnreachableError(Exception):
    """The device did not answer, or the connection broke: what it did is unknown."""


@dataclass(frozen=True)
class Target:
    """A device: `host` as ssh takes it, and the folder there (relative ones begin at the home folder)."""

    host: str
    folder: str
    port: int | None = None
    options: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str, port: int | None, options: Sequence[str]) -> Target:
        """user@host or user@host:folder. ArgumentError otherwise."""
        host, _, folder = text.partition(":")
        if not _HOST.fullmatch(host) or host.startswith("-") or "\n" in folder:
            raise ArgumentError(f"expected user@host or user@host:folder; found '{text}'; correct it")
        return cls(host, folder.removeprefix("~/") or "edgecl", port, tuple(options))


@dataclass(frozen=True)
class Answer:
    """What a command of device.sh said: its exit code and its lines key=value (the last of each key)."""

    code: int
    values: dict[str, str]
    text: str

    def __getitem__(self, key: str) -> str:
        return self.values.get(key, "")

    @property
    def error(self) -> str:
        """The sentence of a failure."""
        return self["error"] or " ".join(self.text.split()) or f"exit code {self.code}"


class Remote:
    """Runs the commands of device.sh. One connection is kept open and shared; use it as a context manager."""

    def __init__(self, target: Target, stop: threading.Event | None = None) -> None:
        """`stop`: once it is set, copies end with StoppedError; shorter commands end by themselves."""
        self.target = target
        self.stop = stop or threading.Event()
        self.token = secrets.token_hex(8)
        self._sockets = tempfile.mkdtemp(prefix="ecl")
        self._holder: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Remote:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
        shutil.rmtree(self._sockets, ignore_errors=True)

    def _command(self, script: str) -> list[str]:
        options = [*self.target.options, "BatchMode=yes", "StrictHostKeyChecking=yes", "ConnectTimeout=10"]
        options += ["ServerAliveInterval=5", "ServerAliveCountMax=3"]
        options += ["ControlMaster=auto", f"ControlPath={self._sockets}/%C", "ControlPersist=no"]
        port = [] if self.target.port is None else ["-p", str(self.target.port)]
        flags = [part for option in options for part in ("-o", option)]
        # One word for whatever shell the user has there; the rest is for sh.
        return ["ssh", "-T", *port, *flags, "--", self.target.host, f"exec sh -c {shlex.quote(script)}"]

    def _start(self, script: str, errors: int) -> subprocess.Popen[bytes]:
        # In a session of its own: Ctrl-C is for the host, which ends its connections itself, in order.
        pipe = subprocess.PIPE
        try:
            return subprocess.Popen(
                self._command(script), stdin=pipe, stdout=pipe, stderr=errors, start_new_session=True
            )
        except FileNotFoundError:
            raise UnreachableError("expected the program ssh; found none; install OpenSSH's client") from None

    def shell(self, script: str, data: bytes | None = None, timeout: float = 120, stoppable: bool = False) -> Answer:
        """Runs a text of sh. UnreachableError when ssh fails or no answer comes in `timeout` seconds; with `stoppable`
        StoppedError once `stop` is set."""
        with self._start(script, subprocess.PIPE) as process:
            try:
                out, errors = self._communicate(process, data or b"", timeout, stoppable)
            except BaseException:
                process.kill()
                raise
        text, told = out.decode(errors="replace"), errors.decode(errors="replace")
        if process.returncode in (_NO_CONNECTION, -13):
            raise self._unreachable(told)
        values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        return Answer(process.returncode, values, text + told)

    def _communicate(
        self, process: subprocess.Popen[bytes], data: bytes, timeout: float, stoppable: bool
    ) -> tuple[bytes, bytes]:
        ended = threading.Event()
        # Beside it: communicate() that is called again after a time-out does not send the rest.
        watcher = threading.Thread(target=self._kill_when_stopped, args=(process, ended), daemon=True)
        if stoppable:
            watcher.start()
        try:
            found = process.communicate(data, timeout=timeout)
        except subprocess.TimeoutExpired:
            raise UnreachableError(f"{self.target.host}: no answer in {timeout:.0f} s") from None
        finally:
            ended.set()
        if stoppable and self.stop.is_set() and process.returncode == -signal.SIGKILL:
            raise StoppedError
        return found

    def _kill_when_stopped(self, process: subprocess.Popen[bytes], ended: threading.Event) -> None:
        while not ended.wait(_LOOK_S):
            if self.stop.is_set():
                process.kill()
                return

    def _unreachable(self, told: str) -> UnreachableError:
        # ssh names the host itself, now and then.
        said = " ".join(told.split()) or "the connection broke"
        return UnreachableError(said if self.target.host.rpartition("@")[2] in said else f"{self.target.host}: {said}")

    def probe(self) -> Answer:
        """Looks at a device that may have nothing yet; writes nothing there."""
        folder = shlex.quote(self.target.folder)
        return self.shell(f"exec sh -s probe {folder}", SCRIPT.read_bytes(), timeout=60)

    def call(
        self,
        command: str,
        *arguments: object,
        data: bytes | None = None,
        timeout: float = 120,
        stoppable: bool = False,
    ) -> Answer:
        """A command of the script on the device, without the lock."""
        folder = shlex.quote(self.target.folder)
        words = " ".join(shlex.quote(str(a)) for a in arguments)
        return self.shell(f"exec sh {folder}/device.sh {command} {folder} {words}", data, timeout, stoppable)

    def locked(self, command: str, *arguments: object, **how: Any) -> Answer:
        """A command that needs the lock; keywords as of `call`."""
        return self.call(command, self.token, *arguments, **how)

    def install(self) -> Answer:
        """Puts device.sh down, whole or not at all."""
        folder = shlex.quote(self.target.folder)
        path = f"{folder}/device.sh"
        script = f"umask 077; mkdir -p {folder} && cat > {path}.$$ && mv {path}.$$ {path}"
        return self.shell(script, SCRIPT.read_bytes())

    def hold(self) -> str | None:
        """Takes the lock for as long as this object lives. None when taken, else the device's sentence."""
        folder = shlex.quote(self.target.folder)
        self._holder = self._start(f"exec sh {folder}/device.sh hold {folder} {self.token}", subprocess.STDOUT)
        assert self._holder.stdout is not None
        said = ""
        for raw in self._holder.stdout:
            line = raw.decode(errors="replace").strip()
            if line == "locked=yes":
                return None
            if line.startswith("error="):
                return line.removeprefix("error=")
            said += f" {line}"
        if self._holder.wait() == _NO_CONNECTION:
            raise self._unreachable(f"the connection broke while the lock was taken{':' if said else ''}{said}")
        return f"expected to take the lock in {self.target.folder}; found:{said or ' no answer'}; mend it by hand"

    def release(self) -> None:
        """Gives the lock back."""
        holder, self._holder = self._holder, None
        if holder is None:
            return
        assert holder.stdin is not None and holder.stdout is not None
        with contextlib.suppress(OSError):
            holder.stdin.close()
        try:
            holder.wait(timeout=10)
        except subprocess.TimeoutExpired:
            holder.kill()
            holder.wait()
        holder.stdout.close()

    def put(self, path: str, data: bytes) -> Answer:
        """Copies into a file of the folder; what came of it in an earlier try is not sent again. The digest is checked
        later, by the device."""
        there = int(self.call("have", path)["bytes"] or 0)
        if there > len(data):  # of something else
            self.shell(f"rm -f {shlex.quote(self.target.folder)}/{shlex.quote(path)}")
            there = 0
        seconds = 60 + len(data) / 50_000  # a slow line still makes 50 kB a second
        return self.locked("append", path, there, data=data[there:], timeout=seconds, stoppable=True)
