"""What must not be learned: secrets and personal data, and text in languages nobody asked for.

Secrets are looked for by detect-secrets, whose patterns are others than those of ATRA's redactor, which every trace has
passed already; telephone numbers by phonenumbers. It is a net, not a proof: names and postal addresses pass.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from atra.core.errors import MissingPart

_DETECTORS = (
    *("artifactory.ArtifactoryDetector", "aws.AWSKeyDetector", "azure_storage_key.AzureStorageKeyDetector"),
    *("basic_auth.BasicAuthDetector", "cloudant.CloudantDetector", "discord.DiscordBotTokenDetector"),
    *("github_token.GitHubTokenDetector", "gitlab_token.GitLabTokenDetector", "jwt.JwtTokenDetector"),
    *("mailchimp.MailchimpDetector", "npm.NpmDetector", "openai.OpenAIDetector"),
    *("private_key.PrivateKeyDetector", "pypi_token.PypiTokenDetector", "sendgrid.SendGridDetector"),
    *("slack.SlackDetector", "square_oauth.SquareOAuthDetector", "stripe.StripeDetector"),
    *("telegram_token.TelegramBotTokenDetector", "twilio.TwilioKeyDetector"),
)
_LONGEST_LINE = 2000  # characters: patterns for JWT and npm take quadratic time on one long line (1.5)
_OVERLAP = 200

_MAIL = re.compile(r"(?<![\w.+-])(?!(?:git|no-?reply)@)[\w.+-]{1,64}@((?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,24})\b")
_NOBODY = ("example.com", "example.org", "example.net", "example", "test", "invalid", "localhost", "local")
_CARD = re.compile(r"(?<![\d.-])\d(?:[ -]?\d){12,18}(?![\d.-])")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")

_CALL = re.compile(r"\+\d[\d ()./-]{5,20}\d")  # numbers with their country alone: without, any ten digits may be one

_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
_NO_WORDS = re.compile(r"[\W\d_]+")
_READ, _FEWEST = 300, 120  # letters that are looked at; below the least no language is told
_LANGUAGES = (
    *("AR", "CS", "DA", "DE", "EL", "EN", "ES", "FA", "FI", "FR", "HE", "HI", "HU", "ID", "IT", "JA", "KO", "NL"),
    *("PL", "PT", "RO", "RU", "SV", "TH", "TR", "UK", "VI", "ZH"),
)


class Screen:
    """Looks for what must not be learned.

    Raises:
        MissingPart: (at first use) a library is not installed.
    """

    def __init__(self, languages: Sequence[str] = ()) -> None:
        """Take the ISO 639-1 codes of the languages that are wanted; any without one."""
        self._wanted = {code.upper() for code in languages}

    def secret(self, text: str) -> bool:
        """Say whether the text holds what looks like a secret."""
        return any(
            found for line in _lines(text) for detector in self._detectors for found in detector.analyze_string(line)
        )

    def personal(self, text: str) -> bool:
        """Say whether the text holds an address of mail, a telephone number, a payment card or an account number."""
        return (
            any(_is_somebodys(found.group(1)) for found in _MAIL.finditer(text))
            or any(_checks(re.sub(r"\D", "", found.group())) for found in _CARD.finditer(text))
            or any(_is_account(found.group().replace(" ", "")) for found in _IBAN.finditer(text))
            or ("+" in text and self._telephone(text))
        )

    def foreign(self, text: str) -> bool:
        """Say whether the text, its code left out, is in a language nobody wants; what is too short to tell is not."""
        words = _NO_WORDS.sub(" ", _CODE.sub(" ", text[: 20 * _READ])).strip()[:_READ]
        if not self._wanted or len(words) < _FEWEST:
            return False
        found = self._tongues.detect_language_of(words)
        return found is not None and found.iso_code_639_1.name not in self._wanted

    def _telephone(self, text: str) -> bool:
        matcher = _part("phonenumbers").PhoneNumberMatcher
        return any(matcher(found.group(), None).has_next() for found in _CALL.finditer(text))

    @cached_property
    def _detectors(self) -> list[Any]:
        named = (name.split(".") for name in _DETECTORS)
        return [getattr(_part(f"detect_secrets.plugins.{module}"), name)() for module, name in named]

    @cached_property
    def _tongues(self) -> Any:
        lingua = _part("lingua")
        known = [getattr(lingua.IsoCode639_1, code) for code in sorted({*_LANGUAGES, *self._wanted})]
        builder = lingua.LanguageDetectorBuilder.from_iso_codes_639_1(*known)
        return builder.with_low_accuracy_mode().build()  # the library asks for 120 letters or more in this mode


def check_libraries() -> None:
    """See that all is here which choosing needs; nothing is loaded.

    Raises:
        MissingPart: a library is not installed.
    """
    for name in ("detect_secrets", "phonenumbers", "lingua", "datasketch"):
        if not find_spec(name):
            raise _missing(name)


def _missing(name: str) -> MissingPart:
    library = {"lingua": "lingua-language-detector"}.get(name, name.replace("_", "-"))
    return MissingPart(f"the package {library} (`pip install 'atra[distill]'`)")


def _part(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise _missing(name.partition(".")[0]) from error


def _lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        for start in range(0, max(len(line), 1), _LONGEST_LINE - _OVERLAP):
            yield line[start : start + _LONGEST_LINE]
            if start + _LONGEST_LINE >= len(line):
                break


def _is_somebodys(domain: str) -> bool:
    domain = domain.rstrip(".").lower()
    return not any(domain == none or domain.endswith(f".{none}") for none in _NOBODY)


def _checks(digits: str) -> bool:
    """Say whether the digits pass the check of payment cards (ISO/IEC 7812-1) and begin like one."""
    if digits[0] not in "3456":
        return False
    doubled = (int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits)))
    return sum(number - 9 if number > 9 else number for number in doubled) % 10 == 0


def _is_account(text: str) -> bool:
    """Say whether the text passes the check of account numbers (ISO 13616)."""
    return len(text) >= 15 and int("".join(str(int(sign, 36)) for sign in text[4:] + text[:4])) % 97 == 1
