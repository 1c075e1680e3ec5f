"""Repositories whose models moved on, migrated in real boxes with a real PostgreSQL in each."""

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from atra.cli.main import run as atra
from atra.cli.migrate import as_migration
from atra.core.clock import utc_now
from atra.core.errors import AtraError
from atra.core.records import to_json
from atra.core.runs import new_id
from atra.core.settings import ModelSettings, RepositorySettings, Settings, load_settings
from atra.repository import Repository
from atra.self_repair.readers import read_text
from atra.wiring import Wiring, use
from tests.drifting import FIRST, ORDERS, drifting
from tests.targets import git, make_repository
from tests.wires import Turn, WireServer
from workers.app import app
from workers.intake import take_in
from workers.migrate_target import STEPS
from workers.pipelines import migrate_target
from workers.targets import make_target, migration_of
from workers.task import run_step

ROOT = Path(__file__).parents[2]
SECOND = FIRST.replace(
    '        sa.PrimaryKeyConstraint("id"),\n    )\n',
    '        sa.Column("mood", sa.Enum("good", "bad", name="mood"), server_default="good", nullable=False),\n'
    '        sa.Column("size", sa.Integer(), nullable=True),\n'
    '        sa.Column("label", sa.Text(), nullable=True),\n'
    '        sa.PrimaryKeyConstraint("id"),\n    )\n'
    '    op.create_table("shops", sa.Column("id", sa.Integer(), primary_key=True), sa.Column("name", sa.Text()))\n',
).replace(
    'op.drop_table("orders")', 'op.drop_table("shops")\n    op.drop_table("orders")\n    op.execute("DROP TYPE mood")'
)
MANY = (
    ORDERS
    + """    mood: Mapped[str] = mapped_column(sa.Enum("good", "bad", name="mood"), server_default="good")
    size: Mapped[int | None]
    label: Mapped[str | None] = mapped_column(sa.Text)


class Shop(Base):
    __tablename__ = "shops"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column(sa.Text)
"""
)
LINES = """

class Line(Base):
    __tablename__ = "lines"
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(sa.ForeignKey("orders.id"), index=True)
    kind: Mapped[str] = mapped_column(sa.Enum("sale", "gift", name="kind"))
"""
TESTS = """import os

import sqlalchemy as sa
from sqlalchemy.orm import Session

from models import Order


def test_an_order_is_kept():
    with Session(sa.create_engine(os.environ["DATABASE_URL"])) as session:
        session.add(Order(customer="ann"))
        session.flush()
        assert session.query(Order).count() == 1


def test_arithmetic():
    assert 1 + 1 == 2
"""


def changed(models: str, *changes: tuple[str, str]) -> str:
    """The models with these texts replaced, each of which must be there."""
    for old, new in changes:
        assert old in models
        models = models.replace(old, new)
    return models


@pytest.fixture
def wired(settings: Settings) -> Wiring:
    return use(settings)


def carried_out(wired: Wiring, root: Path, until: str = "commit", **options: Any) -> dict[str, Any]:
    """Carry the plan out, step by step as a worker does, and return the contract."""
    known = {name: options.pop(name) for name in ("commit", "generator") if name in options}
    target = make_target(Repository.open(root), wired.settings, python=Path(sys.executable), budget_s=60, **known)
    plan = migrate_target(wired.settings, target.generator)
    run = wired.runs.open(new_id("r"), plan, to_json(migration_of(target, wired.settings, **{"rows": 12, **options})))
    for name, _ in plan.steps:
        if run.state == "open":
            with suppress(AtraError):  # the run tells it
                run_step(name, run.id, 0, STEPS[name])
            run = wired.runs.get(run.id)
        if name == until:
            break
    return as_migration(run, wired.runs.steps(run.id), wired.ledger.calls(run.id))


def test_drift_becomes_a_proved_commit(wired: Wiring, tmp_path: Path):
    """A table, a new type and another label, a rename, fills, keys: written, rehearsed with rows, tested, told."""
    models = changed(
        MANY,
        ('sa.Enum("good", "bad", name', 'sa.Enum("good", "fine", "bad", name'),
        ("label:", "title:"),
        ("size: Mapped[int | None]", "size: Mapped[int] = mapped_column(sa.BigInteger, default=7)"),
        (
            "note: Mapped[str | None] = mapped_column(sa.String(200))",
            "note: Mapped[str | None] = mapped_column(sa.Text)",
        ),
        (
            "sa.String(80))",
            'sa.String(80))\n    shop_id: Mapped[int | None] = mapped_column(sa.ForeignKey("shops.id"))',
        ),
    )
    root = drifting(tmp_path / "shop", models + LINES, first=SECOND, **{"tests/test_orders.py": TESTS})

    result = carried_out(wired, root)
    message = git(root, "log", "-1", "--format=%B", result["branch"])

    assert (result["status"], result["refusals"]) == ("migrated", [])
    assert result["rows"] == {"orders": 12, "shops": 12}
    assert set(result["changes"]) >= {
        "create table lines", "rename orders.label to title", "require orders.size", "create type kind",
        "add 'fine' to type mood",
    }  # fmt: skip
    assert (result["tests_fixed"], len(result["tests_passing"])) == (["tests/test_orders.py::test_an_order_is_kept"], 2)
    assert result["files"] == sorted([result["path"], result["sql_path"]])
    assert git(root, "show", f"{result['branch']}:{result['path']}") in result["diff"].replace("\n+", "\n")
    assert "ALTER TYPE mood ADD VALUE 'fine' AFTER 'good';" in git(
        root, "show", f"{result['branch']}:{result['sql_path']}"
    )
    assert "Atra-Tests: 1 fixed, 2 passing, 0 failing" in message
    assert "ALTER TABLE orders ALTER COLUMN size SET NOT NULL\n  reads all of orders" in message


def test_what_would_lose_values_is_refused_with_the_rows_counted(wired: Wiring, tmp_path: Path):
    """All of it at once, and nothing is written to the repository."""
    models = changed(
        MANY,
        ('"good", "bad", name', '"good", name'),
        ("String(200)", "String(50)"),
        ("size: Mapped[int | None]", "size: Mapped[int]"),
        (
            "label: Mapped[str | None]",
            "title: Mapped[str | None] = mapped_column(sa.Text)\n    head: Mapped[str | None]",
        ),
        ("    customer: Mapped[str] = mapped_column(sa.String(80))\n", "    due: Mapped[int]\n"),
    )

    root = drifting(tmp_path / "shop", models, first=SECOND)
    result = carried_out(wired, root)

    assert result["status"] == "refused"
    assert [refusal.split(";")[0] for refusal in sorted(result["refusals"])] == [
        "'bad' leaves type mood, and 6 of 12 rows of the filled copy hold it in orders.mood",
        "drops orders.customer: 12 of 12 rows of the filled copy would lose a value",
        "narrows orders.note from VARCHAR(200) to VARCHAR(50): 4 of 12 rows of the filled copy would lose a value",
        "orders.due must hold a value and nothing says which one rows that are there get: the model has no default",
        "orders.label looks like a rename of label to title or head, and nothing says which",
        "orders.size must hold a value and 2 of 12 rows of the filled copy hold NULL",
    ]
    assert git(root, "branch", "--format=%(refname:short)") == "main"


def test_a_loss_that_is_named_is_carried_out_and_told(wired: Wiring, tmp_path: Path):
    """The downgrade works all the same; where there are no tests, that is said."""
    models = changed(
        ORDERS, ("String(200)", "String(50)"), ("    customer: Mapped[str] = mapped_column(sa.String(80))\n", "")
    )

    root = drifting(tmp_path / "shop", models)
    result = carried_out(wired, root, allow_loss=("orders.note", "orders.customer"), commit=False)

    assert (result["status"], result["commit"]) == ("migrated", None)
    assert sorted(loss.split(":")[1] for loss in result["lost"]) == [
        " 12 of 12 rows of the filled copy would lose a value",
        " 4 of 12 rows of the filled copy would lose a value",
    ]
    assert "No tests were collected" in result["tests_not_run"]


def test_models_that_agree_need_nothing(wired: Wiring, tmp_path: Path):
    """That is no failure."""
    assert carried_out(wired, drifting(tmp_path / "shop", ORDERS))["status"] == "nothing_to_migrate"


@pytest.mark.parametrize(
    ("files", "says"),
    [
        pytest.param({"alembic.ini": ""}, "There is no alembic.ini to be found", id="no-alembic"),
        pytest.param({"env": "import nope\n"}, "No module named 'nope' (migrations/env.py:1)", id="env"),
        pytest.param({"first": FIRST.replace("sa.Integer()", "sa.Nope()")}, "5a1_create_orders.py:19)", id="migration"),
        pytest.param(
            {"migrations/versions/b.py": FIRST.replace("5a1", "5a2")}, "several heads (5a1, 5a2)", id="two-heads"
        ),
    ],
)
def test_what_cannot_be_run_is_said(wired: Wiring, tmp_path: Path, files: dict[str, str], says: str):
    """With the place, in one sentence."""
    result = carried_out(wired, drifting(tmp_path / "shop", ORDERS, **files))

    assert result["status"] == "error"
    assert says in result["error"]


HOSTILE = """
import os, socket, subprocess
from pathlib import Path

seen = [os.environ.get("ATRA_CANARY"), os.path.exists({secret!r})]
for attempt in (
    lambda: Path({root!r}, "planted").write_text("x"),
    lambda: Path("/usr/planted").write_text("x"),
    lambda: socket.create_connection(("127.0.0.1", 6379), 2),
    lambda: socket.create_connection(("1.1.1.1", 53), 2),
):
    try:
        attempt()
        seen.append("done")
    except OSError as error:
        seen.append(type(error).__name__)
if os.path.exists("/tmp/bomb"):
    while True:
        os.fork()
raise RuntimeError(seen)
"""


def test_a_hostile_environment_gets_nothing(wired: Wiring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """No secret of the host, no file outside the box, no network; what it writes in the tree is a copy's."""
    (tmp_path / "secret").write_text("canary")
    monkeypatch.setenv("ATRA_CANARY", "canary")
    root = tmp_path / "shop"
    drifting(root, ORDERS, env=HOSTILE.format(root=str(root), secret=str(tmp_path / "secret")))

    result = carried_out(wired, root)

    assert "[None, False, 'done', 'OSError', 'ConnectionRefusedError', 'OSError']" in result["error"]
    assert not (root / "planted").exists()


def test_processes_without_end_are_ended(wired: Wiring, tmp_path: Path):
    """A fork bomb is an error like any other."""
    result = carried_out(wired, drifting(tmp_path / "shop", ORDERS, env="import os\nwhile True:\n    os.fork()\n"))

    assert result["status"] == "error"


SPLIT = (
    'class Order(Base):\n    __tablename__ = "orders"\n    id: Mapped[int] = mapped_column(primary_key=True)\n'
    "    first: Mapped[str] = mapped_column(sa.String(80))\n    last: Mapped[str] = mapped_column(sa.String(80))\n"
    "    note: Mapped[str | None] = mapped_column(sa.String(200))\n"
)
WRITTEN = '''"""Split the customer into first and last name.

Revision ID: {revision}
Revises: 5a1
"""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "5a1"


def upgrade():
    op.add_column("orders", sa.Column("first", sa.String(80)))
    op.add_column("orders", sa.Column("last", sa.String(80)))
    op.execute("UPDATE orders SET first = split_part(customer, ' ', 1)")
    op.execute("UPDATE orders SET last = substr(customer, strpos(customer, ' ') + 1)")
    op.alter_column("orders", "first", nullable=False)
    op.alter_column("orders", "last", nullable=False)
    op.drop_column("orders", "customer")


def downgrade():
    op.add_column("orders", sa.Column("customer", sa.String(80)))
    {fill}
    op.alter_column("orders", "customer", nullable=False)
    op.drop_column("orders", "last")
    op.drop_column("orders", "first")
'''
FILLS = {
    "forgetful": 'op.execute("UPDATE orders SET customer = first")',
    "faithful": "op.execute(\"UPDATE orders SET customer = first || ' ' || last\")",
}


class Play:
    """A server that writes the revision, first with a downgrade that forgets, then with one that does not."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.server = WireServer(self.answer)

    def answer(self, body: dict[str, Any]) -> Turn:
        told = [str(message["content"]) for message in body["messages"]]
        self.asked.append(told[-1])
        revision = told[1].split("Revision ID: ")[1].split("\n")[0].split("\\n")[0]
        fill = FILLS["forgetful" if len(self.asked) == 1 else "faithful"]
        return Turn(
            f"It is split at the first blank.\n\n```python\n{WRITTEN.format(revision=revision, fill=fill)}```\n"
        )


@pytest.fixture
def play() -> Iterator[Play]:
    played = Play()
    with played.server:
        yield played


def test_a_model_writes_what_autogenerate_cannot_see(settings: Settings, play: Play, tmp_path: Path):
    """It is shown what its first try loses; the second one is proved like any other."""
    given = {"provider": "openai-compatible", "model": "m", "base_url": play.server.url, "input_usd": 2.0}
    model = ModelSettings(**{**given, "output_usd": 8.0, "api_key": SecretStr("key-of-this-model")})
    wired = use(settings.model_copy(update={"models": {"cheap": model}}))
    root = drifting(tmp_path / "shop", SPLIT)

    result = carried_out(wired, root, until="rehearse")

    assert (result["generator"], result["model_calls"], result["refusals"]) == ("model/cheap", 2, [])
    assert "looks like a rename of customer to first or last" in play.asked[0]
    assert "orders.customer does not keep its values through the downgrade: 12 of 12 rows" in play.asked[1]
    assert result["changes"] == ["Split the customer into first and last name"]
    assert "UPDATE orders SET first = split_part" in result["sql"]


def test_a_report_of_drift_opens_a_migration(
    settings: Settings, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """What `alembic check` printed is enough; without alembic a person is told."""
    shop, bare = drifting(tmp_path / "shop", ORDERS + LINES), make_repository(tmp_path / "bare", {"a.py": "\n"})
    known = {name: RepositorySettings(path=path) for name, path in (("shop", shop), ("bare", bare))}
    wired = use(settings.model_copy(update={"repositories": known}))
    monkeypatch.setattr(app.conf, "broker_url", redis_url)
    printed = "FAILED: New upgrade operations detected: [('add_table', Table('lines'))]\n"
    (report,) = read_text(printed, "shop", utc_now())

    taken, without = take_in(wired, report), take_in(wired, replace(report, repository="bare", id=new_id("i")))

    assert taken.run is not None
    assert (taken.run.kind, taken.failure.path, taken.run.failure_id) == ("migrate_target", "migrate", taken.failure.id)
    assert without.run is None
    assert "no alembic.ini" in without.why


def test_atra_migrates_itself(wired: Wiring, tmp_path: Path):
    """Its own models with a column more: the next number, the house's template, no other drift."""
    root = tmp_path / "atra"
    for name in ("atra", "migrations", "alembic.ini"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        root.mkdir(exist_ok=True)
        copy(
            ROOT / name,
            root / name,
            **({"ignore": shutil.ignore_patterns("__pycache__")} if copy == shutil.copytree else {}),
        )
    tables = root / "atra" / "storage" / "tables.py"
    planted = '"failures",\n    metadata,\n'
    tables.write_text(changed(tables.read_text(), (planted, f'{planted}    Column("owner", Text, index=True),\n')))
    make_repository(root, {})
    newest = sorted((ROOT / "migrations" / "versions").glob("0*.py"))[-1].name[:4]

    result = carried_out(wired, root, until="rehearse", rows=3)

    assert (result["refusals"], result["follows"], int(result["revision"])) == ([], newest, int(newest) + 1)
    assert result["changes"] == ["add column failures.owner (TEXT)", "add index ix_failures_owner on failures (owner)"]
    assert {table: rows for table, rows in result["rows"].items() if rows != 3} == {"cache_standing": 1}  # all it holds


def test_the_command_says_what_came_of_it(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """In JSON, with the exit code of bad input, before any service is started."""
    load_settings.cache_clear()
    monkeypatch.setenv("ATRA_HOME", str(tmp_path / "home"))

    code = atra(["migrate-target", str(tmp_path), "--json"])
    load_settings.cache_clear()

    assert code == 2
    assert "is not inside a git repository" in json.loads(capsys.readouterr().out)["error"]
