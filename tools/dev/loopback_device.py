"""A device for tests of `edgecl deploy`: an sshd of its own on loopback, a folder, and a client of the server there.

Never here: tests, measurements.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path

PREDICT, LEARN, COMMIT, HEALTH, STATS, STATE, RELOAD, STOP, ROUTE, MERGE = range(1, 11)


def missing() -> str | None:
    """Why there can be no such device here; None: there can."""
    for program in ("sshd", "ssh", "ssh-keygen"):
        if shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is None:
            return f"{program} is not installed (Debian: openssh-server, openssh-client)"
    return None


class LoopbackDevice:
    """sshd with its own port, host key and authorized keys. End it with `close`."""

    def __init__(self, home: Path, device: Path, shell: str | None = None) -> None:
        """`shell`: what `sh` is on the device; None: as here."""
        self.home, self.device = home, device
        (home / "bin").mkdir(parents=True, exist_ok=True)
        if shell is not None:
            (home / "bin/sh").symlink_to(shell)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        for name in ("host_key", "user_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", home / name], check=True)
        shutil.copy(home / "user_key.pub", home / "authorized_keys")
        public = (home / "host_key.pub").read_text()
        (home / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {public}")
        settings = {
            "Port": self.port,
            "ListenAddress": "127.0.0.1",
            "HostKey": home / "host_key",
            "AuthorizedKeysFile": home / "authorized_keys",
            "PidFile": home / "sshd.pid",
            "StrictModes": "no",
            "UsePAM": "no",
            "PasswordAuthentication": "no",
            "PermitRootLogin": "prohibit-password",
            # Without what a shell's start files do here.
            "SetEnv": f"HOME={home} PATH={home}/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "MaxStartups": "100",
            "MaxSessions": "50",
        }
        (home / "sshd_config").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # sshd wants it
        program = shutil.which("sshd", path="/usr/sbin:/sbin:" + os.environ.get("PATH", ""))
        assert program is not None
        self._sshd = subprocess.Popen(
            [program, "-D", "-e", "-f", home / "sshd_config"],
            stdin=subprocess.DEVNULL,
            stderr=(home / "sshd.log").open("wb"),
            start_new_session=True,
        )
        self._await_sshd()

    def _await_sshd(self) -> None:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            if self._sshd.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError(f"sshd did not start: {(self.home / 'sshd.log').read_text()}")

    @property
    def sshd_pid(self) -> int:
        """The process that takes connections."""
        return self._sshd.pid

    @property
    def host(self) -> str:
        """What `edgecl deploy` takes."""
        user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
        return f"{user}@127.0.0.1:{self.device}"

    @property
    def options(self) -> list[str]:
        """Options of `edgecl deploy` and its kin that lead there."""
        named = {"UserKnownHostsFile": self.home / "known_hosts", "IdentityFile": self.home / "user_key"}
        flags = ["--port", str(self.port)]
        for name, value in {**named, "IdentitiesOnly": "yes", "LogLevel": "ERROR"}.items():
            flags += ["--ssh-option", f"{name}={value}"]
        return flags

    def cut_connections(self) -> None:
        """Ends every process that sshd has started for a connection, as a power cut of the line does."""
        for pid in children(self._sshd.pid):
            kill_tree(pid)

    def close(self) -> None:
        """Ends all that runs on the device, and sshd."""
        for _ in range(20):  # what one of them started meanwhile is found in the next round
            running = self._processes()
            if not running:
                break
            for pid in running:
                _kill(pid)
            time.sleep(0.05)
        self.cut_connections()
        if self._sshd.poll() is not None:
            return
        self._sshd.terminate()
        self._sshd.wait(timeout=10)

    def _processes(self) -> list[int]:
        """Supervisor, guard and server: what has the device's folder as working directory or in its command line."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                inside = Path(os.readlink(entry / "cwd")).is_relative_to(self.device)
            except OSError:  # it has ended, or is another user's
                continue
            if inside or os.fsencode(self.device) in words:
                found.append(int(entry.name))
        return found


def children(pid: int) -> list[int]:
    """Processes that `pid` has started and that still run."""
    try:
        return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        return


def kill_tree(pid: int) -> None:
    """Ends a process and all that it started and that did not leave it."""
    below = children(pid)
    _kill(pid)
    for child in below:
        kill_tree(child)


class Client:
    """One connection to `edgecl-run serve` (runtime/runner/SERVE.md)."""

    def __init__(self, path: Path, timeout: float = 10) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        # In place of a timeout, with which a full queue of connections would be an error at once.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", int(timeout) + 1, 0))
        folder = os.open(path.parent, os.O_RDONLY)  # the path of a socket is short
        try:
            self._socket.connect(f"/proc/self/fd/{folder}/{path.name}")
        except OSError:
            self._socket.close()
            raise
        finally:
            os.close(folder)
        self._socket.settimeout(timeout)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Bytes as they are."""
        self._socket.sendall(data)

    def receive(self) -> tuple[int, bytes]:
        """Status and body of the next reply. ConnectionError: the server closed."""
        n_bytes, _, status, _ = struct.unpack("<IBBH", self._exactly(8))
        return status, self._exactly(n_bytes)

    def ask(self, operation: int, body: bytes = b"", rows: int = 0) -> tuple[int, bytes]:
        """A request and its reply."""
        self.send(struct.pack("<IBBH", len(body), operation, 0, rows) + body)
        return self.receive()

    def _exactly(self, n: int) -> bytes:
        data = b""
        while len(data) < n:
            piece = self._socket.recv(n - len(data))
            if not piece:
                raise ConnectionError("the server closed the connection")
            data += piece
        return data
