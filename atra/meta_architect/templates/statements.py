"""Statements that are missing, too many, in the wrong place or of the wrong kind."""

import ast
import re
from collections.abc import Iterator

from atra.core.edits import Edit
from atra.meta_architect.scope import COLLECTIONS, Variable, target_names
from atra.meta_architect.source import FUNCTIONS, TEST
from atra.meta_architect.templates.conditions import atoms
from atra.meta_architect.templates.names import likeness
from atra.meta_architect.templates.spot import Proposal, Spot

_ADDERS = {"list": ("append", "extend"), "set": ("add", "discard"), "dict": ("update",), "": ("append", "add")}
_WORD = re.compile(r"\b(?!not\b|is\b|None\b|len\b)[A-Za-z_][\w.]*")
_LOOPS = (ast.For, ast.While, ast.AsyncFor)
_SIMPLE = (ast.Expr, ast.Assign, ast.AugAssign, ast.Return, ast.Delete, ast.Raise)


def _insert(spot: Spot, text: str, weight: float) -> Iterator[Proposal]:
    """Propose the statement before this one and, at the end of a block, after it; nothing can follow a jump."""
    yield from spot.before(text, weight)
    if not isinstance(spot.statement, ast.Return | ast.Raise | ast.Continue | ast.Break):
        yield from spot.after(text, weight)


def jump(spot: Spot) -> Iterator[Proposal]:
    """`continue` -> `break` and back."""
    others = {ast.Continue: "break", ast.Break: "continue"}
    if (other := others.get(type(spot.statement))) is not None:
        yield spot.splice(spot.source.span(spot.statement), other)


def inserted_call(spot: Spot) -> Iterator[Proposal]:
    """A call such as `seen.add(node)` or `items.append(x)` is missing; also one that the function makes elsewhere."""
    if spot.function is None:
        return
    holders: list[tuple[str, str]] = [
        (item.name, item.kind) for item in spot.locals if item.kind in {"list", "set", "dict"}
    ]
    holders += [(f"self.{name}", kind) for name, kind in _own_data(spot) if kind in {"list", "set", "dict"}]
    filled = {text.partition("(")[0].rpartition(".")[0] for text in _donors(spot)}
    for name, kind in holders:
        for item in spot.locals:
            if item.name != name:
                yield from _adding(spot, name, kind, item, 1 if name in filled else 3)
    for text in _donors(spot):
        yield from _insert(spot, text, 0.7)
        argument = text.rpartition("(")[2].rstrip(")")
        if text.endswith(")") and argument in spot.names:
            yield from _insert(spot, f"if {argument}:\n\t{text}", 0.7)


def _adding(spot: Spot, holder: str, kind: str, item: Variable, weight: float) -> Iterator[Proposal]:
    """Yield the calls that put the variable into the holder; one that nothing fills yet is the likelier."""
    for method in _ADDERS[kind]:
        whole = method in {"extend", "update"}
        fits = item.kind in COLLECTIONS if whole else item.kind not in {"list", "dict", "set"} or kind == "list"
        if fits or not item.kind:
            yield from _insert(spot, f"{holder}.{method}({item.name})", weight * (0.5 if whole else 1))


def _own_data(spot: Spot) -> list[tuple[str, str]]:
    own = spot.scope.self_attributes(spot.statement) if "self" in spot.names else {}
    return [(name, kind) for name, kind in own.items() if kind != "callable"]


def _donors(spot: Spot) -> list[str]:
    """Return the texts of the function's other simple statements that only use names known here, each once."""
    texts: dict[str, None] = {}
    for node in ast.walk(spot.function) if spot.function else ():
        if isinstance(node, ast.Expr | ast.Assign | ast.AugAssign) and node is not spot.statement:
            text = spot.text(node)
            names = {
                item.id for item in ast.walk(node) if isinstance(item, ast.Name) and isinstance(item.ctx, ast.Load)
            }
            builtin = names - spot.names.keys()
            if "\n" not in text and not isinstance(getattr(node, "value", None), ast.Constant) and len(builtin) < 2:
                texts.setdefault(text)
    return list(texts)[:12]


def inserted_assignment(spot: Spot) -> Iterator[Proposal]:
    """An assignment such as `previous = node`, `count += 1` or `self.name = name` is missing."""
    if spot.function is None:
        return
    own = dict(_own_data(spot))
    for item in spot.locals:
        if item.kind in {"int", "float", ""}:
            yield from _insert(spot, f"{item.name} += 1", 2 if item.kind else 0.3)
            yield from _insert(spot, f"{item.name} -= 1", 1 if item.kind else 0.2)
        for other in spot.locals:
            if other.name != item.name:
                yield from _insert(spot, f"{item.name} = {other.name}", likeness(item, other, item.name) / 2)
        if item.name in own or spot.function.name == "__init__":
            yield from _insert(spot, f"self.{item.name} = {item.name}", 3)
    for name, kind in own.items():
        if kind in {"int", "float", ""}:
            yield from _insert(spot, f"self.{name} += 1", 1 if kind else 0.2)
        for item in spot.locals:
            if item.kind in {kind, ""}:
                yield from _insert(spot, f"self.{name} = {item.name}", 0.3)


def inserted_jump(spot: Spot) -> Iterator[Proposal]:
    """`return result`, `continue` or `break` is missing."""
    if spot.function is None:
        return
    for item in spot.locals:
        yield from _insert(spot, f"return {item.name}", 1)
    if isinstance(spot.statement, ast.Assign):
        bound = (name for target in spot.statement.targets for name in target_names(target))
        yield from (proposal for name in bound for proposal in spot.after(f"return {name}", 2))
    if any(name == "self" for name in spot.names):
        yield from _insert(spot, "return self", 0.5)
    if _in_loop(spot):
        yield from _insert(spot, "continue", 1)
        yield from _insert(spot, "break", 1)


def _in_loop(spot: Spot) -> bool:
    for at in spot.source.ancestors(spot.statement):
        if isinstance(at, (*FUNCTIONS, ast.ClassDef)):
            return False
        if isinstance(at, _LOOPS):
            return True
    return False


def inserted_guard(spot: Spot) -> Iterator[Proposal]:
    """`if not items: return 0` is missing: a base case, or a case to be passed over."""
    if spot.function is None:
        return
    results = _results(spot)
    likeliest = list(results)[:2]
    for atom, weight in atoms(spot, spot.statement):
        for result in results if len(_WORD.findall(atom)) == 1 else likeliest:
            chance = results[result]
            yield from spot.before(f"if {atom}:\n\treturn {result}".rstrip(), weight * chance)
        if _in_loop(spot):
            yield from spot.before(f"if {atom}:\n\tcontinue", weight)
            yield from spot.before(f"if {atom}:\n\tbreak", weight)


def _results(spot: Spot) -> dict[str, float]:
    """Return what an early return may give: constants that the function returns elsewhere weigh most."""
    found: dict[str, float] = {}
    for node in ast.walk(spot.function) if spot.function else ():
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Constant | ast.Name | ast.List | ast.Dict):
            found[spot.text(node.value)] = 1.0
    for text in ("None", "0", "[]", "False", "True", '""', "{}", "1"):
        found.setdefault(text, 0.2)
    return {text: weight for text, weight in list(found.items())[:8] if "\n" not in text}


def deleted(spot: Spot) -> Iterator[Proposal]:
    """A statement too many: it goes, or a block's condition goes and the block stays."""
    statement = spot.statement
    if isinstance(statement, (*FUNCTIONS, ast.ClassDef, ast.Import, ast.ImportFrom)) or not spot.source.alone(
        statement
    ):
        return
    if len(spot.source.block(statement)) > 1:
        if not spot.text(statement).startswith("elif"):
            yield spot.splice(spot.source.lines_of(statement), "")
    elif isinstance(statement, _SIMPLE):
        yield spot.splice(spot.source.span(statement), "pass")
    if isinstance(statement, ast.If) and not statement.orelse and not spot.text(statement).startswith("elif"):
        yield from _unwrapped_block(spot, statement)


def _unwrapped_block(spot: Spot, statement: ast.If) -> Iterator[Proposal]:
    indent = spot.source.indent(statement)
    if indent is not None and (block := _block_text(spot, statement.body, indent)):
        yield spot.splice(spot.source.lines_of(statement), block)


def _block_text(spot: Spot, block: list[ast.stmt], indent: str) -> str | None:
    """Return the block's lines at another indentation; None where a string runs over lines or lines are shared."""
    start, end = spot.source.lines_of(block[0])[0], spot.source.lines_of(block[-1])[1]
    old = spot.source.indent(block[0])
    if old is None or not all(spot.source.alone(item) for item in block) or _long_string(block):
        return None
    lines = spot.source.text[start:end].splitlines(keepends=True)
    return "".join(indent + line.removeprefix(old) if line.strip() else line for line in lines)


def _long_string(block: list[ast.stmt]) -> bool:
    strings = (node for item in block for node in ast.walk(item) if isinstance(node, ast.Constant | ast.JoinedStr))
    return any(node.end_lineno != node.lineno for node in strings)


def moved(spot: Spot) -> Iterator[Proposal]:
    """A statement moves out of its block, into the block before it, or changes places with its neighbour."""
    statement, source = spot.statement, spot.source
    if isinstance(statement, (*FUNCTIONS, ast.ClassDef)) or not source.alone(statement):
        return
    block = source.block(statement)
    at = next(index for index, item in enumerate(block) if item is statement)
    if at + 1 < len(block) and source.alone(block[at + 1]) and not isinstance(statement, ast.Return | ast.Raise):
        yield from _exchanged(spot, statement, block[at + 1])
    parent = source.parents[statement]
    if at == len(block) - 1 and at and isinstance(parent, ast.If | ast.For | ast.While | ast.With):
        yield from _outdented(spot, parent)
    if at and isinstance(block[at - 1], ast.If | ast.For | ast.While | ast.With):
        yield from _indented(spot, block[at - 1])


def early_else(spot: Spot) -> Iterator[Proposal]:
    """`for ...: if a: return x; else: return y` -> `return y` behind the loop: what is decided too early."""
    statement, source = spot.statement, spot.source
    loop = source.parents[statement]
    if not isinstance(statement, ast.If) or not isinstance(loop, _LOOPS) or not statement.orelse:
        return
    indent, last = source.indent(loop), statement.orelse
    if isinstance(last[0], ast.If) and spot.text(last[0]).startswith("elif"):
        return
    behind = source.lines_of(loop)[1]
    if indent is None or not source.alone(loop) or source.text[behind - 1 : behind] not in "\r\n":
        return
    start, end = source.lines_of(statement.body[-1])[1], source.lines_of(last[-1])[1]
    text = _block_text(spot, last, indent)
    if text is None:
        return
    text = text if text.endswith(("\n", "\r")) else text + source.newline
    if behind == end:
        yield spot.splice((start, end), text, 2)
    else:
        yield Proposal((spot.edit((start, end), ""), spot.edit((behind, behind), text)))
    if not loop.orelse:
        inner = indent + source.unit
        deeper = _block_text(spot, last, inner)
        if deeper is not None and behind == end:
            yield spot.splice((start, end), f"{indent}else:{source.newline}{deeper}")


def _exchanged(spot: Spot, one: ast.stmt, other: ast.stmt) -> Iterator[Proposal]:
    (start, middle), (after, end) = spot.source.lines_of(one), spot.source.lines_of(other)
    first, second = spot.source.text[start:middle], spot.source.text[after:end]
    if middle == after and second.endswith(("\n", "\r")):
        yield spot.splice((start, end), second + first)


def _outdented(spot: Spot, parent: ast.stmt) -> Iterator[Proposal]:
    """Put the last statement of a block behind the whole of which the block is a part."""
    indent = spot.source.indent(parent)
    if indent is None or (text := _block_text(spot, [spot.statement], indent)) is None:
        return
    start, end = spot.source.lines_of(spot.statement)
    behind = spot.source.lines_of(parent)[1]
    if not text.endswith(("\n", "\r")):
        text += spot.source.newline
    if spot.source.text[behind - 1 : behind] not in "\r\n":
        return
    if behind == end:
        yield spot.splice((start, end), text, 2)
    else:
        yield Proposal((spot.edit((start, end), ""), spot.edit((behind, behind), text)))


def _indented(spot: Spot, before: ast.stmt) -> Iterator[Proposal]:
    """Put the statement at the end of the block before it, where that is the last thing before it."""
    last: list[ast.stmt] = getattr(before, "orelse", None) or before.body  # type: ignore[attr-defined]
    indent = spot.source.indent(last[-1])
    if indent is not None and (text := _block_text(spot, [spot.statement], indent)):
        yield spot.splice(spot.source.lines_of(spot.statement), text)


def branch(spot: Spot) -> Iterator[Proposal]:
    """`elif` -> `if`, `if` -> `elif`, `if` -> `while` and back."""
    statement = spot.statement
    start = spot.source.span(statement)[0]
    text = spot.text(statement)
    if isinstance(statement, ast.If) and text.startswith("elif"):
        yield spot.splice((start, start + 4), "if")
    elif isinstance(statement, ast.If):
        yield spot.splice((start, start + 2), "while", 0.7)
        block = spot.source.block(statement)
        at = block.index(statement)
        if at and isinstance(block[at - 1], ast.If) and not block[at - 1].orelse:  # type: ignore[attr-defined]
            yield spot.splice((start, start + 2), "elif")
    elif isinstance(statement, ast.While) and not statement.orelse:
        yield spot.splice((start, start + 5), "if")


def kept_result(spot: Spot) -> Iterator[Proposal]:
    """`text.strip()` -> `text = text.strip()`, `x` -> `return x`: a result is thrown away."""
    if not isinstance(spot.statement, ast.Expr) or isinstance(spot.statement.value, ast.Constant):
        return
    value = spot.statement.value
    if isinstance(value, ast.Yield | ast.YieldFrom):
        return
    text = spot.text(value)
    if spot.function is not None:
        yield spot.splice(spot.source.span(spot.statement), f"return {text}", 2)
    match value:
        case ast.Call(func=ast.Attribute(value=(ast.Name() | ast.Attribute()) as holder)):
            yield spot.splice(spot.source.span(spot.statement), f"{spot.text(holder)} = {text}", 2)
    for name in spot.locals:
        yield spot.splice(spot.source.span(spot.statement), f"{name.name} = {text}", 0.5)
    yield from _meant_as_binding(spot, value)


def _meant_as_binding(spot: Spot, value: ast.expr) -> Iterator[Proposal]:
    """`a == b` -> `a = b`, `a + b` -> `a += b`: a line that computes a value and drops it."""
    match value:
        case ast.Compare(left=(ast.Name() | ast.Attribute() | ast.Subscript()) as left, comparators=[right]):
            yield spot.splice(spot.source.span(spot.statement), f"{spot.text(left)} = {spot.text(right)}", 6)
        case ast.BinOp(left=(ast.Name() | ast.Attribute() | ast.Subscript()) as left, right=right):
            start, end = spot.source.operator(left, right)
            sign = spot.source.text[start:end]
            yield spot.splice(spot.source.span(spot.statement), f"{spot.text(left)} {sign}= {spot.text(right)}", 3)
            yield spot.splice(spot.source.span(spot.statement), f"{spot.text(left)} = {spot.text(right)}", 3)


def mutation(spot: Spot) -> Iterator[Proposal]:
    """`total.append(x)` -> `total = x`, `x = x.sort()` -> `x.sort()` and back: changed in place, or bound anew."""
    yield from _to_binding(spot)
    yield from _from_binding(spot)
    for call in spot.each(ast.Call):
        match call.func:
            case ast.Attribute(value=holder, attr="sort") if not isinstance(spot.parent(call), ast.Expr):
                arguments = "".join(f", {spot.text(item)}" for item in call.keywords)
                yield spot.put(call, f"sorted({spot.text(holder)}{arguments})", 4)


def _to_binding(spot: Spot) -> Iterator[Proposal]:
    whole = spot.source.span(spot.statement)
    match spot.statement:
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=holder, attr=name), args=[only])):
            target, value = spot.text(holder), spot.operand(only, TEST)
            yield spot.splice(whole, f"{target} = {value}", 1)
            yield spot.splice(whole, f"{target} += {value if name == 'extend' else f'[{value}]'}", 0.5)
            keys = [item.name for item in spot.locals if item.name != target]
            yield from (spot.splice(whole, f"{target}[{key}] = {value}", 0.5) for key in keys)
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=holder, attr="sort"), args=[])):
            yield spot.splice(whole, f"{spot.text(holder)} = sorted({spot.text(holder)})", 2)
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=holder, attr="reverse"), args=[])):
            yield spot.splice(whole, f"{spot.text(holder)} = list(reversed({spot.text(holder)}))", 2)


def _from_binding(spot: Spot) -> Iterator[Proposal]:
    whole = spot.source.span(spot.statement)
    match spot.statement:
        case ast.Assign(
            value=ast.Call(func=ast.Attribute(attr="sort" | "reverse" | "append" | "extend" | "update")) as call
        ):
            yield spot.splice(whole, spot.text(call), 3)
        case ast.Assign(targets=[ast.Name() | ast.Attribute() | ast.Subscript() as target], value=value):
            for method in ("append", "extend", "add", "update"):
                yield spot.splice(whole, f"{spot.text(target)}.{method}({spot.operand(value, TEST)})")


def mutable_default(spot: Spot) -> Iterator[Proposal]:
    """`def f(x=[])` -> `def f(x=None)` and, first thing inside, `if x is None: x = []`."""
    function = spot.statement
    if not isinstance(function, FUNCTIONS):
        return
    body = [item for item in function.body if not _is_docstring(item)]
    plain = [*function.args.posonlyargs, *function.args.args]
    defaults = zip(plain[len(plain) - len(function.args.defaults) :], function.args.defaults, strict=True)
    inner = spot.source.indent(body[0]) if body else None
    if inner is None:
        return
    for argument, default in defaults:
        if isinstance(default, ast.List | ast.Dict | ast.Set | ast.Call):
            at = spot.source.lines_of(body[0])[0]
            lines = (
                f"{inner}if {argument.arg} is None:",
                f"{inner}{spot.source.unit}{argument.arg} = {spot.text(default)}",
                "",
            )
            guard = Edit(spot.source.path, at, at, spot.source.newline.join(lines))
            yield Proposal((*spot.put(default, "None").edits, guard))


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
