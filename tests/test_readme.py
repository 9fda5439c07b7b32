"""The README says what is true: its programs and commands run, its scripts, folders and links exist.

Never here: what the commands print in detail (tests/python).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BUILD = Path(os.environ.get("EDGECL_BUILD", ROOT / "build/host"))
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"<!-- run: (\w+) -->\n```\w+\n(.*?)```", re.S)
BLOCKS = dict(BLOCK.findall(README))


def run(command: list[str], cwd: Path, **environment: str) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=cwd, env=os.environ | {"PATH": path} | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the Python example was run."""
    pytest.importorskip("torch", reason="the README's example exports from PyTorch")
    where = tmp_path_factory.mktemp("readme")
    (where / "example.py").write_text(BLOCKS["python"])
    (where / "said.txt").write_text(run([sys.executable, "example.py"], where))
    return where


def test_the_python_example_learns(folder: Path) -> None:
    accuracy = float((folder / "said.txt").read_text().split("accuracy")[-1])
    assert accuracy > 0.9
    assert (folder / "model.ecl").exists() and (folder / "robot.ecs").exists()


def test_the_c_example_compiles_as_c99_and_learns(folder: Path) -> None:
    library = BUILD / "runtime/libedgecl.a"
    if not shutil.which("cc") or not library.exists():
        pytest.skip(f"no C compiler, or no {library}: run cmake --build --preset host, or set EDGECL_BUILD")
    (folder / "example.c").write_text(BLOCKS["c"])
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", f"-I{ROOT}/runtime/include"]
    run(["cc", *flags, "example.c", str(library), "-lm", "-o", "example"], folder)
    assert run(["./example"], folder).startswith("loss ")


def test_the_commands_run(folder: Path) -> None:
    for line in BLOCKS["shell"].splitlines():
        out = run(["bash", "-c", line], folder)
        assert out.strip(), f"{line} said nothing"
        if "--device" in line:
            assert "predicted" in out and "measured" not in out


def test_every_command_of_the_table_exists() -> None:
    listed = re.findall(r"^\| `edgecl (\w+)` \|", README, re.M)
    assert len(listed) >= 7
    for command in listed:
        run(["edgecl", command, "--help"], ROOT)


def test_every_script_and_folder_named_is_there() -> None:
    named = re.findall(r"`((?:tools|kernels|runtime|export|devices|tests)/[\w/.]*)", README)
    missing = [name for name in named if not (ROOT / name).exists()]
    assert named and not missing
    for script in re.findall(r"python (tools/[\w/]+\.py)", README):
        assert (ROOT / script).is_file()
    for script in ("quickstart", "test", "setup", "check", "measure", "compare"):
        assert os.access(ROOT / "tools" / script, os.X_OK), script
