"""tools/setup finds an interpreter that runs, whatever names stand first in PATH.

Never here: making the environment (tools/quickstart does that from a fresh clone).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("python3.13", "python3.12", "python3.11", "python3.10", "python3")
# What shims do for a version that is not there: most fail, some print advice and succeed.
FAILS = '#!/bin/sh\necho "shim: $0: no such version is chosen" >&2\nexit 126\n'
TALKS = "#!/bin/sh\necho run: shim install python\n"
OLD = "#!/bin/sh\nexit 2\n"
NO_VENV = "#!/bin/sh\nexit 3\n"
WORKS = f'#!/bin/sh\nexec {sys.executable} "$@"\n'


def find(folder: Path, shims: dict[str, str], **environment: str) -> subprocess.CompletedProcess[str]:
    for name, text in shims.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    settings = {key: value for key, value in os.environ.items() if key != "EDGECL_PYTHON"}
    settings |= {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", **environment}
    command = ["bash", "-c", f". '{ROOT}/tools/environment.sh'; base=$(find_python); echo \"found $base\""]
    return subprocess.run(command, env=settings, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module", autouse=True)
def _venv() -> None:
    pytest.importorskip("ensurepip", reason="this interpreter cannot make a virtual environment")


def test_shims_that_only_bear_a_name_are_skipped_in_silence(tmp_path: Path) -> None:
    shims = {"python3.13": FAILS, "python3.12": TALKS, "python3.11": OLD, "python3.10": NO_VENV, "python3": WORKS}
    done = find(tmp_path, shims)
    assert (done.returncode, done.stderr) == (0, "")
    found = done.stdout.removeprefix("found ").strip()
    assert "\n" not in found and os.path.samefile(found, sys.executable)


@pytest.mark.parametrize(
    ("text", "said"), [(FAILS, "Python 3.10 or newer, found none"), (NO_VENV, "venv module with pip, found none for")]
)
def test_nothing_but_shims_is_one_error(tmp_path: Path, text: str, said: str) -> None:
    done = find(tmp_path, dict.fromkeys(NAMES, text))
    assert done.returncode == 1 and done.stdout == ""
    assert said in done.stderr and done.stderr.count("\n") == 1


def test_an_interpreter_that_was_named_is_taken_or_refused(tmp_path: Path) -> None:
    (tmp_path / "a folder").mkdir()
    named = tmp_path / "a folder/python"
    assert find(tmp_path, {"a folder/python": WORKS}, EDGECL_PYTHON=str(named)).returncode == 0
    done = find(tmp_path, {"a folder/python": FAILS}, EDGECL_PYTHON=str(named))
    assert done.returncode == 1 and str(named) in done.stderr
