"""Draws tools/bench/results/summary.svg out of the committed results: speed over sparsity, accuracy against forgetting.

    python tools/bench/draw.py            # the same results and the same matplotlib give the same bytes
    python tools/bench/draw.py --check    # exit 1 where the picture shows other data than the results hold

Never here: figures of its own (figures.py reads them), measuring.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from figures import RESULTS, Point, points, speed_lines

PICTURE = RESULTS / "summary.svg"
STREAMS = {
    "accuracy_fashion": "Split Fashion-MNIST, MLP",
    "accuracy_cifar10": "Split CIFAR-10, ResNet-18 (20 channels)",
}
COLOURS = {"ER": "#7f7f7f", "ER-ACE": "#1f77b4", "DER++": "#e69f00", "DER++, class mask": "#c0392b"}
MARKERS = {"dense": "s", "sparse": "o", "small dense": "x"}
STYLE: Any = {
    "svg.hashsalt": "edgecl",
    "svg.fonttype": "none",  # text stays text: small, and searched like the page
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"],  # the first comes with matplotlib
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "path.simplify": False,
}


def data(folder: Path = RESULTS) -> dict[str, Any]:
    """All that the picture shows."""
    return {"speed": speed_lines(folder), **{name: list(points(name, folder)) for name in STREAMS}}


def digest(shown: dict[str, Any]) -> str:
    """SHA-256 of the data."""
    return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()


def written_digest(svg: str) -> str | None:
    """The digest that a picture carries."""
    found = re.search(r"data sha256: ([0-9a-f]{64})", svg)
    return found[1] if found else None


def picture(shown: dict[str, Any]) -> str:
    """The SVG file."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with pyplot.rc_context(STYLE):
        figure, axes = pyplot.subplots(1, 3, figsize=(12, 4.2), facecolor="white", layout="constrained")
        _speed(axes[0], shown["speed"])
        for axis, (name, title) in zip(axes[1:], STREAMS.items(), strict=True):
            _accuracy(axis, title, shown[name])
        _legend(figure)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
        pyplot.close(figure)
    note = f"<!-- drawn by tools/bench/draw.py, matplotlib {matplotlib.__version__}; data sha256: {digest(shown)} -->"
    head, end, rest = out.getvalue().partition("?>\n")
    # A hundredth of a point is more than can be seen; further digits are half of the file.
    rest = re.sub(r' d="[^"]*"', lambda path: re.sub(r"\d+\.\d{3,}", lambda n: f"{float(n[0]):.2f}", path[0]), rest)
    return f"{head}{end}{note}\n" + "\n".join(line.rstrip() for line in rest.splitlines()) + "\n"


def _speed(axis: Any, lines: dict[str, list[tuple[float, float]]]) -> None:
    for (name, line), mark in zip(lines.items(), "o^D", strict=True):
        axis.plot([1 / (1 - sparsity) for sparsity, _ in line], [times for _, times in line], marker=mark, label=name)
    axis.axhline(1, color="black", linewidth=0.8, linestyle="--")
    axis.text(20, 1.05, "best dense peer", ha="right", va="bottom")
    axis.set_xscale("log")
    sparsities = [sparsity for sparsity, _ in next(iter(lines.values()))]
    axis.set_xticks([1 / (1 - sparsity) for sparsity in sparsities], [f"{100 * s:g} %" for s in sparsities])
    axis.minorticks_off()
    axis.set_ylim(0, None)
    axis.set(
        title="Speed of a learn step, one thread",
        xlabel="weights left out",
        ylabel="times as fast as the best dense peer",
    )
    axis.legend(frameon=False, loc="upper left")


def _accuracy(axis: Any, title: str, found: list[Point]) -> None:
    for point in found:
        axis.errorbar(
            point.forgetting.mean,
            point.accuracy.mean,
            xerr=point.forgetting.deviation,
            yerr=point.accuracy.deviation,
            color=COLOURS[point.loss],
            marker=MARKERS[point.kind],
            markersize={0.25: 9, 0.1: 6.5, 0.05: 4.5}.get(point.density, 7),
            linewidth=0.5,
        )
    axis.set(title=title, xlabel="forgetting, points (less is better)", ylabel="accuracy over all classes, %")


def _legend(figure: Any) -> None:
    from matplotlib.lines import Line2D

    names = {"ER-ACE": "ER-ACE, SparCL-ER", "DER++, class mask": "DER++ with class mask, SparCL-DER++"}
    entries = [
        Line2D([], [], color=colour, marker="s", linestyle="", label=names.get(loss, loss))
        for loss, colour in COLOURS.items()
    ]
    texts = {
        "dense": "dense",
        "sparse": "sparse: 75 % (large), 90 %, 95 % (small)",
        "small dense": "small dense net of the same work",
    }
    entries += [Line2D([], [], color="black", marker=MARKERS[k], linestyle="", label=texts[k]) for k in MARKERS]
    figure.legend(handles=entries, frameon=False, fontsize=8, loc="outside lower center", ncols=len(entries))


def main() -> int:
    """Command line; see the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing")
    if not parser.parse_args().check:
        PICTURE.write_text(picture(data()), encoding="utf-8")
        return 0
    same = written_digest(PICTURE.read_text(encoding="utf-8")) == digest(data())
    print(f"{PICTURE.name}: " + ("shows the results" if same else "shows other data; run python tools/bench/draw.py"))
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
