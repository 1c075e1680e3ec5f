"""A near miss goes on as a search: what a model got right in part, templates finish, in a real workshop."""

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from atra.core.edits import apply, by_path
from atra.llm.scripted import ScriptedModel
from atra.meta_architect.localisation import diagnose
from atra.meta_architect.one_shot import Question, sample
from atra.meta_architect.records import Reproduction, Target
from atra.meta_architect.reproduction import reproduce
from atra.meta_architect.screening import Bench, NearMiss
from atra.meta_architect.seeding import search_from
from atra.sandbox.bubblewrap import BubblewrapSandbox
from atra.sandbox.project import make_project, runner_for

SHOP = {
    "shop.py": (
        "def share_off(pieces):\n    if pieces > 10:\n        return 5\n    return 0\n\n\n"
        "def label(name, pieces):\n    return name\n\n\n"
        "def double(number):\n    return 2 * number\n"
    ),
    "test_shop.py": (
        "from shop import double, label, share_off\n\n\n"
        "def test_share():\n    assert [share_off(n) for n in (1, 9, 10, 11)] == [0, 0, 5, 5]\n\n\n"
        "def test_label():\n    assert (label('tea', 1), label('tea', 3)) == ('tea', '3 x tea')\n\n\n"
        "def test_double():\n    assert double(3) == 6\n"
    ),
}
LABEL = "    return name\n"
BETTER_LABEL = "    return name if pieces == 1 else f'{pieces} x {name}'\n"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """The shop, reproduced in a real box: two tests fail, and no single template mends both."""
    root = tmp_path_factory.mktemp("shop")
    for path, text in SHOP.items():
        (root / path).write_text(text)
    runner = runner_for(make_project(str(root)), BubblewrapSandbox())
    found = reproduce(Target("shop", str(root), "0" * 40), runner, str(root), frozenset({"shop"}))
    assert isinstance(found, Reproduction)

    @contextmanager
    def patched(after: Mapping[str, str]) -> Iterator[str]:
        tree = tmp_path_factory.mktemp("patched") / "tree"
        shutil.copytree(root, tree)
        for path, text in after.items():
            (tree / path).write_text(text)
        yield str(tree)

    return Bench(found, runner, SHOP.get, patched, lambda path: path.startswith("test_"))


def seeded(bench: Bench, near: NearMiss):
    where = diagnose(bench.reproduction, SHOP, protected=bench.protected)
    return search_from(near, where, bench, model="cheap", number=2, deadline_s=time.monotonic() + 60)


def test_what_a_model_got_right_in_part_is_finished_by_the_search(bench: Bench) -> None:
    """The model mends one function, a template the other; both stand in one patch against the base."""
    said = f"FILE: shop.py\n<<<<<<< SEARCH\n{LABEL}=======\n{BETTER_LABEL}>>>>>>> REPLACE\n"
    first = sample(ScriptedModel([said], name="cheap"), Question("what failed", "n0nce", 2), bench)
    assert first.near is not None
    assert (first.proposals.made[0].verdict, first.near.red) == ("failed", ("test_shop.py::test_share",))

    found = seeded(bench, first.near)

    assert found.plausible is not None
    candidate = found.plausible.candidate
    after = apply(SHOP["shop.py"], by_path(candidate.patch)["shop.py"])
    assert BETTER_LABEL in after
    assert "if pieces > 9:" in after or "if pieces >= 10:" in after
    assert (candidate.template, candidate.generator, found.plausible.rank) == ("seeded", "model/cheap", 2)
    assert found.tried > 0


def test_a_patch_that_broke_a_passing_test_is_mended_where_it_was_written(bench: Bench) -> None:
    """Both failing tests pass with it and one that passed does not: the model's own line is searched first."""
    text = SHOP["shop.py"].replace(LABEL, BETTER_LABEL).replace("> 10", ">= 10").replace("2 * number", "3 * number")

    found = seeded(bench, NearMiss({"shop.py": text}, ("test_shop.py::test_double",)))

    assert found.plausible is not None
    assert "2 * number" in apply(SHOP["shop.py"], by_path(found.plausible.candidate.patch)["shop.py"])


def test_the_search_ends_with_its_time(bench: Bench) -> None:
    """A near miss that nothing finishes costs no more than the time it was given."""
    text = SHOP["shop.py"].replace(LABEL, BETTER_LABEL)
    where = diagnose(bench.reproduction, SHOP, protected=bench.protected)
    near = NearMiss({"shop.py": text}, ("test_shop.py::test_share",))

    found = search_from(near, where, bench, model="cheap", number=1, deadline_s=time.monotonic())

    assert (found.plausible, found.tried) == (None, 0)
