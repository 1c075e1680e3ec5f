"""Cutting a text into what one event of a stream carries."""


def cut(text: str, piece: int) -> list[str]:
    """Return the text in pieces of so many characters; no text has no pieces."""
    return [text[at : at + piece] for at in range(0, len(text), piece)]
