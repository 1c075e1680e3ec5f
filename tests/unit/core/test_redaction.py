"""Canaries: secrets of known name, shape or value never come out; ordinary text does."""

import time

import pytest

from atra.core.redaction import MASK, CodeRedactor, Redactor

CANARIES = {
    "openai": "sk-proj-abcdefghijklmnopqrstuvwx",
    "aws": "AKIAIOSFODNN7EXAMPLE",
    "github": "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "slack": "xoxb-123456789012-abcdef",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w",
    "google": "AIzaSyA-abcdefghijklmnopqrstuvwxyz012",
    "pem": "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----",
}


@pytest.mark.parametrize("secret", CANARIES.values(), ids=CANARIES.keys())
def test_known_shapes_are_masked(secret: str):
    """A token of a public form is masked wherever it stands."""
    said = Redactor().text(f"before {secret} after")

    assert secret not in said
    assert said.startswith("before ")
    assert said.endswith(" after")


@pytest.mark.parametrize(
    "text",
    [
        "password=hunter2",
        "DB_PASSWORD: 'hunter2'",
        '{"api_key": "hunter2"}',
        "Authorization: Bearer hunter2",
        "client_secret = hunter2",
        "postgresql://me:hunter2@db/shop",
        "redis://:hunter2@127.0.0.1:6379/0",
    ],
)
def test_named_secrets_are_masked_in_text(text: str):
    """What a name or an address says is secret is masked; the name stays."""
    said = Redactor().text(text)

    assert "hunter2" not in said
    assert MASK in said


def test_values_are_masked_by_key_at_any_depth():
    """Keys that name secrets hide what is below them, other keys do not."""
    value = {"user": "ann", "login": {"Password": "hunter2", "tries": 3}, "tokens": ["x"], "list": [{"token": "t0k"}]}

    said = Redactor().value(value)

    assert said == {
        "user": "ann", "login": {"Password": MASK, "tries": 3}, "tokens": ["x"], "list": [{"token": MASK}]
    }  # fmt: skip


def test_values_told_to_the_redactor_are_masked_everywhere():
    """An exact secret is masked even inside a longer word; a longer one wins over its own beginning."""
    redactor = Redactor(["letmein", "letmein-more", "ab"])

    assert redactor.text("xletmein-more ab letmeinx") == f"x{MASK} ab {MASK}x"


@pytest.mark.parametrize("text", ["prompt_tokens=12", "the secretary said", "tests/test_cart.py::test_total[1-2]", ""])
def test_ordinary_text_stays(text: str):
    """Words that merely resemble secrets are left alone."""
    assert Redactor().text(text) == text


@pytest.mark.parametrize("text", ["password=a password=b", "Bearer " + "x" * 40, "token: " + "y" * 20])
def test_masking_twice_is_masking_once(text: str):
    """What is masked stays as it is."""
    once = Redactor().text(text)

    assert Redactor().text(once) == once


def test_a_long_line_is_masked_in_reasonable_time():
    """No pattern backtracks for ever on hostile text."""
    for hostile in ("a" * 200_000, "password" * 20_000, "://" * 50_000, "sk-" * 50_000, "-" * 200_000):
        Redactor().text(hostile)


@pytest.mark.parametrize(
    "text",
    [
        "PASSWORD=hunter2",
        'password = "hunter2"',
        "api_key: str = 'hunter2'",
        "connect(user='me', password=b'hunter2')",
        '{"token": "hunter2"}',
        "secret: hunter2",
        "postgresql://me:hunter2@db/shop",
    ],
)
def test_literals_under_secret_names_are_masked_in_code(text: str):
    """Assignments, annotations, arguments, JSON and the lines of an environment file."""
    said = CodeRedactor().text(text)

    assert "hunter2" not in said
    assert MASK in said


@pytest.mark.parametrize(
    "code",
    [
        "token = self.get_token()",
        "self.token = ''",
        "if token == 'lambda':",
        "def reply(self, tokenizer: Any, secret: SecretStr | None) -> None:",
        "login(user, password=password, token=tokens[0])",
        "for token in tokens:\n    raise ValueError(token)",
        '"""Return what hears every token:\n    it ends."""',
        "_URL_PASSWORD = re.compile(r'x')",
        "token_range = '%d,%d' % (token.start + token.end)",
    ],
)
def test_code_that_only_speaks_of_secrets_stays(code: str):
    """A model that is to change a line must see it as it stands."""
    assert CodeRedactor().text(code) == code


@pytest.mark.parametrize("secret", CANARIES.values(), ids=CANARIES.keys())
def test_shapes_and_known_values_are_masked_in_code_too(secret: str):
    """What has a public form or was told is masked wherever it stands."""
    said = CodeRedactor(["my own secret"]).text(f"call({secret!r}, 'my own secret')")

    assert secret not in said
    assert "my own secret" not in said


@pytest.mark.parametrize("piece", ["-eyJaaaaaaaa", "token="])
def test_hostile_text_is_read_in_linear_time(piece: str):
    """Beginnings of secrets, again and again, keep nobody busy for long."""
    began = time.monotonic()
    for redactor in (Redactor(), CodeRedactor()):
        redactor.text(piece * (100_000 // len(piece)))
    assert time.monotonic() - began < 3


def test_a_jwt_behind_a_word_is_masked():
    """A token is found wherever a word ends before it."""
    assert CANARIES["jwt"] not in Redactor().text(f"session-{CANARIES['jwt']}")
