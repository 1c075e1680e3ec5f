"""The door to a server of one's own that takes adapters while it runs: vLLM with `--enable-lora`.

The adapter's folder must be readable by the server at the same path, and the server allow it
(`VLLM_ALLOW_RUNTIME_LORA_UPDATING=True`). Each version has a name of its own, so that no request under way changes its
weights.
"""

from dataclasses import dataclass
from functools import partial

import openai

from atra.core.errors import MissingPart, ModelRejected
from atra.llm.chat import ChatModel, Listener
from atra.llm.connection import UNREADABLE, Connection, translated
from atra.llm.openai_chat import OpenAIChat, openai_client
from atra.llm.records import Reply, Request

_LOADING_S = 120.0


@dataclass(frozen=True)
class AdaptedModel:
    """An adapter on a server that may not have it yet; see `ChatModel`.

    It is loaded when the server says that it does not know it, be it for the first time or since the server was started
    again.
    """

    door: OpenAIChat
    folder: str

    @property
    def name(self) -> str:
        """The name it is configured under."""
        return self.door.name

    @property
    def provider(self) -> str:
        """What kind of door it is."""
        return self.door.provider

    @property
    def model(self) -> str:
        """The adapter's name on the server."""
        return self.door.model

    def reply(self, request: Request, *, listener: Listener | None = None, attempts: int = 3) -> Reply:
        """Answer the conversation; see `ChatModel.reply`.

        Raises:
            MissingPart: the server takes no adapters, or not this one.
        """
        ask = partial(self.door.reply, request, listener=listener, attempts=attempts)
        try:
            return ask()
        except ModelRejected as error:
            if "does not exist" not in str(error):
                raise
        self._load()
        return ask()

    def _load(self) -> None:
        told = {"lora_name": self.door.model, "lora_path": self.folder}
        with Connection(key=self.door.key, timeout_s=_LOADING_S, streamed=False) as connection:
            try:
                openai_client(connection, self.door.base_url, 1).post("/load_lora_adapter", body=told, cast_to=str)
            except openai.NotFoundError as error:
                why = "takes no adapters while it runs (--enable-lora, VLLM_ALLOW_RUNTIME_LORA_UPDATING=True)"
                raise MissingPart(f"an adapter of {self.name}: the server at {self.door.base_url} {why}") from error
            except (openai.OpenAIError, *UNREADABLE) as error:
                said = translated(error, self.name, connection)
                if "already been loaded" in str(said):  # somebody else was first
                    return
                if isinstance(said, ModelRejected):
                    raise MissingPart(f"the adapter {self.folder}: {said.args[1]}") from error
                raise said from error


def adapted(name: str, adapter: str, folder: str, base_url: str, key: str) -> ChatModel:
    """Return the model that this adapter, on a server at this address, makes."""
    return AdaptedModel(OpenAIChat(name, adapter, base_url, key), folder)
