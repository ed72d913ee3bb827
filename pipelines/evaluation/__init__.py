"""Measures painting processes and their finished pictures, and tests the metrics on controls that none may prefer."""
