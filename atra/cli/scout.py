"""`atra scout` and `atra trends`: which feeds are followed, what they brought, and what is talked of more than ever."""

import sys
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from atra.cli.console import age, err, out, plain, print_json, table
from atra.cli.session import with_database
from atra.core.errors import BadInput
from atra.core.records import to_json
from atra.scout.addresses import to_follow
from atra.scout.outlines import DEFAULT, Listed, Outline, read_opml, write_opml
from atra.scout.records import Article, Feed
from atra.scout.trends import Trend, sparkline, trends
from atra.storage.scout import ScoutStore

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_MOST_MENTIONS_DAYS = 90
_HURRY_S = 600.0  # feeds that were polled within so long are let alone by `atra scout run`

commands = typer.Typer(
    name="scout", help="Feeds of news: which are followed, and what they brought.", no_args_is_help=True
)
feeds = typer.Typer(name="feeds", help="The feeds that are followed.", no_args_is_help=True)
commands.add_typer(feeds)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(commands)
    app.command("trends")(show_trends)


@feeds.command("add")
def add(
    addresses: Annotated[list[str], typer.Argument(help="Addresses of feeds, or of pages that name one.")],
    unseen: Annotated[bool, typer.Option("--unseen", help="Follow them without looking what is there.")] = False,
    as_json: Json = False,
) -> None:
    """Follow feeds; of a page the first feed that it names."""
    wanted = [to_follow(address) for address in addresses]
    told: list[dict[str, Any]] = []
    with with_database() as wired:
        for address in wanted:
            found, title, why = (address, "", "") if unseen else _looked(address)
            if why:
                told.append({"address": address, "followed": False, "why": why})
                continue
            feed, new = wired.scout.add(found, title)
            told.append({"address": feed.address, "followed": True, "new": new, "feed": feed.id, "title": feed.title})
    if as_json:
        print_json(told)
    for one in () if as_json else told:
        if one["followed"]:
            state = "followed from now on" if one["new"] else "followed already"
            out.print(f"feed [bold]{one['feed']}[/] {plain(one['title'] or one['address'])}: {state}", soft_wrap=True)
        else:
            err.print(f"[red]error:[/] {plain(one['address'])}: {plain(one['why'])}", soft_wrap=True)
    raise typer.Exit(0 if all(one["followed"] for one in told) else 1)


@feeds.command("list")
def show_feeds(as_json: Json = False) -> None:
    """List the feeds with how they are getting on."""
    with with_database() as wired:
        found, counts = wired.scout.feeds(), wired.scout.counts()
    if as_json:
        print_json([{**to_json(feed), "articles": counts.get(feed.id, 0)} for feed in found])
        return
    if not found:
        out.print("No feed is followed. `atra scout feeds import --default` follows well-known ones.")
        return
    rows = table("feed", "title", "articles", "polled", "next", "state")
    for feed in found:
        state = plain(f"{feed.state}: {feed.reason}" if feed.reason else feed.state)
        due = _in(feed) if feed.state == "active" else "-"
        title = plain(feed.title or feed.address)
        rows.add_row(str(feed.id), title, str(counts.get(feed.id, 0)), age(feed.polled_at), due, state)
    out.print(rows)


@feeds.command("remove")
def remove(
    feed_ids: Annotated[list[int], typer.Argument(metavar="FEED...", help="Their numbers.")], as_json: Json = False
) -> None:
    """Forget feeds, with their articles."""
    with with_database() as wired:
        gone = [(one, wired.scout.remove(one)) for one in feed_ids]
    unknown = [one for one, feed in gone if feed is None]
    if as_json:
        print_json({"removed": [feed.address for _, feed in gone if feed], "unknown": unknown})
    for _, feed in () if as_json else gone:
        if feed:
            out.print(f"{plain(feed.title or feed.address)} is followed no more.", soft_wrap=True)
    if unknown:
        raise BadInput(f"there is no feed {', '.join(map(str, unknown))}; `atra scout feeds list` names them")


@feeds.command("import")
def import_feeds(
    file: Annotated[Path | None, typer.Argument(help="An OPML file; - for standard input.")] = None,
    default: Annotated[bool, typer.Option("--default", help="Well-known feeds on AI and technology.")] = False,
    as_json: Json = False,
) -> None:
    """Follow the feeds of an OPML list; nothing is fetched now."""
    if (file is None) != default:
        raise BadInput("give either an OPML file or --default")
    listed: Listed = read_opml(DEFAULT.read_bytes() if file is None else _bytes(file))
    with with_database() as wired:
        new = sum(wired.scout.add(one.address, one.title)[1] for one in listed.feeds)
    if as_json:
        print_json({"new": new, "known": len(listed.feeds) - new, "refused": list(listed.refused)})
        return
    for why in listed.refused:
        err.print(f"[yellow]warning:[/] left out: {plain(why)}", soft_wrap=True)
    out.print(
        f"{_many(new, 'feed')} followed from now on, {len(listed.feeds) - new} followed already; beat polls them."
    )


@feeds.command("export")
def export_feeds() -> None:
    """Print the feeds as an OPML list; retired ones are left out."""
    with with_database() as wired:
        found = wired.scout.feeds()
    sys.stdout.write(write_opml(Outline(one.address, one.title) for one in found if one.state == "active"))


@commands.command("run")
def run(as_json: Json = False) -> None:
    """Poll now what was not polled in the last ten minutes; what a server asked for stays."""
    from workers.polling import Polled, poll  # the application is made from the wiring, which is set up by now

    told: list[Polled] = []
    with with_database() as wired:
        wired.scout.hurry(_HURRY_S)
        with nullcontext() if as_json else err.status("polling") as shown:

            def tell(polled: Polled) -> None:
                told.append(polled)
                if shown is not None:
                    shown.update(f"polling: {len(told)} feeds, {sum(one.new or 0 for one in told)} new articles")

            poll(wired, over=lambda: False, told=tell)
    new = sum(one.new or 0 for one in told)
    faults = [(one.feed, one.fault) for one in told if one.fault]
    if as_json:
        why = [{"feed": feed.id, "address": feed.address, "why": fault} for feed, fault in faults]
        print_json({"polled": len(told), "new": new, "faults": why})
        return
    for feed, fault in faults:
        out.print(f"[yellow]{plain(feed.title or feed.address)}[/]: {plain(fault)}", soft_wrap=True)
    out.print(f"{_many(len(told), 'feed')} polled, {_many(new, 'new article')}." if told else "No feed was due.")


@commands.command("search")
def search(
    words: Annotated[
        list[str] | None, typer.Argument(help="Words to look for; the newest articles without any.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
    as_json: Json = False,
) -> None:
    """List articles that speak of these words, the best match first."""
    with with_database() as wired:
        found = wired.scout.search(words, limit) if words else wired.scout.recent(limit)
    if as_json:
        print_json([to_json(one) for one in found])
        return
    if not found:
        out.print("No article speaks of that." if words else "No article is kept.")
        return
    for one in found:
        _print_article(one)


def show_trends(
    days: Annotated[int, typer.Option(min=2, max=_MOST_MENTIONS_DAYS, help="The length of the window.")] = 30,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 20,
    least: Annotated[int, typer.Option(min=2, help="Articles below which a subject is none.")] = 3,
    as_json: Json = False,
) -> None:
    """Show what is talked of more than usual, with the articles behind it."""
    with with_database() as wired:
        found = hottest(wired.scout, days=days, most=limit, least=least)
        named = {int(article) for one in found for article in one.articles[:3]}
        known = wired.scout.articles(named)
    if as_json:
        print_json([_trend(one, known) for one in found])
        return
    if not found:
        out.print("Nothing is talked of more than usual. `atra scout run` polls the feeds now.")
        return
    widest = min(28, max(len(one.subject) for one in found))
    out.print(f"[dim]{'subject':{widest}}  {f'{days} days':{days + 2}}  articles  since     heat[/]", soft_wrap=True)
    for one in found:
        subject = plain(f"{one.subject[:widest]:{widest}}")
        since = f"{one.since:%d %b}{' ↑' if one.rising else '  '}"
        line = f"{subject}  │{sparkline(one.counts)}│  {sum(one.counts):8}  {since}  {one.score:4.1f}"
        out.print(line, soft_wrap=True)
        for article in one.articles[:2]:
            if behind := known.get(int(article)):
                out.print(f"  [dim]{plain(behind.title[:100])}  {plain(behind.address)}[/]", soft_wrap=True)


def hottest(store: ScoutStore, *, days: int, most: int, least: int = 3) -> list[Trend]:
    """Return the hottest subjects of so many days, by the database's clock."""
    now = store.now()
    start = (now - timedelta(days=days - 1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return trends(store.mentions(start), now.date(), days=days, most=most, least=least)


def _trend(one: Trend, known: dict[int, Article]) -> dict[str, Any]:
    behind = (known.get(int(article)) for article in one.articles[:3])
    articles = [{"id": a.id, "title": a.title, "address": a.address, "feed": a.feed} for a in behind if a]
    return {**to_json(one), "articles": list(map(int, one.articles)), "newest": articles}


def _looked(address: str) -> tuple[str, str, str]:
    """Fetch an address; return the feed's address and title, or why there is none."""
    from atra.scout.discovery import discover
    from atra.scout.fetching import fetch
    from atra.scout.reader import reading
    from atra.scout.records import Document
    from atra.wiring import wiring
    from workers.polling import manners_of

    manners = manners_of(wiring().settings.scout)
    with reading(1) as readers:
        asked = address
        for hops in range(2):
            came = fetch(Feed(0, asked), manners)
            if came.fault or came.status != 200:
                return "", "", came.fault or f"the server answered {came.status}"
            read = readers.read(came.body, came.headers, came.address)
            if isinstance(read, Document):
                return came.permanent or asked, read.title, ""
            named = discover(came.body, came.address) if not hops else []
            if not named:
                return "", "", f"{read.why}, and it names none"
            asked = named[0][0]
    return "", "", "it is no feed, and what it names is none either"


def _print_article(one: Article) -> None:
    at = f"{one.published_at:%Y-%m-%d}" if one.published_at else "no date"
    out.print(f"[bold]{plain(one.title)}[/]  [dim]{at} · {plain(one.feed)}[/]", soft_wrap=True)
    if one.text:
        out.print(f"  {plain(one.text[:240])}", soft_wrap=True)
    out.print(f"  [dim]{plain(one.address)}[/]", soft_wrap=True)


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _in(feed: Feed) -> str:
    if feed.next_at is None or feed.polled_at is None:
        return "now"
    minutes = int((feed.next_at - feed.polled_at).total_seconds() // 60)
    return f"{minutes} min after" if minutes < 120 else f"{minutes // 60} h after"


def _bytes(file: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(file) == "-" else file.expanduser().read_bytes()
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror or error}") from error
