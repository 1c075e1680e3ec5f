"""ATRA's own work as a lesson: the code as it was, what was thought, and the patch as the answer."""

from difflib import unified_diff

from hypothesis import assume, given
from hypothesis import strategies as st

from atra.distillation.own_work import Failing, Heard, Repair, Room, before, own, repair_trace, room_trace

DIFF = """\
--- a/shop/pricing.py
+++ b/shop/pricing.py
@@ -3,4 +3,4 @@

 def share_off(pieces):
-    if pieces > 10:
+    if pieces >= 10:
         return 5
@@ -20,3 +20,2 @@
 def other():
--- pieces
     return 1
--- /dev/null
+++ b/shop/new.py
@@ -0,0 +1 @@
+NEW = 1
"""
LINES = st.sampled_from(["-- a", "++ b", "@@ -1 +1 @@", "", " ", "code", "+", "-", "--- a/x", "+++ b/y"])
REPAIR = Repair(
    [Failing("tests/test_cart.py::test_total[10]", "AssertionError", "assert 1000\n  == 950")],
    [("shop/pricing.py", 6, ("the failing test runs it", "few others do"))],
    DIFF,
    "comparison",
    ("shop/pricing.py", 5),
    4,
    tried=31,
    verdicts={"failed": 28, "broke": 2, "plausible": 1},
    proposals=("one-shot by house: failed",),
    refused=("it breaks tests/test_other.py::test_a",),
)


def test_a_diff_shows_the_code_as_it_was():
    """Each file's lines before the change, with a mark where some are left out; a new file had none."""
    was = "\ndef share_off(pieces):\n    if pieces > 10:\n        return 5\n…\ndef other():\n-- pieces\n    return 1"

    assert before(DIFF) == {"shop/pricing.py": was}


@given(st.lists(LINES), st.lists(LINES))
def test_a_diff_with_all_around_it_holds_the_whole_file(old: list[str], new: list[str]):
    """Whatever its lines begin with."""
    assume(old)
    assume(old != new)
    diff = "\n".join(unified_diff(old, new, "a/f.sql", "b/f.sql", lineterm="", n=1000))

    assert before(diff) == {"f.sql": "\n".join(old)}


def test_a_repair_is_told_from_symptom_to_proof():
    """What was asked does not hold the answer; what was thought names what was tried and refuted."""
    trace = repair_trace(REPAIR, own("r1"))

    assert "test_total[10]: AssertionError: assert 1000 == 950" in trace.prompt
    assert "if pieces > 10:" in trace.prompt
    assert ">= 10" not in trace.prompt + trace.reasoning
    told = trace.reasoning
    order = [
        "Symptom:",
        "most suspect first",
        "Tried 31",
        "one-shot by house: failed",
        "Refuted",
        "comparison",
        "Proof:",
    ]
    assert [told.index(part) for part in order] == sorted(told.index(part) for part in order)
    assert trace.answer == DIFF.strip("\n")
    assert (trace.kind, trace.origin.proof, trace.origin.run_id) == ("tool_log", "tests", "r1")


def test_a_room_is_told_by_what_its_seats_saw():
    """And ends in the option that was proved right."""
    heard = [Heard("History", "a.py::f", [("changed yesterday", "a.py:3")]), Heard("Types", "a.py::g", [("odd", "")])]
    room = Room("Which place?", ["a.py::f", "a.py::g"], heard, "a.py::f", "two of three choose it")
    trace = room_trace(room, own("m1", room=True))

    assert trace.prompt.splitlines()[:4] == ["Which place?", "", "Options:", "- a.py::f"]
    assert "History chooses a.py::f:\n- changed yesterday (a.py:3)" in trace.reasoning
    assert (trace.answer, trace.origin.proof, trace.origin.source) == ("a.py::f", "held", "war_room")
