"""Asks a model for what autogenerate cannot see: which value old rows get, where the parts of a split column go.

The model gets the draft, why it was refused, and the models, and gives a whole revision file back. What it writes is
rehearsed like any other; what that says goes back to it, a few times at most.
"""

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from atra.core.errors import BudgetSpent, ModelRejected
from atra.llm.chat import ChatModel
from atra.llm.prompting import framed
from atra.llm.records import Effort, Message, Reply, Request
from atra.meta_architect.context import prompt, tokens_in
from atra.meta_architect.migrations.records import Draft, Proof, Revised

TRIES = 3

_FENCED = re.compile(r"^```[a-zA-Z]*[ \t]*\n(.*?)^```[ \t]*$", re.S | re.M)
_NAMES = ("revision", "down_revision")
_MODULES = frozenset(
    (
        "__future__",
        "alembic",
        "collections",
        "datetime",
        "decimal",
        "enum",
        "json",
        "math",
        "re",
        "sqlalchemy",
        "typing",
    )
)
_ROUNDABOUT = frozenset(("__builtins__", "__import__", "compile", "eval", "exec", "getattr", "globals", "open", "vars"))

Rehearse = Callable[[Draft], Proof]


def revise(
    model: ChatModel,
    draft: Draft,
    models: Mapping[str, str],
    rehearse: Rehearse,
    *,
    nonce: str,
    room_tokens: int,
    max_output_tokens: int = 8192,
    effort: Effort | None = None,
    timeout_s: float = 120.0,
) -> Revised:
    """Return the model's revision where one held, else what came of each try.

    Args:
        models: the text of the files that define the models, the likeliest first; what does not fit is left out.
        rehearse: proves a draft.
        nonce: marks data in the conversation.
        room_tokens: how much of the models is told, about.

    Raises:
        ModelUnavailable, KeyRefused: as `ChatModel.reply` says.
    """
    messages: tuple[Message, ...] = (
        Message("system", prompt("migrate", nonce=nonce)),
        Message("user", _told(draft, models, nonce, room_tokens)),
    )
    said: list[str] = []
    for _ in range(TRIES):
        request = Request(messages, max_output_tokens=max_output_tokens, effort=effort, timeout_s=timeout_s)
        try:
            reply = model.reply(request)
        except (BudgetSpent, ModelRejected) as error:
            return Revised(skipped=str(error), said=tuple(said))
        found = _read(reply, draft, model.name)
        refusals = (found,) if isinstance(found, str) else rehearse(found).refusals
        if not isinstance(found, str) and not refusals:
            return Revised(found, said=tuple(said))
        said.append("; ".join(refusals)[:500])
        again = (
            f"That does not hold:\n{framed(nonce, 'what was found', chr(10).join(refusals))}Give the whole file again."
        )
        messages = (*messages, reply.as_message(), Message("user", again))
    return Revised(said=tuple(said))


def _told(draft: Draft, models: Mapping[str, str], nonce: str, room_tokens: int) -> str:
    """Return what is told of the case: the draft, the refusals, and as many of the models as there is room for."""
    parts = [
        framed(nonce, f"the draft, {draft.path}", draft.text),
        framed(nonce, "why it is refused", "\n".join(f"- {refusal}" for refusal in draft.refusals)),
    ]
    left = room_tokens - sum(map(tokens_in, parts))
    for path, text in models.items():
        part = framed(nonce, path, text)
        if tokens_in(part) <= left:
            parts.append(part)
            left -= tokens_in(part)
    return "\n".join(parts)


def _read(reply: Reply, draft: Draft, name: str) -> Draft | str:
    """Return the draft with the model's file, or what is wrong with the answer."""
    if reply.finish == "refusal":
        return "the model refused"
    blocks = [match[1] for match in _FENCED.finditer(reply.text)]
    if len(blocks) != 1:
        cut = ", and was cut off" if reply.finish == "length" else ""
        return f"the answer has {len(blocks)} fenced blocks, not one{cut}"
    text = f"{blocks[0].strip()}\n"
    try:
        tree = ast.parse(text)
        if _identity(tree) != _identity(ast.parse(draft.text)):
            return "revision and down_revision are not those of the draft"
    except (SyntaxError, ValueError) as error:
        return f"the file is no Python: {error}"
    if strange := sorted(_strange(tree)):
        return f"a revision does not need {', '.join(strange)}"
    first = (ast.get_docstring(tree) or "").partition("\n")[0].rstrip(".")
    sentences = (first,) if first else draft.sentences
    return replace(draft, text=text, refusals=(), sentences=sentences, generator=f"model/{name}", renames=())


def _strange(tree: ast.Module) -> set[str]:
    """Return what the file uses that no revision needs: modules beyond these, and ways round an import."""
    nodes = list(ast.walk(tree))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    modules = plain | {f"{'.' * node.level}{node.module or ''}" for node in nodes if isinstance(node, ast.ImportFrom)}
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    hidden = {node.attr for node in nodes if isinstance(node, ast.Attribute) and node.attr.startswith("__")}
    return {module for module in modules if module.partition(".")[0] not in _MODULES} | names & _ROUNDABOUT | hidden


def _identity(tree: ast.Module) -> dict[str, object]:
    """Return the ids that a revision file names."""
    found: dict[str, object] = {}
    for node in tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        for target in targets:
            if isinstance(target, ast.Name) and target.id in _NAMES and isinstance(node, ast.Assign | ast.AnnAssign):
                found[target.id] = ast.literal_eval(node.value) if node.value else None
    return found
