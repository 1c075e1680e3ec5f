"""Tests: what the failing ones ask for, in whose words, what the passing ones vouch for, what either is worth."""

import ast
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping

from atra.war_room.case import MODULE, Case, Region
from atra.war_room.experts import names
from atra.war_room.experts.opinion import abstained, ranked
from atra.war_room.records import Ballot, Evidence

_WORDS = 0.2  # the share of what is said in words; the rest is what passing tests vouch for
_SHARPNESS = 5.0
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_ASSERTING = re.compile(r"assert|raises|warns|expect|check|verify|fail")


def speak(case: Case) -> Ballot:
    """Rank regions by how they answer to the words of the failing tests, and by how few passing tests run them.

    Words are those of the tests' names, bodies and messages against those of the regions, the rarer the weightier
    (tf-idf and cosine, as in Zhou, Zhang, Lo 2012, ICSE, doi:10.1109/ICSE.2012.6227210). A region is vouched for by
    the passing tests that run all that failing tests ran of it. Tests set aside as flaky vouch for nothing.
    """
    if not case.failing:
        return abstained("tests", "no test fails")
    asked, weak = _asked(case)
    alike = _alike(case, asked)
    scores: dict[str, float] = {}
    reasons: dict[str, list[Evidence]] = {}
    for region in case.regions:
        vouching = _vouching(case, region)
        alone = case.share(region) / math.sqrt(1 + vouching / max(1, len(case.failing)))
        scores[region.id] = _WORDS * alike.get(region.id, 0.0) + (1 - _WORDS) * alone
        said = f"{vouching} passing tests vouch for it; {alike.get(region.id, 0.0):.2f} alike to what is asked"
        reasons[region.id] = [Evidence(said, case.failing[0].id)]
    if weak:
        reasons = {
            id_: [*told, Evidence("it asserts nothing: only an error speaks", weak[0])] for id_, told in reasons.items()
        }
    return ranked("tests", case, scores, reasons, sharpness=_SHARPNESS)


def _asked(case: Case) -> tuple[Counter[str], list[str]]:
    """Return the words of the failing tests, and the tests that assert nothing."""
    asked: Counter[str] = Counter()
    weak = []
    for result in case.failing:
        path, _, name = result.id.partition("::")
        tree = case.trees.get(path)
        function = names.function_named(tree, result.id) if tree is not None else None
        said = [name, result.message if result.error_type != "AssertionError" else ""]
        if function is not None:
            body = names.words_of(function)
            said += body
            asserts = any(isinstance(node, ast.Assert) for node in ast.walk(function))
            if not asserts and not any(_ASSERTING.search(word.lower()) for word in body):
                weak.append(result.id)
        asked.update(set(_words(said)))
    return asked, weak


def _words(texts: Iterable[str]) -> list[str]:
    return [word.lower() for text in texts for word in _WORD.findall(text) if len(word) > 1]


def _alike(case: Case, asked: Mapping[str, int]) -> dict[str, float]:
    """Return how alike each region's words are to what is asked, the most alike one 1."""
    held = {region.id: Counter(_words(_held(case, region))) for region in case.regions if region.name != MODULE}
    seen = Counter(word for words in held.values() for word in words)
    rare = {word: math.log(1 + len(held) / number) for word, number in seen.items()}
    wanted = {word: (1 + math.log(number)) * rare[word] for word, number in asked.items() if word in rare}
    found = {id_: _cosine(words, wanted, rare) for id_, words in held.items()}
    top = max(found.values(), default=0.0)
    return {id_: score / top for id_, score in found.items()} if top else {}


def _held(case: Case, region: Region) -> list[str]:
    node = case.node(region)
    return [region.name, region.name, *(sorted(names.words_of(node)) if node is not None else ())]


def _cosine(words: Mapping[str, int], wanted: Mapping[str, float], rare: Mapping[str, float]) -> float:
    weights = {word: (1 + math.log(number)) * rare[word] for word, number in words.items()}
    product = math.fsum(weight * wanted.get(word, 0.0) for word, weight in weights.items())
    size = math.sqrt(math.fsum(weight**2 for weight in weights.values()))
    return product / size if size else 0.0


def _vouching(case: Case, region: Region) -> int:
    """Return how few passing tests run one of the lines that failing tests ran: what they all ran, all vouch for."""
    return min((case.vouched(region.path, line) for line in case.ran.get(region.id, {})), default=case.passing)
