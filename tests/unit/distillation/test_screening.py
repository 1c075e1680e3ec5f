"""What must not be learned is seen, and what only looks like it is not."""

import sys
import time

import pytest

from atra.core.errors import MissingPart
from atra.distillation.screening import Screen

ENGLISH = "The tests failed because the cart did not apply the discount before the tax was added to it. " * 2


@pytest.fixture(scope="module")
def screen() -> Screen:
    return Screen(["en", "de"])


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("key AKIAIOSFODNN7EXAMPLZ here", True),
        (f"ghp_{'aB3' * 12}", True),
        ("-----BEGIN RSA PRIVATE KEY-----", True),
        ("x" * 3000 + f" ghp_{'aB3' * 12}", True),
        ("https://bob:correct-horse@db.internal/x", True),
        ("a commit 2fd4e1c67a2d28fced849ee1bb76e7391b93eb12 and a variable token = next(tokens)", False),
        ("postgres://admin:[redacted]@db.internal/shop and password=[redacted]", False),
        (ENGLISH, False),
    ],
)
def test_secrets_are_seen(screen: Screen, text: str, secret: bool):
    """By their shape; a hash is none."""
    assert screen.secret(text) is secret


@pytest.mark.parametrize(
    ("text", "personal"),
    [
        ("write to jane@corp.io", True),
        ("write to jane@shop.example.com or root@localhost.localdomain.test", False),
        ("call +49 30 901820", True),
        ("x = a +12 345678 more", False),
        ("card 4111 1111 1111 1111", True),
        ("order 4111 1111 1111 1112", False),
        ("0.4111111111111111", False),
        ("DE89 3704 0044 0532 0130 00", True),
        ("DE89 3704 0044 0532 0130 01", False),
        ("@pytest.fixture def a@b, weights@x.T, left-pad@1.3.0", False),
        ("git@github.com:org/repo.git and noreply@corp.io", False),
    ],
)
def test_personal_data_is_seen(screen: Screen, text: str, personal: bool):
    """By its shape and, where it has one, its check digit."""
    assert screen.personal(text) is personal


@pytest.mark.parametrize(
    ("text", "foreign"),
    [
        (ENGLISH, False),
        (
            "Los precios del carrito no se calcularon bien porque el descuento se aplicaba después de los impuestos. "
            * 2,
            True,
        ),
        (
            "Die Preise stimmen nicht, denn der Rabatt wurde erst nach der Steuer abgezogen, und keiner merkt es. " * 2,
            False,
        ),
        ("購物車沒有在加稅之前套用折扣,所以測試失敗了。" * 6, True),
        ("Voilà.", False),
        ("```\n" + "classe = élève(prénom)\n" * 20 + "```", False),
    ],
    ids=["english", "spanish", "german", "chinese", "short", "code"],
)
def test_other_languages_are_seen(screen: Screen, text: str, foreign: bool):
    """Of the words, not of the code among them; what is too short to tell is nobody's."""
    assert screen.foreign(text) is foreign


@pytest.mark.parametrize("piece", ["a@", "1 ", "+1 ", "AB12 ", "eyJ", "https://", "+49 30 9 ", "```"])
def test_hostile_text_is_read_in_linear_time(screen: Screen, piece: str):
    """Eight times the text takes about eight times as long, not sixty-four."""
    screen.secret("warm")

    def took(count: int) -> float:
        text = piece * count
        begun = time.perf_counter()
        screen.secret(text), screen.personal(text), screen.foreign(text)
        return time.perf_counter() - begun

    small = min(took(2_000) for _ in range(3))
    assert took(16_000) < 8 * 4 * small + 0.05


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch):
    """With the way to get it."""
    monkeypatch.setitem(sys.modules, "phonenumbers", None)

    with pytest.raises(MissingPart, match="phonenumbers"):
        Screen().personal("+49 30 901820")
