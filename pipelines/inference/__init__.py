"""What pipelines.paint and the painter are made of."""
