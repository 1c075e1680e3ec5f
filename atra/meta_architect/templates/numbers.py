"""Numbers that are off by one, by a term or by a factor; wrong literals; empty collections."""

import ast
from collections.abc import Iterator

from atra.meta_architect.scope import COLLECTIONS, NUMBERS
from atra.meta_architect.source import ARITH
from atra.meta_architect.templates.spot import Proposal, Spot
from atra.meta_architect.templates.words import opposites, similarity

_COMMON = (0, 1, -1, 2)
_SEPARATORS = (" ", "", "-", "_", ",", ", ", ";", ":", "/", ".", "\n", "\t", "|", "=")
_EMPTY_CALLS = {"list": "[]", "dict": "{}", "set": "set()", "tuple": "()"}


def off_by_one(spot: Spot) -> Iterator[Proposal]:
    """`range(n)` -> `range(n + 1)`: one more or one less for indices, bounds, range arguments and counts."""
    for node in spot.nodes:
        weight = _index_like(spot, node)
        if weight and spot.read(node):
            for step in (1, -1):
                yield spot.put(node, _stepped(spot, node, step), weight)


def _stepped(spot: Spot, node: ast.expr, step: int) -> str:
    """Return the expression's text one larger or smaller, a number at its end changed where that says the same."""
    match node:
        case ast.BinOp(op=ast.Add() | ast.Sub(), left=left, right=ast.Constant(value=int(value))):
            value = (value if isinstance(node.op, ast.Add) else -value) + step
            text = spot.operand(left, ARITH)
            return text if value == 0 else f"{text} {'+' if value > 0 else '-'} {abs(value)}"
        case ast.Constant(value=int(value)):
            return str(value + step)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(value))):
            return str(step - value)
    return f"{spot.operand(node, ARITH)} {'+' if step > 0 else '-'} 1"


def _index_like(spot: Spot, node: ast.expr) -> float:
    """Return how likely one more or one less makes sense here; 0 where it makes none."""
    parent = spot.parent(node)
    kind = spot.kind(node)
    if kind in {*COLLECTIONS, "bool", "none", "callable"} or isinstance(node, ast.Starred | ast.Slice | ast.Tuple):
        return 0
    match parent:
        case ast.Slice():
            return 3
        case ast.Subscript() if node is parent.slice:
            return 3 if kind == "int" else 1
        case ast.Call(func=ast.Name(id="range")):
            return 3
        case ast.BinOp(op=ast.Add() | ast.Sub(), right=ast.Constant(value=int())) if node is parent.left:
            return 0  # the sum as a whole is stepped
        case ast.UnaryOp():
            return 0
        case ast.Compare():
            return 1.5 if kind == "int" else 0.5
    if isinstance(node, ast.BinOp | ast.Call | ast.Name | ast.Attribute | ast.Subscript):
        unknown = 0.4 if not kind and isinstance(parent, ast.Return) else 0
        return 1 if kind == "int" else unknown
    return 0


def number(spot: Spot) -> Iterator[Proposal]:
    """`limit = 10` -> `limit = 11`: neighbours, common numbers, the file's own and those the tests expect."""
    known: list[tuple[int | float, float]] = [(item, 1.5) for item in _COMMON]
    known += [(item, 1.0) for item in map(_number, spot.clues.expected[:8]) if item is not None]
    known += [(item.value, 0.5) for item in spot.scope.literals[:40] if type(item.value) in (int, float)]  # type: ignore[misc]
    for node, value in _numbers(spot):
        options: dict[int | float, float] = {value + 1: 3, value - 1: 3} if isinstance(value, int) else {}
        for item, weight in known:
            options.setdefault(item, weight)
        options |= {value * 10: 0.3, value * 1000: 0.3, value * 60: 0.2}
        options |= {value // 10: 0.3} if isinstance(value, int) and value >= 10 else {}
        for option, weight in options.items():
            if option != value:
                yield spot.put(node, repr(option), weight)


def _numbers(spot: Spot) -> Iterator[tuple[ast.expr, int | float]]:
    """Yield each number that is written out, a minus sign before it taken with it."""
    for node in spot.each(ast.Constant):
        if isinstance(node.value, int | float) and not isinstance(node.value, bool):
            parent = spot.parent(node)
            if not isinstance(parent, ast.UnaryOp):
                yield node, node.value
            elif isinstance(parent.op, ast.USub):
                yield parent, -node.value


def _number(text: str) -> int | float | None:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None


def boolean(spot: Spot) -> Iterator[Proposal]:
    """`True` -> `False`, `None` -> `True`: the other constants of the language."""
    for node in spot.each(ast.Constant):
        if isinstance(node.value, bool):
            yield spot.put(node, str(not node.value), 4)
            yield spot.put(node, "None", 0.5)
        elif node.value is None and not isinstance(spot.parent(node), ast.Compare):
            yield from (spot.put(node, text, 0.5) for text in ("True", "False", "0", "[]", "{}", '""'))


def string(spot: Spot) -> Iterator[Proposal]:
    """`"colour"` -> `"color"`: another string of the file or one that the tests expect, similar ones first."""
    known = [repr(node.value) for node in spot.scope.literals if isinstance(node.value, str)]
    expected = [text for text in spot.clues.expected if text[:1] in "'\""]
    for node in spot.each(ast.Constant):
        if not isinstance(node.value, str) or isinstance(spot.parent(node), ast.JoinedStr):
            continue
        old = node.value
        options: dict[str, float] = {}
        for text in [*expected[:8], *known[:40]]:
            value = ast.literal_eval(text)
            options[value] = 0.3 + 2 * similarity(old, value) + (text in expected) + 2 * (value in opposites(old))
        for text, weight in (("", 0.5), (" ", 0.5), (old.strip(), 1.0), (old.lower(), 0.7), (old.upper(), 0.4)):
            options.setdefault(text, weight)
        for text in _SEPARATORS if old in _SEPARATORS else ():
            options.setdefault(text, 1.0)
        for text, weight in _format_variants(old):
            options.setdefault(text, weight)
        for value, weight in options.items():
            if value != old:
                yield spot.put(node, _quoted(value, spot.text(node)), weight)


def _quoted(value: str, like: str) -> str:
    text = repr(value)
    return f'"{text[1:-1]}"' if like.startswith('"') and '"' not in text and "\\'" not in text else text


def _format_variants(text: str) -> Iterator[tuple[str, float]]:
    """Yield strings with other date or number directives, the usual slips of `strftime` and `format`."""
    for one, other in (("%m", "%M"), ("%d", "%D"), ("%Y", "%y"), ("%H", "%I"), ("%d", "%m"), (".1f", ".2f")):
        for old, new in ((one, other), (other, one)):
            if old in text:
                yield text.replace(old, new), 1.5


def scale(spot: Spot) -> Iterator[Proposal]:
    """`x` -> `x * 2`, `x ** 2`, `x // 2`: a missing factor or power."""
    for node in spot.nodes:
        if isinstance(spot.parent(node), ast.Subscript | ast.Slice) or not _numeric_operand(spot, node):
            continue
        for text, weight in (("* 2", 1.0), ("** 2", 1.0), ("// 2", 1.0), ("/ 2", 0.7), ("* 100", 0.5), ("/ 100", 0.5)):
            yield spot.put(node, f"{spot.operand(node)} {text}", weight)


def _numeric_operand(spot: Spot, node: ast.expr) -> bool:
    simple = isinstance(node, ast.Name | ast.Attribute | ast.Call | ast.BinOp) and spot.read(node)
    if not simple or spot.kind(node) not in {*NUMBERS, ""}:
        return False
    parent = spot.parent(node)
    return isinstance(parent, ast.BinOp | ast.Return | ast.Compare | ast.AugAssign | ast.Assign) or (
        isinstance(parent, ast.Call) and node in parent.args and spot.kind(node) in NUMBERS
    )


def empty_collection(spot: Spot) -> Iterator[Proposal]:
    """`return []` -> `return [x]`, `[[]]`; `{}` -> `[]`: what an empty collection should hold or be."""
    for node in spot.nodes:
        if not _is_empty(node):
            continue
        kind = spot.kind(node)
        for name in spot.near(node):
            yield spot.put(node, f"[{name.name}]" if kind == "list" else f"{{{name.name}}}", 1)
        if kind == "list":
            yield from (spot.put(node, text) for text in ("[[]]", "[0]", "[None]", "['']"))
        for other, text in _EMPTY_CALLS.items():
            if other != kind:
                yield spot.put(node, text, 0.7)


def _is_empty(node: ast.expr) -> bool:
    match node:
        case ast.List(elts=[], ctx=ast.Load()) | ast.Dict(keys=[]) | ast.Tuple(elts=[], ctx=ast.Load()):
            return True
        case ast.Call(func=ast.Name(id=name), args=[], keywords=[]):
            return name in _EMPTY_CALLS
    return False
