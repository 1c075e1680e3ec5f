"""The commit message of a repair: what was wrong, what was changed, how it was proved, and trailers for programs."""

import re

from atra.meta_architect.records import Candidate, Plausible, Reproduction, Target, Verification
from atra.meta_architect.verification import HASH_SEEDS

_SUBJECT = 60
_WEAK = (
    "No test of the repository failed. The one above was written from a recorded",
    "failure and is part of this commit: it asks that the call raises nothing, not",
    "that its result is right. A patch that only hides the error passes it too, so",
    "confidence is low; read it before you merge it.",
)


def message(
    run_id: str,
    failure_id: str | None,
    target: Target,
    reproduction: Reproduction,
    proof: Verification,
    review: str = "",
) -> str:
    """Return the message for the commit of a proved patch; `review` says why people must look at it, where they must.

    Test ids, paths and error texts come from the repository: line ends and control characters are taken out, so that
    they can forge no trailer.
    """
    assert proof.winner is not None
    candidate = proof.winner.candidate
    tests = [one_line(result.id) for result in reproduction.failing]
    first = reproduction.failing[0]
    error = f"{first.error_type}: {first.message}" if first.error_type else first.outcome
    body = [
        _subject(tests),
        "",
        f"On {target.revision[:12]} {_count(len(tests), 'test')} failed:",
        *(f"  {test}" for test in tests[:10]),
        *([f"  and {len(tests) - 10} more"] if len(tests) > 10 else []),
        f"The first said: {one_line(error)[:200]}",
        "",
        _origin(proof.winner),
        f"Proved in a fresh sandbox under hash seeds {', '.join(map(str, HASH_SEEDS))}: these tests pass, and the "
        f"{_count(len(reproduction.passing), 'test')} that passed before still {_do(len(reproduction.passing))}.",
    ]
    if reproduction.written:
        body += ["", *_WEAK]
    if review:
        body += ["", f"Read it before you merge it: {one_line(review)}."]
    if reproduction.aside:
        body.append(f"Set aside: {_count(len(reproduction.aside), 'test')} that fail for reasons outside the code.")
    fixed = f"{len(tests)} fixed" + (" (from a recorded call)" if reproduction.written else "")
    trailers = [
        f"Atra-Run: {run_id}",
        f"Atra-Failure: {failure_id or 'none'}",
        f"Atra-Base: {target.revision}",
        f"Atra-Generator: {_generator(candidate)}",
        f"Atra-Tests: {fixed}, {len(proof.passing_after)} passing, {len(proof.failing_after)} failing",
        *(["Atra-Review: needs-review"] if review else []),
    ]
    return "\n".join([*body, "", *trailers]) + "\n"


def _origin(winner: Plausible) -> str:
    candidate = winner.candidate
    place = f"{one_line(candidate.path)}:{candidate.line}"
    if candidate.generator == "templates":
        return f"Changed by template {candidate.template} at {place}, candidate {winner.rank} of the search."
    how = {"one-shot": f"sample {winner.rank}", "seeded": f"sample {winner.rank}, and a search from it"}
    return f"Written by {one_line(candidate.generator)}, {how.get(candidate.template, candidate.template)}, at {place}."


def _generator(candidate: Candidate) -> str:
    return f"templates/{candidate.template}" if candidate.generator == "templates" else one_line(candidate.generator)


def _subject(tests: list[str]) -> str:
    name = re.sub(r"\[.*", "", tests[0].rpartition("::")[2] or tests[0])
    more = f" and {len(tests) - 1} more" if len(tests) > 1 else ""
    room = _SUBJECT - len("Fix ") - len(more)
    return f"Fix {name if len(name) <= room else name[: room - 1] + '…'}{more}"


def one_line(text: str) -> str:
    """Return text from outside on one line, so that it can forge no trailer."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", text).strip()


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _do(number: int) -> str:
    return "does" if number == 1 else "do"
