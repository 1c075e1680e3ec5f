"""Which reports are the same failure: same type, same way through the application's own code, same kind of message."""

import hashlib
import re

from atra.self_repair.records import Report, ReportFrame

_FOREIGN = re.compile(
    r"(?:^|[\\/])(?:site-packages|dist-packages|\.?venv|\.tox|\.nox)[\\/]|[\\/]lib(?:64)?[\\/]python\d|^<|[\\/]python\d[\d.]*\.zip[\\/]"
)
_VOLATILE = (
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE), "<uuid>"),
    (re.compile(r"\b0x[0-9a-f]+\b", re.IGNORECASE), "<hex>"),
    (re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""), "<text>"),
    (re.compile(r"(?:[A-Za-z]:)?(?:[\\/][\w.@+-]+){2,}[\\/]?"), "<path>"),
    (re.compile(r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{8,}\b", re.IGNORECASE), "<hex>"),
    (re.compile(r"[-+]?\d+(?:[.,:]\d+)*(?:e[-+]?\d+)?", re.IGNORECASE), "<number>"),
)
_MESSAGE_SIZE = 500  # a message may hold a whole document; its beginning says what kind it is


def fingerprint(report: Report) -> str:
    """Return 64 hexadecimal digits that reports of one failure share.

    Line numbers do not count, so an edit elsewhere in a file leaves the failure the same one; nor does where the
    application is installed. A frame that recurs (recursion) counts once. Frames of libraries and of Python itself do
    not count, unless there are no others: then the innermost one stands for all.
    """
    own = [frame for frame in report.frames if frame.in_app] or list(report.frames[-1:])
    ways = dict.fromkeys(f"{_tail(frame)}:{frame.function}" for frame in own)
    parts = (report.repository, report.error_type, *ways, normalised(report.message))
    whole = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        whole.update(len(data).to_bytes(8, "big") + data)
    return whole.hexdigest()


def normalised(message: str) -> str:
    """Return the message without what differs from one time to the next: numbers, addresses, ids, quotes, paths."""
    text = message[:_MESSAGE_SIZE]
    for pattern, name in _VOLATILE:
        text = pattern.sub(name, text)
    return " ".join(text.split())


def in_application(path: str) -> bool:
    """Return whether a frame's file is the application's own code: no installed package, not Python's own library."""
    return bool(path) and not _FOREIGN.search(path)


def _tail(frame: ReportFrame) -> str:
    """Return the last two parts of the path: enough to tell files apart, the same wherever the code is installed."""
    return "/".join(frame.path.replace("\\", "/").split("/")[-2:])
