"""Fills the tables of the Markdown pages: settings of the methods from the core, figures from the committed results.
More than 600 lines because each table is a function here.

    python tools/bench/pages.py           # writes what stands between `<!-- table: NAME -->` and `<!-- end -->`
    python tools/bench/pages.py --check   # writes nothing; exit 1 where a page says something else

A name has an argument after a space: `<!-- table: settings sparcl-er -->`. Needs the installed package. Never
here: text of a page, measuring.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from statistics import stdev
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))
import prediction_figures
from figures import NETWORKS, document, rows, spread
from zero_shot_figures import choices, correlations, unpacked

ROOT = Path(__file__).resolve().parents[2]
METHOD_PAGES = ROOT / "runtime/learn/methods"
MARK = re.compile(r"(<!-- table: ([^>]+?) -->\n)(.*?)(<!-- end -->)", re.S)
STREAMS = {  # results in words
    "accuracy_fashion": "Fashion-MNIST",
    "accuracy_fashion_5epochs": "Fashion-MNIST, 5 epochs",
    "ablation_fashion": "Fashion-MNIST, 5 epochs",
    "accuracy_cifar10": "CIFAR-10",
    "accuracy_cifar10_5epochs": "CIFAR-10, 5 epochs",
    "ablation_cifar10": "CIFAR-10",
}
RECIPES = {  # groups of accuracy.py in words
    "reference": "constant rate",
    "default": "falling rate",
    "control": "falling rate",
    "rules": "falling rate",
    "ablation": "falling rate",
    "methods": "falling rate",
}


def table(head: Iterable[str], lines: Iterable[Iterable[Any]]) -> str:
    """Markdown."""
    head = list(head)
    found = [head, ["---"] * len(head), *[list(map(str, line)) for line in lines]]
    return "\n".join("| " + " | ".join(line) + " |" for line in found)


def short(value: float) -> str:
    """Three digits, never as a power of ten."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def times(row: dict[str, Any]) -> str:
    """Milliseconds, and how many times as fast as the best dense peer."""
    return f"{short(row['ours_ms'])} ({row['ratio_to_best_dense_peer']:.1f})"


def steps(batches: str) -> str:
    """Learn steps on one thread; `batches` with commas."""
    lines = []
    for network in dict.fromkeys(row["layer"] for row in rows("steps", threads=1)):
        for batch in batches.split(","):
            found = {row["sparsity"]: row for row in rows("steps", layer=network, batch=batch, threads=1)}
            peer = found[0.0]["ours_ms"] * found[0.0]["ratio_to_best_dense_peer"]
            lines.append(
                [NETWORKS[network], batch, *[times(found[s]) for s in (0.0, 0.5, 0.75, 0.9, 0.95)], short(peer)]
            )
    return table(["ms a step", "rows", "dense", "50 % sparse", "75 %", "90 %", "95 %", "best peer"], lines)


def layers() -> str:
    """Single layers: all three passes together, on one thread."""
    wanted = [row for row in rows("sparse", threads=1) if row["pass"] == "all"]
    sparsities = sorted({row["sparsity"] for row in wanted})
    lines = []
    for layer in dict.fromkeys(row["layer"] for row in wanted):
        found = {row["sparsity"]: row for row in wanted if row["layer"] == layer}
        cells = [
            f"{found[s]['ratio_to_best_dense_peer']:.1f} ({found[s]['percent_of_peak']:.0f} %)" if s in found else "-"
            for s in sparsities
        ]
        lines.append([layer, *cells])
    return table(["layer", *[f"{100 * s:g} % sparse" for s in sparsities]], lines)


def shipped_table(found: Iterable[dict[str, Any]]) -> str:
    """Rows of the result shipped_classes: means over the seeds, in points."""
    head = [
        "stream",
        "method",
        "seeds",
        "old before",
        "after",
        "loss",
        "new",
        "mean",
        "PyTorch",
        "gap",
        "joint",
        "without",
    ]
    lines = []
    for row in found:

        def mean(key: str, row: dict[str, Any] = row) -> float:
            return 100 * float(sum(row[key])) / len(row[key])

        gaps = [100 * (ours - theirs) for ours, theirs in zip(row["with_mean"], row["torch_mean"], strict=True)]
        error = stdev(gaps) / len(gaps) ** 0.5 if len(gaps) > 1 else float("nan")
        figures_ = [
            mean("shipped_before"),
            mean("with_old"),
            mean("shipped_before") - mean("with_old"),
            mean("with_new"),
        ]
        figures_ += [mean("with_mean"), mean("torch_mean")]
        lines.append(
            [
                row["stream"],
                row["method"],
                len(gaps),
                *[f"{value:.1f}" for value in figures_],
                f"{sum(gaps) / len(gaps):+.1f} ± {error:.1f}",
            ]
            + [f"{mean(key):.1f}" for key in ("joint_mean", "without_mean")]
        )
    return table(head, lines)


def shipped() -> str:
    """Shipped classes while others are learned, by stream and method."""
    return shipped_table(document("shipped_classes")["rows"])


def heads_table(found: Iterable[dict[str, Any]]) -> str:
    """Rows of the result heads; accuracies in points."""
    head = [
        "data",
        "embedding",
        "head",
        "accuracy",
        "joint",
        "logistic",
        "score error",
        "rounding",
        "learn, us",
        "solve, ms",
        "kB",
    ]
    lines = []
    for row in found:
        name = f"{row['head']}, {row['settings']}" if row["settings"] else row["head"]
        points = [f"{100 * row[key]:.1f}" for key in ("accuracy", "joint", "logistic")]
        errors = [f"{row[key]:.0e}" for key in ("score_error", "rounding")]
        solve = short(row["solve_ms"]) if row["solve_ms"] >= 0.01 else "< 0.01"
        costs = [short(row["learn_us"]), solve, short(row["bytes"] / 1000)]
        lines.append([row["data"], row["features"], name, *points, *errors, *costs])
    return table(head, lines)


def heads() -> str:
    """Heads that keep statistics, on embeddings."""
    return heads_table(document("heads")["rows"])


def novelty_table(found: Iterable[dict[str, Any]]) -> str:
    """Pairs of the result novelty, by score."""
    head = [
        *("learned / other", "embedding", "score (head)", "AUROC", "FPR95", "windows found, %"),
        *("false alarms in 1,000", "in a stream", "peer differs by"),
    ]
    lines = []
    for row in found:
        peer = "-" if row["peer"] is None else f"{row['peer']:.0e}"
        rates = [f"{100 * row['detected']:.1f}", f"{row['false_alarms']:.1f}", f"{row['stream_alarms']:.1f}"]
        scores = [f"{100 * row[key]:.1f}" for key in ("auroc", "fpr95")]
        lines.append([row["pair"], row["features"], f"{row['score']} ({row['head']})", *scores, *rates, peer])
    return table(head, lines)


def novelty() -> str:
    """Novelty scores and the drift alarm, on pairs of data sets."""
    return novelty_table(document("novelty")["rows"])


def widths() -> str:
    """Accuracy of the head hd by the width of its codes, in points."""
    found = document("novelty")["widths"]
    bits = [key for key in found[0] if key.isdigit()]
    lines = [
        [row["data"], row["features"], "yes" if row["centred"] else "no", *[f"{100 * row[key]:.1f}" for key in bits]]
        for row in found
    ]
    return table(["data", "embedding", "centred", *[f"{int(key):,}" for key in bits]], lines)


def int8_files_table(found: Iterable[dict[str, Any]]) -> str:
    """Int8 .tflite files beside LiteRT."""
    head = [
        *(
            "file",
            "layers in int8",
            "logits equal to the reference kernels",
            "probabilities beside LiteRT as it comes",
            "reference kernels beside it",
        ),
        *("export, s", "ms, int8", "ms, float32", "ms, LiteRT", "kB, int8", "kB, float32"),
    ]
    lines = []
    for row in found:
        same = [_equal(row[f"equal{which}"], row[f"steps{which}"]) for which in ("", "_default", "_self")]
        costs = [f"{row['export_s']:.1f}", *[short(row[key]) for key in ("ms", "ms_float32", "ms_litert")]]
        sizes = [short(row[key] / 1000) for key in ("bytes", "bytes_float32")]
        lines.append([row["file"], f"{row['int8_layers']} of {row['layers']}", *same, *costs, *sizes])
    return table(head, lines)


def int8_qdq_table(found: Iterable[dict[str, Any]]) -> str:
    """QDQ files beside onnxruntime."""
    head = [
        *(
            "network",
            "activations",
            "of a million numbers, differ where each operator is alone",
            "embedding",
            "onnxruntime against itself",
        ),
        *("export, s", "ms, int8", "ms, onnxruntime"),
    ]
    lines = []
    for row in found:
        alone = "none" if not row["steps_alone"] else f"{short(row['differ_alone'])}, by {row['steps_alone']} step"
        same = [alone, *[_equal(row[f"equal{which}"], row[f"steps{which}"]) for which in ("", "_self")]]
        costs = [f"{row['export_s']:.1f}", *[short(row[key]) for key in ("ms", "ms_onnxruntime")]]
        lines.append([row["file"], row["activations"], *same, *costs])
    return table(head, lines)


def int8_accuracy_table(found: Iterable[dict[str, Any]]) -> str:
    """A ridge head on embeddings in float32 and int8, in points."""
    found = list(found)
    floats = {row["data"]: row["accuracy"] for row in found if row["numbers"] == "float32"}
    lines = [
        [
            *(row[key] for key in ("data", "network", "numbers", "test_rows")),
            f"{100 * row['accuracy']:.1f}",
            f"{100 * (row['accuracy'] - floats[row['data']]):+.1f}",
        ]
        for row in found
    ]
    return table(["data", "network", "encoder", "rows", "accuracy", "against float32"], lines)


def _equal(share: float, steps: int) -> str:
    percent = "100 %" if share == 1 else f"{100 * share:.4f} %" if share > 0.999 else f"{100 * share:.1f} %"
    return percent if not steps else f"{percent}, {steps} step{'' if steps == 1 else 's'} at most"


def encoders_table(found: Iterable[dict[str, Any]]) -> str:
    """Frozen encoders beside their peers."""
    head = ["encoder", "numbers", "export, s", "ms, edgecl", "ms, LiteRT", "ms, ONNX Runtime"]
    lines = [
        [row["encoder"], row["numbers"], f"{row['export_s']:.1f}",
         *["-" if row[key] is None else short(row[key]) for key in ("ms", "ms_litert", "ms_onnxruntime")]]
        for row in found
    ]  # fmt: skip
    return table(head, lines)


def encoders() -> str:
    """The result of encoders.py."""
    return encoders_table(rows("encoders"))


def architectures_table(found: Iterable[dict[str, Any]]) -> str:
    """Networks of other kinds beside their peers."""
    lines = []
    for row in found:
        peers = {key: row[key] for key in ("ms_torch", "ms_onnxruntime") if row.get(key) is not None}
        best = min(peers.values())
        what = "predict 1 row" if row["what"] == "predict" else f"step of {row['rows']} rows"
        numbers = ["-" if row.get(key) is None else short(row[key]) for key in ("ms", "ms_torch", "ms_onnxruntime")]
        gmacs = short(row["macs"] / row["ms"] / 1e6)
        lines.append([row["network"], what, *numbers, f"{row['ms'] / best:.2f}", gmacs])
    head = ["network", "what", "ms, edgecl", "ms, PyTorch", "ms, ONNX Runtime", "of the best peer"]
    return table([*head, "GMAC/s, edgecl"], lines)


def architectures() -> str:
    """The result of architectures.py."""
    return architectures_table(rows("architectures"))


def int8(what: str) -> str:
    """Int8 files beside their runtimes: `files`, `qdq` or `accuracy`."""
    found = document("int8_files")
    tables = {"files": int8_files_table, "qdq": int8_qdq_table, "accuracy": int8_accuracy_table}
    return tables[what](found["rows" if what == "files" else what])


def ear_table(found: Iterable[dict[str, Any]]) -> str:
    """Rows of the result ear at the end of each stream, in points, means over the seeds."""
    lines = []
    for group in _by(found, "stream", "contender"):
        ends = np.array([row["after"][-1] for row in group])
        # What an old domain lost since it came; the first one since the first step began.
        losses = [_starts(row)[:-1] - np.array(row["after"][-1])[:-1] for row in group]
        row = group[0]
        lines.append([
            row["stream"], row["contender"], len(group), " / ".join(f"{100 * v:.1f}" for v in ends.mean(0)),
            str(spread([100 * float(end.mean()) for end in ends])),
            f"{100 * np.mean([loss.max() for loss in losses]):+.1f}",
            f"{100 * row['share']:.1f} %" if row.get("share") else "-", row.get("replay_rows", "-"),
            short(float(np.mean([row["seconds"] for row in group]))),
        ])  # fmt: skip
    head = ["stream", "learner", "seeds", "domains", "mean", "largest loss", "adaptor", "rows kept", "seconds"]
    return table(head, lines)


def _starts(row: dict[str, Any]) -> NDArray[np.float64]:
    return np.array([row["before"][0][0], *[after[-1] for after in row["after"]]])


def _by(found: Iterable[dict[str, Any]], *keys: str) -> list[list[dict[str, Any]]]:
    groups: dict[Any, list[dict[str, Any]]] = {}
    for row in found:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    return list(groups.values())


def _grown_of(found: list[dict[str, Any]], stream: str, k: int) -> str:
    rows = [row["grown"] for row in found if row["stream"] == stream and row.get("grown")]
    return f"{sum(row[k] for row in rows)} of {len(rows)}"


def ear_growth_table(found: Iterable[dict[str, Any]]) -> str:
    """Each growth of `domains, routed`, in points, means over the seeds."""
    found, lines = list(found), []
    for group in _by([row for row in found if row["contender"] == "domains, routed"], "stream"):
        for k, domain in enumerate(group[0]["domains"]):

            def mean(key: str, at: int, group: list[dict[str, Any]] = group, k: int = k) -> str:
                return f"{100 * np.mean([row[key][k][at] for row in group]):.1f}"

            adapted = "-" if group[0]["held_out"][k][1] is None else f"{mean('held_out', 0)} to {mean('held_out', 1)}"
            lines.append([
                group[0]["stream"], domain, mean("before", -1), mean("after", -1), mean("oracle", -1),
                mean("routed", -1), adapted, f"{sum(row['kept'][k] for row in group)} of {len(group)}",
                _grown_of(found, group[0]["stream"], k), mean("unknown", 0),
                short(float(np.mean([row["alarms"][k][0] for row in group]))), mean("unknown", 1), mean("alarms", 1),
            ])  # fmt: skip
    head = [
        "stream", "new domain", "before", "after", "told", "routed there", "held out: head to adaptor", "kept",
        "grown", "unknown, known", "false alarms", "unknown, new", "windows found",
    ]  # fmt: skip
    return table(head, lines)


def ear(what: str = "end") -> str:
    """Domains beside one encoder, at the end or as they came (`growth`)."""
    found = document("ear")["rows"]
    return ear_growth_table(found) if what == "growth" else ear_table(found)


def zero_shot_table(found: Iterable[dict[str, Any]]) -> str:
    """Rows of the result zero_shot: how well each score orders adaptors."""
    return table(*correlations(found))


def zero_shot_choice_table(found: Iterable[dict[str, Any]]) -> str:
    """The same rows: how good the adaptors are that they choose."""
    return table(*choices(found))


def zero_shot(what: str = "order") -> str:
    """Scores of adaptors against accuracy after training, or the adaptors that they choose (`choice`)."""
    found = unpacked(document("zero_shot")["rows"])
    return zero_shot_choice_table(found) if what == "choice" else zero_shot_table(found)


def peers(what: str) -> str:
    """Predicting or learning, beside the fastest of the peers."""
    lines = []
    found = rows("peers", what=what)
    for network, batch in dict.fromkeys((row["network"], row["batch"]) for row in found):
        here = {row["contender"]: row for row in found if (row["network"], row["batch"]) == (network, batch)}
        ours = [short(here[name]["ms"]) if name in here else "-" for name in ("edgecl", "edgecl 90 % sparse")]
        best = min((row for name, row in here.items() if not name.startswith("edgecl")), key=lambda row: row["ms"])
        lines.append([NETWORKS[network], batch, *ours, f"{short(best['ms'])}, {best['contender']}"])
    return table(["ms", "rows", "edgecl", "edgecl, 90 % sparse", "best peer"], lines)


def memory() -> str:
    """The program edgecl-run."""
    found = document("memory")["rows"]
    mib = 2**20
    return table(
        ["network", "weights kept", "method", "peak, MiB", "session, MiB", "bundle, kB", "first step, ms"],
        [
            [
                NETWORKS.get(row["network"], row["network"]),
                f"{100 * row['density']:g} %",
                row["method"],
                f"{row['peak_rss_bytes'] / mib:.1f}",
                f"{row['arena_bytes'] / mib:.1f}",
                short(row["bundle_bytes"] / 1000),
                f"{row['ms_to_first_step']:.1f}",
            ]
            for row in found
        ],
    )


def aarch64_encoders() -> str:
    """Emulated AArch64: instructions of a prediction, in millions, and beside float32."""
    found = document("aarch64_encoders")["rows"]
    floats = {row["network"]: row["instructions"] for row in found if row["numbers"] == "float32"}
    lines = []
    for row in found:
        name = "codes of 10,048 bits, 1280 numbers" if row["network"] == "hd" else NETWORKS.get(row["network"])
        share = row["instructions"] / floats[row["network"]]
        beside = "" if row["numbers"] == "float32" else f"{share:.2f}"
        misses = [short(row[key] / 1000) for key in ("l1_misses", "l2_misses")]
        lines.append([name or row["network"], row["numbers"], short(row["instructions"] / 1e6), beside, *misses])
    head = ["network, one row", "numbers", "instructions, M", "of float32", "L1 misses, k", "L2 misses, k"]
    return table(head, lines)


def firmware() -> str:
    """Cortex-M: bytes of the library, of stack and of sessions, instructions of a prediction and of a learn step."""
    lines = []
    for row in document("firmware_size")["rows"]:
        for name, session in row["session_bytes"].items():
            counts = [row["instructions"][f"{name}, {what}"] / 1e6 for what in ("predict", "learn step")]
            sizes = [f"{row[key]:,}" for key in ("library_bytes", "stack_bytes")]
            lines.append([row["preset"], *sizes, name, f"{session:,}", *(short(count) for count in counts)])
    head = ["preset", "library", "stack used", "bundle", "session", "predict 4 rows, M", "learn step, M"]
    return table(head, lines)


def instruction_gate() -> str:
    """Arm Linux, emulated: instructions of a prediction and a learn step, in thousands."""
    counts, rows = ("predict", "learn step"), document("instruction_gate")["rows"]
    cells = []
    for preset in ("aarch64", "armhf"):
        for row in rows:
            found = [row.get(f"{preset}, {count}") for count in counts]
            if row["operator"] == "all" and any(found):
                cells.append([preset, row["bundle"], *(f"{n / 1e3:,.0f}" if n else "-" for n in found)])
    return table(["preset", "bundle", *(f"{count}, k" for count in counts)], cells)


def deployments() -> str:
    """Runs of cut deployments."""
    keys = ["seed", "commit", "cuts", "served_old", "served_new", "served_neither", "stuck", "learned_rows_lost"]
    keys += ["predicts_answered", "predicts_failed"]
    rows = document("deploy")["rows"]
    return table([key.replace("_", " ") for key in keys], [[str(row[key]) for key in keys] for row in rows])


def _cells(row: dict[str, Any]) -> list[str]:
    macs = short(row["train_macs"] / 1e9) if "train_macs" in row else "-"
    seconds = short(sum(row["seconds"]) / len(row["seconds"])) if "seconds" in row else "-"
    return [
        f"{100 * row['density']:g} %",
        str(len(row["accuracy"])),
        str(spread(row["accuracy"])),
        str(spread(row["forgetting"])),
        macs,
        seconds,
    ]


_HEAD = ["weights kept", "seeds", "accuracy", "forgetting", "multiply-adds, G", "seconds"]


def accuracy(name: str) -> str:
    """One result whole."""
    found = document(name)["rows"]
    order = list(dict.fromkeys(row["group"] for row in found))
    found.sort(key=lambda row: (order.index(row["group"]), row["method"].partition(",")[0], -row["density"]))
    return table(["group", "method", *_HEAD], [[r["group"], r["method"], *_cells(r)] for r in found])


def rows_of_method(method: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(result, row) of a method; the small dense nets of the group `control` are of no method's page."""
    for name in STREAMS:
        for row in document(name)["rows"]:
            label = "static-derpp, dense" if row["method"] == "derpp with class mask" else row["method"]
            if row["group"] == "ablation":
                label = f"sparcl-derpp, {label}"
            if row["group"] != "control" and label.partition(",")[0] == method:
                yield name, {**row, "method": label}


def figures(method: str) -> str:
    """All that the results hold of a method, and the commands that made it."""
    if of_heads := [row for row in rows("heads") if row["head"] == method]:
        made_by = "    python tools/bench/heads.py --cache FOLDER --json tools/bench/results/heads.json"
        return "\n".join([heads_table(of_heads), "", "Made by:", "", made_by])
    lines, commands = [], dict[str, None]()
    for name, row in rows_of_method(method):
        label = row["method"].partition(", ")[2]
        recipe = label if label.startswith("constant rate") else f"{RECIPES[row['group']]}, {label}".removesuffix(", ")
        lines.append(((list(STREAMS).index(name), recipe, -row["density"]), [STREAMS[name], recipe, *_cells(row)]))
        commands[command(name, row)] = None
    if not lines:
        return "On the streams of `tools/bench/accuracy.py`: not measured."
    lines.sort(key=lambda line: line[0])
    found = table(["stream", "recipe", *_HEAD], [cells for _, cells in lines])
    return "\n".join([found, "", "Made by:", "", *[f"    {text}" for text in commands]])


def command(name: str, row: dict[str, Any]) -> str:
    """What measures a row again."""
    found = document(name)
    epochs = f" --epochs {found['epochs']}" if found["epochs"] > 1 else ""
    return (
        f"python tools/bench/accuracy.py {found['what']} --seeds {len(row['accuracy'])}{epochs} "
        f"--groups {row['group']} --json tools/bench/results/{name}.json"
    )


def pytorch() -> str:
    """The reference recipe beside plain PyTorch, whose figures accuracy.py has."""
    from accuracy import REFERENCE

    lines = []
    for what, wanted in REFERENCE.items():
        found = rows(f"accuracy_{what}", group="reference")
        for (method, density), (accurate, forgotten) in wanted.items():
            label = "derpp with class mask" if method == "static-derpp" else method
            row = next(r for r in found if (r["method"], r["density"]) == (label, density))
            ours = [str(spread(row["accuracy"])), str(spread(row["forgetting"]))]
            lines.append(
                [STREAMS[f"accuracy_{what}"], label, f"{100 * density:g} %", ours[0], accurate, ours[1], forgotten]
            )
    head = ["stream", "method", "weights kept", "accuracy", "PyTorch", "forgetting", "PyTorch"]
    return table(head, lines)


def settings(method: str) -> str:
    """What the core's preset sets, and what it says of itself."""
    from edgecl.methods import METHODS

    def value(setting: Any) -> str:
        return f"{setting:.6g}" if isinstance(setting, float) else str(setting)

    entry = METHODS[method]
    about = [
        f"Source: {entry.source if entry.source != '-' else 'none; a baseline'}.",
        f"Needs: {', '.join(entry.needs) or 'nothing'}. Compared with: {entry.compared}.",
    ]
    lines = [[f"`{name}`", f"`{value(setting)}`"] for name, setting in entry.settings.items()]
    return "\n".join(about) + "\n\n" + table(["setting", "value"], lines)


def methods() -> str:
    """All presets, each with its page."""
    from edgecl.methods import METHODS

    lines = [
        [f"[{name}]({name}.md)", entry.title, entry.source, ", ".join(entry.needs) or "-"]
        for name, entry in METHODS.items()
    ]
    return table(["method", "what it is", "source", "needs"], lines)


def prediction(which: str) -> str:
    """How far predictions are off: a table of prediction_figures.py."""
    return table(*getattr(prediction_figures, which)())


TABLES: dict[str, Callable[..., str]] = {
    function.__name__: function
    for function in (
        steps,
        layers,
        peers,
        memory,
        aarch64_encoders,
        architectures,
        firmware,
        instruction_gate,
        deployments,
        prediction,
        accuracy,
        shipped,
        heads,
        ear,
        zero_shot,
        novelty,
        widths,
        encoders,
        int8,
        pytorch,
        figures,
        settings,
        methods,
    )
}


def filled(text: str) -> str:
    """The page with its tables as they should be."""

    def fill(found: re.Match[str]) -> str:
        name, _, argument = found[2].partition(" ")
        return f"{found[1]}{TABLES[name](*filter(None, [argument]))}\n{found[4]}"

    return MARK.sub(fill, text)


def pages() -> list[Path]:
    """Those that have tables to fill."""
    folders = (ROOT, ROOT / "tools/bench", ROOT / "devices", METHOD_PAGES)
    return [page for folder in folders for page in sorted(folder.glob("*.md")) if MARK.search(page.read_text("utf-8"))]


def main() -> int:
    """Command line; see the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing")
    check, stale = parser.parse_args().check, 0
    for page in pages():
        text = page.read_text(encoding="utf-8")
        if (wanted := filled(text)) != text:
            stale += 1
            print(f"{page.relative_to(ROOT)}: " + ("stale; run python tools/bench/pages.py" if check else "written"))
            if not check:
                page.write_text(wanted, encoding="utf-8")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
