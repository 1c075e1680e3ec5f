"""The line and the doors of the house: who may import whom, read from the source without running it."""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Leftmost first: a package imports from its own folder and from what stands in an earlier row. Packages of one row do
# not know one another.
LINE: tuple[frozenset[str], ...] = (
    frozenset({"atra.core"}),
    frozenset({"atra.llm", "atra.sandbox", "atra.repository", "atra.embedded"}),
    frozenset(
        {
            "atra.self_repair",
            "atra.meta_architect",
            "atra.war_room",
            "atra.orchestrator",
            "atra.scout",
            "atra.precache",
            "atra.semantic_cache",
            "atra.distillation",
            "atra.local_brain",
        }
    ),
    frozenset({"atra.storage"}),
    frozenset({"atra.wiring"}),
    frozenset({"atra.integrations"}),
    frozenset({"workers"}),
    frozenset({"atra.cli"}),
)
CAPABILITIES = LINE[2]

# Outside library -> the only modules (with all below them) that import it. A library of the Python world that is not
# named here may be imported nowhere: a new one gets its door here first.
DOORS: dict[str, tuple[str, ...]] = {
    "alembic": ("atra.storage.schema", "migrations", "atra.sandbox.alembic_inside"),
    "anthropic": ("atra.llm",),
    "celery": ("workers", "atra.integrations.celery", "atra.integrations.shipper"),
    "click": ("atra.cli.main",),
    "datasketch": ("atra.distillation",),
    "detect_secrets": ("atra.distillation.screening",),
    "faiss": ("atra.semantic_cache",),
    "feedparser": ("atra.scout",),
    "git": ("atra.repository.door",),
    "httpcore2": ("atra.scout.fetching",),
    "httpx2": ("atra.llm", "atra.repository.forge", "atra.scout.fetching"),
    "jedi": ("atra.war_room.experts.names",),
    "kombu": ("workers", "celeryconfig"),
    "lingua": ("atra.distillation.screening",),
    "mypy": ("atra.war_room.experts.types",),
    "nh3": ("atra.scout",),
    "numpy": ("atra.llm", "atra.semantic_cache", "atra.scout", "atra.precache", "atra.storage"),
    "openai": ("atra.llm",),
    "phonenumbers": ("atra.distillation.screening",),
    "datasets": ("atra.local_brain",),
    "matplotlib": ("atra.local_brain.curve",),
    "peft": ("atra.llm.local", "atra.local_brain"),
    "psutil": ("atra.sandbox",),
    "psycopg2": ("atra.storage",),
    "pydantic": ("atra.core", "atra.llm", "atra.cli.stack", "workers.reports"),
    "pydantic_settings": ("atra.core.settings",),
    "pyseccomp": ("atra.sandbox.seccomp",),
    "pytest": ("atra.sandbox.inside", "atra.integrations.pytest"),
    "_pytest": ("atra.sandbox.inside",),
    "redis": ("atra.storage.signals", "atra.storage.channel", "atra.cli.doctor", "workers.broker_guard"),
    "rich": ("atra.cli",),
    "safetensors": ("atra.llm", "atra.local_brain"),
    "sentence_transformers": ("atra.llm",),
    "sqlalchemy": ("atra.storage", "atra.wiring", "migrations", "atra.sandbox.alembic_inside"),
    "structlog": ("atra.core.logs", "atra.wiring", "atra.cli", "atra.integrations", "workers"),
    "threadpoolctl": ("atra.llm",),
    "tokenizers": ("atra.llm", "atra.distillation.tokens"),
    "torch": ("atra.llm.local", "atra.local_brain"),
    "transformers": ("atra.llm.local", "atra.local_brain"),
    "trl": ("atra.local_brain",),
    "typer": ("atra.cli",),
}

# Who reads the environment, and why.
ENVIRONMENT: dict[str, str] = {
    "atra.core.settings": "the one reader of ATRA's own variables",
    "atra.cli.demo": "hands its environment on to the commands and the application it shows",
    "atra.integrations.reporter": "masks what the host's environment names as secrets; reads no setting",
    "atra.cli.stack": "hands its environment on to the processes it starts",
    "atra.local_brain.launching": "hands on to the trainer what it needs of its environment, and no secret",
    "atra.local_brain.trainer": "is told by the launcher which device of how many it is; reads no setting",
    "atra.sandbox.desk_inside": "runs inside the box, on the target's interpreter, where nothing of ATRA exists",
    "atra.sandbox.inside": "runs inside the box, on the target's interpreter, where nothing of ATRA exists",
    "atra.sandbox.database_inside": "runs inside the box too, and hands its environment on",
    "atra.sandbox.alembic_inside": "runs inside the box too",
}

WALL_CLOCKS = {
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
    ("date", "today"),
    ("time", "time"),
    ("time", "time_ns"),
    ("clock", "utc_now"),
}


@cache
def modules() -> dict[str, ast.Module]:
    """Return every module of the product by its dotted name, parsed."""
    files = [ROOT / "celeryconfig.py"]
    for folder in ("atra", "workers", "migrations"):
        files += sorted((ROOT / folder).rglob("*.py"))
    return {_name(file): ast.parse(file.read_text(encoding="utf-8"), str(file)) for file in files}


def _name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(module: str) -> Iterator[tuple[int, str]]:
    """Yield (line, dotted name) of what the module imports; `from a import b` counts as `a.b`."""
    for node in ast.walk(modules()[module]):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def within(name: str, package: str) -> bool:
    """Say whether the dotted name is the package or lies below it."""
    return name == package or name.startswith(package + ".")


def home(name: str) -> tuple[int, str] | None:
    """Return the row and the package of a name on the line; None for a name that stands outside it."""
    for row, packages in enumerate(LINE):
        for package in packages:
            if within(name, package):
                return row, package
    return None


def line_faults(importing: str, imported: str) -> bool:
    """Say whether this import goes against the line."""
    here, there = home(importing), home(imported)
    if here is None or there is None:
        return False
    return here[1] != there[1] and there[0] >= here[0]


@pytest.mark.parametrize(
    ("importing", "imported", "wrong"),
    [
        ("atra.core.edits", "atra.storage.runs", True),
        ("atra.war_room.consensus", "atra.scout.trends", True),
        ("atra.sandbox.bubblewrap", "atra.repository.Repository", True),
        ("atra.storage.runs", "atra.wiring.wiring", True),
        ("atra.integrations.celery", "workers.app", True),
        ("workers.app", "atra.cli.stack", True),
        ("atra.storage.runs", "atra.storage.tables", False),
        ("workers.self_repair", "atra.meta_architect.search", False),
        ("atra.cli.stack", "atra.core.errors", False),
    ],
)
def test_the_line_is_what_it_says(importing: str, imported: str, wrong: bool) -> None:
    """The rule refuses what stands to the right, and neighbours, and allows what stands to the left."""
    assert line_faults(importing, imported) is wrong


def test_imports_point_one_way() -> None:
    """core, then doors, then capabilities, storage, wiring, workers and integrations, and the command line last."""
    faults = [
        f"{module}:{line} imports {name}"
        for module in modules()
        for line, name in imports(module)
        if line_faults(module, name)
    ]

    assert faults == []


def test_every_module_stands_on_the_line() -> None:
    """A new package is given its place before it is used."""
    outside = {module for module in modules() if home(module) is None}

    assert {module for module in outside if not within(module, "migrations")} == {
        "atra",
        "atra.__main__",
        "celeryconfig",
    }


def test_imports_are_absolute() -> None:
    """One name for one module: the table of doors compares whole names."""
    relative = [
        f"{module}:{node.lineno}"
        for module, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
    ]

    assert relative == []


def test_outside_libraries_come_in_through_their_doors() -> None:
    """Nobody but its door imports a library, and every library has a door."""
    faults = []
    for module in modules():
        for line, name in imports(module):
            library = name.partition(".")[0]
            if library in sys.stdlib_module_names or library in {"atra", "workers", "celeryconfig", "migrations"}:
                continue
            if not any(within(module, door) for door in DOORS.get(library, ())):
                faults.append(f"{module}:{line} imports {library}")

    assert faults == []


@pytest.mark.parametrize("forbidden", ["celery", "kombu", "sqlalchemy", "redis", "os.environ", "os.getenv"])
def test_capabilities_know_no_machinery(forbidden: str) -> None:
    """A capability can be run with values alone; its collaborators come in as arguments."""
    faults = [
        f"{module}:{line}"
        for module in modules()
        if (where := home(module)) and where[1] in CAPABILITIES
        for line, name in imports(module)
        if within(name, forbidden)
    ]

    assert faults == []


def attributes(module: str) -> Iterator[tuple[int, tuple[str, str]]]:
    """Yield (line, (owner, name)) of every `owner.name` in the module, and of `from owner import name`."""
    for node in ast.walk(modules()[module]):
        if isinstance(node, ast.Attribute):
            owner = node.value
            last = owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
            yield node.lineno, (last, node.attr)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield node.lineno, (node.module.rpartition(".")[2], alias.name)


def test_only_settings_read_the_environment() -> None:
    """A setting has one name, one check and one place; each exception has its reason in the table."""
    readers = {
        module
        for module in modules()
        for _, used in attributes(module)
        if used in {("os", "environ"), ("os", "getenv"), ("os", "environb")}
    }

    assert readers <= set(ENVIRONMENT)


def test_capabilities_know_no_wall_clock() -> None:
    """Time comes in as a value, so that a step gives the same answer tomorrow."""
    faults = [
        f"{module}:{line} uses {'.'.join(used)}"
        for module in modules()
        if (where := home(module)) and where[1] in CAPABILITIES
        for line, used in attributes(module)
        if used in WALL_CLOCKS
    ]

    assert faults == []


def test_modules_open_with_a_sentence() -> None:
    """What a module knows is said in its first line; an empty one knows nothing."""
    silent = [module for module, tree in modules().items() if tree.body and not ast.get_docstring(tree)]

    assert silent == []
