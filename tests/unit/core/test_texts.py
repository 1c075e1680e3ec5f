"""Files as text and back: whatever the file declares, an unchanged text gives the same bytes."""

import pytest

from atra.core.texts import decode, encode

FILES = {
    "utf-8": "x = 'é'\n".encode(),
    "byte order mark": b"\xef\xbb\xbfx = 1\n",
    "latin-1": "# -*- coding: latin-1 -*-\nx = 'é'\n".encode("latin-1"),
    "crlf": b"x = 1\r\ny = 2\r\n",
    "old mac": b"x = 1\ry = 2\r",
    "empty": b"",
}


@pytest.mark.parametrize("data", FILES.values(), ids=FILES.keys())
def test_text_goes_back_to_the_same_bytes(data: bytes):
    """Encoding, byte order mark and line ends are kept."""
    assert encode(decode(data), data) == data


@pytest.mark.parametrize("data", [b"# coding: nonsense\n", b"x = '\xe9'\n"], ids=["unknown encoding", "not utf-8"])
def test_what_is_no_text_is_refused(data: bytes):
    """A wrong declaration and wrong bytes are errors."""
    with pytest.raises(ValueError):
        decode(data)
