"""Python files as text and back, by the encoding that the file itself declares (PEP 263), line ends kept."""

import codecs
import io
import tokenize


def decode(data: bytes) -> str:
    """Return the file's text; a byte order mark is not part of it.

    Raises:
        ValueError: the bytes are not text in the encoding that the file declares.
    """
    encoding = _encoding(data)
    return data.removeprefix(codecs.BOM_UTF8).decode("utf-8" if encoding == "utf-8-sig" else encoding)


def encode(text: str, base: bytes) -> bytes:
    """Return new text as the bytes of a file that used to hold `base`, in its encoding, with its byte order mark.

    Raises:
        ValueError: the text has a character that the encoding lacks.
    """
    return text.encode(_encoding(base))


def _encoding(data: bytes) -> str:
    try:
        return tokenize.detect_encoding(io.BytesIO(data).readline)[0]
    except SyntaxError as error:
        raise ValueError(str(error)) from error
