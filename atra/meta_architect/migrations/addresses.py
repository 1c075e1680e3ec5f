"""Where a target keeps its migrations and how it learns its database's address, told by reading: nothing of it runs.

alembic hands `env.py` the address as `sqlalchemy.url`; many read an environment variable instead, in `env.py` itself or
in a settings module. Which ones is found in the source by what looks like a read of the environment, and by the usual
names. A variable that is computed from parts of its name is not found; `--url-variable` names it.
"""

import re
from collections.abc import Iterable, Mapping
from configparser import Error, RawConfigParser
from pathlib import PurePosixPath

from atra.core.errors import BadInput, NoMigrations
from atra.meta_architect.migrations.records import Layout
from atra.sandbox.database import ABSTRACT, ADDRESS

_USUAL = ("DATABASE_URL", "DATABASE_URI", "DATABASE_DSN", "DB_URL", "DB_DSN", "POSTGRES_URL", "POSTGRES_DSN", "PG_DSN",
          "SQLALCHEMY_DATABASE_URL", "SQLALCHEMY_DATABASE_URI", "SQLALCHEMY_URL", "TEST_DATABASE_URL")  # fmt: skip
_READ = re.compile(r"""(?:environ(?:\.get)?\s*[\[(]|getenv\s*\(|\benv(?:\.\w+)?\s*\()\s*["']([A-Za-z]\w*)["']""")
_PREFIX = re.compile(r"""env_prefix\s*=\s*["'](\w+)["']""")
_FIELD = re.compile(
    r"^\s+(\w*(?:database|db|postgres|pg|sqlalchemy)\w*)\s*:\s*[\w\[\]|. ]*(?:str|Dsn|Url|URL)\b", re.MULTILINE | re.I
)
_ADDRESS = re.compile(r"(?:DATABASE|DB|POSTGRES(?:QL)?|PG|SQL(?:ALCHEMY)?)\w*(?:URL|URI|DSN)$|(?:URL|URI|DSN)$")
_PART = re.compile(r"^(?:\w*_)?(?:DATABASE|DB|POSTGRES(?:QL)?|PG)_?(HOST|SERVER|USER|USERNAME|NAME|DB|DATABASE|PORT"
                   r"|PASSWORD|PASS)$")  # fmt: skip
_SCHEME = re.compile(r"\bpostgres(?:ql)?\+(\w+)")
_OTHER = re.compile(r"^\s*(sqlite|mysql|mariadb|oracle|mssql)(?:\+\w+)?:", re.I)
_PARTS = {"HOST": ABSTRACT, "SERVER": ABSTRACT, "PORT": "5432", "PASSWORD": "atra", "PASS": "atra"}


def read_layout(
    files: Mapping[str, str], *, config: str = "", subfolder: str = "", extra: Iterable[str] = ()
) -> Layout:
    """Return where the migrations are and what names the database.

    Args:
        files: the text of the revision's Python, ini and toml files, by path.
        config: alembic's file, relative to the root; looked for when empty, nearest to the root or to `subfolder`.
        extra: further variables that hold the address.

    Raises:
        NoMigrations: there is no such file.
        BadInput: there are several, or the database is not PostgreSQL.
    """
    path = PurePosixPath(config or _find(files, subfolder))
    if str(path) not in files:
        raise NoMigrations(str(path))
    folder = "" if str(path.parent) == "." else str(path.parent)
    url = _configured(files[str(path)])
    if found := _OTHER.match(url):
        raise BadInput(f"{path} names a {found[1].lower()} database; migrations are proved on PostgreSQL only")
    near = [text for name, text in sorted(files.items(), key=lambda item: _distance(item[0])) if name.endswith(".py")]
    drivers = dict.fromkeys(match for text in (url, *near) for match in _SCHEME.findall(text))
    return Layout(folder, path.name, _variables(near, extra), tuple(drivers))


def _find(files: Mapping[str, str], subfolder: str) -> str:
    inis = [path for path in files if PurePosixPath(path).name == "alembic.ini"]
    tomls = [path for path in files if PurePosixPath(path).name == "pyproject.toml" and "[tool.alembic]" in files[path]]
    under = [path for path in (*inis, *tomls) if PurePosixPath(path).is_relative_to(subfolder or ".")]
    found = sorted(under or [*inis, *tomls], key=lambda path: (len(PurePosixPath(path).parts), path))
    if not found:
        raise NoMigrations("alembic.ini")
    nearest = [path for path in found if len(PurePosixPath(path).parts) == len(PurePosixPath(found[0]).parts)]
    inis_only = [path for path in nearest if path.endswith(".ini")]
    if len(inis_only or nearest) > 1:
        raise BadInput(f"there are several alembic configurations ({', '.join(nearest)}); name one with --config")
    return (inis_only or nearest)[0]


def _configured(text: str) -> str:
    """Return the address that alembic's file names."""
    parser = RawConfigParser(strict=False)
    try:
        parser.read_string(text)
        return parser.get("alembic", "sqlalchemy.url", fallback="")
    except (Error, ValueError):
        return ""


def _distance(path: str) -> tuple[int, str]:
    """Order files by how likely they say which driver counts: env.py, then settings, then the rest."""
    name = PurePosixPath(path).name
    return (0 if name == "env.py" else 1 if re.search(r"config|settings|database|db", name) else 2, path)


def _variables(texts: Iterable[str], extra: Iterable[str]) -> dict[str, str]:
    names = dict.fromkeys(_USUAL)
    parts: dict[str, str] = {}
    for text in texts:
        prefixes = ["", *_PREFIX.findall(text)]
        fields = [prefix + field for prefix in prefixes for field in _FIELD.findall(text)] if "Settings" in text else []
        for name in (*_READ.findall(text), *(field.upper() for field in fields)):
            if part := _PART.match(name.upper()):
                parts[name] = _PARTS.get(part[1], "atra")
            elif _ADDRESS.search(name.upper()) and not _foreign(name.upper()):
                names[name] = None
    return dict.fromkeys((*names, *extra), ADDRESS) | parts


def _foreign(name: str) -> bool:
    """Return whether a variable holds the address of something that is no database."""
    return bool(re.search(r"REDIS|BROKER|AMQP|RABBIT|CELERY|MONGO|SENTRY|API|WEBHOOK|HTTP|S3|ELASTIC|SQLITE", name))
