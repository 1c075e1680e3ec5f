"""Writes code: from a failing test to a verified patch, one step after the other, each a plain function."""
