"""What is said in a room is printed, whoever said it: strangers who reach Redis end no command, steer no terminal."""

from typing import Any

import pytest

from atra.cli.war_room import _ballot_line, _print_post
from atra.storage.channel import Post

ODD: list[Any] = [5, None, "text", [5], {"a": 5}, [[]], [{"expert": 5}], "\x1b[2J"]


@pytest.mark.parametrize("kind", ["opened", "ballot", "weighed", "decision", "else"])
@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_no_post_ends_the_watching(kind: str, odd: Any, capsys: pytest.CaptureFixture[str]):
    """Of any shape."""
    names = ("question", "seats", "options", "expert", "ranking", "abstained", "vetoes", "evidence", "late", "counted")

    _print_post(Post("1-1", kind, {}))
    _print_post(Post("1-1", kind, dict.fromkeys(names, odd)))

    assert "\x1b[2J" not in capsys.readouterr().err


def test_a_veto_is_told_with_its_reason():
    """And a vote without a reason ends with its option."""
    said = {"expert": "person:ann", "ranking": ["b"], "vetoes": {"a": "the contract forbids it"}}

    assert _ballot_line(said) == "[bold]person:ann[/]: b, vetoes a: the contract forbids it"
    assert _ballot_line({"expert": "ml", "ranking": ["b"], "evidence": ["seen"]}) == "[bold]ml[/]: b  [dim]seen[/]"
