"""Where a model would change the code: read from its diff by the words of lines, whatever it says their numbers are."""

import math

import pytest

from atra.llm.openai_chat import OpenAIChat
from atra.llm.records import Message, Request
from atra.meta_architect.leads import Lead
from atra.meta_architect.pointing import code_around, leads_of, point
from atra.meta_architect.records import Diagnosis, Place
from tests.wires import Turn, WireServer

SHOP = """\
def total(pieces):
    if pieces > 10:
        return 9 * pieces
    return 10 * pieces


def none():
    return 0
"""
DIFF = """\
--- a/shop.py
+++ b/shop.py
@@ -90,3 +90,3 @@
 def total(pieces):
-    if pieces > 10:
+    if pieces >= 10:
         return 9 * pieces
"""


def lead(line: int, sure: float = 0.5) -> Lead:
    return Lead("shop.py", line, line, sure, "the brain")


@pytest.mark.parametrize(
    ("diff", "found"),
    [
        (DIFF, [lead(2)]),
        (DIFF.replace("a/shop", "shop").replace("b/shop", "shop"), [lead(2)]),
        (f"It is here:\n```diff\n{DIFF}```\n", [lead(2)]),
        ("--- a/shop.py\n+++ b/shop.py\n@@ -1 +1,2 @@\n def none():\n+    x = 1\n", [lead(7)]),
        (DIFF.replace("shop", "other"), []),
        (DIFF.replace("pieces > 10", "pieces < 1"), []),
        ("the bug is in line 2", []),
        ("", []),
    ],
    ids=["a diff", "no prefixes", "in a fence", "only added", "another file", "other words", "no diff", "nothing"],
)
def test_places_are_those_that_a_diff_would_change(diff: str, found: list[Lead]):
    """Its numbers do not count: what it takes away is known by its words."""
    assert list(leads_of(diff, {"shop.py": SHOP}, 0.5)) == found


def test_lines_that_read_alike_share_what_is_known():
    """One that stands there too often names no place."""
    text = "return 1\n" * 3
    diff = "--- a/a.py\n+++ b/a.py\n-return 1\n"

    assert [one.score for one in leads_of(diff, {"a.py": text}, 0.6)] == pytest.approx([0.2] * 3)
    assert leads_of(diff, {"a.py": text + "return 1\n"}, 0.6) == ()


def test_the_code_about_suspect_places_is_shown():
    """Each line once, in order, with a mark where some are left out."""
    sources = {"a.py": "".join(f"line {number}\n" for number in range(1, 31))}
    places = tuple(Place(path, line, 0.5) for path, line in (("a.py", 3), ("a.py", 5), ("a.py", 20), ("gone.py", 1)))

    shown = code_around(Diagnosis(places), sources)

    first, second = ([f"line {number}" for number in some] for some in (range(1, 10), range(16, 25)))
    assert shown == {"a.py": "\n".join([*first, "…", *second])}


def test_any_model_can_be_asked():
    """As sure as it says it is, or half where it does not say."""
    with WireServer([Turn(DIFF, logprobs=(-0.1, -0.3)), Turn(DIFF)]) as server:
        model = OpenAIChat("m", "m-1", server.url)
        told = [point(model, Request((Message("user", "where?"),)), {"shop.py": SHOP}) for _ in range(2)]

    assert [one[0].score for one in told] == pytest.approx([math.exp(-0.2), 0.5])
