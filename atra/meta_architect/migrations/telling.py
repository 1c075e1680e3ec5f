"""The commit message of a migration: what it does, how it was proved, what it locks, and trailers for programs."""

import re

from atra.meta_architect.migrations.drafting import title
from atra.meta_architect.migrations.records import Draft, MigrationTarget, Proof, Tested


def message(
    run_id: str, failure_id: str | None, target: MigrationTarget, draft: Draft, proof: Proof, tested: Tested
) -> str:
    """Return the message for the commit of a proved migration.

    Names come from the repository: line ends and control characters are taken out, so that they can forge no trailer.
    """
    subject = title(draft.sentences)
    body = [
        f"{subject[:1].upper()}{subject[1:]}",
        "",
        *(f"- {sentence}" for sentence in draft.sentences),
        "",
        _proved(draft, proof),
        _tested(tested),
        *(f"Lost, as allowed: {loss}." for loss in proof.lost),
        *(f"Note: {note}." for note in (*draft.notes, *proof.notes)),
    ]
    if proof.locks:
        body += ["", "On a large table these keep others waiting:"]
        for lock in proof.locks:
            body += [f"- {lock.statement}", f"  {lock.holds}; instead: {lock.instead}"]
    trailers = [
        f"Atra-Run: {run_id}",
        f"Atra-Failure: {failure_id or 'none'}",
        f"Atra-Base: {target.revision}",
        f"Atra-Generator: {draft.generator}",
        f"Atra-Tests: {len(tested.fixed)} fixed, {len(tested.passing)} passing, {len(tested.failing)} failing",
        f"Atra-Revision: {draft.revision}",
    ]
    return "\n".join([*(_plain(line) for line in body), "", *map(_plain, trailers)]) + "\n"


def _proved(draft: Draft, proof: Proof) -> str:
    rows = sum(proof.rows.values())
    tables = f"{len(proof.rows)} table{'' if len(proof.rows) == 1 else 's'}"
    copy = f"a copy with {rows} rows in {tables}" if rows else "an empty copy"
    kept = "the values that were not to be lost" if proof.lost else "the values"
    written = "" if draft.generator == "alembic" else f"Written by {draft.generator}. "
    return (
        f"{written}Proved in a fresh sandbox on {copy}: upgrade, downgrade and upgrade again; the models and the "
        f"schema agree, the downgrade gives the old schema back, and {kept} are the same."
    )


def _tested(tested: Tested) -> str:
    if tested.why:
        return f"The tests were not run: {tested.why}."
    fixed = f", {len(tested.fixed)} of which failed before" if tested.fixed else ""
    failing = f"; {len(tested.failing)} fail, as before" if tested.failing else ""
    return f"Against the migrated database {len(tested.passing)} tests pass{fixed}{failing}."


def _plain(text: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", text).rstrip()
