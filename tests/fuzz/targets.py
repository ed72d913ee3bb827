"""All targets, by name."""

from tests.fuzz import datasets, documents, pictures, texts, weights

TARGETS = {**pictures.TARGETS, **documents.TARGETS, **texts.TARGETS, **weights.TARGETS, **datasets.TARGETS}
