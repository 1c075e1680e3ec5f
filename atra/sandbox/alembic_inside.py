"""What runs a target's migrations in a box: alembic and the target's `env.py`, against the database beside it.

This one file enters the box and runs on the target's interpreter (3.9 or newer), which brings SQLAlchemy and alembic
(1.9 or newer). It talks JSON over the two descriptors that ATRA_REQUEST_FD and ATRA_RESULT_FD name, each message after
its length. With arguments it upgrades to `head` once and ends: the prelude of the target's tests.

Each request is done by a forked child, in which `env.py` and the models are imported afresh and which may hang, die or
print without harm to the conversation. What a child says is the target's own word: its code could forge it.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 9):  # the target's interpreter, not ATRA's
    sys.exit("Python 3.9 or newer is needed here")

import ctypes
import importlib.util
import io
import json
import os
import re
import select
import signal
import subprocess
import time
import traceback
from typing import Any, Iterator, Optional

Facts = dict[str, Any]

OUTPUT_LIMIT = 16_384
ANSWER_LIMIT = 32 << 20
DRIVERS = ("psycopg2", "psycopg", "asyncpg")
DUMPABLE = 4  # from linux/prctl.h


def main() -> None:
    """Answer requests until nobody asks any more, or upgrade once."""
    if sys.path and sys.path[0] == os.path.dirname(os.path.abspath(__file__)):
        del sys.path[0]
    if len(sys.argv) > 1:
        enter(json.loads(sys.argv[1]))
        Environment(json.loads(sys.argv[1])).upgrade("head")
        return
    ctypes.CDLL(None).prctl(DUMPABLE, 0, 0, 0, 0)
    read, write = int(os.environ.pop("ATRA_REQUEST_FD")), int(os.environ.pop("ATRA_RESULT_FD"))
    os.set_inheritable(read, False)
    os.set_inheritable(write, False)
    missing = what_is_missing()
    while (request := receive(read)) is not None:
        if missing:
            answer: Facts = {"missing": missing}
        elif request["do"] == "sql":
            answer = sql(request["script"], request["limit_s"], request.get("database", "atra"))
        else:
            answer = in_child(request, (read, write))
        send(write, answer)


def what_is_missing() -> str:
    """Import what the migrations need, and say what is not there."""
    try:
        import alembic
        import sqlalchemy
    except ImportError as error:
        return f"its interpreter has no {error.name}"
    if version(alembic.__version__) < (1, 9):
        return f"its alembic {alembic.__version__} is older than 1.9"
    import alembic.autogenerate
    import alembic.command
    import sqlalchemy.dialects.postgresql  # noqa: F401  imported once, for all children

    if not any(importlib.util.find_spec(name) for name in DRIVERS):
        return f"its interpreter has no PostgreSQL driver ({', '.join(DRIVERS)})"
    return ""


def version(text: str) -> tuple[int, ...]:
    """Return the first two numbers of a version."""
    return tuple(int(part) for part in re.findall(r"\d+", text)[:2])


# ---- conversation ----------------------------------------------------------------------------------------------------


def send(fd: int, message: Facts) -> None:
    """Write one message."""
    body = json.dumps(message).encode()
    data = memoryview(len(body).to_bytes(4, "big") + body)
    while data:
        data = data[os.write(fd, data) :]


def receive(fd: int) -> Optional[Facts]:
    """Return the next message, or None when nobody sends any more."""
    head = exactly(fd, 4)
    body = exactly(fd, int.from_bytes(head, "big")) if head else b""
    message: Optional[Facts] = json.loads(body) if body else None
    return message


def exactly(fd: int, size: int) -> bytes:
    """Return so many bytes, or none when the other side has gone."""
    data = b""
    while len(data) < size:
        if not (more := os.read(fd, size - len(data))):
            return b""
        data += more
    return data


def sql(script: str, limit_s: float, database: str) -> Facts:
    """Run a script of SQL and return what it put out, one line per row, as psql prints it unaligned."""
    try:
        done = subprocess.run(
            ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database],
            input=script,
            capture_output=True,
            text=True,
            timeout=limit_s,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"it took longer than {limit_s:.0f} s", "printed": ""}
    if done.returncode:
        return {"error": done.stderr.strip()[-OUTPUT_LIMIT:] or f"psql ended with {done.returncode}", "printed": ""}
    return {"out": done.stdout}


def in_child(request: Facts, closed: tuple[int, ...]) -> Facts:
    """Do a request in a child, held to its time; return its answer, or its error with what it printed."""
    answer_out, answer_in = os.pipe()
    printed_out, printed_in = os.pipe()
    pid = os.fork()
    if pid == 0:
        for fd in (*closed, answer_out, printed_out):
            os.close(fd)
        do(request, answer_in, printed_in)
    os.close(answer_in)
    os.close(printed_in)
    answer, printed = drain(pid, answer_out, printed_out, time.monotonic() + request["limit_s"])
    tail = printed[-OUTPUT_LIMIT:].decode(errors="replace")
    try:
        told = json.loads(answer)
    except ValueError:
        told = None
    if isinstance(told, dict):
        return {**told, "printed": tail}
    return {"error": "it ended, hung or was killed before it was done", "printed": tail}


def drain(pid: int, answer_fd: int, printed_fd: int, until: float) -> tuple[bytes, bytes]:
    """Read both pipes until the child has ended or its time has; kill it, and return what came."""
    end = os.pidfd_open(pid)
    data = {answer_fd: bytearray(), printed_fd: bytearray()}
    running = True
    while running and time.monotonic() < until:
        ready = select.select([*data, end], [], [], 0.25)[0]
        running = end not in ready
        for fd in ready:
            if fd != end:
                take(fd, data)
    try:
        os.killpg(pid, signal.SIGKILL)
    except OSError:
        pass
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        pass
    os.waitpid(pid, 0)
    for fd in data:  # what it said last; a process that it left behind may hold a pipe open for ever
        while select.select([fd], [], [], 0)[0] and take(fd, data):
            pass
        os.close(fd)
    os.close(end)
    return bytes(data[answer_fd]), bytes(data[printed_fd])


def take(fd: int, data: dict[int, bytearray]) -> int:
    """Read once from a pipe; what is beyond the limits is dropped at the front."""
    more = os.read(fd, 1 << 16)
    data[fd] += more
    if len(data[fd]) > ANSWER_LIMIT:
        del data[fd][:-OUTPUT_LIMIT]
    return len(more)


def do(request: Facts, answer_fd: int, printed_fd: int) -> None:
    """Do a request in this child and end it."""
    os.setsid()
    for fd in (1, 2):
        os.dup2(printed_fd, fd)
    os.set_inheritable(1, True)
    try:
        try:
            enter(request)
            body = json.dumps(Environment(request).do(request)).encode()
        except BaseException as error:  # whatever the target raises is its answer, SystemExit too
            told = f"{type(error).__name__}: {error}"[:OUTPUT_LIMIT]
            body = json.dumps({"error": told, "place": place_of(error, request["at"])}).encode()
        while body:
            body = body[os.write(answer_fd, body) :]
    finally:
        os._exit(0)


def place_of(error: BaseException, at: str) -> str:
    """Return the innermost line of the repository's own that the error passed, as path:line, or nothing."""
    own = [
        f"{os.path.relpath(frame.filename, at)}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename.startswith(f"{at}/") and "site-packages" not in frame.filename
    ]
    return own[-1] if own else ""


def enter(request: Facts) -> None:
    """Go where the target's `alembic` would be called, and let its modules be found as there."""
    where = os.path.join(request["at"], request["folder"])
    os.chdir(where)
    for path in (where, os.path.join(where, "src"), request["at"], os.path.join(request["at"], "src")):
        if os.path.isdir(path) and path not in sys.path:
            sys.path.append(path)


# ---- alembic ---------------------------------------------------------------------------------------------------------


class Environment:
    """The target's alembic environment, pointed at the database beside it."""

    def __init__(self, request: Facts) -> None:
        from alembic.config import Config

        given = (
            {"toml_file": request["config"]} if request["config"].endswith(".toml") else {"file_": request["config"]}
        )
        self.config = Config(stdout=io.StringIO(), **given)
        self.config.set_main_option("sqlalchemy.url", os.environ["ATRA_SCRATCH_URL"].replace("%", "%%"))
        if request["config"].endswith(".ini"):
            self.config.set_section_option("post_write_hooks", "hooks", "")  # programs of the developer's machine
        self.version_table = "alembic_version"

    def do(self, request: Facts) -> Facts:
        """Do what is asked for, one thing after the other, and return what came of them together."""
        answer: Facts = {}
        for name, *arguments in request["steps"]:
            answer.update(getattr(self, name)(*arguments))
        return answer

    def state(self) -> Facts:
        """Return the revisions: heads, newest first, and all ids."""
        from alembic.script import ScriptDirectory

        scripts = ScriptDirectory.from_config(self.config)
        revisions = [script.revision for script in scripts.walk_revisions()]
        folder = os.path.abspath(scripts.dir)
        return {"heads": list(scripts.get_heads()), "revisions": revisions, "script_location": folder}

    def upgrade(self, revision: str) -> Facts:
        """Upgrade to a revision."""
        from alembic import command

        command.upgrade(self.config, revision)
        return {"version_table": self.version_table}

    def downgrade(self, revision: str) -> Facts:
        """Downgrade to a revision."""
        from alembic import command

        command.downgrade(self.config, revision)
        return {}

    def sql(self, revisions: str) -> Facts:
        """Return the SQL of an upgrade from one revision to another, made offline; or why there is none."""
        from alembic import command

        self.config.output_buffer = io.StringIO()
        try:
            command.upgrade(self.config, revisions, sql=True)
        except Exception as error:  # whatever a revision does that needs a connection
            return {"sql": "", "no_sql": f"{type(error).__name__}: {error}"[:500]}
        return {"sql": self.config.output_buffer.getvalue(), "no_sql": ""}

    def compare(self) -> Facts:
        """Return what autogenerate finds between the models and the database, and the models' enumerations."""
        from alembic import command

        found: Facts = {"operations": [], "enums": []}

        def look(context: Any, revision: Any, directives: list[Any]) -> None:
            self.version_table = context.version_table
            found["version_table"] = context.version_table
            found["enums"] = [*enums_of(context.opts.get("target_metadata"))]
            for operations in directives[0].upgrade_ops_list:
                found["operations"] += [*facts_of(operations, Dialect(context), context.opts.get("target_metadata"))]
            directives[:] = []

        command.revision(self.config, message="look", autogenerate=True, process_revision_directives=look)
        return found

    def draft(self, plan: Facts) -> Facts:
        """Write the revision file by a plan, and return its path and its text."""
        from alembic import command

        def change(context: Any, revision: Any, directives: list[Any]) -> None:
            script = directives[0]
            for up, down in zip(script.upgrade_ops_list, script.downgrade_ops_list):
                Rewriting(plan, Dialect(context)).rewrite(up, down)

        made = command.revision(
            self.config,
            message=plan["message"],
            autogenerate=True,
            rev_id=plan["revision"],
            process_revision_directives=change,
        )
        script = next((one for one in made if one), None) if isinstance(made, list) else made
        if script is None:
            raise RuntimeError("env.py dropped the revision (its process_revision_directives)")
        with open(script.path, encoding="utf-8") as file:
            text = file.read()
        return {"path": os.path.abspath(script.path), "text": text}


class Dialect:
    """Spells types and values for the database at hand."""

    def __init__(self, context: Any) -> None:
        self.dialect = context.dialect

    def type(self, kind: Any) -> str:
        """Return a type as DDL."""
        try:
            return str(kind.compile(dialect=self.dialect))
        except Exception:  # a type of the target's own may do anything
            return type(kind).__name__

    def name(self, *parts: Optional[str]) -> str:
        """Return a name, with its schema where it has one, quoted where it must be."""
        quote = self.dialect.identifier_preparer.quote
        return ".".join(quote(part) for part in parts if part)


def enums_of(metadata: Any) -> Iterator[Facts]:
    """Yield each named enumeration of the models once."""
    from sqlalchemy import Enum

    seen = set()
    many = metadata if isinstance(metadata, (list, tuple)) else [metadata]
    for table in (table for one in many if one is not None for table in one.tables.values()):
        for column in table.columns:
            kind = getattr(column.type, "item_type", column.type)
            if isinstance(kind, Enum) and kind.name and kind.native_enum and (kind.schema, kind.name) not in seen:
                seen.add((kind.schema, kind.name))
                yield {"schema": kind.schema, "name": kind.name, "labels": list(kind.enums)}


def facts_of(container: Any, dialect: Dialect, metadata: Any) -> Iterator[Facts]:
    """Yield what each operation would do, as plain values."""
    for op in flat(container):
        facts = {"kind": kind_of(op), **told(op, dialect)}
        if facts["kind"] == "alter_column":
            facts["default"] = default_of(op, metadata, dialect)
        yield facts


def flat(container: Any) -> Iterator[Any]:
    """Yield the operations in a container, those in containers inside it too."""
    for op in container.ops:
        if hasattr(op, "ops"):
            yield from flat(op)
        else:
            yield op


def kind_of(op: Any) -> str:
    """Return the operation's name: AddColumnOp is add_column."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(op).__name__.removesuffix("Op")).lower()


def told(op: Any, dialect: Dialect) -> Facts:
    """Return what one operation is about."""
    facts: Facts = {"table": getattr(op, "table_name", None), "schema": getattr(op, "schema", None)}
    if type(op).__name__ in {"CreateTableOp", "DropTableOp"}:
        facts["columns"] = [column_facts(column, dialect) for column in op.to_table().columns]
    elif type(op).__name__ == "AddColumnOp":
        facts["column"] = column_facts(op.column, dialect)
    elif type(op).__name__ == "DropColumnOp":
        facts["column"] = column_facts(op.to_column(), dialect)
    elif type(op).__name__ == "AlterColumnOp":
        facts["name"] = op.column_name
        facts["nullable"] = op.modify_nullable
        facts["was_type"] = dialect.type(op.existing_type) if op.existing_type is not None else None
        facts["type"] = dialect.type(op.modify_type) if op.modify_type is not None else None
        facts["changes_default"] = op.modify_server_default is not False
    elif type(op).__name__ == "CreateForeignKeyOp":
        facts = {"table": op.source_table, "schema": op.kw.get("source_schema"), "columns": list(op.local_cols)}
        facts["referred"] = [op.kw.get("referent_schema"), op.referent_table, list(op.remote_cols)]
        facts["constraint"] = op.constraint_name and str(op.constraint_name)
    else:
        facts["constraint"] = str(getattr(op, "constraint_name", None) or getattr(op, "index_name", None) or "")
        columns = getattr(op, "columns", ())
        facts["columns"] = [str(getattr(column, "name", column)) for column in columns]
    return facts


def default_of(op: Any, metadata: Any, dialect: Dialect) -> Optional[str]:
    """Return the model's own default for a column that is changed, as SQL."""
    many = metadata if isinstance(metadata, (list, tuple)) else [metadata]
    key = f"{op.schema}.{op.table_name}" if op.schema else op.table_name
    tables = [one.tables[key] for one in many if one is not None and key in one.tables]
    column = next((table.columns[op.column_name] for table in tables if op.column_name in table.columns), None)
    return None if column is None else column_facts(column, dialect)["default"]


def column_facts(column: Any, dialect: Dialect) -> Facts:
    """Return what a column is; `default` is the model's own default where that is a plain value, as JSON."""
    facts = {
        "name": column.name,
        "type": dialect.type(column.type),
        "nullable": bool(column.nullable),
        "server_default": column.server_default is not None or column.computed is not None or bool(column.identity),
        "default": None,
        "calls": False,
        "references": bool(column.foreign_keys),
    }
    default = column.default
    if default is not None:
        facts["calls"] = not default.is_scalar
        facts["default"] = literal_of(default.arg, column.type, dialect) if default.is_scalar else None
    return facts


def literal_of(value: Any, kind: Any, dialect: Dialect) -> Optional[str]:
    """Return a plain value as SQL, or None where it cannot be spelt."""
    from sqlalchemy import literal

    try:
        spelt = literal(value, kind).compile(dialect=dialect.dialect, compile_kwargs={"literal_binds": True})
        return str(spelt).replace("%%", "%")
    except Exception:  # a type of the target's own may do anything
        return None


def typed(kind: Any) -> Any:
    """Return a column's type; an enumeration is made by a statement of its own, whoever comes first."""
    from sqlalchemy import Enum
    from sqlalchemy.dialects.postgresql import ENUM

    if isinstance(kind, Enum) and kind.native_enum and kind.name:
        return ENUM(*kind.enums, name=kind.name, schema=kind.schema, create_type=False)
    return kind


def name_constraint(op: Any) -> None:
    """Give a constraint without a name the one that PostgreSQL would; without one it could not be dropped again."""
    made = getattr(op, "_reverse", None) or op
    endings = {"CreateUniqueConstraintOp": "key", "CreateForeignKeyOp": "fkey"}
    if getattr(op, "constraint_name", "") is None and type(made).__name__ in endings:
        table = getattr(made, "source_table", None) or made.table_name
        columns = getattr(made, "local_cols", None) or [getattr(one, "name", one) for one in made.columns]
        op.constraint_name = "_".join([table, *columns])[:57] + "_" + endings[type(made).__name__]


class Rewriting:
    """Changes what autogenerate found into what the plan says: renames, fills, enumerations."""

    def __init__(self, plan: Facts, dialect: Dialect) -> None:
        self.plan, self.dialect = plan, dialect
        self.renames = {(one["schema"], one["table"], one["old"]): one["new"] for one in plan["column_renames"]}
        self.tables = {(one["schema"], one["old"]): one["new"] for one in plan["table_renames"]}
        self.back = {(schema, new): old for (schema, old), new in self.tables.items()}

    def rewrite(self, up: Any, down: Any) -> None:
        """Change both directions in place."""
        up.ops[:] = [op for one in up.ops for op in self.changed(one, forward=True)]
        down.ops[:] = [op for one in down.ops for op in self.changed(one, forward=False)]
        up.ops[:0] = self.statements("before")
        up.ops += self.statements("after")
        down.ops[:0] = self.statements("before_back")
        down.ops += self.statements("after_back")

    def statements(self, where: str) -> list[Any]:
        """Return the plan's own statements for a place."""
        from alembic.operations import ops

        return [ops.ExecuteSQLOp(statement) for statement in self.plan[where]]

    def changed(self, op: Any, *, forward: bool) -> Iterator[Any]:
        """Yield what stands for one operation of the top level."""
        from alembic.operations import ops

        if type(op).__name__ == "ModifyTableOps":
            yield from self.in_table(op, forward=forward)
            return
        key = (getattr(op, "schema", None), getattr(op, "table_name", None))
        tables, back = (self.tables, self.back) if forward else (self.back, self.tables)
        if type(op).__name__ == "DropTableOp" and key in tables:
            return
        if type(op).__name__ == "CreateTableOp" and key in back:
            old = self.dialect.name(op.schema, back[key])
            yield ops.ExecuteSQLOp(f"ALTER TABLE {old} RENAME TO {self.dialect.name(op.table_name)}")
            return
        for column in getattr(op, "columns", ()) if type(op).__name__ == "CreateTableOp" else ():
            if type(column).__name__ == "Column":
                column.type = typed(column.type)
        yield op

    def in_table(self, container: Any, *, forward: bool) -> Iterator[Any]:
        """Yield the operations on one table, cut where a statement of ours comes in between."""
        from alembic.operations import ops

        kept: list[Any] = []
        for op in container.ops:
            for new in self.in_column(op, forward=forward):
                if type(new).__name__ != "ExecuteSQLOp":
                    kept.append(new)
                    continue
                if kept:
                    yield ops.ModifyTableOps(container.table_name, kept, schema=container.schema)
                    kept = []
                yield new
        if kept:
            yield ops.ModifyTableOps(container.table_name, kept, schema=container.schema)

    def in_column(self, op: Any, *, forward: bool) -> Iterator[Any]:
        """Yield what stands for one operation on a column."""
        from alembic.operations import ops

        name = type(op).__name__
        if name == "AddColumnOp":
            renamed = self.old_name(op, forward=forward)
            if renamed:
                yield ops.AlterColumnOp(op.table_name, renamed, schema=op.schema, modify_name=op.column.name)
            else:
                yield from self.added(op, forward=forward)
        elif name == "DropColumnOp" and self.new_name(op, forward=forward):
            return
        elif name == "AlterColumnOp":
            yield from self.altered(op, forward=forward)
        else:
            name_constraint(op)
            yield op

    def old_name(self, op: Any, *, forward: bool) -> Optional[str]:
        """Return what an added column was called before, where it is a rename."""
        for (schema, table, old), new in self.renames.items():
            before, after = (old, new) if forward else (new, old)
            if (schema, table, after) == (op.schema, op.table_name, op.column.name):
                return str(before)
        return None

    def new_name(self, op: Any, *, forward: bool) -> bool:
        """Return whether a dropped column is one that is renamed."""
        for (schema, table, old), new in self.renames.items():
            if (schema, table, old if forward else new) == (op.schema, op.table_name, op.column_name):
                return True
        return False

    def added(self, op: Any, *, forward: bool) -> Iterator[Any]:
        """Yield how a column is added: one that must hold a value is filled in between."""
        from alembic.operations import ops

        column = op.column
        column.type = typed(column.type)
        fill = self.fill(op.schema, op.table_name, column.name, forward=forward)
        if fill is None or column.nullable:
            yield op
            return
        column.nullable = True
        yield op
        yield ops.ExecuteSQLOp(self.update(op.schema, op.table_name, column.name, fill))
        yield ops.AlterColumnOp(
            op.table_name, column.name, schema=op.schema, existing_type=column.type, modify_nullable=False
        )

    def altered(self, op: Any, *, forward: bool) -> Iterator[Any]:
        """Yield how a column is changed: NULLs are filled first, and a type is cast where that is said."""
        from alembic.operations import ops

        fill = self.fill(op.schema, op.table_name, op.column_name, forward=forward)
        if op.modify_nullable is False and fill is not None:
            column = self.dialect.name(op.column_name)
            update = self.update(op.schema, op.table_name, op.column_name, fill)
            yield ops.ExecuteSQLOp(f"{update} WHERE {column} IS NULL")
        casts = [[one["schema"], one["table"], one["column"]] for one in self.plan["casts"]]
        if op.modify_type is not None and [op.schema, op.table_name, op.column_name] in casts:
            table, column = self.dialect.name(op.schema, op.table_name), self.dialect.name(op.column_name)
            kind = self.dialect.type(op.modify_type)
            yield ops.ExecuteSQLOp(f"ALTER TABLE {table} ALTER COLUMN {column} TYPE {kind} USING {column}::{kind}")
            op.existing_type, op.modify_type = op.modify_type, None
            if not op.has_changes():
                return
        yield op

    def fill(self, schema: Optional[str], table: str, column: str, *, forward: bool) -> Optional[str]:
        """Return the plan's value for rows that a column is added to, as SQL."""
        for one in self.plan["fills" if forward else "fills_back"]:
            if (one["schema"], one["table"], one["column"]) == (schema, table, column):
                return str(one["value"])
        return None

    def update(self, schema: Optional[str], table: str, column: str, value: str) -> str:
        """Return the statement that fills a column."""
        return f"UPDATE {self.dialect.name(schema, table)} SET {self.dialect.name(column)} = {value}"


if __name__ == "__main__":
    main()
