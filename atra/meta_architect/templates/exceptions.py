"""What the error itself asks for: templates that speak only when a failing test ended in their kind of error."""

import ast
import builtins
import re
import sys
from collections.abc import Iterator

from atra.core.edits import Edit
from atra.meta_architect.source import FUNCTIONS, OR, TEST
from atra.meta_architect.templates.spot import Proposal, Spot
from atra.meta_architect.templates.words import similarity

_NAME = re.compile(r"'(\w+)'")
_EMPTY = ("None", "0", "[]", "{}", '""', "False")
_STARTS = ("0", "[]", "{}", "None", '""', "False", "1", "set()")
_IMPORTS = {
    "defaultdict": "collections", "Counter": "collections", "deque": "collections", "OrderedDict": "collections",
    "namedtuple": "collections", "datetime": "datetime", "timedelta": "datetime", "date": "datetime",
    "timezone": "datetime", "Path": "pathlib", "Decimal": "decimal", "Fraction": "fractions", "partial": "functools",
    "reduce": "functools", "wraps": "functools", "lru_cache": "functools", "cache": "functools",
    "dataclass": "dataclasses", "field": "dataclasses", "Enum": "enum", "chain": "itertools", "product": "itertools",
    "combinations": "itertools", "permutations": "itertools", "groupby": "itertools", "islice": "itertools",
    "accumulate": "itertools", "zip_longest": "itertools", "count": "itertools", "Any": "typing",
    "Optional": "typing", "Callable": "typing", "Iterable": "typing", "heappush": "heapq", "heappop": "heapq",
    "heapify": "heapq", "bisect_left": "bisect", "bisect_right": "bisect", "deepcopy": "copy", "sqrt": "math",
    "ceil": "math", "floor": "math", "StringIO": "io", "BytesIO": "io", "uuid4": "uuid", "contextmanager": "contextlib",
    "suppress": "contextlib", "itemgetter": "operator", "attrgetter": "operator",
}  # fmt: skip


def missing_key(spot: Spot) -> Iterator[Proposal]:
    """KeyError: `d[k]` -> `d.get(k, 0)`, `del d[k]` -> `d.pop(k, None)`, `if k not in d: d[k] = []` first."""
    if not spot.clues.messages("KeyError"):
        return
    for node in spot.each(ast.Subscript):
        if isinstance(node.slice, ast.Slice):
            continue
        holder, key = spot.operand(node.value), spot.text(node.slice)
        if spot.read(node):
            for default in _EMPTY:
                yield spot.put(node, f"{holder}.get({key}, {default})", 2 if default == "None" else 1)
        if isinstance(node.ctx, ast.Del):
            yield spot.splice(spot.source.span(spot.statement), f"{holder}.pop({key}, None)", 3)
        if isinstance(spot.statement, ast.AugAssign) and node is spot.statement.target:
            yield from _augmented_default(spot, spot.statement, node)
        for start in ("[]", "0", "{}", "set()"):
            yield from spot.before(f"if {key} not in {holder}:\n\t{holder}[{key}] = {start}", 0.7)
        yield from _wrapped(spot, f"{key} in {holder}")


def _augmented_default(spot: Spot, statement: ast.AugAssign, node: ast.Subscript) -> Iterator[Proposal]:
    """`d[k] += v` -> `d[k] = d.get(k, 0) + v`."""
    start, end = spot.source.operator(node, statement.value)
    operator = spot.source.text[start : end - 1]
    holder, key, value = spot.operand(node.value), spot.text(node.slice), spot.operand(statement.value)
    for default in ("0", "[]", '""', "1"):
        text = f"{holder}[{key}] = {holder}.get({key}, {default}) {operator} {value}"
        yield spot.splice(spot.source.span(statement), text, 2)


def _wrapped(spot: Spot, condition: str) -> Iterator[Proposal]:
    """Propose to do the statement, a single line, only under a condition."""
    statement, indent = spot.statement, spot.source.indent(spot.statement)
    simple = isinstance(statement, ast.Expr | ast.Assign | ast.AugAssign | ast.Delete | ast.Return)
    if simple and indent is not None and spot.source.alone(statement) and "\n" not in spot.text(statement):
        start = spot.source.span(statement)[0]
        yield spot.splice((start, start), f"if {condition}:{spot.source.newline}{indent}{spot.source.unit}", 0.7)


def none_value(spot: Spot) -> Iterator[Proposal]:
    """None where an object was expected: a guard before the statement, another value in the expression."""
    errors = [*spot.clues.messages("AttributeError"), *spot.clues.messages("TypeError")]
    if not any("NoneType" in message for message in errors):
        return
    seen: dict[str, None] = {}
    for node in spot.nodes:
        if not isinstance(node, ast.Attribute | ast.Subscript):
            continue
        holder = spot.text(node.value)
        if holder in {"self", "cls"} or "\n" in holder or not isinstance(node.value, ast.Name | ast.Attribute):
            continue
        if spot.read(node) and isinstance(node.ctx, ast.Load):
            whole = _access(spot, node)
            for other in _EMPTY:
                yield spot.put(whole, f"{spot.operand(whole, OR)} if {holder} is not None else {other}")
        seen.setdefault(holder)
    for name in [*seen, *(item.name for item in spot.locals if item.name not in seen and item.kind in {"", "none"})]:
        for result in _EMPTY if spot.function else ():
            yield from spot.before(f"if {name} is None:\n\treturn {result}", 1)
        yield from _wrapped(spot, f"{name} is not None")
        for start in _STARTS if name.isidentifier() else ():
            yield from spot.before(f"if {name} is None:\n\t{name} = {start}", 0.5)
    for value in spot.each(ast.Name, ast.Call, ast.Attribute):
        if spot.read(value) and spot.kind(value) in {"", "none"}:
            yield from (
                spot.put(value, f"{spot.operand(value, OR)} or {other}", 0.3) for other in ("[]", "{}", '""', "0")
            )


def _access(spot: Spot, node: ast.expr) -> ast.expr:
    """Return the whole chain of accesses and calls that starts with this one."""
    while True:
        parent = spot.parent(node)
        chained = isinstance(parent, ast.Attribute | ast.Subscript) and parent.value is node
        if not isinstance(parent, ast.expr) or not (chained or (isinstance(parent, ast.Call) and parent.func is node)):
            return node
        node = parent


def out_of_range(spot: Spot) -> Iterator[Proposal]:
    """IndexError and its kin: nothing to take from, or the position lies behind the end."""
    if not any(kind in {"IndexError", "StopIteration"} for kind, _ in spot.clues.errors):
        return
    for node in spot.each(ast.Subscript):
        if isinstance(node.slice, ast.Slice) or "\n" in spot.text(node):
            continue
        holder, index = spot.text(node.value), spot.operand(node.slice, OR)
        for result in _EMPTY if spot.function else ():
            yield from spot.before(f"if not {holder}:\n\treturn {result}", 1)
            if spot.read(node):
                yield spot.put(node, f"{spot.text(node)} if {holder} else {result}", 0.5)
        yield from _wrapped(spot, f"{index} < len({holder})")
        yield from _wrapped(spot, holder)
        test = spot.statement.test if isinstance(spot.statement, ast.If | ast.While) else None
        if test is not None:
            yield spot.put(test, f"{index} < len({holder}) and {spot.operand(test, OR + 2)}", 2)
            yield spot.put(test, f"{holder} and {spot.operand(test, OR + 2)}", 2)
    for call in spot.each(ast.Call):
        if isinstance(call.func, ast.Attribute) and call.func.attr in {"pop", "popleft"}:
            holder = spot.text(call.func.value)
            yield from _wrapped(spot, holder)
            yield from (item for result in _EMPTY for item in spot.before(f"if not {holder}:\n\treturn {result}", 1))
        if isinstance(call.func, ast.Name) and call.func.id == "next" and len(call.args) == 1:
            argument = spot.text(call.args[0])
            argument = f"({argument})" if isinstance(call.args[0], ast.GeneratorExp) else argument
            yield spot.put(call, f"next({argument}, None)", 3)


def division_by_zero(spot: Spot) -> Iterator[Proposal]:
    """ZeroDivisionError: a guard before the division, or another value in its place."""
    if not spot.clues.messages("ZeroDivisionError"):
        return
    for node in spot.each(ast.BinOp):
        if not isinstance(node.op, ast.Div | ast.FloorDiv | ast.Mod) or "\n" in spot.text(node):
            continue
        divisor = spot.text(node.right)
        whole = spot.statement.value if isinstance(spot.statement, ast.Return | ast.Assign) else None
        for result in ("0", "0.0", "None", "1", "[]"):
            if spot.function is not None:
                yield from spot.before(f"if {divisor} == 0:\n\treturn {result}", 1)
            yield spot.put(node, f"{spot.operand(node, OR)} if {spot.operand(node.right, OR)} else {result}", 1)
            if whole is not None and whole is not node:
                yield spot.put(whole, f"{spot.operand(whole, OR)} if {spot.operand(node.right, OR)} else {result}", 1)
        yield spot.put(node.right, f"max({divisor}, 1)", 1)
        inside = spot.operand(node.right, TEST)
        if spot.function is not None and isinstance(node.right, ast.Call) and node.right.args:
            inner = spot.text(node.right.args[0])
            for result in ("0", "0.0", "None"):
                yield from spot.before(f"if not {inner}:\n\treturn {result}", 1)
        yield from _wrapped(spot, inside)


def unknown_name(spot: Spot) -> Iterator[Proposal]:
    """NameError: the nearest name, `self.name`, an import, `global`, `nonlocal`, or a first value before it."""
    messages = [*spot.clues.messages("NameError"), *spot.clues.messages("UnboundLocalError")]
    wanted = dict.fromkeys(name for message in messages for name in _NAME.findall(message)[:1])
    own = spot.scope.self_attributes(spot.statement) if "self" in spot.names else {}
    for node in spot.each(ast.Name):
        if node.id not in wanted:
            continue
        for other in [*spot.names, *vars(builtins)]:
            if other != node.id and similarity(other, node.id) >= 0.4:
                yield spot.put(node, other, 3 * similarity(other, node.id))
        if node.id in own:
            yield spot.put(node, f"self.{node.id}", 4)
        if node.id in spot.scope.module and spot.function is not None:
            yield from _first_in_function(spot, f"global {node.id}")
        if _bound_outside(spot, node.id):
            yield from _first_in_function(spot, f"nonlocal {node.id}")
        yield from _import(spot, node.id)
        if spot.function is not None and node.id not in sys.stdlib_module_names and node.id not in _IMPORTS:
            for start in _STARTS:
                yield from _first_in_function(spot, f"{node.id} = {start}")
                yield from spot.before(f"{node.id} = {start}", 0.5)


def _bound_outside(spot: Spot, name: str) -> bool:
    """Say whether a function round this one binds the name."""
    outer = (at for at in spot.source.ancestors(spot.function) if isinstance(at, FUNCTIONS)) if spot.function else ()
    return any(
        (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id == name)
        or (isinstance(node, ast.arg) and node.arg == name)
        for at in outer
        for node in _outside(at, spot.function)
    )


def _outside(function: ast.AST, inner: ast.AST | None) -> Iterator[ast.AST]:
    """Yield the function's nodes but those of one inside it."""
    waiting = [function]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += (child for child in ast.iter_child_nodes(node) if child is not inner)


def _first_in_function(spot: Spot, text: str) -> Iterator[Proposal]:
    body = [item for item in spot.function.body if not _is_docstring(item)] if spot.function else []
    if body and (indent := spot.source.indent(body[0])) is not None:
        at = spot.source.lines_of(body[0])[0]
        edit = Edit(spot.source.path, at, at, f"{indent}{text}{spot.source.newline}")
        yield Proposal((edit,), 1, text)


def _import(spot: Spot, name: str) -> Iterator[Proposal]:
    lines = [f"import {name}"] if name in sys.stdlib_module_names else []
    lines += [f"from {_IMPORTS[name]} import {name}"] if name in _IMPORTS else []
    first = next((item for item in spot.source.tree.body if _may_follow_import(item)), None)
    if first is not None:
        at = spot.source.lines_of(first)[0]
        for line in lines:
            yield Proposal((Edit(spot.source.path, at, at, line + spot.source.newline),), 6, line)


def _may_follow_import(statement: ast.stmt) -> bool:
    future = isinstance(statement, ast.ImportFrom) and statement.module == "__future__"
    return not future and not _is_docstring(statement)


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def unknown_attribute(spot: Spot) -> Iterator[Proposal]:
    """AttributeError: the attribute of the most similar name that the file uses or defines."""
    wanted = {name for message in spot.clues.messages("AttributeError") for name in _NAME.findall(message)[-1:]}
    known = {*spot.scope.attributes, *_defined(spot)} - wanted
    for node in spot.each(ast.Attribute):
        if node.attr not in wanted:
            continue
        holder = spot.text(node)[: -len(node.attr)]
        for other in sorted(known):
            if similarity(other, node.attr) >= 0.3:
                yield spot.put(node, holder + other, 3 * similarity(other, node.attr))
        yield spot.put(node, f"{holder[:-1]}[{node.attr!r}]", 0.5)


def _defined(spot: Spot) -> Iterator[str]:
    for node in spot.source.statements:
        if isinstance(node, FUNCTIONS):
            yield node.name
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def wrong_type(spot: Spot) -> Iterator[Proposal]:
    """TypeError, ValueError: a conversion where text and numbers meet, `list(...)` where a view was given."""
    if not any(kind in {"TypeError", "ValueError"} for kind, _ in spot.clues.errors):
        return
    for node in spot.nodes:
        if not isinstance(node, ast.Name | ast.Attribute | ast.Call | ast.Subscript | ast.BinOp) or not spot.read(node):
            continue
        if isinstance(spot.parent(node), ast.BinOp | ast.Compare | ast.Call | ast.AugAssign | ast.Return | ast.For):
            parent = spot.parent(node)
            if not (isinstance(parent, ast.Call) and parent.func is node):
                yield from (spot.put(node, f"{name}({spot.text(node)})") for name in ("str", "int", "list", "float"))
    for call in spot.each(ast.Call):
        if isinstance(call.func, ast.Name) and call.func.id in {"max", "min"} and len(call.args) == 1:
            yield spot.put(call, f"{spot.text(call)} if {spot.text(call.args[0])} else 0", 1)


def changed_while_iterated(spot: Spot) -> Iterator[Proposal]:
    """RuntimeError, or elements skipped: `for x in xs` -> `for x in list(xs)` when the loop's block changes things."""
    if isinstance(spot.statement, ast.For):
        iterated = spot.statement.iter
        changes = {"pop", "remove", "append", "add", "discard", "insert", "clear", "popitem"}
        for node in (item for part in spot.statement.body for item in ast.walk(part)):
            method = isinstance(node, ast.Attribute) and node.attr in changes
            if method or isinstance(node, ast.Delete):
                yield spot.put(iterated, f"list({spot.text(iterated)})")
                return


def caught(spot: Spot) -> Iterator[Proposal]:
    """`except KeyError` -> `except ValueError`: the error that was raised or a usual one, for the one named."""
    if not isinstance(spot.statement, ast.Try):
        return
    raised = [kind for kind, _ in spot.clues.errors if kind.isidentifier()]
    usual = ("Exception", "ValueError", "TypeError", "KeyError", "IndexError", "AttributeError", "LookupError")
    for handler in spot.statement.handlers:
        if handler.type is None:
            continue
        old = spot.text(handler.type)
        for kind in dict.fromkeys([*raised, *usual]):
            weight = 3 if kind in raised else 1
            if kind != old:
                yield spot.put(handler.type, kind, weight)
        if isinstance(handler.type, ast.Name):
            yield from (spot.put(handler.type, f"({old}, {kind})", 4) for kind in raised if kind != old)
