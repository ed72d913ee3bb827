"""All targets, by name."""

from tests.fuzz import datasets, pictures, texts, weights

TARGETS = {**pictures.TARGETS, **texts.TARGETS, **weights.TARGETS, **datasets.TARGETS}
