"""The commands as a user runs them, through a real stack: contracts, exit codes, and what stays untouched."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from atra.cli.repair import Interrupted, stopping
from atra.cli.stack import Crew, StackInfo, temporary_stack
from atra.core.clock import utc_now
from atra.core.records import to_json
from atra.core.runs import Plan, new_id
from atra.core.settings import Settings
from atra.llm.budget import Bill, Budgets, Wanted
from atra.llm.prices import Price
from atra.llm.records import Usage
from atra.meta_architect.records import Target
from atra.orchestrator.paths import Path as Way
from atra.orchestrator.paths import Situation
from atra.self_repair.records import Report
from atra.storage.database import connect
from atra.storage.failures import FailureStore
from atra.storage.ledger import LedgerStore
from atra.storage.paths import row_of
from atra.storage.runs import RunStore
from atra.war_room.seats import ROOM
from atra.wiring import Wiring
from tests.drifting import ORDERS, drifting
from tests.services.watching import eventually
from tests.targets import git, make_repository, small_shop

CONTRACT = {
    "status", "run_id", "branch", "commit", "base", "files", "diff", "generator", "template", "candidates_tried",
    "candidates_per_second", "seconds", "failing_before", "passing_before", "failing_after", "passing_after",
    "confidence", "alternatives", "error",
}  # fmt: skip

BROKEN_TEST = "def test_a():\n    assert 1 == 2\n"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackInfo]:
    """A stack for all tests of this module."""
    settings = Settings(_env_file=None, home=tmp_path_factory.mktemp("stack") / "home", shards=2)
    with temporary_stack(settings, Crew(workers=2)) as running:
        yield running.info


@pytest.fixture
def atra(stack: StackInfo, tmp_path: Path):
    """Run a command as a user would and return its exit code, its output and its complaint."""

    def run(*arguments: str, given: str = "", config: Path | None = None, **more: str) -> tuple[int, str, str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ATRA_")}
        environment |= {
            "ATRA_DATABASE_URL": stack.database_url,
            "ATRA_REDIS_URL": stack.redis_url,
            "ATRA_CONFIG": str(config or os.devnull),
            "ATRA_HOME": str(tmp_path / "home"),
            **more,
        }
        done = subprocess.run(
            (sys.executable, "-m", "atra", *arguments),
            cwd=tmp_path, env=environment, input=given, capture_output=True, text=True, timeout=240,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    return run


def state_of(repository: Path) -> tuple[str, ...]:
    """Everything of a repository that a repair must not touch."""
    index = hashlib.sha256((repository / ".git" / "index").read_bytes()).hexdigest()
    files = sorted(path for path in repository.rglob("*") if path.is_file() and ".git" not in path.parts)
    contents = hashlib.sha256(b"".join(str(path).encode() + path.read_bytes() for path in files)).hexdigest()
    return git(repository, "rev-parse", "HEAD"), git(repository, "status", "--porcelain"), index, contents


def test_a_failing_test_becomes_a_commit(atra, tmp_path: Path):
    """The whole contract: exit code 0, every field, one commit with trailers on a branch, nothing else touched."""
    repository = small_shop(tmp_path / "a shop")
    before = state_of(repository)

    code, said, complaint = atra("repair", str(repository), "--json")

    result = json.loads(said)
    assert code == 0, complaint
    assert set(result) >= CONTRACT
    assert result["status"] == "fixed"
    assert result["branch"] == f"atra/repair-{result['run_id']}"
    assert git(repository, "rev-parse", result["branch"]) == result["commit"]
    assert git(repository, "rev-parse", f"{result['branch']}^") == result["base"] == before[0]
    assert git(repository, "diff", "--name-only", "main", result["branch"]).split() == result["files"]
    assert (result["failing_before"], result["failing_after"]) == (["tests/test_cart.py::test_total[10-950]"], [])
    assert len(result["passing_after"]) == 4
    trailers = git(repository, "log", "-1", "--format=%(trailers:only,unfold)", result["branch"])
    assert f"Atra-Run: {result['run_id']}" in trailers
    assert state_of(repository) == before

    code, said, _ = atra("revert", result["run_id"], "--json")
    assert code == 0
    assert git(repository, "diff", "main", json.loads(said)["branch"]) == ""
    assert state_of(repository) == before


def test_runs_and_show_tell_what_happened(atra, tmp_path: Path):
    """A run is listed, and shown with every step settled; its id may be shortened."""
    repository = small_shop(tmp_path / "shop")
    run_id = json.loads(atra("repair", str(repository), "--json", "--no-commit")[1])["run_id"]

    listed = {run["run_id"]: run for run in json.loads(atra("runs", "--json")[1])}
    code, said, _ = atra("show", run_id[:8], "--json")

    shown = json.loads(said)
    assert code == 0
    assert listed[run_id]["status"] == "fixed"
    assert [step["name"] for step in shown["steps"] if step["state"] == "settled"] == [
        "reproduce", "diagnose", "propose", "try", "try", "choose", "verify"
    ]  # fmt: skip
    assert git(repository, "branch", "--list", "atra/*") == ""
    assert "verify" in atra("show", run_id)[1]


def test_a_green_suite_is_nothing_to_repair(atra, tmp_path: Path):
    """Exit code 0 and the reason."""
    repository = make_repository(tmp_path / "green", {"test_a.py": "def test_a():\n    pass\n"})

    code, said, _ = atra("repair", str(repository), "--json")

    assert (code, json.loads(said)["status"], json.loads(said)["reason"]) == (
        0, "nothing_to_repair", "all 1 tests pass"
    )  # fmt: skip


@pytest.mark.parametrize("command", ["repair", "migrate-target"])
def test_an_interruption_prints_one_value(stack: StackInfo, tmp_path: Path, command: str):
    """Ctrl-C while a step is held: the run ends, and a program still reads which one it was and how."""
    slow = {"test_a.py": "import time\n\n\ndef test_a():\n    time.sleep(60)\n"}
    repository = make_repository(tmp_path / "s", slow) if command == "repair" else drifting(tmp_path / "s", ORDERS)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ATRA_")}
    environment |= {"ATRA_DATABASE_URL": stack.database_url, "ATRA_REDIS_URL": stack.redis_url}
    environment |= {"ATRA_CONFIG": os.devnull, "ATRA_HOME": str(tmp_path / "home")}
    arguments = (sys.executable, "-m", "atra", command, str(repository), "--json")
    runs = RunStore(connect(stack.database_url))
    with subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, text=True) as asking:
        eventually(lambda: any(leased(runs, run.id) for run in runs.recent(1) if run.input["path"] == str(repository)))
        asking.send_signal(signal.SIGINT)
        said, _ = asking.communicate(timeout=30)

    [run] = runs.recent(1)
    assert (asking.returncode, run.state) == (130, "ended")
    assert json.loads(said) == {
        "status": run.outcome, "run_id": run.id, "reason": run.reason, "error": "interrupted",
        "hint": f"`atra show {run.id}` says how far it came.",
    }  # fmt: skip
    assert run.outcome in ({"cancelled"} if command == "repair" else {"cancelled", "nothing_to_migrate"})


def test_an_interruption_stops_a_run_that_was_just_written_down(stack: StackInfo):
    """A worker may have the run before the command has begun to watch it; before it is written, nothing is to stop."""
    wired = Wiring(stack.settings(Settings(_env_file=None)))
    run_id = new_id("r")

    with pytest.raises(KeyboardInterrupt), stopping(wired, run_id):
        raise KeyboardInterrupt
    wired.runs.open(run_id, Plan("self_repair", (("reproduce", 1),)), {})
    with pytest.raises(Interrupted) as interrupted, stopping(wired, run_id):
        raise KeyboardInterrupt

    assert interrupted.value.as_facts()["run_id"] == run_id
    assert wired.runs.get(run_id).outcome == "cancelled"


def leased(runs: RunStore, run_id: str) -> bool:
    return any(step.state == "leased" for step in runs.steps(run_id))


def test_what_no_patch_mends_is_not_fixed(atra, tmp_path: Path):
    """A test that contradicts itself ends with exit code 1, no branch, and what was tried."""
    repository = make_repository(
        tmp_path / "hopeless",
        {
            "shop.py": "def price():\n    return 1\n",
            "test_a.py": (
                "from shop import price\n\n\ndef test_a():\n    assert price() == 1\n    assert price() == 2\n"
            ),
        },
    )

    code, said, _ = atra("repair", str(repository), "--json", "--budget-seconds", "60")

    result = json.loads(said)
    assert (code, result["status"], result["commit"]) == (1, "not_fixed", None)
    assert result["candidates_tried"] > 0
    assert git(repository, "branch", "--list", "atra/*") == ""


@pytest.mark.parametrize("needs", ["test_table.py", "conftest.py", "tests/unit/conftest.py"])
def test_code_that_raises_while_it_is_imported_is_repaired(atra, tmp_path: Path, needs: str):
    """What cannot be collected for it is the failing test: a file, or all tests below the folder of a conftest."""
    widest = "def widest(names):\n    return len(names[len(names)])\n\n\n"
    table = f"NAMES = ('a', 'bc', 'def')\n\n\n{widest}MOST = widest(NAMES)\n"
    test = "def test_most():\n    from table import MOST, widest\n    assert (MOST, widest(['abcd'])) == (3, 4)\n"
    files = {
        "table.py": table,
        "conftest.py": "",
        "tests/unit/test_more.py": test,
        "test_other.py": "def test(): pass\n",
    }
    files[needs] = f"import table\n\n\n{test if 'test_' in needs else ''}"
    repository = make_repository(tmp_path / "table", files)

    code, said, complaint = atra("repair", str(repository), "--json", "--test-command", "pytest tests/unit . -q")

    assert code == 0, said + complaint
    result = json.loads(said)
    assert (result["files"], result["failing_before"]) == (["table.py"], [needs, *result["failing_before"][1:]])
    assert result["failing_after"] == []
    assert set(result["passing_after"]) >= {"test_other.py::test", "tests/unit/test_more.py::test_most"}


BAD: dict[str, tuple[dict[str, str], tuple[str, ...], str]] = {
    "no tests": ({"a.py": "x = 1\n"}, (), "No tests"),
    "syntax error": ({"a.py": "def f(:\n", "test_a.py": "import a\n\n\ndef test_a():\n    pass\n"}, (), "SyntaxError"),
    "unknown test": ({"test_a.py": BROKEN_TEST}, ("--test", "test_a.py::test_b"), "test_b"),
    "unknown command": ({"test_a.py": BROKEN_TEST}, ("--test-command", "no-such-program"), "no-such-program"),
    "unreadable command": ({"test_a.py": BROKEN_TEST}, ("--test-command", "pytest 'x"), "quotation"),
    "unknown revision": ({"test_a.py": BROKEN_TEST}, ("--revision", "nowhere"), "nowhere"),
    "no interpreter": ({"test_a.py": BROKEN_TEST}, ("--python", "/nowhere/python"), "/nowhere/python"),
    "no pytest": ({"test_a.py": BROKEN_TEST}, ("--python", "/usr/bin/python3"), "pytest"),
    "bad budget": ({"test_a.py": BROKEN_TEST}, ("--budget-seconds", "-3"), "--budget-seconds"),
    "bad generator": ({"test_a.py": BROKEN_TEST}, ("--generator", "magic"), "magic"),
}


@pytest.mark.parametrize(("files", "options", "named"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_one_sentence(atra, tmp_path: Path, files, options, named: str):
    """Exit code 2, an error that names what is wrong, and nothing changed."""
    repository = make_repository(tmp_path / "target", files)
    before = state_of(repository)

    code, said, complaint = atra("repair", str(repository), "--json", *options)

    result = json.loads(said)
    assert code == 2, (said, complaint)
    assert named in result["error"]
    assert "hint" in result
    assert "Traceback" not in said + complaint
    assert state_of(repository) == before
    assert git(repository, "branch", "--list", "atra/*") == ""


def test_models_alone_need_a_model(atra, tmp_path: Path):
    """Without one configured: exit code 3, one sentence, and where to name one."""
    code, said, _ = atra("repair", str(tmp_path), "--json", "--generator", "model")

    assert (code, json.loads(said)["error"]) == (3, "No model is configured, and --generator model needs one.")
    assert "atra.toml" in json.loads(said)["hint"]


@pytest.mark.parametrize("kind", ["nothing there", "no repository", "no commit", "a bare repository"])
def test_what_is_no_repository_is_refused(atra, tmp_path: Path, kind: str):
    """A missing folder, one without git, one without commits and a bare one are named, with exit code 2."""
    place = tmp_path / "target"
    if kind != "nothing there":
        place.mkdir()
    if kind == "no commit":
        git(place, "init", "-q")
    if kind == "a bare repository":
        git(place, "init", "-q", "--bare")

    code, said, _ = atra("repair", str(place), "--json")

    assert code == 2
    assert str(place) in json.loads(said)["error"]


def test_uncommitted_work_is_kept_and_named(atra, tmp_path: Path):
    """HEAD is repaired and the dirty file stays; with --include-uncommitted the repair stands on what is on disk."""
    repository = small_shop(tmp_path / "shop")
    (repository / "shop" / "notes.txt").write_text("mine\n")
    before = state_of(repository)

    code, said, complaint = atra("repair", str(repository), "--json")
    assert (code, "uncommitted" in complaint) == (0, True)
    assert "shop/notes.txt" not in git(repository, "ls-tree", "-r", "--name-only", json.loads(said)["branch"])
    code, said, _ = atra("repair", str(repository), "--json", "--include-uncommitted")

    branch = json.loads(said)["branch"]
    assert code == 0
    assert "shop/notes.txt" in git(repository, "ls-tree", "-r", "--name-only", branch)
    assert git(repository, "rev-list", "--count", f"main..{branch}") == "2"
    assert state_of(repository) == before


TRACEBACK = """Traceback (most recent call last):
  File "/srv/app/shop/cart.py", line 6, in total
    return full - full * share_off(pieces) // 100
  File "/srv/app/shop/pricing.py", line 6, in share_off
    if pieces > 10:
TypeError: '>' not supported between instances of 'str' and 'int'
"""


def test_a_reported_failure_is_counted_and_repaired_once(atra, tmp_path: Path):
    """Two reports of one failure make one failure with a count of two and one run."""
    repository = small_shop(tmp_path / "shop")
    config = tmp_path / "atra.toml"
    config.write_text(f'[repositories.counted]\npath = "{repository}"\n')

    first = json.loads(atra("report", "--traceback", "-", "--repository", "counted", "--json", "--wait",
                            given=TRACEBACK, config=config)[1])  # fmt: skip
    second = json.loads(atra("report", "--traceback", "-", "--repository", "counted", "--json",
                             given=TRACEBACK, config=config)[1])  # fmt: skip
    known = json.loads(atra("failures", "--repository", "counted", "--json")[1])

    assert first[0]["run_id"] is not None
    assert second[0]["run_id"] is None
    assert first[0]["run_id"] in second[0]["why"]
    assert [(failure["failure_id"], failure["count"]) for failure in known] == [(first[0]["failure_id"], 2)]
    assert "path: repair, because TypeError came up" in atra("show", first[0]["run_id"])[1]
    paths = json.loads(atra("show", known[0]["failure_id"], "--json")[1])["paths"]
    assert [(one["path"], one["run_id"]) for one in paths] == [("repair", first[0]["run_id"])]
    assert json.loads(atra("show", first[0]["run_id"], "--json")[1])["path_taken"] == paths[0]
    code, shown, _ = atra("show", known[0]["failure_id"])
    assert code == 0
    assert "TypeError: '>' not supported" in shown
    assert "TypeError came up in the application's own code" in " ".join(shown.split())
    assert atra("show", "fnowhere")[0] == 2
    assert git(repository, "branch", "--list", "atra/*").strip() == f"atra/repair-{first[0]['run_id']}"


@pytest.mark.parametrize(
    ("text", "option"), [("nothing of interest", "--traceback"), ("<html/>", "--junit"), ("", "--junit")]
)
def test_a_report_that_says_nothing_is_refused(atra, tmp_path: Path, text: str, option: str):
    """Text without a failure is bad input."""
    config = tmp_path / "atra.toml"
    config.write_text(f'[repositories.any]\npath = "{tmp_path}"\n')

    code, said, _ = atra("report", option, "-", "--repository", "any", "--json", given=text, config=config)

    assert code == 2
    assert json.loads(said)["error"].startswith("The report could not be read")


def test_a_repository_that_is_not_configured_is_named(atra, tmp_path: Path):
    """A misspelt name is bad input: nothing is stored under it; an empty list is told from it."""
    config = tmp_path / "atra.toml"
    config.write_text(f'[repositories.quiet]\npath = "{tmp_path}"\n')

    reported = atra("report", "--traceback", "-", "--repository", "nope", "--json", given=TRACEBACK)
    asked = atra("failures", "--repository", "nope")
    empty = atra("failures", "--repository", "quiet", config=config)

    assert (reported[0], asked[0], empty[0]) == (2, 2, 0)
    assert json.loads(reported[1])["error"] == "No repository named nope is configured."
    assert "No repository named nope is configured." in asked[2]
    assert empty[1] == "No failures of quiet were reported yet.\n"


def test_a_report_of_too_many_failures_says_so(atra, tmp_path: Path):
    """The first thousand are taken in; they have one mistake, which is none of the code's, and are one failure."""
    config = tmp_path / "atra.toml"
    config.write_text(f'[repositories.flood]\npath = "{tmp_path}"\n')
    cases = "<testcase name='t'><error type='MemoryError' message='MemoryError'/></testcase>" * 1001

    given = f"<testsuite>{cases}</testsuite>"
    code, said, complaint = atra(
        "report", "--junit", "-", "--repository", "flood", "--json", given=given, config=config
    )

    assert (code, len(json.loads(said))) == (0, 1000)
    assert "more failures than the first 1000" in complaint


def test_status_counts_what_is_there(atra, stack: StackInfo):
    """Runs, failures, workers, queues and beat, as numbers."""
    code, said, complaint = atra("status", "--json")

    facts: dict[str, Any] = json.loads(said)
    assert code == 0, complaint
    assert facts["workers"]
    assert set(facts["queues"]) >= {"repair", "maintenance", "gpu"}
    assert facts["runs"]["overdue"] == 0


def test_why_a_run_was_started_is_shown(atra, stack: StackInfo):
    """By the orchestrator, with its reasons, or by the room whose hints it has; at the failure all paths are listed."""
    engine = connect(stack.database_url)
    runs, failures, given = RunStore(engine), FailureStore(engine), to_json(Target("shown", "/", "a" * 40))
    report = Report("shown", "KeyError", "'x'", (), "KeyError: 'x'", "celery", utc_now(), id=new_id("i"))
    failure = failures.record(report, "f" * 64, "repair", "KeyError came up")
    situation = Situation(utc_now(), "repair", "\x1b[2JKeyError came up", urgent=True)
    decided = row_of(Way("repair", (situation.why, "it is urgent")), situation)
    plain = runs.open(new_id("r"), Plan("self_repair", (("try", 1),)), given, failure.id, decided=decided)
    runs.cancel(plain.id)
    hinted = runs.open(new_id("h"), Plan("self_repair", (("try", 1),)), {**given, ROOM: "m7"})
    runs.cancel(hinted.id)
    engine.dispose()

    why, by_room, taken = (atra("show", known)[1] for known in (plain.id, hinted.id, failure.id))

    assert "path: repair, because " in why
    assert "KeyError came up; it is urgent" in why
    assert "path: " not in by_room
    assert "started by room m7 with its hints" in by_room
    assert f"failure {failure.id} of shown: KeyError: 'x'" in taken
    assert all(text in taken for text in ("open, seen once", plain.id, "it is urgent"))
    assert "\x1b" not in why + taken


def test_calls_of_models_are_shown_with_what_they_cost(atra, stack: StackInfo):
    """What is settled, what was lost, and what is under way: in the run, in its sums, and in the day's."""
    engine = connect(stack.database_url)
    ledger, dearly = LedgerStore(engine), Price(1.0, 0.1, 10.0)
    run = RunStore(engine).open(new_id("r"), Plan("self_repair", (("ask", 1),)), to_json(Target("shop", "/", "a" * 40)))
    RunStore(engine).cancel(run.id)
    wanted = Wanted(run.id, "ask", "main", "openai", "gpt-x", dearly, 1000, 1000, 1)
    first, second, _ = (ledger.reserve(wanted, Budgets(1, 1, 1)) for _ in range(3))
    ledger.settle(first, Bill(Decimal("0.0123"), Usage(700, 30), 1.5, "gpt-x-2026", "stop"))
    ledger.lose(second, Bill(Decimal("0.011"), None, 9.0, error="\x1b[2Jtimed out"))
    engine.dispose()

    shown, told = atra("show", run.id)[1], json.loads(atra("show", run.id, "--json")[1])
    today = json.loads(atra("status", "--json", ATRA_DAY_USD="7")[1])["spending"]

    assert all(text in shown for text in ("$0.0123", "at most $0.011", "700", "timed out", "no answer yet", "1.5 s"))
    assert "\x1b" not in shown
    assert "3 calls of models, 730 tokens, $0.0343" in shown
    assert (told["model_calls"], told["model_tokens"], told["cost_usd"]) == (3, 730, 0.0343)
    assert [call["state"] for call in told["calls"]] == ["settled", "lost", "reserved"]
    assert told["calls"][0]["model"] == "gpt-x-2026"
    assert today == {
        "today_usd": 0.0343,
        "day_usd": 7.0,
        "week_usd": 0.0343,
        "models": [{"name": "main", "calls": 3, "cost_usd": 0.0343, "today_usd": 0.0343}],
    }


@pytest.mark.parametrize("arguments", [("show", "nowhere"), ("revert", "nowhere"), ("cancel", "nowhere")])
def test_an_unknown_run_is_named(atra, arguments: tuple[str, ...]):
    """Exit code 2 and the id."""
    code, said, _ = atra(*arguments, "--json")

    assert (code, "nowhere" in json.loads(said)["error"]) == (2, True)


def test_text_of_tests_brings_neither_secrets_nor_terminal_codes_nor_the_run_to_its_end(atra, tmp_path: Path):
    """A canary, NUL, half a character and escape sequences in a failure: masked in the row and the commit, harmless."""
    repository = make_repository(
        tmp_path / "hostile",
        {
            "m.py": "def more(x):\n    # \x1b]0;owned\x07\x1b[31m\u202e\n    return x > 10\n",
            "test_m.py": "from m import more\n\n\ndef test_more():\n    if not more(10):\n"
            "        raise ValueError('\\0 \\ud800 \\x1b[31m password=canary-in-a-test')\n",
        },
    )

    code, told, complaint = atra("repair", str(repository))
    listed = atra("runs")[1]
    shown = atra("show", json.loads(atra("runs", "--json")[1])[0]["run_id"])[1]
    steps = atra("show", json.loads(atra("runs", "--json")[1])[0]["run_id"], "--json")[1]

    assert code == 0, complaint
    assert "canary" not in steps + git(repository, "log", "--all", "--format=%B")
    assert "[redacted]" in steps
    assert not set("\x1b\x07\u202e\x9b") & set(told + complaint + listed + shown + steps)


def test_a_silent_broker_is_told_and_leaves_no_run_behind(atra, tmp_path: Path):
    """Exit code 3 and a hint; the run is over, so that it does not begin when the broker is back."""
    away = {"ATRA_REDIS_URL": "redis://:canary@127.0.0.1:1/0"}

    repaired = atra("repair", str(small_shop(tmp_path / "shop")), "--json", **away)
    asked = atra("status", "--json", **away)
    examined = atra("doctor", "--json", **away)

    assert (repaired[0], asked[0], examined[0]) == (3, 3, 3)
    assert json.loads(repaired[1])["error"].startswith("The broker did not answer")
    assert json.loads(repaired[1])["hint"]
    assert {part["state"] for part in json.loads(examined[1]) if part["part"] in {"redis", "workers"}} == {"broken"}
    assert "canary" not in "".join(text for told in (repaired, asked, examined) for text in told[1:])
    assert json.loads(atra("runs", "--json")[1])[0]["status"] == "cancelled"
