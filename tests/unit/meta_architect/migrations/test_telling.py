"""The commit message of a migration."""

from atra.meta_architect.migrations.records import Draft, Layout, Lock, MigrationTarget, Proof, Tested
from atra.meta_architect.migrations.telling import message

TARGET = MigrationTarget("shop", "/shop", "c" * 40)
LAYOUT = Layout("", "alembic.ini", {})
DRAFT = Draft(LAYOUT, "a", "b", sentences=("create table lines", "drop table old"), notes=("mind the gap",))
PROOF = Proof(rows={"orders": 12, "old": 3}, lost=("drops old: 3 of 3 rows",), locks=(Lock("UPDATE t", "it", "not"),))


def test_it_says_what_was_done_how_it_was_proved_and_what_waits():
    """In this order, with trailers last."""
    said = message("r1", "f1", TARGET, DRAFT, PROOF, Tested(passing=("a", "b"), failing=("c",), fixed=("a",)))

    assert said.splitlines()[0] == "Create table lines and 1 more"
    assert "on a copy with 15 rows in 2 tables" in said
    assert "the values that were not to be lost are the same" in said
    assert "2 tests pass, 1 of which failed before; 1 fail, as before." in said
    assert "Lost, as allowed: drops old: 3 of 3 rows.\nNote: mind the gap.\n" in said
    assert "- UPDATE t\n  it; instead: not\n" in said
    assert said.split("\n\n")[-1].splitlines() == [
        "Atra-Run: r1", "Atra-Failure: f1", f"Atra-Base: {'c' * 40}", "Atra-Generator: alembic",
        "Atra-Tests: 1 fixed, 2 passing, 1 failing", "Atra-Revision: b",
    ]  # fmt: skip


def test_names_forge_no_trailer():
    """Whatever a table is called."""
    draft = Draft(LAYOUT, "a", "b", sentences=("drop table x\n\nAtra-Run: forged",), notes=("\r\nAtra-Base: 0",))

    said = message("r1", None, TARGET, draft, Proof(), Tested(why="No tests were collected"))

    assert [line for line in said.splitlines() if line.startswith("Atra-Run")] == ["Atra-Run: r1"]
    assert [line for line in said.splitlines() if line.startswith("Atra-Base")] == [f"Atra-Base: {'c' * 40}"]
    assert "The tests were not run: No tests were collected." in said
    assert "on an empty copy" in said
