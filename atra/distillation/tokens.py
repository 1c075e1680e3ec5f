"""How long a text is in tokens: counted by a tokenizer's file, or estimated where none is named."""

import re
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from atra.core.errors import MissingPart

_PIECE = re.compile(r"\w{1,6}|[^\w\s]")


class Tokens(Protocol):
    """Counts tokens."""

    @property
    def identity(self) -> str:
        """What counts, so that a data set says by which count its rows were chosen."""

    def count(self, text: str) -> int:
        """Return how many tokens the text has."""


class Estimate:
    """Counts runs of up to six letters and each other sign: an estimate, for which no file is needed."""

    identity = "estimate-6"

    def count(self, text: str) -> int:
        """Return about how many tokens the text has."""
        return sum(1 for _ in _PIECE.finditer(text))


class TokenizerFile:
    """Counts by a `tokenizer.json`, as the tokenizers library writes it; read when it is first asked."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @cached_property
    def identity(self) -> str:
        """A digest of the file.

        Raises:
            MissingPart: it cannot be read.
        """
        from hashlib import sha256

        try:
            return f"tokenizer-{sha256(self._path.read_bytes()).hexdigest()[:12]}"
        except OSError as error:
            raise MissingPart(f"the tokenizer {self._path}: {error.strerror}") from error

    def count(self, text: str) -> int:
        """Return how many tokens the text has, without those that open and close it.

        Raises:
            MissingPart: the library or the file is not here, or the file is no tokenizer.
        """
        return len(self._read.encode(text, add_special_tokens=False).ids)

    @cached_property
    def _read(self) -> Any:
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise MissingPart("the package tokenizers (`pip install 'atra[distill]'`)") from error
        try:
            return Tokenizer.from_file(str(self._path))
        except Exception as error:  # the library raises no other
            raise MissingPart(f"the tokenizer {self._path}: {error}") from error
