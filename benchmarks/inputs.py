"""Makes new inputs for a program from recorded ones, by small changes that suit the type of what they change.

Inputs are in the form of `encoding.encode`. What the published programs ask of their arguments, in the words of their
docstrings, stands here too, so that nobody is judged by inputs that were never promised to work.
"""

import copy
import random
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from benchmarks.encoding import FIELDS, decode

Input = dict[str, Any]

_TRIES = 200
"""How many changes are tried per input wanted, before the program's conditions are taken to allow no more."""


def mutate(name: str, recorded: Sequence[Input], count: int, rng: random.Random) -> list[Input]:
    """Return at most `count` inputs that differ from one another and from the recorded ones and meet the conditions.

    Later ones are made from earlier ones too, so the list wanders away from where it began.
    """
    pool = list(recorded)
    seen = {repr(given) for given in pool}
    for _ in range(count * _TRIES if pool else 0):
        if len(pool) >= len(recorded) + count:
            break
        given = copy.deepcopy(rng.choice(pool))
        for _ in range(rng.choice((1, 1, 2, 3))):
            _change_input(given, rng)
        if repr(given) not in seen and allowed(name, given):
            seen.add(repr(given))
            pool.append(given)
    return pool[len(recorded) :]


def allowed(name: str, given: Input) -> bool:
    """Tell whether the program's docstring allows these arguments."""
    condition = _CONDITIONS.get(name)
    if condition is None:
        return True
    try:
        arguments, nodes = decode(given)
        return condition(nodes) if name in _ON_NODES else condition(*arguments)
    except (TypeError, ValueError, IndexError):
        return False


def _change_input(given: Input, rng: random.Random) -> None:
    if given["nodes"] and rng.random() < 0.7:
        _change_graph(given["nodes"], rng)
    elif given["value"]:
        at = rng.randrange(len(given["value"]))
        given["value"][at] = _change(given["value"][at], rng, _Around(given))


class _Around:
    """What a change may borrow: the characters of the input's strings, and how many nodes there are."""

    def __init__(self, given: Input) -> None:
        self.characters = sorted({char for text in _strings(given["value"]) for char in text}) or list("ab")
        self.nodes = len(given["nodes"])


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for item in value if isinstance(value, list) else value.values():
            yield from _strings(item)


def _change(value: Any, rng: random.Random, around: _Around) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return rng.choice(
            (value + 1, value - 1, value + 1, value - 1, value * 2, value // 2, -value, rng.randint(0, 9))
        )
    if isinstance(value, float):
        return rng.choice((value + 1, value - 1, value * 2, value / 2, value + 0.5))
    if isinstance(value, str):
        return "".join(_change_list(list(value), rng, lambda _: rng.choice(around.characters), around.characters))
    if isinstance(value, list):
        return _change_list(value, rng, lambda item: _change(item, rng, around), value)
    if isinstance(value, dict):
        ((kind, inner),) = value.items()
        return _TAGGED[kind](inner, rng, around) if kind in _TAGGED else value
    return value


def _change_list(items: list[Any], rng: random.Random, change: Callable[[Any], Any], stock: Sequence[Any]) -> list[Any]:
    items = list(items)
    if not items:
        return [copy.deepcopy(rng.choice(stock))] if stock else [rng.randint(0, 9)]
    at, to = rng.randrange(len(items)), rng.randrange(len(items))
    match rng.randrange(5):
        case 0:
            del items[at]
        case 1:
            items.insert(to, copy.deepcopy(rng.choice(stock)))
        case 2:
            items[at], items[to] = items[to], items[at]
        case _:
            items[at] = change(items[at])
    return items


def _change_tuple(items: list[Any], rng: random.Random, around: _Around) -> Any:
    if not items:
        return {"tuple": items}
    at = rng.randrange(len(items))
    return {"tuple": [*items[:at], _change(items[at], rng, around), *items[at + 1 :]]}


def _change_dict(items: list[Any], rng: random.Random, around: _Around) -> Any:
    if not items:
        return {"dict": items}
    at = rng.randrange(len(items))
    key, value = items[at]
    match rng.randrange(4):
        case 0:
            changed = [*items[:at], *items[at + 1 :]]
        case 1:
            changed = [*items, [_change(key, rng, around), value]]
        case _:
            changed = [*items[:at], [key, _change(value, rng, around)], *items[at + 1 :]]
    return {"dict": sorted({repr(k): [k, v] for k, v in changed}.values(), key=repr)}


def _change_node(_: int, rng: random.Random, around: _Around) -> Any:
    return {"node": rng.randrange(around.nodes)}


_TAGGED: dict[str, Callable[..., Any]] = {"tuple": _change_tuple, "dict": _change_dict, "node": _change_node}


def _change_graph(nodes: list[Any], rng: random.Random) -> None:
    """Add or take one edge, of the kind the graph has; an edge that both ends know is changed at both."""
    place = {field: FIELDS.index(field) for field in FIELDS}
    here, there = rng.randrange(len(nodes)), rng.randrange(len(nodes))
    if any(node[place["outgoing_nodes"]] for node in nodes):
        _toggle(nodes[here], place["outgoing_nodes"], there)
        _toggle(nodes[there], place["incoming_nodes"], here)
    elif any(node[place["successors"]] for node in nodes):
        _toggle(nodes[here], place["successors"], there)
    else:
        nodes[here][place["successor"]] = rng.choice((None, {"node": there}))


def _toggle(node: list[Any], field: int, other: int) -> None:
    edges = list(node[field])
    node[field] = [edge for edge in edges if edge != {"node": other}]
    if node[field] == edges:
        node[field].append({"node": other})


def _sorted(values: list[Any]) -> bool:
    return all(a <= b for a, b in pairwise(values))


def _ints(values: list[Any]) -> bool:
    return all(type(value) is int for value in values)


def _unique(values: list[Any]) -> bool:
    return len(set(values)) == len(values)


def _nearly_sorted(values: list[int], k: int) -> bool:
    order = {value: at for at, value in enumerate(sorted(values))}
    return _unique(values) and k >= 0 and all(abs(order[value] - at) <= k for at, value in enumerate(values))


def _infix(tokens: list[Any]) -> bool:
    numbers, operators = tokens[::2], tokens[1::2]
    return len(tokens) % 2 == 1 and _ints(numbers) and all(token in ("+", "-", "*", "/") for token in operators)


def _postfix(tokens: list[Any]) -> bool:
    depth = 0
    for token in tokens:
        depth += 1 if isinstance(token, float) else -1
        if depth < 1 or not (isinstance(token, float) or token in ("+", "-", "*", "/")):
            return False
    return depth == 1


def _no_negative_cycle(edges: dict[tuple[Any, Any], int]) -> bool:
    distance = {node: 0 for edge in edges for node in edge}
    for _ in distance:
        for (u, v), weight in edges.items():
            distance[v] = min(distance[v], distance[u] + weight)
    return all(distance[u] + weight >= distance[v] for (u, v), weight in edges.items())


def _connected(edges: dict[tuple[Any, Any], int]) -> bool:
    if not edges or any(u == v or (v, u) in edges for u, v in edges):
        return False
    reached = {next(iter(edges))[0]}
    for _ in edges:
        reached |= {node for edge in edges if reached & set(edge) for node in edge}
    return reached == {node for edge in edges for node in edge}


def _acyclic(nodes: list[Any], following: Callable[[Any], list[Any]]) -> bool:
    left = list(nodes)
    while left:
        ends = [node for node in left if not any(after is other for after in following(node) for other in left)]
        if not ends:
            return False
        left = [node for node in left if not any(node is end for end in ends)]
    return True


_CONDITIONS: dict[str, Callable[..., bool]] = {
    "bitcount": lambda n: n >= 0,
    "bucketsort": lambda arr, k: _ints(arr) and all(0 <= x < k for x in arr),
    "find_first_in_sorted": lambda arr, x: _ints(arr) and _sorted(arr),
    "find_in_sorted": lambda arr, x: _ints(arr) and _sorted(arr),
    "gcd": lambda a, b: a >= 0 and b >= 0,
    "get_factors": lambda n: n >= 1,
    "hanoi": lambda height, start, end: height >= 0 and start in (1, 2, 3) and end in (1, 2, 3),
    "is_valid_parenthesization": lambda parens: set(parens) <= set("()"),
    "kheapsort": _nearly_sorted,
    "knapsack": lambda capacity, items: capacity >= 0 and all(len(i) == 2 and i[0] > 0 and i[1] >= 0 for i in items),
    "kth": lambda arr, k: _ints(arr) and 0 <= k < len(arr),
    "lis": _unique,
    "minimum_spanning_tree": _connected,
    "next_palindrome": lambda digits: (
        bool(digits) and digits == digits[::-1] and digits[0] > 0 and all(0 <= digit <= 9 for digit in digits)
    ),
    "next_permutation": lambda perm: _ints(perm) and _unique(perm) and not _sorted(perm[::-1]),
    "pascal": lambda n: n >= 1,
    "possible_change": lambda coins, total: _unique(coins) and all(coin > 0 for coin in coins),
    "powerset": _unique,
    "reverse_linked_list": lambda nodes: _acyclic(nodes, lambda n: [n.successor] if n.successor else []),
    "rpn_eval": _postfix,
    "shortest_path_length": lambda lengths, start, goal: all(length > 0 for length in lengths.values()),
    "shortest_path_lengths": lambda n, edges: (
        n > 0 and _no_negative_cycle(edges) and all(0 <= node < n for edge in edges for node in edge)
    ),
    "shortest_paths": lambda source, edges: _no_negative_cycle(edges),
    "shunting_yard": _infix,
    "sieve": lambda max_: max_ >= 1,
    "sqrt": lambda x, epsilon: x >= 1 and epsilon > 0,
    "subsequences": lambda a, b, k: k >= 1,
    "to_base": lambda num, b: num > 0 and 2 <= b <= 36,
    "topological_ordering": lambda nodes: _acyclic(nodes, lambda n: n.outgoing_nodes),
    "wrap": lambda text, cols: cols > 0,
}
"""What the docstrings ask for; a program that is not named takes whatever its types allow."""

_ON_NODES = {"reverse_linked_list", "topological_ordering"}
"""Programs whose condition is on the nodes rather than on the arguments."""
