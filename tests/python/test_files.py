# Atomic writes and the reader of saved states.
# Never here: learning.
"""Tests of edgecl.files and edgecl.state_file."""

from __future__ import annotations

import hashlib
import os
import resource
import stat
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import edgecl
import numpy as np
import pytest
from edgecl import errors
from edgecl.files import read_file, write_file_atomic
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


def test_links_and_pipes_stay_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "link").symlink_to("file")
    write_file_atomic(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "file").read_bytes() == b"new"
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_file_atomic(tmp_path / "pipe", b"through")
        assert os.read(reader, 100) == b"through"
    finally:
        os.close(reader)
    assert (tmp_path / "pipe").is_fifo()


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
