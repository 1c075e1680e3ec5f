"""What the benchmarks of training count: steps that were done again in vain, and ratios of pairs."""

from benchmarks.lessons import lessons
from benchmarks.training_kills import Kill, in_vain
from benchmarks.training_overhead import ratios


def test_a_step_is_in_vain_if_a_whole_checkpoint_had_it() -> None:
    kills = [
        Kill("learning", 7, 5, half=False),
        Kill("saving", 15, 10, half=True),
        Kill("learning", 23, 20, half=False),
    ]

    assert in_vain(kills, [5, 10, 20]) == 0
    assert in_vain(kills, [5, 5, 0]) == 25


def test_a_ratio_is_the_median_over_pairs() -> None:
    rows = [
        {"method": "lora", "who": who, "tokens_per_s": speed, "seconds": seconds, "processor_s": 10.0}
        for speed, seconds in ((100, 20.0), (50, 40.0), (10, 200.0))
        for who in ("plain TRL", "ATRA")
    ]
    rows[1] = {**rows[1], "tokens_per_s": 80}
    rows[3] = {**rows[3], "seconds": 60.0}

    assert ratios(rows, "lora") == {"tokens_per_s": 1.0, "seconds": 1.0, "processor_s": 1.0}
    assert ratios(rows[:2], "lora")["tokens_per_s"] == 0.8


def test_lessons_add_up_and_are_the_same_every_time() -> None:
    first, again = list(lessons(50)), list(lessons(50))

    assert [one.prompt for one in first] == [one.prompt for one in again]
    assert len({one.prompt for one in first}) == 50
    for one in first:
        assert one.reasoning.endswith(f"are {one.answer.split()[0]}.")
