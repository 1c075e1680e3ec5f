"""The right values in the wrong shape: swapped, too much of them, or a part missing."""

import ast
from collections.abc import Iterator
from typing import TypeGuard

from atra.meta_architect.scope import COLLECTIONS, NUMBERS
from atra.meta_architect.source import ARITH, TERM
from atra.meta_architect.templates.operators import is_condition
from atra.meta_architect.templates.spot import Proposal, Spot

_ORDERED = {"list", "str", "tuple", "bytes", ""}


def swapped_operands(spot: Spot) -> Iterator[Proposal]:
    """`a - b` -> `b - a`: operands the wrong way round, where their order matters."""
    for node in spot.each(ast.BinOp):
        commutes = isinstance(node.op, ast.Mult | ast.BitAnd | ast.BitOr | ast.BitXor)
        sums = isinstance(node.op, ast.Add) and {spot.kind(node.left), spot.kind(node.right)} & NUMBERS
        if not commutes and not sums:
            yield spot.swap(node.left, node.right)
        if isinstance(node.left, ast.BinOp) and not isinstance(node.left.op, ast.Pow):
            yield spot.swap(node.left.right, node.right, 0.5)
    for test in spot.each(ast.Compare):
        if len(test.ops) == 1 and isinstance(test.ops[0], ast.In | ast.NotIn):
            yield spot.swap(test.left, test.comparators[0], 0.3)
    for choice in spot.each(ast.IfExp):
        yield spot.swap(choice.body, choice.orelse)


def swapped_elements(spot: Spot) -> Iterator[Proposal]:
    """`return low, high` -> `return high, low`: neighbours in a tuple or list, keys and values, loop targets."""
    for node in spot.nodes:
        if isinstance(node, ast.Tuple | ast.List) and 2 <= len(node.elts) <= 8:
            for one, other in zip(node.elts, node.elts[1:], strict=False):
                yield spot.swap(one, other, 1 if isinstance(node, ast.Tuple) else 0.3)
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Subscript):
            yield spot.swap(node.slice, node.value.slice)
        if isinstance(node, ast.DictComp):
            yield spot.swap(node.key, node.value)


def dropped_operand(spot: Spot) -> Iterator[Proposal]:
    """`a + b` -> `a`: an operand too many."""
    for node in spot.each(ast.BinOp):
        yield spot.put(node, spot.text(node.left), 2)
        yield spot.put(node, spot.text(node.right))
    for choice in spot.each(ast.IfExp):
        yield spot.put(choice, spot.text(choice.body))
        yield spot.put(choice, spot.text(choice.orelse))


def unwrapped(spot: Spot) -> Iterator[Proposal]:
    """`sorted(xs)` -> `xs`, `xs[1:]` -> `xs`, `x.strip()` -> `x`, `x.name` -> `x`: a call or access too many."""
    for node in spot.nodes:
        match node:
            case ast.Call(func=ast.Attribute(value=value), args=args):
                yield spot.put(node, spot.text(value), 1.5)
                yield spot.put(node, spot.text(node.func), 0.7)
                yield from (spot.put(node, spot.text(item)) for item in args[:2] if not isinstance(item, ast.Starred))
            case ast.Call(args=args):
                yield from (
                    spot.put(node, spot.text(item), 2) for item in args[:3] if not isinstance(item, ast.Starred)
                )
            case ast.Subscript(value=value, ctx=ast.Load()):
                yield spot.put(node, spot.text(value))
            case ast.Attribute(value=value, ctx=ast.Load()) if not _called(spot, node):
                yield spot.put(node, spot.text(value), 0.5)
            case ast.List(elts=[only]) | ast.Tuple(elts=[only]) | ast.Set(elts=[only]) if spot.read(node):
                if not isinstance(only, ast.Starred):
                    yield spot.put(node, spot.text(only))


def _called(spot: Spot, node: ast.expr) -> bool:
    parent = spot.parent(node)
    return isinstance(parent, ast.Call) and parent.func is node


def to_name(spot: Spot) -> Iterator[Proposal]:
    """`while True` -> `while queue`: a whole expression is replaced by a variable in scope."""
    for node in spot.nodes:
        if isinstance(node, ast.Name | ast.Starred | ast.Slice | ast.JoinedStr) or not spot.read(node):
            continue
        if _called(spot, node) or isinstance(spot.parent(node), ast.JoinedStr | ast.Expr):
            continue
        kind = spot.kind(node)
        for name in spot.values(node):
            same = 2.0 if kind and kind == name.kind else 1.0 if not kind or not name.kind else 0.3
            same = 1.0 if is_condition(spot, node) else same
            yield spot.put(node, name.name, same)


def added_term(spot: Spot) -> Iterator[Proposal]:
    """`k` -> `k - v`, `rest` -> `v + rest`: a variable in scope is added, taken off, or multiplied in."""
    for node in spot.nodes:
        if not _may_grow(spot, node):
            continue
        kind = spot.kind(node)
        yield from _added_number(spot, node)
        for name in spot.values(node):
            if name.name == spot.text(node):
                continue
            close = 2.0 if kind and kind == name.kind else 1.0 if not kind or not name.kind else 0.1
            old = spot.operand(node, ARITH)
            yield spot.put(node, f"{old} + {name.name}", close)
            if kind in COLLECTIONS:
                yield spot.put(node, f"{name.name} + {spot.operand(node, TERM)}", close)
            else:
                yield spot.put(node, f"{old} - {name.name}", close)
                yield spot.put(node, f"{spot.operand(node, TERM)} * {name.name}", close / 2)


def _added_number(spot: Spot, node: ast.expr) -> Iterator[Proposal]:
    """Add and take off the function's other numbers and the lengths of the statement's texts."""
    if spot.kind(node) in COLLECTIONS or spot.function is None:
        return
    numbers = {len(item.value) for item in spot.each(ast.Constant) if isinstance(item.value, str)}
    numbers |= {
        item.value for item in ast.walk(spot.function) if isinstance(item, ast.Constant) and _is_int(item.value)
    }
    for number in sorted(numbers - {0, 1})[:4]:
        yield spot.put(node, f"{spot.operand(node, ARITH)} + {number}", 0.5)
        yield spot.put(node, f"{spot.operand(node, ARITH)} - {number}", 0.5)


def _is_int(value: object) -> TypeGuard[int]:
    return type(value) is int


def _may_grow(spot: Spot, node: ast.expr) -> bool:
    plain = isinstance(node, ast.Name | ast.Call | ast.BinOp | ast.Attribute | ast.Subscript | ast.ListComp)
    number = isinstance(node, ast.Constant) and type(node.value) is int
    if not (plain or number) or not spot.read(node) or _called(spot, node):
        return False
    if spot.kind(node) in {"dict", "set", "bool", "none", "callable", "module"}:
        return False
    return not isinstance(
        spot.parent(node), ast.Attribute | ast.Expr | ast.comprehension | ast.For | ast.FormattedValue
    )


def sliced(spot: Spot) -> Iterator[Proposal]:
    """`items` -> `items[1:]`, `items[i:]`, `items[::-1]`: a part of a sequence instead of all of it."""
    for node in spot.nodes:
        if not _sequence(spot, node):
            continue
        counters = [name.name for name in spot.near(node) if name.kind == "int"]
        for text in ("[1:]", "[:-1]", "[::-1]", "[:]"):
            yield spot.put(node, spot.operand(node) + text)
        for name in counters:
            for text in (f"[{name}:]", f"[:{name}]", f"[{name} + 1:]"):
                yield spot.put(node, spot.operand(node) + text, 0.7)
    for node in spot.each(ast.Slice):
        yield from _slice_parts(spot, node)


def _slice_parts(spot: Spot, node: ast.Slice) -> Iterator[Proposal]:
    """Yield the slice without one of its bounds, and with a bound that it lacks."""
    lower, upper, step = (spot.text(item) if item else "" for item in (node.lower, node.upper, node.step))
    tail = f":{step}" if step else ""
    if lower:
        yield spot.splice(spot.source.span(node), f":{upper}{tail}")
    if upper:
        yield spot.splice(spot.source.span(node), f"{lower}:{tail}")
    if lower and not upper:
        yield spot.splice(spot.source.span(node), f":{lower}{tail}")
    if upper and not lower:
        yield spot.splice(spot.source.span(node), f"{upper}:{tail}")
    if not step:
        yield spot.splice(spot.source.span(node), f"{lower}:{upper}:-1", 0.5)


def indexed(spot: Spot) -> Iterator[Proposal]:
    """`row` -> `row[0]`, `row[i]`: one element instead of the whole."""
    for node in spot.nodes:
        if not _sequence(spot, node):
            continue
        for text in ("[0]", "[-1]", "[1]"):
            yield spot.put(node, spot.operand(node) + text)
        for name in spot.near(node):
            if name.name != spot.text(node) and name.kind in {"int", "str", ""}:
                yield spot.put(node, f"{spot.operand(node)}[{name.name}]", 0.7 if name.kind else 0.4)


def _sequence(spot: Spot, node: ast.expr) -> bool:
    readable = isinstance(node, ast.Name | ast.Attribute | ast.Call) and spot.read(node) and not _called(spot, node)
    if not readable or spot.kind(node) not in _ORDERED:
        return False
    known = spot.scope.visible(node).get(node.id) if isinstance(node, ast.Name) else None
    if known is not None and known.kind in {"callable", "module"}:
        return False
    parent = spot.parent(node)
    return not isinstance(parent, ast.Attribute | ast.Expr) and not (
        isinstance(parent, ast.Subscript) and node is parent.value
    )


def element(spot: Spot) -> Iterator[Proposal]:
    """`[a]` -> `[a, b]`: one element more or fewer in a list, tuple or set."""
    for node in spot.nodes:
        if not isinstance(node, ast.List | ast.Tuple | ast.Set) or not spot.read(node) or not node.elts:
            continue
        last = spot.source.bracketed(node.elts[-1])[1]
        first = spot.source.bracketed(node.elts[0])[0]
        used = {spot.text(item) for item in node.elts}
        for name in spot.values(node):
            if name.name not in used:
                yield spot.splice((last, last), f", {name.name}")
                yield spot.splice((first, first), f"{name.name}, ", 0.5)
        if len(node.elts) > 2:
            for one, other in zip(node.elts, node.elts[1:], strict=False):
                yield spot.splice((spot.source.bracketed(one)[1], spot.source.bracketed(other)[1]), "", 0.5)


def attribute_access(spot: Spot) -> Iterator[Proposal]:
    """`user` -> `user.name`: an attribute that the file reads elsewhere on a variable of that name, or any."""
    for node in spot.each(ast.Name):
        if not spot.read(node) or _called(spot, node) or isinstance(spot.parent(node), ast.Attribute):
            continue
        if spot.kind(node) in {*NUMBERS, *COLLECTIONS, "bool", "module", "callable"}:
            continue
        known = spot.scope.accesses.get(node.id, [])
        for name in known:
            yield spot.put(node, f"{node.id}.{name}", 2)
        for name in list(spot.scope.attributes)[:20]:
            if name not in known:
                yield spot.put(node, f"{node.id}.{name}", 0.3)
