# Which ONNX nodes give other numbers in each call.
# Never here: what is done about them.
"""`is_random`, and what is said of such a node."""

from __future__ import annotations

import onnx

RANDOM = "random numbers, other ones in each call"
RANDOM_REMEDY = (
    "leave it out in evaluation: noise of training belongs behind `if self.training` in forward (of an ONNX file: "
    "export it again from a model in evaluation mode)"
)
_STANDARD = ("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")
# Of PyTorch, without an ONNX form.
_PYTORCH = (
    "alpha_dropout", "cauchy", "exponential", "feature_alpha_dropout", "feature_dropout", "geometric", "log_normal",
    "poisson", "randperm",
)  # fmt: skip


def is_random(node: onnx.NodeProto) -> bool:
    """By its operator."""
    return node.op_type in (_STANDARD if node.domain in ("", "ai.onnx") else _PYTORCH)
