# On a device `import edgecl` needs numpy and nothing else.
# Never here: anything that imports edgecl in this process.
"""Tests of what importing loads, each in a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys

ROOMS = ["export", "devices", "tools"]  # they are edgecl.* only
HEAVY = ["torch", "onnx", "typer", "rich", "matplotlib", "sklearn", "numba", "PIL", "pandas", "scipy"]


def _loaded(code: str, *parts: str) -> list[str]:
    check = f"{code}\nimport sys\nprint([m for m in {[*HEAVY, *ROOMS, *parts]!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    return [name.strip("' ") for name in done.stdout.strip().strip("[]").split(",") if name.strip()]


def test_import_edgecl() -> None:
    assert _loaded("import edgecl") == []


def test_device_side_modules() -> None:
    code = "import edgecl, edgecl.state_file, edgecl.npz, edgecl.data_removal, edgecl.devices"
    assert _loaded(code, "edgecl.evaluate", "edgecl.export", "edgecl.cli") == []


def test_evaluate_loads_what_it_needs_later() -> None:
    assert _loaded("import edgecl; edgecl.evaluate", "edgecl.evaluate.streams") == []
    code = "from edgecl.evaluate import experiment, metrics, streams, testing; streams.stream_names()"
    assert _loaded(code, "edgecl.export", "edgecl.cli") == []


def test_export_package_is_lazy() -> None:
    assert _loaded("import edgecl; edgecl.export") == []


def test_command_line_loads_no_framework() -> None:
    loaded = _loaded("import edgecl.cli.main")
    assert set(loaded) <= {"typer", "rich"}


def test_names() -> None:
    code = (
        "import edgecl; assert set(edgecl.__all__) <= set(dir(edgecl)); "
        "edgecl.__version__; edgecl.build_info(); edgecl.devices"
    )
    assert _loaded(code) == []
