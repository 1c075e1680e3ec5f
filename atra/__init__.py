"""ATRA repairs code: a failure goes in, a verified commit comes out."""

__version__ = "0.1.0"
