"""What an error says of a function's parameters, of the end of its recursion, and of the encoding of text."""

import ast
import re
from collections.abc import Iterator

from atra.meta_architect.source import FUNCTIONS, Function
from atra.meta_architect.templates.spot import Proposal, Spot

_TAKES = re.compile(r"(\w+)\(\) takes .*positional arguments? but \d+ (?:was|were) given")
_MISSING = re.compile(r"(\w+)\(\) missing \d+ required (?:positional|keyword-only) arguments?: (.+)")
_UNEXPECTED = re.compile(r"(\w+)\(\) got an unexpected keyword argument '(\w+)'")
_NAMED = re.compile(r"'(\w+)'")
_ENCODINGS = ("utf-8", "latin-1", "utf-8-sig")


def wrong_arguments(spot: Spot) -> Iterator[Proposal]:
    """TypeError of a call: `def f():` -> `def f(self):`, a default, `*args`, `@staticmethod`, where it is defined."""
    for message in spot.clues.messages("TypeError"):
        if found := _TAKES.search(message):
            for function in _named(spot, found[1]):
                yield from _one_more(spot, function)
        if found := _MISSING.search(message):
            for function in _named(spot, found[1]):
                yield from _defaults(spot, function, _NAMED.findall(found[2]))
        if found := _UNEXPECTED.search(message):
            for function in _named(spot, found[1]):
                yield from (_parameter(spot, function, f"{found[2]}={value}") for value in ("None", "False", "0"))
                yield _parameter(spot, function, "**kwargs")


def _named(spot: Spot, name: str) -> Iterator[Function]:
    """Yield the functions of that name, if this statement is one of them, is in it, or speaks of it or its class."""
    said = {node.id for node in spot.each(ast.Name)} | {node.attr for node in spot.each(ast.Attribute)}
    for node in spot.source.statements:
        if isinstance(node, FUNCTIONS) and node.name == name:
            owner = spot.source.parents[node]
            called = {name, owner.name} if isinstance(owner, ast.ClassDef) and name == "__init__" else {name}
            if node is spot.statement or node is spot.function or called & said:
                yield node


def _one_more(spot: Spot, function: Function) -> Iterator[Proposal]:
    if isinstance(spot.source.parents[function], ast.ClassDef):
        first = "cls" if any(spot.text(item) == "classmethod" for item in function.decorator_list) else "self"
        yield from _first_parameter(spot, function, first)
        indent = spot.source.indent(function)
        if indent is not None and not function.decorator_list:
            start = spot.source.lines_of(function)[0]
            yield spot.splice((start, start), f"{indent}@staticmethod{spot.source.newline}")
    yield _parameter(spot, function, "*args", 0.5)


def _first_parameter(spot: Spot, function: Function, name: str) -> Iterator[Proposal]:
    at = _opening(spot, function) + 1
    if name not in {item.arg for item in function.args.args}:
        rest = spot.source.text[at : _closing(spot, function)].strip()
        yield spot.splice((at, at), f"{name}, " if rest else name, 4)


def _defaults(spot: Spot, function: Function, missing: list[str]) -> Iterator[Proposal]:
    """`def f(a, b)` -> `def f(a, b=None)`; only where nothing without a default would follow."""
    given = [*function.args.posonlyargs, *function.args.args]
    bare = given[: len(given) - len(function.args.defaults)]
    if bare and bare[-1].arg in missing:
        end = spot.source.span(bare[-1])[1]
        yield from (spot.splice((end, end), f"={value}", 1) for value in ("None", "0", '""', "1", "()", "False"))
    if isinstance(spot.source.parents[function], ast.ClassDef) and given and given[0].arg in {"self", "cls"}:
        return
    indent = spot.source.indent(function)
    if isinstance(spot.source.parents[function], ast.ClassDef) and indent is not None and not function.decorator_list:
        start = spot.source.lines_of(function)[0]
        yield spot.splice((start, start), f"{indent}@staticmethod{spot.source.newline}", 2)


def _parameter(spot: Spot, function: Function, text: str, weight: float = 1.0) -> Proposal:
    """Propose one more parameter, the last."""
    start, end = _opening(spot, function) + 1, _closing(spot, function)
    inner = spot.source.text[start:end].rstrip()
    at = start + len(inner)
    return spot.splice((at, at), text if not inner else f" {text}" if inner.endswith(",") else f", {text}", weight)


def _opening(spot: Spot, function: Function) -> int:
    """Return where the bracket round the parameters opens; a decorator's own brackets stand before the name."""
    start = spot.source.at(function.lineno, function.col_offset)
    return spot.source.text.index("(", spot.source.text.index(function.name, start))


def _closing(spot: Spot, function: Function) -> int:
    depth, at = 0, _opening(spot, function)
    for place in range(at, len(spot.source.text)):
        depth += {"(": 1, ")": -1}.get(spot.source.text[place], 0)
        if not depth:
            return place
    return at + 1


def endless_recursion(spot: Spot) -> Iterator[Proposal]:
    """RecursionError: `f(n)` -> `f(n - 1)`, `f(xs[1:])` where a function calls itself; a base case before all else."""
    if not spot.clues.messages("RecursionError") or spot.function is None:
        return
    own = {spot.function.name}
    for call in spot.each(ast.Call):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if name in own:
            for argument in call.args:
                text = spot.operand(argument)
                for smaller in (f"{text} - 1", f"{text}[1:]", f"{text} // 2", f"{text}.next", f"{text}[:-1]"):
                    yield spot.put(argument, smaller, 1)
    body = spot.function.body
    if spot.statement is (body[1] if len(body) > 1 and _says(body[0]) else body[0]):
        for name in (parameter.arg for parameter in spot.function.args.args if parameter.arg not in {"self", "cls"}):
            for test in (f"not {name}", f"{name} <= 0", f"{name} <= 1", f"{name} is None"):
                for result in ("None", "0", "1", "[]", '""', name):
                    yield from spot.before(f"if {test}:\n\treturn {result}", 0.5)


def _says(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def undecodable(spot: Spot) -> Iterator[Proposal]:
    """UnicodeError: `open(p)` -> `open(p, encoding="utf-8")`, `b.decode()` -> `b.decode("utf-8", errors="replace")`."""
    if not spot.clues.messages("UnicodeDecodeError", "UnicodeEncodeError", "UnicodeError"):
        return
    for call in spot.each(ast.Call):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        keywords = {keyword.arg: keyword.value for keyword in call.keywords}
        inner = spot.source.text[: spot.source.span(call)[1] - 1].rstrip()
        comma = "" if inner.endswith(("(", ",")) else ", "
        end = len(inner)
        if name in {"open", "read_text", "write_text"} and "encoding" not in keywords:
            yield from (spot.splice((end, end), f'{comma}encoding="{kind}"', 3) for kind in _ENCODINGS)
        if name in {"open", "read_text", "write_text", "decode", "encode"} and "errors" not in keywords:
            yield from (spot.splice((end, end), f'{comma}errors="{way}"', 1) for way in ("replace", "ignore"))
        given = keywords.get("encoding") or (call.args[0] if name in {"decode", "encode"} and call.args else None)
        if given is not None:
            yield from (spot.put(given, f'"{kind}"', 3) for kind in _ENCODINGS)
        elif name in {"decode", "encode"} and not call.args:
            yield from (spot.splice((end, end), f'"{kind}"', 2) for kind in _ENCODINGS)
