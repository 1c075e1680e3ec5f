"""A data set's report as a picture: what became of every trace, and how long the rows are. Scalable, no library."""

from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

_WIDTH, _LABEL, _NUMBER, _LINE, _EDGE = 760, 210, 120, 24, 24
_KEPT, _DROPPED, _LENGTH = "#2f7d4f", "#b3541e", "#3b6ea5"


def picture_of(title: str, summary: Mapping[str, Any]) -> str:
    """Return the summary of a data set as SVG: bars for kept and dropped traces by reason, and for lengths of rows."""
    dropped = sorted(summary["dropped"].items(), key=lambda item: (-item[1], item[0]))
    fates = [("kept", summary["rows"], _KEPT), *((_said(reason), count, _DROPPED) for reason, count in dropped)]
    lengths = [(f"up to {bound} tokens", count, _LENGTH) for bound, count in _by_bound(summary["lengths"])]
    first = _chart(f"{summary['traces']} traces: what became of them", fates, _EDGE + 40)
    top = _EDGE + 40 + _LINE * (len(fates) + 2)
    second = _chart(f"{summary['rows']} rows: how long they are", lengths, top)
    height = top + _LINE * (len(lengths) + 2)
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
            f'viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="13">',
            f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
            f'<text x="{_EDGE}" y="{_EDGE + 12}" font-size="17" font-weight="bold">{escape(title)}</text>',
            *first,
            *second,
            "</svg>\n",
        )
    )


def _chart(title: str, bars: Sequence[tuple[str, int, str]], top: int) -> list[str]:
    most = max((count for _, count, _ in bars), default=0) or 1
    room = _WIDTH - 2 * _EDGE - _LABEL - _NUMBER
    lines = [f'<text x="{_EDGE}" y="{top + 13}" font-weight="bold">{escape(title)}</text>']
    for number, (name, count, colour) in enumerate(bars, start=1):
        y, long = top + number * _LINE, max(1, round(room * count / most)) if count else 0
        x = _EDGE + _LABEL
        lines += [
            f'<text x="{x - 8}" y="{y + 13}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{x}" y="{y}" width="{long}" height="{_LINE - 7}" fill="{colour}"/>',
            f'<text x="{x + long + 6}" y="{y + 13}">{count}</text>',
        ]
    return lines


def _by_bound(lengths: Mapping[str, int]) -> list[tuple[int, int]]:
    return sorted((int(bound), count) for bound, count in lengths.items())


def _said(reason: str) -> str:
    return reason.replace("_", " ")
