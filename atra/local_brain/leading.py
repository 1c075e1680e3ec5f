"""Whether repairs come sooner where a brain says where to look first: the same repairs, with its leads and without."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from atra.local_brain.gate import alpha_of, mcnemar


@dataclass(frozen=True)
class Replayed:
    """How many candidates come up to the one that was proved, without leads and with them."""

    run_id: str
    without: int
    led: int


@dataclass(frozen=True)
class Measured:
    """What leads did to repairs.

    Args:
        fewer, more: in how many it took fewer candidates, or more.
        without, led: the median of candidates.
        looks: how often brains were measured so, this time included.
        helps: whether the repairs that came sooner are more than chance has it, and so many that it is worth a call.
    """

    repairs: int
    fewer: int
    more: int
    without: float
    led: float
    p_value: float
    looks: int
    helps: bool


def measure(replayed: Sequence[Replayed], *, tries: int = 0, alpha: float = 0.05, least: float = 0.1) -> Measured:
    """Judge by an exact one-sided sign test, and by the candidates that are saved over all.

    Args:
        tries: how often brains were measured on such repairs before; all together spend at most `alpha`.
        least: the least share of all candidates that must be saved.
    """
    fewer, more = sum(one.led < one.without for one in replayed), sum(one.led > one.without for one in replayed)
    p_value = mcnemar(fewer, more)
    spent, spent_led = sum(one.without for one in replayed), sum(one.led for one in replayed)
    return Measured(
        len(replayed),
        fewer,
        more,
        median(one.without for one in replayed) if replayed else 0.0,
        median(one.led for one in replayed) if replayed else 0.0,
        p_value,
        tries + bool(replayed),
        p_value < alpha_of(tries, alpha) and spent_led <= (1 - least) * spent,
    )
