# What can go wrong on the way from a model to a bundle.
# Never here: deciding whether something is wrong.
"""`ExportError` lists every blocking node at once; `ParityError` says that the bundle does not compute what the model
does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


# Said where operators are in the way.
EXTERNAL_REMEDY = (
    "or let another engine run the encoder: --external --head ridge with the ONNX or TFLite file (external=True; a "
    "PyTorch module as torch.onnx.export writes it)"
)


class Unsupported(Exception):
    """Raised while one node is converted; the importer collects it as a `Blocker` and goes on with the next node."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}; {remedy}")
        self.reason = reason
        self.remedy = remedy


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
        """One error that names all blockers."""
        lines = [f"expected {expected}; found {len(blockers)} that cannot be; change or replace each:"]
        lines += [f"  {blocker}" for blocker in blockers]
        if proposal:
            lines.append(f"proposal: {proposal}")
        return cls("\n".join(lines), blockers=blockers, proposal=proposal)


class ParityError(ExportError):
    """The bundle's outputs differ from the source model's by more than rounding explains; no file was written."""

    status = -99
