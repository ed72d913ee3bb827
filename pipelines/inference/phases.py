"""Adds the phases that a process should go through to its prompt, worded as in the painter's training data."""

import dataclasses
from collections.abc import Collection, Mapping
from itertools import combinations

from conf.errors import ConfigError
from pipelines.inference.config import PaintConfig
from renderers.studio.phases import CHOSEN_PHASES, phases_in_words


def with_phases(request: PaintConfig, phrases: Mapping[str, str]) -> PaintConfig:
    """The request with a prompt that names the phases that it asks for.

    Args:
        request: configuration of one process.
        phrases: name of a method -> its method phrase, from the painter's card.

    Raises:
        ConfigError: if the painter was not trained on data painted in exactly these phases.
    """
    if request.phases is None or not (phases_phrase := phases_in_words(request.phases)):
        return request
    if not _ends_with(phrases.values(), phases_phrase):
        raise ConfigError("phases", ",".join(request.phases), _allowed(phrases.values()))
    if _ends_with([request.prompt], phases_phrase):  # captions of such data end with it already
        return request
    return dataclasses.replace(
        request, prompt=f"{request.prompt}, {phases_phrase}" if request.prompt else phases_phrase
    )


def _allowed(phrases: Collection[str]) -> str:
    """The phases that a painter was trained with, for an error message."""
    chosen = (phases for count in range(1, len(CHOSEN_PHASES)) for phases in combinations(CHOSEN_PHASES, count))
    known_phases = [",".join(phases) for phases in chosen if _ends_with(phrases, phases_in_words(phases))]
    if not known_phases:
        return "null: the data of this painter are painted in all phases; renderer.phases chooses those of strokes"
    return f"null, or as in the data of this painter {' | '.join(known_phases)}"


def _ends_with(phrases: Collection[str], phases_phrase: str) -> bool:
    return any(f", {phrase}".endswith(f", {phases_phrase}") for phrase in phrases)
