"""A painter of Stable Diffusion's kind: base, temporal modules, replication network and LoRAs in one folder."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from diffusers import MotionAdapter, SparseControlNetModel
from diffusers import __version__ as diffusers_version
from torch import Tensor, nn

from conf.errors import ConfigError, UserError
from training.models import codec
from training.models.codec import PatchCodec
from training.models.lora import LORA_FILE, apply_lora
from training.models.painter import PainterParts
from training.models.painter_folder import LORAS, PAINTER_CARD, check_painter, seal_painter
from training.models.sd15 import stand_alone
from training.models.sd15.base import BaseModel, load_base, load_codec, with_its_unet
from training.models.sd15.growth import has_codes_of
from training.models.sd15.lora import kind_of, load_lora, save_lora
from training.models.sd15.motion import add_motion, load_motion
from training.models.sd15.networks import StableDiffusionNetworks
from training.models.sd15.replication import load_replication
from training.models.weights import module_hash

PIPELINE_FILE, CODEC_FILE = "pipeline.py", "vae/codec.py"
"""The code with which diffusers loads a painter where this package is not installed."""
_CODEC_PLACE = ("codec", PatchCodec.__name__)  # in `model_index.json`: a module in the folder of the part
_SHARED = "shared_noise"
_NUM_FRAMES = "num_frames"
_MOTION, _REPLICATION = "motion_adapter", "replication"
_ENCODER_TENSORS = ("to_code.", "code_details.")  # tensors of a codec that decide its latents


@dataclass(frozen=True, kw_only=True)
class Painter:
    """All parts of a painter. See `training.models.painter.Painter`.

    Attributes:
        base: the text-to-picture model.
        motion: the temporal modules.
        replication: the replication network, if there is one.
        loras: name -> state in peft's names at scale 1, for `training.models.lora.apply_lora`.
        facts: the fields of `painter.json` besides its files: `num_frames`, `size_px` (height, width), `phrases` by
            method, `parts` with their hashes and licences.
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
            folder: an existing folder.
            run_cards: part -> card.
            dtype: type of all tensors in the files; the networks here are converted to it as well.

        Raises:
            UserError: if a number is too large for `dtype`.
        """
        self.base.to("cpu", dtype).save(folder)
        self.motion.to(dtype).save_pretrained(folder / _MOTION, safe_serialization=True)
        if self.replication is not None:
            self.replication.to(dtype).save_pretrained(folder / _REPLICATION, safe_serialization=True)
        for name, state in self.loras.items():
            (folder / LORAS / name).mkdir(parents=True)
            save_lora({key: tensor.to(dtype) for key, tensor in state.items()}, kind_of(state), folder / LORAS / name)
        copy_code(folder)
        seal_painter(folder, {**self.facts, _SHARED: self.base.schedule.shared}, run_cards, self._model_index())

    def networks(self, loras: Mapping[str, float]) -> StableDiffusionNetworks:
        """The networks that paint, with the given LoRAs at the given scales.

        Those that change pictures are in the 2D UNet too: pictures are inverted by the network that would paint them.
        """
        if not loras:
            return StableDiffusionNetworks.of(self.base, self.motion, self.replication)
        own_unet = self.base.unet
        with torch.device("meta"):
            unet = type(own_unet).from_config(own_unet.config)
        unet.requires_grad_(False).load_state_dict(own_unet.state_dict(keep_vars=True), assign=True)  # shared
        networks = StableDiffusionNetworks.of(replace(self.base, unet=unet.eval()), self.motion, self.replication)
        spatial = {name: scale for name, scale in loras.items() if kind_of(self.loras[name]) == "spatial"}
        for network, scales in ((networks.motion, loras), (unet, spatial)):
            for name in scales:
                apply_lora(network, name, self.loras[name])
            if scales:
                network.set_adapters(list(scales), list(scales.values()))
        unet.to(own_unet.dtype)  # LoRAs are float32
        networks.rejoin()
        return networks

    def _model_index(self) -> dict[str, Any]:
        def class_entry(part: object) -> list[str | None]:
            if part is None:
                return [None, None]
            kind = type(part)
            if isinstance(part, PatchCodec):
                return [*_CODEC_PLACE]
            return [kind.__module__.partition(".")[0], kind.__name__]

        parts = {
            "vae": self.base.vae, "text_encoder": self.base.text_encoder, "tokenizer": self.base.tokenizer,
            "unet": self.base.unet, _MOTION: self.motion, _REPLICATION: self.replication,
        }  # fmt: skip
        return {
            "_class_name": "ProcessPainterPipeline",
            "_diffusers_version": diffusers_version,
            "scheduler": ["diffusers", "DDIMScheduler"],
            _SHARED: self.base.schedule.shared,
            _NUM_FRAMES: self.facts.get(_NUM_FRAMES),
            **{name: class_entry(part) for name, part in parts.items()},
        }


def copy_code(folder: Path) -> None:
    """Copy into a painter the code that stock diffusers needs: the pipeline, and a codec that diffusers does not have.

    Args:
        folder: folder of the painter, which has its parts already.
    """
    shutil.copyfile(stand_alone.__file__, folder / PIPELINE_FILE)
    if json.loads((folder / "vae" / "config.json").read_text(encoding="utf-8"))["_class_name"] == PatchCodec.__name__:
        shutil.copyfile(codec.__file__, folder / CODEC_FILE)


def renew_code(folder: Path) -> None:
    """Give a painter of an earlier version the code that painters carry now; its weights stay as they are.

    Raises:
        UserError: if the folder is no painter, or an incomplete one.
    """
    facts = check_painter(folder)
    model_index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    copy_code(folder)
    if (folder / CODEC_FILE).exists():
        model_index["vae"] = _CODEC_PLACE
    model_index[_NUM_FRAMES] = facts[_NUM_FRAMES]
    (folder / PAINTER_CARD).unlink()
    seal_painter(
        folder, {key: value for key, value in facts.items() if key not in ("format", "files")}, {}, model_index
    )


def assemble(base: BaseModel, parts: PainterParts) -> Painter:
    """A painter of parts that were trained separately.

    Args:
        base: the base, with the noise to sample on.
        parts: all parts.

    Raises:
        UserError: if one is missing, of another kind, or does not fit the others.
        ConfigError: if one has fewer positions than the painter has frames.
    """
    base = with_its_unet(base, parts.motion)
    if parts.codec is not None:
        base = replace(base, vae=_with_same_codes(base, parts.codec))
    motion = load_motion(parts.motion, base.unet)
    unet = add_motion(base.unet, motion)  # refuses temporal modules of another UNet
    replication = load_replication(parts.replication, base.unet) if parts.replication is not None else None
    for place, network in ((parts.motion, motion), (parts.replication, replication)):
        if network is not None and parts.facts[_NUM_FRAMES] > (most := network.config.motion_max_seq_length):
            raise ConfigError(_NUM_FRAMES, parts.facts[_NUM_FRAMES], f"2 to {most}, the positions that {place} has")
    marks = {"base": module_hash(base.unet), "motion": module_hash(motion)}
    loras = {name: load_lora("loras", weights, unet, marks) for name, weights in parts.loras.items()}
    return Painter(base=base, motion=motion, replication=replication, loras=loras, facts=parts.facts)


def _with_same_codes(base: BaseModel, folder: Path) -> nn.Module:
    """A codec from its folder, which must have the latents that the base's networks were trained on."""
    vae: nn.Module = load_codec(str(folder), f"codec={folder}")
    smaller = base.vae
    is_larger = isinstance(vae, PatchCodec) and isinstance(smaller, PatchCodec) and has_codes_of(vae, smaller)
    own, new = (
        {name: tensor for name, tensor in each.state_dict().items() if name.startswith(_ENCODER_TENSORS)}
        for each in (base.vae, vae)
    )
    is_same = own.keys() == new.keys() and all(torch.equal(own[name], new[name]) for name in own)
    if not (is_same or is_larger):
        raise UserError(f"codec={folder}: its latents are not those of the base; allowed: stage=codec base=BASE")
    return vae


def load(folder: Path, facts: Mapping[str, Any], dtype: torch.dtype) -> Painter:
    """A painter from its folder; see `training.models.architecture.Architecture.load_painter`."""
    base = load_base(folder, "painter")
    motion = load_motion(folder / _MOTION, base.unet)
    has_network = (folder / _REPLICATION).is_dir()
    replication = load_replication(folder / _REPLICATION, base.unet) if has_network else None
    folders = sorted((folder / LORAS).glob("*"))
    unet = add_motion(base.unet, motion) if folders else base.unet
    loras = {path.name: load_lora("painter", path / LORA_FILE, unet, {}) for path in folders}
    for network in (motion, replication):
        if network is not None:
            network.requires_grad_(False).eval().to(dtype)
    base = replace(base, schedule=replace(base.schedule, shared=float(facts.get(_SHARED, 0.0))))
    return Painter(base=base.to("cpu", dtype), motion=motion, replication=replication, loras=loras, facts=facts)
