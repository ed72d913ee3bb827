"""A painter of Wan's kind: a base, a motion LoRA or a fully trained transformer, and LoRAs, in one folder.

A large base is not copied: the card names its folder.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from conf.compose import typed
from conf.errors import UserError
from training.models.lora import LORA_FILE, apply_lora, is_lora
from training.models.painter import PainterParts
from training.models.painter_folder import LORAS, seal_painter
from training.models.wan22.base import WanBase
from training.models.wan22.loading import load_base
from training.models.wan22.lora import load_lora, refuse_misfits, save_lora
from training.models.wan22.marks import network_mark
from training.models.wan22.painting import WanNetworks
from training.models.wan22.registration import WAN22, WanConfig
from training.models.wan22.stages import is_transformer, load_transformer

_MOTION = "motion"
_LARGEST_COPIED = 4 * 2**30  # bytes of a base's files
# Keys of the model that painting needs with their values of training.
_USE = ("frames", "order", "shift", "levels", "lead", "solver")


@dataclass(frozen=True, kw_only=True)
class WanPainter:
    """All parts of a painter. See `training.models.painter.Painter`.

    Attributes:
        base: the base, with the fully trained transformer if there is one.
        motion: LoRA of stage `motion`, in peft's names at scale 1; None if there is a fully trained transformer.
        loras: name -> state of the same kind.
        base_folder: folder of a base that is not copied.
        facts: the fields of `painter.json` besides its files.
    """

    base: WanBase
    motion: Mapping[str, Tensor] | None
    facts: Mapping[str, Any]
    base_folder: Path | None = None
    loras: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)

    def save(
        self, folder: Path, run_cards: Mapping[str, Mapping[str, Any]], dtype: torch.dtype = torch.float32
    ) -> None:
        """Write the painter into an empty folder, with tensors of type `dtype`; a base may be left where it is.

        Raises:
            UserError: if a number is too large for `dtype`.
        """
        if self.base_folder is None:
            for network in (self.base.vae, self.base.text_encoder, self.base.transformer):
                nn.Module.to(network, dtype)
            self.base.save(folder)
        elif self.motion is None:
            transformer = nn.Module.to(self.base.transformer, dtype)
            cast(Any, transformer).save_pretrained(folder / _MOTION, safe_serialization=True)
        states = {f"{LORAS}/{name}": state for name, state in self.loras.items()}
        if self.motion is not None:
            states[_MOTION] = self.motion
        for place, state in states.items():
            (folder / place).mkdir(parents=True)
            save_lora({key: tensor.to(dtype) for key, tensor in state.items()}, folder / place)
        flow = self.base.objective
        facts = {
            **self.facts, "architecture": WAN22.name, "frames": self.base.frames, "order": self.base.order,
            "shift": flow.shift, "levels": flow.levels, "lead": flow.lead, "solver": flow.solver,
            "shared": flow.shared,
        }  # fmt: skip
        if self.base_folder is not None:
            facts["base_folder"] = {"path": str(self.base_folder), "bytes": _bytes_of(self.base_folder)}
        seal_painter(folder, facts, run_cards)

    def networks(self, loras: Mapping[str, float]) -> WanNetworks:
        """The networks that paint, with the given LoRAs at the given scales."""
        transformer = cast(Any, self.base.transformer)
        for name in list(getattr(transformer, "peft_config", {})):
            transformer.delete_adapters(name)
        scales = {**({} if self.motion is None else {_MOTION: 1.0}), **loras}
        for name in scales:
            apply_lora(
                transformer, name, cast(Mapping[str, Tensor], self.motion) if name == _MOTION else self.loras[name]
            )
        if scales:
            transformer.set_adapters(list(scales), list(scales.values()))
        for name, parameter in transformer.named_parameters():
            if is_lora(name):
                parameter.data = parameter.data.to(transformer.dtype)
        return WanNetworks(base=self.base)


def assemble(parts: PainterParts) -> WanPainter:
    """A painter of parts that were trained separately.

    Raises:
        UserError: if one is missing, of another kind, or does not fit the others.
    """
    recipe = parts.motion_recipe or {}
    try:
        use = {key: recipe["model"][key] for key in _USE if key in recipe.get("model", {})}
        shared = float(recipe.get("noise", {}).get("shared", 0.0))
        model = typed(WanConfig, {"name": WAN22.name, "dtype": "fp32", **use}, "model")
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"motion={parts.motion}: its run card cannot be read ({error})") from error
    size = _bytes_of(parts.base)
    large = size > _LARGEST_COPIED
    base = load_base(parts.base, replace(model, dtype="bf16") if large else model)
    motion_lora = [] if is_transformer(parts.motion) else [("motion", parts.motion)]
    refuse_misfits([*motion_lora, *(("loras", place) for place in parts.loras.values())], base.configs["transformer"])
    flow = replace(base.objective, shift=model.shift or base.objective.shift, shared=shared)
    base = replace(base, objective=flow)
    marks, motion = {"base": network_mark(base.transformer)}, None
    if is_transformer(parts.motion):
        base = _with_transformer(base, parts.motion, "motion")
    else:
        motion = load_lora("motion", parts.motion, base.transformer, marks)
    marks["motion"] = network_mark(base.transformer, motion)
    states = {name: load_lora("loras", place, base.transformer, marks) for name, place in parts.loras.items()}
    return WanPainter(
        base=base,
        motion=motion,
        loras=states,
        base_folder=parts.base.resolve() if large else None,
        facts=parts.facts,
    )


def load(folder: Path, facts: Mapping[str, Any], dtype: torch.dtype) -> WanPainter:
    """A painter from its folder; see `training.models.architecture.Architecture.load_painter`."""
    try:
        use = {key: facts[key] for key in _USE}
        model = typed(WanConfig, {"name": WAN22.name, **use}, "painter")
        shared = float(facts["shared"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"painter={folder}: painter.json cannot be read ({error})") from error
    base_folder = _base_folder(folder, facts)
    base = load_base(base_folder or folder, model, "painter", dtype)
    base = replace(base, objective=replace(base.objective, shift=cast(float, model.shift), shared=shared))
    motion = None
    if is_transformer(folder / _MOTION):
        base = _with_transformer(base, folder / _MOTION, "painter")
    elif (folder / _MOTION).is_dir():
        motion = load_lora("painter", folder / _MOTION / LORA_FILE, base.transformer, {})
    folders = sorted((folder / LORAS).glob("*"))
    loras = {path.name: load_lora("painter", path / LORA_FILE, base.transformer, {}) for path in folders}
    return WanPainter(base=base, motion=motion, loras=loras, base_folder=base_folder, facts=facts)


def _with_transformer(base: WanBase, folder: Path, key: str) -> WanBase:
    """The base with a fully trained transformer, in the precision of its own."""
    transformer = nn.Module.to(load_transformer(key, folder, base), base.transformer.dtype)

    def load_part(part: str) -> nn.Module:
        return transformer if part == "transformer" else base.load(part)

    return replace(base, load=functools.cache(load_part))


def _base_folder(folder: Path, facts: Mapping[str, Any]) -> Path | None:
    """The folder of the base, if that is not in the painter."""
    if "base_folder" not in facts:
        return None
    place = Path(str(facts["base_folder"]["path"]))
    if not place.is_dir() or _bytes_of(place) != facts["base_folder"]["bytes"]:
        raise UserError(f"painter={folder}: its base, {place}, is not there or was changed; assemble it again")
    return place


def _bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.safetensors"))
