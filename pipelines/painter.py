"""The painter: a diffusers pipeline from words, pictures or both to the process of painting.

Pictures pinned to frames act in three ways. The replication network sees them at every step; each is inverted (DDIM
undone by the base itself, on the schedule that sampling uses) to the noise it would come from, which replaces the
initial noise of its frame (Song et al. 2024); and their paint stays where nothing else is painted
(`pipelines.painting.keeping`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
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
from pipelines.painting import (
    offloading,  # the module: diffusers wants one pipeline's class among the names of this one
)
from pipelines.painting.initial_noise import initial_noise
from pipelines.painting.keeping import keep_paint
from pipelines.painting.pinned import PinnedPicture, acting, interpolated, pinned_conditions, shared_noise
from training.diffusion import Denoiser, begin_between, invert, sample, schedule_of
from training.models.codec import PatchCodec
from training.models.finite import finite
from training.models.painter_folder import Painter, load_painter
from training.models.regions import compile_regions
from training.models.sd15.base import BaseModel
from training.models.sd15.lora import apply_lora
from training.models.sd15.motion import add_motion, predict, share_weights
from training.models.sd15.replication import Conditions, predict_conditioned

Offload = Literal["none", "model", "sequential"]
VaeMemory = Literal["whole", "sliced", "tiled"]

_SHARED = (0.98, 0.98)  # of one noise, and of what pinned pictures invert to
_SHARED_UNTRAINED = (0.0, 0.6)  # the same, by painters whose frames were trained to share none
_INVERTED_AT_ONCE = 32  # pictures: fewer than a batch of processes has frames


@dataclass
class PaintedProcesses(BaseOutput):  # type: ignore[misc]
    """What the pipeline returns.

    Attributes:
        frames: (N, T, 3, H, W) float32 in [0, 1], on the CPU.
        noise: (N, T, C, h, w) what it began with, after inversion.
    """

    frames: Tensor
    noise: Tensor


class ProcessPainterPipeline(offloading.OffloadingPipeline):
    """Text, pictures at any frames, or both -> processes.

    Args:
        vae, text_encoder, tokenizer, unet: of the base. A 2D UNet is given its temporal modules here.
        motion_adapter: the temporal modules.
        scheduler: whose noise schedule counts.
        replication: the replication network; without it pictures act through inversion alone.
        shared_noise: how much of their noise frames have in common, as the temporal modules were trained.
    """

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
        shared_noise: float = 0.0,
    ) -> None:
        super().__init__()
        self.register_to_config(shared_noise=shared_noise)
        self.register_modules(
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            unet=unet,
            motion_adapter=motion_adapter,
            scheduler=scheduler,
            replication=replication,
        )
        motion_adapter.to(unet.dtype)
        self.motion: UNetMotionModel = add_motion(unet, motion_adapter).eval()
        share_weights(self.motion, unet, motion_adapter)
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
            schedule=replace(schedule_of(self.scheduler.config), shared=self.config.shared_noise),
        )

    @torch.no_grad()
    def __call__(
        self,
        prompts: str | Sequence[str],
        conditions: Sequence[Sequence[PinnedPicture]] | None = None,
        *,
        negative_prompt: str = "",
        num_frames: int = 8,
        size_px: tuple[int, int] = (512, 512),
        steps: int = 50,
        guidance: float = 5.0,
        network: bool = True,
        inversion: bool = True,
        keep: bool = True,
        shared: float | None = None,
        seed: int = 0,
        positions: Sequence[int] | None = None,
        share: float = 1.0,
        on_step: Callable[[], None] | None = None,
    ) -> PaintedProcesses:
        """Paint.

        Args:
            prompts: (N,) captions, method phrase included, or one for one process; empty ones are allowed.
            conditions: (N,) lists of pictures at frames, in any order.
            negative_prompt: what guidance leads away from.
            num_frames: T.
            size_px: (height, width), multiples of the base's cell.
            steps: of DDIM (eta 0), for sampling and for inversion.
            guidance: 1 for none.
            network: whether the replication network sees the conditions.
            inversion: whether the noise that they invert to replaces the initial noise of their frames.
            keep: whether paint that they show stays as it is there, where nothing else is painted.
            shared: how much of the noise that they invert to the other frames take over, 0 (as published) to 1; when
                not said, as `shares_of_noise` says.
            seed: of the noise; that of each process depends on (seed, its position).
            positions: (N,) of the processes; 0, 1, ... when not said.
            share: of the steps, counted from the last, that are done. Below 1 a process begins from its conditions,
                interpolated over its frames, instead of from noise alone.
            on_step: called after each step of DDIM.

        Raises:
            ValueError: if a frame is out of range or named twice, counts differ, or a process with a share of the steps
                has no conditions to begin from.
            UserError: if what networks compute is not finite.
        """
        prompts = [prompts] if isinstance(prompts, str) else prompts
        base, conditions = self.base, conditions or [()] * len(prompts)
        places = range(len(prompts)) if positions is None else positions
        if not len(prompts) == len(conditions) == len(places):
            raise ValueError(f"{len(prompts)} prompts, {len(conditions)} lists of conditions, {len(places)} positions")
        device = self._execution_device
        shape = (num_frames, base.latent_channels, size_px[0] // base.patch_px, size_px[1] // base.patch_px)
        common, of_pinned = shares_of_noise(base.schedule.shared)
        noise = initial_noise(seed, places, shape, common).to(device)
        with self._computing(self.text_encoder):
            text = base.embed(prompts, device).float()
            no_text, nothing = base.embed([negative_prompt, ""], device).float().chunk(2)
        with self._computing(self.vae):
            latents = [self._encoded(base, pinned) for pinned in conditions]
        all_pinned = list(zip(conditions, latents, strict=True))
        conditions, latents = acting(conditions, latents)
        pinned_to = pinned_conditions(conditions, latents, num_frames) if any(conditions) else None
        if inversion and pinned_to is not None:
            with self._computing(self.unet):
                shared = of_pinned if shared is None else shared
                self._replace_noise(base, noise, conditions, latents, nothing, steps, shared)
        skipped = steps - num_steps_of(share, steps)
        if skipped:
            begun = torch.stack([interpolated(*pair, num_frames) for pair in all_pinned])
            noise = begin_between(base.schedule, begun, noise, num_steps=steps, skipped=skipped)
        if all(prompt == negative_prompt for prompt in prompts):
            guidance = 1.0  # guidance from a prediction to the same one is that one, for half the work
        pinned_to = pinned_to if network and self.replication is not None else None
        keeping = partial(keep_paint, conditions=conditions, latents=latents) if keep and any(conditions) else None
        with self._computing(self.motion, None if pinned_to is None else self.replication):
            painted = sample(
                self._denoiser(conditions, pinned_to),
                base.schedule, noise, text, no_text.expand_as(text),
                num_steps=steps, skipped=skipped, guidance=guidance, correct=keeping, on_step=on_step,
            )  # fmt: skip
        with self._computing(self.vae):
            pictures = base.decode(painted.flatten(0, 1).to(self.vae.dtype)).float().cpu()
        return PaintedProcesses(frames=pictures.reshape(len(prompts), num_frames, 3, *size_px), noise=noise.cpu())

    def _encoded(self, base: BaseModel, pinned: Sequence[PinnedPicture]) -> Tensor:
        """(K, C, h, w) scaled mean latents."""
        if not pinned:
            return torch.zeros(0)
        pictures = torch.stack([one.picture for one in pinned]) * 2 - 1
        mean, _ = base.encode_frames(pictures.to(self._execution_device, self.vae.dtype))
        return finite(mean, "latents that the VAE makes of the given pictures").float() * base.scaling

    def _denoiser(self, conditions: Sequence[Sequence[PinnedPicture]], pinned: Conditions | None) -> Denoiser:
        """The motion UNet; with the replication network for the processes that have conditions, if these are given.

        Those without are predicted as if they were painted alone.

        Of what that network computes, only the embedding of its input is the same at every step, and that is next to
        none of its work: timestep and words go into all the rest. So nothing of it is kept (docs/decisions/014).
        """
        dtype, num_processes = self.unet.dtype, len(conditions)
        shown = [row for row, some in enumerate(conditions) if some]
        others = [row for row, some in enumerate(conditions) if not some]

        def denoise(latents: Tensor, timesteps: Tensor, text: Tensor) -> Tensor:
            latents, text = latents.to(dtype), text.to(dtype)
            if pinned is None or self.replication is None:
                return predict(self.motion, latents, timesteps, text).float()
            if not others:
                return predict_conditioned(self.motion, self.replication, latents, timesteps, text, pinned).float()
            halves = range(0, len(latents), num_processes)  # of guidance
            ours, theirs = ([row + half for half in halves for row in rows] for rows in (shown, others))
            predicted = torch.empty_like(latents)
            predicted[ours] = predict_conditioned(
                self.motion, self.replication, latents[ours], timesteps[ours], text[ours], pinned
            )
            predicted[theirs] = predict(self.motion, latents[theirs], timesteps[theirs], text[theirs])
            return predicted.float()

        return denoise

    def _replace_noise(
        self,
        base: BaseModel,
        noise: Tensor,
        conditions: Sequence[Sequence[PinnedPicture]],
        latents: Sequence[Tensor],
        nothing: Tensor,
        steps: int,
        shared: float,
    ) -> None:
        """Write what conditions invert to, mixed with frames' own noise, into the noise, in place.

        `_INVERTED_AT_ONCE` pictures are inverted together.
        """

        def denoise(latents: Tensor, timesteps: Tensor, text: Tensor) -> Tensor:
            predicted: Tensor = self.unet(latents.to(self.unet.dtype), timesteps, text.to(self.unet.dtype)).sample
            return predicted.float()

        pictures = torch.cat([some for some in latents if len(some)])
        inverted = torch.cat([
            invert(denoise, base.schedule, some, nothing.expand(len(some), -1, -1), num_steps=steps)
            for some in torch.split(pictures, _INVERTED_AT_ONCE)
        ])  # fmt: skip
        found = iter(torch.split(inverted, [len(pinned) for pinned in conditions if pinned]))
        for row, pinned in enumerate(conditions):
            if pinned:
                noise[row] = shared_noise(pinned, next(found), noise[row], shared)


def shares_of_noise(trained: float) -> tuple[float, float]:
    """How much of their noise the frames of a process have in common, and how much of what pinned pictures invert to.

    More in common than they were trained with: then they hardly flicker (docs/decisions/015).
    """
    common, of_pinned = _SHARED if trained else _SHARED_UNTRAINED
    return max(common, trained), of_pinned


def num_steps_of(share: float, steps: int) -> int:
    """Steps that a share of them is, at least one."""
    return max(1, round(share * steps))


def load_painter_pipeline(
    folder: Path,
    dtype: torch.dtype,
    device: torch.device,
    loras: Mapping[str, float],
    offload: Offload = "none",
    vae: VaeMemory = "whole",
    *,
    compiled: bool = False,
) -> tuple[ProcessPainterPipeline, Mapping[str, Any]]:
    """A painter's pipeline, and what its card says.

    Args:
        folder: that `training.assemble` made, or the name of a shipped painter.
        dtype: of the networks.
        device: where they compute.
        loras: name -> scale, of those in the painter.
        offload, vae, compiled: as of `pipeline_of`.

    Raises:
        UserError: if the folder is no painter or not whole, or has no such LoRA.
    """
    painter = load_painter(painter_folder(folder), dtype)
    return pipeline_of(painter, device, loras, offload, vae, compiled=compiled), painter.facts


def pipeline_of(
    painter: Painter,
    device: torch.device,
    loras: Mapping[str, float],
    offload: Offload = "none",
    vae: VaeMemory = "whole",
    *,
    compiled: bool = False,
) -> ProcessPainterPipeline:
    """The pipeline of a painter, ready to paint.

    Args:
        painter: its parts, of one precision.
        device: where they compute.
        loras: name -> scale, of those in the painter.
        offload: what waits in the CPU's memory: nothing, networks that another stage of a painting needs, or every
            layer but the one that computes.
        vae: `sliced` takes pictures one by one, `tiled` also those beyond the size it was trained at in pieces. The
            tiny model's codec needs next to nothing and takes them all at once.
        compiled: compile the blocks of the networks that are asked at every step; not with `offload="sequential"`.

    Raises:
        UserError: if the painter has no such LoRA.
    """
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
        shared_noise=painter.base.schedule.shared,
    )
    for name in loras:
        apply_lora(pipeline.motion, name, painter.loras[name])
    if loras:
        pipeline.motion.set_adapters(list(loras), list(loras.values()))
    if isinstance(pipeline.vae, AutoencoderKL) and vae != "whole":
        pipeline.vae.enable_slicing()
        if vae == "tiled":
            pipeline.vae.enable_tiling()
    pipeline.to(pipeline.unet.dtype)  # the LoRAs
    if compiled:
        compile_regions(pipeline.motion)
        if pipeline.replication is not None:
            compile_regions(pipeline.replication)
    if offload == "model":
        pipeline.enable_model_cpu_offload(device=device)
    elif offload == "sequential":
        pipeline.enable_sequential_cpu_offload(device=device)
    else:
        pipeline.to(device)
    return pipeline
