"""The painter as a diffusers pipeline: what stock diffusers loads from a painter's folder (architectures like SD 1.5).

    DiffusionPipeline.from_pretrained(PAINTER, custom_pipeline="pipelines/painter.py", trust_remote_code=True)

Painting itself is the same for all architectures, and is in `pipelines.inference.pipeline`.
"""

from dataclasses import replace
from typing import Any, ClassVar

from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DiffusionPipeline,
    MotionAdapter,
    SparseControlNetModel,
    UNet2DConditionModel,
    UNetMotionModel,
)
from transformers import CLIPTextModel, CLIPTokenizer

from pipelines.inference.pipeline import PaintingPipeline
from training.models.codec import PatchCodec
from training.models.sd15.base import BaseModel
from training.models.sd15.networks import StableDiffusionNetworks
from training.noise_schedule import schedule_of


class ProcessPainterPipeline(PaintingPipeline, DiffusionPipeline):  # type: ignore[misc]
    """Text, pictures at any frames, or both -> processes.

    Args:
        vae, text_encoder, tokenizer, unet: parts of the base. The 2D UNet gets its temporal modules here.
        motion_adapter: the temporal modules.
        scheduler: a scheduler whose noise schedule is used.
        replication: the replication network; without it, pictures act through inversion alone.
        shared_noise: how much noise frames have in common, as in the training of the temporal modules.
        num_frames: how many frames the painter was trained for, for the pipeline that needs nothing else of this.
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
        num_frames: int | None = None,
    ) -> None:
        DiffusionPipeline.__init__(self)
        self.register_to_config(shared_noise=shared_noise, num_frames=num_frames)
        self.register_modules(
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            unet=unet,
            motion_adapter=motion_adapter,
            scheduler=scheduler,
            replication=replication,
        )
        networks = StableDiffusionNetworks.of(self.base, motion_adapter, replication)
        self.motion: UNetMotionModel = networks.motion

    @property
    def base(self) -> BaseModel:
        """The base: it turns captions and pictures into numbers and back."""
        return BaseModel(
            vae=self.vae,
            tokenizer=self.tokenizer,
            text_encoder=self.text_encoder,
            unet=self.unet,
            schedule=replace(schedule_of(self.scheduler.config), shared=self.config.shared_noise),
        )

    @property
    def networks(self) -> StableDiffusionNetworks:
        """The parts as they are registered now."""
        return StableDiffusionNetworks(
            base=self.base, motion_adapter=self.motion_adapter, motion=self.motion, replication=self.replication
        )

    def _move(self, *args: Any, **kwargs: Any) -> None:
        DiffusionPipeline.to(self, *args, **{"silence_dtype_warnings": True, **kwargs})
