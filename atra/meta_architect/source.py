"""A parsed Python file: exact spans of its nodes, who encloses whom, and text edits that keep all other text.

What names mean at a node is `scope`'s knowledge; what to change is the templates'.
"""

import ast
import re
import warnings
from collections.abc import Iterator
from functools import cached_property, lru_cache

Function = ast.FunctionDef | ast.AsyncFunctionDef
Span = tuple[int, int]

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")

TUPLE, TEST, OR, AND, NOT, COMPARE, BITOR, BITXOR, BITAND, SHIFT, ARITH, TERM, FACTOR, POWER, AWAIT, ATOM = range(16)
"""How tightly an expression binds, loosest first, as in the grammar of the language reference, section 6.17."""

_BINARY: dict[type[ast.operator], int] = {
    ast.BitOr: BITOR,
    ast.BitXor: BITXOR,
    ast.BitAnd: BITAND,
    ast.LShift: SHIFT,
    ast.RShift: SHIFT,
    ast.Add: ARITH,
    ast.Sub: ARITH,
    ast.Mult: TERM,
    ast.Div: TERM,
    ast.FloorDiv: TERM,
    ast.Mod: TERM,
    ast.MatMult: TERM,
    ast.Pow: POWER,
}
_NEWLINE = re.compile(r"\r\n|\r|\n")
_NOT_OPERATOR = re.compile(r"(?:#[^\r\n]*|[()\s\\])*")
_OPERATOR = re.compile(r"not\s+in\b|is\s+not\b|is\b|in\b|and\b|or\b|[-+*/%@&|^<>=!]+")
UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)


def parse(text: str) -> ast.Module:
    """Return the module's tree, without the warnings that odd literals raise.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: the text is no Python (see `UNREADABLE`).
    """
    if "\\" not in text and " is " not in text:
        return ast.parse(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text)


@lru_cache(maxsize=65536)
def level_of(text: str) -> int:
    """Return how tightly the expression in this text binds; `TUPLE` where it needs brackets nearly everywhere.

    Raises:
        SyntaxError: the text is no expression even inside brackets.
    """
    try:
        node = ast.parse(text, mode="eval").body
        if isinstance(node, ast.Tuple) and text.startswith("("):
            node = ast.parse(f"{text}.x", mode="eval").body  # one pair of brackets round all of it, or a tuple of some
        return binding(node)
    except SyntaxError:
        ast.parse(f"({text})", mode="eval")
        return TUPLE


def binding(node: ast.expr) -> int:
    """Return how tightly the expression binds when it is written without brackets of its own."""
    match node:
        case ast.BinOp(op=op):
            return _BINARY[type(op)]
        case ast.UnaryOp(op=ast.Not()):
            return NOT
        case ast.UnaryOp():
            return FACTOR
        case ast.BoolOp(op=ast.Or()):
            return OR
        case ast.BoolOp():
            return AND
        case ast.Compare():
            return COMPARE
        case ast.IfExp() | ast.Lambda():
            return TEST
        case ast.Tuple() | ast.NamedExpr() | ast.Yield() | ast.YieldFrom() | ast.Starred() | ast.GeneratorExp():
            return TUPLE
        case ast.Await():
            return AWAIT
    return ATOM


class Source:
    """A parsed file, read only. Offsets count characters of `text`, as those of `atra.core.edits.Edit` do.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: the text is no Python (see `UNREADABLE`).
    """

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        self._mark = 1 if text.startswith("\ufeff") else 0  # a byte order mark is no part of the first line's columns
        self.tree = parse(text[self._mark :])
        self._starts = [self._mark, *(match.end() for match in _NEWLINE.finditer(text))]
        self._spans: dict[ast.AST, Span] = {}
        self.parents: dict[ast.AST, ast.AST] = {}
        for node in ast.walk(self.tree):
            for child in ast.iter_child_nodes(node):
                self.parents[child] = node

    @cached_property
    def newline(self) -> str:
        """The line end that the file uses first."""
        found = _NEWLINE.search(self.text)
        return found.group() if found else "\n"

    @cached_property
    def unit(self) -> str:
        """One step of indentation, as the file's first indented block has it."""
        for node in self.statements:
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.If | ast.For | ast.While | ast.With):
                outer, inner = self.indent(node), self.indent(node.body[0])
                if inner is not None and outer is not None and len(inner) > len(outer) and inner.startswith(outer):
                    return inner[len(outer) :]
        return "    "

    @cached_property
    def statements(self) -> list[ast.stmt]:
        """Every statement, in the order of the text."""
        found = [node for node in ast.walk(self.tree) if isinstance(node, ast.stmt)]
        return sorted(found, key=lambda node: self.span(node))

    @cached_property
    def by_line(self) -> dict[int, list[ast.stmt]]:
        """The statements by the line that they start on (of a decorated one: the line of its first decorator)."""
        lines: dict[int, list[ast.stmt]] = {}
        for node in self.statements:
            lines.setdefault(self.first_line(node), []).append(node)
        return lines

    @cached_property
    def first_lines(self) -> dict[int, int]:
        """For each line that belongs to a statement itself (not to its block): the first line of that statement."""
        lines: dict[int, int] = {}
        for node in self.statements:  # inner statements come later and win
            first = self.first_line(node)
            for line in range(first, self._own_last_line(node) + 1):
                lines[line] = first
        return lines

    def first_line(self, node: ast.stmt) -> int:
        """Return the line the statement starts on, its decorators included."""
        decorators: list[ast.expr] = getattr(node, "decorator_list", [])
        return min(node.lineno, decorators[0].lineno) if decorators else node.lineno

    def _own_last_line(self, node: ast.stmt) -> int:
        last = node.end_lineno or node.lineno
        head: int = last + 1
        for item in getattr(node, "body", []):
            head = min(head, self.first_line(item))
        for item in getattr(node, "cases", []):
            head = min(head, item.pattern.lineno)
        return max(node.lineno, min(last, head - 1))

    def at(self, line: int, column: int) -> int:
        """Return the offset of a position as `ast` gives it: line from 1, column in bytes of UTF-8."""
        start = self._starts[line - 1]
        stop = self._starts[line] if line < len(self._starts) else len(self.text)
        piece = self.text[start:stop]
        return start + (column if piece.isascii() else len(piece.encode()[:column].decode()))

    def span(self, node: ast.AST) -> Span:
        """Return the characters of the node, without brackets round it; of a decorated statement with decorators.

        A generator that is a call's only argument shares the call's brackets, which are not part of its span here.
        """
        known = self._spans.get(node)
        if known is None:
            known = self._spans[node] = self._locate(node)
        return known

    def _locate(self, node: ast.AST) -> Span:
        start = self.at(node.lineno, node.col_offset)  # type: ignore[attr-defined]
        end = self.at(node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]
        if decorators := getattr(node, "decorator_list", None):
            start = self.text.rindex("@", 0, self.span(decorators[0])[0])
        parent = self.parents.get(node)
        if isinstance(node, ast.GeneratorExp) and isinstance(parent, ast.Call) and parent.end_col_offset is not None:
            shared = (parent.end_lineno, parent.end_col_offset) == (node.end_lineno, node.end_col_offset)
            return (start + 1, end - 1) if shared else (start, end)
        return start, end

    def text_of(self, node: ast.AST) -> str:
        """Return the node's text, without brackets round it."""
        start, end = self.span(node)
        return self.text[start:end]

    def bracketed(self, node: ast.expr) -> Span:
        """Return the node's characters with the brackets that only group it."""
        start, end = self.span(node)
        parent = self.parents[node]
        if isinstance(parent, ast.ClassDef) or (isinstance(parent, ast.Call) and node is not parent.func):
            return start, end  # here brackets may be the call's own
        first, last = self.span(parent) if hasattr(parent, "lineno") else (0, len(self.text))
        while True:
            left, right = self._blank_before(start), self._blank_after(end)
            if left <= first or right >= last or self.text[left - 1] != "(" or self.text[right] != ")":
                return start, end
            start, end = left - 1, right + 1

    def _blank_before(self, at: int) -> int:
        return len(self.text[:at].rstrip()) if self.text[at - 1 : at].isspace() else at

    def _blank_after(self, at: int) -> int:
        found = re.compile(r"\s*").match(self.text, at)
        return found.end() if found else at

    def operator(self, left: ast.expr, right: ast.expr) -> Span:
        """Return the characters of the operator between two operands, comments and brackets skipped.

        Raises:
            ValueError: there is none, as between the parts of an f-string.
        """
        start = self.span(left)[1]
        skipped = _NOT_OPERATOR.match(self.text, start)
        found = _OPERATOR.match(self.text, skipped.end() if skipped else start)
        if not found or found.end() > self.span(right)[0]:
            raise ValueError("no operator here")
        return found.span()

    def trusted(self, node: ast.AST) -> bool:
        """Say whether the node's span can be relied on: inside f-strings older interpreters give wrong ones."""
        at: ast.AST | None = node
        while at is not None and not isinstance(at, ast.stmt):
            if isinstance(at, ast.JoinedStr):
                return at is node or self._reads_back(node)
            at = self.parents.get(at)
        return True

    def _reads_back(self, node: ast.AST) -> bool:
        if isinstance(node, ast.Constant | ast.FormattedValue | ast.JoinedStr) or not isinstance(node, ast.expr):
            return False
        try:
            return ast.dump(ast.parse(self.text_of(node), mode="eval").body) == ast.dump(node)
        except (*UNREADABLE, IndexError):
            return False

    def statement(self, node: ast.AST) -> ast.stmt:
        """Return the innermost statement round the node, or the node itself."""
        while not isinstance(node, ast.stmt):
            node = self.parents[node]
        return node

    def function(self, node: ast.AST) -> Function | None:
        """Return the innermost function round the node; a function's own header belongs to what is round it."""
        for at in self.ancestors(node):
            if isinstance(at, FUNCTIONS):
                return at
        return None

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield the nodes round this one, innermost first."""
        at = self.parents.get(node)
        while at is not None:
            yield at
            at = self.parents.get(at)

    def block(self, node: ast.stmt) -> list[ast.stmt]:
        """Return the list of statements that this one stands in."""
        parent = self.parents[node]
        for name in BLOCKS:
            items = getattr(parent, name, None)
            if isinstance(items, list) and any(item is node for item in items):
                return items
        raise ValueError("the statement stands in no block")

    def indent(self, node: ast.stmt) -> str | None:
        """Return the white space before the statement, or None where something else stands before it on its line."""
        start = self.span(node)[0]
        line = self._starts[self.first_line(node) - 1]
        before = self.text[line:start]
        return before if not before.strip() else None

    def lines_of(self, node: ast.stmt) -> Span:
        """Return the characters of the statement's whole lines, from the first one's start past the last one's end."""
        last = node.end_lineno or node.lineno
        end = self._starts[last] if last < len(self._starts) else len(self.text)
        return self._starts[self.first_line(node) - 1], end

    def alone(self, node: ast.stmt) -> bool:
        """Say whether nothing but white space and a comment shares the statement's lines."""
        end = self.span(node)[1]
        rest = self.text[end : self.lines_of(node)[1]].strip()
        return self.indent(node) is not None and (not rest or rest.startswith("#"))

    def slot(self, node: ast.expr) -> int:
        """Return how tightly an expression must bind to stand in this node's place without brackets."""
        return _slot(self.parents[node], node)

    def fit(self, node: ast.expr, text: str) -> str:
        """Return the expression's text as it may stand in this node's place, in brackets where they are needed.

        Raises:
            SyntaxError: the text is no expression.
        """
        start, end = self.span(node)
        level = level_of(text)
        inner = self.text[start - 1 : start] == "(" and self.text[end : end + 1] == ")" and self._grouped(node)
        digits = isinstance(self.parents[node], ast.Attribute) and text[-1:].isdigit() and level == ATOM
        if (level < self.slot(node) or (digits and text[:1].isdigit())) and not inner:
            text = f"({text})"
        if _word(self.text[start - 1 : start]) and (_word(text[:1]) or text[:1] in "'\""):
            text = f" {text}"
        if _word(self.text[end : end + 1]) and _word(text[-1:]):
            text = f"{text} "
        return text

    def _grouped(self, node: ast.expr) -> bool:
        return self.bracketed(node) != self.span(node)


def _word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _slot(parent: ast.AST, node: ast.expr) -> int:
    match parent:
        case ast.BinOp(op=ast.Pow()):
            return AWAIT if node is parent.left else FACTOR
        case ast.BinOp(op=op):
            return _BINARY[type(op)] + (node is parent.right)
        case ast.UnaryOp(op=ast.Not()):
            return NOT
        case ast.UnaryOp():
            return FACTOR
        case ast.BoolOp():
            return binding(parent) + 1
        case ast.Compare():
            return BITOR
        case ast.IfExp():
            return TEST if node is parent.orelse else OR
        case ast.comprehension():
            return ATOM if node is parent.target else OR
        case ast.Starred():
            return BITOR
        case ast.Attribute() | ast.Await():
            return ATOM
        case ast.Call():
            return ATOM if node is parent.func else TEST
        case ast.Subscript():
            return ATOM if node is parent.value else TEST
        case ast.Dict():
            return BITOR if _doubled(parent, node) else TEST
        case ast.FormattedValue():
            return OR
        case ast.For() | ast.AsyncFor():
            return ATOM if node is parent.target else TEST
        case ast.Assign():
            return TEST if node is parent.value else ATOM
        case ast.AugAssign() | ast.AnnAssign() | ast.NamedExpr():
            return TEST if node is parent.value else ATOM
        case ast.withitem():
            return TEST if node is parent.context_expr else ATOM
        case ast.Delete():
            return ATOM
    return TEST


def _doubled(parent: ast.Dict, node: ast.expr) -> bool:
    return any(key is None and value is node for key, value in zip(parent.keys, parent.values, strict=True))
