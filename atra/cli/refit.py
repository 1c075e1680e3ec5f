"""`atra refit`: repairs that were proved here say which templates to try first."""

from typing import Annotated

import typer

from atra.cli.console import out, print_json, table
from atra.cli.session import with_database
from atra.core.records import to_json
from atra.meta_architect.experience import LEAST, Experience, learn
from atra.meta_architect.templates import TEMPLATES

_SHOWN = 12


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("refit")(refit)


def refit(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Learn from verified repairs which templates to try first; what helps no repair is not taken into use."""
    with with_database() as wired:
        found = learn(wired.experience.repairs())
        wired.experience.keep(found)
    if as_json:
        print_json(to_json(found))
    else:
        _print(found)
    raise typer.Exit(0 if found.taken else 1)


def _print(found: Experience) -> None:
    if found.repairs < LEAST:
        out.print(f"{found.repairs} repairs were proved here; {LEAST} are the fewest to learn from.")
        return
    likelier = f"repairs left out of the counting are {2**found.gain:.2f} times as likely by it"
    out.print(
        f"{found.repairs} repairs were proved here; {likelier} ({found.gain:+.2f} bits, error {found.error:.2f})."
    )
    if not found.taken:
        out.print("It is not taken: the shipped shares are in use.")
        return
    out.print("It is taken: repairs that begin from now on go by it.\n")
    whole = sum(one.share for one in TEMPLATES)
    shares = {one.name: one.share / whole for one in TEMPLATES}
    listing = table("template", "repairs", "shipped", "now")
    for name, count in list(found.counts.items())[:_SHOWN]:
        listing.add_row(name, str(count), f"{shares[name]:.1%}", f"{shares[name] * found.factors[name]:.1%}")
    out.print(listing)
