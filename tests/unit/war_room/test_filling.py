"""Filling: three to five seats of different names, one red team among the models, and each list read in its turn."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atra.core.errors import BadInput
from atra.core.settings import ExpertSettings, ModelSettings, Settings, WarRoomSettings, load_settings
from atra.llm.scripted import ScriptedModel
from atra.war_room.filling import EVIDENCE, MODELS, Filled, fill
from atra.war_room.records import Option
from atra.war_room.seats import MOST_SEATS, Seat, Task
from atra.war_room.voices import Brief, Terms, speak

OWN_NAMES = ("pricing", "legal", "ops")
NAMES = st.sampled_from([*EVIDENCE, *MODELS, *OWN_NAMES])
LISTS = st.lists(NAMES, unique=True, max_size=6).map(tuple)
TASKS: st.SearchStrategy[Task] = st.sampled_from(["code", "question"])


@pytest.fixture(autouse=True, scope="module")
def _no_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Settings made here are all there is: no `atra.toml` of whoever runs the tests adds to them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATRA_HOME", str(tmp_path_factory.mktemp("home")))
        patch.delenv("ATRA_CONFIG", raising=False)
        yield


def expert(**more: object) -> ExpertSettings:
    return ExpertSettings(department="Pricing", prompt="Look at the prices.", **more)  # type: ignore[arg-type]


def settings(models: int = 1, experts: dict[str, ExpertSettings] | None = None, **lists: tuple[str, ...]) -> Settings:
    named = {f"m{number}": ModelSettings(provider="openai", model="x") for number in range(models)}
    return Settings(models=named, experts=experts or {}, war_room=WarRoomSettings(**lists))  # type: ignore[arg-type]


def names(filled: Filled) -> list[str]:
    return [seat.expert for seat in filled.seats]


def red_teams(seats: tuple[Seat, ...]) -> list[str]:
    return [seat.expert for seat in seats if seat.red_team]


@st.composite
def configured(draw: st.DrawFn) -> Settings:
    """Settings with some models and some experts of their own, of which each may be pinned to a model."""
    models = draw(st.integers(0, 3))
    pins = st.sampled_from([None, *(f"m{number}" for number in range(models))])
    entries = st.builds(expert, model=pins, red_team=st.booleans(), may_veto=st.booleans())
    experts = draw(st.dictionaries(st.sampled_from([*OWN_NAMES, "risk", "red_team"]), entries))
    return settings(models, experts, code=draw(LISTS), question=draw(LISTS))


@given(TASKS, configured(), LISTS, st.booleans(), st.integers(0, 5))
def test_any_room_is_a_room(task: Task, given_: Settings, wanted: tuple[str, ...], models: bool, held: int):
    """Three to five seats of different names with one red team among the models, or a sentence that says why not."""
    try:
        filled = fill(task, given_, wanted=wanted, models=models, held=held)
    except BadInput:
        assert wanted or given_.war_room.code or given_.war_room.question
        return
    voices = [seat for seat in filled.seats if seat.kind == "model"]

    assert 3 <= len(filled.seats) <= MOST_SEATS or (task == "question" and filled.notes and not filled.seats)
    assert len(set(names(filled))) == len(filled.seats)
    assert len(red_teams(filled.seats)) == bool(voices)
    assert all(seat.kind == "model" for seat in filled.seats if seat.red_team)
    assert {seat.model for seat in voices} <= set(given_.models) if models else not voices
    assert not wanted or tuple(names(filled)) == wanted


@given(TASKS, st.integers(2, 4), st.lists(st.sampled_from(OWN_NAMES), unique=True))
def test_two_models_are_two_minds(task: Task, models: int, own: list[str]):
    """No model gets a second seat while another has none, and the red team's is not the first seat's."""
    filled = fill(task, settings(models, {name: expert() for name in own}))
    voices = [seat for seat in filled.seats if seat.kind == "model"]
    red = next(seat for seat in voices if seat.red_team)

    assert len({seat.model for seat in voices}) == min(models, len(voices))
    assert red.model != voices[0].model


def test_the_red_team_keeps_apart_from_a_first_seat_with_a_model_of_its_own():
    """Models that are pinned count as used, and the red team gets none that the first seat has."""
    own = {"legal": expert(model="m0"), "ops": expert(model="m1")}

    filled = fill("question", settings(2, own), wanted=("legal", "ops", "red_team"))

    assert [seat.model for seat in filled.seats] == ["m0", "m1", "m1"]


@pytest.mark.parametrize(
    ("models", "held", "expected"),
    [
        (0, 2, ["localisation", "tests", "risk", "data_flow", "history"]),
        (0, 3, ["localisation", "tests", "risk", "data_flow", "strategy"]),
        (1, 3, ["localisation", "tests", "risk", "reviewer", "red_team"]),
    ],
    ids=["no model, little held", "no model, enough held", "a model"],
)
def test_who_sits_on_code(models: int, held: int, expected: list[str]):
    """The best evidence experts, and two models where there are any; strategy once it has something to go by."""
    filled = fill("code", settings(models), held=held)

    assert names(filled) == expected
    assert [seat.kind for seat in filled.seats] == ["evidence"] * (5 - 2 * models) + ["model"] * 2 * models
    assert [seat.expert for seat in filled.seats if seat.may_veto] == ["risk"]


def test_who_sits_on_a_question():
    """Four departments, each told what to look at."""
    filled = fill("question", settings())

    assert [seat.department for seat in filled.seats] == ["ML", "Risk", "Strategy", "Red team"]
    assert all(len(seat.part) > 100 for seat in filled.seats)
    assert red_teams(filled.seats) == ["red_team"]


def test_a_question_without_a_model_says_what_is_missing():
    """Nobody sits, and one sentence names who would speak with a model and who could on failing tests."""
    filled = fill("question", settings(0, {"pricing": expert()}))

    assert filled.seats == ()
    assert filled.notes == (
        "nobody can speak: no model is configured. With a model ([models.NAME] in atra.toml, docs/models.md) ML, Risk, "
        "Strategy, Red team and Pricing would. localisation, history, data_flow, tests, risk and strategy need none, "
        "but they look at failing tests only: `atra war-room --repair RUN`",
    )


def test_lists_replace_one_another():
    """What a person names comes before what the settings name, and that before ATRA's own."""
    listed = settings(code=("history", "risk", "tests"), question=("ml", "risk", "strategy"))

    assert names(fill("code", listed)) == ["history", "risk", "tests"]
    assert names(fill("question", listed)) == ["ml", "risk", "strategy"]
    assert names(fill("code", listed, wanted=("reviewer", "tests", "risk"))) == ["reviewer", "tests", "risk"]


def test_a_list_without_a_red_team_gets_one():
    """The last of the models is told to look for what is wrong; of two that were, the first one does."""
    two = {name: expert(red_team=True) for name in ("legal", "ops")}

    assert red_teams(fill("question", settings(), wanted=("ml", "risk", "strategy")).seats) == ["strategy"]
    assert red_teams(fill("question", settings(1, two), wanted=("ml", "ops", "legal")).seats) == ["ops"]


def test_a_configured_expert_takes_a_free_seat():
    """It sits after ATRA's own; one that finds no seat is told of, with what to do about it."""
    filled = fill("question", settings(1, {"pricing": expert(), "legal": expert()}))

    assert names(filled) == ["ml", "risk", "strategy", "red_team", "pricing"]
    assert filled.notes == ("no room for legal: name the seats in [war_room] question, or with --experts",)


def test_a_configured_red_team_takes_the_place_of_the_built_in_one():
    """A room has one; the other seats argue for what they think."""
    filled = fill("question", settings(1, {"sceptic": expert(red_team=True)}))

    assert names(filled) == ["ml", "risk", "strategy", "sceptic"]
    assert red_teams(filled.seats) == ["sceptic"]


def test_a_configured_expert_shadows_a_model_seat_but_no_evidence_expert():
    """`risk` on questions becomes the configured one; on code it stays who looks at evidence, and a note says so."""
    own = settings(1, {"risk": expert(), "reviewer": expert()})

    on_code = fill("code", own)

    assert {seat.expert: seat.department for seat in fill("question", own).seats}["risk"] == "Pricing"
    assert [(seat.department, seat.kind) for seat in on_code.seats][2:4] == [("risk", "evidence"), ("Pricing", "model")]
    assert on_code.notes == (
        "[experts.risk] sits in rooms on questions only: on code an evidence expert has that name",
    )


def test_models_sit_out_where_none_may_be_asked():
    """A repair by templates alone is not kept from its room by a list that names models."""
    filled = fill("code", settings(code=("localisation", "reviewer", "red_team")), models=False)

    assert names(filled) == ["localisation", "tests", "risk", "data_flow", "history"]
    assert filled.notes == (
        "reviewer, red_team of [war_room] sit out: no model may be asked here, so ATRA's own seats decide",
    )


@pytest.mark.parametrize(
    ("task", "models", "wanted", "said"),
    [
        ("code", 1, ("tests", "risk", "nobody"), "there is no expert nobody; there are data_flow, history,"),
        (
            "question",
            1,
            ("ml", "risk", "localisation"),
            "the expert localisation looks at failing tests, and this room",
        ),
        ("code", 1, ("tests", "risk", "tests"), "the expert tests is named twice"),
        ("code", 1, ("tests", "risk"), "a war-room has 3 to 5 experts, and 2 are named"),
        ("code", 1, (*EVIDENCE,), "a war-room has 3 to 5 experts, and 6 are named"),
        ("code", 0, ("tests", "risk", "reviewer"), "the expert reviewer needs a model, and no model is configured"),
        ("question", 0, ("ml", "risk", "strategy"), "the expert ml needs a model, and no model is configured"),
        ("code", 1, ("tests", "risk", "lost"), "[experts.lost] names the model gone, and there is no [models.gone]"),
    ],
    ids=["unknown", "of code", "twice", "too few", "too many", "no model", "no model on a question", "model unknown"],
)
def test_what_cannot_sit_is_said(task: Task, models: int, wanted: tuple[str, ...], said: str):
    """One sentence that names the expert and what is wrong."""
    with pytest.raises(BadInput) as caught:
        fill(task, settings(models, {"lost": expert(model="gone")}), wanted=wanted)

    assert said in str(caught.value)


TEN_LINES = """
[models.main]
provider = "openai"
model = "any"

[experts.pricing]
department = "Pricing"
prompt = "pricing.txt"
model = "main"
may_veto = true
"""


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    monkeypatch.setenv("ATRA_HOME", str(tmp_path))
    load_settings.cache_clear()
    yield tmp_path
    load_settings.cache_clear()


def test_a_users_expert_of_ten_lines_sits_and_speaks(home: Path):
    """An entry in `atra.toml` and a text file beside it make a seat that is told its part, votes and vetoes."""
    (home / "atra.toml").write_text(TEN_LINES)
    (home / "pricing.txt").write_text("You look at what customers pay.\n")
    said = (
        '{"working": "a is dear", "ranking": ["b", "a"], "probability": 0.7,'
        ' "veto": [{"option": "a", "reason": "it doubles the bill"}]}'
    )
    model = ScriptedModel([said], "main")
    brief = Brief.on_question("Which one?", (Option("a", "buy"), Option("b", "build")), {}, "n0nce")

    seat = fill("question", load_settings()).seats[-1]
    ballot = speak(seat, brief, model, Terms(1000, None, 10)).ballot

    assert (seat.expert, seat.department, seat.model) == ("pricing", "Pricing", "main")
    assert "You look at what customers pay." in model.requests[0].messages[0].text
    assert (ballot.expert, ballot.ranking, ballot.vetoes) == ("pricing", ("b", "a"), {"a": "it doubles the bill"})
