"""Text to painting processes, with diffusers and nothing else. Every painter carries this file as `pipeline.py`.

    from diffusers import DiffusionPipeline

    painter = DiffusionPipeline.from_pretrained(PAINTER, custom_pipeline="pipeline", trust_remote_code=True)
    frames = painter("a red house by a lake, painted in oil").frames[0]

A prompt and a seed give the frames that process-painter's own `paint` gives. That also paints processes of given
pictures, and longer ones than the painter was trained on.
"""

import math
from collections.abc import Callable, Sequence
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
from diffusers.pipelines.animatediff import AnimateDiffPipelineOutput
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg
from diffusers.video_processor import VideoProcessor
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

_SHARED = 0.98  # of its noise is common to all frames, where they were trained to share some: then they hardly flicker
_GUIDANCE_RESCALE = 0.7  # as Lin et al. 2023 recommend beside zero terminal SNR
_FRAMES_AT_ONCE = 16  # that the VAE decodes


class ProcessPainterPipeline(DiffusionPipeline):  # type: ignore[misc]  # diffusers is not typed
    """Text to painting processes.

    Args:
        vae, text_encoder, tokenizer, unet: of the base.
        motion_adapter: the temporal modules.
        scheduler: whose noise schedule counts.
        replication: what shows the painter given pictures; not used here, and kept for who saves the painter again.
        shared_noise: how much of their noise frames had in common in training.
    """

    model_cpu_offload_seq = "text_encoder->unet->vae"
    _optional_components: ClassVar[list[str]] = ["motion_adapter", "replication"]
    _callback_tensor_inputs: ClassVar[list[str]] = ["latents"]

    def __init__(
        self,
        vae: AutoencoderKL,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        unet: UNet2DConditionModel | UNetMotionModel,
        scheduler: DDIMScheduler,
        motion_adapter: MotionAdapter | None = None,
        replication: SparseControlNetModel | None = None,
        shared_noise: float = 0.0,
    ) -> None:
        super().__init__()
        self.register_to_config(shared_noise=shared_noise)
        if isinstance(unet, UNet2DConditionModel):
            unet = UNetMotionModel.from_unet2d(unet, motion_adapter)
        self.register_modules(
            vae=vae,
            text_encoder=text_encoder.to(unet.dtype),  # transformers loads it in the type of its file
            tokenizer=tokenizer,
            unet=unet,
            scheduler=scheduler,
            motion_adapter=motion_adapter,
            replication=replication,
        )
        config = vae.config
        self.patch_px = int(config.get("patch_px") or 2 ** (len(config.block_out_channels) - 1))
        self.video_processor = VideoProcessor(do_resize=False, vae_scale_factor=self.patch_px)

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | Sequence[str],
        num_frames: int = 8,
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int = 50,
        guidance_scale: float = 5.0,
        guidance_rescale: float | None = None,
        negative_prompt: str = "",
        generator: torch.Generator | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
        callback_on_step_end: Callable[[Any, int, int, dict[str, Any]], dict[str, Any]] | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
    ) -> AnimateDiffPipelineOutput | tuple[Any]:
        """Paint.

        Args:
            prompt: subject and medium, "a red house by a lake, painted in oil"; a list gives a process each.
            num_frames: of a process.
            height, width: of the frames, in pixels; the size of the base where not given.
            num_inference_steps: of denoising (DDIM).
            guidance_scale: how closely the prompt is followed (classifier-free guidance); 1 switches it off.
            guidance_rescale: how much of the contrast that guidance adds is taken back, 0 to 1; where not given, 0.7
                if the painter's noise ends as pure noise (`rescale_betas_zero_snr`), else 0.
            negative_prompt: what should not appear.
            generator: of the noise. One that is fresh from `manual_seed(7)` paints as `paint seed=7` does.
            output_type: `pil`, `np` (N, T, H, W, 3), `pt` (N, T, 3, H, W), all in [0, 1], or `latent`.
            return_dict: whether to return an object whose `frames` these are; else a tuple of them alone.
            callback_on_step_end: called with the pipeline, the step, its timestep and the tensors that are asked for;
                what it returns of these takes their place.
            callback_on_step_end_tensor_inputs: `latents`, or nothing.

        Raises:
            ValueError: if a size or a name is not possible.
        """
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        size = self._size(height, width)
        unknown = set(callback_on_step_end_tensor_inputs) - set(self._callback_tensor_inputs)
        if unknown:
            raise ValueError(f"callback_on_step_end_tensor_inputs: {min(unknown)} is not one of latents")
        device, dtype = self._execution_device, self.unet.dtype
        text = self._embedded(prompts, device)
        without_text = self._embedded([negative_prompt, ""], device)[:1].expand_as(text)
        if all(each == negative_prompt for each in prompts):
            guidance_scale = 1.0  # from a prediction to the same one
        if guidance_rescale is None:
            guidance_rescale = _GUIDANCE_RESCALE if self.scheduler.config.rescale_betas_zero_snr else 0.0

        latents = self._noise(generator, len(prompts), num_frames, size).to(device)
        self.scheduler.set_timesteps(num_inference_steps)
        with self.progress_bar(total=num_inference_steps) as progress:
            # For some numbers (61) trailing spacing has one timestep more, -1: the rounding of its range.
            for step, timestep in enumerate(self.scheduler.timesteps[:num_inference_steps]):
                if guidance_scale == 1.0:
                    prediction = self._predicted(latents.to(dtype), timestep, text)
                else:
                    both = torch.cat([latents, latents]).to(dtype)
                    without, with_text = self._predicted(both, timestep, torch.cat([without_text, text])).chunk(2)
                    prediction = without + guidance_scale * (with_text - without)
                    if guidance_rescale:
                        prediction = rescale_noise_cfg(prediction, with_text, guidance_rescale)
                latents = self.scheduler.step(prediction, timestep, latents).prev_sample
                if callback_on_step_end is not None:
                    tensors = {"latents": latents} if callback_on_step_end_tensor_inputs else {}
                    latents = (callback_on_step_end(self, step, timestep, tensors) or {}).get("latents", latents)
                progress.update()
        frames: Any = latents if output_type == "latent" else self._decoded(latents, output_type)
        self.maybe_free_model_hooks()
        return AnimateDiffPipelineOutput(frames=frames) if return_dict else (frames,)

    def _size(self, height: int | None, width: int | None) -> tuple[int, int]:
        """(height, width) of the grid of latents."""
        own_px = self.unet.config.sample_size * self.patch_px
        cell_px = self.patch_px * 2 ** (len(self.unet.config.block_out_channels) - 1)
        size_px = (height or own_px, width or own_px)
        if any(side_px % cell_px for side_px in size_px):
            raise ValueError(
                f"height and width have to be multiples of {cell_px}, and are {size_px[0]} and {size_px[1]}"
            )
        return size_px[0] // self.patch_px, size_px[1] // self.patch_px

    def _embedded(self, prompts: Sequence[str], device: torch.device) -> Tensor:
        """(N, L, D) of N prompts; what is longer than the text encoder reads is cut off."""
        token_ids = self.tokenizer(
            list(prompts),
            padding="max_length",
            truncation=True,
            max_length=self.text_encoder.config.max_position_embeddings,
            return_tensors="pt",
        ).input_ids
        embedded: Tensor = self.text_encoder(token_ids.to(device)).last_hidden_state
        return embedded

    def _noise(
        self, generator: torch.Generator | None, num_processes: int, num_frames: int, size: tuple[int, int]
    ) -> Tensor:
        """(N, T, C, h, w) float32 noise of variance 1: each process draws its own from the seed and its number."""
        seed, trained = _next_seed(generator), float(self.config.shared_noise)
        shared = max(_SHARED, trained) if trained else 0.0
        shape = (num_frames, self.unet.config.in_channels, *size)
        noises = []
        for number in range(num_processes):
            state = np.random.SeedSequence(seed, spawn_key=(1, number)).generate_state(1, np.uint64)[0]
            drawn = torch.Generator().manual_seed(int(state))
            noise = torch.randn(*shape, generator=drawn)
            if shared:
                torch.randn(*shape, generator=drawn)  # once drawn for training, and so part of where the rest stands
                torch.rand((), generator=drawn)
                common = torch.randn(*shape[1:], generator=drawn)
                noise = shared * common + math.sqrt(1 - shared**2) * noise
            noises.append(noise)
        return torch.stack(noises)

    def _predicted(self, latents: Tensor, timestep: Tensor, text: Tensor) -> Tensor:
        """What the UNet predicts, (N, T, C, h, w) float32, of as many latents and texts (N, L, D)."""
        steps = timestep.to(latents.device).expand(len(latents))
        text = text.repeat_interleave(latents.shape[1], dim=0)  # which this UNet leaves to its caller
        predicted: Tensor = self.unet(latents.transpose(1, 2), steps, text).sample
        return predicted.transpose(1, 2).float()

    def _decoded(self, latents: Tensor, output_type: str) -> Any:
        pictures = latents.flatten(0, 1).to(self.vae.dtype) / self.vae.config.scaling_factor
        decoded = torch.cat([self.vae.decode(part).sample for part in torch.split(pictures, _FRAMES_AT_ONCE)])
        video = decoded.reshape(*latents.shape[:2], *decoded.shape[1:]).transpose(1, 2).float()
        return self.video_processor.postprocess_video(video, output_type=output_type)


def _next_seed(generator: torch.Generator | None) -> int:
    """The seed of a generator that was not used yet, else what it draws next. Either way it counts as used."""
    if generator is None:
        return torch.Generator().seed()
    fresh = torch.Generator(generator.device).manual_seed(generator.initial_seed())
    unused = torch.equal(fresh.get_state(), generator.get_state())
    drawn = torch.randint(2**62, (), generator=generator, device=generator.device)
    return generator.initial_seed() if unused else int(drawn)
