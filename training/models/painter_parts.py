"""The parts that a painter is assembled of: runs, weights from elsewhere, or those of a painter that is there."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from conf.errors import UserError
from training.data.mirror import local_copy
from training.data.remote import AnyPath
from training.models.painter_folder import LORAS, PAINTER_CARD, check_painter, read_painter_card
from training.models.weights import noise_of_card, other_noise, parent_weights, read_run_card, sound_hash
from training.run.run_folder import RunFolder

_FOLDERS = {"words": "", "base": "", "motion": "motion_adapter", "replication": "replication", "codec": ""}
"""Part -> its folder in a painter of Stable Diffusion's kind; the codec is that of the base."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of a painter.

    Attributes:
        key: what it is called.
        weights: where they are.
        hash: of them.
        card: how it was trained; None when it was not trained here.
        licences: that a painter which holds it already states; None of a part that comes by itself.
        words: of a painter's base, hash of the run that its words were learnt in; None where there is none.
    """

    key: str
    weights: Path
    hash: str
    card: Mapping[str, Any] | None
    licences: Mapping[str, Any] | None = None
    words: str | None = None

    @property
    def parents(self) -> Mapping[str, str]:
        """Key -> hash of what it was trained on."""
        return dict(self.card["recipe"]["parents"]) if self.card is not None else {}

    @property
    def data(self) -> Mapping[str, Any]:
        """What its card says of the data it was trained on."""
        return dict(self.card.get("data", {})) if self.card is not None else {}


def part_at(key: str, place: AnyPath) -> Part:
    """A part by its run, or by its weights alone. Of a painter, which is a base and a codec too, what it says of these.

    A file of a run's weights has the run's card, but no parents: whoever names it alone may put it beside others.

    Raises:
        UserError: if it is not there, or its run card cannot be read.
    """
    folder = local_copy(key, place)
    weights = parent_weights(key, folder)
    try:
        card = read_run_card(weights)
        if card is None and (folder / "run.json").is_file():
            card = RunFolder(folder).report()
        if card is not None and weights.is_file():
            card = {**card, "recipe": {**card["recipe"], "parents": {}}}
        part = Part(key=key, weights=weights, hash=sound_hash(key, weights), card=card)
        parts = read_painter_card(weights)["parts"] if (weights / PAINTER_CARD).is_file() else {}
        if key in parts:
            part = replace(
                part,
                card=_card_in_painter(weights, key),
                licences=parts[key]["licences"],
                words=parts["words"]["hash"] if key == "base" and "words" in parts else None,
            )
        _ = part.parents
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{key}={place}: its run card cannot be read ({error})") from error
    return part


def parts_of_painter(place: AnyPath) -> dict[str, Part]:
    """The parts of a painter that is there, by name; their hashes are those of the weights that went into it.

    Raises:
        UserError: if it is not whole, or not of Stable Diffusion's kind.
    """
    folder = local_copy("painter", place)
    facts, parts = check_painter(folder), {}
    if "architecture" in facts:
        allowed = "a painter of Stable Diffusion's kind, such as the tiny model's"
        raise UserError(f"painter={place}: of architecture {facts['architecture']}; allowed: {allowed}")
    for key, of_part in facts["parts"].items():
        parts[key] = Part(
            key=key,
            weights=folder / _FOLDERS.get(key, f"{LORAS}/{key}"),
            hash=of_part["hash"],
            card=_card_in_painter(folder, key),
            licences=of_part["licences"],
            words=facts["parts"]["words"]["hash"] if key == "base" and "words" in facts["parts"] else None,
        )
    return parts


def refuse_other_noise(parts: Mapping[str, Part]) -> None:
    """Refuse parts that were trained on other noise than the motion model, on whose noise a painter samples.

    Raises:
        UserError: naming the part and the key; or if a card does not say its noise.
    """
    motion = parts["motion"]
    for key, part in parts.items():
        if motion.card is None or part.card is None or "motion" not in part.parents:
            continue
        needed = noise_of_card(motion.card, motion.weights)
        difference = other_noise(noise_of_card(part.card, part.weights), needed)
        if difference is not None:
            name, trained, of_motion = difference
            raise UserError(f"{key}: trained on noise.{name}={trained}; motion={motion.weights} on {of_motion}")


def _card_in_painter(folder: Path, key: str) -> Mapping[str, Any] | None:
    """How a part of a painter was trained; None when it was not trained here."""
    card = folder / "run_cards" / f"{key}.json"
    return json.loads(card.read_text(encoding="utf-8")) if card.is_file() else None
