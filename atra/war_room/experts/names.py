"""The door to jedi: which definitions a statement depends on, inside one file. Nothing is run and no file is read."""

import ast
from collections.abc import Iterator
from functools import lru_cache

import jedi
from jedi.api.environment import InterpreterEnvironment

jedi.settings.use_filesystem_cache = False
jedi.settings.fast_parser = False  # it would change the tree of the text before into the next one, under its reader

Function = ast.FunctionDef | ast.AsyncFunctionDef

_DEPTH = 6  # definitions of definitions


def function_named(tree: ast.Module, test: str) -> Function | None:
    """Return the function of a test's id, `path::Class::name[parameters]`; of one name the last, as Python does."""
    _, *outer = test.partition("[")[0].split("::")
    nodes: list[ast.stmt] = tree.body
    for name in outer[:-1]:
        nodes = next((node.body for node in nodes if isinstance(node, ast.ClassDef) and node.name == name), [])
    named = (node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    found = [node for node in named if outer and node.name == outer[-1]]
    return found[-1] if found else None


def dotted(node: ast.Attribute | ast.Name) -> str:
    """Return the name as it is written, `a.b.c`; what is taken from a call or another expression begins with `?`."""
    parts: list[str] = []
    at: ast.expr = node
    while isinstance(at, ast.Attribute):
        parts.append(at.attr)
        at = at.value
    return ".".join([at.id if isinstance(at, ast.Name) else "?", *reversed(parts)])


def words_of(node: ast.AST) -> set[str]:
    """Return the names, attributes, keywords and short strings in the node."""
    found: set[str] = set()
    for at in ast.walk(node):
        match at:
            case ast.Name(id=word) | ast.Attribute(attr=word) | ast.arg(arg=word) | ast.Constant(value=str(word)):
                found.add(word)
            case ast.keyword(arg=str(word)):
                found.add(word)
    return found


def slice_of(text: str, function: Function, line: int | None) -> list[str]:
    """Return the names, with dots, that the statement on the line uses, and those that define its variables, in turn.

    Without a line the last statement is meant. A variable's definition is found by jedi; where jedi fails on a text,
    the statement's own names are all there is.
    """
    statements = [node for node in ast.walk(function) if isinstance(node, ast.stmt) and node is not function]
    at = _statement(statements, line)
    if at is None:
        return []
    found: list[str] = []
    waiting, seen = [(at, 0)], {id(at)}
    while waiting:
        statement, depth = waiting.pop()
        for name in _names(statement):
            found.append(dotted(name))
            base = _base(name)
            if base is None or depth == _DEPTH:
                continue
            for defined in _defined(text, base.lineno, base.col_offset):
                before = _statement(statements, defined)
                if before is not None and id(before) not in seen and before.lineno <= at.lineno:
                    seen.add(id(before))
                    waiting.append((before, depth + 1))
    return found


def behind(tree: ast.Module, function: Function, wanted: list[str]) -> list[str]:
    """Return the names used by those functions of the file, helpers and fixtures, that the wanted names stand for."""
    helpers = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    waiting, followed = list(wanted), {function.name}
    found: list[str] = []
    for name in waiting:  # grows on the way
        helper = name.removeprefix("self.").partition(".")[0]
        if helper in helpers and helper not in followed:
            followed.add(helper)
            used = [dotted(one) for statement in helpers[helper].body for one in _names(statement)]
            found += used
            waiting += used
    return found


def _statement(statements: list[ast.stmt], line: int | None) -> ast.stmt | None:
    """Return the smallest statement round the line; the last one for none."""
    if line is None:
        return max(statements, key=lambda node: node.lineno, default=None)
    around = [node for node in statements if node.lineno <= line <= (node.end_lineno or node.lineno)]
    return min(around, key=lambda node: (node.end_lineno or node.lineno) - node.lineno, default=None)


def _names(statement: ast.stmt) -> Iterator[ast.Attribute | ast.Name]:
    """Yield the outermost names of the statement: `a.b.c`, and not also `a.b` and `a`."""
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Load):
            yield node
        inner: ast.AST = node
        while isinstance(inner, ast.Attribute):
            inner = inner.value
        if not isinstance(inner, ast.Name):
            waiting += ast.iter_child_nodes(inner)


def _base(name: ast.Attribute | ast.Name) -> ast.Name | None:
    at: ast.expr = name
    while isinstance(at, ast.Attribute):
        at = at.value
    return at if isinstance(at, ast.Name) else None


def _defined(text: str, line: int, column: int) -> list[int]:
    """Return the lines that define the name at this place, in the same file."""
    try:
        found = _script(text).goto(line, column, follow_imports=False)
        return [name.line for name in found if name.line is not None]
    except Exception:  # noqa: BLE001 - jedi's inference raises what it will on code that nobody has written like this before
        return []


@lru_cache(maxsize=8)
def _script(text: str) -> jedi.Script:
    nowhere = jedi.Project("/nonexistent", sys_path=[], smart_sys_path=False, load_unsafe_extensions=False)
    return jedi.Script(text, project=nowhere, environment=InterpreterEnvironment())
