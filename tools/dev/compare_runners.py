"""Two builds of edgecl_run on the same bundles, in turns: fastest and median time of a step, and whether they differ.

usage: python tools/dev/compare_runners.py FIRST SECOND [--rounds 7]

A difference smaller than the larger spread of the two over rounds is called no change.
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
    """The change of the medians in per cent, or that there is none beyond the noise."""
    a, b = statistics.median(first), statistics.median(second)
    noise = max((statistics.median(t) - min(t)) / min(t) for t in (first, second))
    change = b / a - 1
    return f"no change (noise {100 * noise:.0f} %)" if abs(change) <= max(noise, 0.02) else f"{100 * change:+.0f} %"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first")
    parser.add_argument("second")
    parser.add_argument("--names", nargs=2, default=["first", "second"])
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    from networks import write_bundle  # type: ignore[import-not-found]

    print(
        f"| network | density | what | {arguments.names[0]} ms | {arguments.names[1]} ms | change |\n|---|---|---|---|---|---|"
    )
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
