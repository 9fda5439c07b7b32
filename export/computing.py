# Which constants the device computes, settled before a graph is imported for good.
# Never here: how they are computed (ops/learned.py).
"""`import_with_computed`."""

from __future__ import annotations

from collections.abc import Callable, Collection

from edgecl.export.context import Computing
from edgecl.export.errors import counted
from edgecl.export.graph import Graph
from edgecl.export.ops import learned
from edgecl.export.options import Trainable
from edgecl.export.simplify import simplify
from edgecl.export.trainable import begin_of, follows, learning_apart


def import_with_computed(imported: Callable[[Computing], Graph], learning: Collection[str], choice: Trainable) -> Graph:
    """A graph in which the constants that depend on parameters of a choice are computed for each row.

    Args:
        imported: imports the source, as often as need be.
        learning: the parameters that may learn.
    """
    chosen = follows(choice)
    follow = {key for key in learning if chosen(key)}
    begins_at = choice.removeprefix("tail:") if isinstance(choice, str) and choice.startswith("tail:") else ""
    if choice == "tail":  # where it begins is seen in a graph
        graph = imported(Computing())
        if not graph.computed_from and not any(param.computed for param in graph.params()):
            return graph
        simplify(graph)
        begins_at = begin_of(graph, learning)
    graph = imported(Computing(follow.__contains__, begins_at))
    apart = _apart(graph, follow)
    if apart:  # computed with, and an operator's own parameter elsewhere: that one reads the row too, if it can
        graph = imported(Computing(follow.__contains__, begins_at, apart))
        left = _apart(graph, follow)
        if left:
            apart = [key for key in apart if key not in left]
            graph = imported(Computing((follow - set(left)).__contains__, begins_at, apart))
        if _apart(graph, ()):
            graph = imported(Computing())
            apart = []
        graph.notes += _copies(graph, apart)
    graph.tail = begins_at if choice == "tail" else ""
    return graph


def _apart(graph: Graph, follow: Collection[str]) -> list[str]:
    """Parameters whose uses have no one gradient, but would have where all read a row."""
    small = {param.name for param in graph.params() if param.values.size <= learned.MOST_TIED}.intersection(follow)
    return [key for key in dict.fromkeys(learning_apart(graph)) if key in graph.computing or key in small]


def _copies(graph: Graph, rows: Collection[str]) -> list[str]:
    sizes = {param.name: param.values.size for param in graph.params()}
    return [
        f"'{key}' is read in several ways, so each row of a batch has it as a tensor of its own "
        f"({counted(sizes[key], 'number')})"
        for key in rows
        if key in sizes and key not in graph.computing
    ]
