"""A painter is made only of parts that it holds."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from conf.errors import ConfigError
from training.models.painter_checks import GivenParts
from training.models.painter_parts import Part
from training.models.weights import RUN_CARD

_ALL = {"words", "codec", "replication", "ink"}
_HELD = {"tiny": _ALL, "sd15": _ALL, "wan22": {"words", "ink"}, "wan22_tiny": {"words", "ink"}}


def parts_with(folder: Path, model: str, part: str) -> Mapping[str, Part]:
    """A base of a model, a motion model, and one part more, of which nothing else is known."""
    (folder / RUN_CARD).write_text(json.dumps({"recipe": {"model": {"name": model}}}))
    words_card = {"recipe": {"parents": {"base": "hash of base"}}}  # so that they are the base's own, learnt further
    return {
        key: Part(key=key, weights=folder, hash=f"hash of {key}", card=words_card if key == "words" else None)
        for key in ("base", "motion", part)
    }


@pytest.mark.parametrize("model", _HELD)
@pytest.mark.parametrize("part", sorted(_ALL))
def test_a_part_that_a_painter_would_be_without_is_refused_by_its_key(tmp_path: Path, model: str, part: str) -> None:
    parts, place = parts_with(tmp_path, model, part), Path("somewhere")
    given = GivenParts(parts=parts, places={part: place}, painter=None)
    inherited = GivenParts(parts=parts, places={}, painter=Path("painter"))
    if part in _HELD[model]:
        given.check()
        inherited.check()
        return
    with pytest.raises(ConfigError, match=f"^{part}=somewhere: not allowed; allowed: null with a base of {model}$"):
        given.check()
    with pytest.raises(ConfigError, match=f"^painter=painter: .*null with a base of {model}, as it has {part}$"):
        inherited.check()
