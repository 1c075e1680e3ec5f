"""From a name in the settings to a model that answers."""

from dataclasses import dataclass, replace
from importlib.util import find_spec

from atra.core.errors import BadInput, MissingPart
from atra.core.settings import ModelSettings
from atra.llm.chat import ChatModel, Listener
from atra.llm.records import Reply, Request


@dataclass(frozen=True)
class ConfiguredModel:
    """A model with the limits of its settings: its effort where the request names none, its ceiling, its time."""

    door: ChatModel
    settings: ModelSettings

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
        """The model as the provider names it."""
        return self.door.model

    def reply(self, request: Request, *, listener: Listener | None = None, attempts: int = 3) -> Reply:
        """Answer the conversation within the limits; see `ChatModel.reply`."""
        limited = replace(
            request,
            effort=request.effort or self.settings.effort,
            max_output_tokens=min(request.max_output_tokens, self.settings.max_output_tokens),
            timeout_s=min(request.timeout_s, self.settings.timeout_s),
        )
        return self.door.reply(limited, listener=listener, attempts=attempts)


def open_model(name: str, settings: ModelSettings) -> ChatModel:
    """Return the model that these settings describe. Nothing is sent or loaded before it is asked.

    Raises:
        BadInput: its address is missing, or is none.
        MissingPart: its provider's library is not installed.
    """
    try:
        return ConfiguredModel(_door(name, settings), settings)
    except ImportError as error:
        raise _missing(f"the package {error.name}", "models") from error


def _missing(what: str, extra: str) -> MissingPart:
    return MissingPart(f"{what} (`pip install 'atra[{extra}]'`; in a checkout `pip install -e '.[{extra}]'`)")


def _door(name: str, settings: ModelSettings) -> ChatModel:
    # Imported where it is asked for: an SDK takes half a second to load, and the others may not be installed.
    key = settings.api_key.get_secret_value() if settings.api_key else ""
    if settings.base_url is not None and not settings.base_url.startswith(("http://", "https://")):
        raise BadInput(f"models.{name}: base_url must begin with http:// or https://")
    match settings.provider:
        case "openai":
            from atra.llm.openai_responses import OPENAI, OpenAIResponses

            return OpenAIResponses(name, settings.model, key, settings.base_url or OPENAI)
        case "anthropic":
            from atra.llm.anthropic_messages import ANTHROPIC, AnthropicMessages

            return AnthropicMessages(name, settings.model, key, settings.base_url or ANTHROPIC)
        case "openai-compatible":
            from atra.llm.openai_chat import OpenAIChat

            if not settings.base_url:
                raise BadInput(f"models.{name}: an openai-compatible model needs its base_url")
            return OpenAIChat(name, settings.model, settings.base_url, key)
        case "local":
            from atra.llm.local import LocalModel

            if not (find_spec("torch") and find_spec("transformers")):  # loading them takes seconds
                raise _missing("torch and transformers", "distill")
            return LocalModel(name, settings.model)
