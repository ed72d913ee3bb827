"""The configuration tree: YAML groups, and the code that turns them into typed, checked dataclasses."""

from pathlib import Path

import process_painter  # noqa: F401  (before packages of the same names in the working directory)

CONF_FOLDER = Path(__file__).resolve().parent
