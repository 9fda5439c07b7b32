"""Learning gives the same bits for every compiler, optimisation, SIMD level, thread count and instruction set at hand.

Never here: the matrix itself (tools/dev/same_bits.py; run it without --quick for all combinations).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_one_hash_over_every_axis(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the bundles are exported from PyTorch")
    if not shutil.which("cmake") or not shutil.which("g++"):
        pytest.skip("no cmake or no g++ here to build the runner with")
    out = tmp_path / "same_bits.json"
    command = [sys.executable, str(ROOT / "tools/dev/same_bits.py"), "--quick", "--json", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    from edgecl.cli.results import read_table

    rows = read_table(out)["rows"]
    ran = [row for row in rows if "mlp" in row]
    assert {row["threads"] for row in ran} >= {1, 2, 4}
    for name in ("mlp", "conv", "int8 ridge", "hd", "fecam", "domain lda", "resnet", "resnet sparse"):
        assert len({row[name] for row in ran if name in row}) == 1
    for row in rows:
        if "left_out" in row:
            print("left out:", row)
