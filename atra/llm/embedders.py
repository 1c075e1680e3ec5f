"""Settings become what gives texts their vectors."""

import socket
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from atra.core.errors import BadInput, MissingPart
from atra.core.settings import EmbeddingSettings
from atra.llm.embedding import Embedder
from atra.llm.minilm import MiniLM


def open_embedder(settings: EmbeddingSettings) -> Embedder:
    """Return the embedder that these settings describe. Nothing is sent or loaded before it is asked.

    Raises:
        BadInput: a model or an address is missing, or the address is not of one's own network.
        MissingPart: the provider's library is not installed.
    """
    if settings.provider == "minilm":
        return MiniLM()
    if not settings.model:
        raise BadInput(f"[embedding]: {settings.provider} needs a model")
    if settings.provider == "sentence-transformers":
        from atra.llm.sentence import SentenceEmbedder

        return SentenceEmbedder(Path(settings.model).expanduser())
    if not settings.base_url or not settings.base_url.startswith(("http://", "https://")):
        raise BadInput("[embedding]: an openai-compatible server needs its base_url")
    if not _of_ones_own(settings.base_url):
        raise BadInput("[embedding]: base_url is no private address; calls of embeddings stand in no budget")
    try:
        from atra.llm.embeddings_api import ServerEmbedder
    except ImportError as error:
        raise MissingPart(f"the package {error.name} (`pip install 'atra[models]'`)") from error
    key = settings.api_key.get_secret_value() if settings.api_key else ""
    return ServerEmbedder(
        settings.model, settings.base_url, key=key, revision=settings.revision, timeout_s=settings.timeout_s
    )


def _of_ones_own(base_url: str) -> bool:
    host = urlsplit(base_url).hostname or ""
    try:
        found = {info[4][0] for info in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return bool(found) and all(ip_address(str(one).partition("%")[0]).is_private for one in found)
