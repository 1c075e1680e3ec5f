"""Calls with the wrong arguments, and values that a call round them puts right."""

import ast
from collections.abc import Iterator

from atra.meta_architect.scope import COLLECTIONS, NUMBERS, Variable
from atra.meta_architect.source import FUNCTIONS, Function
from atra.meta_architect.templates.names import likeness
from atra.meta_architect.templates.spot import Proposal, Spot

_KEYWORDS = {
    "sorted": ("reverse=True",), "sort": ("reverse=True",), "enumerate": ("1", "start=1"), "round": ("2",),
    "min": ("default=0", "default=None", "key=len"), "max": ("default=0", "default=None", "key=len"),
    "get": ("0", "None", "[]", "{}", '""', "False"), "pop": ("0", "None", "-1"), "next": ("None",), "range": (),
    "getattr": ("None",), "split": ('","', "maxsplit=1", "None"), "open": ('encoding="utf-8"',), "sum": ("[]",),
    "dumps": ("sort_keys=True", "indent=2", "ensure_ascii=False", "default=str"), "mkdir": ("exist_ok=True",),
    "makedirs": ("exist_ok=True",), "zip": ("strict=True",), "replace": ("1",), "int": ("16", "2", "10"),
}  # fmt: skip
_FUNCTIONS: dict[str, tuple[str, ...]] = {
    "int": ("abs", "str", "range", "float", "round"),
    "float": ("int", "round", "abs", "str"),
    "str": ("int", "float", "len", "list", "set"),
    "list": ("len", "sorted", "set", "list", "sum", "tuple", "reversed", "enumerate", "max", "min", "any", "all"),
    "dict": ("dict", "len", "list", "sorted"),
    "set": ("sorted", "list", "len"),
    "tuple": ("list", "set", "len", "sorted"),
    "bool": ("not", "int"),
    "": ("int", "str", "len", "list", "set", "sorted", "abs", "float", "sum", "round", "tuple", "dict", "bool"),
}
_METHODS: dict[str, tuple[str, ...]] = {
    "str": ("strip()", "lower()", "upper()", "split()", "rstrip()", "lstrip()", "encode()", "title()"),
    "list": ("copy()",),
    "dict": ("items()", "values()", "keys()", "copy()"),
    "set": ("copy()",),
    "bytes": ("decode()",),
    "": ("strip()", "lower()", "copy()", "items()", "values()", "upper()", "split()", "keys()"),
}


def swapped_arguments(spot: Spot) -> Iterator[Proposal]:
    """`f(a, b)` -> `f(b, a)`: two arguments, or the values of two keywords, the wrong way round."""
    for node in spot.each(ast.Call):
        for items in (node.args, [keyword.value for keyword in node.keywords]):
            for at, one in enumerate(items[:6]):
                for distance, other in enumerate(items[at + 1 : 6]):
                    yield spot.swap(one, other, 1 / (1 + distance))
        if len(node.args) == 1 and isinstance(node.func, ast.Attribute):
            yield spot.swap(node.func.value, node.args[0], 0.5)


def fewer_arguments(spot: Spot) -> Iterator[Proposal]:
    """`f(a, b)` -> `f(a)`: an argument too many."""
    for node in spot.each(ast.Call):
        spans = sorted(spot.source.span(item) for item in (*node.args, *node.keywords))
        if not spans or (len(node.args) == 1 and isinstance(node.args[0], ast.GeneratorExp)):
            continue
        for at, (start, end) in enumerate(spans):
            last = at + 1 == len(spans)
            span = (spans[at - 1][1], end) if last and at else (start, end if last else spans[at + 1][0])
            yield spot.splice(span, "", 2 if last else 1)


def more_arguments(spot: Spot) -> Iterator[Proposal]:
    """`f(a)` -> `f(a, b)`: an argument is missing: a parameter of the callee, a usual option, a variable in scope."""
    for node in spot.each(ast.Call):
        if node.args and isinstance(node.args[-1], ast.GeneratorExp):
            continue
        name = _callee(node)
        for text in _KEYWORDS.get(name, ()):
            yield _added(spot, node, text, 2)
        parameters = _missing(spot, node, name)
        for parameter in parameters:
            for item in spot.values(node):
                weight = likeness(Variable(parameter, "", "local", 0), item, parameter)
                yield _added(spot, node, f"{parameter}={item.name}", weight)
        if not parameters:
            used = {spot.text(item) for item in node.args}
            for item in spot.values(node):
                if item.name not in used:
                    yield _added(spot, node, item.name, 0.5)
        if name == "range" and len(node.args) == 1:
            yield from (_first(spot, node, text) for text in ("1", *(item.name for item in _counters(spot, node))))
        if name == "range" and len(node.args) == 2:
            yield from (_added(spot, node, text, 1) for text in ("-1", "2"))


def _callee(node: ast.Call) -> str:
    match node.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _counters(spot: Spot, node: ast.AST) -> list[Variable]:
    return [item for item in spot.near(node) if item.kind == "int"]


def _missing(spot: Spot, node: ast.Call, name: str) -> list[str]:
    """Return the parameters of the function of this name in the file that the call does not give."""
    definition = _definition(spot, name)
    if definition is None:
        return []
    names = [item.arg for item in (*definition.args.posonlyargs, *definition.args.args)]
    method = names[:1] in (["self"], ["cls"])
    given = {keyword.arg for keyword in node.keywords}
    rest = names[len(node.args) + method :] + [item.arg for item in definition.args.kwonlyargs]
    return [item for item in rest if item not in given]


def _definition(spot: Spot, name: str) -> Function | None:
    found: Function | None = None
    for node in spot.source.statements:
        if isinstance(node, ast.ClassDef) and node.name == name:
            found = next((item for item in node.body if isinstance(item, FUNCTIONS) and item.name == "__init__"), found)
        elif isinstance(node, FUNCTIONS) and node.name == name:
            found = node
    return found


def _added(spot: Spot, node: ast.Call, text: str, weight: float) -> Proposal:
    spans = [spot.source.span(item)[1] for item in (*node.args, *node.keywords)]
    if not spans:
        end = spot.source.span(node)[1] - 1
        return spot.splice((end, end), text, weight)
    close = spot.source.text.find(")", max(spans), spot.source.span(node)[1] - 1)
    end = max(spans) if close < 0 else close + 1 if _only_brackets(spot, max(spans), close) else max(spans)
    return spot.splice((end, end), f", {text}", weight)


def _only_brackets(spot: Spot, start: int, close: int) -> bool:
    """Say whether the last argument stands in brackets of its own, which the closing one belongs to."""
    return not spot.source.text[start:close].strip()


def _first(spot: Spot, node: ast.Call, text: str) -> Proposal:
    start = spot.source.span(node.args[0])[0]
    return spot.splice((start, start), f"{text}, ")


def keyword(spot: Spot) -> Iterator[Proposal]:
    """`f(start=x)` -> `f(end=x)`: another of the callee's parameters is meant."""
    for node in spot.each(ast.Call):
        others = _missing(spot, node, _callee(node))
        for item in node.keywords:
            if item.arg:
                start = spot.source.span(item)[0]
                yield from (spot.splice((start, start + len(item.arg)), other) for other in others)


def wrapped(spot: Spot) -> Iterator[Proposal]:
    """`x` -> `int(x)`, `x.strip()`, `f(x)`: a conversion, a measure or a method of the value is missing."""
    own = [name for name, item in spot.scope.module.items() if item.kind == "callable"]
    function = spot.function.name if spot.function else ""
    for node in spot.nodes:
        if _receiver(spot, node):
            yield from (spot.put(node, f"{spot.text(node)}.{name}", 0.5) for name in ("lower()", "strip()", "upper()"))
        if not _wrappable(spot, node):
            continue
        kind = spot.kind(node)
        for name in _FUNCTIONS.get(kind, ()):
            text = f"not {spot.operand(node)}" if name == "not" else f"{name}({spot.text(node)})"
            yield spot.put(node, text, 1)
        for name in _METHODS.get(kind, ()):
            yield spot.put(node, f"{spot.operand(node)}.{name}", 0.7)
        for name in own[:12]:
            if name != function:
                yield spot.put(node, f"{name}({spot.text(node)})", 0.4)


def _receiver(spot: Spot, node: ast.expr) -> bool:
    """Say whether a method is called on the value, which may be a text."""
    parent = spot.parent(node)
    on_text = isinstance(node, ast.Name | ast.Attribute | ast.Call) and spot.kind(node) in {"str", ""}
    return on_text and isinstance(parent, ast.Attribute) and isinstance(spot.parent(parent), ast.Call)


def _wrappable(spot: Spot, node: ast.expr) -> bool:
    kinds = (ast.Name, ast.Attribute, ast.Call, ast.Subscript, ast.BinOp, ast.ListComp)
    parent = spot.parent(node)
    called = isinstance(parent, ast.Call) and parent.func is node
    if not isinstance(node, kinds) or not spot.read(node) or called or isinstance(parent, ast.Attribute | ast.Expr):
        return False
    return not (
        isinstance(node, ast.Name) and spot.names.get(node.id, None) and spot.kind(node) in {"callable", "module"}
    )


def called(spot: Spot) -> Iterator[Proposal]:
    """`job.done` -> `job.done()`: brackets are missing."""
    for node in spot.each(ast.Attribute, ast.Name):
        parent = spot.parent(node)
        if not spot.read(node) or (isinstance(parent, ast.Call) and parent.func is node):
            continue
        if isinstance(node, ast.Attribute) or spot.kind(node) == "callable":
            yield spot.put(node, f"{spot.text(node)}()", 1 if isinstance(node, ast.Attribute) else 0.5)


def awaited(spot: Spot) -> Iterator[Proposal]:
    """`job()` -> `await job()`, `await job()` -> `job()`: a coroutine is not awaited, or what is no coroutine is."""
    if not isinstance(spot.function, ast.AsyncFunctionDef):
        return
    coroutine = any("coroutine" in message for _, message in spot.clues.errors)
    for node in spot.each(ast.Call):
        if not isinstance(spot.parent(node), ast.Await):
            yield spot.put(node, f"await {spot.text(node)}", 3 if coroutine else 1)
    for waiting in spot.each(ast.Await):
        yield spot.put(waiting, spot.text(waiting.value))


def extremum(spot: Spot) -> Iterator[Proposal]:
    """`best = x` -> `best = max(best, x)`, `return x` -> `return max(x, 0)`: the best so far or a bound is missing."""
    match spot.statement:
        case ast.Assign(targets=[ast.Name() | ast.Attribute() | ast.Subscript() as target], value=value):
            for name in ("max", "min"):
                yield spot.put(value, f"{name}({spot.text(target)}, {spot.text(value)})", 2)
        case ast.AugAssign(value=value) | ast.Return(value=ast.expr() as value):
            pass
        case _:
            return
    if spot.kind(value) in COLLECTIONS or spot.kind(value) == "bool":
        return
    for name in ("max", "min"):
        for other in ("0", "1", *(item.name for item in spot.values(value) if item.kind in NUMBERS)):
            if other != spot.text(value):
                yield spot.put(value, f"{name}({spot.text(value)}, {other})", 1 if other.isdigit() else 0.5)


def ordered(spot: Spot) -> Iterator[Proposal]:
    """`set(xs)` -> `dict.fromkeys(xs)`: each once, but in the order in which they came."""
    for node in spot.each(ast.Call):
        match node:
            case ast.Call(func=ast.Name(id="set" | "frozenset"), args=[only], keywords=[]):
                kept = f"dict.fromkeys({spot.text(only)})"
                yield spot.put(node, f"list({kept})", 2)
                yield spot.put(node, kept, 2)
                yield spot.put(node, f"sorted(set({spot.text(only)}))", 1)
