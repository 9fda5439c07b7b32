# The table from TFLite operator to the function that converts it.
# Never here: a conversion.
"""`handles` registers a conversion; `HANDLERS` is what `network.convert` looks up."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgecl.export.tflite.network import Network
    from edgecl.export.tflite.read import Operator

Handler = Callable[["Network", "Operator"], None]
HANDLERS: dict[str, Handler] = {}


def handles(*kinds: str) -> Callable[[Handler], Handler]:
    """Decorator: the function converts these TFLite operators."""

    def register(handler: Handler) -> Handler:
        for kind in kinds:
            HANDLERS[kind] = handler
        return handler

    return register
