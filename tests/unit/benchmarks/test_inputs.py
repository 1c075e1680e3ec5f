"""Inputs: values to JSON and back, and new inputs out of recorded ones."""

import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.encoding import Plain, decode, encode
from benchmarks.inputs import allowed, mutate

KEYS = st.one_of(st.integers(), st.text(), st.tuples(st.integers(), st.integers()))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.floats(allow_nan=False)),
    lambda inner: st.one_of(st.lists(inner), st.tuples(inner, inner), st.dictionaries(KEYS, inner), st.sets(KEYS)),
    max_leaves=10,
)


def as_input(*arguments: Any) -> dict[str, Any]:
    return encode(list(arguments), [])


@given(VALUES)
def test_values_come_back(value: Any) -> None:
    """Decoding gives what was encoded, types included."""
    back, _ = decode(encode(value, []))

    assert back == value
    assert repr(type(back)) == repr(type(value))


def test_nodes_keep_their_identity() -> None:
    """A ring of two nodes is a ring of two nodes afterwards."""
    one, two = (Plain(value, None, [], [], [], []) for value in "ab")
    one.successor, two.successor = two, one

    (first,), nodes = decode(as_input(one))

    assert len(nodes) == 2
    assert first.successor.successor is first


def test_what_has_no_value_is_named_by_its_type() -> None:
    """An iterator where a list is due differs from every list."""
    assert encode(iter([]), [])["value"] == {"other": "list_iterator"}


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("find_in_sorted", ([1, 2, 3], 2)),
        ("kheapsort", ([3, 2, 1, 5, 4], 2)),
        ("next_palindrome", ([1, 4, 1],)),
        ("rpn_eval", ([3.0, 5.0, "+", 2.0, "/"],)),
        ("shunting_yard", ([10, "-", 5, "-", 2],)),
        ("shortest_paths", ("A", {("A", "B"): 3, ("B", "C"): -1})),
        ("minimum_spanning_tree", ({(1, 2): 10, (2, 3): 15, (3, 4): 10, (1, 4): 10},)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_made_up_inputs_differ_and_meet_the_conditions(name: str, arguments: tuple[Any, ...]) -> None:
    """Two hundred inputs come from one; none repeats another, all are what the program asks for."""
    recorded = as_input(*arguments)

    made = mutate(name, [recorded], 200, random.Random(1))

    assert len({repr(one) for one in [recorded, *made]}) == 201
    assert all(allowed(name, one) for one in made)


def test_the_same_seed_makes_the_same_inputs() -> None:
    """A result can be looked at again."""
    recorded = [as_input("hello", "olleh")]

    once, again = (mutate("levenshtein", recorded, 50, random.Random(3)) for _ in range(2))

    assert once == again


def test_graphs_stay_consistent() -> None:
    """An edge that is added or taken is known at both of its ends, and no cycle arises."""
    nodes = [Plain(value, None, [], [], [], []) for value in range(4)]
    for here, there in pairwise(nodes):
        here.outgoing_nodes.append(there)
        there.incoming_nodes.append(here)

    made = mutate("topological_ordering", [as_input(nodes)], 100, random.Random(2))

    assert len(made) == 100
    for _, found in (decode(one) for one in made):
        assert all(any(n is here for n in there.incoming_nodes) for here in found for there in here.outgoing_nodes)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("find_in_sorted", ([3, 1], 1)),
        ("kth", ([1, 2], 2)),
        ("rpn_eval", ([1.0, "+"],)),
        ("shortest_paths", ("A", {("A", "B"): -1, ("B", "A"): -1})),
        ("minimum_spanning_tree", ({(1, 2): 1, (3, 4): 1},)),
        ("sqrt", (0.5, 0.01)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_inputs_that_were_never_promised_to_work_are_refused(name: str, arguments: tuple[Any, ...]) -> None:
    """The docstrings' conditions hold."""
    assert not allowed(name, as_input(*arguments))
