"""What a repository depends on, read and never run."""

from hypothesis import given
from hypothesis import strategies as st

from atra.precache.interests import FILES, dependencies


def names(**files: str) -> list[str]:
    paths = {"requirements": "requirements.txt", "project": "pyproject.toml", "setup": "setup.cfg"}
    return [one.name for one in dependencies("shop", {paths[name]: text for name, text in files.items()})]


def test_requirements_are_read_without_options_and_comments() -> None:
    """Versions, extras, markers and addresses are left out."""
    text = (
        "# all\n-r more.txt\n--hash=x\nCelery[redis]>=5.6 ; python_version>'3'\nflask\nown @ https://x.example/a.whl\n"
    )
    assert names(requirements=text) == ["Celery", "flask", "own"]


def test_a_project_file_is_read_by_its_standards() -> None:
    """Dependencies, extras and those of poetry."""
    text = '[project]\ndependencies=["numpy>=2"]\n[project.optional-dependencies]\nx=["faiss-cpu"]\n'
    assert names(project=text + '[tool.poetry.dependencies]\npython="3"\nrich="*"\n') == ["numpy", "faiss-cpu", "rich"]


def test_a_setup_file_is_read_with_its_extras() -> None:
    """And what it computes is not computed."""
    text = "[options]\ninstall_requires =\n  redis>=8\n  %(evil)s\n[options.extras_require]\nx =\n  torch\n"
    assert names(setup=text) == ["redis", "torch"]


def test_a_package_is_named_once_however_it_is_written() -> None:
    """As the index of packages has it."""
    assert names(requirements="typing_extensions\ntyping-extensions\nTyping.Extensions\n") == ["typing_extensions"]


def test_only_files_that_name_dependencies_are_read() -> None:
    """At the root, or in the folder for them."""
    read = ["requirements-dev.txt", "requirements/base.txt", "setup.cfg", "pyproject.toml"]
    assert all(FILES.match(path) for path in read)
    assert not any(FILES.match(path) for path in ["src/setup.cfg", "requirements.in", "requirements/a/b.txt"])


@given(st.text(max_size=400))
def test_no_text_breaks_it(text: str) -> None:
    """What cannot be read names nothing."""
    for path in ("requirements.txt", "pyproject.toml", "setup.cfg"):
        assert len(dependencies("shop", {path: text})) <= 500
