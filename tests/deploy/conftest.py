# What the tests of serving and deploying stand on: the runner, a server, a device behind an sshd of its own.
# Never here: tests.
"""Fixtures `runner`, `serve`, `device`, `keys`."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUNNER = Path(os.environ.get("EDGECL_BUILD", ROOT / "build/host")) / "runtime/runner/edgecl-run"


def load(name: str) -> ModuleType:
    """A module of tools/dev."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, ROOT / f"tools/dev/{name}.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


loopback, small = load("loopback_device"), load("small_bundles")


@pytest.fixture(scope="session")
def runner() -> Path:
    if not RUNNER.exists():
        pytest.skip(f"edgecl-run is not built ({RUNNER}): cmake --build --preset host")
    return RUNNER


@pytest.fixture
def serve(runner: Path, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Starts a server of a bundle; returns the process and the path of its socket."""
    running: list[subprocess.Popen[bytes]] = []

    def start(bundle: bytes, *options: object, name: str = "release") -> tuple[subprocess.Popen[bytes], Path]:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        (folder / "bundle.ecl").write_bytes(bundle)
        socket = tmp_path / "socket"
        command = [runner, folder / "bundle.ecl", "serve", "--socket", "socket", *map(str, options)]
        process = subprocess.Popen(command, cwd=tmp_path, stderr=(tmp_path / "log").open("wb"))
        running.append(process)
        for _ in range(200):
            if socket.exists():
                return process, socket
            assert process.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.02)
        raise AssertionError("the server did not come up")

    yield start
    for process in running:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two keys: `release` and `other`, each with its .pub."""
    pytest.importorskip("cryptography", reason="signatures need the package cryptography")
    from edgecl.deploy import signing

    folder = tmp_path_factory.mktemp("keys")
    for name in ("release", "other"):
        signing.new_key(folder / name)
    return folder


class Device:
    """A loopback device, and `edgecl` commands about it."""

    def __init__(self, folder: Path, runner: Path, keys: Path, shell: str | None = None) -> None:
        self.folder, self.runner, self.keys = folder, runner, keys
        self.path = folder / "device"
        self.loopback = loopback.LoopbackDevice(folder / "ssh", self.path, shell)

    def sign(self, bundle: bytes, release: int, key: str = "release") -> Path:
        from edgecl.deploy import signing

        path = self.folder / f"{key}-{release}-{len(list(self.folder.iterdir()))}.ecl"
        path.write_bytes(signing.sign(bundle, self.keys / key, release))
        return path

    def command(self, *arguments: object) -> list[str]:
        return [sys.executable, "-m", "edgecl.cli.start", *map(str, arguments), *self.loopback.options, "--json"]

    def call(self, *arguments: object, code: int = 0) -> dict[str, Any]:
        done = subprocess.run(self.command(*arguments), capture_output=True, text=True, timeout=240, check=False)
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr, self.log())
        return dict(json.loads(done.stdout))

    def deploy(self, bundle: Path, *options: object, code: int = 0, seconds: int = 2) -> dict[str, Any]:
        """Deploys and returns the host's entry of the document."""
        key = ("--key", self.keys / "release.pub")
        times = ("--probation", seconds, "--silence", 4)
        document = self.call("deploy", bundle, self.loopback.host, *key, *times, *options, code=code)
        return dict(document["hosts"][0]) if "hosts" in document else document

    def first(self, bundle: Path, *options: object, code: int = 0) -> dict[str, Any]:
        return self.deploy(bundle, "--pin-key", "--runner", self.runner, *options, code=code)

    def status(self) -> dict[str, Any]:
        return self.call("status", self.loopback.host)

    def serving(self) -> str | None:
        """The release that answers."""
        try:
            with loopback.Client(self.path / "socket", timeout=3) as client:
                return str(json.loads(client.ask(loopback.HEALTH)[1])["release"])
        except OSError:
            return None

    def journal(self) -> list[dict[str, str]]:
        return [json.loads(line) for line in (self.path / "journal").read_text().splitlines()]

    def log(self) -> str:
        path = self.path / "log"
        return path.read_text() if path.exists() else ""

    def learn(self, steps: int, seed: int = 1, shift: int = 0) -> None:
        """Steps of four rows through the server; `shift` makes the labels wrong."""
        with loopback.Client(self.path / "socket") as client:
            for i in range(steps):
                x, y = small.blobs(seed + i, 4)
                body = ((y + shift) % small.N_CLASSES).astype("<i4").tobytes() + x.tobytes()
                client.ask(loopback.LEARN, body, 4)

    def state(self, release: str, kind: str = "ecs") -> bytes:
        return (self.path / "state" / f"{release}.{kind}").read_bytes()

    def wait_for(self, true: Callable[[], bool], seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, (self.journal(), self.log())
            time.sleep(0.2)


@pytest.fixture
def device(request: pytest.FixtureRequest, runner: Path, keys: Path, tmp_path: Path) -> Iterator[Device]:
    """A parameter is the program that `sh` is there."""
    if (why := loopback.missing()) is not None:
        pytest.skip(why)
    shell: str | None = None
    if (name := getattr(request, "param", None)) is not None:
        shell = shutil.which(name)
        if shell is None:
            pytest.skip(f"{name} is not installed")
    made = Device(tmp_path, runner, keys, shell)
    try:
        yield made
    finally:
        made.loopback.close()
