"""Interrupts `edgecl learn` at random moments, resumes it, and compares the state with that of an uninterrupted run.

    python tools/dev/interrupt_learn.py --moments 20
    python tools/dev/interrupt_learn.py --moments 3 model.ecl --data data.npz --classes-per-task 2 --epochs 50

Arguments after the options are those of `learn`; without any: the digits stream, by SparCL-DER++ with data removal, on
an exported MLP. SIGINT and SIGTERM come in turns, between the start of the process and somewhat before the end of the
uninterrupted run; every third run is interrupted a second time while it resumes. Ends with 1 where a state differs, a
file stays behind, or an interrupted command does not end as it should. Never here: what resuming is
(edgecl.evaluate.runs).
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EDGECL = [sys.executable, "-m", "edgecl.cli"]
DIGITS = ["--stream", "digits", "--method", "sparcl-derpp", "--epochs", "1000"]
# Codes of an interrupted command: its own; the system's where the signal came before Python listened.
CODES = {signal.SIGINT: (130, -signal.SIGINT), signal.SIGTERM: (143, -signal.SIGTERM)}
LONGEST_END = 2.0  # seconds that a finished run may still take to write its files


class Differs(Exception):
    """What must not be."""


def learn(arguments: list[str], state: Path, *more: str) -> subprocess.Popen[str]:
    """Starts the command."""
    command = [*EDGECL, "learn", *arguments, "--state", str(state), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def uninterrupted(arguments: list[str], folder: Path) -> tuple[float, bytes]:
    """Seconds and state of a whole run."""
    folder.mkdir()
    begin = time.perf_counter()
    process = learn(arguments, folder / "run.ecs")
    _, errors = process.communicate()
    if process.returncode != 0:
        raise SystemExit(errors)
    return time.perf_counter() - begin, (folder / "run.ecs").read_bytes()


def interrupt(process: subprocess.Popen[str], after: float, number: signal.Signals) -> tuple[bool, str]:
    """Whether the signal came before the end; and a line about it."""
    sent = 0.0
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
        sent = time.perf_counter()
    _, errors = process.communicate()
    last = (errors.strip().splitlines() or [""])[-1]
    if process.returncode == 0:
        if sent and time.perf_counter() - sent > LONGEST_END:
            raise Differs(f"{number.name} after {after:.2f} s was lost")
        return False, "ended before the signal"
    # Python's own words are allowed where our code has not begun, and its own code while it loads what -m wants.
    begun = "edgecl/cli/main" in errors or "tools/cli/main" in errors
    loading = process.returncode == 1 and errors.startswith("Could not import runpy") and "KeyboardInterrupt" in errors
    if not loading and (process.returncode not in CODES[number] or ("Traceback" in errors and begun)):
        raise Differs(f"exit code {process.returncode}: {errors}")
    return True, f"exit {process.returncode}: {last}"


def one_round(
    arguments: list[str], folder: Path, seconds: float, n: int, rng: random.Random
) -> tuple[bytes, str, bool]:
    """The state after an interrupt or two and a resume; what happened; whether a signal came in time."""
    state = folder / "run.ecs"
    number = (signal.SIGINT, signal.SIGTERM)[n % 2]
    moment = rng.uniform(0.02, seconds)
    hit, text = interrupt(learn(arguments, state), moment, number)
    if hit and state.exists():  # all was done, and the interpreter was ending
        hit, text = False, f"{text}; was finished"
    in_time = hit
    line = f"{number.name:7} at {moment:5.2f} s: {text}"
    if hit and n % 3 == 2:
        moment = rng.uniform(0.02, seconds)
        hit, text = interrupt(learn(arguments, state, "--resume"), moment, number)
        line += f"\n    again at {moment:5.2f} s: {text}"
        hit = not state.exists()
    if hit:
        process = learn(arguments, state, "--resume")
        _, errors = process.communicate()
        if process.returncode != 0:
            raise Differs(f"{line}\nresume ended with {process.returncode}: {errors}")
        line += f"\n    then: {errors.strip().splitlines()[0]}"
    left = sorted(path.name for path in folder.iterdir())
    if left != ["run.ecs"]:
        raise Differs(f"{line}\nfiles left: {', '.join(left)}")
    return state.read_bytes(), line, in_time


def main() -> int:
    """Command line; see the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options, arguments = parser.parse_known_args()
    rng = random.Random(options.seed)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # for the children, also where a shell has it ignored
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if not arguments:
            bundle = str(folder / "mlp.ecl")
            export = ["export", "mlp", "-o", bundle, "--input-shape", "1,8,8", "--density", "0.1", "--seed", "0"]
            subprocess.run([*EDGECL, *export, "--scale", "0.0625"], check=True, stdout=subprocess.DEVNULL)
            arguments = [bundle, *DIGITS]
        seconds, wanted = min(uninterrupted(arguments, folder / name) for name in ("first", "second"))
        print(f"uninterrupted: {seconds:.1f} s")
        failures, done, n = 0, 0, 0
        while done < options.moments and n < 4 * options.moments:
            own = folder / str(n)
            own.mkdir()
            try:
                state, line, in_time = one_round(arguments, own, seconds, n, rng)
                print(f"{line}\n    state {'equal' if state == wanted else 'DIFFERS'}", flush=True)
                failures += state != wanted
                done += in_time
            except Differs as error:
                print(f"FAILED: {error}", flush=True)
                failures += 1
                done += 1
            n += 1
        print(f"{done} interrupts in time; {failures} states differ from the uninterrupted run's or failed")
        return int(failures > 0 or done < options.moments)


if __name__ == "__main__":
    sys.exit(main())
