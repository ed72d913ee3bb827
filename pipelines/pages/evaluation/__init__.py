"""The page of pipelines.evaluate."""
