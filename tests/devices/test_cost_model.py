"""The cost model: known networks count right, bounds switch where they should, predictions scale as the formula says.

Never here: the figures of the boards (tests/devices/test_profiles.py).
"""

from __future__ import annotations

import pytest
from edgecl.devices import forward_operators, learn_operators, load, predict
from edgecl.devices.cost_model import BACKWARD_SHARE, DEPTHWISE_SHARE, OVERHEAD_SECONDS, SPARSE_SHARE, Operator
from edgecl.devices.reference_networks import NETWORKS

PI4 = load("rpi4")
OP = {
    "name": "c", "kind": "conv", "macs_forward": 1000, "macs_backward": 2000, "weight_bytes": 400, "input_bytes": 100,
    "output_bytes": 200, "index_bytes": 0, "sparse": False, "trainable": True,
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "gigamacs"), [("mobilenet_v1", 0.569), ("mobilenet_v2", 0.301), ("resnet18", 1.814), ("resnet50", 4.089)]
)
def test_reference_networks_count_the_published_multiply_adds(name: str, gigamacs: float) -> None:
    assert sum(op.macs for op in NETWORKS[name]()) / 1e9 == pytest.approx(gigamacs, abs=0.001)


def test_a_compute_bound_operator_takes_macs_over_the_calibrated_peak() -> None:
    op = Operator("a", "conv", 10**9, 1000, 1000, 1000)
    time = predict([op], PI4).operators[0]
    assert time.bound == "compute"
    assert time.ms == pytest.approx(1e3 * (2e9 / (14.4e9 * PI4.efficiency) + OVERHEAD_SECONDS))
    assert time.low_ms == pytest.approx(time.ms * PI4.range_low)


def test_weights_that_do_not_stay_in_cache_cost_bandwidth() -> None:
    op = Operator("a", "linear", 10, 55_000_000, 10, 10)
    time = predict([op], PI4).operators[0]
    assert time.bound == "memory" and time.ms == pytest.approx(10.0, rel=0.01)


def test_pointwise_work_in_cache_is_bound_by_loads() -> None:
    time = predict([Operator("relu", "activation", 0, 0, 200_000, 200_000)], PI4).operators[0]
    assert time.bound == "cache"


def test_threads_scale_compute_only_and_stop_at_the_cores() -> None:
    compute, memory = Operator("a", "conv", 10**9, 8, 8, 8), Operator("b", "linear", 1, 10**8, 8, 8)
    one, four, many = (predict([compute], PI4, t) for t in (1, 4, 64))
    assert one.ms / four.ms == pytest.approx(PI4.speedup(4), rel=0.01)
    assert many.ms == four.ms and many.threads == 4
    assert predict([memory], PI4, 4).ms == pytest.approx(predict([memory], PI4, 1).ms)


def test_depthwise_and_sparse_reach_a_smaller_share() -> None:
    dense = predict([Operator("a", "conv", 10**9, 8, 8, 8)], PI4).ms
    assert predict([Operator("a", "depthwise", 10**9, 8, 8, 8)], PI4).ms == pytest.approx(dense / DEPTHWISE_SHARE, 1e-3)
    sparse = OP | {"sparse": True}
    one, many = SPARSE_SHARE["conv"]
    shares = [forward_operators([sparse], rows)[0].share for rows in (1, 16, 32)]
    assert shares == pytest.approx([one, many, many])
    assert one < forward_operators([sparse], 8)[0].share < many
    backward = learn_operators([sparse], 16, momentum=False)[1]
    assert backward.share == pytest.approx(many * BACKWARD_SHARE["sparse"]) and backward.kind == "sparse conv"


def test_a_bundles_depthwise_layers_get_their_share() -> None:
    step = [predict(learn_operators([OP | {"kind": kind}], 10**6, False), PI4) for kind in ("conv", "depthwise")]
    assert [op.kind for op in step[1].operators[:2]] == ["depthwise", "depthwise"]
    for dense, depthwise in zip(step[0].operators[:2], step[1].operators[:2], strict=True):
        assert depthwise.ms == pytest.approx(dense.ms / DEPTHWISE_SHARE, 1e-3)


def test_positions_are_read_but_not_updated() -> None:
    plain, sparse = OP | {"sparse": True}, OP | {"sparse": True, "index_bytes": 200}
    forward, backward, update = learn_operators([sparse], 20, momentum=True)
    base = learn_operators([plain], 20, momentum=True)
    assert (forward.weight_bytes, forward.index_bytes, forward.bytes) == (400, 200, base[0].bytes + 200)
    assert (backward.weight_bytes, backward.index_bytes, backward.bytes) == (800, 400, base[1].bytes + 400)
    assert update == base[2] and update.bytes == 400 * 5
    out_of_cache = OP | {"sparse": True, "weight_bytes": 40_000_000}
    times = [predict(forward_operators([out_of_cache | {"index_bytes": n}], 1), PI4) for n in (0, 20_000_000)]
    assert times[1].ms == pytest.approx(1.5 * times[0].ms, 0.01)


def test_a_learn_step_is_forward_backward_and_update() -> None:
    forward, learn = forward_operators([OP], 20), learn_operators([OP], 20, momentum=False)
    assert [o.macs for o in forward] == [20_000]
    assert [o.name for o in learn] == ["c", "c (backward)", "update"]
    assert learn[1].macs == 40_000 and learn[2].bytes == 400 * 2 + 400
    frozen = learn_operators([OP | {"macs_backward": 0, "trainable": False}], 20, momentum=False)
    assert [o.name for o in frozen] == ["c", "update"] and frozen[1].bytes == 0


def test_a_prediction_adds_its_operators_up() -> None:
    whole = predict(NETWORKS["mobilenet_v2"](), PI4)
    assert whole.ms == pytest.approx(sum(op.ms for op in whole.operators))
    assert whole.low_ms < whole.ms < whole.high_ms
    assert whole.gflops == pytest.approx(2 * whole.macs / whole.ms / 1e6)
