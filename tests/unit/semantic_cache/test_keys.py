"""Keys and scopes: the same for what is the same, in every process; different for all else."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atra.semantic_cache.keys import key_of, plain_question
from atra.semantic_cache.records import Scope

_PARTS = st.builds(Scope, *[st.text(max_size=6)] * 4)


@given(st.text(max_size=60))
def test_the_plain_form_of_a_plain_form_is_itself(question: str) -> None:
    assert plain_question(plain_question(question)) == plain_question(question)


@given(st.lists(st.text("abcdeXYZ019+-?\\", min_size=1, max_size=6), max_size=6))
def test_spaces_make_no_difference(words: list[str]) -> None:
    assert key_of(f" {' '.join(words)}\n") == key_of("\t  ".join(words))


@given(st.text("abcdeé", min_size=2, max_size=8), st.text(max_size=20))
def test_a_capital_that_begins_it_makes_none(first: str, rest: str) -> None:
    assert key_of(f"{first.capitalize()} {rest}") == key_of(f"{first} {rest}")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("is it on?", "is it off?"),
        ("1 + 1", "21 + 1"),
        ("c", "c++"),
        ("a b", "b a"),
        ("2^10", "2^1 0"),
        ("", "?"),
        ("2\u00b9\u2070", "210"),
        (r"what does \S match", r"what does \s match"),
        ("run ls -R", "run ls -r"),
        ("what is IT", "what is it"),
        ("IT", "it"),
        ("the US way", "the us way"),
        ("R", "r"),
        ("it's 'a  b'", "it's 'a b'"),
        ("if a:\n  b\n c", "if a:\n  b\n  c"),
        ("pH of it", "ph of it"),
        ("\ufb01le", "file"),
    ],
)
def test_what_matters_makes_one(one: str, other: str) -> None:
    assert key_of(one) != key_of(other)


def test_how_an_accent_is_written_makes_none() -> None:
    assert key_of("the cafe\u0301") == key_of("the caf\u00e9")


@given(_PARTS, _PARTS)
def test_scopes_share_a_key_only_if_they_are_equal(one: Scope, two: Scope) -> None:
    assert (one.key == two.key) == (one == two)


def test_keys_are_the_same_in_another_process() -> None:
    code = (
        "from atra.semantic_cache.keys import key_of; from atra.semantic_cache.records import Scope;"
        "print(key_of('Straße ﬁ'), Scope('t', 'm', 's', 'de').key)"
    )
    environment = {"PYTHONHASHSEED": "77", "PATH": "", "PYTHONPATH": ":".join(filter(None, sys.path))}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.split() == [key_of("Straße ﬁ"), Scope("t", "m", "s", "de").key]


def test_the_library_needs_neither_celery_nor_torch() -> None:
    code = (
        "import sys, json, importlib.abc\n"
        "class No(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, *_):\n"
        "        if name.split('.')[0] in {'celery', 'kombu', 'torch', 'transformers', 'openai', 'anthropic'}:\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, No())\n"
        "from atra.semantic_cache import SemanticCache, Meaning, Fresh\n"
        "from atra.semantic_cache.front import CachedModel\n"
        "from atra.semantic_cache.view import View\n"
        "from atra.storage.cache import CacheStore\n"
        "from atra.llm.minilm import MiniLM\n"
        "print(json.dumps(sorted(m for m in sys.modules if m in {'faiss', 'numpy', 'sqlalchemy'})))\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "faiss" not in json.loads(said.stdout)
