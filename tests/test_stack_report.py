"""The stack report adds up paths, sees recursion, unbounded frames and pointers without a rule, and holds its limits.

Never here: figures of the library (CI's step "stack and size").
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
HEAD = 'graph: { title: "unit.cpp"\n'


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "tools/dev"))
    spec = importlib.util.spec_from_file_location("stack_report", ROOT / "tools/dev/stack_report.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "stack_report", module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def node(title: str, n_bytes: int, kind: str = "static", name: str = "") -> str:
    label = f"{name or title}()\\n/nowhere/unit.cpp:1:1\\n{n_bytes} bytes ({kind})\\n0 dynamic objects"
    return f'node: {{ title: "{title}" label: "{label}" }}\n'


def edge(source: str, target: str, place: str = "/nowhere/unit.cpp:2:2") -> str:
    return f'edge: {{ sourcename: "{source}" targetname: "{target}" label: "{place}" }}\n'


def stack_of(report: ModuleType, folder: Path, text: str, call_bytes: int = 0) -> object:
    (folder / "unit.ci").write_text(HEAD + text + "}\n")
    return report.Stack(report.read_graph(folder), call_bytes)


def test_worst_path_is_the_dearest_chain(report: ModuleType, tmp_path: Path) -> None:
    text = node("edgecl_a", 100) + node("b", 10) + node("c", 50) + node("d", 45)
    text += edge("edgecl_a", "b") + edge("edgecl_a", "c") + edge("b", "d")
    stack = stack_of(report, tmp_path, text, call_bytes=8)
    assert stack.path_bytes("edgecl_a") == (100 + 8) + (10 + 8) + (45 + 8)
    assert [f["bytes"] for f in stack.path("edgecl_a")] == [100, 10, 45]
    assert not stack.faults


def test_functions_without_a_graph_count_as_leaves(report: ModuleType, tmp_path: Path) -> None:
    stack = stack_of(report, tmp_path, node("edgecl_a", 8) + edge("edgecl_a", "memcpy"))
    assert stack.path_bytes("edgecl_a") == 8 + report.LEAF_BYTES


def test_recursion_is_a_fault(report: ModuleType, tmp_path: Path) -> None:
    text = node("edgecl_a", 8) + node("b", 8) + edge("edgecl_a", "b") + edge("b", "edgecl_a")
    stack = stack_of(report, tmp_path, text)
    stack.path_bytes("edgecl_a")
    assert any("recursion" in fault for fault in stack.faults)


def test_a_frame_without_a_bound_is_a_fault(report: ModuleType, tmp_path: Path) -> None:
    stack = stack_of(report, tmp_path, node("edgecl_a", 8, "dynamic") + node("edgecl_b", 8, "dynamic,bounded"))
    assert len(stack.faults) == 1 and "edgecl_a" in stack.faults[0]


def test_a_pointer_without_a_rule_is_a_fault(report: ModuleType, tmp_path: Path) -> None:
    stack = stack_of(report, tmp_path, node("edgecl_a", 8) + edge("edgecl_a", "__indirect_call"))
    stack.path_bytes("edgecl_a")
    assert any("CALLED_BY_NAME" in fault for fault in stack.faults)


def test_a_pointer_reaches_what_its_name_may_hold(
    report: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "ROOT", tmp_path)
    (tmp_path / "unit.cpp").write_text("table.losses(rows);\n")
    text = node("edgecl_a", 8) + edge("edgecl_a", "__indirect_call", f"{tmp_path}/unit.cpp:1:13")
    text += node("x", 30, name="void edgecl::losses") + node("y", 99, name="void edgecl::other")
    stack = stack_of(report, tmp_path, text)
    assert stack.path_bytes("edgecl_a") == 8 + 30
    assert not stack.faults


def test_limits(report: ModuleType) -> None:
    frame = {"bytes": report.MOST_FRAME + 1, "function": "f", "place": "p"}
    figures = {
        "faults": [],
        "large_frames": [frame],
        "entries": {"edgecl_a": report.MOST_PATH + 1},
        "undefined": ["free"],
    }
    figures["shared_library_stripped"] = report.LIBRARY_BUDGET_BYTES + 1
    assert len(report.complaints("cortex-m7", figures)) == 4
    assert len(report.complaints("x86-64", figures)) == 1
    assert not report.MAY_BE_UNDEFINED.match("memchr") and report.MAY_BE_UNDEFINED.match("memcmp")
