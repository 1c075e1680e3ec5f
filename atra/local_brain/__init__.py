"""A model of our own: what it must show before it is taken into service."""
