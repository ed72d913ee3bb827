"""Families of renderers that tests add."""
