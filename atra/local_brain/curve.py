"""The loss over the steps of a training, as a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from atra.core.errors import MissingPart


def draw(history: Sequence[Mapping[str, Any]], file: Path, title: str) -> None:
    """Write the loss by step as a PNG.

    Args:
        history: what the trainer told, with `step`, `loss` and `tokens`; a loss that is no number is left out.

    Raises:
        MissingPart: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingPart("matplotlib (`pip install 'atra[distill]'`)") from error
    points = [(line["step"], line["loss"]) for line in history if isinstance(line.get("loss"), (int, float))]
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot([step for step, _ in points], [loss for _, loss in points], linewidth=1.2, color="#3b6ea5")
    axes.set(title=title, xlabel="step", ylabel="loss")
    axes.set_yscale("log")
    axes.grid(visible=True, alpha=0.3)
    figure.savefig(file, dpi=120, format="png")
