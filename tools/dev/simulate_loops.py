"""Cycles of the shipped inner loops on cores that are not here, simulated by llvm-mca: devices/loops.json.

usage: python tools/dev/simulate_loops.py [--core NAME] [--keep FOLDER] [--out FILE.json]

Compiles the kernels as the build does (kernels/CMakeLists.txt), cuts from the assembly the innermost loop with the most
multiply-adds of each function of interest, and simulates a thousand iterations of it. Stored are an iteration's cycles,
its multiply-adds (or the floats that it writes) and the share of the core's bound, which is that of a loop of nothing
but independent multiply-adds. llvm-mca takes every load for a hit in the first-level cache and every branch for
guessed right. Needs llvm-mca-19, g++, aarch64-linux-gnu-g++, arm-none-eabi-g++ and clang++-19; takes a minute.

Which model stands for which core: LLVM 19 has none of the Cortex-A72, A76 and A78. The A57's stands for the A72 (one
128-bit multiply-add a cycle on both), the Neoverse N1's for A76 and A78 (two); Zen 4's for Zen 5, whose 512-bit units
are twice as wide, so only its shares of the bound mean something.

Never here: times, and memory.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "devices/loops.json"
MCA = "llvm-mca-19"
ITERATIONS = 1000
COMMON = ["-std=c++17", "-ffp-contract=off", "-fno-math-errno", "-fno-exceptions", "-fno-rtti",
          "-fno-asynchronous-unwind-tables", "-fvisibility=hidden", "-w", f"-I{ROOT}"]  # fmt: skip
GCC = ["-fno-align-functions", "-fno-align-jumps", "-fno-align-labels"]
BARE = ["-ffreestanding", "-mthumb", "-mfloat-abi=hard"]
HEADERS = "-I/usr/lib/arm-none-eabi/include"  # string.h for a target without a C library here
MOST_ROWS, MOST_VECTORS = 8, 12  # of the register tile


@dataclass(frozen=True)
class Core:
    """How code for a core is made and simulated. `bound`: instructions that fill its multiply-add units."""

    compiler: tuple[str, ...]
    level: str
    triple: str
    cpu: str
    bound: str
    stands_for: str = ""


ARM = ("aarch64-linux-gnu-g++", *GCC, "-march=armv8-a")
CORES: dict[str, Core] = {
    "cortex-a53": Core(ARM, "neon", "aarch64-linux-gnu", "cortex-a53", "fmla v{0}.4s, v30.4s, v31.4s"),
    "cortex-a57": Core(ARM, "neon", "aarch64-linux-gnu", "cortex-a57", "fmla v{0}.4s, v30.4s, v31.4s"),
    "cortex-a72": Core(ARM, "neon", "aarch64-linux-gnu", "cortex-a57", "fmla v{0}.4s, v30.4s, v31.4s", "Cortex-A57"),
    "cortex-a76": Core(ARM, "neon", "aarch64-linux-gnu", "neoverse-n1", "fmla v{0}.4s, v30.4s, v31.4s", "Neoverse N1"),
    "cortex-a78": Core(ARM, "neon", "aarch64-linux-gnu", "neoverse-n1", "fmla v{0}.4s, v30.4s, v31.4s", "Neoverse N1"),
    "neoverse-n1": Core(ARM, "neon", "aarch64-linux-gnu", "neoverse-n1", "fmla v{0}.4s, v30.4s, v31.4s"),
    "x86-64-v4": Core(
        ("g++", *GCC, "-march=x86-64-v4", "-mprefer-vector-width=512"), "v4", "x86_64-linux-gnu", "znver4",
        "vfmadd231ps %zmm30, %zmm31, %zmm{0}", "Zen 4",
    ),
    "x86-64-v3": Core(
        ("g++", *GCC, "-march=x86-64-v3"), "v3", "x86_64-linux-gnu", "znver4", "vfmadd231ps %ymm14, %ymm15, %ymm{0}",
        "Zen 4",
    ),
    "cortex-m4": Core(
        ("arm-none-eabi-g++", "-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", *BARE), "reference", "thumbv7em-none-eabihf",
        "cortex-m4", "vfma.f32 s{0}, s30, s31",
    ),
    "cortex-m7": Core(
        ("arm-none-eabi-g++", "-mcpu=cortex-m7", "-mfpu=fpv5-d16", *BARE), "reference", "thumbv7em-none-eabihf",
        "cortex-m7", "vfma.f32 s{0}, s30, s31",
    ),
    "cortex-m55": Core(
        ("arm-none-eabi-g++", "-mcpu=cortex-m55", *BARE), "reference", "thumbv8.1m.main-none-eabihf",
        "cortex-m55", "vfma.f32 s{0}, s30, s31",
    ),
    "sifive-u74": Core(
        ("clang++-19", "--target=riscv64-unknown-elf", "-mcpu=sifive-u74", "-ffreestanding", HEADERS), "reference",
        "riscv64-unknown-elf", "sifive-u74", "fmadd.s f{0}, f30, f31, f{0}",
    ),
}  # fmt: skip

# Loop -> (file, function). A function is looked for by its demangled name (a regular expression).
SIMD: dict[str, tuple[str, str]] = {
    "depthwise 3x3": ("simd/depthwise.cpp", r"strip<.*Whole, 3, 1>"),
    "depthwise 3x3 stride 2": ("simd/depthwise.cpp", r"strip<.*Whole, 3, 2>"),
    "depthwise 5x5": ("simd/depthwise.cpp", r"strip<.*Whole, 5, 1>"),
    "depthwise 5x5 stride 2": ("simd/depthwise.cpp", r"strip<.*Whole, 5, 2>"),
    "sparse conv": ("simd/sparse_conv.cpp", r""),
    "sparse linear": ("simd/sparse_linear.cpp", r""),
    "conv weight gradient": ("simd/conv_weight_tile.cpp", r""),
    "sparse conv weight gradient": ("simd/sparse_conv_weight.cpp", r""),
    "sparse linear weight gradient": ("simd/sparse_linear_weight.cpp", r""),
    "elementwise": ("simd/activation.cpp", r"activation_forward"),
    "sigmoid": ("simd/activation.cpp", r"activation_forward"),
    "update": ("simd/sgd_update.cpp", r"sgd_update"),
}
REFERENCE: dict[str, tuple[str, str]] = {
    "conv": ("reference/conv.cpp", r"::conv_forward"),
    "conv input gradient": ("reference/conv.cpp", r"::conv_backward_data"),
    "conv weight gradient": ("reference/conv.cpp", r"::(weight_gradient|conv_backward_weight)"),
    "linear": ("reference/linear.cpp", r"::linear_forward"),
    "linear input gradient": ("reference/linear.cpp", r"::linear_backward_data"),
    "linear weight gradient": ("reference/linear.cpp", r"::linear_backward_weight"),
    "sparse conv": ("reference/sparse.cpp", r"::sparse_conv_forward"),
    "sparse conv input gradient": ("reference/sparse.cpp", r"::sparse_conv_backward_data"),
    "sparse conv weight gradient": (
        "reference/sparse.cpp",
        r"::(sparse_conv_backward_weight|reduce_planes<.*sparse_conv)",
    ),
    "sparse linear": ("reference/sparse.cpp", r"::sparse_linear_forward"),
    "sparse linear input gradient": ("reference/sparse.cpp", r"::sparse_linear_backward_data"),
    "sparse linear weight gradient": (
        "reference/sparse.cpp",
        r"::(sparse_linear_backward_weight|reduce_planes<.*sparse_linear)",
    ),
    "elementwise": ("reference/activation.cpp", r"::activation_forward"),
    "update": ("reference/sgd_update.cpp", r"::sgd_update"),
}
CONTAINS = {"sigmoid": r"^v?f?div"}  # an instruction that only the loop that is meant has

STREAMS = ("elementwise", "sigmoid", "update")  # counted in floats that they write

# Multiply-adds of an instruction, by its text; and floats that a store writes.
MACS: tuple[tuple[str, int], ...] = (
    (r"^fml[as]\s+v\d+\.4s", 4), (r"^fml[as]\s+v\d+\.2s", 2), (r"^fn?m(add|sub)\s+s\d", 1),
    (r"^vfn?m(add|sub)\d+ps\s.*zmm", 16), (r"^vfn?m(add|sub)\d+ps\s.*ymm", 8), (r"^vfn?m(add|sub)\d+ps\s", 4),
    (r"^vfn?m(add|sub)\d+ss\s", 1), (r"^vfm[as]\.f32\s+s\d", 1), (r"^vfm[as]\.f32\s+q\d", 4),
    (r"^fn?m(add|sub)\.s\s", 1),
)  # fmt: skip
PRODUCTS = (*MACS, (r"^fmul\s+v\d+\.4s", 4), (r"^vmulps\s.*zmm", 16), (r"^vmulps\s.*ymm", 8))  # a chain's first
STORES: tuple[tuple[str, int], ...] = (
    (r"^stp\s+q", 8), (r"^stu?r\s+q", 4), (r"^st1\s", 16), (r"^stu?r\s+s\d", 1),
    (r"^vmov([ua]ps|dq[ua]\d*)\s+%zmm\d+, .*\(", 16),
    (r"^vmov([ua]ps|dq[ua]\d*)\s+%ymm\d+, .*\(", 8), (r"^vmovss\s+%xmm\d+, .*\(", 1),
    (r"^vstr(\.32)?\s+s\d", 1), (r"^vstmia.*\{s\d+\}", 1), (r"^str\s+r\d+", 1), (r"^fsw\s", 1), (r"^sw\s", 1),
)  # fmt: skip
BRANCH = re.compile(r"^(?:b\S*|cbn?z|tbn?z|j\w+|le|bn?ez?)\b.*?(\.?L[\w$.]+|\.LBB[\w$.]+)\s*$")


def weigh(line: str, table: tuple[tuple[str, int], ...]) -> int:
    """What `table` says of an instruction."""
    return next((amount for pattern, amount in table if re.match(pattern, line)), 0)


def assemble(core: Core, source: str, folder: Path) -> list[str]:
    """Lines of a kernel's assembly, demangled labels kept apart from instructions."""
    path = ROOT / "kernels" / source
    size = core.level == "reference" or "// Built for size (-Os)" in path.read_text(encoding="utf-8")
    out = folder / f"{core.level}-{core.cpu}-{path.stem}.s"
    level = [] if core.level == "reference" else [f"-DEDGECL_LEVEL={core.level}"]
    command = [*core.compiler, *COMMON, *level, "-Os" if size else "-O2", "-S", str(path), "-o", str(out)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"expected {core.compiler[0]} to compile {source}; found: {done.stderr.strip()[-400:]}")
    demangled = subprocess.run(["c++filt"], input=out.read_text(), capture_output=True, text=True, check=True)
    return demangled.stdout.splitlines()


def functions(lines: list[str]) -> dict[str, list[str]]:
    """Bodies by demangled name."""
    found: dict[str, list[str]] = {}
    body: list[str] | None = None
    for raw in lines:
        line = re.split(r"\s+(?://|@|# )", raw)[0].rstrip()
        if re.match(r"^[^\s.#@].*:$", line) and not line.startswith((".L", "$")):
            body = found.setdefault(line[:-1], [])
        elif body is not None and line.strip():
            body.append(line.strip().replace("\t", " "))
    return found


def loops(body: list[str], inner: bool = True) -> list[list[str]]:
    """Loops, from a label to a branch back to it; only the innermost ones, which have no other one inside."""
    labels = {line[:-1]: n for n, line in enumerate(body) if re.match(r"^\.?L?[\w$.]+:$", line)}
    spans = []
    for n, line in enumerate(body):
        match = BRANCH.match(line)
        if match and labels.get(match[1], n) < n:
            spans.append((labels[match[1]], n))
    if inner:
        spans = [s for s in spans if not any(s != o and s[0] <= o[0] and o[1] <= s[1] for o in spans)]
    return [[x for x in body[a : b + 1] if not x.startswith(".") and not x.endswith(":")] for a, b in spans]


def cycles(core: Core, loop: list[str]) -> float:
    """Cycles of one iteration; 0.0 where llvm-mca cannot read the loop."""
    command = [MCA, f"-mtriple={core.triple}", f"-mcpu={core.cpu}", f"-iterations={ITERATIONS}",
               "-skip-unsupported-instructions=any", "-"]  # fmt: skip
    # Targets of branches are replaced by a label of our own: only their units are simulated. Stores that move their
    # pointer are two instructions here: llvm-mca would let the pointer wait for the value that is stored.
    # Calls (of what ends a row) are left out.
    lines = [re.sub(r"\.LBB[\w$.]+|\.L[\w$]+", "here", line) for line in loop if not re.match(r"^(call|bl) ", line)]
    lines = [re.sub(r"^(stu?r \w+, \[(x\d+)\]), #?(-?\d+)$", r"\1\nadd \2, \2, \3", line) for line in lines]
    text = "\n".join(["here:", *lines]) + "\n"
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    found = re.search(r"Total Cycles:\s+(\d+)", done.stdout)
    return int(found[1]) / ITERATIONS if found and done.returncode == 0 else 0.0


def bound(core: Core) -> float:
    """Multiply-adds a cycle of a loop of independent multiply-adds."""
    registers = 12 if "ymm" in core.bound else 24
    loop = [core.bound.format(n) for n in range(registers)]
    return registers * weigh(loop[0], MACS) / cycles(core, loop)


def best_loop(
    bodies: dict[str, list[str]],
    pattern: str,
    what: tuple[tuple[str, int], ...],
    contains: str = "",
    plain: bool = False,
) -> tuple[list[str], int]:
    """The innermost loop with the most multiply-adds (or floats stored) among functions that match, and that number.

    Of equals, the shortest. `plain` (scalar code, which multiplies once a loop): the longest that has any. Where
    innermost loops have none (work unrolled around a loop that ends a row): of all loops.
    """
    best: tuple[list[str], int] = ([], 0)
    for inner in (True, False):
        found = [loop for name, body in bodies.items() if re.search(pattern, name) for loop in loops(body, inner)]
        found = [loop for loop in found if any(re.search(contains, line) for line in loop)]
        counted = [(loop, sum(weigh(line, what) for line in loop)) for loop in found]
        if plain:
            best = max(counted, key=lambda pair: (pair[1] > 0, len(pair[0])), default=([], 0))
        else:
            best = max(counted, key=lambda pair: (pair[1], -len(pair[0])), default=([], 0))
        if best[1]:
            break
    return best


def one_loop(core: Core, loop: list[str], amount: int, peak: float, per: str) -> dict[str, object] | None:
    """A row of the table."""
    took = cycles(core, loop) if loop else 0.0
    if not took or not amount:
        return None
    row: dict[str, object] = {"instructions": len(loop), per: amount, "cycles": round(took, 3)}
    return row | ({"share_of_bound": round(amount / took / peak, 4)} if per == "multiply_adds" else {})


def tiles(core: Core, bodies: dict[str, list[str]], peak: float) -> dict[str, float]:
    """Share of the bound of each size of the dense register tile, "rows x vectors"."""
    found: dict[str, float] = {}

    def simulate(size: tuple[int, int]) -> None:
        rows, vectors = size
        loop, amount = best_loop(bodies, rf"\btile<{rows}, {vectors}>", MACS)
        row = one_loop(core, loop, amount, peak, "multiply_adds")
        if row is not None:
            found[f"{rows}x{vectors}"] = float(str(row["share_of_bound"]))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(simulate, [(r, q) for r in range(1, MOST_ROWS + 1) for q in range(1, MOST_VECTORS + 1)]))
    return dict(sorted(found.items()))


def simulate(core: Core, folder: Path) -> dict[str, object]:
    """All loops of a core."""
    peak = bound(core)
    table: dict[str, object] = {}
    for name, (source, pattern) in (REFERENCE if core.level == "reference" else SIMD).items():
        bodies = functions(assemble(core, source, folder))
        streams = name in STREAMS
        what = STORES if streams else PRODUCTS if "gradient" in name else MACS
        loop, amount = best_loop(bodies, pattern, what, CONTAINS.get(name, ""), core.level == "reference")
        row = one_loop(core, loop, amount, peak, "floats" if streams else "multiply_adds")
        if row is not None:
            table[name] = row
        else:
            print(f"{core.cpu}: no loop found for {name} in {source}", file=sys.stderr)
    result: dict[str, object] = {
        "model": core.stands_for or core.cpu,
        "multiply_adds_per_cycle": round(peak, 3),
        "loops": table,
    }
    if core.level != "reference":
        result["tiles"] = tiles(core, functions(assemble(core, "simd/gemm_tile.cpp", folder)), peak)
    return result


def first_line(*command: str) -> str:
    """The first line that says a version."""
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return next(line.strip() for line in text.splitlines() if re.search(r"\d+\.\d+", line))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--core", choices=CORES, action="append", help="only these; the others stay as they are")
    parser.add_argument("--keep", type=Path, help="keep the assembly here")
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    report = json.loads(arguments.out.read_text()) if arguments.core and arguments.out.exists() else {"cores": {}}
    with tempfile.TemporaryDirectory() as name:
        folder = arguments.keep or Path(name)
        for core in arguments.core or CORES:
            report["cores"][core] = simulate(CORES[core], folder)
            print(core, json.dumps(report["cores"][core]))
    report = {
        "date": date.today().isoformat(),
        "simulator": first_line(MCA, "--version"),
        "compilers": {c: first_line(c, "--version") for c in sorted({core.compiler[0] for core in CORES.values()})},
        "cores": report["cores"],
    }
    arguments.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
