"""Wrong operators: comparisons, arithmetic, bits, and/or, signs and negation."""

import ast
import re
from collections.abc import Iterable, Iterator

from atra.meta_architect.scope import COLLECTIONS
from atra.meta_architect.source import NOT, TERM
from atra.meta_architect.templates.spot import Proposal, Spot

COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
    ast.Is: "is", ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in",
}  # fmt: skip
OTHER_COMPARISONS: dict[type[ast.cmpop], dict[str, float]] = {
    ast.Lt: {"<=": 4, ">": 2, ">=": 1, "!=": 0.5, "==": 0.5},
    ast.LtE: {"<": 4, ">=": 2, ">": 1, "==": 0.5, "!=": 0.5},
    ast.Gt: {">=": 4, "<": 2, "<=": 1, "!=": 0.5, "==": 0.5},
    ast.GtE: {">": 4, "<=": 2, "<": 1, "==": 0.5, "!=": 0.5},
    ast.Eq: {"!=": 4, ">=": 1.5, "<=": 1.5, ">": 0.5, "<": 0.5, "is": 0.3, "in": 1},
    ast.NotEq: {"==": 4, ">": 1, "<": 1, ">=": 0.5, "<=": 0.5, "is not": 0.3, "not in": 1},
    ast.Is: {"is not": 4, "==": 2, "!=": 0.5},
    ast.IsNot: {"is": 4, "!=": 2, "==": 0.5},
    ast.In: {"not in": 4, "==": 1},
    ast.NotIn: {"in": 4, "!=": 1},
}
ARITHMETIC: dict[type[ast.operator], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**",
    ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^", ast.LShift: "<<", ast.RShift: ">>", ast.MatMult: "@",
}  # fmt: skip
_OTHER_ARITHMETIC: dict[str, dict[str, float]] = {
    "+": {"-": 4, "*": 1},
    "-": {"+": 4, "*": 0.5, "/": 0.5},
    "*": {"/": 2, "+": 1, "//": 1, "**": 1},
    "/": {"//": 4, "*": 2, "%": 1},
    "//": {"/": 4, "%": 2, "*": 1},
    "%": {"//": 3, "/": 1, "+": 0.5},
    "**": {"*": 3},
    "&": {"|": 3, "^": 1, "-": 1},
    "|": {"&": 3, "^": 1, "+": 0.5},
    "^": {"&": 2, "|": 2, "**": 2},
    "<<": {">>": 3},
    ">>": {"<<": 3},
    "@": {"*": 1},
}


def pairs(node: ast.Compare) -> Iterator[tuple[ast.expr, ast.cmpop, ast.expr]]:
    """Yield each comparison of a chain with the operands on its two sides."""
    left = node.left
    for operator, right in zip(node.ops, node.comparators, strict=True):
        yield left, operator, right
        left = right


def comparison(spot: Spot) -> Iterator[Proposal]:
    """`a < b` -> `a <= b`: another comparison operator; membership only where the right side may hold things."""
    for node in spot.each(ast.Compare):
        for left, operator, right in pairs(node):
            holds = spot.kind(right) in {*COLLECTIONS, ""} and not isinstance(right, ast.Constant)
            for text, weight in OTHER_COMPARISONS[type(operator)].items():
                if holds or text not in {"in", "not in"}:
                    yield spot.splice(spot.source.operator(left, right), text, weight)


def boundary(spot: Spot) -> Iterator[Proposal]:
    """`n == 0` -> `n <= 1`: another operator and a neighbouring number at once."""
    for node in spot.each(ast.Compare):
        for left, operator, right in pairs(node):
            if not isinstance(right, ast.Constant) or type(right.value) is not int:
                continue
            for text, weight in OTHER_COMPARISONS[type(operator)].items():
                for step in (1, -1):
                    if text in {"<", "<=", ">", ">=", "=="}:
                        edit = spot.edit(spot.source.operator(left, right), text)
                        number = spot.put(right, str(right.value + step))
                        yield Proposal((edit, *number.edits), weight)


def arithmetic(spot: Spot) -> Iterator[Proposal]:
    """`a + b` -> `a - b`: another arithmetic or bit operator between the same operands."""
    for node in spot.each(ast.BinOp):
        for text, weight in _OTHER_ARITHMETIC[ARITHMETIC[type(node.op)]].items():
            if text in _fitting(spot.kind(node.left)):
                yield from _rebind(spot, node, text, weight)


def any_operator(spot: Spot) -> Iterator[Proposal]:
    """`a + b` -> `a % b`: any other arithmetic or bit operator, however seldom anybody takes the one for the other."""
    for node in spot.each(ast.BinOp):
        own = ARITHMETIC[type(node.op)]
        for text in _fitting(spot.kind(node.left)):
            if text not in {own, *_OTHER_ARITHMETIC[own]}:
                yield from _rebind(spot, node, text, 1)
    if isinstance(statement := spot.statement, ast.AugAssign):
        own = ARITHMETIC[type(statement.op)]
        span = spot.source.operator(statement.target, statement.value)
        for text in _fitting(spot.kind(statement.target)):
            if text not in {own, *_OTHER_ARITHMETIC[own]}:
                yield spot.splice(span, f"{text}=", 1)


def wrong_operands(spot: Spot) -> Iterator[Proposal]:
    """TypeError of an operator: another one at the very places that have the one of which the error speaks."""
    for text, left in _refused(spot.clues.messages("TypeError")):
        for node in spot.each(ast.BinOp):
            if ARITHMETIC[type(node.op)] == text:
                for other in _fitting(_SAID.get(left, left)):
                    if other != text:
                        yield from _rebind(spot, node, other, 4 if other in _OTHER_ARITHMETIC[text] else 2)
        statement = spot.statement
        if isinstance(statement, ast.AugAssign) and f"{ARITHMETIC[type(statement.op)]}=" == text:
            span = spot.source.operator(statement.target, statement.value)
            yield from (spot.splice(span, f"{other}=", 2) for other in _fitting(left) if f"{other}=" != text)
        for compared in spot.each(ast.Compare):
            for one, operator, two in pairs(compared):
                if COMPARISONS[type(operator)] == text:
                    span = spot.source.operator(one, two)
                    yield from (spot.splice(span, other, weight) for other, weight in _EQUALITIES.items())


_REFUSED = re.compile(
    r"unsupported operand type\(s\) for (?P<binary>\S+?)(?: or pow\(\))?: '(?P<left>[^']+)'"
    r"|'(?P<compared>[<>]=?)' not supported between instances of"
    r"|can only concatenate (?P<joined>\w+) \("
    r"|(?P<repeated>can't multiply sequence by non-int)"
    r"|(?P<formatted>not all arguments converted during|not enough arguments for format)"
)
_SAID = {"frozenset": "set", "Decimal": "float", "Fraction": "float", "complex": "float"}
_EQUALITIES = {"==": 3.0, "!=": 2.0, "is": 2.0, "is not": 1.0, "in": 1.0, "not in": 1.0}


def _refused(messages: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each operator that an error names, with the kind of its left operand where that is said."""
    for message in messages:
        if match := _REFUSED.search(message):
            found = {name: text for name, text in match.groupdict().items() if text}
            if "joined" in found:
                yield "+", found["joined"]
            elif "repeated" in found:
                yield "*", ""
            elif "formatted" in found:
                yield "%", "str"
            else:
                yield found.get("binary") or found["compared"], found.get("left", "").rpartition(".")[2]


def _fitting(kind: str) -> tuple[str, ...]:
    """Return the operators that make sense behind a left operand of this kind; all but `@` where it is not known."""
    return _FITTING.get(kind, _NUMERIC)


_NUMERIC = ("+", "-", "*", "/", "//", "%", "**", "&", "|", "^", "<<", ">>")
_FITTING = {
    "str": ("+", "%", "*"), "bytes": ("+", "%", "*"), "list": ("+", "*"), "tuple": ("+", "*"),
    "set": ("|", "&", "-", "^"), "dict": ("|",), "float": ("+", "-", "*", "/", "//", "%", "**"),
}  # fmt: skip


def _rebind(spot: Spot, node: ast.BinOp, text: str, weight: float) -> Iterator[Proposal]:
    """Put the operator in place; where it would bind otherwise than the old one, write the whole with brackets."""
    span = spot.source.operator(node.left, node.right)
    plain = spot.splice(span, text, weight)
    start, end = spot.source.span(node)
    left, right = _operand_text(spot, node.left, start, span[0]), _operand_text(spot, node.right, span[1], end)
    whole = f"{left} {text} {right}"
    fitted = spot.source.fit(node, whole)
    yield plain if fitted == whole else spot.put(node, whole, weight)


def _operand_text(spot: Spot, node: ast.expr, start: int, end: int) -> str:
    text = spot.source.text[start:end].strip()
    plain = isinstance(node, ast.Name | ast.Constant | ast.Attribute | ast.Call | ast.Subscript)
    return text if plain or text.startswith("(") else f"({text})"


def augmented(spot: Spot) -> Iterator[Proposal]:
    """`total += x` -> `total -= x`; `total = x` -> `total += x` and back; `d[k] = x` -> `d[k] = d.get(k, 0) + x`."""
    statement = spot.statement
    if isinstance(statement, ast.AugAssign):
        span = spot.source.operator(statement.target, statement.value)
        for text, weight in _OTHER_ARITHMETIC[ARITHMETIC[type(statement.op)]].items():
            yield spot.splice(span, f"{text}=", weight)
        yield spot.splice(span, "=", 2)
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target = statement.targets[0]
        if isinstance(target, ast.Name | ast.Attribute | ast.Subscript):
            span = spot.source.operator(target, statement.value)
            for text, weight in {"+=": 3, "-=": 1, "*=": 0.5, "|=": 0.3}.items():
                yield spot.splice(span, text, weight)
        if isinstance(target, ast.Subscript) and not isinstance(target.slice, ast.Slice):
            old = f"{spot.operand(target.value)}.get({spot.text(target.slice)}, 0)"
            yield spot.put(statement.value, f"{old} + {spot.operand(statement.value, TERM)}", 2)


def connective(spot: Spot) -> Iterator[Proposal]:
    """`a and b` -> `a or b`: the other connective, between all operands or between two neighbours."""
    for node in spot.each(ast.BoolOp):
        other = "or" if isinstance(node.op, ast.And) else "and"
        spans = [spot.source.operator(*pair) for pair in zip(node.values, node.values[1:], strict=False)]
        yield Proposal(tuple(spot.edit(span, other) for span in spans), 2)
        if len(spans) > 1:
            yield from (spot.splice(span, other) for span in spans)


def negation(spot: Spot) -> Iterator[Proposal]:
    """`if ready` -> `if not ready` and back, for conditions and their operands."""
    for node in spot.nodes:
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yield spot.put(node, spot.text(node.operand), 2)
        elif not isinstance(node, ast.Compare | ast.Constant) and is_condition(spot, node):
            yield spot.put(node, f"not {spot.operand(node, NOT)}")


def sign(spot: Spot) -> Iterator[Proposal]:
    """`-x` -> `x`; `x`, `~x`, `not x` -> `-x` where a number or an order is asked for."""
    for node in spot.nodes:
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd | ast.Invert):
            yield spot.put(node, spot.text(node.operand), 2)
            if isinstance(node.op, ast.Invert):
                yield spot.put(node, f"-{spot.operand(node.operand)}", 2)
        elif isinstance(node, ast.UnaryOp) and not is_condition(spot, node):
            yield spot.put(node, f"-{spot.operand(node.operand)}")
        elif _may_be_negative(spot, node):
            yield spot.put(node, f"-{spot.operand(node)}")


def is_condition(spot: Spot, node: ast.expr) -> bool:
    """Say whether the expression's truth is what counts: a test, an operand of and/or/not, a predicate returned."""
    parent = spot.parent(node)
    match parent:
        case ast.If() | ast.While() | ast.Assert() | ast.IfExp():
            return node is parent.test
        case ast.BoolOp():
            return True
        case ast.comprehension():
            return node in parent.ifs
        case ast.Return():
            return spot.kind(node) == "bool"
    return False


def _may_be_negative(spot: Spot, node: ast.expr) -> bool:
    parent = spot.parent(node)
    if not isinstance(node, ast.Name | ast.Attribute | ast.Call | ast.Subscript) or not spot.read(node):
        return False
    if isinstance(parent, ast.Lambda) or (
        isinstance(parent, ast.Tuple) and isinstance(spot.parent(parent), ast.Lambda)
    ):
        return True
    return isinstance(parent, ast.Return | ast.Tuple) and spot.kind(node) in {"int", "float"}
