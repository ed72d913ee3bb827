"""The base: a latent diffusion model of pictures, in the folder layout of diffusers' Stable Diffusion pipelines."""

import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from conf.errors import UserError
from training.data.text import Text
from training.models.codec import PatchCodec
from training.models.finite import finite
from training.models.parts import kind_of_folder, load_network, reading, refuse_absent, refuse_unless_positive
from training.models.unknown_words import unknown_words
from training.models.weights import module_hash
from training.noise_schedule import NoiseSchedule, load_schedule, save_schedule

_CODECS = {"AutoencoderKL": AutoencoderKL, "PatchCodec": PatchCodec}
_FRAMES_AT_ONCE = 16  # for the VAE on a CPU: at 512 px its activations, not the UNet's, would fill the memory
_PIXELS_AT_ONCE = 32 * 512 * 512  # for the VAE on a GPU
_PARTS = ("vae", "text_encoder", "tokenizer", "unet", "scheduler")
_OTHER_INPUTS = ("addition_embed_type", "class_embed_type", "encoder_hid_dim", "num_class_embeds")
_LATENT_STATISTICS = ("shift_factor", "latents_mean", "latents_std")  # besides the factor, in SDXL, Flux and later
_PLACEHOLDER_END = 2  # end token in the configurations of CLIP's first releases, whatever their vocabulary

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # readers are forked, and it would warn of that
transformers_logging.disable_progress_bar()  # a bar for a second's work
# diffusers warns of a list that is empty for every model used here.
logging.getLogger("diffusers.models.modeling_utils").addFilter(
    lambda record: "should be kept in float32: []" not in record.getMessage()
)


@dataclass(frozen=True)
class Tokens:
    """(B,) captions -> (B, L) int64 token ids, filled up or cut off to L.

    Attributes:
        tokenizer: the tokenizer.
        length: L.
    """

    tokenizer: CLIPTokenizer
    length: int

    def __call__(self, captions: Sequence[str]) -> Tensor:
        """Token ids of some captions."""
        ids: Tensor = self.tokenizer(
            list(captions), padding="max_length", truncation=True, max_length=self.length, return_tensors="pt"
        ).input_ids
        return ids


@dataclass(frozen=True, kw_only=True)
class BaseModel:
    """A text-to-picture model with the codec of its latents.

    Attributes:
        vae: `AutoencoderKL`, or the tiny model's `PatchCodec`, which has its interface.
        tokenizer, text_encoder: tokenizer and encoder of captions.
        unet: the 2D UNet.
        schedule: the noise it was trained on.
    """

    vae: nn.Module
    tokenizer: CLIPTokenizer
    text_encoder: CLIPTextModel
    unet: UNet2DConditionModel
    schedule: NoiseSchedule

    @property
    def objective(self) -> NoiseSchedule:
        """See `training.models.architecture.Base`."""
        return self.schedule

    @property
    def encoders(self) -> Mapping[str, nn.Module]:
        """The networks that turn captions and frames into what the UNet reads."""
        return {"text_encoder": self.text_encoder, "vae": self.vae}

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return cast(torch.device, self.text_encoder.device)

    @property
    def scaling(self) -> float:
        """The factor by which latents of the VAE are multiplied before noise is added."""
        return float(cast(Any, self.vae).config.scaling_factor)

    @property
    def latent_channels(self) -> int:
        """C of the latents."""
        return int(self.unet.config.in_channels)

    @cached_property
    def patch_px(self) -> int:
        """Side, in pixels, of the square that one cell of the latent grid stands for."""
        config = cast(Any, self.vae).config
        return int(config.patch_px if "patch_px" in config else 2 ** (len(config.block_out_channels) - 1))

    @property
    def cell_px(self) -> int:
        """Pixels that the sides of frames must be multiples of: the UNet halves the grid at each level but one."""
        return int(self.patch_px * 2 ** (len(self.unet.config.block_out_channels) - 1))

    def latent_shape(self, num_frames: int, size_px: tuple[int, int]) -> tuple[int, int, int, int]:
        """(T, C, h, w) of the latents of T frames of (height, width), each of which is encoded alone."""
        return num_frames, self.latent_channels, size_px[0] // self.patch_px, size_px[1] // self.patch_px

    def latent_slot(self, frame: int, num_frames: int) -> int:
        """Which latent shows a frame."""
        return frame

    @property
    def exact(self) -> bool:
        """Whether the codec's latents are exact, so that nothing is sampled from a posterior."""
        return isinstance(self.vae, PatchCodec)

    def encode_frames(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the posterior, not scaled.

        Args:
            frames: (N, 3, H, W) in [-1, 1].

        Returns:
            Two (N, C, H / patch_px, W / patch_px).
        """
        posteriors = [cast(Any, self.vae).encode(part).latent_dist for part in _split(frames, frames.shape[-2:])]
        mean = torch.cat([posterior.mean for posterior in posteriors])
        return mean, torch.cat([posterior.logvar for posterior in posteriors])

    def encode_sequences(self, frames: Tensor, at_once: int | None = None) -> tuple[Tensor, Tensor]:
        """The same (B, T, C, h, w) of sequences (B, T, 3, H, W), encoding at most `at_once` frames together."""
        pictures = frames.flatten(0, 1).to(cast(Any, self.vae).dtype)
        parts = [self.encode_frames(part) for part in torch.split(pictures, at_once or len(pictures))]
        mean, logvar = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        shape = (*frames.shape[:2], *mean.shape[1:])
        return mean.reshape(shape), logvar.reshape(shape)

    def scaled(self, mean: Tensor) -> Tensor:
        """Latents that noise is added to."""
        return mean * self.scaling

    def deviation(self, logvar: Tensor) -> Tensor:
        """Standard deviation of scaled latents."""
        return (0.5 * logvar).exp() * self.scaling

    def decode_sequences(self, latents: Tensor) -> Tensor:
        """Frames (B, T, 3, H, W) in [0, 1] of scaled latents (B, T, C, h, w); raises as `decode` does."""
        pictures = self.decode(latents.flatten(0, 1).to(cast(Any, self.vae).dtype))
        return pictures.reshape(*latents.shape[:2], *pictures.shape[1:])

    def decode(self, latents: Tensor) -> Tensor:
        """Pictures (N, 3, H, W) in [0, 1] of scaled latents (N, C, h, w).

        Raises:
            UserError: if latents or pictures are not finite.
        """
        finite(latents, "what was painted, as latents")
        size_px = (latents.shape[-2] * self.patch_px, latents.shape[-1] * self.patch_px)
        parts = [cast(Any, self.vae).decode(part / self.scaling).sample for part in _split(latents, size_px)]
        return (finite(torch.cat(parts), "pictures that the VAE makes of latents") / 2 + 0.5).clamp(0, 1)

    def embed(self, captions: Sequence[str], device: torch.device | None = None) -> Text:
        """`text` (B, L, D), embeddings of captions, which are cut off at the length that the text encoder reads.

        Args:
            captions: (B,).
            device: where the text encoder computes, if its weights are stored elsewhere.
        """
        return self.embed_tokens(self.tokens(captions).to(self.device if device is None else device))

    def embed_tokens(self, token_ids: Tensor) -> Text:
        """`text` (B, L, D), embeddings of captions given as (B, L) token ids."""
        return Text({"text": self.text_encoder(token_ids).last_hidden_state})

    @cached_property
    def tokens(self) -> Tokens:
        """The function that turns captions into what the text encoder reads."""
        return Tokens(self.tokenizer, self.text_encoder.config.max_position_embeddings)

    def unknown_words(self, prompt: str) -> list[str]:
        """Words of a prompt that a small base was not trained on."""
        return unknown_words(self.tokenizer, prompt)

    def fingerprint(self) -> str:
        """Hash of all that cached latents and embeddings depend on: the VAE, the text encoder and its vocabulary."""
        digest = hashlib.sha256(json.dumps(self.tokenizer.get_vocab(), sort_keys=True).encode())
        digest.update(f"{module_hash(self.vae)} {module_hash(self.text_encoder)}".encode())
        return digest.hexdigest()

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> "BaseModel":
        """Move all networks, in place; returns self."""
        for part in (self.vae, self.text_encoder, self.unet):
            cast(Any, part).to(device=device, dtype=dtype)
        return self

    def save(self, folder: Path) -> None:
        """Write it as a diffusers folder, safetensors only."""
        for name, part in (("vae", self.vae), ("text_encoder", self.text_encoder), ("unet", self.unet)):
            cast(Any, part).save_pretrained(folder / name, safe_serialization=True)
        # A tokenizer also saves how it last cut and padded: the same base would be other files after a resumed run.
        if isinstance(self.tokenizer, PreTrainedTokenizerFast):
            self.tokenizer.backend_tokenizer.no_truncation()
            self.tokenizer.backend_tokenizer.no_padding()
        self.tokenizer.save_pretrained(folder / "tokenizer")
        save_schedule(self.schedule, folder / "scheduler")


def _split(frames: Tensor, size_px: Sequence[int]) -> tuple[Tensor, ...]:
    """Split frames, or latents of frames of a size (height, width), into parts that the VAE can take at once."""
    if frames.device.type == "cpu":
        return torch.split(frames, _FRAMES_AT_ONCE)
    return torch.split(frames, max(1, _PIXELS_AT_ONCE // (size_px[0] * size_px[1])))


def load_base(path: str | Path, key: str = "base") -> BaseModel:
    """Load a base from a local diffusers folder or from the hub, in float32, frozen, in evaluation mode.

    docs/formats.md says what is read. Nothing is filled in: each part must have all its weights, and all must fit.
    Pipelines that need more than these parts (SDXL, say) are not bases of this project.

    Args:
        path: the folder, or a name on the hub.
        key: configuration key that named it, for messages.

    Raises:
        UserError: if it is not there, lacks a part or a tensor, or is of another architecture.
    """
    folder, name = Path(path), f"{key}={path}"
    refuse_absent(path, name)
    where = str(folder) if folder.exists() else str(path)
    if folder.exists():
        missing_parts = [part for part in _PARTS if not (folder / part).is_dir()]
        if missing_parts:
            kind = kind_of_folder(folder)
            raise UserError(f"{name}: not a diffusers folder, but {kind}; it lacks {', '.join(missing_parts)}")
    with reading(name, where, "scheduler/scheduler_config.json"):
        schedule = load_schedule(where)
    with reading(name, where, "tokenizer"):
        tokenizer = CLIPTokenizer.from_pretrained(where, subfolder="tokenizer")
    base = BaseModel(
        vae=load_codec(where, name),
        tokenizer=tokenizer,
        text_encoder=load_network(CLIPTextModel, where, f"{name}: its text_encoder", "text_encoder"),
        unet=load_network(UNet2DConditionModel, where, f"{name}: its unet", "unet"),
        schedule=schedule,
    )
    _refuse_mismatch(base, name)
    for part in (base.vae, base.text_encoder, base.unet):
        part.requires_grad_(False).eval()
    return base


def save_its_unet(base: BaseModel, folder: Path) -> None:
    """Write a base's UNet into the folder of the temporal modules that were trained with it."""
    cast(Any, base.unet).save_pretrained(folder / "unet", safe_serialization=True)


def with_its_unet(base: BaseModel, motion: Path) -> BaseModel:
    """A base with the UNet that was trained with temporal modules, if their folder has one.

    Args:
        base: the base that the modules belong to.
        motion: folder or file of the modules.

    Raises:
        UserError: if the UNet cannot be loaded.
    """
    folder = motion / "unet"
    if not folder.is_dir():
        return base
    # Given as a folder of its own: as a subfolder, diffusers would prefer a file of the same name above it, which
    # holds the temporal modules.
    unet = load_network(UNet2DConditionModel, str(folder), f"motion={motion}: its unet")
    return replace(base, unet=unet.requires_grad_(False).eval())


def load_codec(where: str, name: str) -> nn.Module:
    """The codec of a base, frozen, in float32.

    Args:
        where: a folder that has it as `vae`, or a name on the hub.
        name: name of that for messages, such as `base=DIR`.

    Raises:
        UserError: if it is missing, incomplete, or of an unknown kind.
    """
    folder = Path(where)
    if folder.exists() and not (folder / "vae").is_dir():
        raise UserError(f"{name}: holds no codec (a folder vae), but {kind_of_folder(folder)}")
    with reading(name, where, "vae/config.json"):
        kind = str(AutoencoderKL.load_config(where, subfolder="vae").get("_class_name"))
    if kind not in _CODECS:
        raise UserError(f"{name}: its VAE is a {kind}; known are {', '.join(_CODECS)}")
    codec: nn.Module = load_network(_CODECS[kind], where, f"{name}: its vae", "vae")
    refuse_unless_positive(cast(Any, codec).config.scaling_factor, "scaling_factor", f"{name}: vae/config.json")
    return codec.requires_grad_(False).eval()


def _refuse_mismatch(base: BaseModel, name: str) -> None:
    """Refuse parts that do not belong together, and UNets with more inputs than latents, a timestep and words."""
    unet, text = base.unet.config, base.text_encoder.config
    width, reads = text.hidden_size, unet.cross_attention_dim
    if width != reads:
        raise UserError(f"{name}: its text encoder outputs {width} features a token, but its UNet takes {reads}")
    channels = int(cast(Any, base.vae).config.latent_channels)
    if (unet.in_channels, unet.out_channels) != (channels, channels):
        hint = ", as those for inpainting do," if unet.in_channels == 2 * channels + 1 else ""
        raise UserError(
            f"{name}: its UNet reads {unet.in_channels} channels{hint} and gives {unet.out_channels}, its VAE makes "
            f"{channels}; allowed: a UNet from text to picture"
        )
    extra = [key for key in _OTHER_INPUTS if unet.get(key) is not None]
    if extra:
        raise UserError(
            f"{name}: its UNet needs other inputs besides text ({extra[0]}={unet[extra[0]]}), as SDXL's does"
        )
    shifted = [key for key in _LATENT_STATISTICS if cast(Any, base.vae).config.get(key) is not None]
    if shifted:
        raise UserError(f"{name}: its VAE has a {shifted[0]}; allowed: one whose latents are scaled by a factor alone")
    num_tokens = len(base.tokenizer)
    if num_tokens != text.vocab_size or max(base.tokenizer.get_vocab().values()) >= text.vocab_size:
        raise UserError(
            f"{name}: its tokenizer is not its text encoder's; it has {num_tokens} tokens, not {text.vocab_size}"
        )
    if text.eos_token_id not in (_PLACEHOLDER_END, base.tokenizer.eos_token_id):
        raise UserError(
            f"{name}: its tokenizer is not its text encoder's; its end token is "
            f"{base.tokenizer.eos_token_id}, not {text.eos_token_id}"
        )
