# Atomic writes and the reader of saved states.
# Never here: learning.
"""Tests of edgecl.files and edgecl.state_file."""

from __future__ import annotations

import hashlib
import os
import resource
import socket
import stat
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import edgecl
import numpy as np
import pytest
from edgecl import errors
from edgecl.files import check_output, read_file, write_file_atomic
from edgecl.state_file import read_state


def test_write_replaces_and_keeps_the_mode(tmp_path: Path) -> None:
    path = tmp_path / "f"
    write_file_atomic(path, b"one")
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    path.chmod(0o600)
    write_file_atomic(path, b"two")
    assert path.read_bytes() == b"two" and stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["f"]


def test_missing_places(tmp_path: Path) -> None:
    with pytest.raises(errors.FileError, match="expected to write"):
        write_file_atomic(tmp_path / "no" / "f", b"x")
    with pytest.raises(errors.FileError, match="expected a readable file"):
        read_file(tmp_path / "none")


def test_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "link").symlink_to("file")
    write_file_atomic(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "file").read_bytes() == b"new"
    (tmp_path / "folder").mkdir()
    (tmp_path / "first").symlink_to("folder/later")
    write_file_atomic(tmp_path / "first", b"new")
    assert (tmp_path / "first").is_symlink() and (tmp_path / "folder" / "later").read_bytes() == b"new"
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(errors.FileError, match=r"[Tt]oo many"):
        write_file_atomic(tmp_path / "loop", b"new")
    assert (tmp_path / "loop").is_symlink()


def test_what_is_no_file_is_refused_and_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    fixed = tmp_path / "fixed"
    fixed.write_bytes(b"old")
    fixed.chmod(0o444)
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(tmp_path)  # the name of a socket must be short
        server.bind("socket")
    before = {path.name: path.lstat().st_mode for path in tmp_path.iterdir()}
    for path, found in (
        (tmp_path / "pipe", "a pipe"),
        (tmp_path / "folder", "a folder"),
        (tmp_path / "socket", "a socket"),
        (Path("/dev/null"), "a device"),
        (fixed, "read-only"),
        (tmp_path / "none" / "f", "no folder"),
        (fixed / "f", "found: "),
        (f"{tmp_path}/new/", "a folder"),
        ("nul\0", "null"),
    ):
        for refused in (lambda path=path: write_file_atomic(path, b"new"), lambda path=path: check_output(path)):
            with pytest.raises(errors.FileError, match=rf"expected to write.*found: .*{found}|{found}.*; name a file"):
                refused()
    assert fixed.read_bytes() == b"old" and stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert {path.name: path.lstat().st_mode for path in tmp_path.iterdir()} == before
    check_output(tmp_path / "new")
    assert not (tmp_path / "new").exists()


_ROOT = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")


@_ROOT
def test_a_folder_of_others_is_refused() -> None:
    """As another user than the one who owns the folder; below /tmp, because pytest's folders are closed to others."""
    code = (
        "import sys; from edgecl import errors; from edgecl.files import check_output, write_file_atomic\n"
        "import os; os.setgid(65534); os.setuid(65534)\n"
        "for call in (check_output, lambda p: write_file_atomic(p, b'x')):\n"
        "    try: call(sys.argv[1])\n"
        "    except errors.FileError as error: print(error)\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        done = subprocess.run([sys.executable, "-c", code, f"{folder}/f"], capture_output=True, text=True, check=True)
        assert done.stdout.count("that is read-only") == 2 and os.listdir(folder) == []


@_ROOT
@pytest.mark.parametrize("folder_mode", ["rw", "ro"])
def test_a_file_mounted_by_itself_is_overwritten(tmp_path: Path, folder_mode: str) -> None:
    """As containers mount single files, also into a file system that is read-only."""
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no mount namespaces here")
    inside = tmp_path / "a folder"
    inside.mkdir()
    (tmp_path / "host").write_bytes(b"an older and much longer text")
    (inside / "state.ecs").touch()
    mount = 'mount --bind "$0/a folder" "$0/a folder" && '
    if folder_mode == "ro":
        mount += 'mount -o remount,bind,ro "$0/a folder" && '
    mount += 'mount --bind "$0/host" "$0/a folder/state.ecs" && exec "$1" -c "$2" "$0/a folder/state.ecs"'
    code = "import sys; from edgecl.files import write_file_atomic; write_file_atomic(sys.argv[1], b'new')"
    command = ["unshare", "-m", "sh", "-c", mount, str(tmp_path), sys.executable, code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "host").read_bytes() == b"new"
    assert os.listdir(inside) == ["state.ecs"]
    assert sorted(os.listdir(tmp_path)) == ["a folder", "host"]


@pytest.mark.parametrize("where", ["fsync", "chmod", "replace"])
def test_an_interrupt_leaves_no_partial_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    (tmp_path / "f").write_bytes(b"old")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"edgecl.files.os.{where}", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_file_atomic(tmp_path / "f", b"new")
    assert os.listdir(tmp_path) == ["f"] and (tmp_path / "f").read_bytes() == b"old"


def test_a_long_name_has_room(tmp_path: Path) -> None:
    write_file_atomic(tmp_path / ("n" * 250), b"x")
    assert os.listdir(tmp_path) == ["n" * 250]


_FULL = """
import resource, signal, sys
from edgecl import errors
from edgecl.files import write_file_atomic
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    write_file_atomic(sys.argv[1], b"x" * 100000)
except errors.FileError as error:
    print(error)
"""


def test_a_full_disk_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "state.ecs"
    path.write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", _FULL, str(path)], capture_output=True, text=True, check=True)
    assert "expected to write 100000 bytes" in done.stdout and "unchanged" in done.stdout
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["state.ecs"]


def _learned(make_bundle: Callable[..., bytes], blobs: Any, **config: Any) -> edgecl.Classifier:
    return edgecl.Classifier(make_bundle(density=0.3), **config).partial_fit(blobs.x, [f"class {k}" for k in blobs.y])


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_state_reader(make_bundle: Callable[..., bytes], blobs: Any, tmp_path: Path, momentum: float) -> None:
    learner = _learned(make_bundle, blobs, momentum=momentum, random_state=17)
    learner.forget("class 1")
    learner.begin_task()
    learner.save(tmp_path / "s.ecs")
    state = read_state(read_file(tmp_path / "s.ecs"))
    assert state.sha256 == learner.state_digest() and state.bundle_sha256 == learner.bundle_info()["digest"]
    assert state.counters["seed"] == 17 and state.counters["step"] == 15 and state.counters["tasks"] == 1
    assert state.counters["learning_rate"] == pytest.approx(0.05)
    assert sorted(c["name"] for c in state.classes if c["present"]) == learner.classes_.tolist()
    assert len(state.replay_labels) == learner.stats()["replay_fill"]
    assert state.config["momentum"] is (momentum > 0) and state.config["learns"]
    assert state.recipe["method"] == "er" and state.recipe["momentum"] == pytest.approx(momentum)
    assert [section["name"] for section in state.sections] == [
        *("CONFIG", "COUNTERS", "PARAMS", "STATISTICS", "CLASSES", "REPLAY", "SPARSITY")
    ]
    assert [p.index for p in state.parameters] == [0, 1, 2, 3]
    assert state.parameters[0].positions is not None and len(np.unique(state.parameters[0].positions)) == 58


def test_state_reader_refuses(make_bundle: Callable[..., bytes], blobs: Any, tmp_path: Path) -> None:
    learner = _learned(make_bundle, blobs)
    learner.save(tmp_path / "s.ecs")
    good = read_file(tmp_path / "s.ecs")

    def resealed(data: bytearray) -> bytes:
        """With every digest made good again: of the sections, and of header and table."""
        n = min(int.from_bytes(data[48:52], "little"), (len(data) - 96) // 64)
        for entry in range(64, 64 + 64 * n, 64):
            at, length = struct.unpack_from("<QQ", data, entry + 16)
            data[entry + 32 : entry + 64] = hashlib.sha256(bytes(data[at : at + length])).digest()
        return bytes(data[:-32]) + hashlib.sha256(bytes(data[: 64 + 64 * n])).digest()

    newer, huge, middle = bytearray(good), bytearray(good), bytearray(good)
    newer[4] = 9
    huge[88:96] = b"\xff" * 8  # bytes of the first section
    middle[len(good) // 2] ^= 1
    for bad in (b"", good[:50], good[:-1], bytes(middle), resealed(newer), resealed(huge), b"ECL1" + good[4:]):
        with pytest.raises(errors.StateError, match="expected"):
            read_state(bad)
    rng = np.random.default_rng(0)
    limit = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(
        300
    ):  # any change under a valid digest is read or refused, with no other error and no large allocation
        broken = bytearray(good)
        for at in rng.integers(48, len(good) - 32, 3):
            broken[at] = rng.integers(256)
        try:
            read_state(resealed(broken))
        except errors.StateError:
            continue
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - limit < 200_000
