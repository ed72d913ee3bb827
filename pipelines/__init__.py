"""The commands: `python -m pipelines.<verb>`."""

import process_painter  # noqa: F401  (before packages of the same names in the working directory)
