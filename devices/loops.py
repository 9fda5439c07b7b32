"""Simulated inner loops (loops.json) and how the dense register tile cuts a layer: from work to cycles.

Never here: memory, clocks of devices, and the simulation (tools/dev/simulate_loops.py).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from typing import Any

VECTOR_FLOATS = {"reference": 1, "neon": 4, "x86-64-v1": 4, "x86-64-v3": 8, "x86-64-v4": 16}
MOST_ROWS, MOST_VECTORS = 8, 12  # of a register tile (kernels/simd/gemm_tile.h)
# What the simulation does not have: a tile's start and end outside its loop, in cycles, and for each of its vectors.
TILE_CYCLES, TILE_VECTOR_CYCLES = 20.0, 1.5
UNKNOWN_SHARE = 0.5  # of the bound, for loops that were not simulated on a core


@dataclass(frozen=True)
class Loops:
    """Shares of a core's bound that its loops reach, by kind of loop; of the dense tile by "rows x vectors"."""

    core: str
    model: str  # of the simulator, in words
    multiply_adds_per_cycle: float
    shares: dict[str, float] = field(default_factory=dict)
    scalar_cycles: dict[str, float] = field(default_factory=dict)  # of scalar kernels: cycles a multiply-add
    float_cycles: dict[str, float] = field(default_factory=dict)  # of loops that only stream: cycles a float
    tiles: dict[tuple[int, int], float] = field(default_factory=dict)

    def share(self, kind: str) -> float:
        """The share of the bound of a kind of loop."""
        return self.shares.get(kind, self.shares.get("conv", UNKNOWN_SHARE))


@lru_cache
def document() -> dict[str, Any]:
    """loops.json: date, simulator, compilers, cores."""
    text = (resources.files("edgecl.devices") / "loops.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


@lru_cache
def loops_of(core: str) -> Loops:
    """The loops of a core; one without any (every share is UNKNOWN_SHARE) for a core that was not simulated."""
    entry = document()["cores"].get(core)
    if entry is None:
        return Loops(core, "none", 1.0)
    loops = entry["loops"].items()
    scalar = "tiles" not in entry
    return Loops(
        core=core,
        model=entry["model"],
        multiply_adds_per_cycle=entry["multiply_adds_per_cycle"],
        shares={name: row["share_of_bound"] for name, row in loops if "share_of_bound" in row},
        scalar_cycles={n: r["cycles"] / r["multiply_adds"] for n, r in loops if scalar and "multiply_adds" in r},
        float_cycles={name: row["cycles"] / row["floats"] for name, row in loops if "floats" in row},
        tiles={
            (int(rows), int(vectors)): share
            for (rows, vectors), share in ((size.split("x"), share) for size, share in entry.get("tiles", {}).items())
        },
    )


def _cut(n: int, largest: int) -> tuple[int, int, int]:
    """n in blocks of at most `largest`: (blocks, the shorter size, how many are one longer)."""
    blocks = -(-n // largest)
    return blocks, n // blocks, n % blocks


def _step_cost(rows: int, vectors: int, floats: int) -> int:
    """Half cycles of a step of a tile, as the kernel estimates them to choose (kernels/simd/gemm_tile.cpp)."""
    wide = 2 if floats == 16 else 1
    return max(wide * rows * vectors, wide * vectors + rows, 8) + 1


@lru_cache(maxsize=4096)
def tile_grid(
    rows: int, vectors: int, floats: int, sizes: frozenset[tuple[int, int]]
) -> tuple[tuple[int, int, int], ...]:
    """How `rows` x `vectors` are cut into tiles of `sizes`: (count, rows, vectors) of each size that occurs."""
    best: tuple[tuple[int, int, int], ...] = ()
    best_cost = 0
    for r in range(1, min(rows, MOST_ROWS) + 1):
        down = _cut(rows, r)
        for q in range(1, min(vectors, MOST_VECTORS) + 1):
            across = _cut(vectors, q)
            blocks = [
                (n * m, a, b)
                for n, a in ((down[0] - down[2], down[1]), (down[2], down[1] + 1))
                for m, b in ((across[0] - across[2], across[1]), (across[2], across[1] + 1))
                if n * m
            ]
            if not all((a, b) in sizes for _, a, b in blocks):
                continue
            cost = sum(n * _step_cost(a, b, floats) for n, a, b in blocks)
            if not best or cost < best_cost:
                best, best_cost = tuple(blocks), cost
    return best


def tile_cycles(loops: Loops, rows: int, vectors: int, depth: float, floats: int, bound: float) -> float:
    """Cycles of a matrix of `rows` x `vectors` vectors, each number a chain of `depth` multiply-adds.

    `floats`: of a vector; `bound`: multiply-adds a cycle of the core.
    """
    if not loops.tiles:
        return rows * vectors * floats * depth / (bound * loops.share("conv"))
    total = 0.0
    for count, r, q in tile_grid(rows, vectors, floats, frozenset(loops.tiles)):
        step = r * q * floats / (bound * loops.tiles[r, q])
        total += count * (depth * step + TILE_CYCLES + TILE_VECTOR_CYCLES * r * q)
    return total
