"""Conditions that hold too often or too rarely, and constants where a condition belongs."""

import ast
from collections.abc import Iterator

from atra.meta_architect.scope import COLLECTIONS, NUMBERS, Variable, target_names
from atra.meta_architect.source import AND, COMPARE, OR
from atra.meta_architect.templates.operators import is_condition
from atra.meta_architect.templates.spot import Proposal, Spot

_MOST_NAMES = 10
"""Pairs of names are many; more names than this in one scope would drown the rest."""

Comprehension = ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp


def dropped_condition(spot: Spot) -> Iterator[Proposal]:
    """`a and b` -> `a`, `[x for x in xs if x]` -> `[x for x in xs]`: a condition too many."""
    for node in spot.each(ast.BoolOp):
        if len(node.values) == 2:
            yield spot.put(node, spot.text(node.values[0]))
            yield spot.put(node, spot.text(node.values[1]))
            continue
        for one, other in zip(node.values, node.values[1:], strict=False):
            yield spot.splice((spot.source.bracketed(one)[1], spot.source.bracketed(other)[1]), "")
        starts = [spot.source.bracketed(item)[0] for item in node.values[:2]]
        yield spot.splice((starts[0], starts[1]), "")
    for loop in comprehensions(spot):
        for generator in loop.generators:
            if len(generator.ifs) == 1:
                end = spot.source.bracketed(generator.iter)[1]
                yield spot.splice((end, spot.source.bracketed(generator.ifs[0])[1]), "")


def extended_condition(spot: Spot) -> Iterator[Proposal]:
    """`if x.next` -> `if x and x.next`: one more condition that must, or may, hold."""
    for node in spot.nodes:
        if not is_condition(spot, node) or isinstance(spot.parent(node), ast.BoolOp):
            continue
        old_and, old_or = spot.operand(node, AND + 1), spot.operand(node, OR + 1)
        for text in dict.fromkeys(_receivers(spot, node)):
            yield spot.put(node, f"{text} is not None and {old_and}", 2)
            yield spot.put(node, f"{text} and {old_and}", 2)
            yield spot.put(node, f"{text} is None or {old_or}", 2)
            yield spot.put(node, f"not {text} or {old_or}", 2)
        for text, weight in atoms(spot, node):
            yield spot.put(node, f"{old_and} and {text}", weight)
            yield spot.put(node, f"{old_or} or {text}", weight)
            yield spot.put(node, f"{text} and {old_and}", weight / 2)
            yield spot.put(node, f"{text} or {old_or}", weight / 2)


def comprehensions(spot: Spot) -> Iterator[Comprehension]:
    """Yield the statement's own comprehensions and generators."""
    for node in spot.nodes:
        if isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
            yield node


def filtered(spot: Spot) -> Iterator[Proposal]:
    """`[f(x) for x in xs]` -> `[f(x) for x in xs if x]`: a filter is missing."""
    for loop in comprehensions(spot):
        generator = loop.generators[-1]
        end = spot.source.bracketed(generator.ifs[-1] if generator.ifs else generator.iter)[1]
        element = loop.key if isinstance(loop, ast.DictComp) else loop.elt
        for text, weight in atoms(spot, element):
            yield spot.splice((end, end), f" if {text}", weight)
        for name in target_names(generator.target):
            for test in ("isalpha()", "isalnum()", "isdigit()", "strip()"):
                yield spot.splice((end, end), f" if {name}.{test}", 0.7)


def returned_condition(spot: Spot) -> Iterator[Proposal]:
    """`return True` -> `return not stack`: a constant is returned where a condition is meant."""
    for node in spot.each(ast.Constant):
        if isinstance(node.value, bool) and isinstance(spot.parent(node), ast.Return | ast.Assign):
            yield from (spot.put(node, text, weight) for text, weight in atoms(spot, node))


def atoms(spot: Spot, node: ast.AST) -> Iterator[tuple[str, float]]:
    """Yield simple conditions over the variables that can be read at the node, each with its weight."""
    names = _closest(spot, node)
    for item in names:
        yield item.name, 0.7
        yield f"not {item.name}", 0.7
        if item.kind in {"", "none"}:
            yield f"{item.name} is None", 0.7
            yield f"{item.name} is not None", 0.7
        if item.kind in NUMBERS:
            yield from ((f"{item.name} {operator} 0", 0.7) for operator in ("==", ">", "<", "!=", ">=", "<="))
        if item.kind in COLLECTIONS:
            yield f"len({item.name}) == 0", 0.3
            yield f"len({item.name}) > 1", 0.3
    for at, one in enumerate(names):
        for other in names[at + 1 :]:
            yield from _pairs(one, other)


def _closest(spot: Spot, node: ast.AST) -> list[Variable]:
    """Return the variables that a condition here is likeliest about: those the statement reads, then the latest."""
    read = {spot.text(item) for item in spot.nodes if isinstance(item, ast.Name | ast.Attribute)}
    return sorted(spot.values(node), key=lambda item: (item.name not in read, -item.line))[:_MOST_NAMES]


def _pairs(one: Variable, other: Variable) -> Iterator[tuple[str, float]]:
    if one.kind == other.kind or not one.kind or not other.kind:
        weight = 0.5 if one.kind else 0.3
        operators = ("==", "!=", "<", ">", "<=", ">=") if one.kind in {*NUMBERS, ""} else ("==", "!=")
        yield from ((f"{one.name} {operator} {other.name}", weight) for operator in operators)
    for item, holder in ((one, other), (other, one)):
        if holder.kind in COLLECTIONS and item.kind not in {"list", "dict", "set"}:
            yield f"{item.name} in {holder.name}", 0.5
            yield f"{item.name} not in {holder.name}", 0.5
        if holder.kind in {*COLLECTIONS, ""} and item.kind == "int":
            yield f"{item.name} < len({holder.name})", 0.5


def _receivers(spot: Spot, node: ast.expr) -> Iterator[str]:
    """Yield the texts whose attribute or element the condition reads: what None would break."""
    for item in ast.walk(node):
        if isinstance(item, ast.Attribute | ast.Subscript) and isinstance(item.value, ast.Name | ast.Attribute):
            text = spot.text(item.value)
            if text not in {"self", "cls"} and "\n" not in text:
                yield text


def guarded(spot: Spot) -> Iterator[Proposal]:
    """`a / b` -> `a / b if b else 0`: another value where the expression makes no sense."""
    for node in spot.nodes:
        if not isinstance(node, ast.BinOp | ast.Call | ast.Subscript | ast.Attribute) or not spot.read(node):
            continue
        if not isinstance(spot.parent(node), ast.Return | ast.Assign | ast.keyword):
            continue
        text = spot.operand(node, OR)
        for name in dict.fromkeys([*_divisors(spot, node), *_receivers(spot, node)]):
            for other in ("0", "None", "[]", '""', "False"):
                yield spot.put(node, f"{text} if {name} else {other}")


def _divisors(spot: Spot, node: ast.expr) -> Iterator[str]:
    for item in ast.walk(node):
        if isinstance(item, ast.BinOp) and isinstance(item.op, ast.Div | ast.FloorDiv | ast.Mod):
            yield spot.operand(item.right, COMPARE)
