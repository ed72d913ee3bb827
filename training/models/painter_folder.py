"""A painter: one folder with all that paints, its run cards and licences.

PAINTER/painter.json         format, frames, size, method phrases, hashes and licences of the parts, all files
PAINTER/model_index.json     the same parts for diffusers' `DiffusionPipeline`
PAINTER/vae/ ... unet/       the base, as any diffusers folder
PAINTER/motion_adapter/      the temporal modules
PAINTER/replication/         the replication network, where there is one
PAINTER/loras/NAME/          LoRAs
PAINTER/run_cards/PART.json  how each part that was trained here came about
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, NotRequired

import torch
from diffusers import MotionAdapter, SparseControlNetModel
from diffusers import __version__ as diffusers_version
from pydantic import Field
from safetensors.torch import load_file
from torch import Tensor
from typing_extensions import TypedDict

from conf.errors import UserError
from training.data.manifest import hash_file, to_json
from training.data.plain import OPEN, Count, Number, Side, parse_object, shaped
from training.models.finite import finite
from training.models.sd15.base import BaseModel, load_base
from training.models.sd15.lora import LORA_FILE, kind_of, load_lora, save_lora
from training.models.sd15.motion import add_motion, load_motion
from training.models.sd15.replication import load_replication

PAINTER_CARD = "painter.json"
_FORMAT = 1
_MOST_FRAMES = 10_000
_SHARED = "shared_noise"
_MOTION, _REPLICATION, _LORAS = "motion_adapter", "replication", "loras"


class _File(TypedDict):
    __pydantic_config__ = OPEN  # type: ignore[misc]

    bytes: Count


class _Card(TypedDict):
    """What is read of `painter.json`."""

    __pydantic_config__ = OPEN  # type: ignore[misc]

    num_frames: Annotated[int, Field(strict=True, ge=1, le=_MOST_FRAMES)]
    size_px: Annotated[list[Side], Field(min_length=2, max_length=2)]
    phrases: NotRequired[dict[str, str]]
    shared_noise: NotRequired[Number]
    files: dict[str, _File]


@dataclass(frozen=True, kw_only=True)
class Painter:
    """All that paints.

    Attributes:
        base: what turns words into pictures.
        motion: the temporal modules.
        replication: the replication network, where there is one.
        loras: name -> state in peft's names at scale 1, for `training.models.sd15.lora.apply_lora`.
        facts: what `painter.json` says besides its files: `num_frames`, `size_px` (height, width), `phrases` by method,
            `parts` with their hashes and licences.
    """

    base: BaseModel
    motion: MotionAdapter
    replication: SparseControlNetModel | None = None
    loras: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    def save(
        self, folder: Path, run_cards: Mapping[str, Mapping[str, Any]], dtype: torch.dtype = torch.float32
    ) -> None:
        """Write it into an empty folder.

        Args:
            folder: an existing one.
            run_cards: part -> card.
            dtype: of all tensors in the files; the networks here are changed to it as well.

        Raises:
            UserError: if a number is too large for it.
        """
        self.base.to("cpu", dtype).save(folder)
        self.motion.to(dtype).save_pretrained(folder / _MOTION, safe_serialization=True)
        if self.replication is not None:
            self.replication.to(dtype).save_pretrained(folder / _REPLICATION, safe_serialization=True)
        for name, state in self.loras.items():
            (folder / _LORAS / name).mkdir(parents=True)
            save_lora({key: tensor.to(dtype) for key, tensor in state.items()}, kind_of(state), folder / _LORAS / name)
        for path in sorted(folder.rglob("*.safetensors")):
            for tensor_name, tensor in load_file(path).items():
                finite(tensor, f"{path.relative_to(folder).as_posix()}: {tensor_name}")
        _forget_places(folder)
        for part, card in run_cards.items():
            (folder / "run_cards").mkdir(exist_ok=True)
            (folder / "run_cards" / f"{part}.json").write_text(to_json(card), encoding="utf-8")
        (folder / "model_index.json").write_text(to_json(self._model_index()), encoding="utf-8")
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        files = {
            path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": hash_file(path)}
            for path in paths
        }
        card = {"format": _FORMAT, **self.facts, _SHARED: self.base.schedule.shared, "files": files}
        (folder / PAINTER_CARD).write_text(to_json(card), encoding="utf-8")

    def _model_index(self) -> dict[str, Any]:
        def place(part: object) -> list[str | None]:
            if part is None:
                return [None, None]
            kind = type(part)
            library = kind.__module__.partition(".")[0]
            return [library if library in ("diffusers", "transformers") else kind.__module__, kind.__name__]

        parts = {
            "vae": self.base.vae, "text_encoder": self.base.text_encoder, "tokenizer": self.base.tokenizer,
            "unet": self.base.unet, _MOTION: self.motion, _REPLICATION: self.replication,
        }  # fmt: skip
        return {
            "_class_name": "ProcessPainterPipeline",
            "_diffusers_version": diffusers_version,
            "scheduler": ["diffusers", "DDIMScheduler"],
            _SHARED: self.base.schedule.shared,
            **{name: place(part) for name, part in parts.items()},
        }


def _forget_places(folder: Path) -> None:
    """diffusers and transformers note where on this machine a network came from."""
    for path in folder.rglob("config.json"):
        config = json.loads(path.read_text(encoding="utf-8"))
        config.pop("_name_or_path", None)
        path.write_text(to_json(config), encoding="utf-8")


def read_painter_card(folder: Path) -> dict[str, Any]:
    """What `painter.json` says.

    Raises:
        UserError: if the folder is no painter, one of another format, or lacks files.
    """
    where = f"painter={folder}"
    try:
        card = parse_object((folder / PAINTER_CARD).read_bytes(), dict[str, Any])
        if card.get("format") != _FORMAT:
            raise UserError(f"{where}: of format {card.get('format')}; this code reads {_FORMAT}")
        card = dict(shaped(card, _Card))
        for name, facts in card["files"].items():
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise ValueError(f"files: {name} is not in the folder")
            file = folder / name
            if not file.is_file() or file.stat().st_size != facts["bytes"]:
                raise UserError(f"{where}: not whole; {name} is {'cut or changed' if file.exists() else 'missing'}")
    except FileNotFoundError:
        raise UserError(f"{where}: not a painter (no {PAINTER_CARD}); training.assemble makes one") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{where}: {PAINTER_CARD} cannot be read ({error})") from error
    return card


def load_painter(folder: Path, dtype: torch.dtype = torch.float32) -> Painter:
    """Load a painter, frozen, in evaluation mode.

    Args:
        folder: that `training.assemble` made.
        dtype: of the networks, whatever the files hold.

    Raises:
        UserError: if the folder is no painter, one of another format, or not whole.
    """
    facts = read_painter_card(folder)
    base = load_base(folder, "painter")
    motion = load_motion(folder / _MOTION, base.unet)
    has_network = (folder / _REPLICATION).is_dir()
    replication = load_replication(folder / _REPLICATION, base.unet) if has_network else None
    folders = sorted((folder / _LORAS).glob("*"))
    unet = add_motion(base.unet, motion) if folders else base.unet
    loras = {path.name: load_lora("painter", path / LORA_FILE, unet, {}) for path in folders}
    for network in (motion, replication):
        if network is not None:
            network.requires_grad_(False).eval().to(dtype)
    base = replace(base, schedule=replace(base.schedule, shared=float(facts.get(_SHARED, 0.0))))
    return Painter(base=base.to("cpu", dtype), motion=motion, replication=replication, loras=loras, facts=facts)
