"""Counting tokens by a file, and without one."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from atra.core.errors import MissingPart
from atra.distillation.tokens import Estimate, TokenizerFile


def test_a_file_counts_as_its_tokenizer_does(tmp_path: Path):
    """And is named by what it holds."""
    made = Tokenizer(WordLevel({"a": 0, "b": 1, "?": 2}, unk_token="?"))
    made.pre_tokenizer = Whitespace()
    made.save(str(tmp_path / "tokenizer.json"))
    tokens = TokenizerFile(tmp_path / "tokenizer.json")

    assert tokens.count("a b c") == 3
    assert tokens.identity.startswith("tokenizer-")


@pytest.mark.parametrize("text", [None, "no json"])
def test_a_file_that_is_none_is_a_missing_part(tmp_path: Path, text: str | None):
    """Said by its name."""
    if text:
        (tmp_path / "t.json").write_text(text)

    with pytest.raises(MissingPart, match=r"t\.json"):
        TokenizerFile(tmp_path / "t.json").count("a")


def test_an_estimate_counts_pieces_of_words_and_signs():
    """Six letters at most to a piece."""
    assert Estimate().count("discount = 1.5") == 2 + 1 + 3
