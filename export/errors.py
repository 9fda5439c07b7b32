# What can go wrong on the way from a model to a bundle.
# Never here: deciding whether something is wrong.
"""`ExportError` lists every blocking node at once; `ParityError` says that the bundle does not compute what the model
does."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from edgecl.errors import Error


@dataclass(frozen=True)
class Blocker:
    """One node (or initialiser) that stands in the way.

    Attributes:
        node: its name in the source graph.
        op_type: ONNX operator, "initializer" or "input".
        reason: what was found against what was expected.
        remedy: what to do.
    """

    node: str
    op_type: str
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.node} ({self.op_type}): {self.reason}; {self.remedy}"


def counted(n: int, what: str) -> str:
    """A number of things, in words that fit it: "1 value", "2 values"."""
    return f"{n:,} {what}" + ("" if n == 1 else "s")


def names_like(wanted: Iterable[str], names: Iterable[str]) -> str:
    """All names where they are few; else those that the wanted ones may mean, then some from first to last, and how
    many more there are."""
    known = list(dict.fromkeys(names))
    if len(known) <= MOST_NAMES:
        return ", ".join(known)
    close = [name for word in wanted for name in get_close_matches(word, known, MOST_NAMES // 2)]
    spread = [known[i * (len(known) - 1) // (MOST_NAMES - 1)] for i in range(MOST_NAMES)]
    room = MOST_NAMES - len(close)
    rest = [name for name in spread if name not in close]
    shown = [*close, *rest[: room - 1], rest[-1]] if room > 0 else close
    return f"{', '.join(shown)} and {len(known) - len(shown)} more"


MOST_NAMES = 12  # of a list in a message
MOST_LINES = 20  # of a message; `ExportError.blockers` has every node

# Said where operators are in the way.
EXTERNAL_REMEDY = (
    "or let another engine run the encoder: --external --head ridge with the ONNX or TFLite file (external=True; a "
    "PyTorch module as torch.onnx.export writes it)"
)


# Said of an input of integers.
TOKENS_REMEDY = (
    "tokens are no samples of a bundle: look their vectors up in your own code and export the part behind the "
    "embedding, which takes float32 [N][T][F]; or run all of such an encoder there, and export embeddings:NUMBER"
)


_PLURALS = {"initializer": "weights", "input": "inputs", "output": "outputs"}  # of what is no node


class Unsupported(Exception):
    """Raised while one node is converted; the importer collects it as a `Blocker` and goes on with the next node."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}; {remedy}")
        self.reason = reason
        self.remedy = remedy


class Unfit(Unsupported):
    """No other engine would mend that: a row's result depends on other rows of its batch, or is random."""


class ExportError(Error, ValueError):
    """The model, or a keyword, cannot be made into a bundle.

    Attributes:
        blockers: every node that blocks the export, in graph order (empty when the fault is a keyword or a file).
        proposal: the split into frozen and trainable parts that would work, or "".
    """

    status = -5

    def __init__(
        self,
        message: str,
        status: int | None = None,
        n_done: int | None = None,
        blockers: Sequence[Blocker] = (),
        proposal: str = "",
    ) -> None:
        super().__init__(message, status, n_done)
        self.blockers = list(blockers)
        self.proposal = proposal

    @classmethod
    def from_blockers(cls, expected: str, blockers: Sequence[Blocker], proposal: str = "") -> ExportError:
        """One error that names all blockers, those of one operator and reason in one line."""
        each = "it" if len(blockers) == 1 else "each"
        lines = [f"expected {expected}; found {len(blockers)} that cannot be; change or replace {each}:"]
        lines += [f"  {line}" for line in grouped(blockers)]
        if proposal:
            lines.append(f"proposal: {proposal}")
        return cls("\n".join(lines), blockers=blockers, proposal=proposal)

    def in_full(self) -> ExportError:
        """The same error with a line for each blocker."""
        lines = [str(self).splitlines()[0], *(f"  {blocker}" for blocker in self.blockers)]
        if self.proposal:
            lines.append(f"proposal: {self.proposal}")
        return type(self)("\n".join(lines), self.status, None, self.blockers, self.proposal)


def grouped(blockers: Sequence[Blocker]) -> list[str]:
    """At most MOST_LINES: by operator and reason, or where these are too many by operator, with the first one's
    reason."""
    groups: dict[tuple[str, ...], list[Blocker]] = {}
    for blocker in blockers:
        groups.setdefault((blocker.op_type, blocker.reason, blocker.remedy), []).append(blocker)
    if len(groups) > MOST_LINES:
        groups = {}
        for blocker in blockers:
            groups.setdefault((blocker.op_type,), []).append(blocker)
    largest = sorted(groups.values(), key=len, reverse=True)[:MOST_LINES]
    lines = [_line(group) for group in groups.values() if any(group is shown for shown in largest)]
    if len(groups) > MOST_LINES:
        lines.append(f"and {counted(len(groups) - MOST_LINES, 'more operator')}")
    return lines


def _line(group: list[Blocker]) -> str:
    first = group[0]
    if len(group) == 1:
        return str(first)
    names = ", ".join(blocker.node for blocker in group[:3]) + (", ..." if len(group) > 3 else "")
    reasons = first.reason if len({blocker.reason for blocker in group}) == 1 else f"{first.reason}, and the like"
    what = _PLURALS.get(first.op_type)
    found = f"{first.op_type}, {len(group)} nodes" if what is None else f"{len(group)} {what}"
    return f"{found} ({names}): {reasons}; {first.remedy}"


_NOT_THE_USERS = ("torch", "edgecl", "importlib", "inspect", "contextlib", "copy")  # packages whose frames tell nothing


def raised(error: BaseException) -> str:
    """Type, words and place of an exception of somebody's own code: "ValueError: no such size (nets.py:12)"."""
    place = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] not in _NOT_THE_USERS:
            place = f"{frame.f_code.co_filename}:{line}"
    if isinstance(error, SyntaxError) and error.filename:
        place = f"{error.filename}:{error.lineno}"
        error = SyntaxError(error.msg)
    words = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return type(error).__name__ + (f": {words}" if words else "") + (f" ({place})" if place else "")


class ParityError(ExportError):
    """The bundle's outputs differ from the source model's by more than rounding explains; no file was written."""

    status = -99
