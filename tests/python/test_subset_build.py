# A library for one bundle alone: the same bits, a fraction of the size, and one sentence for a bundle that it lacks
# something for.
# Never here: firmware (devices/firmware).
from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from edgecl.cli.main import app
from typer.testing import CliRunner

ROOT = Path(__file__).resolve().parents[2]
WHOLE = ROOT / "build/host/runtime/runner/edgecl-run"


def _export(*arguments: object) -> None:
    result = CliRunner().invoke(app, ["export", *map(str, arguments)])
    assert result.exit_code == 0, result.output


def _run(program: Path, bundle: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [program, bundle, "run", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _learned(program: Path, bundle: Path) -> dict[str, Any]:
    done = _run(program, bundle, "--learn", "3", "--predict", "1", "--sha")
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return {key: value for key, value in document.items() if "sha" in key}


@pytest.mark.slow
def test_a_build_for_one_bundle(tmp_path: Path) -> None:
    if not WHOLE.is_file() or shutil.which("cmake") is None:
        pytest.skip("edgecl-run is not built: cmake --preset host && cmake --build --preset host")
    bundle, header, other = tmp_path / "mlp.ecl", tmp_path / "mlp.h", tmp_path / "cnn.ecl"
    _export("mlp", "-o", bundle, "--c-array", header)
    _export("small-cnn", "-o", other)
    build = tmp_path / "build"
    configure = ["cmake", "-S", ROOT, "-B", build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release"]
    configure += [
        f"-DEDGECL_FOR={header}",
        "-DEDGECL_BUILD_TESTS=OFF",
        "-DEDGECL_LEVELS=v3",
    ]  # one level: half the time
    subprocess.run(configure, check=True, capture_output=True)
    target = ["cmake", "--build", build, "--target", "edgecl-run", "-j", str(os.cpu_count() or 1)]
    subprocess.run(target, check=True, capture_output=True)
    small = build / "runtime/runner/edgecl-run"
    assert _learned(small, bundle) == _learned(WHOLE, bundle) != {}
    for name, path in (("small", small), ("whole", WHOLE)):
        subprocess.run(["strip", "-o", tmp_path / name, path], check=True)
    sizes = [(tmp_path / name).stat().st_size for name in ("small", "whole")]
    assert sizes[0] + 400_000 < sizes[1], sizes  # of which the C library is the same
    refused = _run(small, other)
    assert refused.returncode == 2
    assert "expected an operator of this build (linear reshape), found conv" in refused.stderr, refused.stderr
