# Counts ONNX's node tests of the supported operators that export and give the right outputs, operator by operator.
# Never here: the cases themselves (tests/export/node_cases.py).
"""Usage: python tools/dev/onnx_cases.py [--plan]

Runs on the device's core; with --plan on the plan interpreter of the tests, which needs no extension module. Exit
status 1 when a case that is not excluded fails.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def main() -> int:
    """Prints the table and returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--plan", action="store_true", help="run the plans in the interpreter of the tests")
    arguments = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "export"))
    import node_cases

    table = node_cases.tally(node_cases.interpret if arguments.plan else node_cases.device)
    passed = failed = total = 0
    for op_type in sorted(table):
        entry = table[op_type]
        count = len(entry.passed) + len(entry.excluded) + len(entry.failed)
        passed, failed, total = passed + len(entry.passed), failed + len(entry.failed), total + count
        print(f"{op_type:<24} {len(entry.passed):>3} of {count:>3}")
        reasons: dict[str, list[str]] = {}
        for name, reason in entry.excluded.items():
            reasons.setdefault(reason, []).append(name)
        for reason, names in reasons.items():
            print(f"    {len(names):>2} cannot: {reason}")
        for name, error in entry.failed.items():
            print(f"    FAILED {name}: {error}")
    print(
        f"{passed} of {total} node cases pass, {total - passed - failed} cannot be run for the reasons above, {failed} "
        "fail"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
