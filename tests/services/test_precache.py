"""Pre-caching with a real database: what is predicted, kept, credited and written off."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from atra.cli.main import run as command_line
from atra.core.records import from_json
from atra.core.runs import Run
from atra.core.settings import ModelSettings, PrecacheSettings, RepositorySettings, Settings, load_settings
from atra.precache.records import Story
from atra.scout.records import Item
from atra.semantic_cache.keys import key_of
from atra.semantic_cache.records import ANYONE, Hit
from atra.storage.database import transaction
from atra.storage.precache import Planned
from atra.wiring import Wiring, use
from tests.targets import make_repository
from tests.wires import Turn, WireServer
from workers.pipelines import precache
from workers.precache import Predicted, answer, hourly, interests_of, predict
from workers.task import run_step

TITLE = "Kestrel 4.2 reads feeds twice as fast"
NEWS = (
    "The maintainers of Kestrel published version 4.2 on 20 November. "
    "Kestrel 4.2 is new and changed how feeds are read."
)


@pytest.fixture
def wired(settings: Settings) -> Wiring:
    return use(settings.model_copy(update={"precache": PrecacheSettings(questions_per_run=5, topics=("Kestrel",))}))


@pytest.fixture
def told(wired: Wiring) -> Wiring:
    """An installation whose scout has just read of Kestrel."""
    feed, _ = wired.scout.add("https://news.example/feed", "The News")
    host = wired.scout.claim()
    assert host is not None
    item = Item("1", "https://news.example/kestrel", TITLE, NEWS, datetime.now(UTC) - timedelta(hours=3),
                subjects=("Kestrel 4.2",))  # fmt: skip
    wired.scout.settle(host, feed, 900, [item], well=True)
    return wired


def carry_out(wired: Wiring, run_id: str = "p1") -> Run:
    wired.runs.open(run_id, precache(), {})
    run_step("predict", run_id, 0, predict)
    run_step("answer", run_id, 0, answer)
    return wired.runs.get(run_id)


def predicted(wired: Wiring, run_id: str = "p1") -> Predicted:
    return from_json(Predicted, wired.runs.outputs(run_id, "predict")[0])


def kept(wired: Wiring, run_id: str = "p1") -> list[Planned]:
    """Return those of the run's questions that were answered."""
    planned = predicted(wired, run_id).planned
    return [one for one in planned if wired.cache_store.answer_to(ANYONE.key, key_of(one.question))]


def expire(wired: Wiring) -> None:
    with transaction(wired.engine) as db:
        db.execute(text("UPDATE predictions SET expires_at = clock_timestamp() - interval '1 s'"))


def test_without_news_there_is_nothing_to_predict(wired: Wiring) -> None:
    """The run ends and says so."""
    run = carry_out(wired)

    assert (run.state, run.outcome) == ("ended", "nothing")


def test_what_the_news_raises_is_kept_with_its_source_for_a_week_at_most(told: Wiring) -> None:
    """Who asks it waits for nothing; the entry says that it was predicted, and is let go with its article."""
    run = carry_out(told)
    question = predicted(told).planned[0].question
    hit = told.cache.lookup(question)

    assert run.outcome == "answered"
    assert isinstance(hit, Hit)
    assert hit.entry.predicted
    assert "Kestrel" in hit.entry.answer
    assert [one["address"] for one in hit.entry.meta["citations"]] == ["https://news.example/kestrel"]
    assert hit.entry.expires_at - hit.entry.created_at <= timedelta(days=7)
    assert told.cache.invalidate(sources=hit.entry.sources) > 0


def test_a_run_done_twice_keeps_everything_once_and_the_next_predicts_something_else(told: Wiring) -> None:
    """The worker died between keeping the answers and settling the step."""
    first = carry_out(told)
    before = told.precache.report(1)
    with transaction(told.engine) as db:
        db.execute(text("UPDATE runs SET state = 'open', outcome = NULL, reason = NULL, ended_at = NULL"))
        db.execute(text("UPDATE steps SET state = 'ready', output = NULL, settled_at = NULL WHERE name = 'answer'"))
    run_step("answer", first.id, 0, answer)
    again = told.precache.report(1)
    carry_out(told, "p2")

    assert again == before
    assert not {one.question for one in predicted(told, "p2").planned} & {one.question for one in kept(told)}


def test_what_had_no_answer_is_let_alone_for_a_week(told: Wiring) -> None:
    """Else the same questions would be tried every hour, and no others."""
    carry_out(told)
    planned = Planned("What is new in Rust?", "new", "Rust", 1, 0.1)
    told.precache.unanswered("p9", planned)
    told.precache.unanswered("p9", planned)
    count = sum(one.predicted for one in told.precache.report(1))

    assert told.precache.tried()[0] == "What is new in Rust?"
    assert count == len(kept(told))
    expire(told)
    assert told.precache.tried() == []
    assert told.precache.settle() == (0, count)


def test_a_prediction_is_credited_by_its_first_hit_and_written_off_when_it_expires(told: Wiring) -> None:
    """Counts of both are what the next run learns from."""
    carry_out(told)
    one = kept(told)[0]
    assert isinstance(told.cache.lookup(one.question), Hit)
    told.cache.lookup(one.question)
    count = sum(row.predicted for row in told.precache.report(1))

    assert told.precache.settle() == (1, 0)
    assert told.precache.settle() == (0, 0)
    expire(told)
    assert told.precache.settle() == (0, count - 1)
    templates, subjects = told.precache.tallies()
    assert sum(tally.asked for tally in templates.values()) == 1
    assert sum(tally.wasted for tally in templates.values()) == count - 1
    assert subjects[one.template, one.subject.lower()].asked == 1


def test_a_hit_that_was_judged_wrong_is_no_credit(told: Wiring) -> None:
    """An answer that is wrong helped nobody."""
    carry_out(told)
    one = kept(told)[0]
    hit = told.cache.lookup(one.question)
    assert isinstance(hit, Hit)
    assert hit.id is not None
    told.cache.judge(hit.id, right=False)

    assert told.precache.settle() == (0, 0)


def test_interests_are_dependencies_topics_and_what_was_asked(told: Wiring, tmp_path: Path) -> None:
    """As far as the news speaks of them; a repository that is none costs nothing."""
    shop = make_repository(tmp_path / "shop", {"requirements.txt": "kestrel>=4\nflask\n"})
    repositories = {"shop": RepositorySettings(path=shop), "gone": RepositorySettings(path=tmp_path / "gone")}
    wired = use(told.settings.model_copy(update={"repositories": repositories}))
    stories = [Story("article:1", TITLE, NEWS, subjects=("Kestrel", "Kestrel 4.2"))]
    wired.cache.lookup("Is kestrel 4.2 out?")

    found = {(one.name, one.kind, one.of) for one in interests_of(wired, stories)}

    assert found == {("Kestrel", "topic", ""), ("Kestrel 4.2", "asked", "")}
    wired = use(wired.settings.model_copy(update={"precache": PrecacheSettings()}))
    assert ("kestrel", "dependency", "shop") in {(one.name, one.kind, one.of) for one in interests_of(wired, stories)}


def test_a_model_proposes_and_answers_within_the_run_s_budget(told: Wiring) -> None:
    """It is asked where money is set aside for that; what it cost is what a hit saves."""
    question = {"question": "Who publishes Kestrel?", "article": 1, "subject": "Kestrel"}
    made = {
        "steps": ["It is told."],
        "answer": "Its maintainers.",
        "known": True,
        "sources": [1],
        "needs_fresh_facts": False,
    }
    script = [Turn(json.dumps({"questions": [question]})), Turn(json.dumps(made))]
    with WireServer(script) as server:
        model = ModelSettings(
            provider="openai-compatible", model="m", base_url=server.url, api_key=SecretStr("a key"),
            input_usd=1.0, output_usd=1.0,
        )  # fmt: skip
        rules = PrecacheSettings(questions_per_run=1, usd_per_run=0.10)
        wired = use(told.settings.model_copy(update={"models": {"cheap": model}, "precache": rules}))
        run = carry_out(wired)
        hit = wired.cache.lookup("Who publishes Kestrel?")

        assert run.outcome == "answered"
        assert isinstance(hit, Hit)
        assert (hit.entry.answer, hit.entry.meta["made_by"]) == ("Its maintainers.", "cheap")
        assert 0 < hit.entry.cost_usd < sum(call.cost_usd for call in wired.ledger.calls(run.id)) <= 0.10
        assert [(one.template, one.saved_usd) for one in wired.precache.report(1)] == [("model", hit.entry.cost_usd)]


def test_an_hour_has_one_run(told: Wiring) -> None:
    """Beat fires more often, so that an hour with a broker that was away is not lost."""
    assert hourly() == hourly() != ""
    use(told.settings.model_copy(update={"precache": PrecacheSettings(questions_per_run=0)}))
    assert hourly() == ""


def test_a_question_that_was_recorded_is_recorded_once(told: Wiring) -> None:
    """By its run and its words."""
    carry_out(told)
    row = kept(told)[0]
    hit = told.cache.lookup(row.question)
    assert isinstance(hit, Hit)

    assert not told.precache.record("p1", row, hit.entry)
    assert told.precache.record("p9", Planned("?", "new", "X", 1, 0.1), hit.entry)


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = command_line(["precache", *arguments])
    return code, capsys.readouterr().out


@pytest.fixture
def shell(told: Wiring, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The environment of a command, with this test's services in it."""
    assert told.settings.database_url
    assert told.settings.redis_url
    monkeypatch.setenv("ATRA_DATABASE_URL", told.settings.database_url.get_secret_value())
    monkeypatch.setenv("ATRA_REDIS_URL", told.settings.redis_url.get_secret_value())
    monkeypatch.setenv("ATRA_HOME", str(told.settings.home))
    monkeypatch.setenv("ATRA_CONFIG", os.devnull)
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


@pytest.mark.usefixtures("shell")
def test_the_commands_run_and_report(capsys: pytest.CaptureFixture[str]) -> None:
    """What was predicted, hit, wasted and saved, by template; the same as JSON."""
    assert said(capsys, "report")[0] == 0
    code, shown = said(capsys, "run", "--json")
    ran = json.loads(shown)
    code_again, listed = said(capsys, "report", "--json")

    assert (code, ran["status"]) == (0, "answered")
    assert ran["answered"] == len([one for one in ran["questions"] if one["answered"]])
    assert code_again == 0
    assert sum(one["predicted"] for one in json.loads(listed)) == ran["answered"]
    assert "predicted" in said(capsys, "report")[1]
    assert said(capsys, "run")[0] in {0, 1}
    assert command_line(["show", ran["run_id"]]) == 0
    assert f"{ran['answered']} answered" in capsys.readouterr().out
