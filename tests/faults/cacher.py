"""A process of its own that uses the cache, and dies where a test wants it to.

    python -m tests.faults.cacher URL FOLDER WHAT ARGUMENT

write       puts ARGUMENT entries, named by this process's id
die         puts one entry and is killed between its commit and its way into the index
hold        takes the turn of a question, says so, and never ends
ask         asks one question ARGUMENT times from as many threads; each call that is made leaves a line in FOLDER/calls
"""

import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from atra.semantic_cache import Fresh, Meaning, SemanticCache
from atra.semantic_cache.records import Row
from atra.semantic_cache.view import View
from atra.storage.cache import CacheStore
from atra.storage.database import connect
from tests.meaning import DIM, Near, Words

QUESTION = "how do i restart the worker"


class Dies(View):
    """Is killed instead of taking in what was committed."""

    def note(self, scope: str, row: Row) -> None:
        """Die."""
        os.kill(os.getpid(), signal.SIGKILL)


def main(url: str, folder: str, what: str, argument: str) -> None:
    """Do what is asked."""
    store = CacheStore(connect(url))
    kind = Dies if what == "die" else View
    meaning = Meaning(Words(), lambda one: kind(store, identity=one.identity, dim=DIM, folder=Path(folder)), Near())
    cache = SemanticCache(store, meaning)
    if what == "write":
        for number in range(int(argument)):
            cache.put(f"entry {number} of {os.getpid()}", Fresh(str(os.getpid())))
        print(os.getpid())
    elif what == "die":
        cache.put(QUESTION, Fresh("so"))
    elif what == "hold":
        cache.answer(QUESTION, _never)
    else:
        calls = Path(folder) / "calls"
        with ThreadPoolExecutor(int(argument)) as pool:
            answers = set(
                pool.map(lambda _: cache.answer(QUESTION, lambda: _called(calls)).answer, range(int(argument)))
            )
        print(*answers)


def _never() -> Fresh:
    print("began", flush=True)
    time.sleep(600)
    return Fresh("never")


def _called(calls: Path) -> Fresh:
    with calls.open("a") as file:
        file.write(f"{os.getpid()}\n")
    time.sleep(0.5)
    return Fresh("so")


if __name__ == "__main__":
    main(*sys.argv[1:])
