"""The parts of `pipelines.export`: its inputs, a module for each format, and the registry of formats."""
