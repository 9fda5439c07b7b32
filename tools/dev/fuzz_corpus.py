"""Chooses the small corpus of a fuzz target from inputs that a run has found.

    python tools/dev/fuzz_corpus.py state build/fuzz/found/state

Never here: finding inputs (tools/soak).
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def coverage(target: str, folders: list[Path]) -> dict[Path, set[int]]:
    """What each input reaches, by the control file that libFuzzer's merge writes."""
    program = ROOT / "build" / "fuzz" / "tests" / "fuzz" / f"fuzz_{target}"
    with tempfile.TemporaryDirectory() as scratch:
        control, out = Path(scratch) / "control", Path(scratch) / "out"
        out.mkdir()
        options = ["-merge=1", "-use_counters=0", f"-merge_control_file={control}"]
        subprocess.run([program, *options, out, *folders], check=True, capture_output=True)
        lines = control.read_text(errors="replace").splitlines()
    n = int(lines[0])
    files = [Path(line) for line in lines[2 : 2 + n]]
    reached: dict[Path, set[int]] = {}
    for line in lines[2 + n :]:
        words = line.split()
        if words and words[0] == "FT":
            reached[files[int(words[1])]] = {int(word) for word in words[2:]}
    return reached


def chosen(reached: dict[Path, set[int]], most_files: int, most_bytes: int) -> list[Path]:
    """Greedily the inputs that add most, until a limit is reached or nothing is added."""
    seen: set[int] = set()
    files: list[Path] = []
    left = most_bytes
    while len(files) < most_files:
        fits = {path: len(reach - seen) for path, reach in reached.items() if path.stat().st_size <= left}
        best = max(fits, key=lambda path: (fits[path], -path.stat().st_size), default=None)
        if best is None or fits[best] == 0:
            break
        files.append(best)
        seen |= reached[best]
        left -= best.stat().st_size
    print(
        f"{len(files)} inputs of {most_bytes - left} bytes reach {len(seen)} of {len(set().union(*reached.values()))}"
    )
    return files


def main() -> None:
    """Replaces the target's corpus by the best of what it has and what the folders hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=["bundle", "state", "api", "writer", "merge"])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--most-files", type=int, default=40)
    parser.add_argument("--most-bytes", type=int, default=70_000)
    arguments = parser.parse_args()
    corpus = ROOT / "tests" / "fuzz" / "corpus" / arguments.target
    corpus.mkdir(parents=True, exist_ok=True)
    files = chosen(coverage(arguments.target, [corpus, *arguments.folders]), arguments.most_files, arguments.most_bytes)
    with tempfile.TemporaryDirectory() as scratch:
        for i, path in enumerate(files):
            shutil.copy(path, Path(scratch) / f"{i:02}")
        shutil.rmtree(corpus)
        shutil.copytree(scratch, corpus)


if __name__ == "__main__":
    main()
