"""Distillation: what was thought is kept with where it came from, judged, and made into data sets to learn from."""
