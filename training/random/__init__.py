"""Random numbers that depend on seed, stream and position alone."""
