"""From shards to trained weights."""

import process_painter  # noqa: F401  (before packages of the same names in the working directory)
