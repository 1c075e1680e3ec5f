"""The facts of one repair, from the failing test to the commit, each made by one step and never changed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from atra.core.edits import Patch
from atra.sandbox.reports import TestResult


@dataclass(frozen=True)
class Target:
    """What is to be repaired, as asked for.

    `tests` are the ids that matter (all failing ones when empty). `suspect` is the file in which a reported failure
    happened, as its traceback names it: then only failing tests that run it matter. `test_command` empty means pytest.
    `python` empty means the repository's own `.venv`, else ATRA's interpreter. `revision` is the full id of the base
    commit. `added` are files, tests as a rule, that are put on top of the base before anything else is done, and that
    the commit carries; no patch may change them. `spec` says what is to be written, where that is what is asked for.
    """

    repository: str  # its name, for people and trailers
    path: str  # the working tree's root, absolute
    revision: str
    subfolder: str = ""  # where the tests are run from, relative to the root
    tests: tuple[str, ...] = ()
    test_command: str = ""
    python: str = ""
    commit: bool = True
    protected: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    generator: str = "auto"
    budget_s: float = 300.0
    budget_usd: float = 2.0  # what models may cost in this run
    suspect: str = ""
    seed: int = 0
    added: Mapping[str, str] = field(default_factory=dict)  # text by path
    spec: str = ""
    models: str = ""  # the digest of the models that whoever asked knows


@dataclass(frozen=True)
class Reproduction:
    """The suite on the base revision, run in a box.

    `failing` are to be repaired; `passing` must stay green, those nearest to the failing first; `aside` are left out,
    by id, each with the reason (flaky, needs the network, lacks a tool, not asked for). `lines` are those each failing
    test ran; `passing_hits` counts, per path and line, the passing tests that ran it.
    """

    failing: tuple[TestResult, ...]
    passing: tuple[str, ...]
    aside: Mapping[str, str] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    lines: Mapping[str, Mapping[str, tuple[int, ...]]] = field(default_factory=dict)
    passing_hits: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    tampered: tuple[str, ...] = ()  # what of the runner the project itself replaces, see `TestReport`
    written: Mapping[str, str] = field(default_factory=dict)  # a test made of a recorded call, where none failed


@dataclass(frozen=True)
class Place:
    """A line under suspicion. `score` in [0, 1], larger is more suspect; `reasons` say why, in words."""

    path: str
    line: int
    score: float
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Diagnosis:
    """Where to look, most suspect first; ties by path and line. And what the failing tests said.

    `errors` are (type, message), each once; `expected` are values that failing tests ask for, as Python literals.
    """

    places: tuple[Place, ...]
    error_types: tuple[str, ...] = ()
    errors: tuple[tuple[str, str], ...] = ()
    expected: tuple[str, ...] = ()


@dataclass(frozen=True)
class Candidate:
    """A patch somebody proposes. `score` orders the stream, larger first; `template` names what made it.

    `generator` is `templates`, or `model/NAME` for what a model wrote; then `template` is `one-shot`, `agent` or
    `seeded`. An edit of a file that the base does not have makes it: characters [0, 0) of nothing become its text.
    """

    patch: Patch
    template: str
    path: str
    line: int
    score: float
    generator: str = "templates"


@dataclass(frozen=True)
class Plausible:
    """A candidate that passed the screen. `rank` is its place in the whole stream, from 1.

    `behaviour` is what it makes of calls that all are given, a word for each (see `Workshop.observe`); empty where
    nobody looked. `signs` are what speaks against it there.
    """

    candidate: Candidate
    rank: int
    behaviour: tuple[str, ...] = ()
    signs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Search:
    """What one shard did: how many candidates, at what speed, what passed, and the best that did not."""

    plausible: tuple[Plausible, ...]
    tried: int
    seconds: float
    verdicts: Mapping[str, int] = field(default_factory=dict)
    best: Plausible | None = None  # the candidate that turned most failing tests green without being plausible
    best_fixed: int = 0
    exhausted: bool = False  # the stream ended before the budget did


@dataclass(frozen=True)
class Proposal:
    """One patch that a model wrote, and what its tests said; or why there is none.

    `unapplied`: its edits fit nowhere, also when asked a second time; `outside`: it would change what no patch may;
    `empty`: no edit came (a refusal, a cut reply); `unanswered`: no reply came at all; else as in `Trial`.
    """

    model: str
    template: str  # one-shot, agent, seeded
    verdict: Literal[
        "plausible", "failed", "broke", "hung", "died", "invalid", "unapplied", "outside", "empty", "unanswered"
    ]
    fixed: int = 0  # failing tests that it turns green
    why: str = ""
    diff: str = ""


@dataclass(frozen=True)
class Proposals:
    """What one sample or one agent came to. `skipped` says why nothing was asked (a repair was found, no money)."""

    plausible: tuple[Plausible, ...] = ()
    made: tuple[Proposal, ...] = ()
    skipped: str = ""
    calls: int = 0
    tokens: int = 0
    cost_usd: float = 0.0
    tried: int = 0  # candidates of a search that a near miss seeded
    seconds: float = 0.0


@dataclass(frozen=True)
class Area:
    """What the search may change: files in order of suspicion, and how many places of each are suspect.

    `learned` are factors on the shares of templates, which all shards take alike (see `experience`).
    """

    paths: tuple[str, ...]
    places: int
    shards: int
    learned: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Choice:
    """Plausible candidates in the order in which they are to be verified.

    `groups` and `signs`, one for each: the number of those that behave alike, the likeliest group being 0; what speaks
    against it. `share` is the likeliest group's in all that is likely.
    """

    ranked: tuple[Plausible, ...]
    groups: tuple[int, ...] = ()
    signs: tuple[tuple[str, ...], ...] = ()
    share: float = 1.0


@dataclass(frozen=True)
class Verification:
    """What the cold, full runs proved: the winner with its files, or why each choice was refused."""

    winner: Plausible | None
    files: Mapping[str, str] = field(default_factory=dict)  # new contents by path
    diff: str = ""
    passing_after: tuple[str, ...] = ()
    failing_after: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    aside: Mapping[str, str] = field(default_factory=dict)  # tests found flaky on the way
    confidence: float = 0.0


@dataclass(frozen=True)
class Commit:
    """Where the repair landed; `review` says why people must look at it before it goes any further, where they must."""

    branch: str
    commit: str
    base: str
    files: tuple[str, ...]
    review: str = ""


@dataclass(frozen=True)
class Delivery:
    """How far a repair's commit went by itself, as the repository's policy says.

    Args:
        state: `branch`: it stays on its branch; `merged` into the branch `where`; `pushed` to the remote `where`;
            `failed`: it did not get that far, `why` says why, and it stays on its branch.
        pull_request: its address; where one was wanted and there is none, `why` says why.
    """

    policy: str
    state: Literal["branch", "merged", "pushed", "failed"]
    where: str = ""
    pull_request: str = ""
    why: str = ""
