"""The `atra` command, and `python -m atra`: whoever interrupts it while it still loads reads no traceback."""

import sys


def main() -> None:
    """Load the command line, run it, and leave with its exit code."""
    try:
        from atra.cli.main import main as run_command
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)
    run_command()


if __name__ == "__main__":
    main()
