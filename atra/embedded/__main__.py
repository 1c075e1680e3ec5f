"""`python -m atra.embedded HOME`: the keeper of that home, as a process of its own."""

import os
import sys
from pathlib import Path

from atra.core.errors import AtraError
from atra.embedded.keeper import Home, serve


def main(home: Path) -> int:
    """Serve this home, and return the exit code; the reason of a failure is the last line printed."""
    os.umask(0o077)
    os.chdir(home)
    try:
        return serve(Home(home))
    except (AtraError, OSError) as error:
        print(error, flush=True)
        return 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
