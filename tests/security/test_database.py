"""A box with a database of its own: it works as any PostgreSQL, and opens nothing that another box keeps shut."""

import json
import sys
from dataclasses import replace

import pytest

from atra.embedded.postgres import needed, programs
from atra.sandbox.database import ABSTRACT, ADDRESS, FOLDER, DatabaseSandbox, ScratchDatabase
from atra.sandbox.policy import MIB, Limits

LIMITS = Limits(wall_s=60.0, disk_bytes=512 * MIB)


@pytest.fixture
def beside(inside) -> "Beside":
    """A way to run code beside a database."""
    return Beside(inside)


class Beside:
    """Runs Python code in a box with a database."""

    def __init__(self, inside) -> None:
        self.inside = inside

    def run(self, code: str, **changes: object):
        """Run the code to its end; it finds the database by variables, and `host` and `call` as elsewhere."""
        variables = {"URL": ADDRESS, "FOLDER": FOLDER, "ABSTRACT": ABSTRACT}
        given = ScratchDatabase(str(programs()), needed(), sys.executable, variables=variables)
        sandbox = DatabaseSandbox(self.inside.sandbox, replace(given, **changes))
        return sandbox.run(self.inside.command(code), replace(self.inside.policy, limits=LIMITS))

    def said(self, code: str, **changes: object) -> str:
        """Return the last word the code printed."""
        finished = self.run(code, **changes)
        return finished.output.decode(errors="replace").split()[-1]


SELECT = """
import sys
sys.path += %r
import psycopg2
for host in (os.environ["FOLDER"], os.environ["ABSTRACT"]):
    with psycopg2.connect(host=host, user="atra", dbname="atra") as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT version()")
        assert cursor.fetchone()[0].startswith("PostgreSQL 1")
assert os.environ["URL"].startswith("postgresql+psycopg2://atra@/atra?host=%%2Ftmp%%2F"), os.environ["URL"]
""" % [path for path in sys.path if "site-packages" in path]


def test_a_program_finds_a_database_beside_it(beside):
    """By its folder, and by its abstract socket; the variables are filled in."""
    assert beside.said(SELECT) == "done"


SERVER = """
import subprocess
pid = int(open(os.environ["FOLDER"] + "/data/postmaster.pid").readline())
status = dict(line.split(":", 1) for line in open(f"/proc/{pid}/status").read().splitlines() if ":" in line)
host = {name: status[name].strip() for name in ("Uid", "CapEff", "NoNewPrivs", "Seccomp")}
names = open("/proc/net/unix").read().split()
import json
print(json.dumps({**host, "abstract": sorted(name for name in names if name[0] == "@")}))
try:
    open("/usr/probe", "w")
except OSError as error:
    print(error.errno)
"""


def test_the_server_has_no_more_rights_than_the_code_beside_it(beside):
    """It is no root, has no capability, cannot gain one, is filtered; only its own abstract socket is to be seen."""
    facts, read_only, _ = beside.run(SERVER).output.decode().strip().splitlines()
    server = json.loads(facts)

    assert server["Uid"].split() == ["1000"] * 4
    assert int(server["CapEff"], 16) == 0
    assert (server["NoNewPrivs"], server["Seccomp"]) == ("1", "2")
    assert len(server["abstract"]) == 1
    assert server["abstract"][0].startswith("@atra-")
    assert read_only == "30"  # EROFS


TRIES = {
    "call('unshare', 0x10000000)": "EPERM",
    "call('ptrace', 16, 1, 0, 0)": "EPERM",
    "__import__('socket').create_connection(('1.1.1.1', 53), 5)": "ENETUNREACH",
    "__import__('socket').socket(16, 3)": "EAFNOSUPPORT",
    "open('/root/probe', 'w')": "EROFS",
}
TRY_ALL = """
import errno
for code in %r:
    try:
        eval(code)
        print("allowed")
    except OSError as error:
        print(errno.errorcode[error.errno])
"""
PROGRAM = """
import subprocess
for command in ("echo x > /usr/probe", "test -n \\"$ATRA_CANARY\\""):
    copy = f"COPY (SELECT 1) TO PROGRAM '{command}'"
    print(subprocess.run(["psql", "-X", "-c", copy], capture_output=True).returncode)
"""


def test_the_box_is_as_strict_as_any_other(beside):
    """The database opens no call, no family, no path."""
    said = beside.run(TRY_ALL % list(TRIES)).output.decode().split()

    assert said == [*TRIES.values(), "done"]


def test_a_superuser_of_the_database_stays_in_the_box(beside, monkeypatch):
    """Programs that the server starts write nowhere and see nothing of the host's environment."""
    monkeypatch.setenv("ATRA_CANARY", "canary-host")

    assert beside.run(PROGRAM).output.decode().split() == ["1", "1", "done"]


def test_two_boxes_have_two_databases(beside):
    """What one wrote, another does not find."""
    code = "import subprocess; subprocess.run(['psql', '-X', '-q', '-c', 'CREATE TABLE t ()'], check=True)"

    assert beside.said(code) == "done"
    assert beside.said(code) == "done"


def test_a_prelude_that_fails_keeps_the_program_from_starting(beside):
    """Tests do not run against a database that was not migrated."""
    finished = beside.run("print('started')", prelude=("/bin/sh", "-c", "echo no such revision; exit 5"))

    assert finished.exit_code == 5
    assert finished.output.decode().strip() == "no such revision"
