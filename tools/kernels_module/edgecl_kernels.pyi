"""Every kernel of edgecl as a function of numpy arrays, for tests and for research; the runtime is `edgecl._core`.

Activations and gradients are float32 arrays of shape (rows, channels, height, width), or (rows, channels) for linear
layers; other float types are converted. Each call packs its arrays into the kernels' memory layout, runs the kernel and
unpacks the results, so the cost of a call says nothing about the kernel's own speed. Every level and every n_parts
gives the same bits.

Keyword arguments shared by all functions: `level` (a name from levels(); default the best one) and `n_parts` (>= 1: the
work is split into that many parts, run one after the other). Windows: `stride`, `dilation` (height, width; default 1),
`padding` (height, width) or (top, left, bottom, right). `activation`: "none", "relu" or ("clip", lo, hi); activation
functions also take the other names of EDGECL_ACTIVATION_LIST (kernels/kernels.h), alone or as (name, lo, hi). Sparse
layers take a dense weight (out, in, kernel height, kernel width) or (out, in) and a boolean pattern of the same shape;
only weights inside the pattern are stored or computed.

Hyperdimensional codes are uint64 arrays of shape (rows, bits / 64), bit k in word k // 64 at place k % 64, with a
multiple of 64 bits up to 65,536; integers are taken as the type that the signature names, without conversion. What each
function computes, bit by bit, is defined in kernels/hyperdimensional.h.

A shape or value that does not fit raises ValueError; an argument of a wrong type, or one that the function does not
take, TypeError.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Doubles: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int16] | NDArray[np.int32] | NDArray[np.int64]
Mask: TypeAlias = NDArray[np.bool_]
Codes: TypeAlias = NDArray[np.uint64]
Pair: TypeAlias = tuple[int, int]
Shared: TypeAlias = Any

def levels() -> list[str]: ...
def default_level() -> str: ...
def all_finite(x: Floats) -> bool: ...

class TimedLayer:
    """One convolution or linear layer on prepared memory, whose passes can be timed without copies from or to Python.

    input_size (height, width), with the keywords kernel_size, stride, padding, dilation of a window; without
    input_size a linear layer. density in (0, 1]: the sparse kernels on round(density * size) weights at uniformly
    drawn places; None: the dense kernels. n_threads as a session splits its work. Operands are drawn from `seed`.

    Attributes: n_weights (stored weights); multiply_adds of one pass (those of taps over the border included).

    Takes memory for four activations, the weight and its gradient. Raises ValueError for a shape that does not fit.
    """

    n_weights: int
    multiply_adds: int

    def __init__(
        self,
        batch: int,
        in_channels: int,
        out_channels: int,
        input_size: Pair | None = None,
        density: float | None = None,
        n_threads: int = 1,
        seed: int = 0,
        **shared: Shared,
    ) -> None: ...
    def time(self, pass_name: str, repeat: int) -> list[float]:
        """Seconds of each of `repeat` runs of "forward", "backward_data" or "backward_weight".

        backward_data of a sparse layer includes the gathering of its values into the transposed order, which a learn
        step does too. Releases the GIL.
        """

def conv_forward(x: Floats, weight: Floats, bias: Floats | None = None, **shared: Shared) -> Floats:
    """weight (out, in / groups, kernel height, kernel width); takes windows, `groups`, `activation`."""

def conv_backward_data(
    dy: Floats, weight: Floats, input_size: Pair, add_to: Floats | None = None, **shared: Shared
) -> Floats:
    """Gradient of the input, of extent input_size (height, width); with add_to, that array plus the gradient."""

def conv_backward_weight(x: Floats, dy: Floats, kernel_size: Pair, **shared: Shared) -> tuple[Floats, Floats]:
    """(dweight, dbias)."""

def linear_forward(x: Floats, weight: Floats, bias: Floats | None = None, **shared: Shared) -> Floats:
    """weight (in, out), input-major; takes `activation`."""

def linear_backward_data(dy: Floats, weight: Floats, add_to: Floats | None = None, **shared: Shared) -> Floats: ...
def linear_backward_weight(x: Floats, dy: Floats, **shared: Shared) -> tuple[Floats, Floats]:
    """(dweight (in, out), dbias)."""

def sparse_conv_forward(
    x: Floats, weight: Floats, pattern: Mask, bias: Floats | None = None, **shared: Shared
) -> Floats: ...
def sparse_conv_backward_data(
    dy: Floats, weight: Floats, pattern: Mask, input_size: Pair, add_to: Floats | None = None, **shared: Shared
) -> Floats: ...
def sparse_conv_backward_weight(
    x: Floats, dy: Floats, pattern: Mask, selected: Mask | None = None, **shared: Shared
) -> tuple[Floats, Floats]:
    """(dvalue, dbias): dvalue in the order of numpy.flatnonzero(pattern); 0 where selected[k] is false."""

def sparse_linear_forward(
    x: Floats, weight: Floats, pattern: Mask, bias: Floats | None = None, **shared: Shared
) -> Floats:
    """weight (out, in), as PyTorch's."""

def sparse_linear_backward_data(
    dy: Floats, weight: Floats, pattern: Mask, add_to: Floats | None = None, **shared: Shared
) -> Floats: ...
def sparse_linear_backward_weight(
    x: Floats, dy: Floats, pattern: Mask, selected: Mask | None = None, **shared: Shared
) -> tuple[Floats, Floats]: ...
def batch_norm_forward(
    x: Floats,
    gamma: Floats,
    beta: Floats,
    mean: Floats | None = None,
    rstd: Floats | None = None,
    eps: float = 1e-5,
    residual: Floats | None = None,
    **shared: Shared,
) -> tuple[Floats, Floats, Floats, Floats | None]:
    """(y, mean, rstd, unbiased variance); with mean and rstd given they are constants and the variance is None."""

def batch_norm_backward(
    x: Floats,
    y: Floats,
    dy: Floats,
    gamma: Floats,
    mean: Floats,
    rstd: Floats,
    frozen: bool = False,
    **shared: Shared,
) -> tuple[Floats, Floats, Floats, Floats]:
    """(dx, dgamma, dbeta, dresidual); y is the forward result, read for the activation."""

def group_norm_forward(
    x: Floats, gamma: Floats, beta: Floats, n_groups: int, eps: float = 1e-5, **shared: Shared
) -> tuple[Floats, Floats, Floats]:
    """(y, mean, rstd), the statistics of shape (rows, n_groups)."""

def group_norm_backward(
    x: Floats, y: Floats, dy: Floats, gamma: Floats, n_groups: int, mean: Floats, rstd: Floats, **shared: Shared
) -> tuple[Floats, Floats, Floats]:
    """(dx, dgamma, dbeta)."""

def l2_normalize_forward(x: Floats, eps: float = 1e-12, **shared: Shared) -> Floats:
    """x / max(norm over the channels, eps); eps a normal number in (0, 1]."""

def l2_normalize_backward(x: Floats, dy: Floats, eps: float = 1e-12, **shared: Shared) -> Floats: ...
def activation_forward(x: Floats, **shared: Shared) -> Floats: ...
def activation_backward(x: Floats, y: Floats, dy: Floats, **shared: Shared) -> Floats: ...
def binary_forward(a: Floats, b: Floats, op: str, **shared: Shared) -> Floats:
    """op "add" or "mul"; each axis of b has the extent of a, or 1; takes `activation`."""

def binary_backward(a: Floats, b: Floats, dy: Floats, op: str, **shared: Shared) -> tuple[Floats, Floats]:
    """(da, db), db of b's shape."""

def accumulate(y: Floats, x: Floats, **shared: Shared) -> Floats:
    """y + x."""

def concat_forward(inputs: Sequence[Floats], **shared: Shared) -> Floats:
    """Along channels; at most 8 inputs."""

def concat_backward(dy: Floats, channels: Sequence[int], **shared: Shared) -> list[Floats]: ...
def max_pool_forward(x: Floats, kernel_size: Pair, **shared: Shared) -> Floats:
    """Takes windows and `output_size` (height, width), for windows that hang over the border (ceil mode)."""

def max_pool_backward(x: Floats, y: Floats, dy: Floats, kernel_size: Pair, **shared: Shared) -> Floats: ...
def average_pool_forward(x: Floats, kernel_size: Pair, **shared: Shared) -> Floats:
    """As max_pool_forward, and `count_include_pad` (default true)."""

def average_pool_backward(x: Floats, dy: Floats, kernel_size: Pair, **shared: Shared) -> Floats:
    """Only the shape of x is used."""

def global_average_pool_forward(x: Floats, **shared: Shared) -> Floats:
    """(rows, channels)."""

def global_average_pool_backward(dy: Floats, input_size: Pair, **shared: Shared) -> Floats: ...
def layer_norm_forward(
    x: Floats,
    gamma: Floats | None = None,
    beta: Floats | None = None,
    eps: float = 1e-5,
    centred: bool = True,
    **shared: Shared,
) -> tuple[Floats, Floats, Floats]:
    """(y, mean, rstd) over the channels of each position, the statistics of shape (rows, 1, height, width)."""

def layer_norm_backward(
    x: Floats,
    dy: Floats,
    gamma: Floats | None,
    mean: Floats,
    rstd: Floats,
    centred: bool = True,
    **shared: Shared,
) -> tuple[Floats, Floats, Floats]:
    """(dx, dgamma, dbeta)."""

def matmul(
    a: Floats,
    b: Floats,
    transpose_a: bool = False,
    transpose_b: bool = False,
    scale: float = 1.0,
    **shared: Shared,
) -> Floats:
    """scale * a @ b of matrices (rows, matrices, M, K) and (rows, matrices, K, N), which may lie transposed."""

def recurrent_forward(
    x: Floats,
    weight: Floats,
    weight_r: Floats,
    bias: Floats | None = None,
    bias_r: Floats | None = None,
    cell: str = "lstm",
    reverse: bool = False,
    **shared: Shared,
) -> Floats:
    """States (rows, H, 1, T) of a layer over x (rows, I, 1, T).

    weight (I, gates * H) and weight_r (H, gates * H) have the gates in ONNX's order. cell: rnn_tanh, rnn_relu, gru,
    gru_linear (ONNX's linear_before_reset, as PyTorch), lstm."""

def recurrent_backward(
    x: Floats,
    dy: Floats,
    weight: Floats,
    weight_r: Floats,
    bias: Floats | None = None,
    bias_r: Floats | None = None,
    cell: str = "lstm",
    reverse: bool = False,
    **shared: Shared,
) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Gradients of x, weight, weight_r, bias and bias_r, back through time."""

def input_normalize(
    images: NDArray[np.uint8] | Floats,
    scale: float,
    mean: Floats,
    inv_std: Floats,
    channels_last: bool = False,
    crop_y: NDArray[np.int32] | None = None,
    crop_x: NDArray[np.int32] | None = None,
    flip: Mask | None = None,
    **shared: Shared,
) -> Floats:
    """(raw * scale - mean[c]) * inv_std[c] of images (rows, channels, height, width), or with channels_last
    (rows, height, width, channels); crops (-128 to 127 cells) and flips are per row, cells outside the image raw 0."""

def cross_entropy(
    logits: Floats, labels: NDArray[np.int32], allowed: Mask | None = None, weight: float = 1.0, **shared: Shared
) -> tuple[Floats, Floats]:
    """(loss per row, dlogits), both times weight; classes outside `allowed` take no part."""

def logits_mse(
    logits: Floats, target: Floats, allowed: Mask | None = None, weight: float = 1.0, **shared: Shared
) -> tuple[Floats, Floats]:
    """(loss per row, dlogits) of weight * sum over the allowed classes of (logits - target)^2."""

def sgd_update(
    weight: Floats,
    velocity: Floats | None,
    gradient: Floats,
    lr: float,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    **shared: Shared,
) -> tuple[Floats, Floats | None]:
    """(weight, velocity) after one step."""

def triangle_places(d: int) -> NDArray[np.int64]:
    """Where the entries of a symmetric d x d matrix, in the order of numpy.tril_indices(d), lie in a packed triangle.

    Moments, covariance and factor are flat arrays of that form; what lies between the entries is zero.
    """

def quantize_rows(x: Floats, scale: float, **shared: Shared) -> tuple[NDArray[np.int16], NDArray[np.int32]]:
    """(q, how many values of each row were limited): x * scale to integers, ties to even, within +-16383."""

def moments_update(
    moments: NDArray[np.int64], q: Integers, subtract: bool = False, **shared: Shared
) -> NDArray[np.int64]:
    """moments +- q.T @ q of at most 32 rows, exact."""

def moments_to_covariance(
    moments: NDArray[np.int64],
    sums: NDArray[np.int64],
    weight: Doubles,
    alpha: float = 1.0,
    ridge: float = 0.0,
    **shared: Shared,
) -> Doubles:
    """alpha * moments - sum over v of weight[v] * outer(sums[v], sums[v]) + ridge * identity; sums (k, d)."""

def cholesky_factor(matrix: Doubles, d: int, floor: float = 0.0, **shared: Shared) -> tuple[Doubles, int]:
    """(L, -1), or (nothing of use, the index of the first pivot that is not above floor)."""

def cholesky_solve(factor: Doubles, b: Doubles, forward_only: bool = False, **shared: Shared) -> Doubles:
    """w with L L.T w = b, or with forward_only L w = b; b (d, columns)."""

def hd_encode(x: NDArray[np.int16], bits: int, seed: int, layer: int = 0, **shared: Shared) -> Codes:
    """Signs of a random projection of each row of x (rows, features), |x| <= 16,383, at most 65,536 features.

    cos(pi * hamming / bits) estimates the cosine of two rows, so centre x first.
    """

def hd_bundle_majority(
    codes: Sequence[Codes], seed: int, layers: Sequence[int] | None = None, **shared: Shared
) -> Codes:
    """Bitwise majority of 1 to 8 arrays of codes; with their layer numbers each is XORed with its layer's key first."""

def hd_accumulate(
    counters: NDArray[np.int32], codes: Codes, subtract: bool = False, **shared: Shared
) -> NDArray[np.int32]:
    """counters (bits,) plus 1 for each set and minus 1 for each clear bit of the codes; `subtract` undoes it."""

def hd_signs(counters: NDArray[np.int32], seed: int, **shared: Shared) -> Codes:
    """Codes of counters (rows, bits): set where positive; hash bits where 0."""

def hd_hamming(codes: Codes, exemplars: Codes, **shared: Shared) -> NDArray[np.int32]:
    """Number of bits in which each code differs from each exemplar: (rows, exemplars)."""
