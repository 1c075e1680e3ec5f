"""Records to JSON and back; a record is a frozen dataclass.

Pydantic does the work (its `TypeAdapter` reads plain dataclasses), so a row written by an older version fails with the
field's name instead of half-loading.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter

R = TypeVar("R")


_adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)


def to_json(record: object) -> Any:
    """Return the record as JSON values: dicts, lists, strings, numbers, booleans, None."""
    return _adapter(type(record)).dump_python(record, mode="json")


def from_json(kind: type[R], data: object) -> R:
    """Return the record of this kind that `to_json` turned into `data`.

    Raises:
        pydantic.ValidationError: a field is missing or of the wrong type.
    """
    loaded: R = _adapter(kind).validate_python(data)
    return loaded
