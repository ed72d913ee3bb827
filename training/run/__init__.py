"""A training run: its loop, processes, checkpoints and folder."""
