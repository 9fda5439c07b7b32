"""Recipes in plain PyTorch, fed with the replay slots that the runtime drew: the oracle of the parity checks.

Never here: anything of edgecl's runtime; random numbers of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass
class TorchRecipe:
    """ER, ER-ACE and DER++ over a `torch.nn.Module`, one forward over [current | draws], as the runtime does it.

    The buffer only grows (`slots` are insertion numbers), so a caller must give the runtime room for every sample.
    masks: parameter name -> 0/1 tensor; gradients and weights outside stay zero (the dense way to write a sparse
    layer).
    Sources: ER (Chaudhry et al. 2019), DER++ (Buzzega et al. 2020, eq. 6), ER-ACE (Caccia et al. 2022, eq. 3).
    """

    module: Any
    method: str
    learning_rate: float
    momentum: float = 0.0
    weight_decay: float = 0.0
    alpha: float = 0.1
    beta: float = 0.5
    masks: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        import torch

        self.optimizer = torch.optim.SGD(
            self.module.parameters(), lr=self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay
        )
        self.inputs: list[Any] = []
        self.labels: list[int] = []
        self.logits: list[Any] = []
        with torch.no_grad():
            for name, parameter in self.module.named_parameters():
                if name in self.masks:
                    parameter.mul_(self.masks[name])

    def step(self, x: Any, y: NDArray[np.int32], slots: NDArray[np.integer[Any]]) -> float:
        """One update from normalised inputs `x` (n, ...) and the drawn slots; returns the loss before the update."""
        import torch
        import torch.nn.functional as functional

        self.module.train()
        current = torch.as_tensor(y, dtype=torch.long)
        n = len(current)
        drawn = [int(slot) for slot in slots]
        rows = torch.cat([x, torch.stack([self.inputs[slot] for slot in drawn])]) if drawn else x
        out = self.module(rows)
        z, replayed = out[:n], out[n:]
        old = torch.tensor([self.labels[slot] for slot in drawn], dtype=torch.long)
        if self.method == "er_ace":
            hidden = torch.full((z.shape[1],), -math.inf)
            hidden[current.unique()] = 0  # type: ignore[no-untyped-call]
            loss = functional.cross_entropy(z + hidden, current)
            if drawn:
                loss = loss + functional.cross_entropy(replayed, old)
        elif self.method == "derpp":
            loss = functional.cross_entropy(z, current)
            if drawn:
                half = len(drawn) // 2
                stored = torch.stack([self.logits[slot] for slot in drawn[:half]])
                loss = loss + self.alpha * functional.mse_loss(replayed[:half], stored)
                loss = loss + self.beta * functional.cross_entropy(replayed[half:], old[half:])
        elif self.method == "er":
            loss = functional.cross_entropy(out, torch.cat([current, old]))
        else:
            raise ValueError(f"expected er, er_ace or derpp, found {self.method!r}")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        for name, parameter in self.module.named_parameters():
            if name in self.masks and parameter.grad is not None:
                parameter.grad.mul_(self.masks[name])
        self.optimizer.step()
        self.inputs += list(x)
        self.labels += [int(label) for label in y]
        self.logits += list(z.detach())
        return float(loss.detach())
