"""Small programs of everyday application code, each with a typical bug and its right fix, written for this purpose."""

from dataclasses import dataclass

from tests.unit.meta_architect.corpus.programs import PROGRAMS


@dataclass(frozen=True)
class Bug:
    """A module with a bug: `wrong` occurs once in `text`, and `right` in its place repairs it."""

    name: str
    text: str
    wrong: str
    right: str
    errors: tuple[tuple[str, str], ...] = ()

    @property
    def fixed(self) -> str:
        """The module without its bug."""
        assert self.text.count(self.wrong) == 1, self.name
        return self.text.replace(self.wrong, self.right)


BUGS = tuple(Bug(*program) for program in PROGRAMS)
