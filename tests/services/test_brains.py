"""Brains as the database knows them: who serves, what was shown of whom, and what may not serve any more."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from atra.core.errors import BadInput
from atra.distillation.traces import Origin, Permission, Trace
from atra.local_brain.confidence import calibrate
from atra.local_brain.evaluation import EvaluationSet, Item, Said
from atra.local_brain.gate import Check, Verdict
from atra.local_brain.versions import Lineage, Version
from atra.storage.brains import BrainStore
from atra.wiring import Wiring, use

LINEAGE = Lineage("d" * 64, "/models/base", "main", "apache-2.0")
TARGET = EvaluationSet("sums", "target", (Item("a", "1 + 1", "2"), Item("b", "1 + 2", "3")))
OTHER = EvaluationSet("talk", "regression", (Item("c", "hello", "hello"),))


@pytest.fixture
def wired(settings) -> Wiring:
    return use(settings)


@pytest.fixture
def brains(wired: Wiring) -> BrainStore:
    return wired.brains


def version(name: str, lineage: Lineage = LINEAGE) -> Version:
    id = name * 64
    return Version(id, Path("/brains/versions", id), lineage)


def test_a_version_that_was_admitted_is_a_candidate(brains: BrainStore) -> None:
    """Once, however often it is told; found by the beginning of its id, where that is one's alone."""
    added = brains.add(version("a"))
    assert brains.add(version("a")) == added
    assert (added.state, added.lineage, added.calibration, added.withdrawn) == ("candidate", LINEAGE, None, "")
    assert brains.get("aaa") == added
    assert brains.serving() == ""
    for unknown in ("", "b", "a" * 65):
        with pytest.raises(BadInput, match="there is no brain"):
            brains.get(unknown)


def test_one_serves_and_takes_the_place_it_named(brains: BrainStore) -> None:
    """Whoever names another than the one that serves comes too late, and changes nothing."""
    for name in "ab":
        brains.add(version(name))
    assert brains.promote("a" * 64, replacing="", why="better")
    assert not brains.promote("b" * 64, replacing="", why="better than none")
    assert brains.serving() == "a" * 64
    assert brains.promote("b" * 64, replacing="a" * 64, why="asked for by hand", override=True)
    assert [(one.id[0], one.state, one.why) for one in sorted(brains.all(), key=lambda one: one.id)] == [
        ("a", "retired", "asked for by hand"),
        ("b", "serving", "asked for by hand"),
    ]
    assert [(one.kind, one.replaced[:1]) for one in brains.changes()] == [("override", "a"), ("promotion", "")]


def test_of_many_who_would_serve_one_does(brains: BrainStore) -> None:
    names = "abcdef"
    for name in names:
        brains.add(version(name))
    with ThreadPoolExecutor(6) as threads:
        done = list(threads.map(lambda name: brains.promote(name * 64, replacing="", why="first"), names))
    assert sum(done) == 1
    assert brains.serving() == names[done.index(True)] * 64


def test_going_back_puts_the_last_one_in_that_may_still_serve(brains: BrainStore) -> None:
    """And never the one that was taken out; where there is none, nobody serves."""
    before = ""
    for name in "abc":
        brains.add(version(name))
        assert brains.promote(name * 64, replacing=before, why="better")
        before = name * 64
    assert brains.roll_back("a" * 64, "not the one") is None
    assert brains.roll_back("c" * 64, "it says nothing") == "b" * 64
    assert brains.roll_back("b" * 64, "nor this one") == "a" * 64
    assert brains.roll_back("a" * 64, "nor this one") == ""
    assert brains.roll_back("", "nobody") is None
    assert brains.serving() == ""
    assert {one.state for one in brains.all()} == {"refused"}


def learned_from(wired: Wiring, name: str, base: str = "/models/base") -> Trace:
    """Add a brain that learned from a data set of one trace; return that."""
    origin = Origin("local", f"teacher-{name}")
    trace = Trace(f"question {name}", "so", "it is", "raw", origin, Permission(True, "ours", "p"))
    wired.traces.keep(trace)
    wired.data_sets.register(f"set-{name}", "/data", {"rows": 1}, [trace.id])
    wired.brains.add(version(name, replace(LINEAGE, data_set=f"set-{name}", base=base)))
    return trace


def test_what_learned_from_a_revoked_trace_may_not_serve(wired: Wiring) -> None:
    """Nor may what was trained from it; revoking names them all."""
    trace = learned_from(wired, "a")
    learned_from(wired, "b", base=f"/brains/versions/{'a' * 64}")
    learned_from(wired, "c")
    assert wired.brains.promote("c" * 64, replacing="", why="better")
    revoked = wired.traces.revoke("taken back", ids=[trace.id])
    assert revoked.brains == ("a" * 64, "b" * 64)
    for name in "ab":
        with pytest.raises(BadInput, match="a trace it holds was revoked"):
            wired.brains.promote(name * 64, replacing="c" * 64, why="better", override=True)
    assert wired.traces.revoke("taken back", model="teacher-c").brains == ("c" * 64,)
    assert wired.brains.roll_back("c" * 64, "revoked") == ""


def test_an_evaluation_is_one_however_often_it_is_begun(brains: BrainStore) -> None:
    """It counts as a try on its target once; others count on where they ask one of its questions, whatever else."""
    for name in "ab":
        brains.add(version(name))
    first = brains.open_evaluation("a" * 64, "", [TARGET, OTHER])
    assert brains.open_evaluation("a" * 64, "", [OTHER, TARGET]) == first
    assert (first.tries, first.verdict, first.target) == (0, None, TARGET.hash)
    assert brains.open_evaluation("b" * 64, "", [TARGET]).tries == 1
    assert brains.open_evaluation("b" * 64, "", [replace(TARGET, items=TARGET.items[:1])]).tries == 2
    grown = (Item("d", " 1 +  1", "two"), Item("e", "5 + 5", "10"))
    assert brains.open_evaluation("b" * 64, "", [replace(TARGET, items=grown)]).tries == 3
    assert brains.open_evaluation("b" * 64, "", [replace(TARGET, items=(Item("f", "6 + 6", "12"),))]).tries == 0


def test_what_was_said_is_kept_once_and_judged_once(brains: BrainStore) -> None:
    brains.add(version("a"))
    opened = brains.open_evaluation("a" * 64, "", [TARGET])
    said = [Said("a", True, "valid", 0.5, -0.1, "2"), Said("b", False, "none", 0.1, None, "\0 4")]
    for one in (*said, replace(said[0], right=False)):
        brains.keep_answer(opened.id, "candidate", "sums", one)
    assert brains.answers(opened.id) == {("candidate", "sums"): [said[0], replace(said[1], said="\ufffd 4")]}
    calibration = calibrate([(-0.1, True)])
    verdict = Verdict(True, (Check("gain", True, "+1"),))
    brains.settle(opened.id, verdict, 0, calibration)
    brains.settle(opened.id, Verdict(False, ()), 3, calibrate([]))
    [found] = brains.evaluations("a" * 64)
    assert (found.verdict, found.contaminated) == (verdict, 0)
    assert brains.get("a").calibration == calibration


def test_only_what_a_brain_did_since_it_serves_counts(brains: BrainStore) -> None:
    brains.add(version("a"))
    brains.use("a" * 64, "error", 0.1, None)
    brains.promote("a" * 64, replacing="", why="better")
    brains.use("a" * 64, "answered", 0.1, -0.2)
    brains.use("a" * 64, "unsure", 0.1, -2.0)
    brains.forget()
    assert brains.uses("a" * 64, 10) == ["unsure", "answered"]
    assert brains.uses("a" * 64, 1) == ["unsure"]


@pytest.mark.parametrize(("served", "states"), [(False, ["refused", "candidate"]), (True, ["serving", "serving"])])
def test_the_gate_decides_of_candidates_alone(brains: BrainStore, served: bool, states: list[str]) -> None:
    """One that was refused may show its worth on another set; one that serves goes on until another takes its place."""
    brains.add(version("a"))
    if served:
        brains.promote("a" * 64, replacing="", why="better")
    found = []
    for set, better in ((TARGET, False), (replace(TARGET, items=TARGET.items[:1]), True)):
        opened = brains.open_evaluation("a" * 64, "", [set])
        brains.settle(opened.id, Verdict(better, (Check("gain", better, "+0.1"),)), 0, calibrate([]))
        found.append(brains.get("a").state)
    assert found == states
