"""`atra cache`: what is kept, what it saved, how often it was wrong, and a way to be rid of one bad answer."""

from typing import Annotated, Any

import typer

from atra.cli.console import age, err, out, plain, print_json, table
from atra.cli.session import with_database
from atra.core.errors import BadInput, UnknownEntry
from atra.core.records import to_json
from atra.semantic_cache.bound import threshold_of
from atra.semantic_cache.cache import Stats, facts
from atra.semantic_cache.records import Entry, Scope

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_LONGEST = 100

commands = typer.Typer(name="cache", help="What answers are kept, and what they are worth.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(commands)


@commands.command("stats")
def stats(
    days: Annotated[float, typer.Option(min=0.01, max=30, help="How far back to look.")] = 30.0,
    as_json: Json = False,
) -> None:
    """Show what the cache did, and where the promise about its errors stands."""
    with with_database() as wired:
        found = wired.cache.stats(days)
        settings = wired.settings.cache
    if as_json:
        print_json(
            {
                **facts(found),
                "max_error": settings.max_error,
                "standing": to_json(found.standing),
                "threshold": threshold_of(found.standing, settings.max_error),
            }
        )
        return
    _print_stats(found, days, settings.max_error)


@commands.command("search")
def search(
    words: Annotated[list[str] | None, typer.Argument(help="Words of the question; all entries without any.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
    as_json: Json = False,
) -> None:
    """List entries that may be served, newest first."""
    with with_database() as wired:
        found = wired.cache_store.entries(" ".join(words or ()), limit)
    if as_json:
        print_json([_facts(entry, scope) for entry, scope in found])
        return
    if not found:
        out.print("Nothing is kept of that." if words else "Nothing is kept.")
        return
    rows = table("entry", "question", "scope", "hits", "age", "saved by a hit")
    for entry, scope in found:
        mark = " [dim](predicted)[/]" if entry.predicted else ""
        asked = plain(_cut(entry.question)) + mark
        money = f"${entry.cost_usd:.4f}"
        rows.add_row(str(entry.id), asked, plain(_told(scope)), str(entry.hits), age(entry.created_at), money)
    out.print(rows)


@commands.command("show")
def show(entry_id: Annotated[int, typer.Argument(metavar="ENTRY")], as_json: Json = False) -> None:
    """Show one entry whole."""
    with with_database() as wired:
        found = wired.cache_store.entry(entry_id)
    if found is None:
        raise UnknownEntry(entry_id)
    entry, scope = found
    if as_json:
        print_json(_facts(entry, scope))
        return
    state = entry.state if entry.state == "live" else f"gone: {plain(entry.why)}"
    out.print(f"[bold]{plain(entry.question)}[/]", soft_wrap=True)
    out.print(plain(entry.answer), soft_wrap=True)
    out.print()
    for name, said in (
        ("state", state),
        ("scope", plain(_told(scope))),
        ("made", f"{entry.created_at:%Y-%m-%d %H:%M} UTC, {'predicted' if entry.predicted else 'for who asked'}"),
        ("expires", f"{entry.expires_at:%Y-%m-%d %H:%M} UTC"),
        ("hits", f"{entry.hits}; of other words {entry.right} judged right, {entry.wrong} wrong"),
        ("cost", f"${entry.cost_usd:.4f}"),
        ("sources", plain(", ".join(entry.sources)) or "none"),
        ("topics", plain(", ".join(entry.topics)) or "none"),
    ):
        out.print(f"[dim]{name:8}[/] {said}", soft_wrap=True)


@commands.command("invalidate")
def invalidate(
    entries: Annotated[list[int] | None, typer.Argument(metavar="[ENTRY]...")] = None,
    topic: Annotated[list[str] | None, typer.Option(help="Every entry with this topic.")] = None,
    source: Annotated[list[str] | None, typer.Option(help="Every entry drawn from this source.")] = None,
    tenant: Annotated[
        str | None, typer.Option(help="Every entry of the scope with this tenant and nothing else.")
    ] = None,
    why: Annotated[str, typer.Option(help="Kept with the entries.")] = "invalidated by hand",
    as_json: Json = False,
) -> None:
    """Let entries be served no more: by their ids, a topic, a source or a tenant."""
    if not (entries or topic or source or tenant is not None):
        raise BadInput("say which entries: their ids, --topic, --source or --tenant")
    with with_database() as wired:
        count = wired.cache.invalidate(
            ids=entries or (),
            topics=topic or (),
            sources=source or (),
            scope=None if tenant is None else Scope(tenant),
            why=why,
        )
    if as_json:
        print_json({"invalidated": count})
    else:
        out.print(f"{count} {'entry is' if count == 1 else 'entries are'} served no more.")
    raise typer.Exit(0 if count else 1)


@commands.command("judge")
def judge(
    lookup: Annotated[int, typer.Argument(metavar="HIT", help="The hit's id, as `atra ask --json` gives it.")],
    right: Annotated[bool, typer.Option("--right/--wrong", help="Whether the answer was right for what was asked.")],
    as_json: Json = False,
) -> None:
    """Say whether a hit was right; a wrong one counts against the promised error."""
    with with_database() as wired:
        entry = wired.cache.judge(lookup, right, "person")
    if entry is None:
        raise BadInput(f"there is no hit {lookup}, or it was judged before")
    if as_json:
        print_json({"entry": entry.id, "right": right, "state": entry.state})
        return
    gone = " It is served no more." if entry.state == "gone" else ""
    out.print(f"Noted: entry {entry.id} was {'right' if right else 'wrong'} for what was asked.{gone}")


def _print_stats(found: Stats, days: float, max_error: float) -> None:
    counts, standing = found.counts, found.standing
    said = facts(found)
    rate = said["hit_rate"]
    tiers = ", ".join(f"{counts.looked_up.get(tier, 0)} {tier}" for tier in ("exact", "semantic", "miss"))
    for name, text in (
        ("asked", f"{sum(counts.looked_up.values())} times in {days:g} days: {tiers}"),
        ("hits", "none" if rate is None else f"{rate:.1%}, which saved ${counts.saved_usd:.4f}"),
        ("entries", f"{counts.live}, {counts.predicted} of them predicted"),
        ("judged", f"{counts.judged} hits, {counts.wrong} of them wrong"),
        ("promise", f"at most {max_error:.1%} of the hits in other words are wrong"),
        ("standing", f"{plain(str(standing))}; served from {threshold_of(standing, max_error):.2f} on"),
        ("meaning", plain(found.embedder or found.without)),
    ):
        out.print(f"[dim]{name:9}[/] {text}", soft_wrap=True)
    if found.without:
        err.print(f"[yellow]warning:[/] only questions in the same words are found: {plain(found.without)}")


def _facts(entry: Entry, scope: Scope) -> dict[str, Any]:
    return {**to_json(entry), "scope": to_json(scope)}


def _told(scope: Scope) -> str:
    parts = (scope.tenant, scope.model, scope.system[:12], scope.language)
    return " · ".join(part for part in parts if part) or "anyone"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
