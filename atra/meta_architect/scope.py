"""What names mean in a parsed file: which are visible at a node, of which kind their values seem to be.

Kinds are guesses from literals, annotations, calls of known builtins and use; an empty kind means unknown. They order
candidates and never forbid one, so a wrong guess costs time and nothing else.
"""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from atra.meta_architect.source import FUNCTIONS, Function, Source

Kind = Literal["", "int", "float", "str", "bytes", "bool", "list", "tuple", "dict", "set", "none", "callable", "module"]
Origin = Literal["parameter", "local", "closure", "module"]

COLLECTIONS: frozenset[str] = frozenset({"list", "tuple", "dict", "set", "str", "bytes"})
NUMBERS: frozenset[str] = frozenset({"int", "float"})

_CALLS: dict[str, Kind] = {
    "len": "int", "int": "int", "ord": "int", "round": "int", "abs": "int", "hash": "int", "id": "int", "sum": "int",
    "float": "float", "str": "str", "repr": "str", "chr": "str", "input": "str", "format": "str", "bytes": "bytes",
    "bool": "bool", "isinstance": "bool", "any": "bool", "all": "bool", "callable": "bool", "hasattr": "bool",
    "list": "list", "sorted": "list", "range": "list", "zip": "list", "map": "list", "filter": "list",
    "enumerate": "list", "reversed": "list", "tuple": "tuple", "dict": "dict", "set": "set", "frozenset": "set",
    "defaultdict": "dict", "Counter": "dict", "OrderedDict": "dict", "deque": "list",
}  # fmt: skip
_METHODS: dict[str, Kind] = {
    "split": "list", "splitlines": "list", "keys": "list", "values": "list", "items": "list", "rsplit": "list",
    "strip": "str", "lstrip": "str", "rstrip": "str", "lower": "str", "upper": "str", "title": "str", "join": "str",
    "replace": "str", "format": "str", "capitalize": "str", "strftime": "str", "isoformat": "str", "decode": "str",
    "encode": "bytes", "startswith": "bool", "endswith": "bool", "isdigit": "bool", "isalpha": "bool",
    "isspace": "bool", "isupper": "bool", "islower": "bool", "isalnum": "bool", "find": "int", "index": "int",
    "count": "int", "rfind": "int", "total_seconds": "float", "union": "set", "intersection": "set",
    "difference": "set",
}  # fmt: skip
_USED_AS: dict[str, Kind] = {
    "append": "list", "extend": "list", "insert": "list", "sort": "list", "reverse": "list", "items": "dict",
    "keys": "dict", "values": "dict", "get": "dict", "setdefault": "dict", "add": "set", "discard": "set",
    "union": "set", "intersection": "set", "strip": "str", "lower": "str", "upper": "str", "split": "str",
    "startswith": "str", "endswith": "str", "replace": "str", "join": "str", "encode": "str", "splitlines": "str",
}  # fmt: skip
_ANNOTATIONS: dict[str, Kind] = {
    "int": "int", "float": "float", "str": "str", "bytes": "bytes", "bool": "bool", "None": "none", "list": "list",
    "List": "list", "Sequence": "list", "Iterable": "list", "Iterator": "list", "tuple": "tuple", "Tuple": "tuple",
    "dict": "dict", "Dict": "dict", "Mapping": "dict", "set": "set", "Set": "set", "frozenset": "set",
    "Callable": "callable",
}  # fmt: skip


@dataclass(frozen=True)
class Variable:
    """A name that can be read: what it seems to hold, where it comes from, the line it is first bound on."""

    name: str
    kind: Kind
    origin: Origin
    line: int


class Scope:
    """The names of one file, worked out once per function and kept."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._functions: dict[Function, dict[str, Variable]] = {}
        self._classes: dict[ast.ClassDef, dict[str, Kind]] = {}

    @cached_property
    def module(self) -> dict[str, Variable]:
        """The names that the module binds at its top level."""
        names: dict[str, Variable] = {}
        for name, value, node in _bindings(self._source.tree):
            kind = _definition_kind(node) or self.kind(value, names)
            names.setdefault(name, Variable(name, kind, "module", node.lineno))
        return names

    @cached_property
    def attributes(self) -> dict[str, int]:
        """How often the file uses each attribute name."""
        counts: dict[str, int] = {}
        for node in ast.walk(self._source.tree):
            if isinstance(node, ast.Attribute):
                counts[node.attr] = counts.get(node.attr, 0) + 1
        return counts

    @cached_property
    def accesses(self) -> dict[str, list[str]]:
        """The attributes that the file uses on each name, each once."""
        uses: dict[str, dict[str, None]] = {}
        for node in ast.walk(self._source.tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                uses.setdefault(node.value.id, {}).setdefault(node.attr)
        return {name: list(attributes) for name, attributes in uses.items()}

    @cached_property
    def literals(self) -> list[ast.Constant]:
        """The file's numbers and strings, each once, docstrings left out, in the order of the text."""
        seen: dict[tuple[type, object], ast.Constant] = {}
        for node in ast.walk(self._source.tree):
            if not isinstance(node, ast.Constant) or not isinstance(node.value, int | float | str):
                continue
            if not isinstance(self._source.parents[node], ast.Expr | ast.JoinedStr):
                seen.setdefault((type(node.value), node.value), node)
        return sorted(seen.values(), key=lambda node: (node.lineno, node.col_offset))

    def self_attributes(self, node: ast.AST) -> dict[str, Kind]:
        """Return the attributes that the class round the node uses on its own object; methods are `callable`."""
        owner = next((at for at in self._source.ancestors(node) if isinstance(at, ast.ClassDef)), None)
        if owner is None:
            return {}
        if owner not in self._classes:
            self._classes[owner] = self._own_attributes(owner)
        return self._classes[owner]

    def _own_attributes(self, owner: ast.ClassDef) -> dict[str, Kind]:
        found: dict[str, Kind] = {}
        for item in ast.walk(owner):
            if isinstance(item, ast.Attribute) and isinstance(item.value, ast.Name) and item.value.id == "self":
                parent = self._source.parents[item]
                bound = isinstance(parent, ast.Assign) and item in parent.targets
                found[item.attr] = found.get(item.attr) or (self.kind(parent.value, {}) if bound else "")  # type: ignore[attr-defined]
        for item in owner.body:
            if isinstance(item, FUNCTIONS):
                found[item.name] = "callable"
            elif isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                found[item.target.id] = annotated(item.annotation)
        return found

    def visible(self, node: ast.AST) -> dict[str, Variable]:
        """Return the names that can be read at the node, innermost scope first, each name once.

        A local counts where it is bound on an earlier line or in a loop that holds the node too.
        """
        found: dict[str, Variable] = {}
        for name in self._inner(node):
            found.setdefault(name, Variable(name, "", "local", getattr(node, "lineno", 0)))
        function = self._source.function(node)
        outer = False
        while function is not None:
            for name, variable in self._names(function).items():
                if not outer and not self._bound_before(variable, node, function):
                    continue
                origin: Origin = "closure" if outer else variable.origin
                known = found.get(name)
                if known is None or not known.kind:
                    found[name] = Variable(name, variable.kind, origin, variable.line)
            outer, function = True, self._source.function(function)
        line = getattr(node, "lineno", 0)
        for name, variable in self.module.items():
            if outer or variable.line < line:
                found.setdefault(name, variable)
        return found

    def kind(self, node: ast.expr | None, names: dict[str, Variable] | None = None) -> Kind:
        """Return the kind of value that the expression seems to give; `names` are the variables known."""
        names = names or {}
        match node:
            case ast.Constant(value=value):
                return _constant_kind(value)
            case ast.List() | ast.ListComp():
                return "list"
            case ast.Tuple():
                return "tuple"
            case ast.Dict() | ast.DictComp():
                return "dict"
            case ast.Set() | ast.SetComp():
                return "set"
            case ast.JoinedStr():
                return "str"
            case ast.Compare() | ast.UnaryOp(op=ast.Not()):
                return "bool"
            case ast.Lambda():
                return "callable"
            case ast.Name(id=name):
                return names[name].kind if name in names else ""
            case ast.UnaryOp(operand=operand):
                return self.kind(operand, names)
            case ast.IfExp(body=value) | ast.NamedExpr(value=value) | ast.Await(value=value):
                return self.kind(value, names)
            case ast.BoolOp(values=values):
                return self.kind(values[-1], names)
            case ast.BinOp():
                return self._binary_kind(node, names)
            case ast.Call(func=ast.Name(id=name)):
                return _CALLS.get(name, "")
            case ast.Call(func=ast.Attribute(attr=name)):
                return _METHODS.get(name, "")
            case ast.Subscript(value=value, slice=ast.Slice()):
                return self.kind(value, names)
            case ast.Subscript(value=value):
                return "str" if self.kind(value, names) == "str" else ""
        return ""

    def _binary_kind(self, node: ast.BinOp, names: dict[str, Variable]) -> Kind:
        left, right = self.kind(node.left, names), self.kind(node.right, names)
        if isinstance(node.op, ast.Div) and left in {*NUMBERS, ""}:
            return "float"
        if isinstance(node.op, ast.Mod) and left == "str":
            return "str"
        if "float" in (left, right):
            return "float"
        if isinstance(node.op, ast.FloorDiv | ast.Mod | ast.LShift | ast.RShift | ast.Sub | ast.Pow):
            return left or right or "int"
        return left or right

    def _names(self, function: Function) -> dict[str, Variable]:
        known = self._functions.get(function)
        if known is None:
            known = self._functions[function] = self._infer(function)
        return known

    def _infer(self, function: Function) -> dict[str, Variable]:
        names: dict[str, Variable] = {}
        for argument, default in _parameters(function):
            kind = annotated(argument.annotation) or self.kind(default, names)
            names[argument.arg] = Variable(argument.arg, "" if kind == "none" else kind, "parameter", function.lineno)
        for _ in range(2):  # a second look knows the kinds that the first one found
            for name, value, node in _bindings(function):
                known = names.get(name)
                if known is None or not known.kind:
                    kind = _definition_kind(node) or self.kind(value, names)
                    line = known.line if known else node.lineno
                    names[name] = Variable(name, kind, known.origin if known else "local", line)
        for name, kind in self._uses(function):
            if name in names and not names[name].kind:
                names[name] = Variable(name, kind, names[name].origin, names[name].line)
        return names

    def _uses(self, function: Function) -> Iterator[tuple[str, Kind]]:
        for node in ast.walk(function):
            match node:
                case ast.Attribute(value=ast.Name(id=name), attr=attr) if attr in _USED_AS:
                    yield name, _USED_AS[attr]
                case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=int())):
                    yield name, "list"
                case ast.Subscript(value=value, slice=ast.Slice(lower=lower, upper=upper)):
                    yield from ((item.id, "list") for item in (value,) if isinstance(item, ast.Name))
                    yield from ((item.id, "int") for item in (lower, upper) if isinstance(item, ast.Name))
                case ast.Call(func=ast.Name(id="range"), args=args):
                    yield from ((item.id, "int") for item in args if isinstance(item, ast.Name))
                case ast.BinOp(op=ast.Sub() | ast.Mult() | ast.FloorDiv() | ast.Div(), left=left, right=right):
                    yield from ((item.id, "int") for item in (left, right) if isinstance(item, ast.Name))
                case ast.BinOp(left=left, right=right) | ast.Compare(left=left, comparators=[right]):
                    yield from _beside_number(left, right)
                case ast.For(iter=ast.Name(id=name)) | ast.comprehension(iter=ast.Name(id=name)):
                    yield name, "list"

    def _inner(self, node: ast.AST) -> Iterator[str]:
        """Yield the names that comprehensions and lambdas round the node bind."""
        below = node
        for at in self._source.ancestors(node):
            if isinstance(at, ast.stmt):
                return
            if isinstance(at, ast.Lambda):
                yield from (argument.arg for argument in at.args.args)
            if isinstance(at, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
                hidden = below is at.generators[0] and self._within(node, at.generators[0].iter)
                for generator in () if hidden else at.generators:
                    yield from target_names(generator.target)
            below = at

    def _within(self, node: ast.AST, outer: ast.AST) -> bool:
        return node is outer or any(at is outer for at in self._source.ancestors(node))

    def _bound_before(self, variable: Variable, node: ast.AST, function: Function) -> bool:
        line = getattr(node, "lineno", 0)
        if variable.origin == "parameter" or variable.line < line:
            return True
        for at in self._source.ancestors(node):
            if at is function:
                return False
            if isinstance(at, ast.For | ast.While | ast.AsyncFor):
                inside = at.body[0].lineno <= variable.line <= (at.end_lineno or 0)
                if inside or (variable.line == at.lineno and line >= at.body[0].lineno):
                    return True
        return False


def target_names(target: ast.expr) -> Iterator[str]:
    """Yield the plain names that an assignment's target binds."""
    match target:
        case ast.Name(id=name):
            yield name
        case ast.Tuple(elts=items) | ast.List(elts=items):
            for item in items:
                yield from target_names(item)
        case ast.Starred(value=value):
            yield from target_names(value)


def annotated(annotation: ast.expr | None) -> Kind:
    """Return the kind that an annotation names."""
    match annotation:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return _ANNOTATIONS.get(name, "")
        case ast.Constant(value=str(name)):
            return _ANNOTATIONS.get(name.partition("[")[0], "")
        case ast.Subscript(value=value):
            return annotated(value)
        case ast.BinOp(op=ast.BitOr(), left=left, right=right):
            return annotated(left) if annotated(left) != "none" else annotated(right)
    return ""


def _constant_kind(value: object) -> Kind:
    for kind in ("bool", "int", "float", "str", "bytes"):
        if type(value).__name__ == kind:
            return kind
    return "none" if value is None else ""


def _definition_kind(node: ast.AST) -> Kind:
    if isinstance(node, ast.Import | ast.ImportFrom):
        return "module" if isinstance(node, ast.Import) else ""
    return "callable" if isinstance(node, (*FUNCTIONS, ast.ClassDef)) else ""


def _parameters(function: Function) -> Iterator[tuple[ast.arg, ast.expr | None]]:
    arguments = function.args
    plain = [*arguments.posonlyargs, *arguments.args]
    missing = len(plain) - len(arguments.defaults)
    yield from zip(plain, [*[None] * missing, *arguments.defaults], strict=True)
    yield from zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    yield from ((argument, None) for argument in (arguments.vararg, arguments.kwarg) if argument)


def _beside_number(left: ast.expr, right: ast.expr) -> Iterable[tuple[str, Kind]]:
    for item, other in ((left, right), (right, left)):
        if isinstance(item, ast.Name) and isinstance(other, ast.Constant) and type(other.value) in (int, float):
            yield item.id, "int" if isinstance(other.value, int) else "float"


def _bindings(scope: ast.Module | Function) -> Iterator[tuple[str, ast.expr | None, ast.stmt]]:
    """Yield (name, value, statement) for each name bound in this scope itself, in the order of the text."""
    waiting: list[ast.AST] = list(reversed(scope.body))
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.stmt):
            yield from _bound_by(node)
        if not isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            inner = (child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.expr))
            waiting += reversed(list(inner))


def _bound_by(node: ast.stmt) -> Iterator[tuple[str, ast.expr | None, ast.stmt]]:
    match node:
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                yield from _bound_to(target, value, node)
        case ast.AnnAssign(target=target, value=value) | ast.AugAssign(target=target, value=value):
            yield from _bound_to(target, value, node)
        case ast.For(target=target, iter=iterated) | ast.AsyncFor(target=target, iter=iterated):
            yield from _bound_to(target, _element(iterated), node)
        case ast.With(items=items) | ast.AsyncWith(items=items):
            for item in items:
                if item.optional_vars is not None:
                    yield from _bound_to(item.optional_vars, None, node)
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name, None, node
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            for alias in names:
                yield (alias.asname or alias.name).partition(".")[0], None, node
        case ast.Try(handlers=handlers):
            yield from ((item.name, None, node) for item in handlers if item.name)


def _bound_to(
    target: ast.expr, value: ast.expr | None, node: ast.stmt
) -> Iterator[tuple[str, ast.expr | None, ast.stmt]]:
    match target, value:
        case ((ast.Tuple(elts=items) | ast.List(elts=items)), (ast.Tuple(elts=parts) | ast.List(elts=parts))) if len(
            items
        ) == len(parts):
            for item, part in zip(items, parts, strict=True):
                yield from _bound_to(item, part, node)
        case ast.Name(id=name), _:
            yield name, value, node
        case _:
            yield from ((name, None, node) for name in target_names(target))


def _element(iterated: ast.expr) -> ast.expr | None:
    """Return an expression of the kind that a loop over this one binds."""
    match iterated:
        case ast.Call(func=ast.Name(id="range")):
            return ast.Constant(0)
        case ast.Call(func=ast.Name(id="enumerate")):
            return ast.Tuple([ast.Constant(0), ast.Name("_", ast.Load())], ast.Load())
        case ast.Constant(value=str()):
            return ast.Constant("")
        case ast.List(elts=[first, *_]) | ast.Tuple(elts=[first, *_]):
            return first
    return None
