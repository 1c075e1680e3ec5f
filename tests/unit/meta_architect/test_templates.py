"""Every template, by an example: the statement before, and what the template must propose among other things."""

import ast
from pathlib import Path

import pytest

from atra.core.edits import apply
from atra.meta_architect.scope import Scope
from atra.meta_architect.source import Source
from atra.meta_architect.templates import TEMPLATES
from atra.meta_architect.templates.spot import Clues, Spot, Template

IN_FUNCTION = "def f(a, b, items: list, n: int, name: str):\n    {}\n    return a\n"

CASES: tuple[tuple[str, str, str], ...] = (
    ("comparison-operator", "x = a < b", "x = a <= b"),
    ("comparison-operator", "x = a not in items", "x = a in items"),
    ("comparison-operator", "x = a is  not None", "x = a is None"),
    ("boundary", "x = n == 0", "x = n <= 1"),
    ("arithmetic-operator", "x = a + b", "x = a - b"),
    ("arithmetic-operator", "x = a - b - n", "x = a + b - n"),
    ("arithmetic-operator", "x = n * (a - b)", "x = n + (a - b)"),
    ("any-operator", "x = a % b", "x = a - b"),
    ("any-operator", "x = n * (a ^ b)", "x = n * (a - b)"),
    ("any-operator", "x = '%d' * n", "x = '%d' % n"),
    ("any-operator", "n //= a", "n **= a"),
    ("arithmetic-operator", "x = '%d' * name", "x = '%d' + name"),
    ("number", "x = -1", "x = 0"),
    ("number", "x = n - -1", "x = n - -2"),
    ("sign", "x = ~n", "x = -n"),
    ("sign", "x = f(not n)", "x = f(-n)"),
    ("comparison-operator", "x = a is not b", "x = a == b"),
    ("jump", "for a in items: continue", "for a in items: break"),
    ("augmented-operator", "a += b", "a -= b"),
    ("augmented-operator", "a = b", "a += b"),
    ("augmented-operator", "items[n] = b", "items[n] = items.get(n, 0) + b"),
    ("connective", "x = a and b", "x = a or b"),
    ("negation", "x = 1 if a else b", "x = 1 if not a else b"),
    ("negation", "x = 1 if not a else b", "x = 1 if a else b"),
    ("sign", "return (n, a)", "return (-n, a)"),
    ("off-by-one", "x = range(n)", "x = range(n + 1)"),
    ("off-by-one", "x = items[n - 1]", "x = items[n]"),
    ("off-by-one", "x = items[:n]", "x = items[:n - 1]"),
    ("scale", "x = a - n", "x = a - n ** 2"),
    ("swapped-operands", "x = a - b", "x = b - a"),
    ("swapped-operands", "x = a * 5 / 9", "x = a * 9 / 5"),
    ("dropped-operand", "x = a + b * n", "x = a"),
    ("added-term", "x = f(n)", "x = f(n - b)"),
    ("number", "x = n % 3", "x = n % 4"),
    ("boolean", "x = f(a, True)", "x = f(a, False)"),
    ("string", "x = name + 'left' + 'right'", "x = name + 'right' + 'right'"),
    ("string", 'x = a.strftime("%M")', 'x = a.strftime("%m")'),
    ("empty-collection", "return []", "return [a]"),
    ("empty-collection", "return []", "return [[]]"),
    ("variable", "x = a.get(b)", "x = a.get(n)"),
    ("expression-to-name", "x = [True]", "x = [items]"),
    ("attribute", "x = a.incoming_nodes", "x = a.outgoing_nodes"),
    ("function", "x = any(items)", "x = all(items)"),
    ("method", "items.append(a)", "items.extend(a)"),
    ("target", "a = n", "b = n"),
    ("swapped-elements", "x = (a, b)", "x = (b, a)"),
    ("element", "x = [a, b]", "x = [a, b, n]"),
    ("attribute-access", "x = a.size + f(b)", "x = a.size + f(b.size)"),
    ("more-arguments", "x = sorted(items)", "x = sorted(items, reverse=True)"),
    ("more-arguments", "x = f(a, (b))", "x = f(a, (b), n=n)"),
    ("fewer-arguments", "x = f(a, b)", "x = f(a)"),
    ("keyword", "x = f(a=1)", "x = f(b=1)"),
    ("swapped-arguments", "x = f(a, b)", "x = f(b, a)"),
    ("wrapped", "x = name + n", "x = name + str(n)"),
    ("called", "x = a.done", "x = a.done()"),
    ("ordered", "return list(set(items))", "return list(dict.fromkeys(items))"),
    ("ordered", "return set(items)", "return list(dict.fromkeys(items))"),
    ("kept-result", "a == b", "a = b"),
    ("kept-result", "n + 1", "n += 1"),
    ("extremum", "n = a", "n = max(n, a)"),
    ("extended-condition", "x = 1 if a.next else b", "x = 1 if a is not None and a.next else b"),
    ("dropped-condition", "x = a and b and n", "x = a and n"),
    ("dropped-condition", "x = [y for y in items if y]", "x = [y for y in items]"),
    ("filtered", "x = [y for y in items]", "x = [y for y in items if y]"),
    ("returned-condition", "return True", "return not items"),
    ("guarded", "x = a / n", "x = a / n if n else 0"),
    ("unwrapped", "x = sorted(items)", "x = items"),
    ("unwrapped", "x = items[1:]", "x = items"),
    ("sliced", "x = f(items)", "x = f(items[1:])"),
    ("indexed", "x = f(items)", "x = f(items[0])"),
    ("inserted-call", "x = a", "items.append(a)\n    x = a"),
    ("inserted-assignment", "x = a", "n += 1\n    x = a"),
    ("inserted-jump", "x = a", "return b\n    x = a"),
    ("inserted-guard", "x = a", "if not items:\n        return []\n    x = a"),
    ("moved", "x = a\n    y = b", "y = b\n    x = a"),
    ("branch", "if a:\n        b = 1", "while a:\n        b = 1"),
    ("kept-result", "name.strip()", "name = name.strip()"),
    ("mutation", "items = items.sort()", "items.sort()"),
    ("mutation", "items.sort()", "items = sorted(items)"),
    ("mutation", "items.update(a)", "items = a"),
    ("paired", "x = range(n, b)", "x = range(n + 1, b + 1)"),
    (
        "changed-while-iterated",
        "for x in items:\n        items.remove(x)",
        "for x in list(items):\n        items.remove(x)",
    ),
    (
        "caught",
        "try:\n        x = a\n    except KeyError:\n        x = b",
        "try:\n        x = a\n    except ValueError:\n        x = b",
    ),
)

WITH_ERRORS: tuple[tuple[str, tuple[str, str], str, str], ...] = (
    ("missing-key", ("KeyError", "'k'"), "x = a[b]", "x = a.get(b, 0)"),
    ("missing-key", ("KeyError", "'k'"), "a[b] += n", "a[b] = a.get(b, 0) + n"),
    ("missing-key", ("KeyError", "'k'"), "del a[b]", "a.pop(b, None)"),
    (
        "none-value",
        ("AttributeError", "'NoneType' object has no attribute 'size'"),
        "x = a.size",
        "if a is None:\n        return 0\n    x = a.size",
    ),
    ("none-value", ("TypeError", "'NoneType' object is not iterable"), "x = f(a)", "x = f(a or [])"),
    ("wrong-operands", ("TypeError", "unsupported operand type(s) for /: 'str' and 'int'"), "x = a / b", "x = a % b"),
    (
        "wrong-operands",
        ("TypeError", "unsupported operand type(s) for ** or pow(): 'a.B' and 'int'"),
        "x = a ** b",
        "x = a + b",
    ),
    ("wrong-operands", ("TypeError", "unsupported operand type(s) for |=: 'float' and 'int'"), "a |= b", "a += b"),
    (
        "wrong-operands",
        ("TypeError", "'<=' not supported between instances of 'dict' and 'dict'"),
        "x = a <= b",
        "x = a is b",
    ),
    ("wrong-operands", ("TypeError", 'can only concatenate str (not "int") to str'), "x = a + b", "x = a % b"),
    ("wrong-operands", ("TypeError", "can't multiply sequence by non-int of type 'str'"), "x = a * b", "x = a + b"),
    ("wrong-operands", ("TypeError", "not all arguments converted during string formatting"), "x = a % b", "x = a + b"),
    (
        "out-of-range",
        ("IndexError", "list index out of range"),
        "x = a[0]",
        "if not a:\n        return None\n    x = a[0]",
    ),
    ("out-of-range", ("StopIteration", ""), "x = next(a)", "x = next(a, None)"),
    (
        "division-by-zero",
        ("ZeroDivisionError", "division by zero"),
        "x = a / n",
        "if n == 0:\n        return 0\n    x = a / n",
    ),
    ("unknown-name", ("NameError", "name 'nme' is not defined"), "x = nme", "x = name"),
    (
        "unknown-attribute",
        ("AttributeError", "'A' object has no attribute 'siz'"),
        "x = a.siz + b.size",
        "x = a.size + b.size",
    ),
    ("wrong-type", ("TypeError", "can only concatenate str"), "x = name + n", "x = name + str(n)"),
    (
        "endless-recursion",
        ("RecursionError", "maximum recursion depth exceeded"),
        "x = f(a, b, items, n, name)",
        "x = f(a, b, items, n - 1, name)",
    ),
    (
        "endless-recursion",
        ("RecursionError", "maximum recursion depth exceeded"),
        "x = f(a)",
        "if not items:\n        return []\n    x = f(a)",
    ),
    ("undecodable", ("UnicodeDecodeError", "byte 0xff"), "x = open(name)", 'x = open(name, encoding="utf-8")'),
    ("undecodable", ("UnicodeDecodeError", "byte 0xff"), "x = a.decode()", 'x = a.decode(errors="replace")'),
    ("undecodable", ("UnicodeEncodeError", "\u20ac"), 'x = a.encode("ascii")', 'x = a.encode("utf-8")'),
    (
        "caught",
        ("OSError", "gone"),
        "try:\n        x = a\n    except KeyError:\n        x = b",
        "try:\n        x = a\n    except (KeyError, OSError):\n        x = b",
    ),
)

WHOLE: tuple[tuple[str, int, str, str], ...] = (
    ("deleted", 2, "def f(a):\n    a = 1\n    return a\n", "def f(a):\n    return a\n"),
    ("deleted", 2, "def f(a):\n    if a:\n        a = 1\n    return a\n", "def f(a):\n    a = 1\n    return a\n"),
    (
        "moved",
        4,
        "def f(a):\n    for b in a:\n        g(b)\n        return a\n",
        "def f(a):\n    for b in a:\n        g(b)\n    return a\n",
    ),
    (
        "moved",
        4,
        "def f(a):\n    for b in a:\n        g(b)\n    h(a)\n",
        "def f(a):\n    for b in a:\n        g(b)\n        h(a)\n",
    ),
    (
        "branch",
        4,
        "def f(a):\n    if a:\n        b = 1\n    if not a:\n        b = 2\n",
        "def f(a):\n    if a:\n        b = 1\n    elif not a:\n        b = 2\n",
    ),
    (
        "mutable-default",
        1,
        'def f(a=[]):\n    """Say."""\n    return a\n',
        'def f(a=None):\n    """Say."""\n    if a is None:\n        a = []\n    return a\n',
    ),
    (
        "inserted-assignment",
        3,
        "class A:\n    def __init__(self, a):\n        pass\n",
        "class A:\n    def __init__(self, a):\n        self.a = a\n        pass\n",
    ),
    (
        "early-else",
        3,
        "def f(a):\n    for b in a:\n        if b:\n            return b\n        else:\n            return 0\n",
        "def f(a):\n    for b in a:\n        if b:\n            return b\n    return 0\n",
    ),
    (
        "early-else",
        3,
        "def f(a):\n    for b in a:\n        if b:\n            return b\n        else:\n            return 0\n",
        "def f(a):\n    for b in a:\n        if b:\n            return b\n    else:\n        return 0\n",
    ),
    (
        "early-else",
        3,
        "def f(a):\n    for b in a:\n        if b:\n            h()\n        else:\n            return\n        g()\n",
        "def f(a):\n    for b in a:\n        if b:\n            h()\n        g()\n    return\n",
    ),
    (
        "coupled",
        3,
        "def f(a, i, j):\n    x = a[i]\n    y = a[i]\n",
        "def f(a, i, j):\n    x = a[j]\n    y = a[j]\n",
    ),
    (
        "coupled",
        2,
        "def f(a, b):\n    if a < 0 or b < 9:\n        return a < b\n",
        "def f(a, b):\n    if a <= 0 or b <= 9:\n        return a <= b\n",
    ),
    ("awaited", 2, "async def f(a):\n    return a.get(1)\n", "async def f(a):\n    return await a.get(1)\n"),
    ("awaited", 2, "async def f(a):\n    return a.get(1).x\n", "async def f(a):\n    return (await a.get(1)).x\n"),
    ("awaited", 2, "async def f(a):\n    await a.close()\n", "async def f(a):\n    a.close()\n"),
    ("inserted-jump", 2, "def f(a):\n    b = a", "def f(a):\n    b = a\n    return b"),
    (
        "method",
        3,
        "class A:\n    def get_all(self):\n        return self.get_one()\n    def get_any(self):\n        pass\n",
        "class A:\n    def get_all(self):\n        return self.get_any()\n    def get_any(self):\n        pass\n",
    ),
)


FITTED: tuple[tuple[str, str, int, str, str], ...] = (
    ("wrong-arguments", "A.f() takes 0 positional arguments but 1 was given", 2, "def f():", "def f(self):"),
    (
        "wrong-arguments",
        "A.f() takes 0 positional arguments but 1 was given",
        2,
        "def f():",
        "@staticmethod\n    def f():",
    ),
    (
        "wrong-arguments",
        "A.f() takes 2 positional arguments but 3 were given",
        4,
        "def f(self, a):",
        "def f(self, a, *args):",
    ),
    (
        "wrong-arguments",
        "A.f() missing 1 required positional argument: 'a'",
        4,
        "def f(self, a):",
        "def f(self, a=None):",
    ),
    (
        "wrong-arguments",
        "A.f() got an unexpected keyword argument 'deep'",
        4,
        "def f(self):",
        "def f(self, deep=False):",
    ),
)


def results(name: str, text: str, line: int, clues: Clues | None = None) -> set[str]:
    """Return what the template makes of the file at the statements that start on this line."""
    source = Source("a.py", text)
    template = next(item for item in TEMPLATES if item.name == name)
    found: set[str] = set()
    for statement in source.by_line[line]:
        spot = Spot(source, Scope(source), statement, clues or Clues())
        found |= {apply(text, proposal.edits) for proposal in template.propose(spot)}
    return found


@pytest.mark.parametrize(("name", "before", "after"), CASES, ids=[f"{name}: {after}" for name, _, after in CASES])
def test_a_template_proposes(name: str, before: str, after: str) -> None:
    """The statement after is among what the template proposes for the statement before."""
    assert IN_FUNCTION.format(after) in results(name, IN_FUNCTION.format(before), 2)


@pytest.mark.parametrize(
    ("name", "error", "before", "after"), WITH_ERRORS, ids=[f"{name}: {after}" for name, _, _, after in WITH_ERRORS]
)
def test_a_template_answers_an_error(name: str, error: tuple[str, str], before: str, after: str) -> None:
    """After an error of its kind the template proposes what that error asks for."""
    clues = Clues((error,))

    assert IN_FUNCTION.format(after) in results(name, IN_FUNCTION.format(before), 2, clues)


@pytest.mark.parametrize(
    ("name", "line", "before", "after"), WHOLE, ids=[f"{name}-{at}" for at, (name, *_) in enumerate(WHOLE)]
)
def test_a_template_rearranges_lines(name: str, line: int, before: str, after: str) -> None:
    """Lines are moved, deleted and added with their indentation right."""
    assert after in results(name, before, line)


@pytest.mark.parametrize("name", [item.name for item in TEMPLATES if item.family == "error" and item.name != "caught"])
def test_a_template_for_an_error_is_silent_without_it(name: str) -> None:
    """Without an error of its kind such a template proposes nothing."""
    assert results(name, IN_FUNCTION.format("x = a[n] / b.size"), 2) == set()


def test_nothing_is_awaited_where_nothing_can_be() -> None:
    """A plain function has no await."""
    assert results("awaited", IN_FUNCTION.format("x = a.get(b)"), 2) == set()


def test_an_import_goes_to_the_top_of_the_file() -> None:
    """A missing module is imported behind the docstring and `from __future__`."""
    text = '"""Say."""\nfrom __future__ import annotations\n\ndef f(a):\n    return math.sqrt(a)\n'
    clues = Clues((("NameError", "name 'math' is not defined"),))

    found = results("unknown-name", text, 5, clues)

    assert text.replace("\ndef f", "\nimport math\ndef f") in found


@pytest.mark.parametrize(("name", "message", "line", "before", "after"), FITTED)
def test_a_definition_is_fitted_to_its_calls(name: str, message: str, line: int, before: str, after: str) -> None:
    """A call that does not fit is mended where the function is defined, from there and from where it is called."""
    text = f"class A:\n    {before}\n        return 1\nprint(A().f(2))\n"

    assert text.replace(before, after) in results(name, text, line, Clues((("TypeError", message),)))


def test_a_name_of_the_function_round_it_is_declared_so() -> None:
    """What is bound in the function round this one and assigned here is declared `nonlocal`."""
    text = "def f():\n    n = 0\n    def g():\n        n += 1\n    return g\n"
    clues = Clues((("UnboundLocalError", "local variable 'n' referenced before assignment"),))

    assert text.replace("        n +=", "        nonlocal n\n        n +=") in results("unknown-name", text, 4, clues)


def test_what_the_tests_expect_is_tried_as_a_literal() -> None:
    """A value that a failing test expects stands among the literals proposed."""
    found = results("number", "x = 3\n", 1, Clues(expected=("417", "'abc'")))

    assert "x = 417\n" in found


def test_every_template_has_an_example() -> None:
    """The tables above name every entry of the registry; names are unique and shares positive."""
    examples = {name for name, *_ in (*CASES, *WITH_ERRORS, *WHOLE, *FITTED)}

    assert examples == {template.name for template in TEMPLATES}
    assert len({template.name for template in TEMPLATES}) == len(TEMPLATES)
    assert all(template.share > 0 and ast.parse(template.family) for template in TEMPLATES)


def test_the_page_on_templates_lists_them_all() -> None:
    """Name, family, share and first line of each template stand in `docs/templates.md`, in the registry's order."""
    page = Path(__file__).parents[3].joinpath("docs", "templates.md").read_text()

    rows = [line for line in page.splitlines() if line.startswith("| ")][2:]

    shown = [f"| {item.name} | {item.family} | {item.share:g} | {_first_line(item)} |" for item in TEMPLATES]
    assert rows == shown


def _first_line(template: Template) -> str:
    return (template.propose.__doc__ or "").partition("\n")[0].replace("|", "\\|")
