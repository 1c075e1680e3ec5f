"""Parsed files: exact spans, whatever the encoding and the line ends, and replacements that mean what they say."""

import ast

import pytest

from atra.core.edits import Edit, apply
from atra.meta_architect.source import Source, level_of

AWKWARD = {
    "plain": "def f(a):\n    return a + 1\n",
    "crlf": "def f(a):\r\n    # note\r\n    return a + 1\r\n",
    "carriage-returns": "def f(a):\r    return a + 1\r",
    "tabs": "def f(a):\n\tif a:\n\t\treturn a + 1\n",
    "form-feed": "x = 1\n\x0c\ndef f(a):\n    return a + 1\n",
    "wide-letters": "def f(a):\n    return 'äöü€😀' + g(a, 'ß') + a\n",
    "byte-order-mark": "\ufeffx = a + 1\ny = x\n",
    "decorated": "@wraps(\n    f\n)\n@other\ndef g(a):\n    return a + 1\n",
    "no-last-newline": "def f(a):\n    return a + 1",
    "line-joined": "x = a + \\\n    b\n",
    "comments": "x = (a  # one )\n     + b)  # two\n",
    "shared-brackets": "total = sum(x + 1 for x in xs)\n",
    "semicolons": "a = 1; b = a + 1\nif a: b = 2\n",
}

SLOTS = (
    "x = HOLE",
    "x = HOLE + a",
    "x = a + HOLE",
    "x = a - HOLE",
    "x = HOLE * a",
    "x = a * HOLE",
    "x = HOLE ** a",
    "x = a ** HOLE",
    "x = -HOLE",
    "x = not HOLE",
    "x = HOLE and a",
    "x = a or HOLE",
    "x = HOLE < a",
    "x = a in HOLE",
    "x = HOLE.name",
    "x = HOLE[0]",
    "x = a[HOLE]",
    "x = a[HOLE:b]",
    "x = HOLE(a)",
    "x = f(HOLE)",
    "x = f(a, k=HOLE)",
    "x = [HOLE, a]",
    "x = {HOLE: a}",
    "x = {**HOLE}",
    "x = f(*HOLE)",
    "x = a if HOLE else b",
    "x = HOLE if a else b",
    "x = a if b else HOLE",
    "x = [a for a in HOLE]",
    "x = [a for a in b if HOLE]",
    "x = [HOLE for a in b]",
    "x = lambda: HOLE",
    "x = (HOLE)",
    "x = a << HOLE",
    "x = a @ (HOLE)",
    "x = a if(HOLE)else b",
    "def f():\n    return(HOLE)",
    "if HOLE:\n    pass",
    "for a in HOLE:\n    pass",
    "assert HOLE, a",
    "x += HOLE",
    "del a[HOLE]",
    "with HOLE as f:\n    pass",
    "raise HOLE",
)

EXPRESSIONS = (
    "n",
    "7",
    "-7",
    "n + m",
    "n * m",
    "n ** m",
    "n and m",
    "n or m",
    "not n",
    "n < m",
    "n | m",
    "n << m",
    "n if m else o",
    "lambda: n",
    "f(n)",
    "n.m",
    "n[0]",
    "[n, m]",
    "(n, m)",
    "'text'",
    "{n: m}",
    "n in m",
    "1.5",
    "(n\n  + m)",
    "n +\\\n m",
    "f(n,\n  m)",
)


@pytest.mark.parametrize("text", AWKWARD.values(), ids=AWKWARD)
def test_a_nodes_text_reads_back_as_the_node(text: str) -> None:
    """The span of an expression holds that expression and nothing else."""
    source = Source("a.py", text)

    for node in ast.walk(source.tree):
        if isinstance(node, ast.expr) and isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
            assert ast.dump(ast.parse(f"({source.text_of(node)})", mode="eval").body) == ast.dump(node)


@pytest.mark.parametrize("text", AWKWARD.values(), ids=AWKWARD)
def test_statements_and_their_lines_cover_the_file(text: str) -> None:
    """A statement's lines hold its text, its first line is known by line, and its block can be found again."""
    source = Source("a.py", text)

    for node in source.statements:
        start, end = source.lines_of(node)
        assert source.text_of(node) in text[start:end]
        assert node in source.by_line[source.first_line(node)]
        assert node in source.block(node)


@pytest.mark.parametrize("expression", EXPRESSIONS)
@pytest.mark.parametrize("slot", SLOTS)
def test_an_expression_fits_any_place(slot: str, expression: str) -> None:
    """Put in another's place, an expression stays whole: the tree is the old one with that node exchanged."""
    source = Source("a.py", slot + "\n")
    hole = next(node for node in ast.walk(source.tree) if isinstance(node, ast.Name) and node.id == "HOLE")

    text = apply(source.text, [Edit("a.py", *source.span(hole), source.fit(hole, expression))])

    wanted = _exchanged(source.tree, hole, ast.parse(f"({expression})", mode="eval").body)
    assert ast.dump(ast.parse(text)) == wanted


def _exchanged(tree: ast.Module, old: ast.expr, new: ast.expr) -> str:
    class Exchange(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.expr:
            return new if node is old else node

    return ast.dump(Exchange().visit(tree))


@pytest.mark.parametrize(
    ("text", "operator"),
    [
        ("x = a + b", "+"),
        ("x = a//b", "//"),
        ("x = (a) ** (b)", "**"),
        ("x = (a  # not + this\n     - b)", "-"),
        ("x = a is  not b", "is  not"),
        ("x = a not in b", "not in"),
        ("x = a <= b", "<="),
        ("x = a == (b)", "=="),
    ],
)
def test_the_operator_between_two_operands_is_found(text: str, operator: str) -> None:
    """Brackets and comments between the operands do not hide the operator."""
    source = Source("a.py", text)
    node = next(node for node in ast.walk(source.tree) if isinstance(node, ast.BinOp | ast.Compare))
    left, right = (node.left, node.right) if isinstance(node, ast.BinOp) else (node.left, node.comparators[0])

    start, end = source.operator(left, right)

    assert text[start:end] == operator


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("x = (a + b) * c", "(a + b)"),
        ("x = c * ((a + b))", "((a + b))"),
        ("x = f(a + b)", "a + b"),
        ("x = f((a + b), c)", "a + b"),
        ("x = a + b", "a + b"),
        ("x = [(a + b) for c in d]", "(a + b)"),
    ],
)
def test_brackets_that_only_group_belong_to_the_expression(text: str, whole: str) -> None:
    """Grouping brackets are found; those of a call are left to the call."""
    source = Source("a.py", text)
    node = next(node for node in ast.walk(source.tree) if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add))

    start, end = source.bracketed(node)

    assert text[start:end] == whole


def test_how_tightly_text_binds() -> None:
    """Levels follow the grammar: a call binds more than a power, a power than a sum, a sum than a comparison."""
    levels = [
        level_of(text) for text in ("a, b", "a if b else c", "a or b", "a < b", "a + b", "a * b", "a ** b", "f()")
    ]

    assert levels == sorted(set(levels))


def test_lines_inside_a_statement_lead_to_its_first_line() -> None:
    """Each line of a statement that runs over several belongs to the line it starts on; a block's lines do not."""
    source = Source("a.py", "@mark\ndef f(a,\n      b=1):\n    x = (a +\n         b)\n    return x\n")

    assert source.first_lines == {1: 1, 2: 1, 3: 1, 4: 4, 5: 4, 6: 6}


def test_what_stands_in_an_f_string_is_used_only_where_its_place_is_sure() -> None:
    """Inside an f-string a node is trusted when its text reads back as that node."""
    source = Source("a.py", "x = f'{name} and {a.b}'\n")
    names = [node for node in ast.walk(source.tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)]

    assert all(source.text_of(node) == node.id for node in names if source.trusted(node))
    assert names
