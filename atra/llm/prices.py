"""What models cost: the price table of `prices.json`, the entries of `atra.toml` that win over it, and the sum.

A price is known or None, never guessed: a model stands for itself and for its dated versions, not for its cousins.
"""

import json
import re
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from ipaddress import ip_address
from urllib.parse import urlsplit

from atra.core.settings import ModelSettings
from atra.llm.records import Usage

DATED = re.compile(r"(-\d{4}-\d{2}-\d{2}|-\d{8}|-latest)$")


@dataclass(frozen=True)
class Price:
    """US dollars per million tokens."""

    input_usd: float
    cached_input_usd: float
    output_usd: float


FREE = Price(0.0, 0.0, 0.0)


def price_of(settings: ModelSettings) -> Price | None:
    """Return what the model costs; None where nobody has said it.

    What the settings say wins, then a model on this machine is free, then the table counts. Prices in the settings know
    no discount for cached input. A proxy on this machine that forwards to a paid provider needs its prices there.
    """
    input_usd, output_usd = settings.input_usd, settings.output_usd
    if input_usd is not None and output_usd is not None:
        return Price(input_usd, input_usd, output_usd)
    price = _listed(settings)
    if price and input_usd is not None:
        price = replace(price, input_usd=input_usd, cached_input_usd=input_usd)
    if price and output_usd is not None:
        price = replace(price, output_usd=output_usd)
    return price


def cost(usage: Usage, price: Price) -> float:
    """Return what this usage costs, in US dollars."""
    cached = min(usage.cached_input_tokens, usage.input_tokens)
    full = (usage.input_tokens - cached) * price.input_usd
    return (full + cached * price.cached_input_usd + usage.output_tokens * price.output_usd) / 1_000_000


def is_loopback(url: str | None) -> bool:
    """Say whether the address is this machine's own; names other than localhost are not looked up."""
    try:
        host = urlsplit(url or "").hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _listed(settings: ModelSettings) -> Price | None:
    if settings.provider == "local" or is_loopback(settings.base_url):
        return FREE
    return _table().get((settings.provider, DATED.sub("", settings.model)))


@cache
def _table() -> dict[tuple[str, str], Price]:
    rows = json.loads(files("atra.llm").joinpath("prices.json").read_text(encoding="utf-8"))["prices"]
    return {(row["provider"], row["model"]): Price(row["input"], row["cached_input"], row["output"]) for row in rows}
