"""Runs inside a box: tries candidates by forking after collection and running pytest's own protocol in the child.

    python forked.py     reads `request.json`: {"tests", "module", "path", "sources", "limit_s"}

This is what one would write with pytest's own means; `candidates_per_second` compares ATRA's workshop with it.
Writes `{"plausible", "seconds"}` per candidate, one per line, to the descriptor that ATRA_RESULT_FD names.
"""

import json
import os
import signal
import sys
import time
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol


class Trials:
    """A plugin that tries the candidates where pytest would run the tests."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.request = request

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Try every candidate in a child of its own."""
        order = {name: place for place, name in enumerate(self.request["tests"])}
        items = sorted(session.items, key=lambda item: order[item.nodeid])
        with os.fdopen(int(os.environ["ATRA_RESULT_FD"]), "w") as out:
            for source in self.request["sources"]:
                began = time.perf_counter()
                plausible = self._try(source, items)
                print(
                    json.dumps({"plausible": plausible, "seconds": time.perf_counter() - began}), file=out, flush=True
                )
        return True

    def _try(self, source: str, items: Sequence[pytest.Item]) -> bool:
        child = os.fork()
        if child == 0:
            signal.setitimer(signal.ITIMER_PROF, self.request["limit_s"])
            os._exit(0 if self._passes(source, items) else 1)
        return os.waitpid(child, 0)[1] == 0

    def _passes(self, source: str, items: Sequence[pytest.Item]) -> bool:
        try:
            put_in(sys.modules[self.request["module"]], source, self.request["path"])
        except Exception:  # noqa: BLE001 - a candidate that cannot be imported fails, however it does
            return False
        for item, following in zip(items, [*items[1:], None], strict=True):
            if any(report.failed for report in runtestprotocol(item, log=False, nextitem=following)):
                return False
        return True


def put_in(module: types.ModuleType, source: str, path: str) -> None:
    """Run the source in the module, and give other modules that hold its old functions the new ones."""
    before = dict(vars(module))
    exec(compile(source, path, "exec"), vars(module))
    renewed = {id(old): vars(module)[name] for name, old in before.items() if isinstance(old, types.FunctionType)}
    for other in list(sys.modules.values()):
        for name, value in list(vars(other).items()) if isinstance(other, types.ModuleType) else []:
            if id(value) in renewed and other is not module:
                setattr(other, name, renewed[id(value)])


def main() -> None:
    """Collect the tests and try the candidates."""
    request = json.loads(Path("request.json").read_text())
    pytest.main(["-q", "-p", "no:cacheprovider", *request["tests"]], plugins=[Trials(request)])


if __name__ == "__main__":
    main()
