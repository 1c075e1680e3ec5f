"""The database's door: addresses as people write them, and text as PostgreSQL can keep it."""

import pytest
from sqlalchemy import make_url

from atra.storage.database import address, connect, storable


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_every_usual_address_gets_the_driver_that_is_here(scheme: str):
    """What hosting services and manuals print works as it is, with user, password and options kept."""
    found = make_url(address(f"{scheme}://user:p%40ss@db.example/atra?sslmode=require"))

    assert found.get_dialect().driver == "psycopg2"
    assert (found.username, found.password, found.host) == ("user", "p@ss", "db.example")
    assert found.query == {"sslmode": "require"}
    assert connect(found.render_as_string(hide_password=False)).dialect.driver == "psycopg2"


@pytest.mark.parametrize(
    ("text", "kept"),
    [("plain ü 😀", "plain ü 😀"), ("a\0b", "a\ufffdb"), ("a\ud800b", "a?b"), ("\\u0000", "\\u0000")],
    ids=["ordinary", "nul", "lone surrogate", "the word for nul"],
)
def test_text_that_cannot_be_kept_gets_a_mark(text: str, kept: str):
    """Everything else stays as it is."""
    assert storable(text) == kept
