"""The painter: a diffusers pipeline from words, pictures or both to the process of painting.

Pictures pinned to frames act twice. The replication network sees them at every step; and each is inverted (DDIM run
backwards by the base itself, on the schedule that sampling uses) to the noise it would come from, which replaces the
initial noise of its frame (Song et al. 2024).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DiffusionPipeline,
    MotionAdapter,
    SparseControlNetModel,
    UNet2DConditionModel,
    UNetMotionModel,
)
from diffusers.utils import BaseOutput
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from conf.errors import ConfigError
from pipelines.painters import painter_folder
from training.diffusion import Denoiser, begin_between, draw, invert, sample, schedule_of
from training.models.base import BaseModel
from training.models.codec import PatchCodec
from training.models.lora import apply_lora
from training.models.motion import add_motion, predict
from training.models.painter_folder import load_painter
from training.models.replication import Conditions, predict_conditioned


@dataclass(frozen=True, kw_only=True)
class PinnedPicture:
    """A picture that a frame of a process should be.

    Attributes:
        frame: its index; negative ones count from the end.
        picture: (3, H, W) in [0, 1], of the size of the frames.
        strength: 0 to 1, of the replication network's hold on it.
    """

    frame: int
    picture: Tensor
    strength: float = 1.0


@dataclass
class PaintedProcesses(BaseOutput):  # type: ignore[misc]
    """What the pipeline returns.

    Attributes:
        frames: (N, T, 3, H, W) float32 in [0, 1], on the CPU.
        noise: (N, T, C, h, w) what it began with, after inversion.
    """

    frames: Tensor
    noise: Tensor


class ProcessPainterPipeline(DiffusionPipeline):  # type: ignore[misc]
    """Text, pictures at any frames, or both -> processes.

    Args:
        vae, text_encoder, tokenizer, unet: of the base. A 2D UNet is given its temporal modules here.
        motion_adapter: the temporal modules.
        scheduler: whose noise schedule counts.
        replication: the replication network; without it pictures act through inversion alone.
    """

    model_cpu_offload_seq = "text_encoder->vae->replication->unet->vae"
    _optional_components: ClassVar[list[str]] = ["replication"]

    def __init__(
        self,
        vae: AutoencoderKL | PatchCodec,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        unet: UNet2DConditionModel,
        motion_adapter: MotionAdapter,
        scheduler: DDIMScheduler,
        replication: SparseControlNetModel | None = None,
    ) -> None:
        super().__init__()
        self.register_modules(
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            unet=unet,
            motion_adapter=motion_adapter,
            scheduler=scheduler,
            replication=replication,
        )
        self.motion: UNetMotionModel = add_motion(unet, motion_adapter).eval()
        self.motion.requires_grad_(False)

    @property
    def cell_px(self) -> int:
        """Pixels that the sides of a picture must be multiples of."""
        return int(self.base.patch_px * 2 ** (len(self.unet.config.block_out_channels) - 1))

    @property
    def base(self) -> BaseModel:
        """The parts that turn captions and pictures into numbers and back."""
        return BaseModel(
            vae=self.vae,
            tokenizer=self.tokenizer,
            text_encoder=self.text_encoder,
            unet=self.unet,
            schedule=schedule_of(self.scheduler.config),
        )

    @torch.no_grad()
    def __call__(
        self,
        prompts: Sequence[str],
        conditions: Sequence[Sequence[PinnedPicture]] | None = None,
        *,
        negative_prompt: str = "",
        num_frames: int = 8,
        size_px: tuple[int, int] = (512, 512),
        steps: int = 50,
        guidance: float = 5.0,
        network: bool = True,
        inversion: bool = True,
        seed: int = 0,
        positions: Sequence[int] | None = None,
        share: float = 1.0,
        on_step: Callable[[], None] | None = None,
    ) -> PaintedProcesses:
        """Paint.

        Args:
            prompts: (N,) captions, method phrase included; empty ones are allowed.
            conditions: (N,) lists of pictures at frames, in any order.
            negative_prompt: what guidance leads away from.
            num_frames: T.
            size_px: (height, width), multiples of the base's cell.
            steps: of DDIM (eta 0), for sampling and for inversion.
            guidance: 1 for none.
            network: whether the replication network sees the conditions.
            inversion: whether their noise replaces the initial noise of their frames.
            seed: of the noise; that of each process depends on (seed, its position).
            positions: (N,) of the processes; 0, 1, ... when not said.
            share: of the steps, counted from the last, that are done. Below 1 a process begins from its conditions,
                interpolated over its frames, instead of from noise alone.
            on_step: called after each step of DDIM.

        Raises:
            ValueError: if a frame is out of range or named twice, counts differ, or a process with a share of the steps
                has no conditions to begin from.
        """
        base, conditions = self.base, conditions or [()] * len(prompts)
        if len(conditions) != len(prompts):
            raise ValueError(f"{len(prompts)} prompts, {len(conditions)} lists of conditions")
        device = self._execution_device
        shape = (num_frames, base.latent_channels, size_px[0] // base.patch_px, size_px[1] // base.patch_px)
        places = range(len(prompts)) if positions is None else positions
        noise = draw(seed, places, shape, base.schedule.num_steps, 0.0).noise.to(device)
        text = base.embed(prompts).float()
        no_text = base.embed([negative_prompt]).float().expand_as(text)
        latents = [self._encoded(base, pinned) for pinned in conditions]
        pinned_to = _pinned(conditions, latents, shape) if any(conditions) else None
        if inversion and pinned_to is not None:
            self._replace_noise(base, noise, conditions, latents, steps)
        skipped = steps - num_steps_of(share, steps)
        if skipped:
            begun = torch.stack([_interpolated(*pair, num_frames) for pair in zip(conditions, latents, strict=True)])
            noise = begin_between(base.schedule, begun, noise, num_steps=steps, skipped=skipped)
        denoise = self._denoiser(pinned_to if network and self.replication is not None else None)
        painted = sample(
            denoise, base.schedule, noise, text, no_text, num_steps=steps, skipped=skipped, guidance=guidance,
            on_step=on_step,
        )  # fmt: skip
        pictures = base.decode(painted.flatten(0, 1).to(self.vae.dtype)).float().cpu()
        return PaintedProcesses(frames=pictures.reshape(len(prompts), num_frames, 3, *size_px), noise=noise.cpu())

    def _encoded(self, base: BaseModel, pinned: Sequence[PinnedPicture]) -> Tensor:
        """(K, C, h, w) scaled mean latents."""
        if not pinned:
            return torch.zeros(0)
        pictures = torch.stack([one.picture for one in pinned]) * 2 - 1
        mean, _ = base.encode_frames(pictures.to(self._execution_device, self.vae.dtype))
        return mean.float() * base.scaling

    def _denoiser(self, conditions: Conditions | None) -> Denoiser:
        dtype = self.unet.dtype

        def denoise(latents: Tensor, timesteps: Tensor, text: Tensor) -> Tensor:
            latents, text = latents.to(dtype), text.to(dtype)
            if conditions is None:
                return predict(self.motion, latents, timesteps, text).float()
            assert self.replication is not None
            return predict_conditioned(self.motion, self.replication, latents, timesteps, text, conditions).float()

        return denoise

    def _replace_noise(
        self,
        base: BaseModel,
        noise: Tensor,
        conditions: Sequence[Sequence[PinnedPicture]],
        latents: Sequence[Tensor],
        steps: int,
    ) -> None:
        """Write what each condition inverts to into its frame's noise, in place; all are inverted together."""

        def denoise(latents: Tensor, timesteps: Tensor, text: Tensor) -> Tensor:
            predicted: Tensor = self.unet(latents.to(self.unet.dtype), timesteps, text.to(self.unet.dtype)).sample
            return predicted.float()

        pictures = torch.cat([some for some in latents if len(some)])
        nothing = base.embed([""]).float().expand(len(pictures), -1, -1)
        found = iter(invert(denoise, base.schedule, pictures, nothing, num_steps=steps))
        for row, pinned in enumerate(conditions):
            for one in pinned:
                noise[row, one.frame] = next(found)


def _pinned(
    conditions: Sequence[Sequence[PinnedPicture]], latents: Sequence[Tensor], shape: tuple[int, ...]
) -> Conditions:
    """The conditions of all processes; those without have masks of zeros."""
    parts = []
    for pinned, encoded in zip(conditions, latents, strict=True):
        pictures = encoded if pinned else next(some for some in latents if len(some)).new_zeros(0, *shape[1:])
        parts.append(
            Conditions.pinned(pictures, [one.frame for one in pinned], shape[0], [one.strength for one in pinned])
        )
    return Conditions(
        latents=torch.cat([part.latents for part in parts]), mask=torch.cat([part.mask for part in parts])
    )


def num_steps_of(share: float, steps: int) -> int:
    """Steps that a share of them is, at least one."""
    return max(1, round(share * steps))


def _interpolated(pinned: Sequence[PinnedPicture], latents: Tensor, num_frames: int) -> Tensor:
    """(T, C, h, w) from (K, C, h, w) latents at some frames: linear in between, constant beyond.

    Raises:
        ValueError: if there are none.
    """
    if not pinned:
        raise ValueError("share below 1: a process without conditions has nothing to begin from")
    slots = [one.frame % num_frames for one in pinned]
    order = np.argsort(slots)
    weights = [np.interp(np.arange(num_frames), np.sort(slots), row[order]) for row in np.eye(len(slots))]
    return torch.einsum("kt,kchw->tchw", torch.tensor(np.array(weights)).to(latents), latents)


def load_painter_pipeline(
    folder: Path, dtype: torch.dtype, device: torch.device, loras: Mapping[str, float]
) -> tuple[ProcessPainterPipeline, Mapping[str, Any]]:
    """A painter's pipeline, and what its card says.

    Args:
        folder: that `training.assemble` made, or the name of a shipped painter.
        dtype: of the networks.
        device: where they compute.
        loras: name -> scale, of those in the painter.

    Raises:
        UserError: if the folder is no painter or not whole, or has no such LoRA.
    """
    painter = load_painter(painter_folder(folder), dtype)
    for name in loras:
        if name not in painter.loras:
            raise ConfigError("loras", name, f"those of the painter: {', '.join(painter.loras) or 'it has none'}")
    pipeline = ProcessPainterPipeline(
        vae=painter.base.vae,
        text_encoder=painter.base.text_encoder,
        tokenizer=painter.base.tokenizer,
        unet=painter.base.unet,
        motion_adapter=painter.motion,
        scheduler=DDIMScheduler(**painter.base.schedule.scheduler_config()),
        replication=painter.replication,
    )
    for name in loras:
        apply_lora(pipeline.motion, name, painter.loras[name])
    if loras:
        pipeline.motion.set_adapters(list(loras), list(loras.values()))
    pipeline.motion.to(device, dtype)
    return pipeline.to(device), painter.facts
