"""Two builds of edgecl-run on the same bundles, in turns: fastest and median time of a step, and whether they differ.

usage: python tools/dev/compare_runners.py FIRST SECOND [--rounds 7]

A difference counts when it is above 2 % and has the same sign in each of at least five rounds.
Never here: building (tools/compare) and other libraries (tools/bench/peers.py).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))

CASES = (("mlp", 1.0, 300), ("mlp", 0.1, 300), ("resnet18-nf20", 1.0, 12), ("resnet18-nf20", 0.1, 12))


def once(program: str, bundle: Path, steps: int) -> tuple[float, float]:
    """Median milliseconds of a learn step (10 + 10 rows) and of a predict call (10 rows) of one process."""
    command = [program, str(bundle), "run", "--learn", str(steps), "--predict", str(steps)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    return float(answer["learn_p50_ms"]), float(answer["predict_p50_ms"])


def verdict(first: list[float], second: list[float]) -> str:
    """The median change over rounds in per cent; none when it is below 2 % or the rounds disagree about its sign."""
    ratios = sorted(b / a for a, b in zip(first, second, strict=True))
    change = statistics.median(ratios) - 1
    agree = ratios[0] > 1 or ratios[-1] < 1
    return f"{100 * change:+.0f} %" if agree and abs(change) > 0.02 and len(ratios) >= 5 else "no change"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first")
    parser.add_argument("second")
    parser.add_argument("--names", nargs=2, default=["first", "second"])
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    from networks import write_bundle

    print(f"| network | density | what | {arguments.names[0]} ms | {arguments.names[1]} ms | change |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, density, steps in CASES:
            bundle = write_bundle(name, Path(folder) / "model.ecl", density=density)
            times: dict[str, list[tuple[float, float]]] = {arguments.first: [], arguments.second: []}
            for _ in range(arguments.rounds):
                for program in times:
                    times[program].append(once(program, bundle, steps))
            for index, what in enumerate(("learn", "predict")):
                first, second = ([pair[index] for pair in pairs] for pairs in times.values())
                cells = [f"{statistics.median(t):.3f} (best {min(t):.3f})" for t in (first, second)]
                print(f"| {name} | {density:g} | {what} | {' | '.join(cells)} | {verdict(first, second)} |", flush=True)


if __name__ == "__main__":
    main()
