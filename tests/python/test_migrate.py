# A state on its way to a bundle that was exported again, from Python and from the command line.
# Never here: what may differ between the two (tests/runtime/learn_migrate.cpp).
"""Tests of `Bundle.migrate` and `edgecl migrate`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import edgecl
import pytest
from edgecl import errors
from edgecl.cli.main import app
from typer.testing import CliRunner


@pytest.fixture
def files(make_bundle: Callable[..., bytes], blobs: Any, tmp_path: Path) -> Path:
    """old.ecl, new.ecl (the same network with other weights and classes), other.ecl, and a state of the first."""
    (tmp_path / "old.ecl").write_bytes(make_bundle())
    (tmp_path / "new.ecl").write_bytes(make_bundle(seed=8, classes=("0", "1", "2", "7")))
    (tmp_path / "other.ecl").write_bytes(make_bundle(hidden=8))
    learner = edgecl.Classifier(tmp_path / "old.ecl", method="er_ace", random_state=3)
    for _ in range(8):
        learner.partial_fit(blobs.x, blobs.y)
    learner.save(tmp_path / "s.ecs")
    return tmp_path


def _call(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_what_was_learned_comes_along(files: Path, blobs: Any) -> None:
    out = files / "new.ecs"
    arguments = ("migrate", files / "s.ecs", "--from", files / "old.ecl", "--to", files / "new.ecl", "-o", out)
    result = _call(*arguments, "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["n_params"] == 4 and document["n_renamed"] == 0 and document["classes_left"] == ["7"]
    old = edgecl.Classifier(files / "old.ecl").load(files / "s.ecs")
    new = edgecl.Classifier(files / "new.ecl").load(out)
    assert (new.logits(blobs.x) == old.logits(blobs.x)).all() and new.config()["method"] == "er_ace"
    assert new.classes_.tolist() == [0, 1, 2] and document["state_sha256"] == new.state_digest()
    new.partial_fit(blobs.x, blobs.y)
    shown = _call(*arguments)
    assert shown.exit_code == 0 and "left behind" in shown.stdout and max(map(len, shown.stdout.splitlines())) <= 80


def test_what_cannot_move(files: Path) -> None:
    old, new, other = (edgecl.open_bundle(files / f"{name}.ecl") for name in ("old", "new", "other"))
    state = (files / "s.ecs").read_bytes()
    assert old.migrate(state, old)[0] == state
    for source, target in ((old, other), (new, old)):
        with pytest.raises(errors.StateError):
            source.migrate(state, target)
    out = files / "out.ecs"
    result = _call("migrate", files / "s.ecs", "--from", files / "old.ecl", "--to", files / "other.ecl", "-o", out)
    assert result.exit_code == 3 and "same shapes" in result.stderr and not out.exists()
    folder = _call("migrate", files / "s.ecs", "--from", files / "old.ecl", "--to", files / "new.ecl", "-o", files)
    assert folder.exit_code == 3 and "expected" in folder.stderr
