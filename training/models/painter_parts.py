"""The parts that a painter is assembled from: runs, weights from elsewhere, or the parts of an existing painter."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from conf.errors import ConfigError, UserError
from conf.recipe import first_difference
from training.data.manifest import stored_hash
from training.data.mirror import local_copy
from training.data.own_page import README
from training.data.plain import parse_json
from training.data.remote import AnyPath
from training.data.retries import retried
from training.models.painter_folder import LORAS, PAINTER_CARD, check_painter, read_painter_card
from training.models.weights import card_in_painter, hash_of_files, parent_weights, read_run_card, sound_hash
from training.run.run_folder import RunFolder

_FOLDERS = {"words": "", "base": "", "motion": "motion_adapter", "replication": "replication", "codec": ""}
"""Part -> its folder in a painter of Stable Diffusion's kind; the codec is in that of the base."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of a painter.

    Attributes:
        key: name of the part.
        weights: place of its weights.
        hash: hash of its weights.
        card: its run card; None if it was not trained here.
        licences: its licences as stated by a painter that holds it; None if it does not come from a painter.
        words: for a painter's base, hash of the run that trained its words; None if there is none.
        stated_parents: its parents as stated by a painter that holds it; None if it does not come from a painter.
        stored_hash: hash of its files in that painter, by which what was trained on them knows it; else None.
    """

    key: str
    weights: Path
    hash: str
    card: Mapping[str, Any] | None
    licences: Mapping[str, Any] | None = None
    words: str | None = None
    stated_parents: Mapping[str, str] | None = None
    stored_hash: str | None = None

    @property
    def parents(self) -> Mapping[str, str]:
        """Key -> hash of what it was trained on.

        Run cards of earlier versions with `base=` may hold the base at `model.path` too, which the run did not read.
        """
        if self.stated_parents is not None:
            return self.stated_parents
        parents = dict(self.card["recipe"]["parents"]) if self.card is not None else {}
        return {key: value for key, value in parents.items() if key != "model" or "base" not in parents}

    @property
    def data(self) -> Mapping[str, Any]:
        """The facts about its training data in its card."""
        return dict(self.card.get("data", {})) if self.card is not None else {}


def key_of_part(part: str) -> str:
    """The configuration key that names a part of a painter; LoRAs have names of their own."""
    return part if part in _FOLDERS else "loras"


def part_at(key: str, place: AnyPath) -> Part:
    """A part by its run, or by its weights alone.

    A painter may stand for its base or its codec, with what its card says of these. A single file of a run's weights
    has the run's card but no parents, so that a user may combine it with other parts.

    Args:
        key: name of the part.
        place: the run, or the weights.

    Raises:
        UserError: if it is not there, or its run card cannot be read.
    """
    named_by = key_of_part(key)
    folder = local_copy(named_by, place)
    weights = parent_weights(named_by, folder)
    try:
        card = read_run_card(weights)
        if card is None and (folder / "run.json").is_file():
            card = RunFolder(folder).report()
        if card is not None and weights.is_file():
            card = {**card, "recipe": {**card["recipe"], "parents": {}}}
        part = Part(key=key, weights=weights, hash=sound_hash(named_by, weights), card=card)
        parts = read_painter_card(weights)["parts"] if (weights / PAINTER_CARD).is_file() else {}
        if key in parts:
            part = replace(
                part,
                card=card_in_painter(weights, key),
                licences=parts[key]["licences"],
                words=parts["words"]["hash"] if key == "base" and "words" in parts else None,
            )
        _ = part.parents
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{named_by}={place}: its run card cannot be read ({error})") from error
    return part


def parts_of_painter(place: AnyPath) -> dict[str, Part]:
    """The parts of an existing painter, by name; their hashes are those of the weights that it was assembled from.

    Raises:
        UserError: if it is incomplete or damaged, or not of Stable Diffusion's kind.
    """
    folder = local_copy("painter", place)
    facts, parts = check_painter(folder), {}
    file_hashes = {folder / name: file["sha256"] for name, file in facts["files"].items()}
    file_hashes[folder / PAINTER_CARD] = stored_hash(folder / PAINTER_CARD)
    if "architecture" in facts:
        allowed = "a painter of Stable Diffusion's kind, such as the tiny model's"
        raise UserError(f"painter={place}: of architecture {facts['architecture']}; allowed: {allowed}")
    for key, part_facts in facts["parts"].items():
        weights = folder / _FOLDERS.get(key, f"{LORAS}/{key}")
        parts[key] = Part(
            key=key,
            weights=weights,
            stated_parents=part_facts["parents"],
            stored_hash=_hash_within(weights, file_hashes) if key == "base" or weights != folder else None,
            hash=part_facts["hash"],
            card=card_in_painter(folder, key),
            licences=part_facts["licences"],
            words=facts["parts"]["words"]["hash"] if key == "base" and "words" in facts["parts"] else None,
        )
    return parts


def _hash_within(folder: Path, file_hashes: Mapping[Path, str]) -> str:
    """As `weights_hash`, of a folder of files whose hashes are known."""
    return hash_of_files(
        {path.relative_to(folder): value for path, value in file_hashes.items() if path.is_relative_to(folder)}
    )


def resolved_parents(part: Part, parts: Mapping[str, Part]) -> dict[str, str]:
    """Key -> hash of what a part was trained on.

    What was trained on the files of a painter knows them by their own hashes; here they have the hashes of the weights
    that the painter was assembled from, as in `parts_of_painter`.
    """
    assembled_from = {other.stored_hash: other.hash for other in parts.values() if other.stored_hash is not None}
    return {key: assembled_from.get(parent, parent) for key, parent in part.parents.items()}


def refuse_other_painter(out: Path, facts: Mapping[str, Any]) -> None:
    """Refuse a folder that holds anything but a painter of the same parts, which may be assembled again.

    Args:
        out: the folder, which has a painter's card.
        facts: facts about the painter that is requested.

    Raises:
        ConfigError: naming the first part that differs, or a file that is not the painter's.
    """
    try:
        stored_card = parse_json(retried(out / PAINTER_CARD, (out / PAINTER_CARD).read_bytes))
        hashes = {key: part["hash"] for key, part in stored_card["parts"].items()}
        own_names = {PAINTER_CARD, README, *stored_card["files"]}
    except (IsADirectoryError, ValueError, KeyError, TypeError, AttributeError):
        allowed = f"a new or empty folder; {PAINTER_CARD} in this one is not a painter's"
        raise ConfigError("out", out, allowed) from None
    requested_hashes = {key: part["hash"] for key, part in facts["parts"].items()}
    if (difference := first_difference(hashes, requested_hashes)) is not None:
        key, stored_hash, _ = difference
        part = f"{key}=" if key in _FOLDERS else f"LoRA {key}"
        differs = f"without {part}" if stored_hash is None else f"with other weights as {part}"
        raise ConfigError("out", out, f"a new folder; this one holds a painter {differs}")
    names = {path.relative_to(out).as_posix() for path in out.rglob("*") if not path.is_dir()}
    if names - own_names:
        raise ConfigError("out", out, f"a new folder; {min(names - own_names)} in this one is not the painter's")
