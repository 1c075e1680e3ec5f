"""Which sources a question goes to, and what is said of the others."""

import itertools

import pytest

from atra.orchestrator.answers import Sources, route

ORDER = ("cache", "local", "cloud", "extractive")


@pytest.mark.parametrize("there", list(itertools.product([True, False], repeat=4)))
def test_each_source_is_asked_in_order_or_said_why_not(there: tuple[bool, ...]) -> None:
    sources = Sources(**{name: "" if here else f"no {name}" for name, here in zip(ORDER, there, strict=True)})
    way = route(sources)
    assert way.asked == tuple(name for name, here in zip(ORDER, there, strict=True) if here)
    assert way.passed == tuple(f"{name}: no {name}" for name, here in zip(ORDER, there, strict=True) if not here)
