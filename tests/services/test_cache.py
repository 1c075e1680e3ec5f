"""The semantic cache on the real database: who is served what, by both ways of finding what was meant."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psycopg2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from atra.core.errors import BadInput, KeyRefused, MissingPart, ModelRejected, ModelUnavailable
from atra.llm.embedding import Embedder
from atra.semantic_cache import Fresh, Hit, Meaning, Miss, Scope, SemanticCache
from atra.semantic_cache.bound import Sample, Standing
from atra.semantic_cache.cache import Index
from atra.semantic_cache.view import View
from atra.storage.cache import CacheStore
from atra.storage.database import connect
from atra.storage.vectors import VectorTable
from tests.meaning import DIM, Near, Words

ASKED = "how do i restart the worker"
OTHER_WORDS = "the worker how do i restart"
OTHER = "what does the gate promote"


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    made = connect(database_url)
    yield made
    made.dispose()


@pytest.fixture
def store(engine: Engine) -> CacheStore:
    return CacheStore(engine)


@pytest.fixture(params=["faiss", "pgvector"])
def index(request: pytest.FixtureRequest, engine: Engine, tmp_path: Path) -> Callable[[Embedder], Index]:
    def opened(embedder: Embedder) -> Index:
        if request.param == "pgvector":
            return VectorTable(engine, embedder.identity, embedder.dim)
        return View(CacheStore(engine), identity=embedder.identity, dim=embedder.dim, folder=tmp_path, poll_s=0.0)

    return opened


@pytest.fixture
def cache(store: CacheStore, index: Callable[[Embedder], Index]) -> SemanticCache:
    return SemanticCache(store, Meaning(Words(), index, Near()))


def exact_only(store: CacheStore) -> SemanticCache:
    return SemanticCache(store)


def expire(engine: Engine, entry: int, seconds: float = 0.0) -> None:
    with engine.begin() as db:
        at = text("UPDATE cache_entries SET expires_at = clock_timestamp() - :s * interval '1 second' WHERE id = :id")
        db.execute(at, {"id": entry, "s": seconds})


def test_the_same_question_is_served_without_the_model_of_meaning(store: CacheStore) -> None:
    words = Words()
    cache = SemanticCache(store, Meaning(words, lambda _: View(store, identity="words-1", dim=DIM), Near()))
    kept = cache.put(ASKED, Fresh("Like this.", sources=("a1",), cost_usd=0.02, meta={"by": "me"}))
    words.asked.clear()
    hit = cache.lookup(f"  {ASKED[0].lower()}{ASKED[1:]}  ")
    assert isinstance(hit, Hit)
    assert (hit.tier, hit.similarity, hit.probability) == ("exact", 1.0, 1.0)
    assert (hit.entry.id, hit.entry.answer, hit.entry.sources) == (kept.id, "Like this.", ("a1",))
    assert hit.entry.meta == {"by": "me"}
    assert 0 <= hit.entry.age_s < 60
    assert words.asked == []


def test_other_words_are_served_and_another_question_is_not(cache: SemanticCache) -> None:
    cache.put(ASKED, Fresh("Like this."))
    hit = cache.lookup(OTHER_WORDS)
    assert isinstance(hit, Hit)
    assert (hit.tier, hit.entry.question) == ("semantic", ASKED)
    assert hit.similarity == pytest.approx(1.0, abs=1e-4)
    miss = cache.lookup(OTHER)
    assert isinstance(miss, Miss)
    assert "not surely the same" in miss.why
    assert miss.similarity is not None
    assert miss.similarity < 0.9


@given(
    one=st.builds(Scope, *[st.sampled_from(["", "a", "b\0", 'a","'])] * 4),
    two=st.builds(Scope, *[st.sampled_from(["", "a", "b\0", 'a","'])] * 4),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nobody_is_served_what_another_scope_holds(store: CacheStore, one: Scope, two: Scope) -> None:
    cache = exact_only(store)
    cache.put(ASKED, Fresh("for one"), one)
    found = cache.lookup(ASKED, two)
    assert isinstance(found, Hit) == (one == two)
    store.invalidate("done", (), one.key, (), ())


def test_other_words_of_another_scope_are_not_served(cache: SemanticCache) -> None:
    cache.put(ASKED, Fresh("for ours"), Scope(tenant="ours"))
    for other in (Scope(), Scope(tenant="theirs"), Scope(tenant="ours", language="de"), Scope("ours", "", "be kind")):
        assert isinstance(cache.lookup(OTHER_WORDS, other), Miss)


def test_an_answer_is_replaced_and_its_age_begins_anew(cache: SemanticCache, engine: Engine) -> None:
    first = cache.put(ASKED, Fresh("old"))
    with engine.begin() as db:
        db.execute(text("UPDATE cache_entries SET created_at = created_at - interval '1 hour'"))
    again = cache.put(ASKED, Fresh("new"))
    assert again.id == first.id
    assert again.age_s < 60
    hit = cache.lookup(OTHER_WORDS)
    assert isinstance(hit, Hit)
    assert hit.entry.answer == "new"


def test_what_has_expired_is_served_by_neither_tier(cache: SemanticCache, engine: Engine) -> None:
    kept = cache.put(ASKED, Fresh("old"))
    assert isinstance(cache.lookup(OTHER_WORDS), Hit)
    expire(engine, kept.id)
    assert isinstance(cache.lookup(ASKED), Miss)
    assert isinstance(cache.lookup(OTHER_WORDS), Miss)
    assert isinstance(cache.put(ASKED, Fresh("new")), object)
    assert isinstance(cache.lookup(OTHER_WORDS), Hit)


@pytest.mark.parametrize("jump", ["-1 year", "1 year"])
def test_a_clock_that_jumps_costs_a_miss_at_worst(cache: SemanticCache, engine: Engine, jump: str) -> None:
    """A year back makes what is kept come from the future, a year on makes it old: no other answer is served."""
    cache.put(ASKED, Fresh("so"))
    with engine.begin() as db:
        db.execute(text(f"UPDATE cache_entries SET created_at = created_at - interval '{jump}',"
                        f" expires_at = expires_at - interval '{jump}'"))  # fmt: skip
    for asked in (ASKED, OTHER_WORDS):
        found = cache.lookup(asked)
        if jump == "1 year":
            assert isinstance(found, Miss)
        else:
            assert isinstance(found, Hit)
            assert (found.entry.answer, found.entry.age_s) == ("so", 0.0)
    assert cache.put(ASKED, Fresh("anew")).age_s < 60
    assert isinstance(cache.lookup(ASKED), Hit)


def test_a_hit_does_not_lengthen_an_entry_s_life(cache: SemanticCache) -> None:
    kept = cache.put(ASKED, Fresh("so", ttl_s=50))
    for _ in range(3):
        hit = cache.lookup(ASKED)
        assert isinstance(hit, Hit)
        assert hit.entry.expires_at == kept.expires_at


@pytest.mark.parametrize(
    "which", [{"ids": True}, {"scope": Scope("t")}, {"topics": ["celery"]}, {"sources": ["article-7"]}]
)
def test_an_entry_is_invalidated_by_what_it_has(store: CacheStore, which: dict[str, Any]) -> None:
    cache = exact_only(store)
    kept = cache.put(ASKED, Fresh("so", topics=("celery", "redis"), sources=("article-7",)), Scope("t"))
    cache.put(OTHER, Fresh("stays", topics=("kombu",), sources=("article-8",)), Scope("u"))
    if "ids" in which:
        which = {"ids": [kept.id]}
    assert cache.invalidate(**which) == 1
    assert cache.invalidate(**which) == 0
    assert isinstance(cache.lookup(ASKED, Scope("t")), Miss)
    assert isinstance(cache.lookup(OTHER, Scope("u")), Hit)
    found = store.entry(kept.id)
    assert found is not None
    assert (found[0].state, found[0].why) == ("gone", "invalidated")


def test_nothing_said_invalidates_nothing(store: CacheStore) -> None:
    cache = exact_only(store)
    cache.put(ASKED, Fresh("so"))
    assert cache.invalidate() == 0


def test_what_another_process_invalidated_is_not_served(cache: SemanticCache, store: CacheStore) -> None:
    kept = cache.put(ASKED, Fresh("so"))
    assert isinstance(cache.lookup(OTHER_WORDS), Hit)
    exact_only(store).invalidate(ids=[kept.id])
    assert isinstance(cache.lookup(OTHER_WORDS), Miss)


def test_what_another_process_wrote_is_served(
    cache: SemanticCache, store: CacheStore, index: Callable[[Embedder], Index]
) -> None:
    assert isinstance(cache.lookup(OTHER_WORDS), Miss)
    SemanticCache(store, Meaning(Words(), index, Near())).put(ASKED, Fresh("so"))
    assert isinstance(cache.lookup(OTHER_WORDS), Hit)


def test_a_change_of_the_model_of_meaning_mixes_nothing(
    store: CacheStore, index: Callable[[Embedder], Index], engine: Engine
) -> None:
    old = SemanticCache(store, Meaning(Words("words-1"), index, Near()))
    old.put(ASKED, Fresh("so"))
    words = Words("words-2")
    new = SemanticCache(store, Meaning(words, index, Near()))
    assert isinstance(new.lookup(OTHER_WORDS), Miss)
    assert isinstance(new.lookup(ASKED), Hit)
    waiting = store.unembedded("words-2", 10)
    assert [question for _, _, question in waiting] == [ASKED]
    opened = index(words)
    for entry, written, question in waiting:
        row = store.embedded(entry, written, "words-2", words.embed([question])[0])
        assert row is not None
        opened.note(Scope().key, row)
    assert store.unembedded("words-2", 10) == []
    assert isinstance(new.lookup(OTHER_WORDS), Hit)
    assert isinstance(old.lookup(OTHER_WORDS), Miss)  # by the old model's vectors it is not found any more


def test_a_decision_is_shown_the_vectors_of_its_own_model_alone(
    store: CacheStore, index: Callable[[Embedder], Index]
) -> None:
    for name, shown in (("words-1", True), ("words-2", False)):
        decide = Near()
        cache = SemanticCache(store, Meaning(Words(name), index, decide))
        cache.put(ASKED, Fresh("so"))
        cache.lookup(OTHER_WORDS)
        assert [one is not None for one in decide.shown] == [shown]


def test_an_entry_that_was_written_meanwhile_keeps_its_own_vector(store: CacheStore) -> None:
    cache = exact_only(store)
    cache.put(ASKED, Fresh("so"))
    [(entry, written, _)] = store.unembedded("words-1", 10)
    cache.put(ASKED, Fresh("otherwise"))
    assert store.embedded(entry, written, "words-1", np.ones(DIM, dtype=np.float32)) is None


class Gone:
    """A model of meaning that is missing, or does not answer."""

    identity, dim = "gone", DIM

    def __init__(self, error: Exception) -> None:
        self.error = error

    def embed(self, texts: object) -> Any:
        raise self.error


@pytest.mark.parametrize(
    "error",
    [
        MissingPart("numpy (`pip install 'atra[cache]'`)"),
        ModelUnavailable("embedder", "it is down", 1),
        ModelRejected("embedder", "it is too long", 0),
        KeyRefused("embedder", "it is another's"),
        BadInput("no text"),
    ],
)
def test_without_a_model_of_meaning_the_same_words_are_served(store: CacheStore, error: Exception) -> None:
    cache = SemanticCache(store, Meaning(Gone(error), lambda _: View(store, identity="gone", dim=DIM), Near()))
    cache.put(ASKED, Fresh("so"))
    assert isinstance(cache.lookup(ASKED), Hit)
    miss = cache.lookup(OTHER_WORDS)
    assert isinstance(miss, Miss)
    assert "its meaning is not known" in miss.why
    assert bool(cache.without) == (type(error) is MissingPart)  # what may be mended is tried again


def test_what_is_no_text_is_kept_and_looked_for(cache: SemanticCache) -> None:
    cache.put(f"{ASKED} \ud800", Fresh("so"))
    assert isinstance(cache.lookup(f"{ASKED} \ud800"), Hit)


def test_a_long_text_is_served_in_its_own_words_alone(cache: SemanticCache) -> None:
    long = "please " * 200 + "summarise the first of these"
    cache.put(long, Fresh("so"))
    assert isinstance(cache.lookup(long), Hit)
    assert isinstance(cache.lookup(long.replace("first", "last")), Miss)


def test_hits_are_counted_with_what_they_saved(cache: SemanticCache) -> None:
    cache.put(ASKED, Fresh("so", cost_usd=0.25))
    cache.lookup(ASKED)
    cache.lookup(OTHER_WORDS)
    cache.lookup(OTHER)
    counts = cache.stats().counts
    assert counts.looked_up == {"exact": 1, "miss": 1, "semantic": 1}
    assert counts.saved_usd == 0.5
    assert (counts.live, counts.predicted, counts.unembedded) == (1, 0, 0)


def test_a_wrong_hit_by_meaning_counts_once_against_the_promise(cache: SemanticCache, store: CacheStore) -> None:
    cache.put(ASKED, Fresh("so"))
    hit = cache.lookup(OTHER_WORDS)
    assert isinstance(hit, Hit)
    assert hit.id is not None
    before = store.standing()
    assert cache.judge(hit.id, right=False) is not None
    assert cache.judge(hit.id, right=False) is None
    after = store.standing()
    assert after != before
    assert isinstance(cache.lookup(ASKED), Hit)  # the answer to the question itself may be right
    counts = cache.stats().counts
    assert (counts.judged, counts.wrong) == (1, 1)
    [(entry, _)] = store.entries()
    assert (entry.hits, entry.right, entry.wrong) == (2, 0, 1)


def test_a_wrong_answer_to_the_question_itself_is_not_served_again(cache: SemanticCache, store: CacheStore) -> None:
    cache.put(ASKED, Fresh("so"))
    hit = cache.lookup(ASKED)
    assert isinstance(hit, Hit)
    assert hit.id is not None
    before = store.standing()
    assert cache.judge(hit.id, right=False, by="person") is not None
    assert store.standing() == before
    assert isinstance(cache.lookup(ASKED), Miss)
    assert isinstance(cache.lookup(OTHER_WORDS), Miss)


@pytest.mark.parametrize("asked", [OTHER_WORDS, ASKED])
def test_an_answer_is_not_blamed_for_the_one_before_it(cache: SemanticCache, store: CacheStore, asked: str) -> None:
    cache.put(ASKED, Fresh("wrong"))
    hits = [cache.lookup(OTHER_WORDS), cache.lookup(asked)]
    ids = [hit.id for hit in hits if isinstance(hit, Hit) and hit.id is not None]
    cache.judge(ids[0], right=False)
    cache.put(ASKED, Fresh("right"))
    assert store.unjudged(9, 1.0) == []
    assert cache.judge(ids[1], right=False) is not None
    [(entry, _)] = store.entries()
    assert (entry.answer, entry.right, entry.wrong) == ("right", 0, 0)


def test_one_at_a_time_is_alone_at_it(store: CacheStore) -> None:
    with store.alone("it") as first, store.alone("it") as second, store.alone("another") as other:
        assert (first, second, other) == (True, False, True)
    with store.alone("it") as again:
        assert again


def test_no_judgement_is_lost_when_many_judge_at_once(cache: SemanticCache, store: CacheStore) -> None:
    cache.put(ASKED, Fresh("so"))
    hits = [cache.lookup(OTHER_WORDS) for _ in range(40)]
    learnt: list[Sample] = []

    def learn(standing: Standing, sample: Sample) -> Standing:
        learnt.append(sample)
        return standing

    def judge(hit: Hit | Miss) -> None:
        assert isinstance(hit, Hit)
        assert hit.id is not None
        store.judge(hit.id, True, "test", learn)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(judge, hits + hits))
    assert len(learnt) == 40


def test_hits_that_wait_for_judgement_are_drawn(cache: SemanticCache, store: CacheStore) -> None:
    cache.put(ASKED, Fresh("so"))
    for _ in range(60):
        cache.lookup(OTHER_WORDS)
    assert len(store.unjudged(100, 1.0)) == 60
    drawn = store.unjudged(100, 0.5)
    assert 10 < len(drawn) < 50
    assert [one[0] for one in store.unjudged(100, 0.5)] == [one[0] for one in drawn]
    assert store.unjudged(100, 0.0) == []
    store.passed_over(drawn[0][0], "agreement")
    assert len(store.unjudged(100, 0.5)) == len(drawn) - 1


def test_tidying_lets_go_what_has_expired_and_what_is_worth_least(store: CacheStore, engine: Engine) -> None:
    cache = exact_only(store)
    dear = cache.put("dear", Fresh("a", cost_usd=1.0))
    cheap = cache.put("cheap", Fresh("b", cost_usd=0.01))
    asked = cache.put("asked often", Fresh("c", cost_usd=0.01))
    stale = cache.put("stale", Fresh("d", cost_usd=9.0))
    expire(engine, stale.id)
    for _ in range(3):
        cache.lookup("asked often")
    done = store.tidy(max_entries=2)
    assert (done["expired"], done["evicted"]) == (1, 1)
    found = [store.entry(one.id) for one in (dear, cheap, asked, stale)]
    assert [one[0].why for one in found if one] == ["", "worth least", "", "expired"]
    assert store.tidy(max_entries=2) == dict.fromkeys(done, 0)
    expire(engine, stale.id, 8 * 86_400)
    with engine.begin() as db:
        db.execute(text("UPDATE cache_lookups SET at = at - interval '31 days'"))
    done = store.tidy(max_entries=2)
    assert (done["forgotten"], done["forgotten_lookups"]) == (1, 3)
    assert store.entry(stale.id) is None


def test_rows_from_another_database_are_given_numbers_of_this_one(store: CacheStore, engine: Engine) -> None:
    exact_only(store).put(ASKED, Fresh("so"))
    with engine.begin() as db:
        db.execute(text("UPDATE cache_entries SET written = written + 1000000"))
    assert store.tidy(max_entries=10)["renumbered"] == 1
    page = store.page(Scope().key, "", (0, 0), 10)
    assert page.rows[0].written < page.horizon


def test_entries_are_searched_by_words(store: CacheStore) -> None:
    cache = exact_only(store)
    cache.put("what is new in celery 5.7", Fresh("a"), Scope("t"))
    cache.put("what is 100% of it", Fresh("b"))
    assert [(entry.question, scope.tenant) for entry, scope in store.entries("CELERY new")] == [
        ("what is new in celery 5.7", "t")
    ]
    assert [entry.question for entry, _ in store.entries("100%")] == ["what is 100% of it"]
    assert store.entries("nothing of it") == []
    assert len(store.entries()) == 2


def test_texts_that_postgres_cannot_keep_are_kept_all_the_same(store: CacheStore) -> None:
    cache = exact_only(store)
    cache.put("a\0b \ud800", Fresh("c\0d \ud800", sources=("e\0",), topics=("f\0",), meta={"g": "h\0"}))
    hit = cache.lookup("a\0b \ud800")
    assert isinstance(hit, Hit)
    assert hit.entry.answer.startswith("c\ufffdd")


# One call for many


def test_a_thousand_who_ask_the_same_at_once_make_one_call(store: CacheStore) -> None:
    cache, calls, barrier = exact_only(store), [], threading.Barrier(50)

    def compute() -> Fresh:
        calls.append(1)
        time.sleep(0.2)
        return Fresh("so", cost_usd=0.5)

    def ask(number: int) -> str:
        if number < 50:
            barrier.wait()
        return cache.answer(ASKED, compute).answer

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(ask, range(1000)))
    assert set(answers) == {"so"}
    assert len(calls) == 1


def test_two_processes_make_one_call(engine: Engine) -> None:
    one, two = exact_only(CacheStore(engine)), exact_only(CacheStore(engine))
    began, go_on = threading.Event(), threading.Event()

    def slow() -> Fresh:
        began.set()
        assert go_on.wait(20)
        return Fresh("of one")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(one.answer, ASKED, slow)
        assert began.wait(20)
        second = pool.submit(two.answer, ASKED, lambda: Fresh("of two"))
        time.sleep(0.7)  # longer than one wait for the turn
        assert not second.done()
        go_on.set()
        assert (first.result(20).answer, second.result(20).answer) == ("of one", "of one")
    assert second.result().hit is not None


def test_who_finds_the_server_full_comes_again(engine: Engine) -> None:
    cache, taken = exact_only(CacheStore(engine)), []
    cache.lookup(ASKED)  # has its connection for quick statements
    try:
        with suppress(psycopg2.OperationalError):
            while True:
                taken.append(psycopg2.connect(engine.url.set(drivername="postgresql").render_as_string(False)))
        with ThreadPoolExecutor(1) as pool:
            asking = pool.submit(cache.answer, ASKED, lambda: Fresh("so"))
            time.sleep(0.5)
            assert not asking.done()
            for one in taken:
                one.close()
            assert asking.result(20).answer == "so"
    finally:
        for one in taken:
            one.close()


def test_an_error_reaches_all_who_waited_and_the_next_one_tries_again(store: CacheStore) -> None:
    cache, began = exact_only(store), threading.Event()

    def fails() -> Fresh:
        began.set()
        time.sleep(0.3)
        raise ModelUnavailable("one", "it is down", 1)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cache.answer, ASKED, fails)
        assert began.wait(20)
        second = pool.submit(cache.answer, ASKED, fails)
        for waiting in (first, second):
            with pytest.raises(ModelUnavailable):
                waiting.result(20)
    assert cache.answer(ASKED, lambda: Fresh("so")).answer == "so"


def test_what_may_not_be_kept_is_not(store: CacheStore) -> None:
    cache = exact_only(store)
    assert cache.answer(ASKED, lambda: Fresh("cut o", keep=False)).answer == "cut o"
    assert isinstance(cache.lookup(ASKED), Miss)


def test_asking_afresh_replaces_what_is_kept(store: CacheStore) -> None:
    cache = exact_only(store)
    cache.put(ASKED, Fresh("old"))
    assert cache.answer(ASKED, lambda: Fresh("new"), fresh=True).answer == "new"
    assert cache.answer(ASKED, lambda: Fresh("never")).answer == "new"


def test_a_database_that_is_not_there_is_a_miss(unused_tcp_port_url: str) -> None:
    cache = exact_only(CacheStore(connect(unused_tcp_port_url)))
    served = cache.answer(ASKED, lambda: Fresh("so"))
    assert (served.answer, served.hit) == ("so", None)


@pytest.fixture
def unused_tcp_port_url() -> str:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"postgresql://nobody@127.0.0.1:{one.getsockname()[1]}/none"
