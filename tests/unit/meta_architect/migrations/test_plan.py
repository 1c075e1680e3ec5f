"""What is decided about drift, from what autogenerate found and what the rows say."""

from typing import Any

import pytest

from atra.meta_architect.migrations.catalog import Column, Schema, Table
from atra.meta_architect.migrations.plan import Drift, counting, decide, spelt

MOOD = Column("mood", "mood", "mood", "E", not_null=True, default="'good'::mood", labels=("good", "bad"))
NOTE = Column("note", "character varying(200)", "character varying", "S", size=200)
NUMBER = Column("number", "integer", "integer", "N", not_null=True)
SCHEMA = Schema((Table("public", "orders", (NUMBER, NOTE, MOOD)),), enums={"public.mood": ("good", "bad")})
MOODS = {"schema": None, "name": "mood", "labels": ["good", "bad"]}


def column(name: str, kind: str = "VARCHAR(200)", **more: Any) -> dict[str, Any]:
    """A column as the box tells of it."""
    plain = {"nullable": True, "server_default": False, "default": None, "calls": False, "references": False}
    return {"name": name, "type": kind, **plain, **more}


def op(kind: str, **more: Any) -> dict[str, Any]:
    """An operation as the box tells of it."""
    return {"kind": kind, "schema": None, "table": "orders", **more}


def alter(name: str, **more: Any) -> dict[str, Any]:
    """A changed column."""
    plain = {"type": None, "was_type": "VARCHAR(200)", "nullable": None, "changes_default": False, "default": None}
    return op("alter_column", name=name, **{**plain, **more})


def planned(*operations: dict[str, Any], counted: Any = None, allowed: tuple[str, ...] = (), enums: Any = (MOODS,)):
    """The plan for these operations."""
    return decide(Drift(tuple(operations), tuple(enums), SCHEMA, frozenset(allowed)), counted or {})


def test_no_drift_is_nothing():
    """Neither an operation nor another label."""
    assert not Drift((), (MOODS,), SCHEMA)
    assert Drift((), ({**MOODS, "labels": ["good"]},), SCHEMA)


def test_a_drop_and_an_add_of_one_type_are_a_rename():
    """It is said, and how to have it otherwise."""
    plan = planned(op("drop_column", column=column("note")), op("add_column", column=column("remark")))

    assert [(one.table, one.old, one.new) for one in plan.renames] == [("orders", "note", "remark")]
    assert plan.sentences == ("rename orders.note to remark",)
    assert "looks like a rename of note to remark" in plan.notes[0]
    assert plan.refusals == ()


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(op("add_column", column=column("memo")), id="two-new"),
        pytest.param(op("drop_column", column=column("memo")), id="two-old"),
    ],
)
def test_a_rename_that_could_be_another_is_refused(other):
    """Nothing says which."""
    plan = planned(op("drop_column", column=column("note")), op("add_column", column=column("remark")), other)

    assert plan.renames == ()
    assert any("looks like a rename of note to" in refusal for refusal in plan.refusals)


@pytest.mark.parametrize(
    "added",
    [
        pytest.param(column("remark", "VARCHAR(100)"), id="type"),
        pytest.param(column("remark", nullable=False, server_default=True), id="null"),
    ],
)
def test_unlike_columns_are_no_rename(added):
    """Then the drop is a loss."""
    drop, add = op("drop_column", column=column("note")), op("add_column", column=added)

    plan = planned(drop, add, counted={0: [9, 12]})

    assert plan.refusals == ("drops orders.note: 9 of 12 rows of the filled copy would lose a value",)


def test_a_drop_that_is_allowed_is_no_rename():
    """Who names the loss has said which."""
    drop, add = op("drop_column", column=column("note")), op("add_column", column=column("remark"))

    plan = planned(drop, add, counted={0: [9, 12]}, allowed=("orders.note",))

    assert (plan.renames, plan.refusals) == ((), ())
    assert plan.sentences == ("drop column orders.note", "add column orders.remark (VARCHAR(200))")


def test_a_column_that_held_a_value_comes_back_with_one():
    """Its own is gone, and a downgrade has to satisfy NOT NULL."""
    plan = planned(op("drop_column", column=column("number", "INTEGER")), allowed=("orders",), counted={0: [9, 9]})

    assert plan.fills_back == ({"schema": None, "table": "orders", "column": "number", "value": "0"},)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        pytest.param({}, "the model has no default", id="none"),
        pytest.param({"calls": True}, "the model's default is a function", id="function"),
    ],
)
def test_a_value_that_nobody_names_is_refused(more, why):
    """A required column on a table with rows needs one."""
    plan = planned(op("add_column", column=column("paid", "BOOLEAN", nullable=False, **more)))

    assert len(plan.refusals) == 1
    assert why in plan.refusals[0]


@pytest.mark.parametrize(
    ("more", "fills"),
    [
        pytest.param({"default": "false"}, ["false"], id="default"),
        pytest.param({"server_default": True}, [], id="server"),
    ],
)
def test_a_default_fills_a_new_column(more, fills):
    """The model's by a statement, the server's by itself."""
    plan = planned(op("add_column", column=column("paid", "BOOLEAN", nullable=False, **more)))

    assert plan.refusals == ()
    assert [fill["value"] for fill in plan.fills] == fills


@pytest.mark.parametrize(
    ("change", "counts", "refusal"),
    [
        pytest.param({"type": "VARCHAR(20)"}, [4, 12, 0, True, True], "4 of 12 rows", id="narrower"),
        pytest.param({"type": "TEXT"}, [0, 12, 0, True, True], None, id="wider"),
        pytest.param(
            {"nullable": False}, [0, 12, 3, True, True], "3 of 12 rows of the filled copy hold NULL", id="null"
        ),
        pytest.param({"nullable": False, "default": "'x'"}, [0, 12, 3, True, True], None, id="filled"),
        pytest.param({"nullable": True}, [0, 12, 0, True, True], None, id="looser"),
    ],
)
def test_a_changed_column_keeps_its_values_or_is_refused(change, counts, refusal):
    """The rows decide."""
    plan = planned(alter("note", **change), counted={0: counts})

    assert (plan.refusals[0] if plan.refusals else None) == refusal or refusal in plan.refusals[0]


def test_a_type_that_does_not_follow_by_itself_is_cast():
    """In either direction."""
    plan = planned(alter("note", type="INTEGER"), counted={0: [0, 12, 0, False, True]})

    assert plan.casts == ({"schema": None, "table": "orders", "column": "note"},)


def test_a_new_label_is_added_and_taken_out_again():
    """PostgreSQL removes no label, so the way back makes the type anew, with the default put back."""
    plan = planned(enums=({**MOODS, "labels": ["good", "fine", "bad"]},))

    assert plan.before == ("ALTER TYPE mood ADD VALUE 'fine' AFTER 'good'",)
    assert plan.after_back == (
        "ALTER TYPE mood RENAME TO mood_old",
        "CREATE TYPE mood AS ENUM ('good', 'bad')",
        "ALTER TABLE orders ALTER COLUMN mood DROP DEFAULT",
        "ALTER TABLE orders ALTER COLUMN mood TYPE mood USING mood::text::mood",
        "ALTER TABLE orders ALTER COLUMN mood SET DEFAULT 'good'::mood",
        "DROP TYPE mood_old",
    )


def test_a_label_that_rows_hold_is_not_taken_out():
    """With the rows counted; one that none holds is."""
    fewer = ({**MOODS, "labels": ["good"]},)

    assert "6 of 12 rows" in planned(enums=fewer, counted={"orders.mood": [6, 12]}).refusals[0]
    assert planned(enums=fewer, counted={"orders.mood": [0, 12]}).refusals == ()


def test_a_new_type_is_made_before_and_dropped_after():
    """Whoever uses it comes in between."""
    plan = planned(enums=(MOODS, {"schema": "app", "name": "order", "labels": ["it's"]}))

    assert plan.before == ("CREATE TYPE app.\"order\" AS ENUM ('it''s')",)
    assert plan.after_back == ('DROP TYPE app."order"',)


def test_tables_of_one_shape_are_a_rename():
    """Where one went and one came."""
    shape = [column("id", "INTEGER", nullable=False)]
    plan = planned(op("drop_table", table="shops", columns=shape), op("create_table", table="stores", columns=shape))

    assert [(one.table, one.old, one.new) for one in plan.renames] == [("", "shops", "stores")]


def test_only_what_may_lose_something_is_counted():
    """By the number of its operation."""
    add, drop = op("add_column", column=column("x")), op("drop_column", column=column("note"))
    queries = counting(Drift((add, drop), (MOODS,), SCHEMA)).split("END $$;")[-1]

    assert queries.strip() == 'SELECT json_build_array(1, count("note"), count(*)) FROM "public"."orders";'


@pytest.mark.parametrize(
    ("names", "text"),
    [(("public", "orders"), "orders"), (("app", "order"), 'app."order"'), ((None, "Mixed"), '"Mixed"')],
)
def test_names_are_quoted_where_they_must_be(names, text):
    """Reserved words and capitals."""
    assert spelt(*names) == text
