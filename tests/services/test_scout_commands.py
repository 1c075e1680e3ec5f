"""`atra scout` and `atra trends` as a person uses them, with feeds on the loopback."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from atra.cli.main import run
from atra.core.settings import Settings, load_settings
from atra.scout.records import Item
from atra.wiring import Wiring, use
from tests.feeding import RSS, FeedServer, Reply, entry, rss

HOSTILE = "[red]Ignore[/] \x1b[2J all \u202e rules"
PAGE = b'<html><head><link rel="alternate" type="application/rss+xml" href="/feed"></head></html>'


@pytest.fixture
def wired(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Wiring]:
    assert settings.database_url is not None
    assert settings.redis_url is not None
    (tmp_path / "atra.toml").write_text('[scout]\nallow_private = ["127.0.0.0/8"]\ngap_s = 0\n')
    monkeypatch.setenv("ATRA_CONFIG", str(tmp_path / "atra.toml"))
    monkeypatch.setenv("ATRA_DATABASE_URL", settings.database_url.get_secret_value())
    monkeypatch.setenv("ATRA_REDIS_URL", settings.redis_url.get_secret_value())
    monkeypatch.setenv("ATRA_HOME", str(settings.home))
    load_settings.cache_clear()
    yield use(settings)
    load_settings.cache_clear()


@pytest.fixture
def server() -> Iterator[FeedServer]:
    feed = Reply(rss(entry(1, "Kestrel reads feeds."), entry(2, HOSTILE)), headers={"content-type": RSS})
    with FeedServer({"/feed": feed, "/page": Reply(PAGE), "/none": Reply(b"<html></html>")}) as running:
        yield running


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run(list(arguments))
    told = capsys.readouterr()
    return code, told.out, told.err


def as_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    return json.loads(said(capsys, *arguments, "--json")[1])


@pytest.mark.usefixtures("wired")
def test_a_page_s_feed_is_followed_polled_and_searched(server: FeedServer, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "scout", "feeds", "add", server.url("/page"))
    assert (code, "followed from now on" in out) == (0, True)
    [again] = as_json(capsys, "scout", "feeds", "add", server.url("/feed"))
    assert (again["new"], again["title"]) == (False, "A feed")
    assert as_json(capsys, "scout", "run") == {"polled": 1, "new": 2, "faults": []}
    assert as_json(capsys, "scout", "run")["polled"] == 0  # it was polled just now
    [feed] = as_json(capsys, "scout", "feeds", "list")
    assert (feed["articles"], feed["state"]) == (2, "active")
    [found] = as_json(capsys, "scout", "search", "kestrel")
    assert found["address"] == "https://site.example/1"
    code, out, _ = said(capsys, "scout", "search", "ignore")
    assert "[red]Ignore[/]" in out
    assert not set(out) & {"\x1b", "\u202e"}
    assert "A feed is followed no more." in said(capsys, "scout", "feeds", "remove", str(feed["id"]))[1]
    assert "No feed is followed" in said(capsys, "scout", "feeds", "list")[1]


@pytest.mark.usefixtures("wired")
def test_what_is_no_feed_is_said_and_the_others_are_followed(
    server: FeedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, told = said(
        capsys, "scout", "feeds", "add", server.url("/none"), server.url("/gone"), server.url("/feed")
    )
    assert code == 1
    assert out.count("followed from now on") == 1
    assert "names none" in told
    assert "404" in told


@pytest.mark.usefixtures("wired")
def test_a_list_goes_out_as_it_came_in(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert as_json(capsys, "scout", "feeds", "import", "--default")["new"] > 20
    assert as_json(capsys, "scout", "feeds", "import", "--default")["new"] == 0
    code, out, _ = said(capsys, "scout", "feeds", "export")
    (tmp_path / "out.opml").write_text(out)
    told = as_json(capsys, "scout", "feeds", "import", str(tmp_path / "out.opml"))
    assert (code, told["new"], told["refused"]) == (0, 0, [])
    assert told["known"] > 20


@pytest.mark.usefixtures("wired")
@pytest.mark.parametrize(
    "arguments",
    [
        ("scout", "feeds", "add", "file:///etc/passwd"),
        ("scout", "feeds", "add", "http://me:secret@site.example/"),
        ("scout", "feeds", "import"),
        ("scout", "feeds", "import", "not-there.opml"),
        ("scout", "feeds", "remove", "99"),
        ("trends", "--days", "1"),
    ],
)
def test_bad_input_is_a_sentence(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    code, out, told = said(capsys, *arguments)
    assert code == 2
    assert told
    assert "Traceback" not in out + told
    assert "secret" not in out + told


def test_what_is_talked_of_more_than_usual_is_shown_with_its_articles(
    wired: Wiring, capsys: pytest.CaptureFixture[str]
) -> None:
    now = datetime.now(UTC)
    feed, _ = wired.scout.add("https://news.example/feed", "The News")
    host = wired.scout.claim()
    assert host is not None
    told = []
    for day in range(20):
        for number in range(4):
            hot = day < 3 and number < 3
            subjects = ("Kestrel 4.2",) if hot else ("Weather",)
            at = now - timedelta(days=day, minutes=number)
            address = f"https://news.example/{day}/{number}"
            told.append(Item(address, address, f"{subjects[0]} {day}.{number}", "", at, subjects))
    wired.scout.settle(host, feed, 900, told, well=True)
    first, *_ = as_json(capsys, "trends")
    assert (first["subject"], first["rising"], sum(first["counts"])) == ("Kestrel 4.2", True, 9)
    assert first["newest"][0]["address"].startswith("https://news.example/0/")
    code, out, _ = said(capsys, "trends")
    assert code == 0
    assert "Kestrel 4.2" in out
    assert "█" in out
    assert "https://news.example/0/" in out
