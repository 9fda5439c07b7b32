# Which parameters learn on the device, and which normalisations stand still.
# Never here: the backward list (backward.py), masks.
"""`choose_trainable` marks parameters and freezes batch-norms; `cut_points` are where a network can be split."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from edgecl.export.errors import Blocker, ExportError, names_like
from edgecl.export.graph import Graph, Op, Param, has_prefix
from edgecl.export.options import Trainable

TAIL_SHARE = 0.25  # of the multiply-adds that "tail" may train
_LEARNING_SLOTS = {
    "conv": (0, 1),
    "linear": (0, 1),
    "batch_norm": (0, 1),
    "group_norm": (0, 1),
    "layer_norm": (0, 1),
    "prelu": (0,),
    "recurrent": (0, 1, 2, 3),
    "add": (0,),
    "mul": (0,),
}
_WEIGHT_FIRST = ("conv", "linear", "batch_norm", "group_norm", "recurrent", "layer_norm")
_EXPECTED = "the trainable set to have gradients"


@dataclass(frozen=True)
class _Use:
    """A place where a parameter may learn."""

    op: Op
    slot: int
    param: Param


def choose_trainable(graph: Graph, choice: Trainable) -> tuple[str, list[Blocker]]:
    """Marks `Param.trainable` and `Op.frozen`.

    A batch-norm follows the batch while learning when its gamma or beta learns, or, without such parameters, when a
    layer before it learns; else it is frozen (running statistics, also in a learn step).

    Returns:
        "all", "tail" or "head" as the bundle records it ("head" also for "none": a bundle that only predicts), and the
        nodes that would block trainable="all" but not this choice.

    Raises:
        ExportError: nothing would learn, a name is unknown, or nodes inside the chosen set cannot learn (all of them,
            with a proposal).
    """
    wanted = _selected(graph, f"tail:{graph.tail}" if choice == "tail" and graph.tail else choice)
    if graph.merged:
        _give_each_its_own(graph)
    uses = _uses(graph)
    inside: list[Blocker] = []
    outside: list[Blocker] = []
    several: list[str] = []
    for param in graph.params():
        readers = uses.get(param.origin, [])
        asked = param.learnable and bool(readers) and wanted(param, [use.op for use in readers])
        apart = _why_apart(graph, readers) if param.learnable else None
        if apart is not None:
            names = ", ".join(use.op.name for use in readers)
            same = param.values.size > 1 and float(param.values.min()) == float(param.values.max())
            blocker = Blocker(
                param.name,
                "initializer",
                f"shared by {len(readers)} nodes ({names}), {apart}: their gradients cannot be added",
                "freeze it (trainable='head', 'tail:LAYER' or a list of prefixes), or give each node its own"
                + (" (exporters of ONNX merge parameters of equal values: hand in the module itself)" if same else ""),
            )
            blocked = inside if asked else outside
            if blocker not in blocked:
                blocked.append(blocker)
        param.trainable = asked and apart is None
        if param.trainable and len(readers) > 1:
            several.append(f"{param.name} ({len(readers)})")
    for op in graph.ops:
        weight, bias = (op.params[0], op.params[1]) if op.kind in ("conv", "linear") else (None, None)
        if weight is not None and bias is not None and bias.trainable and not weight.trainable:
            if weight.computed or weight.rearranged:  # named below; nobody could select it
                bias.trainable = False
                outside.append(
                    Blocker(
                        bias.name,
                        "initializer",
                        "a bias learns only together with its weight, which is fixed",
                        "make that one a parameter of its own before the export",
                    )
                )
                continue
            inside.append(
                Blocker(
                    bias.name,
                    "initializer",
                    "a bias learns only together with its weight",
                    f"select '{weight.name}' too, or leave the bias out",
                )
            )
    outside += [
        Blocker(
            param.name,
            "initializer",
            "each of its numbers stands for several of the layer, which would learn apart, so it is fixed",
            "give it one number for each element that the layer multiplies or adds",
        )
        for param in graph.params()
        if param.repeated
    ]
    computed = _computed_weights(graph)
    outside += computed or [
        Blocker(
            name,
            "initializer",
            "it reaches the network only through constants that are computed at export, so it is fixed",
            ("" if choice == "all" else "train all, or name it (a list), and the device computes it where it can; or ")
            + "leave the computation out of the model, or make its result a parameter of its own",
        )
        for name in graph.computed_from
    ]
    trained_names = {param.origin for param in graph.params() if param.trainable}
    outside += [
        Blocker(
            name,
            "initializer",
            "numbers that are computed from it at export are fixed, and their part of its gradient is left out",
            "leave that computation out of the model, or make its result a parameter of its own",
        )
        for name in graph.partly_fixed
        if name in trained_names
    ]
    if inside:
        raise ExportError.from_blockers(_EXPECTED, inside, _proposal(graph, inside))
    _freeze_batch_norms(graph)
    if several:
        shown = ", ".join(several[:6]) + (", ..." if len(several) > 6 else "")
        graph.notes.append(
            f"{len(several)} parameters are used several times and learn from all their uses: {shown}"
            if len(several) > 1
            else f"a parameter is used several times and learns from all its uses: {shown}"
        )
    if choice == "none":
        return "head", outside
    trained = [param for param in graph.params() if param.trainable]
    if not trained:
        names = ", ".join(param.name for param in graph.params() if param.learnable) or "none"
        raise ExportError(
            f"expected at least one parameter that learns; found none for trainable={choice!r} (parameters of the "
            f"model: {names}); give it a new head (--head new:10, new_head=10), or take trainable='none'",
            -1,
        )
    everything = all(param.trainable for param in graph.params() if param.learnable)
    if isinstance(choice, str) and choice in ("all", "head"):
        return choice, outside
    return ("all" if everything else "tail"), outside


def follows(choice: Trainable) -> Callable[[str], bool]:
    """Of a parameter: numbers that the model computes from it are worth computing on the device, if they are read where
    the choice begins or behind it."""
    if callable(choice):
        return choice
    if isinstance(choice, str):
        return lambda name: choice == "all" or choice.startswith("tail")
    prefixes = list(choice)
    return lambda name: any(has_prefix(name, prefix) for prefix in prefixes)


def begin_of(graph: Graph, learning: Collection[str]) -> str:
    """The first parameter of the tail, by whose name it can be asked for; of constants one that they are made from."""
    behind = graph.ops[_tail_start(graph, "tail") :]
    names = [
        name for op in behind for param in op.params if param for name in graph.made_from.get(param.name, [param.name])
    ]
    return next((name for name in names if name in learning), "")


def learning_apart(graph: Graph) -> list[str]:
    """Parameters whose uses cannot have one gradient."""
    uses = _uses(graph)
    params = [param for param in graph.params() if param.learnable]
    return [param.name for param in params if _why_apart(graph, uses.get(param.origin, [])) is not None]


def _uses(graph: Graph) -> dict[object, list[_Use]]:
    uses: dict[object, list[_Use]] = {}
    for op in graph.ops:
        for slot in _LEARNING_SLOTS.get(op.kind, ()):
            param = op.params[slot] if slot < len(op.params) else None
            if param is not None:
                uses.setdefault(param.origin, []).append(_Use(op, slot, param))
    return uses


def _give_each_its_own(graph: Graph) -> None:
    """Exporters make one parameter of several whose numbers are all alike, as biases of zeros in a network that was not
    trained. Where its uses cannot have one gradient, each gets a copy of its own."""
    uses = _uses(graph)
    parted = []
    for param in list(dict.fromkeys(graph.params())):
        readers = uses.get(param.origin, [])
        alike = param.values.size > 1 and float(param.values.min()) == float(param.values.max())
        if not param.learnable or not alike or _why_apart(graph, readers) is None:
            continue
        for number, use in enumerate(readers):
            if use.param is param and number:
                name = f"{param.name}.{number}"
                use.op.params[use.slot] = replace(use.param, name=name, source=None, whole_of=name)
        parted.append(f"{param.name} ({len(readers)})")
    if parted:
        shown = ", ".join(parted[:6]) + (", ..." if len(parted) > 6 else "")
        graph.notes.append(
            "parameters whose numbers are all alike, which exporters of ONNX merge, are one for each node that reads "
            f"them: {shown}"
        )


def _why_apart(graph: Graph, uses: Sequence[_Use]) -> str | None:
    """What keeps the uses of one parameter from having one gradient; None: nothing."""
    if len(uses) < 2:
        return None
    if graph.head() in [use.op for use in uses]:
        return "one of them the layer of the logits, whose columns are classes"
    if any((use.op.kind, use.slot) != (uses[0].op.kind, uses[0].slot) for use in uses):
        return "which are of several kinds"
    if any(use.param is not uses[0].param for use in uses):
        return "in several shapes or orders (a weight that one of them transposes)"
    return None


def _computed_weights(graph: Graph) -> list[Blocker]:
    """Layers whose weight is no parameter of the source but a result of some: weight_norm, weight standardisation, a
    matrix that is repeated for each position; or lies in another form."""
    found: dict[str, Blocker] = {}
    for op in graph.ops:
        weight = op.params[0] if op.kind in _WEIGHT_FIRST and op.params else None
        if weight is not None and weight.rearranged:
            found[weight.name] = Blocker(
                op.name,
                op.kind,
                "the weight of a transposed convolution is fixed where its kernel is no whole number of strides",
                "take such a kernel (4 and stride 2), or enlarge the map (torch.nn.Upsample) before a convolution",
            )
        elif weight is not None and weight.computed and weight.values.size > 1:
            found[weight.name] = Blocker(
                op.name,
                op.kind,
                f"its weight ({weight.values.size:,} numbers) is computed from others in the model, so it is fixed",
                "make it a parameter of its own before the export (torch.nn.utils.parametrize.remove_parametrizations)",
            )
    return list(found.values())


def cut_points(graph: Graph) -> list[int]:
    """Indices i such that ops[i:] read exactly one tensor of what lies before: the network can be split there."""
    points = []
    last_use: dict[str, int] = {}
    for index, op in enumerate(graph.ops):
        for tensor in op.inputs:
            last_use[tensor] = index
    made = {graph.input: -1}
    for index, op in enumerate(graph.ops):
        crossing = [tensor for tensor in made if last_use.get(tensor, -1) >= index]
        if len(crossing) == 1:
            points.append(index)
        made[op.output] = index
    return points


def _selected(graph: Graph, choice: Trainable) -> Callable[[Param, Sequence[Op]], bool]:
    if callable(choice):
        predicate = choice
        return lambda param, readers: bool(predicate(param.name))
    if not isinstance(choice, str):
        prefixes = list(choice)
        names = [param.name for param in graph.params() if param.learnable]
        unknown = [prefix for prefix in prefixes if not any(has_prefix(name, prefix) for name in names)]
        if unknown:
            raise ExportError(
                f"expected prefixes of parameter names; found {unknown}; parameters of the model: "
                f"{names_like(unknown, names)}",
                -23,
            )
        return lambda param, readers: any(has_prefix(param.name, prefix) for prefix in prefixes)
    if choice in ("all", "none"):
        return lambda param, readers: choice == "all"
    if choice == "head":
        head = graph.classifier()
        if head is None:
            last = graph.producer(graph.output)
            raise ExportError(
                "expected a classifier at the end (a linear layer, or a convolution that is averaged); found "
                f"{'an encoder that ends in ' + repr(last.name) if last is not None else 'nothing'}; give it a new "
                "head (--head new:10, new_head=10), or use trainable='tail' or a list of prefixes",
                -1,
            )
        return lambda param, readers: head in readers
    start = _tail_start(graph, choice)
    tail = set(map(id, graph.ops[start:]))
    return lambda param, readers: all(id(op) in tail for op in readers)


def _tail_start(graph: Graph, choice: str) -> int:
    """First op of the tail: of the named layer, or the earliest cut point whose multiply-adds behind it are at most
    TAIL_SHARE of all."""
    if choice.startswith("tail:"):
        layer = choice.removeprefix("tail:")
        for index, op in enumerate(graph.ops):
            if any(param is not None and has_prefix(param.name, layer) for param in op.params):
                return index
        layers = dict.fromkeys(op.layer for op in graph.ops if op.params)
        raise ExportError(
            f"expected the name of a layer behind 'tail:'; found '{layer}'; layers of the model: "
            f"{names_like([layer], layers)}",
            -23,
        )
    macs = [graph.macs(op) for op in graph.ops]
    total = sum(macs)
    layers_at = [index for index, op in enumerate(graph.ops) if op.params]
    fallback = layers_at[-1] if layers_at else 0
    return next(
        (index for index in cut_points(graph) if index <= fallback and sum(macs[index:]) <= TAIL_SHARE * total),
        fallback,
    )


def _freeze_batch_norms(graph: Graph) -> None:
    learns_before: dict[str, bool] = {graph.input: False}
    for op in graph.ops:
        before = any(learns_before[tensor] for tensor in op.inputs)
        own = any(param is not None and param.trainable for param in op.params)
        if op.kind == "batch_norm":
            has_parameters = any(param is not None and param.learnable for param in op.params[:2])
            op.frozen = not own if has_parameters else not before
        learns_before[op.output] = before or own


def _proposal(graph: Graph, blockers: Sequence[Blocker]) -> str:
    names = {blocker.node for blocker in blockers}
    blocked = [
        i for i, op in enumerate(graph.ops) if any(param is not None and param.name in names for param in op.params)
    ]
    last = max(blocked, default=-1)
    behind = [op for op in graph.ops[last + 1 :] if op.kind in ("conv", "linear")]
    return f"trainable='tail:{behind[0].layer}' freezes all of them and trains the rest" if behind else ""
