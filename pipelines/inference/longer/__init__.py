"""Processes with more frames than a painter was trained on."""
