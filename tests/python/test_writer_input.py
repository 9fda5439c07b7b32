# What a caller can hand to the bundle writer: a dict of dicts, lists and arrays, any part of which may be anything.
# Never here: networks that are well formed but wrong (tests/fuzz/fuzz_writer.cpp changes those).
"""Hostile plans for edgecl._core.write_bundle."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
from edgecl import _core
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


class _Awkward:
    """Raises at every question."""

    def __index__(self) -> int:
        raise RuntimeError("no index")

    def __float__(self) -> float:
        raise RuntimeError("no float")

    def __bool__(self) -> bool:
        raise RuntimeError("no truth")

    def __len__(self) -> int:
        raise RuntimeError("no length")


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 5),
    st.sampled_from([2**16, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63, 2**64, -(2**63), -1, 10**5000]),
    st.floats(width=64),
    st.text(max_size=5),
    st.sampled_from(["\x00", "\ud800", "n" * 300, "conv", "reshape", "relu", "er"]),
    st.binary(max_size=5),
    st.lists(st.integers(-1, 6), max_size=9),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    st.sampled_from(
        [
            np.zeros(3, np.float32),
            np.zeros((2, 2), np.float64),
            np.arange(4, dtype=np.uint32),
            np.array([np.nan, np.inf], np.float32),
            np.zeros(0, np.float32),
            np.array(["a"]),
            np.zeros((3, 4), np.float32).T,
        ]
    ),
    st.builds(_Awkward),
)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) inside a plan."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    return [place for key in keys for place in [(value, key), *_places(value[key])]]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_plan_gives_bytes_or_a_sentence(plan: Callable[..., dict[str, Any]], data: st.DataObject) -> None:
    broken = copy.deepcopy(
        plan(density=data.draw(st.sampled_from([0.5, 1.0])), dims=data.draw(st.sampled_from([(12,), (2, 2, 3)])))
    )
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(_places(broken)))
        action = data.draw(st.sampled_from(["replace", "replace", "remove", "repeat"]))
        if action == "replace":
            container[key] = data.draw(VALUES)
        elif action == "remove":
            del container[key]
        elif isinstance(container, list):
            container.insert(key, copy.copy(container[key]))
        else:
            container[data.draw(st.text(max_size=4))] = container[key]
    try:
        bundle = _core.write_bundle(broken)
    except ValueError as error:
        assert str(error) != ""
    else:
        assert _core.Model(data=bundle).describe()["n_ops"] >= 1


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 10**6), byte=st.integers(0, 255), cut=st.integers(0, 10**6))
def test_only_sound_bundles_are_signed(make_bundle: Callable[..., bytes], at: int, byte: int, cut: int) -> None:
    good = make_bundle()
    bad = bytearray(good)
    bad[at % len(bad)] ^= byte
    for bundle in (bytes(bad), good[: cut % len(good)]):
        try:
            signed = _core.attach_signature(bundle, bytes(64))
        except ValueError as error:
            assert "expected" in str(error)
        else:
            assert bundle == good and _core.Model(data=signed).describe()["digest"]
