"""A block of a transformer as people write it in PyTorch, for networks of benchmarks and of the model zoo.

Never here: whole networks.
"""

from __future__ import annotations

from torch import Tensor, nn


class Attention(nn.Module):
    """Self-attention with several heads (Vaswani et al. 2017), written out."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads, self.qkv, self.out = heads, nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        n, t, f = x.shape
        q, k, v = self.qkv(x).reshape(n, t, 3, self.heads, f // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        weights = (q @ k.transpose(-2, -1) * (f / self.heads) ** -0.5).softmax(-1)
        out: Tensor = self.out((weights @ v).transpose(1, 2).reshape(n, t, f))
        return out


class Block(nn.Module):
    """Attention and a network of two layers, `wider` times as wide inside, each behind a norm and added."""

    def __init__(self, dim: int, heads: int, wider: int = 4) -> None:
        super().__init__()
        self.attention, self.norm1, self.norm2 = Attention(dim, heads), nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, wider * dim), nn.GELU(), nn.Linear(wider * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out
