"""Keeps records and hands them back. Every table stands in `tables`; each store call is its own short transaction."""
