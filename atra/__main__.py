"""`python -m atra` is the `atra` command."""

from atra.cli.main import main

main()
