"""What names seem to be, from how a function uses them."""

import ast

import pytest

from atra.meta_architect.scope import Scope
from atra.meta_architect.source import Source


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("x[:k]", "int"),
        ("x[k:]", "int"),
        ("f(x)[k:]", "int"),
        ("range(k)", "int"),
        ("k - 1", "int"),
        ("k.append(x)", "list"),
        ("k[1:]", "list"),
        ("k[0]", "list"),
        ("print(k)", ""),
    ],
)
def test_a_parameter_is_what_it_is_used_as(line: str, kind: str):
    """Slices, ranges, arithmetic and methods tell what a bare parameter holds; a mere mention tells nothing."""
    source = Source("a.py", f"def f(x, k):\n    return {line}\n")
    function = source.tree.body[0]
    assert isinstance(function, ast.FunctionDef)

    assert Scope(source).visible(function.body[0])["k"].kind == kind
