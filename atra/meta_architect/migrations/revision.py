"""Makes a revision file readable: no marks of the generator, a docstring that says what it does, lines that fit."""

import ast
import re
from collections.abc import Sequence

WIDTH = 100

_GAPS = re.compile(r"\n{3,}(?!def |async |class |@)")  # what the template leaves where there are no imports
_MARKS = re.compile(r"^[ \t]*# ### .*(?:###|commands).*\n", re.M)


def tidy(text: str, sentences: Sequence[str]) -> str:
    """Return the file as a person would leave it.

    Only statements of `upgrade` and `downgrade` that are too long for a line, and the docstring, are written anew.

    Raises:
        SyntaxError: it is no Python.
    """
    text = _MARKS.sub("", text)
    lines = text.splitlines(keepends=True)
    for statement in reversed(list(_statements(ast.parse(text)))):
        first, last = statement.lineno - 1, statement.end_lineno or statement.lineno
        given = "".join(lines[first:last])
        if max(len(line.rstrip("\n")) for line in lines[first:last]) > WIDTH or last - first > 1:
            lines[first:last] = [_laid_out(statement, statement.col_offset) + "\n"] if "#" not in given else [given]
    return _GAPS.sub("\n\n", _told("".join(lines), sentences)).rstrip() + "\n"


def _statements(tree: ast.Module) -> list[ast.Expr]:
    """Return the plain calls in the two functions, in order."""
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    found = [node for function in functions for node in ast.walk(function) if isinstance(node, ast.Expr)]
    return sorted((node for node in found if isinstance(node.value, ast.Call)), key=lambda node: node.lineno)


def _laid_out(node: ast.AST, indent: int, before: str = "", after: str = "") -> str:
    """Return an expression on one line where it fits, else a call with each argument on a line of its own."""
    value = node.value if isinstance(node, ast.Expr) else node
    line = f"{' ' * indent}{before}{ast.unparse(value)}{after}"
    if len(line) <= WIDTH or not isinstance(value, ast.Call) or not (value.args or value.keywords):
        return line
    given = [("", argument) for argument in value.args]
    given += [(f"{keyword.arg}=" if keyword.arg else "**", keyword.value) for keyword in value.keywords]
    parts = [_laid_out(argument, indent + 4, name, ",") for name, argument in given]
    start = f"{' ' * indent}{before}{ast.unparse(value.func)}("
    return "\n".join([start, *parts, f"{' ' * indent}){after}"])


def _told(text: str, sentences: Sequence[str]) -> str:
    """Return the text with the sentences in its docstring, after the first line where there are several."""
    tree = ast.parse(text)
    listed = "".join(f"\n- {sentence}" for sentence in sentences) if len(sentences) > 1 else ""
    said = (ast.get_docstring(tree, clean=False) or "").strip("\n")
    if not said:
        return f'"""{_quotable(sentences[0])}{_quotable(listed)}\n"""\n\n{text}' if sentences else text
    first, _, rest = said.partition("\n")
    node = tree.body[0]
    lines = text.splitlines(keepends=True)
    body = f"{_quotable(first)}\n{_quotable(listed)}\n{rest}" if listed else f"{first}\n{rest}"
    lines[: node.end_lineno] = [f'"""{re.sub(chr(10) + "{3,}", chr(10) * 2, body).rstrip()}\n"""\n']
    return "".join(lines)


def _quotable(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"""', "'''")
