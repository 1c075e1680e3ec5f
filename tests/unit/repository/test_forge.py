"""Pull requests at a loopback forge: opened once, refused for a reason that is told; the token goes nowhere else."""

import pytest

from atra.core.errors import AtraError, BadInput, ForgeRefused, ForgeUnavailable
from atra.repository.forge import GitHub, Place, PullRequest, place_of
from tests.forges import TOKEN, LoopbackForge

PLACE = Place("github.com", "acme", "shop")
ASKED = PullRequest(PLACE, "atra/repair-r1", "main", "Fix the total", "why")


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/acme/shop.git",
        "https://github.com/acme/shop",
        "https://github.com/acme/shop/",
        "https://me:secret@github.com:443/acme/shop.git",
        "ssh://git@github.com:22/acme/shop.git",
        "ssh://git@ssh.github.com:443/acme/shop.git",
        "git@github.com:acme/shop.git",
        "github.com:acme/shop",
        "git://github.com/acme/shop.git",
    ],
)
def test_a_remotes_address_names_its_owner_and_repository(url: str) -> None:
    """In every form that git takes, with ports, users and passwords, which are left out."""
    assert place_of(url) == PLACE


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/srv/git/shop.git",
        "file:///srv/acme/shop.git",
        "https://github.com/acme",
        "https://github.com/acme/shop/tree",
        "https://github.com/acme/..",
        "https://me:secret@github.com/acme",
        "https://[::1/acme/shop",
        "https://github.com/a%2Fb/shop",
        "https:///acme/shop",
        "git@github.com:acme/sh op",
        "ext::sh -c true",
        "https://github.com/-x/shop",
    ],
)
def test_an_address_that_names_none_is_refused(url: str) -> None:
    """Nothing is asked of a forge by guess."""
    with pytest.raises(BadInput) as caught:
        place_of(url)

    assert "secret" not in str(caught.value)


def test_a_pull_request_is_opened_once() -> None:
    """The second time the open one is found; one that was closed does not count."""
    with LoopbackForge() as forge:
        first, second = GitHub(forge.url, TOKEN).open(ASKED), GitHub(forge.url, TOKEN).open(ASKED)
        forge.pulls[0]["state"] = "closed"
        third = GitHub(forge.url, TOKEN).open(ASKED)

    assert (first, second, third) == tuple(f"https://github.com/acme/shop/pull/{n}" for n in (1, 1, 2))
    assert [asked[0] for asked in forge.asked] == ["GET", "POST", "GET", "GET", "POST"]
    assert forge.asked[1][3] == {"title": "Fix the total", "body": "why", "head": "atra/repair-r1", "base": "main"}
    assert forge.asked[0][2]["x-github-api-version"] == "2022-11-28"


def test_another_copy_that_was_first_is_found() -> None:
    """The forge says that there is one already, after it has said that there is none."""
    with LoopbackForge(lambda number: (200, [], {}) if number == 3 else None) as forge:
        GitHub(forge.url, TOKEN).open(ASKED)

        assert GitHub(forge.url, TOKEN).open(ASKED) == "https://github.com/acme/shop/pull/1"
    assert len(forge.pulls) == 1


def test_a_pull_request_of_another_branch_is_not_taken_for_ours() -> None:
    """Some servers pass over a filter that they do not know."""
    other = {"html_url": "https://github.com/acme/shop/pull/9", "head": {"ref": "other"}}
    with LoopbackForge(lambda number: (200, [other], {}) if number == 1 else None) as forge:
        assert GitHub(forge.url, TOKEN).open(ASKED).endswith("/1")


INVALID = {"message": "Validation Failed", "errors": [{"field": "base", "code": "invalid", "resource": "PullRequest"}]}


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        ((401, {"message": f"Bad credentials {TOKEN}"}, {}), ForgeRefused, "does not know the token"),
        ((403, {"message": "Resource not accessible"}, {}), ForgeRefused, "may not open pull requests in acme/shop"),
        ((403, {"message": "limit"}, {"x-ratelimit-remaining": "0"}), ForgeUnavailable, "403"),
        ((403, {"message": "secondary limit"}, {"retry-after": "60"}), ForgeUnavailable, "403"),
        ((404, {"message": "Not Found"}, {}), ForgeRefused, "has no acme/shop, or none that the token may see"),
        ((422, INVALID, {}), ForgeRefused, "Validation Failed; base invalid"),
        ((429, {}, {}), ForgeUnavailable, "429"),
        ((500, b"<html>", {}), ForgeUnavailable, "500"),
        ((503, None, {}), ForgeUnavailable, "503"),
        ((200, b"not json", {}), ForgeRefused, "cannot be read"),
        ((200, {"message": "a list was expected"}, {}), ForgeRefused, "cannot be read"),
        ((200, [{"head": {"ref": "atra/repair-r1"}, "html_url": "javascript:alert(1)"}], {}), ForgeRefused, "names no"),
        ((200, b" " * (2**20 + 1), {}), ForgeUnavailable, "too long"),
    ],
    ids=lambda value: str(value[0]) if isinstance(value, tuple) else None,
)
def test_refusals_are_told_apart_and_never_tell_the_token(answer, kind: type[AtraError], words: str) -> None:
    """What another try may mend, and what it will not; with the forge's own words where it has some."""
    with LoopbackForge(lambda number: answer) as forge, pytest.raises(kind, match=words) as caught:
        GitHub(forge.url, TOKEN).open(ASKED)

    assert TOKEN not in f"{caught.value} {caught.value.args}"


def test_the_token_follows_no_redirect() -> None:
    """Another host, which a forge names, is not asked anything."""
    with LoopbackForge() as elsewhere:
        there = f"{elsewhere.url}/repos/acme/shop/pulls"
        with (
            LoopbackForge(lambda number: (307, {}, {"location": there})) as forge,
            pytest.raises(ForgeRefused, match="where the token does not go"),
        ):
            GitHub(forge.url, TOKEN).open(ASKED)

        assert elsewhere.asked == []


def test_a_token_that_comes_with_a_line_end_is_taken_without_it() -> None:
    """As one does that was read from a file."""
    with LoopbackForge() as forge:
        assert GitHub(forge.url, f"{TOKEN}\n").open(ASKED).endswith("/1")


@pytest.mark.parametrize("token", ["", " \n", "two words", f"{TOKEN}\r\nx-more: 1", "t\u00f6ken", "\x00"])
def test_what_cannot_be_a_token_is_refused_and_not_told(token: str) -> None:
    """A header that cannot be sent would be quoted in the error."""
    with pytest.raises(BadInput, match="ATRA_FORGE_TOKEN") as caught:
        GitHub("https://api.github.com", token)

    assert not token.strip() or token.strip() not in str(caught.value)


def test_what_a_forge_says_can_be_kept() -> None:
    """No NUL, escape or half of a pair, which a database or a terminal would choke on."""
    told = {"message": "no\x00\ud800\x1b[31m way"}
    with LoopbackForge(lambda number: (422, told, {})) as forge, pytest.raises(ForgeRefused) as caught:
        GitHub(forge.url, TOKEN).open(ASKED)

    assert str(caught.value).endswith("it answers 422: no [31m way")


@pytest.mark.parametrize("url", ["http://github.example.com", "ftp://127.0.0.1", "", "https://", "//127.0.0.1"])
def test_the_token_is_not_sent_in_the_clear(url: str) -> None:
    """Over TLS, or to this machine."""
    with pytest.raises(BadInput, match="https://"):
        GitHub(url, TOKEN)


def test_a_remote_at_another_host_than_the_forge_is_not_asked_for() -> None:
    """A repository of the same name may be somebody else's."""
    with pytest.raises(BadInput, match=r"gitlab\.com.*api\.github\.com"):
        GitHub("https://api.github.com", TOKEN).open(
            PullRequest(Place("gitlab.com", "acme", "shop"), "b", "main", "", "")
        )


def test_a_forge_that_is_away_is_worth_another_try() -> None:
    """Nobody listens there."""
    with LoopbackForge() as forge:
        url = forge.url

    with pytest.raises(ForgeUnavailable, match="ConnectError"):
        GitHub(url, TOKEN).open(ASKED)
