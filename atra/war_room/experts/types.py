"""The door to mypy: the type errors of files given as texts. No file, configuration or plugin of theirs is read."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from mypy import build
from mypy.errors import CompileError
from mypy.modulefinder import BuildSource
from mypy.options import Options

_FAULT = re.compile(r"^(?P<path>[^:]+):(?P<line>\d+): error: (?P<text>.*)$")

# Errors of these kinds come before the run time error that a test sees; the others say how code is annotated.
_TELLING = re.compile(r"\[(?:attr-defined|name-defined|call-arg|arg-type|operator|index|union-attr|call-overload)\]$")


@dataclass(frozen=True)
class Fault:
    """One type error."""

    path: str
    line: int
    text: str


def faults(sources: Mapping[str, str], modules: Mapping[str, tuple[str, ...]]) -> tuple[Fault, ...]:
    """Return the type errors that may show as errors at run time, in order of path and line.

    Args:
        sources: text by path.
        modules: paths by the dotted name of the module; of several of one name the first is taken.
    """
    given = [BuildSource(paths[0], name, sources[paths[0]]) for name, paths in sorted(modules.items()) if name]
    try:
        said = build.build(given, _options()).errors
    except CompileError as error:
        said = error.messages
    except (Exception, SystemExit):  # noqa: BLE001 - mypy ends the process on what it calls an internal error
        return ()
    found = [match for line in said if (match := _FAULT.match(line)) and _TELLING.search(match["text"])]
    return tuple(Fault(match["path"], int(match["line"]), match["text"]) for match in found)


def _options() -> Options:
    options = Options()
    options.incremental = False
    options.cache_dir = "/dev/null"
    options.check_untyped_defs = True
    options.ignore_missing_imports = True
    options.follow_imports = "skip"
    options.show_traceback = True
    return options
