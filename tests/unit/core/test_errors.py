"""The tree of errors: facts that survive pickling, messages made from docstrings, exit codes."""

import inspect
import pickle

import pytest

from atra.core import errors
from atra.core.errors import AtraError, BadInput, MissingPart, Permanent, Transient, as_facts

ALL = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, AtraError)]


@pytest.mark.parametrize("kind", ALL)
def test_an_error_survives_pickling(kind: type[AtraError]):
    """Class, facts and message come back from a result backend."""
    error = kind("one", "two")

    again = pickle.loads(pickle.dumps(error))

    assert type(again) is kind
    assert again.args == ("one", "two")
    assert str(again) == str(error)


@pytest.mark.parametrize("kind", ALL)
def test_every_error_is_drawn_in_the_tree(kind: type[AtraError]):
    """The module's docstring names each class, and each is transient or permanent."""
    assert kind.__name__ in (errors.__doc__ or "")
    assert kind is AtraError or issubclass(kind, Transient | Permanent)


def test_exit_codes_follow_the_contract():
    """Bad input is 2, a missing part 3, all else 1."""
    assert (AtraError.exit_code, BadInput.exit_code, MissingPart.exit_code) == (1, 2, 3)


def test_facts_of_any_exception_are_json():
    """A foreign exception becomes facts too."""
    facts = as_facts(KeyError("x"))

    assert facts == {"type": "KeyError", "error": "'x'", "hint": "", "exit_code": 1}
