# On a device `import edgecl` needs numpy and nothing else.
# Never here: anything that imports edgecl in this process.
"""Tests of what importing loads, each in a fresh interpreter."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOMS = ["export", "devices", "tools"]  # they are edgecl.* only
ENGINES = ["onnxruntime", "ai_edge_litert"]
HEAVY = [*ENGINES, "torch", "onnx", "typer", "rich", "matplotlib", "sklearn", "numba", "PIL", "pandas", "scipy"]


def _loaded(code: str, *parts: str) -> list[str]:
    check = f"{code}\nimport sys\nprint([m for m in {[*HEAVY, *ROOMS, *parts]!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    return [name.strip("' ") for name in done.stdout.strip().strip("[]").split(",") if name.strip()]


def test_import_edgecl() -> None:
    assert _loaded("import edgecl", "numpy", "edgecl._core") == []
    assert _loaded("import edgecl; edgecl.Classifier", "numpy") == ["numpy"]


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


def test_export_says_which_package_is_missing() -> None:
    code = "import sys; sys.modules['onnx'] = None; from edgecl.export import from_onnx"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == (
        "ModuleNotFoundError: expected the module onnx; found none in this installation; export needs it: "
        "pip install '.[export]' in edgecl's source folder"
    )


def test_extras_are_those_of_the_package() -> None:
    root = Path(__file__).resolve().parents[2]
    known = set(re.findall(r"^(\w+) = \[", (root / "pyproject.toml").read_text(encoding="utf-8"), re.M))
    for path in (*root.glob("tools/cli/*.py"), *root.glob("runtime/python/edgecl/*.py")):
        text = path.read_text(encoding="utf-8")
        assert "edgecl[" not in text, f"{path}: edgecl is in no registry"
        assert set(re.findall(r"needs\(\"[^\n]*\", \"(\w+)\"\)", text)) <= known
        assert set(re.findall(r"from_source\('(\w+)'\)", text)) <= known


def test_names() -> None:
    code = (
        "import edgecl; assert set(edgecl.__all__) <= set(dir(edgecl)); "
        "edgecl.__version__; edgecl.build_info(); edgecl.devices"
    )
    assert _loaded(code) == []
