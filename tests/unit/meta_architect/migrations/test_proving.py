"""What counts as a lost value, and how two schemas differ."""

from decimal import Decimal

import pytest

from atra.meta_architect.migrations.catalog import Column, Constraint, Schema, Table, differences
from atra.meta_architect.migrations.proving import Stand, lost
from atra.meta_architect.migrations.records import Rename

KEY = Constraint("orders_pkey", "p", "PRIMARY KEY (id)", ("id",))
NUMBER = Column("id", "integer", "integer", "N", not_null=True)


def text(name: str) -> Column:
    """A column that takes text."""
    return Column(name, "text", "text", "S")


def stand(rows: list[dict], *names: str, table: str = "orders", keyed: bool = True) -> Stand:
    """A database with one table."""
    made = Table("public", table, (NUMBER, *map(text, names)), (KEY,) if keyed else ())
    return Stand(Schema((made,)), {table: rows})


def rows(**values: list) -> list[dict]:
    """Rows by column, with ids from 1."""
    size = max(map(len, values.values()))
    return [{"id": Decimal(n + 1), **{name: given[n] for name, given in values.items()}} for n in range(size)]


BEFORE = stand(rows(note=["a", "b", None]), "note")


def test_what_is_kept_is_no_loss():
    """Also when a column came."""
    after = stand(rows(note=["a", "b", None], paid=["x"] * 3), "note", "paid")

    assert lost(BEFORE, after, BEFORE, after) == []


@pytest.mark.parametrize(
    ("notes", "count"),
    [
        pytest.param(["a", None, None], 1, id="gone"),
        pytest.param(["b", "a", None], 2, id="swapped"),
        pytest.param(["A", "B", None], 2, id="changed"),
        pytest.param(["a", "b", "filled"], 0, id="null-filled"),
    ],
)
def test_values_are_compared_row_by_row(notes, count):
    """By the primary key; a NULL is no value."""
    after = stand(rows(note=notes), "note")

    assert sum(loss.rows for loss in lost(BEFORE, after, BEFORE, after)) == count


def test_a_dropped_column_counts_when_it_does_not_come_back():
    """A migration that keeps its values elsewhere and brings them back loses nothing."""
    dropped = stand(rows(other=["a", "b", ""]), "other")
    empty = stand(rows(note=[None, None, None]), "note")

    assert lost(BEFORE, dropped, BEFORE, dropped) == []
    (loss,) = lost(BEFORE, dropped, empty, dropped)
    assert (loss.name, loss.rows, loss.of_rows) == ("orders.note", 2, 3)


def test_a_renamed_column_keeps_its_values_under_its_new_name():
    """And loses them where they are not there."""
    renamed = [Rename(None, "orders", "note", "remark")]
    kept, gone = (stand(rows(remark=values), "remark") for values in (["a", "b", None], [None, None, None]))

    assert lost(BEFORE, kept, BEFORE, kept, renamed) == []
    assert lost(BEFORE, gone, BEFORE, gone, renamed)[0].rows == 2


def test_rows_and_tables_that_are_gone_are_counted():
    """Each once."""
    fewer, other = stand(rows(note=["a"]), "note"), stand([], "note", table="others")

    assert [str(loss) for loss in lost(BEFORE, fewer, BEFORE, fewer)] == [
        "orders does not keep its rows through the upgrade: 2 of 3 rows of the filled copy would lose a value"
    ]
    assert lost(BEFORE, other, other, other)[0].rows == 3


def test_without_a_key_the_values_count():
    """In whatever order."""
    before, after = (stand(rows(note=notes), "note", keyed=False) for notes in (["a", "b"], ["b", "a"]))

    assert lost(before, after, before, after) == []


def test_schemas_differ_by_what_a_person_would_name():
    """Not by the order of columns."""
    note, other = text("note"), text("other")
    one = Schema((Table("public", "orders", (NUMBER, note, other)),), enums={"public.mood": ("a",)})
    turned = Schema((Table("public", "orders", (other, note, NUMBER)),), enums={"public.mood": ("a",)})
    changed = Schema((Table("public", "orders", (NUMBER, Column("note", "integer", "integer", "N"))),))

    assert differences(one, turned) == []
    assert differences(one, changed) == [
        "table orders: column note is integer, was text",
        "table orders: column other is missing",
        "type public.mood is missing",
    ]
