"""Git: a revision's files taken out, a repair put back as one commit, without touching anybody's working tree."""

from atra.repository.landing import Landed
from atra.repository.protection import OWN, is_own, protected, secret, unsafe
from atra.repository.repository import Repository

__all__ = ["OWN", "Landed", "Repository", "is_own", "protected", "secret", "unsafe"]
