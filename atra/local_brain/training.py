"""How a brain is trained, and what is done when that ends: pure decisions, no library of learning is loaded here.

A training is tried in attempts, each a process of its own. Each claim of its step writes its checkpoints into a folder
that is named by the claim's fence, so one who lost the step without knowing it can disturb nobody.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

Method = Literal["lora", "full"]
Working = Literal["kept", "none", "filler"]
Outcome = Literal["done", "stopped", "memory", "diverged", "data", "device", "crashed"]

MOST_SHRINKS, MOST_CRASHES = 3, 3


@dataclass(frozen=True)
class Recipe:
    """What is trained, and how; together with a data set it says what comes out, to the bit where the machine is.

    Args:
        base: the folder of the model that training begins with, or its name on the hub.
        method: `lora` trains an adapter, `full` all weights.
        steps: of the optimiser; with 0 so many that every row is seen `epochs` times.
        learning_rate: 0 for what suits the method.
        rows_per_step: rows that one step learns from, over all devices; what memory does not hold at once is gathered.
        micro_batch: rows that a device takes at once.
        longest_tokens: a longer row is left out, for one that is cut off teaches never to end.
        packing: several short rows in one sequence, told apart by their positions.
        save_steps: how often a checkpoint is written.
        working: `none` leaves the working out and `filler` puts dots in its place; only to measure what it is worth.
    """

    base: str
    method: Method = "lora"
    epochs: float = 3.0
    steps: int = 0
    learning_rate: float = 0.0
    rows_per_step: int = 16
    micro_batch: int = 8
    longest_tokens: int = 4096
    packing: bool = False
    save_steps: int = 100
    lora_rank: int = 16
    seed: int = 0
    working: Working = "kept"

    @property
    def rate(self) -> float:
        """The learning rate that is used."""
        return self.learning_rate or (2e-4 if self.method == "lora" else 2e-5)

    def gathered(self, devices: int) -> int:
        """Return over how many micro-batches of each device one step gathers; at least one."""
        return max(1, -(-self.rows_per_step // (self.micro_batch * devices)))


@dataclass(frozen=True)
class Result:
    """How an attempt ended; `why` in words, empty where all is well.

    Outcomes: `done`; `stopped` by a signal or because its owner is gone, with a checkpoint; `memory` of the device was
    too small; `diverged`: the loss is no number, or far above where it began; `data`: nothing to learn from, or a
    template that loses the working; `device`: the node has none that may be used; `crashed`: anything else.
    """

    outcome: Outcome
    why: str = ""
    step: int = 0
    tokens: int = 0
    left_out: int = 0


@dataclass(frozen=True)
class Tries:
    """What went wrong so far, in all attempts of one claim; `step` is where the last crash was."""

    shrinks: int = 0
    slowed: bool = False
    crashes: int = 0
    step: int = -1


@dataclass(frozen=True)
class Again:
    """Another attempt, with this recipe; `anew` from the beginning, else from the last checkpoint."""

    recipe: Recipe
    tries: Tries
    anew: bool = False


def after(recipe: Recipe, result: Result, tries: Tries) -> Again | None:
    """Return what to try after an attempt that ended otherwise than `done` or `stopped`; None where nothing helps.

    Too little memory: half the rows at once and twice as many turns, which learns the same. A loss that diverged: half
    the rate, once, from the beginning, for the checkpoints lead there. A crash: the same again, while it gets further.
    """
    if result.outcome == "memory" and recipe.micro_batch > 1 and tries.shrinks < MOST_SHRINKS:
        smaller = replace(recipe, micro_batch=recipe.micro_batch // 2)
        return Again(smaller, replace(tries, shrinks=tries.shrinks + 1))
    if result.outcome == "diverged" and not tries.slowed:
        slower = replace(recipe, learning_rate=recipe.rate / 2)
        return Again(slower, replace(tries, slowed=True), anew=True)
    if result.outcome == "crashed":
        crashes = 1 if result.step > tries.step else tries.crashes + 1
        if crashes < MOST_CRASHES:
            return Again(recipe, replace(tries, crashes=crashes, step=max(result.step, tries.step)))
    return None


def diverging(first: float, losses: list[float]) -> bool:
    """Say whether a training is lost: the last loss is no number, or the last five are twice as high as the first."""
    if not losses:
        return False
    if losses[-1] != losses[-1] or losses[-1] in (float("inf"), float("-inf")):
        return True
    return len(losses) > 5 and min(losses[-5:]) > 2 * first


def told(recipe: Recipe, asked: Recipe) -> Mapping[str, object]:
    """Return the settings that a version's lineage names: those that were asked for, and the rate that was used.

    How many rows a device took at once is left out: it changes nothing that is learned, and depends on the machine.
    """
    shown = {**vars(asked), "learning_rate": recipe.rate}
    return {name: value for name, value in shown.items() if name not in {"base", "micro_batch", "save_steps"}}
