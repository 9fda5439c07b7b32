"""The cost model: known networks count right, bounds switch where they should, predictions scale as the formula says.

Never here: the figures of the boards (tests/devices/test_profiles.py).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from edgecl import _core
from edgecl.cli.results import read_table
from edgecl.devices import Device, forward_operators, learn_operators, load, loops, predict
from edgecl.devices.calibrate import with_figures
from edgecl.devices.cost_model import OVERHEAD_SECONDS, compute_cycles
from edgecl.devices.int8_cycles import CORES, CYCLES
from edgecl.devices.operators import Operator
from edgecl.devices.reference_networks import NETWORKS, with_winograd

ROOT = Path(__file__).resolve().parents[2]
PI3, PI4, M7 = load("rpi3"), load("rpi4"), load("stm32f767")
OP = {
    "name": "c", "kind": "conv", "macs_forward": 1000, "macs_backward": 2000, "weight_bytes": 400, "input_bytes": 100,
    "output_bytes": 200, "index_bytes": 0, "sparse": False, "trainable": True,
}  # fmt: skip


def convolution(
    taps: int = 9, channels: int = 64, side: int = 28, inputs: int = 64, stride: int = 1
) -> dict[str, object]:
    """A square convolution as a bundle describes it."""
    weights, positions = channels * inputs * taps, side * side
    return OP | {
        "macs_forward": weights * positions, "macs_backward": 2 * weights * positions, "weight_bytes": 4 * weights,
        "input_bytes": 4 * inputs * positions * stride**2, "output_bytes": 4 * channels * positions,
    }  # fmt: skip


def depthwise(taps: int, channels: int = 64, side: int = 28, stride: int = 1) -> dict[str, object]:
    found = convolution(taps, channels, side, 1, stride) | {"kind": "depthwise"}
    return found | {"input_bytes": 4 * channels * side**2 * stride**2}


@pytest.mark.parametrize(
    ("name", "gigamacs"),
    [
        ("mobilenet_v1", 0.569),
        ("mobilenet_v2", 0.301),
        ("resnet18", 1.814),
        ("resnet50", 4.089),
        ("efficientnet_b0", 0.386),
    ],
)
def test_reference_networks_count_the_published_multiply_adds(name: str, gigamacs: float) -> None:
    assert sum(op.macs for op in NETWORKS[name]()) / 1e9 == pytest.approx(gigamacs, abs=0.001)


def test_winograds_method_takes_a_quarter_of_the_products_and_more_weights() -> None:
    direct, fast = NETWORKS["resnet18"](), with_winograd(NETWORKS["resnet18"]())
    one = next(op for op in direct if op.taps == 9 and op.channels == 256 and op.stride == 1)
    other = next(op for op in fast if op.name == one.name)
    assert other.macs == 16 * 36 * 256 * 256 and one.macs == 196 * 9 * 256 * 256, "14 x 14 in 4 x 4 tiles"
    assert other.weight_bytes == one.weight_bytes * 4
    assert [op for op in fast if op.stride == 2] == [op for op in direct if op.stride == 2]


@pytest.mark.parametrize("taps", [1, 9, 25, 49])
@pytest.mark.parametrize("stride", [1, 2])
def test_the_window_is_found_from_counts(taps: int, stride: int) -> None:
    for rows in (1, 10):
        found = forward_operators([convolution(taps, 24, 14, 16, stride)], rows)[0]
        assert (found.channels, found.positions, found.taps, found.stride) == (24, 196 * rows, taps, stride)
        assert found.depth == 16 * taps
    if taps in (9, 25):
        found = forward_operators([depthwise(taps, 24, 14, stride)], 1)[0]
        assert (found.channels, found.positions, found.taps, found.stride, found.depth) == (24, 196, taps, stride, taps)


@pytest.mark.parametrize(
    ("taps", "channels", "side", "stride", "measured"),  # cycles a channel of one batch row, x86-64-v4, 2026-11-28
    [(25, 1152, 7, 1, 110), (25, 672, 14, 1, 390), (25, 144, 28, 2, 2650), (9, 480, 14, 1, 198), (9, 240, 14, 2, 406)],
)
def test_one_row_of_a_depthwise_layer_takes_what_was_measured_on_wide_vectors(
    taps: int, channels: int, side: int, stride: int, measured: float
) -> None:
    units = {name: replace(PI4.figures[name], value=64.0) for name in ("vector_bytes", "flop_per_cycle")}
    wide = replace(PI4, core="x86-64-v4", architecture="x86_64", figures={**PI4.figures, **units})
    one, ten = (forward_operators([depthwise(taps, channels, side, stride)], rows)[0] for rows in (1, 10))
    assert compute_cycles(one, wide) / channels == pytest.approx(measured, rel=0.3)
    assert compute_cycles(ten, wide) != pytest.approx(10 * compute_cycles(one, wide)), "several rows are the lanes"


def test_a_dense_layer_takes_macs_over_the_share_of_its_tiles() -> None:
    found = forward_operators([convolution(1, 64, 32, 256)], 1)[0]
    cycles = compute_cycles(found, PI4)
    tiles = loops.loops_of("cortex-a72").tiles
    grid = loops.tile_grid(64, 256, 4, frozenset(tiles))
    assert sum(n * r * q for n, r, q in grid) == 64 * 256, "tiles cover the layer once"
    least = sum(n * r * q * 4 * 256 / (4 * tiles[r, q]) for n, r, q in grid)
    assert least < cycles < 1.1 * least, "the rest is starts and ends of tiles"
    ms = predict([found], PI4).ms
    assert ms == pytest.approx(1e3 * (cycles / (PI4.clock_hz * PI4.efficiency) + OVERHEAD_SECONDS))


def test_vectors_that_are_not_full_cost_as_full_ones() -> None:
    ragged, full = (forward_operators([convolution(1, 64, side, 256)], 1)[0] for side in (7, 8))
    per_mac = [compute_cycles(op, replace(PI4, core="x86-64-v4")) / op.macs for op in (ragged, full)]
    assert per_mac[0] > per_mac[1]


def test_a_range_multiplies() -> None:
    time = predict([forward_operators([convolution()], 1)[0]], PI4).operators[0]
    assert time.bound == "compute" and time.low_ms == pytest.approx(time.ms * PI4.range_low)
    assert time.high_ms == pytest.approx(time.ms * PI4.range_high)


def test_weights_that_do_not_stay_in_cache_cost_bandwidth() -> None:
    op = Operator("a", "linear", 10, 55_000_000, 10, 10)
    time = predict([op], PI4).operators[0]
    assert time.bound == "memory" and time.ms == pytest.approx(10.0, rel=0.01)


def test_frozen_weights_of_a_microcontroller_come_from_flash() -> None:
    op = Operator("a", "linear", 10, 432_000, 10, 10, frozen=True)
    assert predict([op], M7).ms == pytest.approx(1.0, rel=0.02), "432 MB/s"
    trained = predict([replace(op, frozen=False)], M7).ms
    assert trained == pytest.approx(0.5, rel=0.03), "864 MB/s"


def test_an_in_order_core_waits_for_memory() -> None:
    found = replace(forward_operators([convolution(1, 256, 16, 256)], 1)[0], weight_bytes=14_000_000)
    for board, low, high in ((PI3, 0.98, 1.02), (PI4, 0.0, 0.9)):
        parts = [predict([replace(found, weight_bytes=0)], board).ms, predict([replace(found, macs=1)], board).ms]
        assert low * sum(parts) < predict([found], board).ms < high * sum(parts)


def test_an_out_of_order_core_hides_the_shared_caches_time_but_not_drams() -> None:
    private, shared = 1e6, 1e10
    figures = {"l2_bytes": private, "llc_bandwidth_bytes_per_s": shared}
    device = with_figures(PI4, llc_bytes=4e6, **figures)
    plain = with_figures(PI4, llc_bytes=4e6)

    def norm(floats: int) -> Operator:
        return Operator("n", "batch_norm", 0, 0, 4 * floats, 4 * floats)

    def seconds(op: Operator, on: Device) -> float:
        return predict([op], on).ms / 1e3 - OVERHEAD_SECONDS

    cached, streamed = norm(300_000), norm(1_000_000)
    compute = seconds(cached, plain)
    assert seconds(cached, device) == pytest.approx(max(compute, cached.bytes / shared))
    work = seconds(streamed, with_figures(PI4, llc_bytes=1e9))
    assert seconds(streamed, device) == pytest.approx(work + streamed.bytes / device.bandwidth_bytes_per_s)


def test_threads_scale_compute_only_and_stop_at_the_cores() -> None:
    compute = forward_operators([convolution()], 1)[0]
    memory = Operator("b", "linear", 1, 10**8, 8, 8)
    one, four, many = (predict([compute], PI4, t) for t in (1, 4, 64))
    assert one.ms / four.ms == pytest.approx(PI4.speedup(4), rel=0.01)
    assert many.ms == four.ms and many.threads == 4
    assert predict([memory], PI4, 4).ms == pytest.approx(predict([memory], PI4, 1).ms)


@pytest.mark.parametrize("device", ["rpi3", "rpi4", "rpi5", "stm32f407", "stm32h743"])
def test_kinds_differ_as_their_loops_do(device: str) -> None:
    board = load(device)
    dense, narrow = convolution(), depthwise(9)
    sparse = dense | {k: dense[k] // 10 for k in ("macs_forward", "macs_backward", "weight_bytes")} | {"sparse": True}
    per_mac = [predict(forward_operators([op], 1), board).ms / op["macs_forward"] for op in (dense, narrow, sparse)]
    assert per_mac[2] > per_mac[0], "a sparse multiply-add costs more than a dense one"
    assert predict(forward_operators([sparse], 16), board).ms < predict(forward_operators([dense], 16), board).ms
    if "neon" in board.level:
        assert per_mac[1] > per_mac[0]


@pytest.mark.parametrize(
    ("device", "preset"), [("stm32f407", "cortex-m4"), ("stm32f767", "cortex-m7"), ("corstone-300", "cortex-m55")]
)
def test_int8_layers_of_firmware_cost_what_the_emulator_counts(device: str, preset: str) -> None:
    board, (rows, bundle) = load(device), (4, ROOT / "devices/firmware/bundles/keyword_gradient.ecl")
    counted = {row["preset"]: row for row in read_table(ROOT / "tools/bench/results/firmware_size.json")["rows"]}
    instructions = counted[preset]["instructions"]["keyword_gradient, predict"]
    ops = [op for op in forward_operators(_core.Model(path=str(bundle)).ops(), rows) if op.kind in CORES[preset]]
    assert len(ops) == 9
    cycles = sum(compute_cycles(op, board) for op in ops)
    assert cycles / CYCLES[preset] == pytest.approx(instructions, rel=0.08)


def test_rates_that_were_measured_count() -> None:
    calibrated = replace(PI4, rates=(("conv", 1.0), ("sparse conv", 0.5), ("pointwise weight gradient", 0.25)))
    sparse = convolution() | {"sparse": True}
    for op, factor in ((convolution(), 1), (sparse, 2)):
        plain, slower = (predict(forward_operators([op], 1), d).ms - 1e-3 for d in (PI4, calibrated))
        assert slower == pytest.approx(factor * plain)
    step = [predict(learn_operators([convolution(1)], 4, False), d).operators[1].ms - 1e-3 for d in (PI4, calibrated)]
    assert step[1] == pytest.approx(4 * step[0])


def test_positions_are_read_but_not_updated() -> None:
    plain, sparse = OP | {"sparse": True}, OP | {"sparse": True, "index_bytes": 200}
    forward, weight, data, update = learn_operators([sparse], 20, momentum=True)
    base = learn_operators([plain], 20, momentum=True)
    assert (forward.weight_bytes, forward.index_bytes, forward.bytes) == (400, 200, base[0].bytes + 200)
    assert weight.index_bytes == data.index_bytes == 200
    assert update == base[3] and update.bytes == 400 * 5
    out_of_cache = OP | {"sparse": True, "weight_bytes": 40_000_000}
    times = [predict(forward_operators([out_of_cache | {"index_bytes": n}], 1), PI4) for n in (0, 20_000_000)]
    assert times[1].ms == pytest.approx(1.5 * times[0].ms, 0.01)


def test_a_learn_step_is_forward_backward_and_update() -> None:
    forward, learn = forward_operators([OP], 20), learn_operators([OP], 20, momentum=False)
    assert [o.macs for o in forward] == [20_000]
    assert [(o.name, o.direction, o.macs) for o in learn[:3]] == [
        ("c", "forward", 20_000), ("c (backward)", "weight gradient", 20_000),
        ("c (backward)", "input gradient", 20_000),
    ]  # fmt: skip
    assert learn[3].kind == "update" and learn[3].bytes == 400 * 2 + 400
    first = learn_operators([OP | {"macs_backward": 1000}], 20, momentum=False)
    assert [o.direction for o in first[:2]] == ["forward", "weight gradient"], "nothing learns before it"
    frozen = learn_operators([OP | {"macs_backward": 0, "trainable": False}], 20, momentum=False)
    assert [o.name for o in frozen] == ["c", "update"] and frozen[1].bytes == 0


def test_what_lies_behind_a_layer_that_learns_passes_gradients_on() -> None:
    pool = OP | {
        "name": "p",
        "kind": "max_pool",
        "macs_forward": 0,
        "macs_backward": 0,
        "weight_bytes": 0,
        "trainable": False,
    }
    names = [o.name for o in learn_operators([pool, OP, pool | {"name": "q"}], 4, momentum=False)]
    assert names == ["p", "c", "q", "q (backward)", "c (backward)", "c (backward)", "update"]


def test_a_prediction_adds_its_operators_up() -> None:
    whole = predict(NETWORKS["mobilenet_v2"](), PI4)
    assert whole.ms == pytest.approx(sum(op.ms for op in whole.operators))
    assert whole.low_ms < whole.ms < whole.high_ms
    assert whole.gflops == pytest.approx(2 * whole.macs / whole.ms / 1e6)


def test_simulated_loops_say_with_what_they_were_made() -> None:
    document = loops.document()
    assert document["date"] >= "2026-11-28" and "LLVM" in document["simulator"] and document["compilers"]
    for core in ("cortex-a53", "cortex-a72", "cortex-a76"):
        found = loops.loops_of(core)
        assert all(0 < share <= 1.001 for share in [*found.shares.values(), *found.tiles.values()])
        assert max(found.tiles.values()) > 0.3 and "sparse conv" in found.shares and "depthwise 3x3" in found.shares
    assert loops.loops_of("cortex-a76").multiply_adds_per_cycle == pytest.approx(8, rel=0.01)
    assert loops.loops_of("unknown").share("conv") == loops.UNKNOWN_SHARE


def test_few_rows_share_the_tree_of_a_sparse_linear_weight_gradient() -> None:
    def cycles_a_product(rows: int) -> float:
        layer = OP | {
            "kind": "linear", "sparse": True, "macs_forward": 100_000, "macs_backward": 200_000,
            "weight_bytes": 400_000, "index_bytes": 200_000, "input_bytes": 4000, "output_bytes": 4000,
        }  # fmt: skip
        found = next(op for op in learn_operators([layer], rows, momentum=False) if op.direction == "weight gradient")
        return compute_cycles(found, PI4) / found.macs

    # Five vectors of rows and the tree's five, against sixteen and five: 1.52 times as long, without what a row costs.
    assert 1.5 < cycles_a_product(20) / cycles_a_product(64) < 1.6
