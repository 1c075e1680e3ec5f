"""`atra war-room`: a question goes to several experts, who can be watched and joined until the decision stands."""

import getpass
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Annotated, Any

import typer

from atra.cli.console import err, out, plain, print_json, table
from atra.cli.outcome import as_contract, leave, print_outcome, status
from atra.cli.repair import stopping
from atra.cli.repair import watch as watch_repair
from atra.cli.session import with_database, with_stack
from atra.core.errors import AtraError, BadInput, BrokerUnavailable, DatabaseUnavailable, UnknownRun
from atra.core.records import from_json
from atra.core.runs import Opening, Run, new_id
from atra.core.texts import decode
from atra.llm.budget import dollars
from atra.meta_architect.records import Target
from atra.storage.channel import Post
from atra.storage.ledger import Call
from atra.war_room.consensus import quorum
from atra.war_room.records import Ballot, Decision, Option
from atra.war_room.seats import PREFIX, Agenda, asked_of, repair_after
from atra.wiring import Wiring

KIND = "war_room"
_LARGEST_CONTEXT = 200_000  # characters of all files together
_MOST_OPTIONS = 20
_LONGEST_TEXT = 4000
_LISTED = 8  # options that are told at the opening
_GRACE_S = 120.0
_OUTAGE_S = 60.0
_WAIT_S = 0.5
_VOTING = "Options of: atra war-room vote ROOM [OPTION]..."


@dataclass(frozen=True)
class Minutes:
    """A room with all that came of it, as it stands now."""

    run: Run
    ballots: Sequence[Ballot]
    decision: Decision | None
    agenda: Agenda | None
    calls: Sequence[Call]
    repair: Run | None


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("war-room")(war_room)


def war_room(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="PROBLEM | vote ROOM [OPTION]...", help="A question, in quotes; or a ballot of yours."),
    ] = None,
    option: Annotated[list[str] | None, typer.Option(help="What may be decided; given twice or more.")] = None,
    context: Annotated[list[Path] | None, typer.Option(help="A file to go by; may be given again.")] = None,
    repair: Annotated[str, typer.Option(help="The run of a repair that ended without a fix: look at its tests.")] = "",
    experts: Annotated[str, typer.Option(help="Who sits, with commas: three to five.")] = "",
    deadline: Annotated[float | None, typer.Option(min=5, max=3000, help="Seconds to the latest decision.")] = None,
    budget_usd: Annotated[
        float | None, typer.Option(min=0.0001, max=1_000_000, help="What models may cost in this room.")
    ] = None,
    urgent: Annotated[bool, typer.Option("--urgent", help="Do not wait behind other work.")] = False,
    hold: Annotated[bool, typer.Option("--hold", help="Wait for people's votes until the deadline.")] = False,
    follow: Annotated[str, typer.Option(help="Watch the room with this id.")] = "",
    veto: Annotated[str, typer.Option(help="An option that must not be taken.", rich_help_panel=_VOTING)] = "",
    reason: Annotated[str, typer.Option(help="Why.", rich_help_panel=_VOTING)] = "",
    name: Annotated[
        str, typer.Option("--as", help="Your name; that of your account unless given.", rich_help_panel=_VOTING)
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Ask several experts, and get one decision with its evidence and its dissent."""
    words = words or []
    voting = words[:1] == ["vote"]
    _check(not follow or not (words or repair), "--follow stands alone")
    _check(voting or not (veto or reason or name), "--veto, --reason and --as belong to `atra war-room vote ROOM`")
    if follow:
        return _follow(follow, as_json=as_json)
    if voting:
        _check(len(words) > 1, "name the room, and what you vote for: vote ROOM OPTION")
        return _vote(words[1], words[2:], veto, reason, name, as_json=as_json)
    if len(words) != (0 if repair else 1):
        raise BadInput("give the problem as one argument, in quotes; or --repair RUN; or vote ROOM OPTION")
    wanted = [one.strip() for one in experts.split(",") if one.strip()]

    def on_repair(wired: Wiring) -> Opening:
        from workers.rooms import room_for  # the application is made from the wiring, which is set up by now

        run = _ended_repair(wired, repair)
        return room_for(
            wired,
            from_json(Target, run.input),
            question=f"Which place makes the tests of {run.input['repository']} fail?",
            models=True,
            run_id=new_id(PREFIX),
            failure_id=run.failure_id,
            repair=True,
            wanted=wanted,
            deadline_s=deadline,
            budget_usd=budget_usd,
            hold=hold,
        )

    def on_question(wired: Wiring) -> Opening:
        from workers.rooms import room_on_question

        return room_on_question(
            wired,
            words[0].strip(),
            run_id=new_id(PREFIX),
            options=_options(option or []),
            context=_texts(context or []),
            wanted=wanted,
            deadline_s=deadline,
            budget_usd=budget_usd,
            hold=hold,
        )

    if repair:
        _check(not option and not context, "--option and --context belong to a question, not to --repair")
        _run(on_repair, urgent=urgent, as_json=as_json)
    else:
        _check(bool(words[0].strip()), "the problem is empty")
        _check(len(words[0]) <= _LONGEST_TEXT, f"a problem has at most {_LONGEST_TEXT} characters; use --context")
        _options(option or [])
        _texts(context or [])
        _run(on_question, urgent=urgent, as_json=as_json)


def as_room(minutes: Minutes) -> dict[str, Any]:
    """Return the JSON of one room, see ARCHITECTURE.md."""
    run, decision = minutes.run, minutes.decision
    asked = asked_of(run.input)
    texts = {option.id: option.text for option in minutes.agenda.options} if minutes.agenda else {}
    return {
        "run_id": run.id,
        "outcome": status(run),
        "question": asked.question,
        "decision": decision.option if decision else None,
        "decision_text": texts.get(decision.option or "", "") if decision else "",
        "reason": decision.reason if decision else run.reason,
        "settled_by": decision.settled_by if decision else None,
        "options": texts,
        "ballots": [_ballot(ballot) for ballot in minutes.ballots],
        "dissent": [
            {"expert": one.expert, "department": one.department, "preferred": one.preferred} for one in decision.dissent
        ]
        if decision
        else [],
        "margin": decision.tally.margin if decision else None,
        "counted": decision.tally.counted if decision else None,
        "quorum": quorum(len(asked.seats)) if asked.seats else None,
        "seats": [{"expert": seat.expert, "department": seat.department, "kind": seat.kind} for seat in asked.seats],
        "rounds": decision.rounds if decision else None,
        "changed_votes": decision.changed_votes if decision else None,
        "notes": list(asked.notes),
        "model_calls": len(minutes.calls),
        "cost_usd": round(sum(call.cost_usd for call in minutes.calls), 6),
        "seconds": round((run.ended_at - run.created_at).total_seconds(), 2) if run.ended_at else None,
        "repair": minutes.repair.id if minutes.repair else None,
    }


def minutes_of(wired: Wiring, run: Run) -> Minutes:
    """Return what there is of a room by now."""
    convened = wired.runs.outputs(run.id, "convene")
    given = asked_of(run.input).options
    agenda = (
        from_json(Agenda, convened[0]) if convened and "options" in convened[0] else Agenda(given) if given else None
    )
    try:
        repair = wired.runs.get(repair_after(run.id))
    except UnknownRun:
        repair = None
    return Minutes(
        run, wired.rooms.ballots(run.id), wired.rooms.decision(run.id), agenda, wired.ledger.calls(run.id), repair
    )


def print_room(minutes: Minutes) -> None:
    """Print a room's minutes: who said what, what was decided, who disagreed."""
    run, decision = minutes.run, minutes.decision
    texts = {option.id: option.text for option in minutes.agenda.options} if minutes.agenda else {}
    if asked_of(run.input).task == "question":
        for id_, text in texts.items():
            out.print(f"[bold]{plain(id_)}[/] {plain(text)}", soft_wrap=True)
    if minutes.ballots:
        rows = table("expert", "round", "first choice", "sure", "why")
        for ballot in minutes.ballots:
            rows.add_row(*_row(ballot))
        out.print(rows)
    told = status(run).replace("_", " ")
    if decision and decision.option:
        text = texts.get(decision.option, "")
        more = f" ({text})" if text and text != decision.option else ""
        out.print(f"[bold green]{told}[/]: [bold]{plain(decision.option)}[/]{plain(more)}", soft_wrap=True)
        out.print(f"settled by {decision.settled_by}: {plain(decision.reason)}", soft_wrap=True)
    else:
        why = (decision.reason if decision else run.reason) or ""
        out.print(f"[bold yellow]{told}[/]: {plain(why)}", soft_wrap=True)
    if decision and decision.rounds > 1:
        out.print(f"the models answered one another: {decision.changed_votes} changed their first choice")
    for dissent in decision.dissent if decision else ():
        why = f": {dissent.evidence[0].text}" if dissent.evidence else ""
        out.print(
            f"[dim]dissent: {plain(dissent.expert)} preferred {plain(dissent.preferred + why)}[/]", soft_wrap=True
        )
    for note in asked_of(run.input).notes:
        out.print(f"[dim]note: {plain(note)}[/]", soft_wrap=True)
    if minutes.calls:
        cost = dollars(sum(call.cost_usd for call in minutes.calls))
        out.print(f"[dim]{len(minutes.calls)} calls of models, {cost}[/]")
    if minutes.repair:
        out.print(f"the repair with its hints is run [bold]{minutes.repair.id}[/]: {status(minutes.repair)}")


def _run(opening_of: Callable[[Wiring], Opening], *, urgent: bool, as_json: bool) -> None:
    with with_stack(quiet=as_json) as session:
        from workers.intake import launch

        wired = session.wired
        opening = opening_of(wired).hurried(urgent)
        with stopping(wired, opening.run_id):
            run = _watch(wired, launch(wired, opening), quiet=as_json)
        minutes = minutes_of(wired, run)
        if minutes.repair:
            if not as_json:
                print_room(minutes)
            repair = watch_repair(wired, minutes.repair, quiet=as_json)
            steps, calls = wired.runs.steps(repair.id), wired.ledger.calls(repair.id)
            contract = {**as_room(minutes), "repair": as_contract(repair, steps, calls)}
            leave(repair, steps, contract, lambda: print_outcome(repair, steps, calls), as_json=as_json)
        steps = wired.runs.steps(run.id)
    leave(run, steps, as_room(minutes), lambda: print_room(minutes), as_json=as_json)


def _watch(wired: Wiring, run: Run, *, quiet: bool) -> Run:
    """Print what is said in the room until it ends, and return it as it ended.

    Raises:
        AtraError: it took far longer than its deadline.
    """
    asked = asked_of(run.input)
    until = time.monotonic() + asked.deadline_s + _GRACE_S
    if asked.hold and run.deadline_at and not quiet:
        until_when = run.deadline_at.astimezone(UTC)
        err.print(f"open for people until {until_when:%H:%M:%S} UTC: `atra war-room vote {run.id} OPTION…`")
    for told in _posts(wired, run.id):
        if told is not None and told.kind != "decision" and not quiet:
            _print_post(told)
        run = wired.runs.get(run.id)
        if run.state == "ended":
            break
        if time.monotonic() > until:
            raise AtraError(f"room {run.id} has not ended; `atra show {run.id}` says how far it is")
    return run


def _posts(wired: Wiring, room_id: str) -> Any:
    """Yield what is said in the room as it is said, None where nothing was for a moment; without end.

    Where Redis is away nothing is heard: the database has all that counts.
    """
    channel, after = wired.signals.channel(room_id), "0"
    while True:
        try:
            posts = channel.read(after, wait_s=_WAIT_S)
        except BrokerUnavailable:
            time.sleep(_WAIT_S)
            posts = []
        for post in posts:
            after = post.id
            yield post
        yield None


def _follow(room: str, *, as_json: bool) -> None:
    """Watch a room from its opening on, or tell its minutes where it is over."""
    with with_database() as wired:
        run = _room(wired, room)
        if not as_json:
            heard_at = time.monotonic()
            for told in _posts(wired, run.id):
                if told is not None:
                    if told.kind != "decision":  # the minutes, which follow, tell it
                        _print_post(told)
                    continue
                try:
                    run = wired.runs.get(run.id)
                    heard_at = time.monotonic()
                except DatabaseUnavailable:
                    if time.monotonic() > heard_at + _OUTAGE_S:
                        raise
                if run.state == "ended":
                    break
        minutes = minutes_of(wired, wired.runs.get(run.id))
    if as_json:
        print_json(as_room(minutes))
    else:
        print_room(minutes)


def _vote(room: str, ranking: Sequence[str], veto: str, reason: str, name: str, *, as_json: bool) -> None:
    """Cast a person's ballot, or change it."""
    who = (name or getpass.getuser()).strip()
    _check(bool(who) and len(who) <= 60, "--as: a name has 1 to 60 characters")
    _check(bool(ranking) or bool(veto), "name at least one option, or --veto one")
    _check(not veto or bool(reason.strip()), "a veto needs its --reason")
    with with_database() as wired:
        run = _room(wired, room)
        minutes = minutes_of(wired, run)
        known = {option.id for option in minutes.agenda.options} if minutes.agenda else set()
        _check(bool(known), f"room {run.id} has no options yet")
        unknown = next((one for one in [*ranking, *([veto] if veto else [])] if one not in known), None)
        _check(unknown is None, f"{unknown} is no option of room {run.id}; it has {_some(minutes)}")
        why = wired.redactor.text(reason.strip()[:_LONGEST_TEXT])
        ballot = from_json(
            Ballot,
            {
                "expert": f"person:{who}",
                "department": "person",
                "kind": "person",
                "ranking": list(dict.fromkeys(ranking)),
                "evidence": [{"text": why}] if why and not veto else [],
                "vetoes": {veto: why} if veto else {},
                "abstained": "" if ranking else "a veto only",
            },
        )
        kept = wired.rooms.cast(run.id, ballot)
        said = {"ranking": list(kept.ranking[:3]), "abstained": kept.abstained, "vetoes": dict(kept.vetoes)}
        told = {"expert": kept.expert, **said, "evidence": [why] if why and not veto else [], "late": kept.late}
        wired.signals.channel(run.id).post("ballot", told)
    if as_json:
        print_json(_ballot(kept))
    else:
        out.print("too late: it is kept, and not counted" if kept.late else f"counted in room {run.id}")
    if kept.late:
        raise typer.Exit(1)


def _room(wired: Wiring, prefix: str) -> Run:
    run = wired.runs.find(prefix)
    _check(run.kind == KIND, f"run {run.id} is no war-room")
    return run


def _ended_repair(wired: Wiring, prefix: str) -> Run:
    run = wired.runs.find(prefix)
    _check(run.kind == "self_repair", f"run {run.id} is no repair")
    _check(run.state == "ended", f"run {run.id} is under way")
    return run


def _options(given: Sequence[str]) -> tuple[str, ...]:
    texts = tuple(dict.fromkeys(text.strip() for text in given if text.strip()))
    _check(len(texts) != 1, "give --option twice or more, or leave it out")
    _check(len(texts) <= _MOST_OPTIONS, f"{_MOST_OPTIONS} options are the most")
    _check(all(len(text) <= _LONGEST_TEXT for text in texts), f"an option has at most {_LONGEST_TEXT} characters")
    return texts


def _texts(files: Sequence[Path]) -> dict[str, str]:
    """Return the text of the given files by their names."""
    found: dict[str, str] = {}
    for file in files:
        try:
            found[str(file)] = decode(file.expanduser().read_bytes())
        except OSError as error:
            raise BadInput(f"{file}: {error.strerror or error}") from error
        except (ValueError, LookupError) as error:
            raise BadInput(f"{file} is no text") from error
    _check(sum(map(len, found.values())) <= _LARGEST_CONTEXT, f"--context: {_LARGEST_CONTEXT} characters are the most")
    _check(not any("\0" in text for text in found.values()), "--context: one of the files is no text")
    return found


def _check(holds: bool, sentence: str) -> None:
    if not holds:
        raise BadInput(sentence)


def _some(minutes: Minutes) -> str:
    options: Sequence[Option] = minutes.agenda.options if minutes.agenda else ()
    more = ", …" if len(options) > 10 else ""
    return ", ".join(option.id for option in options[:10]) + more


def _ballot(ballot: Ballot) -> dict[str, Any]:
    return {
        "expert": ballot.expert,
        "department": ballot.department,
        "kind": ballot.kind,
        "round": ballot.round,
        "ranking": list(ballot.ranking[:10]),
        "probability": ballot.probability,
        "evidence": [{"text": one.text, "reference": one.reference} for one in ballot.evidence],
        "veto": dict(ballot.vetoes),
        "abstained": ballot.abstained,
        "late": ballot.late,
    }


def _row(ballot: Ballot) -> tuple[str, ...]:
    first = ballot.ranking[0] if ballot.ranking else "-"
    sure = f"{ballot.probability:.2f}" if ballot.ranking and ballot.kind != "person" else ""
    evidence = "; ".join(_cited(one.text, one.reference) for one in ballot.evidence[:1])
    vetoes = "; ".join(f"vetoes {one}: {why}" for one, why in ballot.vetoes.items())
    late = "late, not counted" if ballot.late else ""
    why = "; ".join(filter(None, (late, ballot.abstained and f"no opinion: {ballot.abstained}", vetoes, evidence)))
    return plain(ballot.expert), str(ballot.round), plain(first), sure, plain(why[:300])


def _cited(text: str, reference: str) -> str:
    return f"{text} ({reference})" if reference else text


def _print_post(post: Post) -> None:
    """Print one thing said in the room, in a line or two."""
    said: Mapping[str, Any] = post.said
    if post.kind == "opened":
        seats = said.get("seats")
        named = (
            [str(seat.get("expert")) for seat in seats if isinstance(seat, Mapping)] if isinstance(seats, list) else []
        )
        who = f"  [dim]{plain(', '.join(named))}[/]" if named else ""
        err.print(f"[dim]asked:[/] {plain(said.get('question', ''))}{who}", soft_wrap=True)
        options = said.get("options")
        for id_, text in options.items() if isinstance(options, Mapping) and len(options) <= _LISTED else ():
            err.print(f"  [bold]{plain(id_)}[/] {plain(text)}", soft_wrap=True)
    elif post.kind == "ballot":
        err.print(_ballot_line(said), soft_wrap=True)
    elif post.kind == "weighed":
        again = "; the models answer one another" if said.get("exchange") else ""
        err.print(f"[dim]weighed: {plain(said.get('counted'))} opinions, margin {plain(said.get('margin'))}{again}[/]")


def _ballot_line(said: Mapping[str, Any]) -> str:
    """Return a ballot as a line; posts come from whoever reaches Redis, so nothing is taken for granted."""
    ranking, vetoes = said.get("ranking"), said.get("vetoes")
    first = str(ranking[0]) if isinstance(ranking, list) and ranking else f"no opinion, {said.get('abstained', '')}"
    vetoed = [f"vetoes {one}: {why}" for one, why in vetoes.items()] if isinstance(vetoes, Mapping) else []
    evidence = said.get("evidence")
    why = str(evidence[0]) if isinstance(evidence, list) and evidence else ""
    late = " (late)" if said.get("late") else ""
    told = f"[bold]{plain(said.get('expert', ''))}[/]{late}: {plain(', '.join([first, *vetoed]))}"
    return f"{told}  [dim]{plain(why)}[/]" if why else told
