"""From a version to a model that answers: in this process, or by a server that has it or is told to load it.

In this process the weights are loaded at once, so that no answer's time holds that; a server is sent nothing before the
model is asked. A server's name for a version is of the version alone, so one that
still answers for another is told apart.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from atra.core.errors import BadInput
from atra.llm.chat import ChatModel

NAME = "brain"
"""Of the model, in the ledger and in answers."""

_ADAPTER = "adapter_config.json"


@dataclass(frozen=True)
class Server:
    """Who runs the weights.

    Args:
        kind: `process` this process, by transformers; `vllm` and `transformers` the server of that name at `base_url`.
    """

    kind: Literal["process", "vllm", "transformers"] = "process"
    base_url: str = ""
    key: str = field(default="", repr=False)


def open_version(folder: Path, server: Server) -> ChatModel:
    """Return the model of a folder: a version's, whose name is its id, or a base model's.

    Raises:
        BadInput: a server is to run it, and has no address.
        MissingPart: a library is not installed, or the folder holds no model.
    """
    if server.kind == "process":
        from atra.llm.local import LocalModel

        model = LocalModel(NAME, str(folder))
        model.load()
        return model
    if not server.base_url.startswith(("http://", "https://")):
        raise BadInput(f"[brain] server = {server.kind} needs its base_url, which begins with http:// or https://")
    from atra.llm.adapters import adapted
    from atra.llm.openai_chat import OpenAIChat

    if server.kind == "transformers":
        return OpenAIChat(NAME, str(folder), server.base_url, server.key)
    if (folder / _ADAPTER).is_file():
        return adapted(NAME, served_name(folder), str(folder), server.base_url, server.key)
    return OpenAIChat(NAME, served_name(folder), server.base_url, server.key)


def is_there(server: Server) -> bool:
    """Say whether who runs the weights answers at all; this process does."""
    if server.kind == "process":
        return True
    from atra.llm.connection import answers

    return answers(server.base_url)


def served_name(folder: Path) -> str:
    """Return by which name vLLM knows a version: `atra-` and the first twelve digits; of another folder, its path."""
    is_version = len(folder.name) == 64 and folder.parent.name == "versions"
    return f"atra-{folder.name[:12]}" if is_version else str(folder)
