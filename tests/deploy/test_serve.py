# The server's answers are those of the library, and no client brings it down.
# Never here: what a shell does with it (tests/c_api/runner_serve.sh).
"""Tests of `edgecl-run serve` over its socket."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgecl import _core

loopback, small = sys.modules["loopback_device"], sys.modules["small_bundles"]
Serve = Callable[..., tuple["subprocess.Popen[bytes]", Path]]


def _learn_body(x: Any, y: Any) -> bytes:
    return bytes(y.astype("<i4").tobytes() + x.astype("<f4").tobytes())


def _json(client: Any, operation: int) -> dict[str, Any]:
    status, body = client.ask(operation)
    assert status == 0, body
    return dict(json.loads(body))


def test_answers_are_those_of_the_library(serve: Serve, tmp_path: Path) -> None:
    bundle = small.small_bundle()
    process, path = serve(bundle, "--state", "state.ecs", "--seed", 5)
    session = _core.Session(_core.Model(data=bundle), seed=5, add_unseen_labels=1)
    with loopback.Client(path) as client:
        for i in range(20):
            x, y = small.blobs(i, 4)
            status, body = client.ask(loopback.LEARN, _learn_body(x, y), 4)
            loss, _, step = struct.unpack("<fIQ", body)
            assert status == 0 and step == i + 1
            report = session.learn(x, y)
            assert np.float32(report["loss"]) == np.float32(loss)
        x, _ = small.blobs(99, 64)
        status, body = client.ask(loopback.PREDICT, x.tobytes(), 64)
        got = np.frombuffer(body, np.dtype([("label", "<i4"), ("probability", "<f4"), ("margin", "<f4")]))
        labels = session.predict(x)[0]
        assert status == 0 and np.array_equal(got["label"], np.asarray(labels))
        status, state = client.ask(loopback.STATE)
        assert status == 0 and state == session.state_export()
        assert _json(client, loopback.HEALTH)["steps_not_committed"] == 20
        assert _json(client, loopback.COMMIT)["commits"] == 1
        assert (tmp_path / "state.ecs").read_bytes() == state
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


def test_commits_by_steps_and_by_time_and_at_the_end(serve: Serve, tmp_path: Path) -> None:
    state = tmp_path / "state.ecs"
    x, y = small.blobs(1, 4)
    process, path = serve(small.small_bundle(), "--state", state, "--commit-every", 3)
    with loopback.Client(path) as client:
        for _ in range(2):
            client.ask(loopback.LEARN, _learn_body(x, y), 4)
        assert not state.exists()
        client.ask(loopback.LEARN, _learn_body(x, y), 4)
        assert _json(client, loopback.HEALTH)["steps_not_committed"] == 0 and state.exists()
        client.ask(loopback.LEARN, _learn_body(x, y), 4)
        last = client.ask(loopback.STATE)[1]
    process.terminate()
    assert process.wait(10) == 0 and state.read_bytes() == last
    _, path = serve(small.small_bundle(), "--state", state, "--commit-every", "1s")
    with loopback.Client(path) as client:
        assert _json(client, loopback.HEALTH)["state"] == "kept"
        client.ask(loopback.LEARN, _learn_body(x, y), 4)
        last = client.ask(loopback.STATE)[1]
        time.sleep(1.6)
        assert _json(client, loopback.HEALTH)["steps_not_committed"] == 0 and state.read_bytes() == last


def test_a_killed_server_goes_on_from_the_last_commit(serve: Serve, tmp_path: Path) -> None:
    state = tmp_path / "state.ecs"
    x, y = small.blobs(1, 4)
    process, path = serve(small.small_bundle(), "--state", state)
    with loopback.Client(path) as client:
        client.ask(loopback.LEARN, _learn_body(x, y), 4)
        client.ask(loopback.COMMIT)
        committed = client.ask(loopback.STATE)[1]
        client.ask(loopback.LEARN, _learn_body(x, y), 4)
    process.kill()
    process.wait()
    path.unlink()
    _, path = serve(small.small_bundle(), "--state", state)
    with loopback.Client(path) as client:
        assert client.ask(loopback.STATE)[1] == committed


@pytest.mark.parametrize(
    ("operation", "body", "rows", "saying"),
    [
        (loopback.PREDICT, b"", 0, "1 or more rows"),
        (loopback.PREDICT, bytes(48), 2, "1 or more rows"),
        (loopback.PREDICT, bytes(47), 1, "1 or more rows"),
        (loopback.LEARN, bytes(48), 1, "1 or more rows"),
        (loopback.LEARN, struct.pack("<i", -5) + bytes(48), 1, "E_ARGUMENT"),
        (loopback.LEARN, struct.pack("<i", 1000) + bytes(48), 1, "E_CAPACITY"),
        (loopback.LEARN, bytes(4) + struct.pack("<12f", *[float("nan")] * 12), 1, "E_NUMERIC"),
        (loopback.LEARN, bytes(52 * 5), 5, "E_CAPACITY"),
        (loopback.RELOAD, b"\x07", 0, "0..2"),
        (loopback.COMMIT, b"", 0, "--state"),
        (99, b"", 0, "operation"),
    ],
)
def test_wrong_requests_are_refused_and_change_nothing(
    serve: Serve, operation: int, body: bytes, rows: int, saying: str
) -> None:
    _, path = serve(small.small_bundle())
    with loopback.Client(path) as client:
        before = client.ask(loopback.STATE)[1]
        status, text = client.ask(operation, body, rows)
        assert status != 0 and saying in text.decode()
        assert client.ask(loopback.STATE)[1] == before  # and the connection goes on


def test_hostile_clients_lose_only_their_own_connection(serve: Serve) -> None:
    process, path = serve(small.small_bundle(), "--timeout", 1)
    good = loopback.Client(path)
    rng = random.Random(7)
    for _ in range(300):
        with contextlib.suppress(OSError), loopback.Client(path, timeout=0.2) as client:
            client.send(rng.randbytes(rng.choice([1, 7, 8, 9, 60, 5000])))
            if rng.random() < 0.3:
                client.receive()
    with loopback.Client(path) as client:  # a length beyond everything
        client.send(struct.pack("<IBBH", 2**32 - 1, loopback.PREDICT, 0, 1))
        assert client.receive()[0] == 2
        with pytest.raises(OSError):
            client.receive()
    with loopback.Client(path, timeout=5) as client:  # half a message, then silence
        client.send(struct.pack("<IBBH", 48, loopback.PREDICT, 0, 1) + bytes(10))
        with pytest.raises(ConnectionError):
            client.receive()
    crowd = []
    for _ in range(100):  # more than there are places for
        with contextlib.suppress(OSError):
            crowd.append(loopback.Client(path))
    with loopback.Client(path) as client:
        assert client.ask(loopback.PREDICT, bytes(48), 1)[0] == 0
    for client in crowd:
        client.__exit__()
    with loopback.Client(path) as client:  # asks much and takes nothing
        for _ in range(2000):
            try:
                client.send(struct.pack("<IBBH", 0, loopback.STATE, 0, 0))
            except OSError:
                break
        with loopback.Client(path) as other:
            stats = _json(other, loopback.STATS)
    assert process.poll() is None and stats["peak_rss_bytes"] < 64 * 2**20
    good.__exit__()


def test_reload_keeps_what_was_learned_and_leaves_no_gap(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "states").mkdir()
    process, path = serve(small.small_bundle(), "--state", "states/")
    x, y = small.blobs(3, 4)
    failed: list[str] = []
    done = threading.Event()

    def predict() -> None:
        with loopback.Client(path) as client:
            while not done.is_set():
                status, body = client.ask(loopback.PREDICT, x.tobytes(), 4)
                if status != 0:
                    failed.append(body.decode())

    with loopback.Client(path) as client:
        for _ in range(10):
            client.ask(loopback.LEARN, _learn_body(x, y), 4)
        thread = threading.Thread(target=predict)
        thread.start()
        bundle = tmp_path / "release" / "bundle.ecl"
        for seed in (4, 5, 6):  # the same shapes, other weights: what was trained comes along
            bundle.write_bytes(small.small_bundle(seed=seed))
            status, body = client.ask(loopback.RELOAD)
            assert status == 0 and json.loads(body)["state"] == "migrated", body
            assert _json(client, loopback.HEALTH)["samples_learned"] == 40
        state = client.ask(loopback.STATE)[1]
        bundle.write_bytes(small.small_bundle(hidden=9))  # other shapes: refused, the old one goes on
        status, body = client.ask(loopback.RELOAD)
        assert status == 3 and b"E_STATE_MISMATCH" in body
        bundle.write_bytes(b"nothing")
        assert client.ask(loopback.RELOAD)[0] == 3
        (tmp_path / "release" / "canary.ecc").write_bytes(b"no canary")
        bundle.write_bytes(small.small_bundle(seed=6))
        status, body = client.ask(loopback.RELOAD)
        assert status == 3 and b"canary" in body
        assert client.ask(loopback.STATE)[1] == state
        done.set()
        thread.join()
    assert failed == [] and process.poll() is None
    assert (tmp_path / "states" / "release.ecs").read_bytes() == state


def test_a_full_disk_is_told_and_learning_goes_on(serve: Serve, tmp_path: Path) -> None:
    state = tmp_path / "state.ecs"
    process, path = serve(small.small_bundle(), "--state", state, "--commit-every", 1)
    x, y = small.blobs(3, 4)
    with loopback.Client(path) as client:
        client.ask(loopback.LEARN, _learn_body(x, y), 4)
        client.ask(loopback.HEALTH)  # answered after the commit that the step asked for
        good = state.read_bytes()
        subprocess.run(["prlimit", f"--pid={process.pid}", "--fsize=10:unlimited"], check=True)
        client.ask(loopback.LEARN, _learn_body(x, y), 4)
        assert client.ask(loopback.COMMIT)[0] == 3 and state.read_bytes() == good
        assert _json(client, loopback.HEALTH)["commit_failed"] is True
        assert client.ask(loopback.PREDICT, x.tobytes(), 4)[0] == 0
        subprocess.run(["prlimit", f"--pid={process.pid}", "--fsize=unlimited:unlimited"], check=True)
        assert client.ask(loopback.COMMIT)[0] == 0 and state.read_bytes() == client.ask(loopback.STATE)[1]


def test_no_allocation_is_left_behind(serve: Serve) -> None:
    process, path = serve(small.small_bundle())
    x, _ = small.blobs(3, 64)
    with loopback.Client(path) as client:
        for _ in range(200):
            client.ask(loopback.PREDICT, x.tobytes(), 64)
        for _ in range(40):  # two bundles are there at the same time, and the allocator finds its places
            client.ask(loopback.RELOAD)
        before = _json(client, loopback.STATS)["peak_rss_bytes"]
        for _ in range(3000):
            client.ask(loopback.PREDICT, x.tobytes(), 64)
        for _ in range(200):
            client.ask(loopback.RELOAD)
        assert _json(client, loopback.STATS)["peak_rss_bytes"] - before < 2**19
    assert len(os.listdir(f"/proc/{process.pid}/fd")) < 12
