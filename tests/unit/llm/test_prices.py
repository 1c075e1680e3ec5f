"""What models cost: the table, what wins over it, and the sum."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atra.core.settings import ModelSettings
from atra.llm.prices import FREE, Price, _table, cost, is_loopback, price_of
from atra.llm.records import Usage


def settings(provider: str, model: str, **more: object) -> ModelSettings:
    """Return the settings of a model."""
    return ModelSettings.model_validate({"provider": provider, "model": model, **more})


@pytest.mark.parametrize(
    ("provider", "model", "price"),
    [
        ("openai", "gpt-5", Price(1.25, 0.125, 10.0)),
        ("openai", "gpt-5-2025-08-07", Price(1.25, 0.125, 10.0)),
        ("openai", "gpt-5-mini-2025-08-07", Price(0.25, 0.025, 2.0)),
        ("anthropic", "claude-haiku-4-5-20251001", Price(1.0, 0.1, 5.0)),
        ("openai", "gpt-50", None),
        ("openai", "gpt-5-pro", None),
        ("openai", "gpt-5.6-sol", None),
        ("openai", "gpt-5.2-pro-2025-12-11", None),
        ("openai", "claude-haiku-4-5", None),
        ("openai-compatible", "gpt-5", None),
        ("anthropic", "claude-haiku-4-50", None),
        ("local", "/models/gpt-5", FREE),
    ],
)
def test_a_price_is_that_of_the_family_or_none(provider: str, model: str, price: Price | None) -> None:
    """Dated versions are the model; cousins are not, however alike their names."""
    assert price_of(settings(provider, model)) == price


@pytest.mark.parametrize(
    ("more", "price"),
    [
        ({"input_usd": 2, "output_usd": 3}, Price(2, 2, 3)),
        ({"input_usd": 2}, Price(2, 2, 10.0)),
        ({"output_usd": 3}, Price(1.25, 0.125, 3)),
        ({"input_usd": 0, "output_usd": 0}, FREE),
        ({"base_url": "http://127.0.0.1:9/v1"}, FREE),
        ({"base_url": "http://127.0.0.1:9/v1", "input_usd": 2, "output_usd": 3}, Price(2, 2, 3)),
    ],
)
def test_settings_win(more: dict[str, object], price: Price) -> None:
    """Over the table, and over a proxy on this machine being free."""
    assert price_of(settings("openai", "gpt-5", **more)) == price


def test_half_a_price_is_none() -> None:
    """What one side costs says nothing of the other."""
    assert price_of(settings("openai-compatible", "x", base_url="https://far.example/v1", input_usd=1)) is None


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("http://localhost:8000/v1", True),
        ("http://127.8.9.1", True),
        ("http://[::1]:8000/v1", True),
        ("https://localhost.example.org/v1", False),
        ("http://127.0.0.1.example.org", False),
        ("http://127.0.0.1@far.example/v1", False),
        ("http://192.168.1.4:8000", False),
        ("http://0.0.0.0:8000", False),
        ("not an address", False),
        (None, False),
    ],
)
def test_this_machine_is_told_from_others(url: str | None, own: bool) -> None:
    """What only looks like this machine is not free."""
    assert is_loopback(url) is own


def test_cached_input_is_cheaper() -> None:
    """1000 tokens read, 400 of them cached, 100 written."""
    assert cost(Usage(1000, 100, 400), Price(10.0, 1.0, 50.0)) == pytest.approx(0.0114)


@given(st.builds(Usage, *[st.integers(0, 10**7)] * 4), st.builds(Price, *[st.floats(0, 1000)] * 3))
def test_a_cost_is_never_negative(usage: Usage, price: Price) -> None:
    """Not even where a server says that more was cached than read."""
    assert cost(usage, price) >= 0


def test_the_table_holds_what_it_says() -> None:
    """Each model once, cached input not dearer than input, and no name that a dated version would hide behind."""
    for (provider, model), price in _table().items():
        assert provider in ("openai", "anthropic")
        assert not re.search(r"-\d{4}-\d{2}-\d{2}$|-\d{8}$", model)
        assert 0 < price.cached_input_usd < price.input_usd < price.output_usd
    assert len(_table()) >= 19
