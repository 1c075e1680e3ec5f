"""The wrong name: another variable, attribute, function or method was meant."""

import ast
from collections.abc import Iterator

from atra.meta_architect.scope import Variable, target_names
from atra.meta_architect.templates.spot import Proposal, Spot
from atra.meta_architect.templates.words import FUNCTION_FAMILIES, METHOD_FAMILIES, opposites, similarity


def variable(spot: Spot) -> Iterator[Proposal]:
    """`start` -> `end`: another variable in scope, those of the same kind and with similar names first."""
    for node in spot.each(ast.Name):
        if not spot.read(node) or _is_called(spot, node) or node.id in {"self", "cls", "super"}:
            continue
        old = spot.scope.visible(node).get(node.id)
        if old is not None and old.kind in {"module", "callable"}:
            continue
        for other in spot.near(node):
            if other.name != node.id:
                yield spot.put(node, other.name, likeness(old, other, node.id))
        for attribute, kind in _own_attributes(spot):
            alike = similarity(attribute, node.id)
            if alike > 0.5 and kind != "callable":
                yield spot.put(node, f"self.{attribute}", 0.5 + alike)


def likeness(old: Variable | None, other: Variable, name: str) -> float:
    """Return how likely the other variable was meant by the name: by kind, then by the look of the name."""
    same = old is not None and old.kind == other.kind
    kinds = (2.0 if same and other.kind else 1.0) if same or not other.kind or old is None or not old.kind else 0.25
    return kinds + similarity(name, other.name) + (1.0 if other.name in opposites(name) else 0.0)


def _own_attributes(spot: Spot) -> list[tuple[str, str]]:
    return list(spot.scope.self_attributes(spot.statement).items()) if "self" in spot.names else []


def _is_called(spot: Spot, node: ast.expr) -> bool:
    parent = spot.parent(node)
    return isinstance(parent, ast.Call) and parent.func is node


def attribute(spot: Spot) -> Iterator[Proposal]:
    """`node.incoming` -> `node.outgoing`: another attribute that the file uses, antonyms and similar names first."""
    own = dict(_own_attributes(spot))
    for node in spot.each(ast.Attribute):
        if _is_called(spot, node) or not spot.read(node):
            continue
        on_self = isinstance(node.value, ast.Name) and node.value.id == "self" and own
        options = own if on_self else spot.scope.attributes
        turned = opposites(node.attr)
        turned |= {name for family in METHOD_FAMILIES if node.attr in family for name in family} - own.keys()
        for name in {**dict.fromkeys(sorted(turned)), **dict.fromkeys(options)}:
            if name != node.attr and own.get(name) != "callable":
                known = 1.0 if name in options else 0.3
                yield spot.put(
                    node, _dotted(spot, node, name), known * (0.3 + similarity(name, node.attr) + (name in turned))
                )


def _dotted(spot: Spot, node: ast.Attribute, name: str) -> str:
    text = spot.text(node)
    return text[: len(text) - len(node.attr)] + name


def function(spot: Spot) -> Iterator[Proposal]:
    """`any(...)` -> `all(...)`: a function of the same family, or another of this module."""
    for node in spot.nodes:
        if not _is_called(spot, node) and not _is_argument(spot, node):
            continue
        name = spot.text(node)
        for family in FUNCTION_FAMILIES:
            if name in family:
                yield from (spot.put(node, other, 2) for other in family if other != name)
        if isinstance(node, ast.Name) and _is_called(spot, node):
            for other, item in spot.scope.module.items():
                if item.kind == "callable" and other != name:
                    yield spot.put(node, other, 0.2 + similarity(name, other) + (other in opposites(name)))


def _is_argument(spot: Spot, node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and isinstance(spot.parent(node), ast.Call | ast.keyword)


def method(spot: Spot) -> Iterator[Proposal]:
    """`items.append(x)` -> `items.extend(x)`: a method of the same family, or another of the own class."""
    own = dict(_own_attributes(spot))
    for node in spot.each(ast.Attribute):
        if not _is_called(spot, node):
            continue
        options: dict[str, float] = {}
        for family in METHOD_FAMILIES:
            if node.attr in family:
                options |= dict.fromkeys(family, 2.0)
        options |= dict.fromkeys(opposites(node.attr), 0.7)
        if isinstance(node.value, ast.Name) and node.value.id == "self":
            for name, kind in own.items():
                if kind == "callable" and not name.startswith("__"):
                    options.setdefault(name, 0.2 + similarity(name, node.attr))
        for name in sorted(options.keys() - {node.attr}):
            yield spot.put(node, _dotted(spot, node, name), options[name])


def target(spot: Spot) -> Iterator[Proposal]:
    """`total = x` -> `count = x`: another variable, attribute or element is assigned to."""
    for node in _targets(spot):
        old = spot.names.get(node.id) if isinstance(node, ast.Name) else None
        name = node.id if isinstance(node, ast.Name) else spot.text(node)
        for other in spot.locals:
            if other.name != name:
                yield spot.put(node, other.name, likeness(old, other, name))
        for attribute_name, kind in _own_attributes(spot):
            if kind != "callable" and f"self.{attribute_name}" != name:
                yield spot.put(node, f"self.{attribute_name}", 0.3 + similarity(attribute_name, name))
        yield from _subscript_targets(spot, node)


def _subscript_targets(spot: Spot, node: ast.expr) -> Iterator[Proposal]:
    """Yield the elements that the file reads or writes elsewhere in the function as the target instead."""
    if spot.function is None:
        return
    seen: dict[str, None] = {}
    for item in ast.walk(spot.function):
        match item:
            case ast.Subscript(value=ast.Name(), slice=index) if not isinstance(index, ast.Slice):
                if spot.source.trusted(item) and set(_free(item)) <= spot.names.keys():
                    seen.setdefault(spot.text(item))
    for text in list(seen)[:8]:
        if text != spot.text(node) and "\n" not in text:
            yield spot.put(node, text, 0.7)


def _free(node: ast.AST) -> Iterator[str]:
    return (item.id for item in ast.walk(node) if isinstance(item, ast.Name))


def _targets(spot: Spot) -> Iterator[ast.expr]:
    match spot.statement:
        case ast.Assign(targets=[ast.Name() | ast.Attribute() | ast.Subscript() as only]):
            yield only
        case ast.AugAssign(target=only):
            yield only
        case ast.Assign(targets=[ast.Tuple(elts=items)]):
            yield from (item for item in items if list(target_names(item)))
