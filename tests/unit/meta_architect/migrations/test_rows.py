"""What rows are tried, before any database judges them."""

import pytest

from atra.meta_architect.migrations.catalog import Column, Constraint, Schema, Table
from atra.meta_architect.migrations.rows import GUESSES, fill, guesses


def column(name: str, base: str, category: str = "S", **more: object) -> Column:
    """A column that must hold a value."""
    return Column(name, base, base, category, **{"not_null": True, **more})  # type: ignore[arg-type]


def values(one: Column, *constraints: Constraint, rows: int = 12) -> list[object]:
    """The values that are tried for one column."""
    return [row[one.name] for row in guesses(Table("public", "t", (one,), constraints), rows)]


def test_the_same_rows_come_each_time():
    """The proof sees what the draft saw."""
    table = Table("public", "t", (column("a", "text"), column("n", "integer", "N")))

    assert guesses(table, 20) == guesses(table, 20)
    assert len(guesses(table, 20)) == 20 * GUESSES


@pytest.mark.parametrize(
    ("base", "category", "more", "largest"),
    [
        pytest.param("character varying", "S", {"size": 50}, lambda v: max(map(len, v)) == 50, id="varchar"),
        pytest.param("smallint", "N", {}, lambda v: 32_700 < max(v) <= 32_767, id="smallint"),
        pytest.param("integer", "N", {}, lambda v: max(v) > 2**30, id="integer"),
        pytest.param("bigint", "N", {}, lambda v: max(v) > 2**60, id="bigint"),
        pytest.param("numeric", "N", {"digits": (6, 2)}, lambda v: max(map(len, v)) == 7, id="numeric"),
    ],
)
def test_some_values_are_as_large_as_the_type_allows(base, category, more, largest):
    """So a narrower type meets what would not fit; all are different."""
    found = values(column("a", base, category, **more))

    assert largest(found)
    assert len(set(found)) == len(found)


def test_every_fifth_value_may_be_missing():
    """So NOT NULL meets what it would meet."""
    assert [value is None for value in values(column("a", "text", not_null=False))[:10]] == [False] * 4 + [True] + [
        False
    ] * 4 + [True]


def test_checks_say_what_is_taken():
    """Texts and numbers that a constraint speaks of are tried."""
    status = Constraint("k", "c", "CHECK (status = ANY (ARRAY['open'::text, 'it''s'::text]))", ("status",))
    age = Constraint("k", "c", "CHECK (age >= 18)", ("age",))

    assert {"open", "it's"} <= set(values(column("status", "text"), status))
    assert 19 in values(column("age", "smallint", "N"), age)


def test_sized_types_get_their_size():
    """Vectors and bits."""
    vector, bits = (
        Column("a", f"{base}({size})", base, "U", not_null=True) for base, size in (("vector", 3), ("bit", 4))
    )

    assert values(vector)[5] == "[5,6,0]"
    assert values(bits)[5] == "0101"


def test_what_fills_itself_is_left_out():
    """Sequences, identities and generated columns."""
    own = (
        column("a", "integer", "N", default="nextval('t_a_seq'::regclass)"),
        column("b", "bigint", "N", identity="a"),
        column("c", "text", generated=True),
    )

    assert guesses(Table("public", "t", own), 3) == [{}] * 3 * GUESSES


def test_tables_come_in_an_order_in_which_they_can_be_filled():
    """What is referred to first; a circle is cut where a row may do without, or said."""

    def table(name: str, *to: str, nullable: bool = False) -> Table:
        columns = (
            column("id", "integer", "N"),
            *(column(f"{one}_id", "integer", "N", not_null=not nullable) for one in to),
        )
        keys = (Constraint(one, "f", "", (f"{one}_id",), ("public", one, ("id",))) for one in to)
        return Table("public", name, columns, tuple(keys))

    filling = fill(Schema((table("a", "b"), table("b"), table("c", "d", nullable=True), table("d", "c"))), 2)
    stuck = fill(Schema((table("x", "y"), table("y", "x"))), 2)

    order = [line.split('"')[3] for line in filling.script.splitlines() if 'INSERT INTO "public"' in line]
    assert order.index("b") < order.index("a")
    assert order.index("c") < order.index("d")
    assert 'UPDATE "public"."c"' in filling.later
    assert stuck.notes == ("x, y refer to one another in a circle that no row can begin",)
