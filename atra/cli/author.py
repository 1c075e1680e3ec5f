"""`atra author`: new code for a specification and tests, written by a model and proved like a repair."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from atra.cli.outcome import as_contract, leave, print_outcome
from atra.cli.repair import carry_out
from atra.cli.session import with_stack
from atra.core.errors import BadInput, NoModel
from atra.core.settings import load_settings
from atra.meta_architect.author import LARGEST_SPEC, check_tests
from atra.meta_architect.records import Target
from atra.repository import Repository, unsafe
from workers.targets import make_target

_LARGEST_TESTS = 200_000


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("author")(author)


def author(
    path: Annotated[Path, typer.Argument(help="A git repository, or a folder inside one.")],
    spec: Annotated[Path, typer.Option(help="What is to be written, as text.")],
    tests: Annotated[list[Path], typer.Option(help="A test file that must pass; may be given again.")],
    python: Annotated[Path | None, typer.Option(help="The interpreter of the tests.")] = None,
    budget_seconds: Annotated[float | None, typer.Option(min=1, max=3000, help="Wall time for the work.")] = None,
    budget_usd: Annotated[
        float | None, typer.Option(min=0.0001, max=1_000_000, help="What models may cost in this run.")
    ] = None,
    no_commit: Annotated[bool, typer.Option("--no-commit", help="Write and prove, commit nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Write new code so that given tests pass, and commit both on a branch of their own."""
    settings = load_settings()
    if not settings.models:
        raise NoModel("atra author")
    repository = Repository.open(path)
    added = {_place(repository, file): _text(file, _LARGEST_TESTS) for file in tests}
    for name, text in added.items():
        check_tests(name, text)
    wanted = _text(spec, LARGEST_SPEC)
    if not wanted.strip():
        raise BadInput(f"{spec} says nothing")
    target = make_target(
        repository,
        settings,
        tests=tuple(added),
        python=python,
        commit=not no_commit,
        generator="model",
        budget_s=budget_seconds or settings.budget_s,
        budget_usd=budget_usd or settings.run_usd,
    )
    _run(replace(target, added=added, spec=wanted), as_json=as_json)


def _run(target: Target, *, as_json: bool) -> None:
    with with_stack(quiet=as_json) as session:
        from workers.intake import opening_of  # the application is made from the wiring, which is set up by now
        from workers.pipelines import author as plan

        wired = session.wired
        run = carry_out(wired, opening_of(target, plan()), quiet=as_json)
        steps, calls = wired.runs.steps(run.id), wired.ledger.calls(run.id)
    contract = {**as_contract(run, steps, calls), "delivery": None}  # no policy carries new code further than a branch
    leave(run, steps, contract, lambda: print_outcome(run, steps, calls), as_json=as_json)


def _place(repository: Repository, file: Path) -> str:
    """Return where in the repository a given test file stands: where it lies, or among the tests there are.

    Raises:
        BadInput: its name is none that pytest would find, or that git could keep.
    """
    real = file.expanduser().resolve()
    if real.is_relative_to(repository.root):
        place = real.relative_to(repository.root).as_posix()
    else:
        place = f"tests/{real.name}" if (repository.root / "tests").is_dir() else real.name
    if unsafe(place) or not (real.name.startswith("test_") or real.stem.endswith("_test")) or real.suffix != ".py":
        raise BadInput(f"{file} is no test file: its name must be test_NAME.py or NAME_test.py")
    return place


def _text(file: Path, most: int) -> str:
    """Return a given file's text.

    Raises:
        BadInput: there is none, it is no text, or it is too long.
    """
    try:
        data = file.expanduser().read_bytes()
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror or error}") from error
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise BadInput(f"{file} is no UTF-8 text") from error
    if "\0" in text:
        raise BadInput(f"{file} is no text")
    if len(text) > most:
        raise BadInput(f"{file} has {len(text)} characters; {most} are the most")
    return text
