"""The arrows between the rooms: the checker passes on the tree, finds planted violations, and imports stay light.

Never here: style.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def checker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_layers", ROOT / "tools/dev/check_layers.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_arrow_points_the_right_way(checker: ModuleType) -> None:
    assert checker.complaints() == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("kernels/a.cpp", '#include "runtime/core/b.h"\n'),
        ("kernels/a.cpp", "#include <vector>\n"),
        ("runtime/core/a.cpp", '#include "runtime/learn/b.h"\n'),
        ("runtime/core/a.cpp", "#include <iostream>\n"),
        ("runtime/learn/a.cpp", '#include "runtime/api/b.h"\n'),
        ("runtime/python/edgecl/a.py", "import torch\n"),
        ("runtime/python/edgecl/a.py", "from edgecl.export import x\n"),
        ("runtime/python/edgecl/a.py", "from . import x\n"),
        ("runtime/python/edgecl/a.py", "from edgecl.evaluate import x\n"),
        ("runtime/python/edgecl/a.py", "import edgecl_kernels\n"),
        ("runtime/python/a.cpp", '#include "tools/kernels_module/b.h"\n'),
        ("tools/kernels_module/a.cpp", '#include "runtime/core/b.h"\n'),
        ("devices/a.py", "from edgecl import cli\n"),
        ("tools/evaluate/a.py", "import torch\n"),
        ("tools/evaluate/a.py", "from edgecl.export import x\n"),
        ("tools/cli/a.py", "from edgecl.evaluate import x\n"),
        ("export/__init__.py", "import torch.nn\n"),
        ("export/a.py", "import tests.b\n"),
        ("tools/cli/a.py", "def f():\n    import tools.dev\n"),
    ],
)
def test_a_planted_violation_is_found(
    checker: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, text: str
) -> None:
    for name in ("runtime/core/b.h", "runtime/learn/b.h", "runtime/api/b.h", "tools/kernels_module/b.h"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text(text)
    monkeypatch.setattr(checker, "ROOT", tmp_path)
    found = checker.complaints()
    assert found and all(line.startswith(path) for line in found)


def test_lazy_imports_are_allowed(checker: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tools/cli").mkdir(parents=True)
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch\ndef f():\n    import torch\n"
    (tmp_path / "tools/cli/a.py").write_text(text)
    monkeypatch.setattr(checker, "ROOT", tmp_path)
    assert checker.complaints() == []


def test_importing_the_package_loads_no_framework_and_no_second_copy() -> None:
    rooms = "edgecl, edgecl.export, edgecl.evaluate, edgecl.devices"
    code = f"import sys, json, {rooms}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in json.loads(done.stdout)}
    assert not loaded & {"torch", "onnx", "onnxscript", "sklearn", "numba", "matplotlib", "typer", "rich"}
    assert not loaded & {"export", "devices", "tools", "kernels", "runtime"}
