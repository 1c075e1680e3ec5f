"""Which of the plausible patches to verify first: the one least likely to be right for the wrong reason.

Passing tests is weak evidence. A patch that special-cases a test, leaves a parameter unused or deletes what was in the
way is put behind one that does not, a large change behind a small one; patches that behave alike speak for each other.
"""

import ast
import io
import sys
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from atra.core.edits import apply, by_path
from atra.meta_architect.behaviour import groups
from atra.meta_architect.localisation import expected_values
from atra.meta_architect.records import Choice, Plausible, Reproduction
from atra.meta_architect.source import FUNCTIONS, UNREADABLE, Function, parse

_COMMON = frozenset({"0", "1", "-1", "2", "None", "True", "False", "''", "[]"})
"""Literals so common that finding one in a test says nothing."""

_JUMPS = (ast.Return, ast.Raise, ast.Continue, ast.Break)


@dataclass(frozen=True)
class Judgement:
    """What speaks against a plausible patch: anti-patterns by name, and how many nodes of the tree it changes."""

    signs: tuple[str, ...]
    size: int


def choose(plausible: Sequence[Plausible], sources: Mapping[str, str], reproduction: Reproduction) -> Choice:
    """Return the plausible patches in the order in which they are to be verified.

    The group of patches that behave alike and are together the likeliest goes first (see `_weight`), and in a group the
    likeliest. Patches that give the same tree count once, the one that came first. The order of the argument has no
    influence.

    Args:
        sources: base text by path, at least of the files that the patches change.
    """
    expected = expected_values(reproduction.failing, sources)
    seen: set[tuple[tuple[str, str], ...]] = set()
    judged: list[tuple[Judgement, Plausible]] = []
    for item in sorted(plausible, key=lambda item: item.rank):
        trees = _trees(item, sources)
        if trees is None:
            continue
        result = tuple((path, ast.dump(after)) for path, _, after in trees)
        if result not in seen:
            seen.add(result)
            judgement = judge(item, sources, expected)
            judged.append((replace(judgement, signs=(*judgement.signs, *item.signs)), item))
    weights = [_weight(judgement, item) for judgement, item in judged]
    numbers = groups([item for _, item in judged])
    templates = (item.candidate.template for _, item in judged)
    shares = _shares(numbers, list(zip(templates, weights, strict=True)))
    order = sorted(
        zip(judged, numbers, weights, strict=True), key=lambda one: (-shares[one[1]], -one[2], one[0][1].rank)
    )
    return Choice(
        ranked=tuple(item for (_, item), _, _ in order),
        groups=_renumbered(number for _, number, _ in order),
        signs=tuple(judgement.signs for (judgement, _), _, _ in order),
        share=round(shares[order[0][1]], 6) if order else 1.0,
    )


def _renumbered(numbers: Iterable[int]) -> tuple[int, ...]:
    """Return the numbers by the order in which each first comes."""
    known: dict[int, int] = {}
    return tuple(known.setdefault(number, len(known)) for number in numbers)


def _weight(judgement: Judgement, item: Plausible) -> float:
    """Return how likely the patch is to be the right one, compared with others that pass: a prior, by judgement.

    What the stream finds it likely, halved for each node that it changes, and a tenth for each sign against it.
    """
    return float(item.candidate.score * 0.5**judgement.size * 0.1 ** len(judgement.signs)) or sys.float_info.min


def _shares(numbers: Sequence[int], told: Sequence[tuple[str, float]]) -> dict[int, float]:
    """Return each group's share of all weight.

    What one template proposes more than once for one behaviour counts once: such patches are ways to write the same
    thought, and no second witness.

    Args:
        told: each patch's template and weight.
    """
    likeliest: dict[tuple[int, str], float] = {}
    for number, (template, weight) in zip(numbers, told, strict=True):
        likeliest[number, template] = max(weight, likeliest.get((number, template), 0.0))
    whole = sum(likeliest.values())
    groups_of = set(numbers)
    return {one: sum(weight for (at, _), weight in likeliest.items() if at == one) / whole for one in groups_of}


def confidence(choice: Choice) -> float:
    """Return how far the first choice can be trusted, from 0 to 0.9: 0.9 * share / (1 + rank / 1000).

    `share` is that of the patches which behave like it in all that is likely of the plausible ones: less, where the
    tests leave several behaviours open. `rank` is its place in the stream: a fix found late is likelier to be one that
    merely passes. How often repairs of each confidence were right is measured (`benchmarks/refactory.py`), not
    promised.
    """
    if not choice.ranked:
        return 0.0
    return round(0.9 * choice.share / (1 + choice.ranked[0].rank / 1000), 4)


def judge(item: Plausible, sources: Mapping[str, str], expected: Iterable[str] = ()) -> Judgement:
    """Return what speaks against the patch.

    The signs are those of Tan, Yoshida, Prasad, Roychoudhury 2016 (FSE, "Anti-patterns in search-based program repair")
    and three more: `unused` a parameter or variable that was read is read no more; `constant` a condition without a
    name in it is new; `literal` the patch brings a value that a failing test expects; `deleted` statements went;
    `early-exit` a new branch returns a constant; `dead` statements stand behind a new jump, where none reaches them.
    """
    trees = _trees(item, sources)
    if trees is None:
        return Judgement(("unreadable",), 0)
    wanted = set(expected) - _COMMON
    signs: list[str] = []
    size = 0
    for path, before, after in trees:
        size += _distance(before, after)
        for name, found in (
            ("unused", _newly_unused(before, after)),
            ("constant", _constant_conditions(after) > _constant_conditions(before)),
            ("literal", bool(_new_literals(sources.get(path, ""), item, path) & wanted)),
            ("deleted", _statements(after) < _statements(before)),
            ("early-exit", _constant_returns(after) > _constant_returns(before)),
            ("dead", _dead_ends(after) > _dead_ends(before)),
        ):
            if found and name not in signs:
                signs.append(name)
    return Judgement(tuple(signs), size)


def _trees(item: Plausible, sources: Mapping[str, str]) -> list[tuple[str, ast.Module, ast.Module]] | None:
    """Return each changed file's tree before and after; None where a patch does not apply or cannot be read.

    A file that the sources do not have is empty before.
    """
    trees: list[tuple[str, ast.Module, ast.Module]] = []
    try:
        for path, edits in by_path(item.candidate.patch).items():
            before = sources.get(path, "")
            trees.append((path, _tree(path, before), _tree(path, apply(before, edits))))
    except UNREADABLE:
        return None
    return trees


def _tree(path: str, text: str) -> ast.Module:
    """Return the file's tree; one that is no Python has a statement per line."""
    if path.endswith(".py"):
        return parse(text)
    return ast.Module([ast.Expr(ast.Constant(line)) for line in text.split("\n")], [])


def _distance(before: ast.Module, after: ast.Module) -> int:
    """Return how many nodes the two trees do not share, counted by kind and content without regard to place."""
    one, other = Counter(_labels(before)), Counter(_labels(after))
    return ((one - other) + (other - one)).total()


def _labels(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        fields = (str(value) for _, value in ast.iter_fields(node) if isinstance(value, str | int | float | bytes))
        yield " ".join((type(node).__name__, *fields))


def _newly_unused(before: ast.Module, after: ast.Module) -> bool:
    """Say whether a function no longer reads a parameter or variable that it did read and still binds."""
    now = {function.name: function for function in _functions(after)}
    for function in _functions(before):
        if function.name in now:
            lost = _read(function) - _read(now[function.name])
            if lost & (_bound(function) & _bound(now[function.name])):
                return True
    return False


def _functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, FUNCTIONS))


def _read(function: Function) -> set[str]:
    return {item.id for item in ast.walk(function) if isinstance(item, ast.Name) and isinstance(item.ctx, ast.Load)}


def _bound(function: Function) -> set[str]:
    stored = {item.id for item in ast.walk(function) if isinstance(item, ast.Name) and isinstance(item.ctx, ast.Store)}
    return stored | {item.arg for item in ast.walk(function) if isinstance(item, ast.arg)}


def _constant_conditions(tree: ast.AST) -> int:
    """Return how many conditions name nothing; `while True` is a way to write a loop and does not count."""
    tests = (node.test for node in ast.walk(tree) if isinstance(node, ast.If | ast.While | ast.IfExp | ast.Assert))
    plain = (test for test in tests if not (isinstance(test, ast.Constant) and test.value is True))
    return sum(not any(isinstance(item, ast.Name) for item in ast.walk(test)) for test in plain)


def _new_literals(text: str, item: Plausible, path: str) -> set[str]:
    """Return the literals in the texts that the patch brings, but not those of the text that it replaces."""
    found: set[str] = set()
    for edit in item.candidate.patch:
        if edit.path == path:
            found |= _literals(edit.text) - _literals(text[edit.start : edit.end])
    return found


def _literals(text: str) -> set[str]:
    """Return the numbers and strings in a piece of code, as `repr` writes them."""
    found: set[str] = set()
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type in (tokenize.NUMBER, tokenize.STRING):
                found.add(repr(ast.literal_eval(token.string)))
    except (tokenize.TokenError, *UNREADABLE):
        return found  # a piece may begin or end in the middle of brackets
    return found


def _statements(tree: ast.AST) -> int:
    return sum(isinstance(node, ast.stmt) for node in ast.walk(tree))


def _constant_returns(tree: ast.AST) -> int:
    """Return how many branches only return a constant."""
    branches = (node for node in ast.walk(tree) if isinstance(node, ast.If))
    returns = (node.body[0] for node in branches if len(node.body) == 1 and isinstance(node.body[0], ast.Return))
    return sum(isinstance(node.value, ast.Constant | ast.List | ast.Dict | None) for node in returns)


def _dead_ends(tree: ast.AST) -> int:
    """Return how many jumps have statements behind them in their own block."""
    blocks = (block for node in ast.walk(tree) for _, block in ast.iter_fields(node) if isinstance(block, list))
    return sum(isinstance(one, _JUMPS) for block in blocks for one in block[:-1])
