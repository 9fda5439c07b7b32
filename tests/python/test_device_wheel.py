# A device's installation (EDGECL_DEVICE_ONLY=1): what it holds, and that numpy is all that it needs to learn.
# Never here: how well anything learns.
"""Builds the wheel of a device once, in build/wheel beside the whole one, and runs it without its neighbours."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = Path(np.__file__).resolve().parents[1]
LEARN = """
import sys, numpy as np, edgecl
x = np.random.default_rng(0).standard_normal((40, 12), dtype=np.float32)
y = (x[:, 0] > 0).astype(int)
learner = edgecl.Classifier(sys.argv[1], random_state=0)
for _ in range(20):
    learner.partial_fit(x, y)
learner.save(sys.argv[2])
again = edgecl.Classifier(sys.argv[1]).load(sys.argv[2])
print((again.predict(x) == y).mean(), sorted({name.split(".")[0] for name in sys.modules} & {"typer", "rich", "torch"}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the contents of the wheel."""
    for module in ("pip", "scikit_build_core", "pybind11"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"no {module} here to build the wheel with")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    command += ["--config-settings", f"build-dir={ROOT / 'build/wheel'}", "-w", str(folder), str(ROOT)]
    done = subprocess.run(command, env=os.environ | {"EDGECL_DEVICE_ONLY": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as archive:
        archive.extractall(folder / "contents")
    return folder / "contents"


def _run(*arguments: str | Path, path: list[Path]) -> subprocess.CompletedProcess[str]:
    """Python with these folders alone on its path, beside the standard library."""
    environment = {"PYTHONPATH": os.pathsep.join(map(str, path)), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-S", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def numpy_alone(tmp_path: Path) -> Path:
    folder = tmp_path / "packages"
    folder.mkdir()
    for name in ("numpy", "numpy.libs"):
        if (PACKAGES / name).exists():
            (folder / name).symlink_to(PACKAGES / name)
    return folder


def test_it_holds_what_a_device_runs_and_no_more(wheel: Path) -> None:
    assert {path.name for path in wheel.iterdir() if not path.name.endswith(".dist-info")} == {"edgecl"}
    rooms = {path.name for path in (wheel / "edgecl").iterdir() if path.is_dir()}
    assert rooms == {"cli", "deploy", "devices"}
    assert list((wheel / "edgecl").glob("_core.*.so"))
    wanted = next(wheel.glob("*.dist-info/METADATA")).read_text()
    always = [line for line in wanted.splitlines() if line.startswith("Requires-Dist:") and "extra ==" not in line]
    assert len(always) == 1 and "numpy" in always[0]


def test_it_learns_and_predicts_with_numpy_alone(wheel: Path, numpy_alone: Path, bundle_path: Path) -> None:
    done = _run("-c", LEARN, bundle_path, numpy_alone / "state.ecs", path=[wheel, numpy_alone])
    assert done.returncode == 0, done.stderr
    accuracy, loaded = done.stdout.split(maxsplit=1)
    assert float(accuracy) > 0.8 and loaded.strip() == "[]"


def test_it_says_what_it_lacks(wheel: Path, numpy_alone: Path, bundle_path: Path) -> None:
    done = _run("-m", "edgecl.cli.start", "--version", path=[wheel, numpy_alone])
    assert done.returncode == 2 and "pip install '.[cli]'" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("part", ["evaluate", "export"])
@pytest.mark.parametrize("how", ["import edgecl.{}", "from edgecl import {}", "import edgecl; edgecl.{}"])
def test_every_way_of_importing_says_what_is_missing(wheel: Path, numpy_alone: Path, how: str, part: str) -> None:
    done = _run("-c", how.format(part), path=[wheel, numpy_alone])
    sentence = f"ModuleNotFoundError: expected the module edgecl.{part}; found none in this installation; "
    assert done.stderr.splitlines()[-1].startswith(sentence)
    done = _run("-c", f"import edgecl; assert '{part}' not in dir(edgecl); edgecl.nonsense", path=[wheel, numpy_alone])
    assert done.stderr.splitlines()[-1] == "AttributeError: module 'edgecl' has no attribute 'nonsense'"


def test_its_command_line_runs_and_says_what_it_lacks(wheel: Path, bundle_path: Path) -> None:
    pytest.importorskip("typer")
    whole = [wheel, PACKAGES]
    done = _run("-m", "edgecl.cli.start", "inspect", bundle_path, path=whole)
    assert done.returncode == 0 and "test-mlp" in done.stdout, done.stderr
    for arguments in (
        ["learn", str(bundle_path), "--stream", "digits"],
        ["quickstart"],
        ["export", "mlp", "-o", "mlp.ecl"],
    ):
        done = _run("-m", "edgecl.cli.start", *arguments, path=whole)
        assert done.returncode == 2, done.stdout + done.stderr
        assert "expected the module edgecl.e" in done.stderr and "EDGECL_DEVICE_ONLY" in done.stderr
        assert "Traceback" not in done.stderr
