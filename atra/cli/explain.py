"""Why a repair is as it is: the place, the edit, and what else was tried, in words and as a table."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from atra.cli.console import out, plain, table
from atra.core.errors import AtraError
from atra.core.records import from_json
from atra.core.runs import Run, Step
from atra.core.texts import decode
from atra.meta_architect.records import Choice, Diagnosis, Place, Plausible, Search, Target, Verification
from atra.meta_architect.templates import TEMPLATES
from atra.meta_architect.verification import describe
from atra.repository import Repository

_ROUND = 2
"""How many lines are shown on either side of the marked one."""

_MOST_ROWS = 12

SIGNS = {
    "unused": "something that was read is read no more",
    "constant": "a condition without a name in it is new",
    "literal": "it brings a value that a failing test asks for",
    "deleted": "statements went",
    "early-exit": "a new branch returns a constant",
    "dead": "statements stand behind a new jump",
    "type": "a function returns a type that it did not before",
    "unreadable": "it cannot be read",
}
"""What the signs against a patch say, by their names."""


@dataclass(frozen=True)
class Row:
    """One patch that passed the tests in the workshop. `behaviour` is the letter of those that do the same."""

    place: str
    template: str
    rank: int
    behaviour: str
    signs: tuple[str, ...]
    outcome: str


@dataclass(frozen=True)
class Explanation:
    """What is told of a repair.

    Args:
        place: where the patch was made, or the most suspect place where none was found.
        reasons: why there.
        lines: (number, text, whether it is the place's own) of the source round it, on the base revision.
        edit: what the template does that made the patch; nothing where none was found.
        tried: how many candidates came to which verdict.
        nearest: what came nearest, where nothing passed.
        rows: what passed in the workshop, best first, at most twelve.
    """

    place: str
    suspicion: float
    reasons: tuple[str, ...]
    lines: tuple[tuple[int, str, bool], ...]
    edit: str
    tried: dict[str, int]
    nearest: str
    rows: tuple[Row, ...]

    def as_facts(self) -> dict[str, Any]:
        """Return it as `--json` prints it."""
        return asdict(self)


def explain(run: Run, steps: Sequence[Step]) -> Explanation | None:
    """Return what can be told of a repair; None of a run that never looked for a place.

    The source is left out where the repository or its revision is gone.
    """
    if "revision" not in run.input:
        return None
    target = from_json(Target, run.input)

    def read(path: str) -> str | None:
        try:
            return decode(Repository.open(target.path).read(target.revision, path))
        except (AtraError, OSError):
            return None

    return explained(steps, read)


def explained(steps: Sequence[Step], read: Callable[[str], str | None]) -> Explanation | None:
    """Return what the steps' outputs tell; `read` gives the text of a file of the base revision."""
    outputs = {step.name: step.output for step in steps if step.output and "excused" not in step.output}
    if "places" not in (outputs.get("diagnose") or {}):
        return None
    diagnosis = from_json(Diagnosis, outputs["diagnose"])
    searches = [from_json(Search, step.output) for step in steps if step.name == "try" and step.output]
    choice = from_json(Choice, outputs["choose"]) if "ranked" in (outputs.get("choose") or {}) else Choice(())
    proofs = [
        from_json(Verification, outputs[name]) for name in ("verify", "prove") if "winner" in outputs.get(name, {})
    ]
    winner = next((proof.winner for proof in proofs if proof.winner), None)
    refused = [why for proof in proofs for why in proof.refused]
    place = _place_of(winner, diagnosis)
    tried: Counter[str] = Counter()
    for search in searches:
        tried.update(search.verdicts)
    return Explanation(
        place=f"{place.path}:{place.line}" if place else "",
        suspicion=place.score if place else 0.0,
        reasons=place.reasons if place else (),
        lines=_lines(read(place.path), place.line) if place else (),
        edit=_edit(winner) if winner else "",
        tried=dict(tried.most_common()),
        nearest="" if winner else _nearest(searches),
        rows=tuple(_rows(choice, winner, refused)),
    )


def print_explanation(told: Explanation | None) -> None:
    """Print it for people: the place with its line marked, the edit, the table of what passed."""
    if told is None or not told.place:
        out.print("Nothing to explain: no place was looked for.")
        return
    why = ", ".join(told.reasons) or "it stands near what failed"
    out.print(f"[bold]why here[/]: {plain(told.place)}, suspicion {told.suspicion:.2f}: {plain(why)}", soft_wrap=True)
    for number, text, marked in told.lines:
        mark, style = (">", "bold") if marked else (" ", "dim")
        out.print(f"[{style}]{mark} {number:>5}  {plain(text)}[/]", soft_wrap=True)
    if told.edit:
        out.print(f"[bold]why this edit[/]: {plain(told.edit)}", soft_wrap=True)
    if told.tried:
        said = ", ".join(f"{number} {verdict}" for verdict, number in told.tried.items())
        out.print(f"[bold]tried[/]: {said}{plain(told.nearest and f'; nearest: {told.nearest}')}", soft_wrap=True)
    if told.rows:
        rows = table("", "place", "template", "candidate", "behaviour", "against it", "what became of it")
        for number, row in enumerate(told.rows, 1):
            against = "; ".join(SIGNS.get(sign, sign) for sign in row.signs)
            told_of = (row.place, row.template, row.rank, row.behaviour, against, row.outcome)
            rows.add_row(str(number), *(plain(part) for part in told_of))
        out.print(rows)


def _place_of(winner: Plausible | None, diagnosis: Diagnosis) -> Place | None:
    """Return the diagnosis' place of the patch; one that nobody suspected has no reasons."""
    if winner is None:
        return next(iter(diagnosis.places), None)
    at = winner.candidate.path, winner.candidate.line
    found = (place for place in diagnosis.places if (place.path, place.line) == at)
    return next(found, Place(*at, 0.0, ("changed by the patch",)))


def _lines(text: str | None, line: int) -> tuple[tuple[int, str, bool], ...]:
    lines = (text or "").splitlines()
    first, last = max(1, line - _ROUND), min(len(lines), line + _ROUND)
    return tuple((number, lines[number - 1], number == line) for number in range(first, last + 1))


def _edit(winner: Plausible) -> str:
    candidate = winner.candidate
    if candidate.generator != "templates":
        return f"{candidate.template}, written by {candidate.generator}"
    known = {item.name: (item.propose.__doc__ or "").partition("\n")[0] for item in TEMPLATES}
    said = [f"{name}: {known[name]}" if name in known else name for name in candidate.template.split(", ")]
    return f"{' and then '.join(said)} Candidate {winner.rank} of the search."


def _nearest(searches: Sequence[Search]) -> str:
    best = max(searches, key=lambda one: one.best_fixed, default=None)
    if best is None or best.best is None:
        return ""
    tests = f"{best.best_fixed} failing test{'' if best.best_fixed == 1 else 's'} passed"
    return f"{describe(best.best)}, with which {tests}"


def _rows(choice: Choice, winner: Plausible | None, refused: Sequence[str]) -> list[Row]:
    rows = []
    for number, plausible in enumerate(choice.ranked[:_MOST_ROWS]):
        why = next((why for why in refused if why.startswith(f"{describe(plausible)}: ")), "")
        group = choice.groups[number] if number < len(choice.groups) else number
        candidate = plausible.candidate
        rows.append(
            Row(
                place=f"{candidate.path}:{candidate.line}",
                template=candidate.template,
                rank=plausible.rank,
                behaviour=_letter(group),
                signs=choice.signs[number] if number < len(choice.signs) else (),
                outcome="taken" if plausible == winner else why.partition(": ")[2] if why else "not needed",
            )
        )
    return rows


def _letter(number: int) -> str:
    return chr(ord("a") + number) if number < 26 else str(number)
