# The table from ONNX operator to the function that converts it.
# Never here: a conversion.
"""`handles` registers a conversion; `HANDLERS` is what the importer looks up."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgecl.export.context import Context, Node

Handler = Callable[["Context", "Node"], None]
HANDLERS: dict[str, Handler] = {}


def handles(*op_types: str) -> Callable[[Handler], Handler]:
    """Decorator: the function converts nodes of these ONNX operators."""

    def register(handler: Handler) -> Handler:
        for op_type in op_types:
            HANDLERS[op_type] = handler
        return handler

    return register
