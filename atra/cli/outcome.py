"""What a run came to, as the JSON contract of `atra repair` and for people."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

import typer
from rich.syntax import Syntax
from rich.table import Table

from atra.cli.console import harmless, out, plain, print_error, print_json, seconds_between, table
from atra.core.records import from_json
from atra.core.runs import Run, Step
from atra.llm.budget import dollars
from atra.meta_architect.records import (
    Choice,
    Commit,
    Proposal,
    Proposals,
    Reproduction,
    Search,
    Target,
    Verification,
)
from atra.storage.ledger import Call

EXIT_CODES = {
    **{"fixed": 0, "nothing_to_repair": 0, "not_fixed": 1, "cancelled": 1},
    **{"written": 0, "not_written": 1},  # new code
    **{"migrated": 0, "nothing_to_migrate": 0, "refused": 1},
    **{"reverted": 1, "reported": 1},  # the watch, over a fix that failed
    **{"delivered": 0, "undelivered": 1},
    **{"answered": 0, "no_answer": 1},  # a question
    **{"built": 0, "nothing_new": 0, "nothing_to_learn": 1},  # a data set
    **{"nothing": 1},  # no question that the news may raise
    **{"better": 0, "not_better": 1},  # a brain against the one that serves
    "trained": 0,
    **{"decided": 0, "no_consensus": 1, "expired": 1},  # a war-room
}
"""By how a run ended."""


def as_contract(run: Run, steps: list[Step], calls: Sequence[Call] | None = None) -> dict[str, Any]:
    """Return the JSON of one repair, see ARCHITECTURE.md.

    Args:
        calls: the run's, from the ledger, which also knows those of steps that were killed; unless given, what the
            settled steps say of themselves counts.
    """
    target = from_json(Target, run.input)
    outputs = {step.name: step.output for step in steps if step.state == "settled" and step.name != "try"}
    searches = [from_json(Search, step.output) for step in steps if step.name == "try" and step.output]
    reproduction = _load(Reproduction, outputs.get("reproduce"), "failing")
    proof = next((proof for proof in _proofs(outputs) if proof.winner), next(_proofs(outputs), None))
    asked = _asked(steps)
    landed = _load(Commit, outputs.get("commit"), "commit")
    choice = _load(Choice, outputs.get("choose"), "ranked")
    winner = proof.winner if proof else None
    tried = sum(search.tried for search in searches)
    busy_s = max((search.seconds for search in searches), default=0.0)
    green = [] if reproduction else (outputs.get("reproduce") or {}).get("passing", [])
    return {
        "status": status(run),
        "run_id": run.id,
        "branch": landed.branch if landed else None,
        "commit": landed.commit if landed else None,
        "base": target.revision,
        "files": sorted(proof.files) if proof and winner else [],
        "diff": proof.diff if proof else "",
        "generator": winner.candidate.generator if winner else None,
        "template": winner.candidate.template if winner else None,
        "rank": winner.rank if winner else None,
        "candidates_tried": tried,
        "candidates_per_second": round(tried / busy_s, 1) if busy_s else 0.0,
        "seconds": round((run.ended_at - run.created_at).total_seconds(), 2) if run.ended_at else None,
        "failing_before": [result.id for result in reproduction.failing] if reproduction else [],
        "passing_before": list(reproduction.passing) if reproduction else list(green or _passing(outputs)),
        "failing_after": list(proof.failing_after) if proof else [],
        "passing_after": list(proof.passing_after) if proof else [],
        "written_test": next(iter(reproduction.written), None) if reproduction else None,
        "set_aside": _aside(outputs, proof),
        "confidence": proof.confidence if proof and winner else None,
        "needs_review": landed.review if landed and landed.review else None,
        "alternatives": _alternatives(choice, asked, winner),
        "proposals": [_proposal(proposal) for one in asked for proposal in one.made],
        "model_calls": sum(one.calls for one in asked) if calls is None else len(calls),
        "model_tokens": sum(one.tokens for one in (asked if calls is None else calls)),
        "cost_usd": round(sum(one.cost_usd for one in (asked if calls is None else calls)), 6),
        "reason": run.reason,
        "warnings": list(reproduction.warnings) if reproduction else [],
        "error": _error(run, steps),
    }


def status(run: Run) -> str:
    """Return the contract's word for how the run stands."""
    if run.state == "open":
        return "running"
    return run.outcome if run.outcome in EXIT_CODES else "error"


def exit_code(run: Run, steps: list[Step]) -> int:
    """Return the exit code of a command that waited for this run."""
    if status(run) != "error":
        return EXIT_CODES.get(status(run), 1)
    failed = next((step.error for step in steps if step.state == "failed" and step.error), None)
    return int((failed or {}).get("exit_code", 1))


def error_facts(run: Run, steps: list[Step]) -> dict[str, Any]:
    """Return why a run ended in an error."""
    failed = next((step.error for step in steps if step.state == "failed" and step.error), None)
    return {"error": run.reason or "the run ended in an error", **(failed or {})}


def leave(
    run: Run, steps: list[Step], contract: Mapping[str, Any], show: Callable[[], None], *, as_json: bool
) -> NoReturn:
    """Tell how a run ended that a command has waited for, and leave with its exit code.

    Args:
        contract: what `--json` prints.
        show: prints the same for people, where the run did not end in an error.
    """
    facts = error_facts(run, steps) if status(run) == "error" else None
    if as_json:
        print_json({**(facts or {}), **contract})
    elif facts:
        print_error(facts, as_json=False)
    else:
        show()
    raise typer.Exit(exit_code(run, steps))


def print_outcome(run: Run, steps: list[Step], calls: Sequence[Call] | None = None) -> None:
    """Print how the run ended: the diff, the tests, where it landed, what it cost."""
    result = as_contract(run, steps, calls)
    if result["status"] in {"fixed", "written"}:
        print_diff(result["diff"])
        sure = f", confidence {result['confidence']:.2f}" if result["confidence"] else ""
        out.print(
            f"[bold green]{result['status']}[/] {plain(', '.join(result['files']))}  "
            f"[dim]{plain(_origin(result))}{sure}[/]",
            soft_wrap=True,
        )
        before, after = len(result["failing_before"]), len(result["failing_after"])
        out.print(
            f"tests: {before} failing, {len(result['passing_before'])} passing before; "
            f"{after} failing, {len(result['passing_after'])} passing after"
        )
        if result["commit"]:
            out.print(f"commit [bold]{result['commit'][:12]}[/] on branch [bold]{plain(result['branch'])}[/]")
        if result["needs_review"]:
            out.print(f"[bold yellow]needs review[/]: {plain(result['needs_review'])}", soft_wrap=True)
    else:
        colour = {"nothing_to_repair": "green", "not_fixed": "yellow"}.get(result["status"], "red")
        out.print(f"[bold {colour}]{result['status'].replace('_', ' ')}[/]: {plain(run.reason or '')}", soft_wrap=True)
    if result["written_test"]:
        said = f"no test showed the failure; {result['written_test']} was written from its recorded call"
        out.print(f"[dim]note: {plain(said)}, and asks only that it raises nothing[/]", soft_wrap=True)
    for test, why in result["set_aside"].items():
        out.print(f"[dim]set aside: {plain(test)} ({plain(why)})[/]")
    for warning in result["warnings"]:
        out.print(f"[dim]note: {plain(warning)}[/]")
    if result["candidates_tried"]:
        out.print(
            f"[dim]{result['candidates_tried']} candidates, {result['candidates_per_second']} a second, "
            f"{result['seconds']} s in all; run {run.id}[/]"
        )
    if result["model_calls"]:
        verdicts = ", ".join(f"{proposal['model']} {proposal['verdict']}" for proposal in result["proposals"])
        out.print(
            f"[dim]{result['model_calls']} calls of models, {result['model_tokens']} tokens, "
            f"{dollars(result['cost_usd'])}{': ' if verdicts else ''}{plain(verdicts)}[/]",
            soft_wrap=True,
        )


def _origin(result: Mapping[str, Any]) -> str:
    if result["generator"] == "templates":
        return f"{result['template']}, candidate {result['rank']}"
    sample = "" if result["template"] in {"agent", "author"} else f", sample {result['rank']}"
    return f"{result['template']} by {result['generator']}{sample}"


def print_diff(diff: str) -> None:
    """Print a diff in colours, or, where no terminal reads it, line for line as `git apply` takes it."""
    if out.is_terminal:
        out.print(Syntax(harmless(diff), "diff", theme="ansi_dark", background_color="default", word_wrap=True))
    else:
        out.print(plain(diff), soft_wrap=True)


def timeline(steps: list[Step]) -> Table:
    """Return the run's steps as a table: state, attempt, time, what came out."""
    rows = table("step", "state", "attempt", "time", "what came out")
    for step in steps:
        name = step.name if step.name not in {"try", "ask", "hear", "answer"} else f"{step.name} {step.shard}"
        colour = {"settled": "green", "leased": "cyan", "failed": "red"}.get(step.state, "dim")
        took = seconds_between(step.started_at, step.settled_at)
        rows.add_row(name, f"[{colour}]{step.state}[/]", str(step.attempt or ""), took, plain(summary(step)))
    return rows


def summary(step: Step) -> str:
    """Return a settled step's output in a few words, or how far it is."""
    if step.state == "failed":
        return str((step.error or {}).get("error", ""))
    if step.output is None:
        progress = step.progress if step.state == "leased" else None
        return ", ".join(f"{name} {value}" for name, value in (progress or {}).items())
    return _SUMMARIES[step.name](step.output) if step.name in _SUMMARIES else ""


def _reproduced(output: dict[str, Any]) -> str:
    if "failing" not in output:
        return str(output["reason"])
    return f"{len(output['failing'])} failing, {len(output['passing'])} passing, {len(output['aside'])} set aside"


def _searched(output: dict[str, Any]) -> str:
    rate = output["tried"] / output["seconds"] if output["seconds"] else 0.0
    return f"{output['tried']} candidates, {rate:.0f} a second, {len(output['plausible'])} plausible"


def _asked_for(output: dict[str, Any]) -> str:
    if "excused" in output:
        return str(output["excused"])
    said = [": ".join(filter(None, (made["verdict"], made["why"]))) for made in output["made"]]
    if output["tried"]:
        found = "one of them plausible" if output["plausible"] else "none plausible"
        said.insert(0, f"near miss, {output['tried']} candidates tried from there, {found}")
    return " ".join("; ".join(filter(None, (*said, output["skipped"]))).split())[:200]


def _heard(output: dict[str, Any]) -> str:
    if "excused" in output:
        return str(output["excused"])
    if "unanswered" in output:  # questions before they are asked
        return f"{output['answered']} answered, {output['unanswered']} not"
    said = output["skipped"] or output["abstained"] or "voted"
    return f"{output['expert']}: {said}{', late' if output['late'] else ''}"[:200]


def _weighed(output: dict[str, Any]) -> str:
    if "decision" in output:
        return str(output["decision"]["reason"])[:200]
    again = ", the models answer one another" if output["exchange"] else ""
    return f"{output['tally']['counted']} opinions, margin {output['tally']['margin']:.2f}{again}"


def _planned(output: dict[str, Any]) -> str:
    outline = output["outline"]
    if outline is None:
        return output["note"] or "no model was asked"
    return str(", ".join(file["path"] for file in outline["files"]) or outline["approach"])[:200]


def _verified(output: dict[str, Any]) -> str:
    if "excused" in output:
        return str(output["excused"])
    if "proofs" in output:  # of a war-room's patches
        refused = output["refused"] or {}
        return f"{len(output['proofs'])} proved, {len(refused)} refused" if refused or output["proofs"] else "no patch"
    refused = len(output["refused"])
    return "proved" if output["winner"] else f"{refused} refused" if refused else "nothing to prove"


_SUMMARIES: dict[str, Callable[[Any], str]] = {
    "train": lambda output: f"{output['steps']} steps, {output['tokens']} tokens: brain {output['brain'][:12]}",
    "compare": lambda output: f"{output['new']} answers to {output['items']} items",
    "predict": lambda output: f"{len(output['planned'])} of {output['candidates']} questions",
    "gather": lambda output: f"{output['repairs']} repairs, {output['rooms']} rooms; {output['revoked']} taken back",
    "build": lambda output: f"{output['rows']} of {output['traces']} traces",
    "reproduce": _reproduced,
    "diagnose": lambda output: f"{len(output['places'])} places",
    "propose": lambda output: f"{len(output['paths'])} files",
    "try": _searched,
    "choose": lambda output: f"{len(output['ranked'])} to verify",
    "verify": _verified,
    "ask": _asked_for,
    "plan": _planned,
    "write": lambda output: f"{output['turns']} turns: {output['ended']}"[:200],
    "agent": _asked_for,
    "prove": _verified,
    "convene": lambda output: f"{len(output['options'])} options" if "options" in output else "",
    "hear": _heard,
    "answer": _heard,
    "weigh": _weighed,
    "people": lambda output: "open for people until the deadline",
    "settle": _weighed,
    "draft": lambda output: "; ".join(output["refusals"] or output["sentences"])[:200],
    "revise": lambda output: output["skipped"] or "; ".join(output["said"])[:200],
    "rehearse": lambda output: "; ".join(output["refusals"])[:200] or f"{sum(output['rows'].values())} rows, all kept",
    "test": lambda output: output["why"] or f"{len(output['passing'])} passing, {len(output['broken'])} broken",
    "commit": lambda output: f"{output['commit'][:12]} on {output['branch']}",
    "deliver": lambda output: " ".join(
        filter(None, (output[name] for name in ("state", "where", "pull_request", "why")))
    ),
    "undo": lambda output: f"{output['commit'][:12]} on {output['branch']}" if output["commit"] else output["why"],
}


def _passing(outputs: Mapping[str, Any]) -> list[str]:
    """Return the tests that passed before new code was written."""
    return list((outputs.get("plan") or {}).get("passing", []))


def _load(kind: type[Any], output: Any, needed: str) -> Any:
    return from_json(kind, output) if isinstance(output, dict) and needed in output else None


def _aside(outputs: dict[str, Any], proof: Verification | None) -> dict[str, str]:
    return {**(outputs.get("reproduce") or {}).get("aside", {}), **(proof.aside if proof else {})}


def _proofs(outputs: Mapping[str, Any]) -> Iterator[Verification]:
    """Yield what was proved of the search's patches, then of the models'."""
    found = (_load(Verification, outputs.get(name), "winner") for name in ("verify", "prove"))
    return (proof for proof in found if proof)


def _asked(steps: list[Step]) -> list[Proposals]:
    """Return what models came to, in the order in which they were asked."""
    outputs = (step.output for step in steps if step.name in {"ask", "agent"} and step.state == "settled")
    return [from_json(Proposals, output) for output in outputs if output and "excused" not in output]


def _proposal(proposal: Proposal) -> dict[str, Any]:
    return {name: getattr(proposal, name) for name in ("model", "template", "verdict", "fixed", "why")}


def _alternatives(choice: Choice | None, asked: list[Proposals], winner: Any) -> list[dict[str, Any]]:
    found = [*(choice.ranked if choice else ()), *(plausible for one in asked for plausible in one.plausible)]
    others = [plausible for plausible in found if plausible != winner]
    return [
        {
            "template": other.candidate.template,
            "path": other.candidate.path,
            "line": other.candidate.line,
            "rank": other.rank,
        }
        for other in others[:10]
    ]


def _error(run: Run, steps: list[Step]) -> str | None:
    return str(error_facts(run, steps)["error"]) if status(run) == "error" else None
