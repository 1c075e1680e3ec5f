"""A cache of answers that understands other words, and promises how often it may be wrong."""

from atra.semantic_cache.cache import Meaning, SemanticCache, Stats
from atra.semantic_cache.records import ANYONE, Entry, Fresh, Hit, Miss, Scope, Served

__all__ = ["ANYONE", "Entry", "Fresh", "Hit", "Meaning", "Miss", "Scope", "SemanticCache", "Served", "Stats"]
