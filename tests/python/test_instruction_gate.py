# The gate on instructions: which operator it names, and what it lets pass. The counts themselves: tools/test.
from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from edgecl.cli.results import read_table

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tools/dev"


@pytest.fixture(scope="module")
def gate() -> ModuleType:
    sys.path.insert(0, str(FOLDER))
    try:
        spec = importlib.util.spec_from_file_location("instruction_gate", FOLDER / "instruction_gate.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(FOLDER))
    return module


def row(operator: str, predict: int, step: int = 50_000, **others: Any) -> dict[str, Any]:
    found = {"preset": "aarch64", "bundle": "keyword", "operator": operator, "kind": "conv"}
    return found | {"predict": predict, "learn step": step} | others


def test_the_operator_that_grew_is_named(gate: ModuleType) -> None:
    before = [row("first", 10_000), row("second", 20_000), row("all", 30_000)]
    now = [row("first", 10_200), row("second", 20_401), row("all", 30_601)]
    named = gate.faults(now, before)
    assert named[0] == "operator second (conv) of keyword on aarch64, predict: 20,401 instructions, 20,400 allowed"
    assert named[1].startswith("operator all (conv) of keyword on aarch64, predict: 30,601 instructions")
    assert len(named) == 3 and "commit" in named[-1]
    assert gate.faults(before, before) == []


def test_one_operator_grows_where_the_whole_does_not(gate: ModuleType) -> None:
    before = [row("first", 10_000), row("second", 20_000), row("all", 30_000)]
    now = [row("first", 12_000), row("second", 18_000), row("all", 30_000)]
    assert [line.split(" of ")[0] for line in gate.faults(now, before)[:-1]] == ["operator first (conv)"]


def test_few_instructions_may_come_and_a_new_operator_may_not(gate: ModuleType) -> None:
    assert gate.faults([row("small", 160)], [row("small", 100)]) == []
    assert "small" in gate.faults([row("small", 201)], [row("small", 100)])[0]
    assert ", 0 allowed" in gate.faults([row("new", 1)], [row("first", 10_000)])[0]


def test_the_sparse_step_has_a_share_of_the_dense_one(gate: ModuleType) -> None:
    def steps(sparse: int) -> list[dict[str, Any]]:
        return [row("all", 1, n, bundle=f"{gate.LARGE}, {share}") for share, n in (("100%", 1000), ("10%", sparse))]

    assert gate.faults(steps(180), steps(180)) == []
    assert "0.1810" in gate.faults(steps(181), steps(181))[0]


def test_parts_add_up(gate: ModuleType) -> None:
    passes = {
        "predict": {"marks": [0, 3], "parts": [["a", "conv", 1, 2]]},
        "learn step": {"marks": [3, 8], "parts": [["a", "conv", 4, 5], ["a", "conv", 6, 7]]},
    }
    rows = {found["operator"]: found for found in gate.by_operator(passes, [0, 10, 40, 45, 50, 60, 61, 81, 100])}
    assert rows["a"] == {"operator": "a", "kind": "conv", "predict": 30, "learn step": 30}
    assert (rows["the rest"]["predict"], rows["all"]["predict"]) == (15, 45)
    assert (rows["the rest"]["learn step"], rows["all"]["learn step"]) == (25, 55)


def test_the_committed_counts_have_every_operator(gate: ModuleType) -> None:
    rows = gate.from_table(read_table(gate.OUT)["rows"])
    assert gate.from_table(gate.to_table(rows)) == rows
    found: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for count in rows:
        found.setdefault((count["preset"], count["bundle"]), {})[count["operator"]] = count
    assert len(found) == 2 * 5 + 2
    for operators in found.values():
        for what in gate.COUNTS:
            parts = [count.get(what, 0) for name, count in operators.items() if name != gate.ALL]
            assert sum(parts) == operators[gate.ALL].get(what, 0)


@pytest.mark.skipif(
    shutil.which("qemu-aarch64") is None or not (ROOT / "build/aarch64/runtime/libedgecl.a").exists(),
    reason="takes an emulator and a build of the preset aarch64",
)
def test_counted_twice_is_the_same(gate: ModuleType, tmp_path: Path) -> None:
    plugin, probe = gate.build_plugin(tmp_path), gate.build_probe("aarch64", tmp_path)
    bundle = ROOT / "devices/firmware/bundles/activity_small.ecl"
    once, again = (gate.measure("aarch64", probe, plugin, bundle) for _ in range(2))
    assert once == again
    done = subprocess.run(["qemu-aarch64", str(probe[0]), "none.ecl", "1", "both"], capture_output=True, text=True)
    assert done.returncode == 1 and "expected opening the bundle to succeed" in done.stderr
