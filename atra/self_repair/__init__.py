"""Failures: what arrives, which of it is the same one again, and what is to be done about it."""
