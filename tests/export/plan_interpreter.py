# Runs the plan dict of `_core.write_bundle` in PyTorch: forward list, backward list, one SGD step. An oracle for plans,
# with no part of the runtime in it. Never here: automatic differentiation of the network; the gradients come from the
# plan's own backward list.
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


class PlanInterpreter:
    """State: parameters (dense, zero where a sparse layer stores nothing) and running statistics."""

    def __init__(self, plan: dict[str, Any], dtype: torch.dtype = torch.float64) -> None:
        self.plan = plan
        self.params: list[Tensor] = []
        self.masks: list[Tensor | None] = []
        for record in plan["params"]:
            values = torch.from_numpy(np.array(record["values"])).to(dtype)  # integers are exact in it
            mask = None
            if "positions" in record:
                size = int(np.prod(record["dims"]))
                positions = torch.from_numpy(record["positions"].astype(np.int64))
                values = torch.zeros(size, dtype=dtype).scatter(0, positions, values)
                mask = torch.zeros(size, dtype=torch.bool).scatter(0, positions, True).reshape(record["dims"])
            self.params.append(values.reshape(record["dims"]))
            self.masks.append(mask)
        self.gradients: dict[int, Tensor] = {}
        self._tensors: dict[int, Tensor] = {}
        self._statistics: dict[int, tuple[Tensor, Tensor]] = {}
        self._dtype = dtype

    # --- forward ------------------------------------------------------------------------------------------------------
    def forward(self, rows: Tensor, learn: bool) -> Tensor:
        """Logits [n][capacity] of network inputs [n][...]; keeps every tensor for `backward`."""
        shape = self.plan["tensors"][0]
        self._tensors = {0: rows.to(self._dtype).reshape(-1, shape["channels"], shape["height"], shape["width"])}
        for index, op in enumerate(self.plan["ops"]):
            result = self._run(index, op, [self._tensors[i] for i in op["inputs"]], learn)
            record = self.plan["tensors"][op["output"]]
            assert result.shape[1:] == (record["channels"], record["height"], record["width"]), op["name"]
            self._tensors[op["output"]] = result
        return self._tensors[self.plan["logits_tensor"]].flatten(1)

    def _run(self, index: int, op: dict[str, Any], x: list[Tensor], learn: bool) -> Tensor:
        kind = op["kind"]
        if kind == "conv":
            y = functional.conv2d(
                _padded(x[0], op["pads"]),
                self.params[op["params"][0]],
                self._bias(op),
                op["stride"],
                0,
                op["dilation"],
                op["groups"],
            )
        elif kind == "linear":
            y = x[0].flatten(1) @ self._matrix(op)
            bias = self._bias(op)
            y = (y if bias is None else y + bias)[:, :, None, None]
        elif kind == "batch_norm":
            gamma, beta, mean, variance = (self.params[i] for i in op["params"])
            if learn and not op["frozen"]:
                mean, variance = x[0].mean((0, 2, 3)), x[0].var((0, 2, 3), unbiased=False)
            rstd = 1.0 / torch.sqrt(variance + op["epsilon"])
            self._statistics[index] = (mean, rstd)
            y = (x[0] - _channel(mean)) * _channel(rstd) * _channel(gamma) + _channel(beta)
            y = y + x[1] if len(x) == 2 else y
        elif kind == "group_norm":
            y = functional.group_norm(
                x[0], op["i"][0], self.params[op["params"][0]], self.params[op["params"][1]], op["epsilon"]
            )
        elif kind == "l2_normalize":
            y = functional.normalize(x[0], dim=1, eps=op["epsilon"])
        elif kind == "layer_norm":
            centre = 0.0 if op["i"][0] else x[0].mean(1, keepdim=True)
            y = (x[0] - centre) * torch.rsqrt((x[0] - centre).square().mean(1, keepdim=True) + op["epsilon"])
            gamma, beta = ([*op["params"], None, None])[:2]
            y = y if gamma is None else y * _channel(self.params[gamma])
            y = y if beta is None else y + _channel(self.params[beta])
        elif kind == "activation":
            return _activate(op, x[0])
        elif kind == "max_pool":
            y = self._windows(op, x[0], float("-inf")).amax((2, 3))
        elif kind == "average_pool":
            y = self._windows(op, x[0], 0.0).sum((2, 3)) / self._cells(op, x[0])
        elif kind == "global_average_pool":
            y = x[0].mean((2, 3), keepdim=True)
        elif kind in ("add", "mul"):
            other = x[1] if len(x) == 2 else self.params[op["params"][0]][None]
            y = x[0] + other if kind == "add" else x[0] * other
        elif kind == "concat":
            y = torch.cat(x, 1)
        elif kind == "reshape":
            record = self.plan["tensors"][op["output"]]
            y = x[0].reshape(-1, record["channels"], record["height"], record["width"])
        elif kind == "strided":
            y = self._picked(op, x[0], self._integers(op))
        elif kind == "place":
            y = self._placed(op, x, self._integers(op))
        elif kind == "matmul":
            y = self._product(op, x, self._integers(op).astype(np.int64))
        elif kind == "prelu":
            y = functional.prelu(x[0], self.params[op["params"][0]])
        elif kind == "maximum":
            y = torch.maximum(x[0], x[1])
        elif kind == "minimum":
            y = torch.minimum(x[0], x[1])
        elif kind == "reduce":
            if op["i"][0] == 2:
                y = x[0].max(2, keepdim=True).values
            else:
                y = x[0].mean(2, keepdim=True) if op["i"][0] == 1 else x[0].sum(2, keepdim=True)
        elif kind == "softmax":
            y = functional.log_softmax(x[0], 3) if op["i"] and op["i"][0] else functional.softmax(x[0], 3)
        elif kind == "recurrent":
            y = _recurrent(op["i"], x[0][:, :, 0], [None if i is None else self.params[i] for i in op["params"]])
        else:
            raise ValueError(kind)
        return _activate(op, y)

    def _integers(self, op: dict[str, Any]) -> np.ndarray:
        return np.array(self.plan["params"][op["params"][0]]["values"])

    def _shaped(self, op: dict[str, Any], rows: Tensor) -> Tensor:
        record = self.plan["tensors"][op["output"]]
        return rows.reshape(-1, record["channels"], record["height"], record["width"])

    def _picked(self, op: dict[str, Any], x: Tensor, view: np.ndarray) -> Tensor:
        at = np.full((), op["i"][0], np.int64)
        for size, stride in view.T.astype(np.int64):
            at = at[..., None] + np.arange(size) * stride
        return self._shaped(op, x.flatten(1)[:, torch.from_numpy(at.reshape(-1))])

    def _placed(self, op: dict[str, Any], x: list[Tensor], boxes: np.ndarray) -> Tensor:
        y = torch.full((len(x[0]), *boxes[0]), op["activation_lo"], dtype=x[0].dtype)
        for source, begin, size in zip(x, boxes[1::2], boxes[2::2], strict=True):
            at = tuple(slice(int(b), int(b + s)) for b, s in zip(begin, size, strict=True))
            y[(slice(None), *at)] = source.reshape(-1, *size)
        return self._shaped(op, y)

    def _product(self, op: dict[str, Any], x: list[Tensor], view: np.ndarray) -> Tensor:
        at = [np.full((), offset, np.int64) for offset in (*op["i"][:2], 0)]
        for axis, size in enumerate(view[0]):
            at = [place[..., None] + np.arange(size) * view[1 + k, axis] for k, place in enumerate(at)]
        a, b = (t.flatten(1)[:, torch.from_numpy(place)] for t, place in zip(x, at[:2], strict=True))
        sums = op["activation_lo"] * (a * b).sum(-1)
        places = torch.from_numpy(at[2][..., 0].reshape(-1))
        assert sorted(places.tolist()) == list(range(len(places)))
        return self._shaped(op, sums.flatten(1)[:, torch.argsort(places)])

    def _bias(self, op: dict[str, Any]) -> Tensor | None:
        return None if len(op["params"]) < 2 or op["params"][1] is None else self.params[op["params"][1]]

    def _matrix(self, op: dict[str, Any]) -> Tensor:
        """[I][O], whichever way it is stored."""
        index = op["params"][0]
        return self.params[index].T if self.masks[index] is not None else self.params[index]

    def _windows(self, op: dict[str, Any], x: Tensor, border: float) -> Tensor:
        """[n][C][kh][kw][H'][W'] with `border` where a window hangs over the input."""
        record = self.plan["tensors"][op["output"]]
        positions = []
        for axis, size in enumerate(x.shape[2:]):
            out = (record["height"], record["width"])[axis]
            first = torch.arange(out) * op["stride"][axis] - op["pads"][axis]
            at = first[None, :] + (torch.arange(op["kernel"][axis]) * op["dilation"][axis])[:, None]
            positions.append((at.clamp(0, size - 1), (at >= 0) & (at < size)))
        (rows, rows_in), (columns, columns_in) = positions
        cells = x[:, :, rows[:, None, :, None], columns[None, :, None, :]]
        inside = rows_in[:, None, :, None] & columns_in[None, :, None, :]
        return torch.where(inside, cells, torch.full((), border, dtype=x.dtype))

    def _cells(self, op: dict[str, Any], x: Tensor) -> Tensor:
        """[1][1][H'][W']: what an average divides by."""
        ones = torch.ones_like(x[:1, :1])
        if op["i"] and op["i"][0]:
            grown = functional.pad(ones, (op["pads"][1], op["pads"][3], op["pads"][0], op["pads"][2]), value=1.0)
            return self._windows({**op, "pads": (0, 0, 0, 0)}, grown, 0.0).sum((2, 3))
        return self._windows(op, ones, 0.0).sum((2, 3))

    # --- backward -----------------------------------------------------------------------------------------------------
    def backward(self, logits_gradient: Tensor) -> dict[int, Tensor]:
        """Executes the backward list behind `forward`; returns and keeps the gradients of trained parameters by
        index."""
        self.gradients = {}
        grads: dict[int, Tensor] = {}
        if self.plan["backward"]:
            first = self.plan["backward"][0]["output_gradient"]
            grads[first] = logits_gradient.to(self._dtype)[:, :, None, None]
        for record in self.plan["backward"]:
            op = self.plan["ops"][record["op"]]
            results, own = self._undo(record["op"], op, grads[record["output_gradient"]])
            for target, accumulate, result in zip(
                record["input_gradients"], record["accumulate"], results, strict=True
            ):
                if target is not None:
                    assert accumulate == (target in grads), (op["name"], "accumulate")
                    grads[target] = grads[target] + result if accumulate else result
            for wanted, index, result in zip(record["train_params"], op["params"], own, strict=True):
                if wanted:
                    mask = self.masks[index]
                    own_part = result if mask is None else torch.where(mask, result, torch.zeros_like(result))
                    self.gradients[index] = self.gradients.get(index, 0.0) + own_part
        return self.gradients

    def _undo(self, index: int, op: dict[str, Any], dy: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Gradients of the inputs and of the params: one operator differentiated by PyTorch, the batch statistics
        included."""
        x = [self._tensors[i].detach().requires_grad_() for i in op["inputs"]]
        params = [None if i is None else self.params[i].detach().requires_grad_() for i in op["params"]]
        saved, self.params = self.params, list(self.params)
        for i, param in zip(op["params"], params, strict=True):
            if param is not None:
                self.params[i] = param
        y = self._run(index, op, x, learn=True)
        self.params = saved
        sources = [*x, *(param for param in params if param is not None)]
        found = list(torch.autograd.grad(y, sources, dy.reshape(y.shape), allow_unused=True))
        found = [torch.zeros_like(s) if g is None else g for g, s in zip(found, sources, strict=True)]
        own = iter(found[len(x) :])
        return found[: len(x)], [torch.zeros(0) if param is None else next(own) for param in params]

    # --- update -------------------------------------------------------------------------------------------------------
    def step(self, learning_rate: float, n_rows: int) -> None:
        """SGD on the kept gradients, then the running statistics of batch-norms that follow the batch."""
        for index, gradient in self.gradients.items():
            self.params[index] = self.params[index] - learning_rate * gradient
        for op in self.plan["ops"]:
            if op["kind"] == "batch_norm" and not op["frozen"]:
                x = self._tensors[op["inputs"][0]]
                unbiased = x.var((0, 2, 3), unbiased=n_rows * x.shape[2] * x.shape[3] > 1)
                for slot, batch in ((2, x.mean((0, 2, 3))), (3, unbiased)):
                    old = self.params[op["params"][slot]]
                    self.params[op["params"][slot]] = (1 - op["momentum"]) * old + op["momentum"] * batch

    def parameters(self) -> dict[str, np.ndarray]:
        """By name, dense, in the bundle's dims."""
        return {record["name"]: value.numpy() for record, value in zip(self.plan["params"], self.params, strict=True)}


def _recurrent(numbers: list[int], x: Tensor, params: list[Tensor | None]) -> Tensor:
    """A recurrent layer as ONNX defines it: x [n][I][T] to [n][H][1][T]."""
    cell, reverse = numbers
    weight, weight_r, *biases = params
    assert weight is not None and weight_r is not None
    hidden = weight_r.shape[0]
    none = torch.zeros(weight.shape[1], dtype=x.dtype)
    bias, bias_r = (none if b is None else b for b in biases or (None, None))
    h = c = torch.zeros(len(x), hidden, dtype=x.dtype)
    steps: dict[int, Tensor] = {}
    for t in reversed(range(x.shape[2])) if reverse else range(x.shape[2]):
        of_x, of_h = x[:, :, t] @ weight + bias, h @ weight_r + bias_r
        if cell < 2:
            h = torch.tanh(of_x + of_h) if cell == 0 else torch.relu(of_x + of_h)
        elif cell < 4:
            z, r = torch.sigmoid((of_x + of_h)[:, : 2 * hidden]).chunk(2, 1)
            last = slice(2 * hidden, None)
            q = r * of_h[:, last] if cell == 3 else (r * h) @ weight_r[:, last] + bias_r[last]
            h = (1 - z) * torch.tanh(of_x[:, last] + q) + z * h
        else:
            i, o, f, g = (of_x + of_h).chunk(4, 1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
        steps[t] = h
    return torch.stack([steps[t] for t in range(x.shape[2])], 2)[:, :, None]


def _channel(vector: Tensor) -> Tensor:
    return vector[None, :, None, None]


def _padded(x: Tensor, pads: tuple[int, int, int, int]) -> Tensor:
    top, left, bottom, right = pads
    return functional.pad(x, (left, right, top, bottom))


def _activate(op: dict[str, Any], x: Tensor) -> Tensor:
    kind, lo, hi = op["activation"], op["activation_lo"], op["activation_hi"]
    if kind == "relu":
        return torch.relu(x)
    if kind == "clip":
        return functional.hardtanh(x, lo, hi)
    if kind == "hard_swish":
        return x * (x / 6 + 0.5).clamp(0, 1)
    if kind == "sigmoid":
        return torch.sigmoid(x)
    if kind == "hard_sigmoid":
        return (lo * x + hi).clamp(0, 1)
    return x if kind == "none" else FUNCTIONS[kind](x, lo, hi)


FUNCTIONS: dict[str, Callable[[Tensor, float, float], Tensor]] = {
    "tanh": lambda x, lo, hi: torch.tanh(x),
    "gelu": lambda x, lo, hi: functional.gelu(x),
    "gelu_tanh": lambda x, lo, hi: functional.gelu(x, approximate="tanh"),
    "elu": lambda x, lo, hi: hi * functional.elu(x, lo),
    "celu": lambda x, lo, hi: functional.celu(x, lo),
    "leaky_relu": lambda x, lo, hi: functional.leaky_relu(x, lo),
    "softplus": lambda x, lo, hi: functional.softplus(x),
    "mish": lambda x, lo, hi: functional.mish(x),
    "silu": lambda x, lo, hi: x * torch.sigmoid(lo * x),
    "softsign": lambda x, lo, hi: functional.softsign(x),
    "exp": lambda x, lo, hi: torch.exp(x),
    "log": lambda x, lo, hi: torch.log(x),
    "sqrt": lambda x, lo, hi: torch.sqrt(x),
    "reciprocal": lambda x, lo, hi: 1.0 / x,
    "abs": lambda x, lo, hi: torch.abs(x),
    "negate": lambda x, lo, hi: -x,
    "square": lambda x, lo, hi: x * x,
    "erf": lambda x, lo, hi: torch.erf(x),
    "reciprocal_sqrt": lambda x, lo, hi: torch.rsqrt(x),
    "cube": lambda x, lo, hi: x * x * x,
}
