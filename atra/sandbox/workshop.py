"""The host's side of the workshop: candidates go into a box that stays, and a box that breaks is replaced.

What happens inside is `inside.py`'s business.
"""

import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from atra.core.edits import Patch, by_path
from atra.core.errors import BoxFailed
from atra.sandbox.conversation import Inside, policy_for, setup_for
from atra.sandbox.protocol import Sandbox, Stop
from atra.sandbox.runner import Project, Trial
from atra.sandbox.unboxed import UnboxedSandbox

_LIFE_S = 7 * 24 * 3600  # a workshop lives as long as its search; each test has its own limit inside
_SILENT_S = 20.0  # inside says at least every second that it is alive
_LOOK_S = 0.25
_AHEAD_S = 0.2  # how much work lies in the box ahead of the answers
_MOST_AHEAD = 128
_FRUITLESS = 3  # boxes that break one after the other without one answer


class PytestWorkshop:
    """Implements `Workshop`: tries candidates in a box that has the project imported and its tests collected."""

    def __init__(
        self,
        project: Project,
        sandbox: Sandbox,
        tree: str,
        failing: Sequence[str],
        passing: Sequence[str],
        seconds: Mapping[str, float],
        stop: Stop,
    ) -> None:
        self._project, self._sandbox, self._tree, self._stop = project, sandbox, tree, stop
        known = {name: seconds[name] for name in (*failing, *passing) if name in seconds}
        self._tests = {"failing": list(failing), "passing": list(passing), "seconds": known}
        self._inside: Inside | None = None
        self._per_trial_s = _AHEAD_S
        self.dropped: tuple[str, ...] = ()
        """Passing tests that do not pass in the workshop on the unchanged tree; only a cold run can judge them."""

    def __enter__(self) -> "PytestWorkshop":
        self._open()
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def try_all(self, patches: Iterable[Patch], *, limit_scale: float = 1.0) -> Iterator[Trial]:
        """Yield one trial per patch, in order; see `Workshop.try_all`. Up to 128 patches are asked for ahead.

        Raises:
            BoxFailed: boxes break again and again.
        """
        source = iter(patches)
        waiting: deque[Mapping[str, Any]] = deque()  # sent or to be sent, without an answer so far
        unsent, more, fruitless = 0, True, 0
        while not self._stop():
            room = max(1, min(_MOST_AHEAD, int(_AHEAD_S / self._per_trial_s)))
            while more and len(waiting) < room:
                if (patch := next(source, None)) is None:
                    more = False
                else:
                    waiting.append(_as_message(patch, limit_scale))
                    unsent += 1
            if not waiting:
                return
            if unsent * 2 >= room or unsent == len(waiting):
                self._send(list(waiting)[-unsent:])
                unsent = 0
            answer = self._answer()
            fruitless = fruitless + 1 if answer is None else 0
            if fruitless == _FRUITLESS:
                raise BoxFailed("the workshop's boxes break off one after the other")
            if self._stop():
                return
            waiting.popleft()
            trial = _trial(answer)
            self._per_trial_s = 0.8 * self._per_trial_s + 0.2 * trial.seconds
            yield trial
            if answer is None or "spoilt" in answer:
                self._open()
                unsent = len(waiting)

    def observe(self, patches: Sequence[Patch]) -> list[tuple[str, ...]]:
        """Return what each patch makes of the same calls; see `Workshop.observe`."""
        assert self._inside is not None, "a workshop is a context manager"
        nothing: list[tuple[str, ...]] = [()] * len(patches)
        try:
            self._inside.send({"observe": [_as_message(patch, 1.0) for patch in patches]})
        except BoxFailed:
            return nothing
        answer = self._answer("observed")
        if answer is None:
            return nothing
        return [tuple(seen or ()) for seen in answer["observed"]]

    def _send(self, candidates: list[Mapping[str, Any]]) -> None:
        assert self._inside is not None, "a workshop is a context manager"
        try:
            self._inside.send({"candidates": candidates})
        except BoxFailed:  # it has ended; the missing answer says so next
            return

    def _answer(self, wanted: str = "verdict") -> Mapping[str, Any] | None:
        """Return the next answer, or None when the box has ended, is stuck, or is to stop."""
        assert self._inside is not None, "a workshop is a context manager"
        until = time.monotonic() + _SILENT_S
        while time.monotonic() < until and not self._stop():
            try:
                message = self._inside.receive(_LOOK_S)
            except TimeoutError:
                continue
            if message is None or wanted in message:
                return message
            until = time.monotonic() + _SILENT_S
        return None

    def _open(self) -> None:
        self._close()
        policy = policy_for(self._project, self._tree, wall_s=_LIFE_S, cpu_s=_LIFE_S)
        self._inside = Inside(self._project, self._sandbox, policy)
        # Outside a box /tmp is everybody's, and what is not ours is not put back.
        scratch = [] if isinstance(self._sandbox, UnboxedSandbox) else ["/tmp", "/dev/shm"]  # noqa: S108
        self._inside.send(
            {"mode": "workshop", "scratch": scratch, **setup_for(self._project, self._tree), **self._tests}
        )
        while not self._stop():
            try:
                message = self._inside.receive(_LOOK_S)
            except TimeoutError:
                continue
            if message is None:
                raise BoxFailed(self._inside.printed() or "the workshop ended before it was ready")
            if "ready" in message:
                self.dropped = tuple(message["dropped"])
                return

    def _close(self) -> None:
        if self._inside is not None:
            self._inside.close()
            self._inside = None


def _as_message(patch: Patch, limit_scale: float) -> Mapping[str, Any]:
    edits = {path: [(edit.start, edit.end, edit.text) for edit in some] for path, some in by_path(patch).items()}
    return {"edits": edits, "scale": limit_scale}


def _trial(answer: Mapping[str, Any] | None) -> Trial:
    if answer is None:
        return Trial("died")
    return Trial(answer["verdict"], answer.get("fixed", 0), answer["seconds"])
