"""Stack and size of the device library on x86-64 and Cortex-M7: largest frame, worst path from each entry, text.

Reads what GCC writes with -fcallgraph-info=su,da. A call through a pointer is resolved by the name it is called by
(CALLED_BY_NAME); the caller's own hooks count nothing. Never here: memory of sessions (edgecl_session_sizes tells it).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from size_report import LIBRARY_BUDGET_BYTES, stripped_bytes

ROOT = Path(__file__).resolve().parents[2]

# Limits in bytes on the Cortex-M build; the host's figures are told beside them. That of libedgecl.so: size_report.py.
MOST_FRAME = 2048
MOST_PATH = 8192
LIMITED_TARGET = "cortex-m7"

LEAF_BYTES = 64  # a function without a graph of its own: the four mem functions, and arithmetic of libgcc
MAY_BE_UNDEFINED = re.compile(r"^(mem(cpy|move|set|cmp)|__aeabi_\w+|__(popcount|clz|ctz|u?div|u?mod|mul|ffs)\w*)$")
COMPLETE_OBJECT = re.compile(
    r"[CD]1(?=E)"
)  # a constructor's second name; its frame is told under that of the base object

# Hooks of the caller: their stack is the caller's business. (runs_here: a check of the CPU.)
CALLERS_OWN = {"allocate", "release", "unmap", "log", "now_us", "runs_here"}
# Entries that every table of today leaves null.
NULL_TODAY: set[str] = set()
# What a function pointer may hold, by the name it is called by: a function of that name, unless a line here says more.
# "owner.name" goes before "name". The regex is searched in "name and parameters, place". None: the body of a
# parallel_for made in the same file. Kernels take their arguments by reference. Pointers inside the SIMD kernels hold
# loops of the same file or level: Stack.inner_loops.
KERNEL = r"edgecl::(reference|v1|v3|v4|neon)::\w+\(const edgecl::\w+&"
CALLED_BY_NAME: dict[str, str | None] = {
    "parallel_for": None,
    "kernel": KERNEL,
    "kKernel": KERNEL,
    "kScratch": KERNEL,
    "sgd_update": KERNEL,
    "call.run": r"TypedCall<.*>::run\(",
    "call.scratch_bytes": r"TypedCall<.*>::scratch_bytes\(",
    "visitor.visit": r"KernelRunner::visit\(|Measure::visitor\(",
    "rule.check": r"::check\(const edgecl::OpCheck&",
    "rule.forward": r"::forward\(const edgecl::Pass&",
    "rule.backward": r"::backward\(const edgecl::Pass&",
    "rule.macs": r"::(layer_)?macs\(const edgecl::Plan&",
    "head.check": r"::check\(const edgecl::Plan&\)",
    "head.forget_class": r"::forget_class\(const edgecl::HeadMemory&",
    "head.backward": r"::backward\(const edgecl::HeadMemory&, const edgecl::Net&, .* runtime/heads/",
    "head.score": r"::score\(const edgecl::HeadMemory&",
    "head.prepare": r"::prepare\(const edgecl::HeadMemory&, const edgecl::Net&\)",
    "head.summary": r"::summary\(const edgecl::HeadMemory&",
    "readout.work": r"::(no_work|work|system_doubles)\(",
    "readout.solve": r"::solve(_cosine|_distance)?\(edgecl::StatisticsHead\*",
    "kind.check": r"::(check|any_session)\(const edgecl::HeadMemory&",
    "kind.prepare": r"::(prepare|nothing)\(const edgecl::HeadMemory&.* runtime/novelty/",
    "kind.score": r"::(score|max_logit|energy)\(const edgecl::NoveltyInput&",
    "method.check": r"::check\(const edgecl::Plan&, const edgecl::SessionConfig&\)",
    "method.after_backward": r"::add_norm_gradients\(",
    "probe.after_forward": r"::after_forward\(void\*",
    "probe.after_backward": r"::after_backward\(void\*",
    "kind.after_forward": r"::after_forward\(edgecl::Session\*",
    "kind.commit": r"::commit\(.* runtime/learn/\w+\.cpp",
    "policy.commit": r"::commit\(.* runtime/learn/sparsity/",
    "sections.write": r"::write_section\b",
    "sections.read": r"::read_section\b",
    "reader.row": r"run_pieces<.*(_FUN|lambda)",
    "bound": r"::(?!state)\w+_bytes_max\(const",
    "event": r"::store_event\(",
    "sink": r"::store_\w+\(",
    "exchange": r"edgecl::Exchange edgecl::",
    "most": r"::most\(|::keep_target\(",
    "task_start": r"::task_start\(|::keep_structure\(",
}

NODE = re.compile(r'^node: \{ title: "([^"]*)" label: "([^"]*)"')
EDGE = re.compile(r'^edge: \{ sourcename: "([^"]*)" targetname: "([^"]*)"(?: label: "([^"]*)")?')
FRAME = re.compile(r"(\d+) bytes \(([^)]*)\)")


@dataclass
class Function:
    """One function of the graph. `site` lists the places of its calls through pointers, as file:line:column."""

    name: str
    place: str
    bytes: int
    kind: str  # static, dynamic, or dynamic,bounded
    unit: str  # the graph file it stands in
    calls: set[str] = field(default_factory=set)
    sites: set[str] = field(default_factory=set)


@dataclass
class Target:
    """One build: where it is, what configures it, how many bytes a call itself takes, and its programs."""

    name: str
    options: list[str]
    call_bytes: int
    size_program: str
    nm_program: str
    needs: str


TARGETS = {
    "x86-64": Target("x86-64", [], 8, "size", "nm", "g++"),
    "cortex-m7": Target(
        "cortex-m7",
        [f"-DCMAKE_TOOLCHAIN_FILE={ROOT / 'devices/toolchains/cortex-m7.cmake'}"],
        0,  # the return address is in a register, and in the frame where it is saved
        "arm-none-eabi-size",
        "arm-none-eabi-nm",
        "arm-none-eabi-g++",
    ),
}


def build(target: Target, folder: Path) -> None:
    """Builds the libraries with stack usage and call graphs into `folder`."""
    environment = {**os.environ, "CCACHE_DISABLE": "1"}  # ccache does not keep the graphs
    configure = ["cmake", "-S", str(ROOT), "-B", str(folder), "-G", "Ninja", "-DEDGECL_BUILD_TESTS=OFF"]
    configure += ["-DCMAKE_EXPORT_COMPILE_COMMANDS=ON"]
    for command in (
        [*configure, "-DEDGECL_STACK_USAGE=ON", *target.options],
        ["cmake", "--build", str(folder), "--target", "edgecl_static"]
        + (["edgecl_shared"] if not target.options else []),
    ):
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"expected {' '.join(command)} to pass; found:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def tidy_place(folder: Path, place: str) -> str:
    """`place` as a path from the root of the tree."""
    path, _, rest = place.partition(":")
    full = path if os.path.isabs(path) else os.path.join(folder, path)
    return f"{os.path.relpath(os.path.realpath(full), ROOT)}:{rest}"


def read_graph(folder: Path) -> dict[str, Function]:
    """All functions with a frame of the graph files below `folder`, by title."""
    functions: dict[str, Function] = {}
    edges: list[tuple[str, str, str]] = []
    # Of sources that are built: a folder may hold graphs of files that are gone.
    commands = folder / "compile_commands.json"
    units = json.loads(commands.read_text()) if commands.exists() else []
    built = [folder / re.sub(r"\.o(bj)?$", ".ci", unit["output"]) for unit in units]
    files = sorted(f for f in (built if commands.exists() else folder.rglob("*.ci")) if f.exists())
    if not files:
        sys.exit(f"expected graph files (*.ci) under {folder}; found none; build without --build")
    for file in files:
        for line in file.read_text().splitlines():
            if match := NODE.match(line):
                lines = match[2].split("\\n")
                if frame := FRAME.search(match[2]):
                    place = tidy_place(folder, lines[1])
                    functions[match[1]] = Function(lines[0], place, int(frame[1]), frame[2], str(file))
            elif match := EDGE.match(line):
                edges.append((match[1], match[2], match[3] or ""))
    for source, called, place in edges:
        if called not in functions and (same := COMPLETE_OBJECT.sub(lambda m: m[0][0] + "2", called)) in functions:
            called = same
        if called == "__indirect_call":
            functions[source].sites.add(tidy_place(folder, place) if place else "unknown place:0:0")
        else:
            functions[source].calls.add(called)
    return functions


def called_name(site: str) -> str:
    """The name that the function pointer called at `site` goes by: "owner.name" where it has an owner."""
    path, line, column = site.rsplit(":", 2)
    if not (ROOT / path).is_file():
        return "unknown"
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    at = int(column) - 1
    # The column is that of the argument list or of the name, as the kind of callee has it; of a macro around the call,
    # whatever stands first; a long call ends on the next line.
    found: list[tuple[bool, int, str]] = []
    for i, text in enumerate(lines[int(line) - 1 : int(line) + 1]):
        for m in re.finditer(r"(?:(\w+)(?:\[\w+\])?(?:\.|->|\.\*))?(\w+)\)?\(", text):
            if not m[2].isupper():
                known = bool(m[1]) or m[2] in CALLED_BY_NAME
                distance = 1000 * i + (0 if m.start(2) <= at <= m.end(2) + 1 else abs(m.start(2) - at))
                found.append((not known, distance, f"{m[1]}.{m[2]}" if m[1] else m[2]))
    return min(found)[2] if found else "unknown"


def rule_of(name: str) -> str | None:
    """The rule for a name of called_name."""
    member = name.rpartition(".")[2]
    for known in (name, member):
        if known in CALLED_BY_NAME:
            return CALLED_BY_NAME[known]
    if member.endswith("_scratch_bytes"):
        return KERNEL
    return rf"[ :]{re.escape(member)}\("


class Stack:
    """Worst paths over a graph."""

    def __init__(self, functions: dict[str, Function], call_bytes: int) -> None:
        self.functions = functions
        self.call_bytes = call_bytes
        self.faults: list[str] = []  # recursion, unbounded frames, calls that no rule resolves
        direct = {called for f in functions.values() for called in f.calls}
        self.by_pointer = {t: f for t, f in functions.items() if t not in direct and not t.startswith("edgecl_")}
        self.worst: dict[str, tuple[int, str | None]] = {}  # title -> (bytes, next title of the path)
        self.on_path: list[str] = []
        self.resolved: dict[tuple[str, str], list[str]] = {}
        for f in functions.values():
            if f.kind == "dynamic":
                self.faults.append(
                    f"{f.place}: {f.name}: a frame without a bound (alloca or an array of variable size)"
                )

    def targets(self, function: Function, site: str) -> list[str]:
        """Titles of what the pointer called at `site` may hold."""
        name = called_name(site)
        if site.startswith("kernels/simd/"):
            key = ("", function.unit)
            if key not in self.resolved:
                self.resolved[key] = self.inner_loops(function.unit)
        elif name in NULL_TODAY or name.rpartition(".")[2] in CALLERS_OWN:
            return []
        else:
            rule = rule_of(name)
            key = (name, function.unit if rule is None else "")
            if key not in self.resolved:
                self.resolved[key] = self.by_rule(rule, function.unit)
        if not self.resolved[key]:
            self.faults.append(
                f"{site}: expected a function that the pointer '{name}' may hold; found none by that name; "
                "add a line to CALLED_BY_NAME"
            )
        return self.resolved[key]

    def by_rule(self, rule: str | None, unit: str) -> list[str]:
        """What a rule of CALLED_BY_NAME names."""
        if rule is None:
            return [t for t, f in self.by_pointer.items() if f.unit == unit and "Parallel::run<" in f.name]
        return [t for t, f in self.functions.items() if re.search(rule, f"{f.name} {f.place}")]

    def inner_loops(self, unit: str) -> list[str]:
        """What a SIMD kernel calls through a pointer: a loop of its own file, else one of another file of its level."""
        loops = {
            t: f
            for t, f in self.by_pointer.items()
            if not re.search(KERNEL, f.name) and f.place.startswith("kernels/simd/")
        }
        own = [t for t, f in loops.items() if f.unit == unit]
        return own or [t for t, f in loops.items() if os.path.dirname(f.unit) == os.path.dirname(unit)]

    def path_bytes(self, title: str) -> int:
        """Bytes of the worst path that begins at `title`."""
        if title in self.worst:
            return self.worst[title][0]
        function = self.functions.get(title)
        if function is None:
            return LEAF_BYTES
        if title in self.on_path:
            loop = [*self.on_path[self.on_path.index(title) :], title]
            self.faults.append("recursion: " + " -> ".join(self.functions[t].name.split("(")[0] for t in loop))
            return 0
        self.on_path.append(title)
        called = set(function.calls)
        for site in function.sites:
            called.update(self.targets(function, site))
        below = max(((self.path_bytes(t), t) for t in sorted(called)), default=(0, None))
        self.on_path.pop()
        self.worst[title] = (function.bytes + self.call_bytes + below[0], below[1])
        return self.worst[title][0]

    def path(self, title: str) -> list[dict[str, object]]:
        """The worst path from `title`, a record a frame."""
        frames: list[dict[str, object]] = []
        at: str | None = title
        while at in self.functions:
            f = self.functions[at]
            frames.append({"bytes": f.bytes, "function": short(f.name), "place": f.place})
            at = self.worst[at][1]
        return frames


def short(name: str) -> str:
    """A function's name without its parameters, cut to a line."""
    return re.sub(r"^(static |constexpr )*", "", re.sub(r"\(.*", "", name.replace("{anonymous}", "?")))[:90]


def undefined(program: str, archive: Path) -> list[str]:
    """What `archive` asks of others, beyond the four mem functions and arithmetic of the compiler's own library."""
    listed = subprocess.run([program, "-P", str(archive)], capture_output=True, text=True, check=True).stdout
    symbols = [line.split()[:2] for line in listed.splitlines() if len(line.split()) >= 2 and not line.endswith(":")]
    defined = {name for name, kind in symbols if kind not in "Uw"}
    return sorted({n for n, kind in symbols if kind == "U" and n not in defined and not MAY_BE_UNDEFINED.match(n)})


def text_bytes(program: str, binary: Path) -> int:
    """Sum of the text sections of an archive or library."""
    listed = subprocess.run([program, "-t", str(binary)], capture_output=True, text=True, check=True).stdout
    return int(listed.splitlines()[-1].split()[0])


def measure(target: Target, folder: Path) -> dict[str, object]:
    """All figures of one target."""
    functions = read_graph(folder)
    stack = Stack(functions, target.call_bytes)
    entries = {t: stack.path_bytes(t) for t in sorted(functions) if t.startswith("edgecl_")}
    if not entries:
        sys.exit(f"expected edgecl_* functions in the graphs under {folder}; found none; build again")
    worst = max(entries, key=lambda t: entries[t])
    large = sorted((f for f in functions.values() if f.bytes > MOST_FRAME // 4), key=lambda f: -f.bytes)
    figures: dict[str, object] = {
        "largest_frame": max(f.bytes for f in functions.values()),
        "worst_path": entries[worst],
        "worst_entry": worst,
        "worst_path_frames": stack.path(worst),
        "archive_text": text_bytes(target.size_program, folder / "runtime/libedgecl.a"),
        "entries": entries,
        "large_frames": [{"bytes": f.bytes, "function": short(f.name), "place": f.place} for f in large],
        "undefined": undefined(target.nm_program, folder / "runtime/libedgecl.a"),
        "faults": sorted(set(stack.faults)),
    }
    library = folder / "runtime/libedgecl.so"
    if library.exists():
        figures["shared_library_stripped"] = stripped_bytes(library)
    return figures


def complaints(name: str, figures: dict[str, object]) -> list[str]:
    """What breaks a limit, as sentences."""
    found = [f"{name}: {fault}" for fault in figures["faults"]]  # type: ignore[attr-defined]
    if name == LIMITED_TARGET:
        for frame in figures["large_frames"]:  # type: ignore[attr-defined]
            if frame["bytes"] > MOST_FRAME:
                place = f"{frame['place']}: {frame['function']}"
                found.append(f"{name}: {place}: expected a frame of at most {MOST_FRAME} bytes; found {frame['bytes']}")
        for entry, n in figures["entries"].items():  # type: ignore[attr-defined]
            if n > MOST_PATH:
                found.append(f"{name}: {entry}: expected a path of at most {MOST_PATH} bytes; found {n}")
        for called in figures["undefined"]:  # type: ignore[attr-defined]
            found.append(f"{name}: expected no call of '{called}' (there is no C library); write it out or go without")
    size = figures.get("shared_library_stripped", 0)
    if int(size) > LIBRARY_BUDGET_BYTES:  # type: ignore[call-overload]
        found.append(f"{name}: expected libedgecl.so of at most {LIBRARY_BUDGET_BYTES} bytes stripped; found {size}")
    return found


def table(name: str, figures: dict[str, object], n_entries: int) -> str:
    """The figures of one target as text."""
    lines = [
        f"{name}: largest frame {figures['largest_frame']}, worst path {figures['worst_path']} "
        f"({figures['worst_entry']}), text of libedgecl.a {figures['archive_text']}"
    ]
    if "shared_library_stripped" in figures:
        lines[0] += f", libedgecl.so stripped {figures['shared_library_stripped']}"
    lines.append("  worst path:")
    lines += [f"    {f['bytes']:6d}  {f['function']}  {f['place']}" for f in figures["worst_path_frames"]]  # type: ignore[attr-defined]
    lines.append("  entries:")
    entries: dict[str, int] = figures["entries"]  # type: ignore[assignment]
    lines += [f"    {n:6d}  {entry}" for entry, n in sorted(entries.items(), key=lambda e: -e[1])[:n_entries]]
    lines.append(f"  frames above {MOST_FRAME // 4} bytes:")
    lines += [f"    {f['bytes']:6d}  {f['function']}  {f['place']}" for f in figures["large_frames"]]  # type: ignore[attr-defined]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--target", action="append", choices=sorted(TARGETS), help="one or more; default: all that can be built"
    )
    parser.add_argument("--build", type=Path, help="a build with EDGECL_STACK_USAGE, instead of a new one")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--check", action="store_true", help="print what breaks a limit; exit 1 if anything does")
    parser.add_argument("--advisory", action="store_true", help="with --check: print it, but exit 0")
    parser.add_argument("--entries", type=int, default=12, help="entries to list a target (12)")
    arguments = parser.parse_args()
    names = arguments.target or [n for n, t in TARGETS.items() if shutil.which(t.needs)]
    if arguments.build and len(names) != 1:
        parser.error("expected one --target beside --build")

    report: dict[str, dict[str, object]] = {}
    broken: list[str] = []
    for name in names:
        folder = arguments.build or ROOT / "build" / f"stack-{name}"
        if arguments.build is None:
            build(TARGETS[name], folder)
        report[name] = measure(TARGETS[name], folder)
        broken += complaints(name, report[name])
        if not arguments.check:
            print(table(name, report[name], arguments.entries))
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if not arguments.check:
        return 0
    print("\n".join(broken) or f"stack and size: within limits ({', '.join(names)})")
    return 1 if broken and not arguments.advisory else 0


if __name__ == "__main__":
    sys.exit(main())
