"""Stages of Stable Diffusion's architecture, made without a configuration from a base in memory."""

from collections.abc import Mapping
from typing import Any, cast

from diffusers import MotionAdapter
from torch import Tensor

from training.data.batch import SequenceBatch
from training.models.sd15.base import BaseModel
from training.models.sd15.stages import lora_trainable, motion_trainable, replication_trainable, unet_trainable
from training.models.shape import LoraShape
from training.stages import Stage
from training.stages.condition_draw import ConditionDraw
from training.stages.denoising import DenoisingConfig, DenoisingStage
from training.stages.replication import ReplicationStage

Size = tuple[int, int]


def base_stage(
    model: BaseModel, config: DenoisingConfig, size_px: Size, *, trains_text: bool, checkpointing: bool = False
) -> DenoisingStage:
    trainable = unet_trainable(model, trains_text=trains_text, checkpointing=checkpointing)
    return DenoisingStage("base", "last", model, trainable, config, model.latent_shape(1, size_px))


def motion_stage(
    model: BaseModel, config: DenoisingConfig, num_frames: int, size_px: Size, *, checkpointing: bool = False
) -> DenoisingStage:
    trainable = motion_trainable(model, None, num_frames, checkpointing=checkpointing)
    return DenoisingStage("motion", "all", model, trainable, config, model.latent_shape(num_frames, size_px))


def spatial_lora_stage(
    model: BaseModel, config: DenoisingConfig, size_px: Size, *, checkpointing: bool = False
) -> DenoisingStage:
    none: Mapping[str, Tensor] | None = None
    trainable = lora_trainable(model, None, none, LoraShape(), {}, checkpointing=checkpointing)
    return DenoisingStage("spatial_lora", "last", model, trainable, config, model.latent_shape(1, size_px))


def replication_stage(
    model: BaseModel,
    adapter: MotionAdapter,
    config: DenoisingConfig,
    draw: ConditionDraw,
    num_frames: int,
    size_px: Size,
    shown: SequenceBatch | None = None,
    *,
    checkpointing: bool = False,
) -> ReplicationStage:
    trainable = replication_trainable(
        model, adapter, None, num_frames, carried=draw.carried, checkpointing=checkpointing
    )
    return ReplicationStage(
        "replication", model, trainable, config, draw, model.latent_shape(num_frames, size_px), shown
    )


def unet_of(stage: Stage) -> Any:
    """The UNet that a stage trains, or to which its trained network belongs."""
    return stage.network.get_submodule("denoiser.unet")


def model_of(stage: DenoisingStage) -> BaseModel:
    return cast(BaseModel, stage.base)
