"""`atra distill`: what was thought, who may learn from it, and the data sets that are made of it."""

import getpass
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from atra.cli.console import age, err, out, plain, print_json, table
from atra.cli.outcome import error_facts, leave, status
from atra.cli.repair import Interrupted
from atra.cli.session import with_database
from atra.core.errors import BadInput, DatabaseUnavailable, Transient
from atra.core.records import to_json
from atra.core.runs import Run, Step
from atra.distillation.data_set import is_whole
from atra.distillation.picture import picture_of
from atra.distillation.policy import SHIPPED, Rule
from atra.distillation.screening import check_libraries
from atra.distillation.traces import HUMAN, Origin, Trace
from atra.storage.data_sets import DataSet
from atra.wiring import Wiring

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Reason = Annotated[str, typer.Option(help="Why; kept with the decision.")]
Provider = Annotated[str, typer.Argument(help="openai, anthropic, openai-compatible, local; `*` for any letters.")]
Model = Annotated[
    str, typer.Argument(help="The model as the provider names it; `*` for any letters, commas between several.")
]

_BAR = 30
_ADDED = 500

commands = typer.Typer(name="distill", help="What was thought, and data sets to learn it from.", no_args_is_help=True)
policy_commands = typer.Typer(name="policy", help="Show or decide what may be learned from.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    commands.add_typer(policy_commands)
    app.add_typer(commands)


@policy_commands.callback(invoke_without_command=True)
def policy(context: typer.Context, as_json: Json = False) -> None:
    """Show what may be learned from, by which rule, and what traces there are."""
    if context.invoked_subcommand:
        return
    with with_database() as wired:
        rules, version = _rules(wired), wired.training_policy().version
        kept = _kept(wired)
    if as_json:
        print_json({"version": version, "rules": rules, "traces": kept})
        return
    shown = table("from", "provider", "model", "terms", "", "reason")
    for rule in rules:
        allowed = "[green]allowed[/]" if rule["allow"] else "[red]denied[/]"
        own = " [dim](own server)[/]" if rule["own_server"] else ""
        names = (plain(rule["provider"]) + own, plain(rule["model"]), plain(rule["terms"]))
        shown.add_row(rule["from"], *names, allowed, plain(rule["reason"]))
    out.print(shown)
    out.print(f"The first rule that matches counts; what none matches is denied. Policy {version}.")
    _print_kept(kept)


@policy_commands.command("allow")
def allow(
    provider: Provider,
    model: Model,
    terms: Annotated[
        str, typer.Option(help="The version of the provider's terms you have read, as in [distill.terms].")
    ],
    reason: Reason,
    as_json: Json = False,
) -> None:
    """Allow learning from a model's answers under these terms."""
    _decide(Rule(provider, model, terms, True, _reason(reason)), as_json=as_json)


@policy_commands.command("deny")
def deny(
    provider: Provider,
    model: Model,
    reason: Reason,
    terms: Annotated[str, typer.Option(help="A version of the provider's terms; any unless said.")] = "*",
    as_json: Json = False,
) -> None:
    """Deny learning from a model's answers from now on; data sets that exist stay (`revoke` withdraws them)."""
    _decide(Rule(provider, model, terms, False, _reason(reason)), as_json=as_json)


@policy_commands.command("revoke")
def revoke(
    reason: Reason,
    trace: Annotated[list[str] | None, typer.Option(help="This trace, by its whole id.")] = None,
    provider: Annotated[str | None, typer.Option(help="All of this provider.")] = None,
    model: Annotated[str | None, typer.Option(help="All of this model; `*` for any letters.")] = None,
    tenant: Annotated[str | None, typer.Option(help="All of this tenant.")] = None,
    run: Annotated[str | None, typer.Option(help="All that this run left.")] = None,
    as_json: Json = False,
) -> None:
    """Take traces back for good, and withdraw every data set and brain that holds one of them."""
    if not trace and provider is None and model is None and tenant is None and run is None:
        raise BadInput("say which traces: --trace, --provider, --model, --tenant or --run")
    with with_database() as wired:
        from workers.brain import look_after  # the application is made from the wiring

        done = wired.traces.revoke(
            _reason(reason), ids=trace or (), provider=provider, model=model, tenant=tenant, run_id=run
        )
        happened = look_after(wired)
    if as_json:
        print_json(to_json(done))
    else:
        out.print(f"{_many(done.traces, 'trace')} revoked, {_many(len(done.data_sets), 'data set')} withdrawn.")
        for one in done.data_sets:
            out.print(f"  {one}")
        if done.data_sets:
            out.print("Nothing may be learned from these any more.")
        if done.brains:
            out.print(f"{_many(len(done.brains), 'brain')} learned from them and may not serve any more:")
        for one in done.brains:
            out.print(f"  {one}")
        if happened:
            out.print(f"{happened[0].upper()}{plain(happened[1:])}.", soft_wrap=True)
    raise typer.Exit(0 if done.traces else 1)


@commands.command("add")
def add(
    file: Annotated[
        Path, typer.Argument(help="JSON lines with a prompt, a reasoning and an answer, written by people.")
    ],
    as_json: Json = False,
) -> None:
    """Keep what people wrote as traces; they may be learned from."""
    found = list(_written(file))
    with with_database() as wired:
        allowed = wired.training_policy()
        hide = wired.redactor.text
        traces = [
            Trace(hide(prompt), hide(reasoning), hide(answer), "human", origin, allowed.permission(origin))
            for prompt, reasoning, answer in found
            for origin in (Origin(HUMAN, getpass.getuser(), source="human"),)
        ]
        count = sum(wired.traces.keep(*traces[at : at + _ADDED]) for at in range(0, len(traces), _ADDED))
    if as_json:
        print_json({"read": len(found), "new": count})
    else:
        out.print(f"{_many(count, 'trace')} of {len(found)} in the file {'is' if count == 1 else 'are'} new.")


@commands.command("curate")
def curate(as_json: Json = False) -> None:
    """Keep what ATRA's own work has to teach, and show what a data set would take and why not the rest; writes none."""
    check_libraries()
    with with_database() as wired:
        from workers.distillation import counted, curation_of  # the application is made from the wiring
        from workers.own_work import learn_own_work

        repairs, rooms, revoked = learn_own_work(wired)
        with err.status("looking at every trace") as status:
            choosing = curation_of(wired)
            traces = counted(wired.traces.all(), lambda count: status.update(f"looked at {count} traces"))
            sizes = [row.tokens for row in choosing.rows(traces)]
        gone = choosing.surplus(sizes)
    rows, dropped = len(sizes) - len(gone), {str(reason): count for reason, count in choosing.dropped.items()}
    if as_json:
        own = {"repairs": repairs, "rooms": rooms, "revoked": revoked}
        print_json({"own_work": own, "traces": rows + sum(dropped.values()), "rows": rows, "dropped": dropped})
    else:
        out.print(f"New of ATRA's own work: {_many(repairs, 'repair')}, {_many(rooms, 'room')}; {revoked} taken back.")
        _print_fates(rows, dropped)
    raise typer.Exit(0 if rows else 1)


@commands.command("build")
def build(as_json: Json = False) -> None:
    """Choose from all traces and write a data set; the same traces under the same rules give the same one."""
    check_libraries()
    with with_database() as wired:
        from workers.distillation import NOTHING, make_data_set  # the application is made from the wiring
        from workers.own_work import learn_own_work

        learn_own_work(wired)
        with err.status("looking at every trace") as status:
            built, known = make_data_set(wired, lambda count: status.update(f"looked at {count} traces"))
    if as_json:
        print_json({"data_set": built.id, "path": str(built.path) if known else "", "new": built.new, **built.summary})
    elif known is None:
        out.print(f"Nothing was written: {NOTHING}.")
    else:
        state = "written" if built.new else "there already"
        out.print(
            f"data set [bold]{built.id[:12]}[/], {_many(built.summary['rows'], 'row')}, {state}: {plain(built.path)}",
            soft_wrap=True,
        )
        _print_fates(built.summary["rows"], built.summary["dropped"])
    raise typer.Exit(0 if known else 1)


@commands.command("train")
def train(
    data_set: Annotated[str, typer.Argument(help="A data set's id, or its beginning; the newest unless said.")] = "",
    base: Annotated[str, typer.Option(help="The model to begin with: a folder, or a name on the hub.")] = "",
    here: Annotated[
        bool, typer.Option("--here", help="Train in this shell; else a worker on the queue gpu does.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train a candidate for the brain from a data set; `[training]` in atra.toml says how."""
    with with_database() as wired:
        run = _trained(wired, data_set, base, here=here, quiet=as_json)
        steps = wired.runs.steps(run.id)
    if run.state == "open" and not as_json:
        waits = f"Run {run.id} waits for a worker on the queue gpu (`atra up --gpu`)"
        out.print(f"{waits}; `atra show {run.id}` follows it.", soft_wrap=True)
    elif run.state == "open":
        print_json(_as_training(run, steps))
    else:
        leave(run, steps, _as_training(run, steps), lambda: _print_training(run, steps), as_json=as_json)


@commands.command("report")
def report(
    data_set: Annotated[str, typer.Argument(help="A data set's id, or its beginning; the newest unless said.")] = "",
    picture: Annotated[Path | None, typer.Option(help="Write it as a picture (SVG) to this file, too.")] = None,
    as_json: Json = False,
) -> None:
    """Show a data set: what it took, why not the rest, how long its rows are, and whether its files are whole."""
    with with_database() as wired:
        found = _found(wired, data_set)
    whole = is_whole(Path(found.path))
    if picture is not None:
        _write(picture, picture_of(f"Data set {found.id[:12]}", found.summary))
    if as_json:
        print_json({**to_json(found), "whole": whole})
        return
    withdrawn = f"; [red]withdrawn[/]: {plain(found.withdrawn_why)}" if found.withdrawn_at else ""
    out.print(f"data set [bold]{found.id[:12]}[/], built {age(found.created_at)}{withdrawn}", soft_wrap=True)
    out.print(
        f"[dim]files[/]   {'whole' if whole else '[red]missing or changed[/]'}: {plain(found.path)}", soft_wrap=True
    )
    summary = found.summary
    out.print(f"[dim]policy[/]  {summary['policy']}; lengths by {plain(summary['counted_by'])}")
    out.print(f"[dim]kinds[/]   {_counts(summary['kinds'])}; from {_counts(summary['sources'])}")
    _print_fates(summary["rows"], summary["dropped"])
    lengths = sorted((int(bound), count) for bound, count in summary["lengths"].items())
    _print_bars("tokens", [(f"up to {bound}", count) for bound, count in lengths])
    if picture is not None:
        out.print(f"The picture is in {plain(picture)}.")


def _trained(wired: Wiring, data_set: str, base: str, *, here: bool, quiet: bool) -> Run:
    """Open the training, and have it carried out: by a worker, or here; where this process is killed, by a worker."""
    from workers.app import app  # the application is made from the wiring
    from workers.owners import this_process
    from workers.pipelines import send
    from workers.task import run_step
    from workers.training import offer, open_training, recipe_of
    from workers.training import train as learn

    run = open_training(wired, data_set, recipe_of(wired, base))
    if not here:
        send(app, wired.runs, run)
        return run
    try:
        with nullcontext() if quiet else _told_how_far(wired, run.id):
            run_step("train", run.id, 0, learn)
            run_step("offer", run.id, 0, offer)
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


@contextmanager
def _told_how_far(wired: Wiring, run_id: str) -> Iterator[None]:
    """Show the step and the loss while the body trains."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(2.0):
            with suppress(DatabaseUnavailable):
                said = wired.runs.steps(run_id)[0].progress or {}
                shown.update(f"training: {', '.join(f'{name} {plain(str(value))}' for name, value in said.items())}")

    with err.status("training") as shown:
        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def _as_training(run: Run, steps: list[Step]) -> dict[str, Any]:
    outputs = [step.output for step in steps if step.name == "train" and step.output]
    done: Mapping[str, Any] = outputs[0] if outputs else {}
    error = error_facts(run, steps)["error"] if status(run) == "error" else None
    told = {name: done.get(name) for name in ("brain", "steps", "tokens", "left_out", "loss")}
    return {"run_id": run.id, "status": status(run), "data_set": run.input["data_set"], **told, "error": error}


def _print_training(run: Run, steps: list[Step]) -> None:
    done = _as_training(run, steps)
    if done["brain"]:
        out.print(f"{plain(run.reason or '')}; run {run.id}", soft_wrap=True)
        left = f"; {done['left_out']} rows were left out" if done["left_out"] else ""
        out.print(f"[dim]{done['steps']} steps, {done['tokens']} tokens, the last loss {done['loss']}{left}[/]")


def _decide(rule: Rule, *, as_json: bool) -> None:
    with with_database() as wired:
        wired.traces.decide(rule)
        version = wired.training_policy().version
    if as_json:
        print_json({**to_json(rule), "policy": version})
        return
    said = "allowed" if rule.allow else "denied"
    about = f"{plain(rule.provider)} {plain(rule.model)} under terms {plain(rule.terms)}"
    out.print(f"Learning from {about} is {said}: {plain(rule.reason)}. Policy {version}.", soft_wrap=True)


def _reason(given: str) -> str:
    if len(given.strip()) < 8:
        raise BadInput("a reason has at least eight letters; somebody will read it in a year")
    return given.strip()


def _rules(wired: Wiring) -> list[dict[str, Any]]:
    decided = [{"from": f"{at:%Y-%m-%d}", **to_json(rule)} for rule, at in wired.traces.decided()]
    configured = [{"from": "atra.toml", **to_json(Rule(**rule.model_dump()))} for rule in wired.settings.distill.rules]
    return [*decided, *configured, *({"from": "shipped", **to_json(rule)} for rule in SHIPPED)]


def _kept(wired: Wiring) -> list[dict[str, Any]]:
    names = ("source", "provider", "model", "kind", "allowed", "traces", "revoked")
    return [dict(zip(names, row, strict=True)) for row in wired.traces.counts()]


def _print_kept(kept: list[dict[str, Any]]) -> None:
    if not kept:
        out.print("No trace is kept yet.")
        return
    shown = table("traces of", "provider", "model", "kind", "when kept", "traces", "revoked")
    for one in kept:
        names = (plain(one[name]) for name in ("source", "provider", "model", "kind"))
        when = "allowed" if one["allowed"] else "denied"
        shown.add_row(*names, when, str(one["traces"]), str(one["revoked"]))
    out.print(shown)


def _print_fates(rows: int, dropped: Mapping[str, int]) -> None:
    ordered = sorted(dropped.items(), key=lambda item: (-item[1], item[0]))
    _print_bars("what became of traces", [("kept", rows), *((name.replace("_", " "), n) for name, n in ordered)])


def _print_bars(title: str, bars: list[tuple[str, int]]) -> None:
    most = max((count for _, count in bars), default=0) or 1
    shown = table(title, "", "")
    for name, count in bars:
        shown.add_row(name, str(count), "█" * max(round(_BAR * count / most), 1 if count else 0))
    out.print(shown)


def _counts(counted: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {plain(name.replace('_', ' '))}" for name, count in counted.items()) or "none"


def _found(wired: Wiring, prefix: str) -> DataSet:
    found = wired.data_sets.find(prefix) if prefix else wired.data_sets.recent(1)
    if not found:
        raise BadInput(
            f"there is no data set {prefix}" if prefix else "no data set was built yet: `atra distill build`"
        )
    if len(found) > 1:
        raise BadInput(f"several data sets begin with {prefix}: write more letters of the id")
    return found[0]


def _written(file: Path) -> Iterator[tuple[str, str, str]]:
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{file} cannot be read: {error}") from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield _human(file, number, line)


def _human(file: Path, number: int, line: str) -> tuple[str, str, str]:
    try:
        given = json.loads(line)
        prompt, reasoning, answer = (given[name] for name in ("prompt", "reasoning", "answer"))
    except (ValueError, TypeError, KeyError) as error:
        raise BadInput(f"line {number} of {file} is no JSON object with a prompt, a reasoning and an answer") from error
    if not all(isinstance(text, str) and text.strip() for text in (prompt, reasoning, answer)):
        raise BadInput(f"line {number} of {file}: prompt, reasoning and answer are texts, and none is empty")
    return prompt, reasoning, answer


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}") from error


def _many(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
