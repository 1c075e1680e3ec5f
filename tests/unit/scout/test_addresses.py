"""Addresses: one form for one article, and none for what cannot be followed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atra.core.errors import BadInput
from atra.scout.addresses import canonical, redirected, same_site, to_follow


@pytest.mark.parametrize(
    ("address", "form"),
    [
        ("HTTPS://Site.Example:443/A%20b?x=1#top", "https://site.example/A%20b?x=1"),
        ("http://site.example:8080", "http://site.example:8080/"),
        ("/n/1?utm_source=feed&id=7&fbclid=z", "https://base.example/n/1?id=7"),
        ("?utm_campaign=x", "https://base.example/feed"),
        ("https://me:secret@site.example/", "https://site.example/"),
        ("https://m\u00fcnchen.example/stra\u00dfe", "https://xn--mnchen-3ya.example/stra%C3%9Fe"),
        ("https://site.example/a\u202eb\u200bc d", "https://site.example/abcd"),
        ("https://[::1]:8080/x", "https://[::1]:8080/x"),
        ("", ""),
        ("mailto:a@b.example", ""),
        ("javascript:alert(1)", ""),
        ("file:///etc/passwd", ""),
        ("https://a b.example/", "https://ab.example/"),
        ("https://x.example:99999/", ""),
        ("https://[::1", ""),
        ("https://" + "a" * 300 + ".example/", ""),
        ("https://x.example/" + "a" * 2000, ""),
        ("//other.example/x", "https://other.example/x"),
    ],
    ids=str,
)  # fmt: skip
def test_an_address_has_one_form(address: str, form: str):
    """Two that differ in nothing that matters are one."""
    assert canonical(address, "https://base.example/feed?x=1") == form


@given(st.text(max_size=60), st.text(max_size=30))
def test_the_form_of_a_form_is_itself(text: str, base: str):
    """Whatever comes in, what comes out is empty or stays as it is, in plain letters."""
    for address in (text, f"https://{text}", f"https://x.example/{text}", f"http://x.example/?{text}"):
        form = canonical(address, base)

        assert canonical(form) == form
        assert form.isascii()
        assert form == "" or form.startswith(("http://", "https://"))


@pytest.mark.parametrize(
    ("given_as", "followed"),
    [
        ("feed://site.example/f", "http://site.example/f"),
        ("feed:https://site.example/f", "https://site.example/f"),
        ("site.example/f", "https://site.example/f"),
        (" https://site.example/f?utm_source=x ", "https://site.example/f?utm_source=x"),
    ],
)
def test_what_people_type_is_understood(given_as: str, followed: str):
    """A missing scheme and a reader's own; what the publisher wants in it stays."""
    assert to_follow(given_as) == followed


@pytest.mark.parametrize(
    ("given_as", "said"),
    [
        ("", "nothing is no address"),
        ("words", "no address"),
        ("ftp://site.example/", "no address"),
        ("https://me:secret@site.example/", "a name or a password"),
        ("https://site.example/" + "x" * 3000, "at most 2000"),
        ("\ud800://", "no address"),
    ],
)
def test_what_cannot_be_followed_is_told(given_as: str, said: str):
    """In one sentence, which holds no password."""
    with pytest.raises(BadInput, match=said) as told:
        to_follow(given_as)
    assert "secret" not in str(told.value)


def test_redirects_are_relative_and_carry_no_password():
    """To another scheme they lead nowhere."""
    assert redirected("https://a.example/x/y", "../z") == "https://a.example/z"
    assert redirected("https://a.example/", "//me:secret@b.example/") == "https://b.example/"
    assert redirected("https://a.example/", "file:///etc/passwd") == ""


@pytest.mark.parametrize(
    ("other", "same"),
    [("feeds.site.example", True), ("site.example", True), ("notsite.example", False), ("example", True), ("", False)],
)
def test_one_site_may_have_several_hosts(other: str, same: bool):
    """Those that lie below it."""
    assert same_site("https://site.example/a", f"https://{other}/b") is same
