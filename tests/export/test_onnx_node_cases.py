# ONNX's node tests of every supported operator: all pass but those of the table of exclusions, which must be up to
# date.
# Never here: how a case becomes a model (node_cases.py).
from __future__ import annotations

import node_cases
import pytest

TESTS = node_cases.node_tests()


@pytest.mark.parametrize("name", [name for name in TESTS if node_cases.exclusion(name) is None])
def test_case_on_the_plan(name: str) -> None:
    node_cases.run(node_cases.adapt(TESTS[name]), node_cases.interpret)


@pytest.mark.parametrize("name", [name for name in TESTS if node_cases.exclusion(name) is None])
def test_case_on_the_device(name: str) -> None:
    pytest.importorskip("edgecl._core")
    node_cases.run(node_cases.adapt(TESTS[name]), node_cases.device)


@pytest.mark.parametrize("name", [name for name in TESTS if node_cases.exclusion(name) is not None])
def test_excluded_case_does_not_pass(name: str) -> None:
    with pytest.raises((TypeError, ValueError, IndexError, AssertionError)):
        node_cases.run(node_cases.adapt(TESTS[name]), node_cases.interpret)


def test_every_exclusion_has_a_case() -> None:
    reasons = {node_cases.exclusion(name) for name in TESTS}
    assert set(node_cases.EXCLUDED.values()) <= reasons


def test_count() -> None:
    """The figure that the documentation gives; printed by tools/dev/onnx_cases.py."""
    runnable = sum(node_cases.exclusion(name) is None for name in TESTS)
    assert runnable >= 439
