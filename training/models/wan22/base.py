"""The base: a Wan that takes one timestep per token, in the folder layout of diffusers' `WanPipeline`."""

import hashlib
import html
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch
from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler, WanTransformer3DModel
from diffusers import __version__ as diffusers_version
from torch import Tensor, nn
from transformers import UMT5EncoderModel
from transformers.utils import logging as transformers_logging

from conf.errors import UserError
from training.data.text import Text
from training.models.finite import finite
from training.models.unknown_words import unknown_words
from training.models.wan22.flow import Flow
from training.models.wan22.registration import FramesAs, Order, TextEncoderPlace
from training.models.weights import module_hash

transformers_logging.disable_progress_bar()  # a bar for each of a few files

NETWORKS = {"vae": AutoencoderKLWan, "text_encoder": UMT5EncoderModel, "transformer": WanTransformer3DModel}
"""Part -> class of its network."""
_MOST_TOKENS = 512  # that Wan was trained on; embeddings of shorter captions are filled up with zeros
_PIXELS_AT_ONCE = 8 * 512 * 512  # pixels that the VAE takes together


def scheduler_of(flow: Flow) -> FlowMatchEulerDiscreteScheduler | UniPCMultistepScheduler:
    """The scheduler of diffusers for a flow whose frames are all equally noisy."""
    if flow.solver == "euler":
        return FlowMatchEulerDiscreteScheduler(shift=flow.shift)
    return UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=flow.shift)


@dataclass(frozen=True)
class Tokens:
    """(B,) captions -> (B, L) int64 token ids, filled up or cut off to L."""

    tokenizer: Any

    def __call__(self, captions: Sequence[str]) -> Tensor:
        """Token ids of some captions, which are cleaned as Wan's own code does."""
        cleaned = [" ".join(html.unescape(html.unescape(caption)).split()) for caption in captions]
        length = min(_MOST_TOKENS, self.tokenizer.model_max_length)
        ids: Tensor = self.tokenizer(
            cleaned, padding="max_length", truncation=True, max_length=length, return_tensors="pt"
        ).input_ids
        return ids


@dataclass(frozen=True, kw_only=True)
class WanBase:
    """A base and how it is used. See `training.models.architecture.Base`.

    Attributes:
        configs: configurations of its networks, by part.
        load: a part -> its network, with weights; called once per part.
        tokenizer: tokenizer of captions.
        objective: the objective that it was trained on.
        frames: whether each frame is encoded alone, or all together as a video.
        order: which frame the transformer sees first. Outside it, latents are always in the order of the frames.
        text_encoder_place: whether the text encoder moves with the other networks, or computes on the CPU.
        in_fp8: whether training keeps the transformer's frozen weights in 8 bits.
        exact: Wan's latents are the mean of the posterior.
    """

    configs: Mapping[str, Mapping[str, Any]]
    load: Callable[[str], nn.Module]
    tokenizer: Any
    objective: Flow
    frames: FramesAs = "pictures"
    order: Order = "forward"
    text_encoder_place: TextEncoderPlace = "network"
    in_fp8: bool = False
    exact: bool = True
    _embedded: dict[bytes, Tensor] = field(default_factory=dict, repr=False)

    @cached_property
    def vae(self) -> AutoencoderKLWan:
        """The codec between frames and latents."""
        return cast(AutoencoderKLWan, self.load("vae"))

    @cached_property
    def text_encoder(self) -> UMT5EncoderModel:
        """The encoder of captions."""
        return cast(UMT5EncoderModel, self.load("text_encoder"))

    @cached_property
    def transformer(self) -> WanTransformer3DModel:
        """The network that predicts."""
        return cast(WanTransformer3DModel, self.load("transformer"))

    @property
    def encoders(self) -> Mapping[str, nn.Module]:
        """The encoders that move with the transformer."""
        text = {} if self.text_encoder_place == "cpu" else {"text_encoder": self.text_encoder}
        return {**text, "vae": self.vae}

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return cast(torch.device, self.vae.device)

    @property
    def patch_px(self) -> int:
        """Side, in pixels, of the square that one cell of the latent grid stands for."""
        config = self.configs["vae"]
        return int((config.get("patch_size") or 1) * 2 ** (len(config["dim_mult"]) - 1))

    @property
    def cell_px(self) -> int:
        """Side, in pixels, of the square that a token stands for."""
        return self.patch_px * int(max(self.configs["transformer"]["patch_size"][1:]))

    @property
    def _frames_per_latent(self) -> int:
        """Frames of a video in each of its latents but the first, which shows one."""
        return int(2 ** sum(self.configs["vae"]["temperal_downsample"]))

    def latent_shape(self, num_frames: int, size_px: tuple[int, int]) -> tuple[int, int, int, int]:
        """(S, C, h, w) of the latents of T frames of (height, width).

        Raises:
            UserError: if the codec cannot encode a video of so many frames.
        """
        grid = (size_px[0] // self.patch_px, size_px[1] // self.patch_px)
        return self._num_latents(num_frames), int(self.configs["vae"]["z_dim"]), *grid

    def _num_latents(self, num_frames: int) -> int:
        if self.frames == "pictures":
            return num_frames
        step = self._frames_per_latent
        if num_frames % step != 1 % step:
            lower = num_frames // step * step + 1
            raise UserError(
                f"model.frames=video: sequences of {num_frames} frames; allowed: {lower}, {lower + step} or another "
                f"multiple of {step} plus 1, or model.frames=pictures"
            )
        return 1 + num_frames // step

    def latent_slot(self, frame: int, num_frames: int) -> int:
        """Which latent shows a frame."""
        if self.frames == "pictures":
            return frame
        per_latent = self._frames_per_latent
        if self.order == "reversed":
            return self._num_latents(num_frames) - 1 - -(-(num_frames - 1 - frame) // per_latent)
        return -(-frame // per_latent)

    def encode_sequences(self, frames: Tensor, at_once: int | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log-variance (B, S, C, h, w) of frames (B, T, 3, H, W)."""
        shape = frames.shape[:2]
        if self.frames == "pictures":
            posteriors = [self._encoded(part) for part in self._split(frames.flatten(0, 1)[:, None], at_once)]
            mean, logvar = (torch.cat(tensors) for tensors in zip(*posteriors, strict=True))
            return mean.reshape(*shape, *mean.shape[2:]), logvar.reshape(*shape, *logvar.shape[2:])
        mean, logvar = self._encoded(self._ordered(frames))
        return self._ordered(mean), self._ordered(logvar)

    def _encoded(self, videos: Tensor) -> tuple[Tensor, Tensor]:
        """(N, T, 3, H, W) -> two (N, S, C, h, w)."""
        posterior = self.vae.encode(videos.to(self.vae.dtype).transpose(1, 2)).latent_dist
        return posterior.mean.transpose(1, 2), posterior.logvar.transpose(1, 2)

    def scaled(self, mean: Tensor) -> Tensor:
        """Latents that noise is added to."""
        return (mean - self._per_channel("latents_mean", mean)) / self._per_channel("latents_std", mean)

    def deviation(self, logvar: Tensor) -> Tensor:
        """Standard deviation of scaled latents."""
        return (0.5 * logvar).exp() / self._per_channel("latents_std", logvar)

    @cached_property
    def _constants(self) -> dict[tuple[str, torch.device, torch.dtype], Tensor]:
        """Not a field, because `dataclasses.replace` would hand it to a base of other configs."""
        return {}

    def _per_channel(self, key: str, like: Tensor) -> Tensor:
        """(C, 1, 1) constants of the VAE, copied to each device once."""
        constant = (key, like.device, like.dtype)
        if constant not in self._constants:
            with torch.inference_mode(False):  # training may need them after something was painted
                self._constants[constant] = torch.tensor(self.configs["vae"][key]).to(like)[:, None, None]
        return self._constants[constant]

    def decode_sequences(self, latents: Tensor) -> Tensor:
        """Frames (B, T, 3, H, W) in [0, 1] of scaled latents (B, S, C, h, w).

        Raises:
            UserError: if latents or frames are not finite.
        """
        finite(latents, "what was painted, as latents")
        codes = latents * self._per_channel("latents_std", latents) + self._per_channel("latents_mean", latents)
        if self.frames == "pictures":
            pictures = torch.cat([self._decoded(part) for part in self._split(codes.flatten(0, 1)[:, None], None)])
            frames = pictures.reshape(*latents.shape[:2], *pictures.shape[2:])
        else:
            frames = self._ordered(self._decoded(self._ordered(codes)))
        return (finite(frames, "pictures that the VAE makes of latents") / 2 + 0.5).clamp(0, 1)

    def _decoded(self, codes: Tensor) -> Tensor:
        """(N, S, C, h, w) -> (N, T, 3, H, W)."""
        frames: Tensor = self.vae.decode(codes.to(self.vae.dtype).transpose(1, 2)).sample.transpose(1, 2)
        return frames

    def _ordered(self, sequences: Tensor) -> Tensor:
        return sequences.flip(1) if self.order == "reversed" else sequences

    def _split(self, pictures: Tensor, at_once: int | None) -> tuple[Tensor, ...]:
        """Split pictures, or latents of pictures, into parts that the VAE can take together."""
        side = 1 if pictures.shape[2] == 3 else self.patch_px
        most = max(1, _PIXELS_AT_ONCE // (pictures.shape[-1] * pictures.shape[-2] * side**2))
        return torch.split(pictures, min(at_once or most, most))

    @cached_property
    def tokens(self) -> Tokens:
        """The function that turns captions into what the text encoder reads."""
        return Tokens(self.tokenizer)

    def embed(self, captions: Sequence[str], device: torch.device | None = None) -> Text:
        """`text` (B, L, D), embeddings of captions, zeros where a caption has ended."""
        return self.embed_tokens(self.tokens(captions).to(self.device if device is None else device))

    def embed_tokens(self, token_ids: Tensor) -> Text:
        """`text` (B, L, D), embeddings of captions given as (B, L) token ids.

        With cached embeddings, training embeds only the empty caption, at every step. So the result for a single
        caption is cached if the text encoder stays on the CPU.
        """
        if self.text_encoder_place == "network":
            return Text({"text": self._computed_embeddings(token_ids)})
        key = token_ids.cpu().numpy().tobytes()
        if len(token_ids) > 1:
            return Text({"text": self._computed_embeddings(token_ids.cpu()).to(token_ids.device)})
        if key not in self._embedded:
            self._embedded.clear()
            self._embedded[key] = self._computed_embeddings(token_ids.cpu()).to(token_ids.device)
        return Text({"text": self._embedded[key]})

    def _computed_embeddings(self, token_ids: Tensor) -> Tensor:
        mask: Tensor = token_ids != self.tokenizer.pad_token_id
        embedded: Tensor = self.text_encoder(token_ids, mask.long()).last_hidden_state
        return embedded * mask[..., None].to(embedded)

    def unknown_words(self, prompt: str) -> list[str]:
        """Words of a prompt that a small base was not trained on."""
        return unknown_words(self.tokenizer, prompt)

    def fingerprint(self) -> str:
        """Hash of all that cached latents and embeddings depend on: the VAE, the text encoder, how time is encoded."""
        digest = hashlib.sha256(json.dumps(self.tokenizer.get_vocab(), sort_keys=True).encode())
        time = "" if self.frames == "pictures" else f"{self.frames} {self.order}"
        digest.update(f"{module_hash(self.vae)} {module_hash(self.text_encoder)} {time}".encode())
        return digest.hexdigest()

    def save(self, folder: Path) -> None:
        """Write it as a folder of diffusers' `WanPipeline`, safetensors only."""
        for part in NETWORKS:
            cast(Any, getattr(self, part)).save_pretrained(folder / part, safe_serialization=True)
        self.tokenizer.save_pretrained(folder / "tokenizer")
        scheduler = scheduler_of(self.objective)
        scheduler.save_pretrained(folder / "scheduler")
        index = {
            "_class_name": "WanPipeline",
            "_diffusers_version": diffusers_version,
            "boundary_ratio": None,
            "expand_timesteps": True,
            "scheduler": ["diffusers", type(scheduler).__name__],
            "text_encoder": ["transformers", "UMT5EncoderModel"],
            "tokenizer": ["transformers", type(self.tokenizer).__name__],
            "transformer": ["diffusers", "WanTransformer3DModel"],
            "transformer_2": [None, None],
            "vae": ["diffusers", "AutoencoderKLWan"],
        }
        (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
