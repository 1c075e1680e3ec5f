"""One shard's search: which candidates it tries, when it ends, what it remembers."""

import time

import pytest

from atra.core.edits import Edit, Patch
from atra.meta_architect.records import Candidate
from atra.meta_architect.search import LocalHorizon, horizon, search
from atra.sandbox.runner import Trial
from tests.fakes import ScriptedWorkshop


def candidate(rank: int) -> Candidate:
    return Candidate((Edit("a.py", rank, rank, "x"),), "template", "a.py", rank, 1.0 / rank)


def rank_of(patch: Patch) -> int:
    return patch[0].start


def stream(length: int):
    return (candidate(rank) for rank in range(1, length + 1))


def soon() -> float:
    return time.monotonic() + 60


def plausible_at(*ranks: int):
    return lambda patch, scale: Trial("plausible" if rank_of(patch) in ranks else "failed")


def test_every_candidate_is_tried_when_none_fits():
    """A search that finds nothing tries the whole stream and says so."""
    workshop = ScriptedWorkshop(plausible_at())

    found = search(stream(50), workshop, LocalHorizon(), deadline_s=soon())

    assert found.tried == 50
    assert found.exhausted
    assert found.plausible == ()


@pytest.mark.parametrize("shards", [1, 2, 3, 7])
def test_shards_share_the_stream_without_gap_or_overlap(shards: int):
    """Together the shards try each candidate exactly once."""
    tried: list[int] = []
    for shard in range(shards):
        workshop = ScriptedWorkshop(plausible_at())
        search(stream(100), workshop, LocalHorizon(), shard=shard, shards=shards, deadline_s=soon())
        tried += [rank_of(patch) for patch, _ in workshop.tried]

    assert sorted(tried) == list(range(1, 101))


def test_a_find_bounds_how_far_the_search_goes():
    """After a plausible candidate at rank 10 the search looks no further than the horizon, give or take a batch."""
    workshop = ScriptedWorkshop(plausible_at(10, 60))

    found = search(stream(10_000), workshop, LocalHorizon(), deadline_s=soon())

    assert [plausible.rank for plausible in found.plausible] == [10, 60]
    assert horizon(10) - 8 <= found.tried <= horizon(10) + 16
    assert not found.exhausted


def test_a_find_of_another_shard_bounds_this_one():
    """A shard that finds nothing stops where another shard's find puts the horizon."""
    shared = LocalHorizon()
    shared.post(5)

    found = search(stream(10_000), ScriptedWorkshop(plausible_at()), shared, shard=1, shards=2, deadline_s=soon())

    assert found.tried <= horizon(5) / 2 + 16


def test_hung_candidates_get_a_second_look_with_more_time():
    """When nothing fits, candidates over their time limit are tried again with a larger one."""

    def judge(patch: Patch, scale: float) -> Trial:
        return Trial("plausible" if rank_of(patch) == 3 and scale > 1 else "hung" if rank_of(patch) == 3 else "failed")

    found = search(stream(5), ScriptedWorkshop(judge), LocalHorizon(), deadline_s=soon())

    assert [plausible.rank for plausible in found.plausible] == [3]
    assert found.tried == 5


def test_there_is_no_second_look_once_something_fits():
    """A find makes the slow candidates uninteresting."""

    def judge(patch: Patch, scale: float) -> Trial:
        return Trial("hung" if rank_of(patch) == 1 else "plausible" if rank_of(patch) == 2 else "failed")

    workshop = ScriptedWorkshop(judge)
    search(stream(5), workshop, LocalHorizon(), deadline_s=soon())

    assert {scale for _, scale in workshop.tried} == {1.0}


def test_the_deadline_ends_the_search():
    """A search whose time is over tries nothing more and does not claim to have tried everything."""
    found = search(stream(1000), ScriptedWorkshop(plausible_at()), LocalHorizon(), deadline_s=time.monotonic() - 1)

    assert found.tried == 0
    assert not found.exhausted


def test_the_nearest_miss_is_kept():
    """The candidate that turned most failing tests green is remembered with their number."""
    fixed = {2: 1, 4: 3, 5: 2}
    workshop = ScriptedWorkshop(lambda patch, scale: Trial("failed", fixed.get(rank_of(patch), 0)))

    found = search(stream(8), workshop, LocalHorizon(), deadline_s=soon())

    assert found.best is not None
    assert (found.best.rank, found.best_fixed) == (4, 3)
