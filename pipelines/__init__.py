"""What a user runs: `python -m pipelines.<verb>`."""
