"""An untrained painter, small enough to be made anew wherever it is needed."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from diffusers import DDIMScheduler

from pipelines.inference.pinned import PinnedPicture
from pipelines.painter import ProcessPainterPipeline
from tests.training.models.small_base import pictures, small_base
from training.models.codec import PatchCodec
from training.models.sd15.motion import adapter_of, add_motion, is_temporal
from training.models.sd15.painter import Painter
from training.models.sd15.replication import add_replication
from training.models.tiny.shape import TinyShape

PROMPT = "a red house by a lake"
SIZE = (16, 24)


def untrained_pipeline() -> ProcessPainterPipeline:
    """Untrained networks, none of which gives only zeros."""
    base = small_base(shape=TinyShape(channels=(16, 32), plain_levels=0, patch_px=8, text_width=16, latent_channels=8))
    torch.manual_seed(0)
    unet = add_motion(base.unet, None)
    replication = add_replication(base.unet)
    with torch.no_grad():
        for name, parameter in [*unet.named_parameters(), *replication.named_parameters()]:
            if is_temporal(name) or "controlnet" in name:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return ProcessPainterPipeline(
        vae=base.vae,
        text_encoder=base.text_encoder,
        tokenizer=base.tokenizer,
        unet=base.unet,
        motion_adapter=adapter_of(unet),
        scheduler=DDIMScheduler(**base.schedule.scheduler_config()),
        replication=replication,
    )


def paint(painter: ProcessPainterPipeline, *pinned: PinnedPicture, **keys: object) -> torch.Tensor:
    options: dict[str, object] = {"num_frames": 4, "size_px": SIZE, "steps": 3, "guidance": 2.0, **keys}
    return painter([PROMPT], [pinned], **options).frames  # type: ignore[arg-type]


def at(frame: int, number: int = 0, strength: float = 1.0) -> PinnedPicture:
    picture = pictures(3, 32)[number, :, : SIZE[0], : SIZE[1]] / 2 + 0.5
    return PinnedPicture(frame=frame, picture=picture, strength=strength)


def save_untrained_painter(
    folder: Path, codec: PatchCodec | None = None, phrases: Mapping[str, str] | None = None
) -> Path:
    """Save an untrained painter of 64 px; returns its folder.

    Args:
        folder: a new folder.
        codec: its codec; None for the linear one.
        phrases: method phrases of the data on which it would have been trained.
    """
    folder.mkdir()
    base = small_base(shape=TinyShape(channels=(16, 32), plain_levels=0, patch_px=8, text_width=16, latent_channels=8))
    base = base if codec is None else replace(base, vae=codec)
    facts = {"num_frames": 3, "size_px": [64, 64], "phrases": dict(phrases or {}), "parts": {}}
    motion = adapter_of(add_motion(base.unet, None))
    Painter(base=base, motion=motion, replication=add_replication(base.unet), facts=facts).save(folder, {})
    return folder
