"""What a template sees and what it gives: one statement with all that is known round it, and proposals to change it."""

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from atra.core.edits import Edit
from atra.meta_architect.scope import Kind, Scope, Variable
from atra.meta_architect.source import ATOM, FUNCTIONS, Function, Source, Span, level_of

Node = TypeVar("Node", bound=ast.AST)


@dataclass(frozen=True)
class Clues:
    """What the failing tests said: `errors` as (type, message), `expected` values as literals in Python."""

    errors: tuple[tuple[str, str], ...] = ()
    expected: tuple[str, ...] = ()

    def messages(self, *types: str) -> list[str]:
        """Return the messages of the errors of these types."""
        return [message for kind, message in self.errors if kind in types]


@dataclass(frozen=True)
class Proposal:
    """Edits of one file, and how likely they are among what the same template proposes for the same statement.

    `fragment`, where there is one, is a whole statement that the edits insert; reading it alone tells whether the
    result can be read.
    """

    edits: tuple[Edit, ...]
    weight: float = 1.0
    fragment: str | None = None


@dataclass(frozen=True)
class Spot:
    """One statement under suspicion. Its block, where it has one, is not part of it."""

    source: Source
    scope: Scope
    statement: ast.stmt
    clues: Clues = field(default_factory=Clues)

    @cached_property
    def nodes(self) -> list[ast.expr]:
        """The expressions of the statement itself, in the order of the text, annotations and docstrings left out."""
        found = [node for node in _own(self.statement) if self.source.trusted(node)]
        return sorted(found, key=lambda node: (self.source.span(node)[0], -self.source.span(node)[1]))

    @cached_property
    def function(self) -> Function | None:
        """The function that the statement stands in."""
        return self.source.function(self.statement)

    @cached_property
    def names(self) -> dict[str, Variable]:
        """The names that can be read where the statement starts."""
        return self.scope.visible(self.statement)

    @cached_property
    def locals(self) -> list[Variable]:
        """Parameters and locals that can be read where the statement starts; at module level the module's names."""
        return self.near(self.statement)

    def near(self, node: ast.AST) -> list[Variable]:
        """Return the variables that an expression at this node would most likely use."""
        visible = self.names if node is self.statement else self.scope.visible(node)
        if self.function is None:
            return [item for item in visible.values() if item.kind not in {"module", "callable"}]
        return [item for item in visible.values() if item.origin != "module" and item.name not in {"self", "cls"}]

    def values(self, node: ast.AST) -> list[Variable]:
        """Return what `near` does and, in a method, the object's own data as `self.name`."""
        own = self.scope.self_attributes(self.statement) if "self" in self.names else {}
        data = (Variable(f"self.{name}", kind, "local", 0) for name, kind in own.items() if kind != "callable")
        return [*self.near(node), *data]

    def each(self, *kinds: type[Node]) -> Iterator[Node]:
        """Yield the statement's own expressions of these classes."""
        for node in self.nodes:
            if isinstance(node, kinds):
                yield node

    def kind(self, node: ast.expr | None) -> Kind:
        """Return the kind of value that the expression seems to give."""
        return self.scope.kind(node, self.names)

    def text(self, node: ast.AST) -> str:
        """Return the node's text."""
        return self.source.text_of(node)

    def operand(self, node: ast.expr, level: int = ATOM) -> str:
        """Return the node's text, in brackets unless it binds at least as tightly as the level."""
        text = self.text(node)
        return text if level_of(text) >= level else f"({text})"

    def parent(self, node: ast.AST) -> ast.AST:
        """Return the node round this one."""
        return self.source.parents[node]

    def read(self, node: ast.expr) -> bool:
        """Say whether the expression is read, rather than assigned to or deleted."""
        return isinstance(getattr(node, "ctx", ast.Load()), ast.Load)

    def put(self, node: ast.expr, text: str, weight: float = 1.0) -> Proposal:
        """Propose other text for an expression, in brackets where they are needed."""
        return self.put_all(((node, text),), weight)

    def put_all(self, pairs: Iterable[tuple[ast.expr, str]], weight: float = 1.0) -> Proposal:
        """Propose other text for several expressions at once, none inside another."""
        edits = (self.edit(self.source.span(node), self.source.fit(node, text)) for node, text in pairs)
        return Proposal(tuple(edits), weight)

    def swap(self, one: ast.expr, other: ast.expr, weight: float = 1.0) -> Proposal:
        """Propose to exchange two expressions."""
        return self.put_all(((one, self.text(other)), (other, self.text(one))), weight)

    def edit(self, span: Span, text: str) -> Edit:
        """Return the edit that puts the text in place of the characters."""
        return Edit(self.source.path, *span, text)

    def splice(self, span: Span, text: str, weight: float = 1.0) -> Proposal:
        """Propose other text for some characters."""
        return Proposal((self.edit(span, text),), weight)

    def before(self, text: str, weight: float = 1.0) -> Iterator[Proposal]:
        """Propose a new statement in front of this one; nothing where this one does not start its line.

        `text` has lines ended by \\n and indented by tabs, one per level; the file's own ways replace both.
        """
        if self._lines is not None:
            indent, start, _ = self._lines
            whole = self._indented(text, indent) + self.source.newline
            yield Proposal((self.edit((start, start), whole),), weight, text)

    def after(self, text: str, weight: float = 1.0) -> Iterator[Proposal]:
        """Propose a new statement behind this one, at the end of its block only: elsewhere it is before the next."""
        if self._lines is not None and self.source.block(self.statement)[-1] is self.statement:
            indent, _, end = self._lines
            whole, newline = self._indented(text, indent), self.source.newline
            ended = self.source.text[end - 1 : end] in "\r\n"
            yield Proposal((self.edit((end, end), whole + newline if ended else newline + whole),), weight, text)

    @cached_property
    def _lines(self) -> tuple[str, int, int] | None:
        """The statement's indentation and the characters of its lines; None where it shares its lines."""
        indent = self.source.indent(self.statement)
        if indent is None or not self.source.alone(self.statement) or self._is_elif(self.statement):
            return None
        return indent, *self.source.lines_of(self.statement)

    def _indented(self, text: str, indent: str) -> str:
        return self.source.newline.join(indent + line.replace("\t", self.source.unit) for line in text.split("\n"))

    def _is_elif(self, node: ast.stmt) -> bool:
        return isinstance(node, ast.If) and self.text(node).startswith("elif")


Propose = Callable[[Spot], Iterable[Proposal]]


@dataclass(frozen=True)
class Template:
    """One way to repair code. `share` is how often bugs are of this kind, relative to the other templates."""

    name: str
    family: str
    share: float
    propose: Propose


def _own(statement: ast.stmt) -> Iterator[ast.expr]:
    waiting: list[ast.AST] = [child for child in _header(statement) if not _is_docstring(statement)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.expr):
            yield node
        waiting += ast.iter_child_nodes(node)


def _header(statement: ast.stmt) -> Iterator[ast.AST]:
    """Yield the direct children that belong to the statement itself: no statements below it, no annotations."""
    if isinstance(statement, FUNCTIONS):
        yield from statement.decorator_list
        yield from statement.args.defaults
        yield from (item for item in statement.args.kw_defaults if item)
        return
    for name, value in ast.iter_fields(statement):
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.ExceptHandler):
                yield from [child.type] if child.type else []
            elif isinstance(child, ast.match_case):
                yield from [child.guard] if child.guard else []
            elif isinstance(child, ast.AST) and not isinstance(child, ast.stmt) and name != "annotation":
                yield child


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
