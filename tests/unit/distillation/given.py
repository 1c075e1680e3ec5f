"""What tests of curation share: traces that nothing is wrong with, and a curation of them."""

import random
from dataclasses import replace

from atra.distillation.curation import Bounds, Curation
from atra.distillation.policy import policy_of
from atra.distillation.screening import Screen
from atra.distillation.tokens import Estimate
from atra.distillation.traces import Origin, Trace

WORDS = (
    "cart",
    "total",
    "price",
    "order",
    "item",
    "stock",
    "basket",
    "customer",
    "invoice",
    "payment",
    "address",
    "delivery",
    "reason",
    "because",
    "then",
    "first",
    "after",
    "before",
    "adds",
    "takes",
    "checks",
    "counts",
)


def trace(number: int = 0, **changes: object) -> Trace:
    """Return a trace of its own words, the same for the same number."""
    chosen = random.Random(number)

    def said(count: int) -> str:
        return " ".join(f"{chosen.choice(WORDS)}{chosen.choice(('', '', number))}" for _ in range(count))

    made = Trace(f"Why {said(12)}?", f"Since {said(40)}.", f"It is {said(10)}.", "raw", Origin("local", "folder"))
    return replace(made, **changes)  # type: ignore[arg-type]


def curation(**changes: object) -> Curation:
    """Return a curation under the rules that ATRA is shipped with."""
    made = Curation(Bounds(), policy_of(), Estimate(), Screen())
    return replace(made, dropped=type(made.dropped)(), **changes)  # type: ignore[arg-type]
