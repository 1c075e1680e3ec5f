"""Beat's part in the cache, and what a person sees of it, on the real database with the real model of meaning."""

import json
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from atra.cli.main import run
from atra.core.errors import ModelRejected
from atra.core.settings import ModelSettings, Settings, load_settings
from atra.llm.minilm import MiniLM
from atra.semantic_cache import Fresh, Hit, Miss, Scope
from atra.storage.database import connect
from atra.wiring import Wiring, use
from tests.wires import Status, Turn, WireServer
from workers.cache import judge, tidy

ASKED = "How do I restart the worker?"
LIKE = "How do I restart the worker"


@pytest.fixture
def wired(settings: Settings) -> Wiring:
    cache = settings.cache.model_copy(update={"judged": 1.0, "max_entries": 100})
    return use(settings.model_copy(update={"cache": cache}))


@pytest.fixture
def shell(wired: Wiring, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The environment in which commands find these services."""
    settings = wired.settings
    assert settings.database_url is not None
    assert settings.redis_url is not None
    monkeypatch.setenv("ATRA_DATABASE_URL", settings.database_url.get_secret_value())
    monkeypatch.setenv("ATRA_REDIS_URL", settings.redis_url.get_secret_value())
    monkeypatch.setenv("ATRA_HOME", str(settings.home))
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


def served(wired: Wiring, asked: str, kept: str, answer: str) -> int:
    """Serve the answer to one question as a hit in other words, and return the look-up's id."""
    entry = wired.cache.put(kept, Fresh(answer))
    return wired.cache_store.looked_up(entry.scope, asked, "semantic", entry, 0.99, 0.99)


def verdict(said: str) -> Turn:
    return Turn(json.dumps({"working": "They differ.", "verdict": said}))


def with_model(wired: Wiring, server: WireServer) -> Wiring:
    model = ModelSettings(
        provider="openai-compatible", model="m", base_url=server.url, api_key=SecretStr("a key of this model"),
        input_usd=1.0, output_usd=1.0,
    )  # fmt: skip
    return use(wired.settings.model_copy(update={"models": {"cheap": model}}))


def test_a_model_judges_what_was_served(wired: Wiring) -> None:
    for number in range(3):
        served(wired, f"asked {number}", f"kept {number}", "so")
    with WireServer([verdict("right"), verdict("wrong"), verdict("cannot say")]) as server:
        wired = with_model(wired, server)
        assert judge() == 2
        assert judge() == 0  # neither what was judged nor what nobody could say is asked again
        assert len(server.requests) == 3
    standing = wired.cache_store.standing()
    assert (standing.judged, standing.wrong) == (2, 1)


@pytest.mark.parametrize(
    ("another", "judged"), [("Send it SIGHUP", 1), ("It was sold in 1987 for nothing", 1), ("", 0)]
)
def test_without_a_model_another_answer_to_the_question_judges(wired: Wiring, another: str, judged: int) -> None:
    served(wired, "how is it restarted", ASKED, "Send it SIGHUP.")
    if another:
        wired.cache.put("how is it restarted", Fresh(another))
    assert judge() == judged
    standing = wired.cache_store.standing()
    assert (standing.judged, standing.wrong) == (judged, int("sold" in another))


def test_a_model_that_does_not_answer_leaves_it_to_another_answer(wired: Wiring) -> None:
    served(wired, "how is it restarted", ASKED, "Send it SIGHUP.")
    wired.cache.put("how is it restarted", Fresh("Send it SIGHUP"))
    with WireServer(lambda body: Status(400)) as server:
        wired = with_model(wired, server)
        assert judge() == 1
    assert wired.cache_store.standing().wrong == 0


def test_hits_wait_for_a_model_that_does_not_answer(wired: Wiring) -> None:
    served(wired, "how is it restarted", ASKED, "Send it SIGHUP.")
    with WireServer([Status(401), verdict("wrong")]) as server:
        wired = with_model(wired, server)
        assert judge() == 0
        assert judge() == 1
    assert wired.cache_store.standing().wrong == 1


def test_two_judges_do_not_ask_the_same(wired: Wiring) -> None:
    served(wired, "how is it restarted", ASKED, "Send it SIGHUP.")
    with WireServer([verdict("right")]) as server:
        wired = with_model(wired, server)
        with wired.cache_store.alone("cache.judge"):
            assert judge() == 0
        assert judge() == 1
        assert len(server.requests) == 1


def test_a_judge_that_ends_makes_way_at_once(wired: Wiring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("atra.storage.cache.closing", nullcontext)  # the server has not yet noticed that it is closed
    with wired.cache_store.alone("cache.judge") as first, wired.cache_store.alone("cache.judge") as second:
        assert (first, second) == (True, False)
    with wired.cache_store.alone("cache.judge") as first:
        assert first


def test_a_question_without_a_vector_costs_the_others_nothing(wired: Wiring, monkeypatch: pytest.MonkeyPatch) -> None:
    def embed(self: MiniLM, texts: Sequence[str]) -> Any:
        if "not this" in texts:
            raise ModelRejected("embedder", "it does not take it", 0)
        return whole(self, texts)

    whole = MiniLM.embed
    monkeypatch.setattr(MiniLM, "embed", embed)
    for number, question in enumerate(("one", "not this", "two")):
        wired.cache_store.put(Scope(), str(number), question, Fresh("so"), 3600.0, "", None)
    tidy()
    assert wired.cache.stats().counts.unembedded == 1


def test_tidying_gives_vectors_to_what_was_kept_without(wired: Wiring) -> None:
    wired.cache_store.put(Scope(), "k", ASKED, Fresh("Send it SIGHUP."), 3600.0, "", None)
    assert wired.cache.stats().counts.unembedded == 1
    assert tidy()["embedded"] == 1
    assert wired.cache.stats().counts.unembedded == 0
    assert tidy() == dict.fromkeys(tidy(), 0)
    hit = wired.cache.lookup(LIKE)
    assert isinstance(hit, Hit)
    assert hit.tier == "semantic"


def test_tidying_fills_the_table_of_pgvector(wired: Wiring) -> None:
    cache = wired.settings.cache.model_copy(update={"backend": "pgvector"})
    wired = use(wired.settings.model_copy(update={"cache": cache}))
    wired.cache_store.put(Scope(), "k", ASKED, Fresh("Send it SIGHUP."), 3600.0, "", None)
    tidy()
    assert isinstance(wired.cache.lookup(LIKE), Hit)


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ("How do I not restart the worker?", ASKED),
        ("How do I restart worker 2?", "How do I restart worker 3?"),
        ("Does Redis replace RabbitMQ?", "Does RabbitMQ replace Redis?"),
        ("What is new in Celery 5.6?", "What is new in Celery 5.7?"),
    ],
)
def test_what_differs_in_what_matters_is_not_served(wired: Wiring, asked: str, kept: str) -> None:
    wired.cache.put(kept, Fresh("so"))
    assert isinstance(wired.cache.lookup(asked), Miss)


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run(["cache", *arguments])
    told = capsys.readouterr()
    return code, told.out, told.err


def as_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    code, out, _ = said(capsys, *arguments, "--json")
    assert code == 0
    return json.loads(out)


@pytest.mark.usefixtures("shell")
def test_a_person_sees_what_is_kept_and_is_rid_of_it(wired: Wiring, capsys: pytest.CaptureFixture[str]) -> None:
    hostile = Fresh("[red]so[/] \x1b[2J", topics=("celery",), cost_usd=0.5)
    kept = wired.cache.put(f"{ASKED} \x1b]0;x\x07", hostile, Scope(tenant="ours"))
    wired.cache.lookup(f"{ASKED} \x1b]0;x\x07", Scope(tenant="ours"))
    code, out, _ = said(capsys, "search", "RESTART")
    assert code == 0
    assert "ours" in out
    code, out, _ = said(capsys, "show", str(kept.id))
    assert "[red]so[/]" in out
    assert "\x1b[2J" not in out
    assert "\x07" not in out
    assert as_json(capsys, "show", str(kept.id))["hits"] == 1
    stats = as_json(capsys, "stats")
    assert (stats["looked_up"], stats["saved_usd"], stats["hit_rate"]) == ({"exact": 1}, 0.5, 1.0)
    assert stats["threshold"] > 0.9
    assert said(capsys, "stats")[1].startswith("asked     1 times")
    assert as_json(capsys, "invalidate", "--topic", "celery") == {"invalidated": 1}
    assert said(capsys, "invalidate", str(kept.id))[0] == 1
    assert "gone: invalidated by hand" in said(capsys, "show", str(kept.id))[1]
    assert "Nothing is kept." in said(capsys, "search")[1]


@pytest.mark.usefixtures("shell")
def test_a_person_judges_a_hit_once(wired: Wiring, capsys: pytest.CaptureFixture[str]) -> None:
    wired.cache.put(ASKED, Fresh("so"))
    hit = wired.cache.lookup(ASKED)
    assert isinstance(hit, Hit)
    assert as_json(capsys, "judge", str(hit.id), "--wrong")["state"] == "gone"
    code, _, told = said(capsys, "judge", str(hit.id), "--wrong")
    assert code == 2
    assert "judged before" in told


@pytest.mark.usefixtures("shell")
@pytest.mark.parametrize(
    "arguments",
    [("show", "999"), ("judge", "999", "--right"), ("invalidate",), ("show", "x"), ("stats", "--days", "0")],
)
def test_bad_input_is_a_sentence(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    code, out, told = said(capsys, *arguments)
    assert code == 2
    assert "Traceback" not in out + told
    assert told


def test_a_server_that_restarts_costs_one_try(wired: Wiring) -> None:
    """Connections that died meanwhile are found out by a statement that failed, which is done again."""
    wired.cache.put(ASKED, Fresh("so"))
    assert isinstance(wired.cache.lookup(ASKED), Hit)
    assert wired.settings.database_url is not None
    other = connect(wired.settings.database_url.get_secret_value())
    mine = "pid != pg_backend_pid() AND datname = current_database()"
    with other.begin() as db:
        db.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {mine}"))
    other.dispose()
    assert isinstance(wired.cache.lookup(ASKED), Hit)
    assert wired.cache.put(ASKED, Fresh("otherwise")).answer == "otherwise"
