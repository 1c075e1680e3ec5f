"""Which path a failure takes: pure decisions, each with all its reasons."""
