"""Markup from outside becomes plain text that neither styles, nor steers, nor hides anything."""

import html
import re

import nh3

_MOST_MARKUP = 100_000  # deep markup of that length takes nh3 a second, and twice of it four

# Codes that steer terminals, turn the direction of text round, take no room, have no meaning but a private one, or are
# half a character; letters that are spelt with tags of plane 14 can be read by a model and by nobody else.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\ud800-\udfff\ue000-\uf8ff"
    "\U0001d173-\U0001d17a\U000e0000-\U0010ffff]"
)
_MARKS = re.compile(r"([\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff]{4})"
                    r"[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff]+")  # fmt: skip
_BREAKING = {"p", "br", "div", "li", "ul", "ol", "tr", "td", "th", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "hr",
             "blockquote", "section", "article", "table", "dt", "dd", "figure", "figcaption"}  # fmt: skip
_TAG = re.compile(r"<[^>]*>")
_HIDDEN = {"script", "style", "template", "noscript", "iframe", "object", "textarea", "title", "svg", "math"}


def plain(text: str, most: int) -> str:
    """Return the text in one line, at most so many characters long, without those that nobody sees."""
    seen = _MARKS.sub(r"\1", _UNSEEN.sub("", text[: most * 8]))
    line = " ".join(seen.split())
    return line if len(line) <= most else f"{line[: most - 1].rstrip()}…"


def text_of(markup: str, most: int) -> str:
    """Return what a reader of this HTML sees, in one line and at most so many characters long.

    Scripts, styles and the like are left out with all that is in them; blocks are kept apart by a space.
    """
    markup = markup[:_MOST_MARKUP]
    if "<" not in markup and "&" not in markup:
        return plain(markup, most)
    kept = nh3.clean(_UNSEEN.sub("", markup), tags=_BREAKING, clean_content_tags=_HIDDEN, attributes={}, link_rel=None)
    return plain(html.unescape(_TAG.sub(" ", kept)), most)
