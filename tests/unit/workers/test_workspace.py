"""What a patch may write in a workspace: plain files of the base and new ones beside them, and nothing else."""

from pathlib import Path

import pytest

from atra.core.errors import ProtectedPath
from atra.meta_architect.records import Target
from atra.repository import Repository
from atra.sandbox.project import make_project
from tests.fakes import ScriptedRunner
from tests.targets import git, make_repository
from workers.cases import recently_written
from workers.workspace import Workspace


@pytest.fixture
def here(tmp_path: Path) -> Workspace:
    """A base with a package, a link that leads out, a folder of another repository, and a file in Latin-1."""
    (tmp_path / "away").mkdir()
    root = make_repository(tmp_path / "shop", {"shop/cart.py": "TOTAL = 0\n", "notes": "a file\n"})
    (root / "latin.py").write_bytes("# coding: latin-1\nNAME = 'é'\n".encode("latin-1"))
    (root / "link").symlink_to(tmp_path / "away")
    (root / "link.py").symlink_to("shop/cart.py")
    inner = make_repository(root / "vendor" / "lib", {"lib.py": "x = 1\n"})
    git(root, "update-index", "--add", "--cacheinfo", f"160000,{git(inner, 'rev-parse', 'HEAD')},vendor/lib")
    git(root, "add", "latin.py", "link", "link.py")
    git(root, "commit", "-q", "-m", "The rest")
    repository = Repository.open(root)
    tree = tmp_path / "work" / "tree"
    repository.export("HEAD", tree)
    target = Target("shop", str(root), repository.head())
    return Workspace(target, repository, tree.parent, tree, make_project(str(root)), ScriptedRunner(lambda *_: {}))


@pytest.mark.parametrize(
    ("path", "refused"),
    [
        ("shop/cart.py", False),
        ("shop/new.py", False),
        ("shop/taxes/new.py", False),
        ("new.py", False),
        ("link/new.py", True),
        ("link", True),
        ("link.py", True),
        ("notes/new.py", True),
        ("shop", True),
        ("vendor/lib/lib.py", True),
        ("vendor/lib/new.py", True),
        ("vendor/lib", True),
        ("../new.py", True),
        ("tests/test_new.py", True),
    ],
)
def test_a_patch_writes_plain_files_only(here: Workspace, tmp_path: Path, path: str, refused: bool):
    """A link, what lies behind one, a folder, a file's inside and another repository's files are protected."""
    assert here.protected(path) == refused
    if refused and not path.startswith("tests"):
        with pytest.raises(ProtectedPath), here.patched({path: "x = 1\n"}):
            pass
    elif not refused:
        with here.patched({path: "x = 1\n"}) as tree:
            assert Path(tree, path).read_text() == "x = 1\n"
    assert list((tmp_path / "away").iterdir()) == []


def test_a_file_is_read_and_written_in_its_encoding(here: Workspace):
    """A changed file keeps the base's, a new one has the one that it declares, and what is no file is no text."""
    assert here.read("latin.py") == "# coding: latin-1\nNAME = 'é'\n"
    assert here.encoded("latin.py", "# coding: latin-1\nNAME = 'è'\n").endswith(b"'\xe8'\n")
    assert here.encoded("new.py", "# coding: latin-1\nNAME = 'è'\n").endswith(b"'\xe8'\n")
    assert here.encoded("new.py", "NAME = 'è'\n") == "NAME = 'è'\n".encode()
    assert [here.read(path) for path in ("link.py", "shop", "nowhere.py")] == [None, None, None]


def test_lines_are_as_old_as_the_commits_since(tmp_path: Path):
    """Of the first commit of all nothing is recent; of files that nobody asks for nothing is told."""
    root = make_repository(tmp_path / "shop", {"cart.py": "A = 1\nB = 2\n", "other.py": "C = 3\n"})
    told = []
    for number in range(12):
        (root / "cart.py").write_text(f"A = {number}\nB = 2\n")
        (root / "other.py").write_text(f"C = {number}\n")
        git(root, "commit", "-q", "-am", "Another")
        repository = Repository.open(root)
        target = Target("shop", str(root), repository.head())
        here = Workspace(target, repository, tmp_path, root, make_project(str(root)), ScriptedRunner(lambda *_: {}))
        told.append(recently_written(here, ["cart.py", "nowhere.py"]))

    assert told == [{"cart.py": {1: 0}}] * 12
    (root / "new.py").write_text("D = 4\n")
    git(root, "add", "new.py")
    git(root, "commit", "-q", "-m", "Something else")
    here = Workspace(
        Target("shop", str(root), Repository.open(root).head()),
        Repository.open(root),
        tmp_path,
        root,
        make_project(str(root)),
        ScriptedRunner(lambda *_: {}),
    )
    assert recently_written(here, ["cart.py"]) == {"cart.py": {1: 1}}
