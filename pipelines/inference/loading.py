"""Loads a painter's folder, or its parts, as a pipeline that is ready to paint, for any architecture."""

from collections.abc import Mapping
from typing import Any, Literal

import torch

from conf.errors import ConfigError
from pipelines.inference.pipeline import PaintingPipeline
from pipelines.painters import painter_folder
from training.data.remote import AnyPath
from training.models.painter import Painter
from training.models.painter_folder import load_painter

Offload = Literal["none", "model", "group", "sequential"]
VaeMemory = Literal["whole", "sliced", "tiled"]


def load_painter_pipeline(
    folder: AnyPath,
    dtype: torch.dtype,
    device: torch.device,
    loras: Mapping[str, float],
    offload: Offload = "none",
    vae: VaeMemory = "whole",
    *,
    compiled: bool = False,
) -> tuple[PaintingPipeline, Mapping[str, Any]]:
    """A painter's pipeline, and the contents of its card.

    Args:
        folder: a folder that `training.assemble` made, or the name of a shipped painter.
        dtype: precision of the networks.
        device: where they compute.
        loras: name -> scale of LoRAs of the painter.
        offload, vae, compiled: as for `pipeline_of`.

    Raises:
        UserError: if the folder is not a complete painter, or has no such LoRA.
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
) -> PaintingPipeline:
    """The pipeline of a painter, ready to paint.

    Args:
        painter: parts of the painter, all of one precision.
        device: where they compute.
        loras: name -> scale of LoRAs of the painter.
        offload: what waits in the CPU's memory: nothing (`none`), networks that only other steps of a painting need
            (`model`), every layer but the one that computes and the next (`group`), or every layer but the one that
            computes (`sequential`).
        vae: `sliced` takes pictures one by one; `tiled` also divides pictures that are larger than the size it was
            trained at, where the codec can.
        compiled: compile the blocks of the networks that are called at every step; not with offloading by layers.

    Raises:
        UserError: if the painter has no such LoRA.
    """
    for name in loras:
        if name not in painter.loras:
            raise ConfigError("loras", name, f"those of the painter: {', '.join(painter.loras) or 'it has none'}")
    pipeline = PaintingPipeline(painter.networks(loras))
    if vae != "whole":
        pipeline.networks.spare_memory(vae)
    if compiled:
        pipeline.networks.compile()
    if offload == "model":
        pipeline.enable_model_cpu_offload(device=device)
    elif offload == "group":
        pipeline.enable_group_offload(device)
    elif offload == "sequential":
        pipeline.enable_sequential_cpu_offload(device=device)
    else:
        pipeline.to(device)
    return pipeline
