"""The parts of pipelines.paint and of the painter's pipeline."""
