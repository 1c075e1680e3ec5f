"""`atra ask`: one question, answered from what is kept, by a model, or in the words of an article, and said which."""

import re
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from atra.cli.console import err, out, plain
from atra.cli.outcome import error_facts, leave, status
from atra.cli.repair import Interrupted
from atra.cli.session import with_database
from atra.core.errors import BadInput, Transient
from atra.core.records import from_json, to_json
from atra.core.runs import Run, Step, new_id
from atra.core.settings import load_settings
from atra.llm.budget import dollars
from atra.orchestrator.answers import Answered, Asked
from atra.wiring import Wiring

KIND = "ask"
_LANGUAGE = re.compile(r"[^\W\d_][^\W_]*(?:[ -][^\W_]+){0,2}")
_LONGEST, _LARGEST_CONTEXT = 8000, 200_000
_HELP = {
    "cloud: no model is configured": "name a model in atra.toml under [models.NAME] (docs/models.md)",
    "extractive:": "follow feeds (`atra scout feeds import --default`), or name repositories in atra.toml",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("ask")(ask)


def ask(
    question: Annotated[str, typer.Argument(help="What to answer.")],
    context: Annotated[list[Path] | None, typer.Option(help="A file to go by; may be given again.")] = None,
    model: Annotated[str, typer.Option(help="The model of atra.toml that is to answer.")] = "",
    budget_usd: Annotated[float | None, typer.Option(min=0, help="What the answer may cost, in US dollars.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Pass over what is kept, and keep the new answer.")] = False,
    cloud: Annotated[bool, typer.Option("--cloud/--no-cloud", help="Whether models of atra.toml may be asked.")] = True,
    tenant: Annotated[str, typer.Option(help="Whose question it is: only the same tenant shares its answer.")] = "",
    language: Annotated[str, typer.Option(help="The language of the answer.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Answer a question: what is kept, else a model, else a quotation with its source, else an honest no answer."""
    _check(bool(question.strip()), "the question is empty")
    _check(len(question) <= _LONGEST, f"a question has at most {_LONGEST} characters; use --context")
    known = load_settings().models
    _check(not model or model in known, f"no model is called {model}; atra.toml names {', '.join(known) or 'none'}")
    _check(
        not language or _LANGUAGE.fullmatch(language) is not None, "--language is a word or two, like German or pt-BR"
    )
    _check(cloud or not model, "--model and --no-cloud exclude one another")
    asked = Asked(question.strip(), tenant, language, model, budget_usd, cloud, fresh, _texts(context or []))
    with with_database() as wired:
        run = _carried_out(wired, asked, quiet=as_json)
        steps = wired.runs.steps(run.id)
    leave(run, steps, as_answer(run, steps), lambda: print_answer(run, steps), as_json=as_json)


def as_answer(run: Run, steps: list[Step]) -> dict[str, Any]:
    """Return the JSON of one answer, see ARCHITECTURE.md."""
    found = answered(steps)
    error = error_facts(run, steps)["error"] if status(run) == "error" else None
    return {
        "run_id": run.id,
        "status": status(run),
        "question": run.input["question"],
        "answer": found.answer if found and found.answer else None,
        "source": found.source if found else "none",
        "made_by": found.made_by if found else "",
        "citations": [to_json(one) for one in found.citations] if found else [],
        "age_s": round(found.age_s, 1) if found else None,
        "price_usd": found.price_usd if found else None,
        "similarity": found.similarity if found else None,
        "hit": found.hit if found else None,
        "steps": list(found.steps) if found else [],
        "passed": list(found.passed) if found else [],
        "seconds": found.seconds if found else None,
        "error": error,
    }


def answered(steps: list[Step]) -> Answered | None:
    """Return what the run put out, if it did."""
    return next((from_json(Answered, step.output) for step in steps if step.output), None)


def print_answer(run: Run, steps: list[Step]) -> None:
    """Print the answer, what it rests on, and where it came from; or why there is none."""
    found = answered(steps)
    if found is None:
        return
    if not found.answer:
        out.print("No answer.", style="bold")
        for why in found.passed:
            out.print(f"  {plain(why)}", soft_wrap=True)
        helps = [text for lacking, text in _HELP.items() if any(why.startswith(lacking) for why in found.passed)]
        if helps:
            out.print(f"What would help: {'; '.join(map(plain, helps))}.", soft_wrap=True)
        return
    out.print(plain(found.answer), soft_wrap=True)
    if found.citations:
        out.print()
    for number, one in enumerate(found.citations, start=1):
        day = f", {plain(one.published_at)}" if one.published_at else ""
        out.print(
            f"  [{number}] {plain(one.title)}{day}  [dim]{plain(one.address)}[/]".replace(
                "[" + str(number) + "]", rf"\[{number}]"
            ),
            soft_wrap=True,
        )
    out.print(f"\n[dim]{_origin(found)}; run {run.id}[/]", soft_wrap=True)


def _origin(found: Answered) -> str:
    if found.source == "cache":
        age = _spoken(found.age_s)
        likeness = (
            "" if found.tier == "exact" else f" to “{plain(found.kept_question)}” ({found.similarity or 0:.2f} alike)"
        )
        judged = f"; wrong? `atra cache judge {found.hit} --wrong`" if found.hit else ""
        made = "quotation" if found.made_by == "extractive" else f"answer by {plain(found.made_by)}"
        return f"kept {made}{likeness}, {age} old, free{judged}"
    if found.source == "extractive":
        return "quoted from what stands above, by no model"
    return f"by {plain(found.made_by)}, {dollars(found.price_usd)}, {found.seconds:.1f} s"


def _spoken(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def _carried_out(wired: Wiring, asked: Asked, *, quiet: bool) -> Run:
    """Open the run and do its step here; where this process is killed, a worker does it again."""
    from workers.ask import answer  # the application is made from the wiring, which is set up by now
    from workers.owners import this_process
    from workers.pipelines import ask as plan
    from workers.task import run_step

    run = wired.runs.open(new_id("q"), plan(), to_json(_hidden(wired, asked)))
    try:
        with nullcontext() if quiet else err.status("looking for an answer"):
            run_step("answer", run.id, 0, answer)
    except KeyboardInterrupt as interrupt:
        wired.runs.forfeit(lambda owner: owner == this_process())
        wired.runs.cancel(run.id)
        raise Interrupted(wired.runs.get(run.id)) from interrupt
    except Transient:
        raise
    except Exception:
        if wired.runs.get(run.id).state == "open":
            raise
    return wired.runs.get(run.id)


def _hidden(wired: Wiring, asked: Asked) -> Asked:
    """Return it as it is kept: without secrets."""
    hide = wired.redactor.text
    return replace(
        asked, question=hide(asked.question), context={hide(one): hide(text) for one, text in asked.context.items()}
    )


def _texts(files: list[Path]) -> dict[str, str]:
    found = {}
    for file in files:
        try:
            found[str(file)] = file.expanduser().read_text(encoding="utf-8")
        except OSError as error:
            raise BadInput(f"{file}: {error.strerror or error}") from error
        except ValueError as error:
            raise BadInput(f"{file} is no text") from error
    _check(sum(map(len, found.values())) <= _LARGEST_CONTEXT, f"--context: {_LARGEST_CONTEXT} characters are the most")
    return found


def _check(holds: bool, sentence: str) -> None:
    if not holds:
        raise BadInput(sentence)
