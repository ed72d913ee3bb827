"""A painter: one folder with everything that is needed to paint, its run cards and licences.

PAINTER/painter.json         format, frames, size, method phrases, hashes and licences of the parts, all files
PAINTER/model_index.json     the same parts for diffusers' `DiffusionPipeline`, if it supports them
PAINTER/pipeline.py          code with which diffusers loads the painter where this package is not installed
PAINTER/README.md            its card, which users may change, so it is not among the hashes
PAINTER/...                  the parts, as the architecture has them: for a Stable Diffusion vae/, text_encoder/,
                             tokenizer/, unet/, scheduler/, motion_adapter/ and replication/
PAINTER/loras/NAME/          LoRAs
PAINTER/run_cards/PART.json  how each part that was trained here was made
"""

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from conf.errors import UserError
from training.data.manifest import hash_file, stored_hash, to_json
from training.data.own_page import README
from training.data.plain import OPEN, Count, Number, Side, shaped
from training.data.retries import retried
from training.data.seal import sealed, sealed_fields
from training.models.finite import finite
from training.models.weights import PAINTER_CARD as PAINTER_CARD  # part of this format, light to import there

if TYPE_CHECKING:
    import torch

    from training.models.painter import Painter

LORAS = "loras"
"""Subfolder of a painter that has a folder for each LoRA."""
_FORMAT = 1
_MOST_FRAMES = 10_000
_DEFAULT_ARCHITECTURE = "sd15"  # the first painters do not name their architecture


class _File(TypedDict):
    __pydantic_config__ = OPEN  # type: ignore[misc]

    bytes: Count
    sha256: str


class _Card(TypedDict):
    """The fields of `painter.json` that are read."""

    __pydantic_config__ = OPEN  # type: ignore[misc]

    num_frames: Annotated[int, Field(strict=True, ge=1, le=_MOST_FRAMES)]
    size_px: Annotated[list[Side], Field(min_length=2, max_length=2)]
    sizes_px: NotRequired[list[Annotated[list[Side], Field(min_length=2, max_length=2)]]]
    phrases: NotRequired[dict[str, str]]
    shared_noise: NotRequired[Number]
    architecture: NotRequired[str]
    files: dict[str, _File]


def seal_painter(
    folder: Path,
    facts: Mapping[str, Any],
    run_cards: Mapping[str, Mapping[str, Any]],
    model_index: Mapping[str, Any] | None = None,
) -> None:
    """Turn a folder in which an architecture has saved all parts into a painter: write its cards, `painter.json` last.

    Args:
        folder: the folder with the parts.
        facts: fields of `painter.json`; with `architecture`, the registered name, unless it is Stable Diffusion's.
        run_cards: part -> card.
        model_index: index for diffusers' `DiffusionPipeline`.

    Raises:
        UserError: if a number of a part is not finite, for example because it is too large for its type.
    """
    from safetensors.torch import load_file

    for path in sorted(folder.rglob("*.safetensors")):
        for tensor_name, tensor in load_file(path).items():
            finite(tensor, f"{path.relative_to(folder).as_posix()}: {tensor_name}")
    _forget_places(folder)
    for part, card in run_cards.items():
        (folder / "run_cards").mkdir(exist_ok=True)
        (folder / "run_cards" / f"{part}.json").write_text(to_json(card), encoding="utf-8")
    if model_index is not None:
        (folder / "model_index.json").write_text(to_json(model_index), encoding="utf-8")
    files = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": hash_file(path)}
        for path in sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / README)
    }
    (folder / PAINTER_CARD).write_bytes(sealed(to_json({"format": _FORMAT, **facts, "files": files})))


def _forget_places(folder: Path) -> None:
    """Remove the local paths that diffusers and transformers write into the configurations of networks."""
    for path in folder.rglob("config.json"):
        config = json.loads(path.read_text(encoding="utf-8"))
        config.pop("_name_or_path", None)
        path.write_text(to_json(config), encoding="utf-8")


def read_painter_card(folder: Path) -> dict[str, Any]:
    """The contents of `painter.json`.

    Raises:
        UserError: if the folder is no painter, one of another format, or lacks files.
    """
    where = f"painter={folder}"
    try:
        card = sealed_fields(retried(folder / PAINTER_CARD, (folder / PAINTER_CARD).read_bytes))
        if card.get("format") != _FORMAT:
            raise UserError(f"{where}: of format {card.get('format')}; this code reads {_FORMAT}")
        card = dict(shaped(card, _Card))
        for name, facts in card["files"].items():
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise ValueError(f"files: {name} is not in the folder")
            file = folder / name
            if not file.is_file() or file.stat().st_size != facts["bytes"]:
                raise UserError(f"{where}: not whole; {name} is {'cut or changed' if file.exists() else 'missing'}")
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{where}: not a painter (no {PAINTER_CARD}); training.assemble makes one") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{where}: {PAINTER_CARD} cannot be read ({reason})") from error
    return card


def check_painter(folder: Path, key: str = "painter") -> dict[str, Any]:
    """The contents of `painter.json`, after a check that all files are those that were written, to the byte.

    Raises:
        UserError: as `read_painter_card`; or naming a file that was damaged or changed.
    """
    card = read_painter_card(folder)
    for name, facts in card["files"].items():
        if stored_hash(folder / name) != facts["sha256"]:
            raise UserError(f"{key}={folder}: not whole; {name} is damaged or changed")
    return card


def load_painter(folder: Path, dtype: "torch.dtype | None" = None) -> "Painter":
    """Load a painter, frozen, in evaluation mode.

    Args:
        folder: a folder that `training.assemble` made.
        dtype: type of the networks, whichever the files have; float32 by default.

    Raises:
        UserError: if the folder is no painter, or one of another format, of an unknown architecture, or incomplete.
    """
    import torch

    from training.models.registry import architecture

    card = check_painter(folder)
    name = str(card.get("architecture", _DEFAULT_ARCHITECTURE))
    return architecture(name, f"painter={folder}: architecture").load_painter(folder, card, dtype or torch.float32)
