# Requests for domains and for messages of other devices: the server answers as the library and the program's commands.
# Never here: predictions and learn steps (test_serve.py), sums and domains themselves (tests/runtime).
"""Tests of the requests `route` and `merge` of `edgecl-run serve`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgecl import _core

loopback, small = sys.modules["loopback_device"], sys.modules["small_bundles"]
Serve = Callable[..., tuple["subprocess.Popen[bytes]", Path]]
BUNDLE = small.small_bundle(trainable="head")
SHIFT = 3.0  # of the second domain's samples


def _session(**settings: Any) -> Any:
    return _core.Session(_core.Model(data=BUNDLE), head="ridge", add_unseen_labels=1, **settings)


def _learn(session: Any, steps: int, seed: int = 0, shift: float = 0.0) -> None:
    for i in range(steps):
        x, y = small.blobs(seed + i, 4)
        session.learn(x + np.float32(shift), y)


def _two_domains() -> Any:
    session = _session(max_domains=2)
    _learn(session, 30)
    session.domain_add("far")
    session.domain_select(1)
    _learn(session, 30, 100, SHIFT)
    session.domain_select(-1)
    return session


def _mixed() -> Any:
    x, _ = small.blobs(999, 70)  # more rows than one piece
    x[::2] += np.float32(SHIFT)
    return x


def test_routes_are_those_of_the_command_and_of_the_library(serve: Serve, runner: Path, tmp_path: Path) -> None:
    session, x = _two_domains(), _mixed()
    (tmp_path / "state.ecs").write_bytes(session.state_export())
    np.save(tmp_path / "x.npy", x)
    _, path = serve(BUNDLE, "--state", "state.ecs")
    with loopback.Client(path) as client:
        before = client.ask(loopback.STATE)[1]
        status, body = client.ask(loopback.ROUTE, x[:64].tobytes(), 64)
        assert status == 0, body
        again, rest = client.ask(loopback.ROUTE, x[64:].tobytes(), 6)
        assert again == 0 and client.ask(loopback.STATE)[1] == before
    got = np.frombuffer(body + rest, np.dtype([("domain", "<i4"), ("fit", "<f4"), ("decision", "<i4")]))
    assert [*got["domain"]] == [1, 0] * 35
    domain, fit, decision = session.route(x)
    assert np.array_equal(got["domain"], domain) and np.array_equal(got["decision"], decision)
    assert np.array_equal(got["fit"], np.asarray(fit, np.float32))
    command = [
        runner,
        tmp_path / "release/bundle.ecl",
        "route",
        tmp_path / "x.npy",
        "--state-in",
        tmp_path / "state.ecs",
    ]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    rows = [json.loads(line) for line in lines]
    assert [r["domain"] for r in rows] == [*got["domain"]]
    assert [np.float32(r["fit"]) for r in rows] == [*got["fit"]]
    assert [r["novel"] for r in rows] == [bool(d) for d in got["decision"]] and len({r["novel"] for r in rows}) == 2


def _message(device: int, steps: int, seed: int) -> bytes:
    other = _session(head_merges=2)
    other.device_set(device)
    _learn(other, steps, seed)
    return bytes(other.delta())


def test_a_merge_is_that_of_the_command(serve: Serve, runner: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.ecl"
    bundle.write_bytes(BUNDLE)

    def run(*options: str) -> list[str]:
        command = [runner, bundle, "run", "--method", "ridge", "--merges", "2", "--batch", "4", *options]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.splitlines()

    run("--device", "1", "--learn", "5", "--state-out", "one.ecs")
    run("--device", "2", "--learn", "7", "--seed", "9", "--message-out", "two.ecd")
    state = tmp_path / "state.ecs"
    state.write_bytes((tmp_path / "one.ecs").read_bytes())
    process, path = serve(BUNDLE, "--state", state, "--commit-every", 1000)
    one_shot = run("--state-in", "one.ecs", "--merge", "two.ecd", "--state-out", "one.ecs")
    x, _ = small.blobs(7, 64)
    with loopback.Client(path) as client:
        before = client.ask(loopback.PREDICT, x.tobytes(), 64)[1]
        status, body = client.ask(loopback.MERGE, (tmp_path / "two.ecd").read_bytes())
        assert status == 0 and body.decode() == one_shot[0]
        assert json.loads(body)["new"] == 1 and json.loads(body)["rows"] == 4 * (5 + 7)
        assert client.ask(loopback.STATE)[1] == (tmp_path / "one.ecs").read_bytes()
        assert client.ask(loopback.PREDICT, x.tobytes(), 64)[1] != before
        assert json.loads(client.ask(loopback.HEALTH)[1])["steps_not_committed"] == 1
        call = [runner, "call", "--socket", "socket", "merge", "two.ecd"]  # a second time: nothing is new
        done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert json.loads(done.stdout)["known"] == 1
        assert client.ask(loopback.COMMIT)[0] == 0
        assert state.read_bytes() == (tmp_path / "one.ecs").read_bytes()
    process.terminate()
    assert process.wait(10) == 0


def test_what_came_from_others_alone_outlives_a_reload(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "states").mkdir()
    # The recipe's head learns by gradients; a state says otherwise.
    (tmp_path / "states/release.ecs").write_bytes(_session().state_export())
    _, path = serve(BUNDLE, "--state", "states/", "--merges", 2, "--device", 4, "--commit-every", 1000)
    with loopback.Client(path) as client:
        assert client.ask(loopback.MERGE, _message(2, 7, 50))[0] == 0
        merged = client.ask(loopback.STATE)[1]
        status, body = client.ask(loopback.RELOAD)
        assert status == 0 and json.loads(body)["state"] == "kept"
        assert client.ask(loopback.STATE)[1] == merged


@pytest.mark.parametrize(
    ("settings", "operation", "body", "rows", "saying"),
    [
        ({}, "ROUTE", bytes(48), 1, "E_UNSUPPORTED"),  # no domains
        ({"max_domains": 2}, "ROUTE", bytes(48), 1, "E_SEQUENCE"),  # nothing was learned
        ({"max_domains": 2}, "ROUTE", bytes(47), 1, "1 or more rows"),
        ({"max_domains": 2}, "ROUTE", b"", 0, "1 or more rows"),
        ({}, "MERGE", b"message", 0, "E_UNSUPPORTED"),  # no room for other devices
        ({"head_merges": 1}, "MERGE", b"", 0, "E_STATE_CORRUPT"),
        ({"head_merges": 1}, "MERGE", b"message", 0, "E_STATE_CORRUPT"),
    ],
)
def test_wrong_requests_are_refused_and_change_nothing(
    serve: Serve, tmp_path: Path, settings: dict[str, int], operation: str, body: bytes, rows: int, saying: str
) -> None:
    (tmp_path / "state.ecs").write_bytes(_session(**settings).state_export())
    _, path = serve(BUNDLE, "--state", "state.ecs")
    with loopback.Client(path) as client:
        before = client.ask(loopback.STATE)[1]
        status, text = client.ask(getattr(loopback, operation), body, rows)
        assert status != 0 and saying in text.decode() and "\n" not in text.decode()
        assert client.ask(loopback.STATE)[1] == before  # and the connection goes on


def test_a_damaged_message_and_one_too_many_change_nothing(serve: Serve, runner: Path, tmp_path: Path) -> None:
    (tmp_path / "state.ecs").write_bytes(_session(head_merges=1).state_export())
    message = _message(2, 7, 50)
    _, path = serve(BUNDLE, "--state", "state.ecs", "--device", 1)
    with loopback.Client(path) as client:
        before = client.ask(loopback.STATE)[1]
        for at in range(0, len(message), 97):
            wrong = bytearray(message)
            wrong[at] ^= 1
            status, text = client.ask(loopback.MERGE, bytes(wrong))
            assert status == 3 and b"E_STATE" in text, (at, text)
        assert client.ask(loopback.STATE)[1] == before
        assert client.ask(loopback.MERGE, message)[0] == 0
        merged = client.ask(loopback.STATE)[1]
        status, text = client.ask(loopback.MERGE, _message(3, 2, 80))
        assert status != 0 and b"E_CAPACITY" in text and client.ask(loopback.STATE)[1] == merged
    for wrong_file, saying in (("none.ecd", "none.ecd"), ("large.ecd", "at most 16777216 bytes")):
        (tmp_path / "large.ecd").write_bytes(bytes(2**24 + 1))
        call = [runner, "call", "--socket", "socket", "merge", wrong_file]
        done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 3 and saying in done.stderr and done.stderr.count("\n") == 1
