"""Text to painting processes, with diffusers and nothing else. Every painter carries this file as `pipeline.py`.

    from diffusers import DiffusionPipeline

    painter = DiffusionPipeline.from_pretrained(PAINTER, custom_pipeline="pipeline", trust_remote_code=True)
    frames = painter("a red house by a lake, painted in oil").frames[0]

A prompt and a seed give the frames of process-painter's own `paint`, which also follows pictures and paints longer.
"""

import math
from collections.abc import Callable, Sequence
from numbers import Integral, Real
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
from diffusers.callbacks import MultiPipelineCallbacks, PipelineCallback, SDCFGCutoffCallback
from diffusers.pipelines.animatediff import AnimateDiffPipelineOutput
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg
from diffusers.utils import logging
from diffusers.video_processor import VideoProcessor
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

_logger = logging.get_logger(__name__)
_SHARED = 0.98  # of its noise is common to all frames, where they were trained to share some: then they hardly flicker
_GUIDANCE_RESCALE = 0.7  # as Lin et al. 2023 recommend beside zero terminal SNR
_FRAMES_AT_ONCE = 16  # that the VAE decodes
_NUM_FRAMES = 8  # of a process, where neither it nor the painter says
_OUTPUT_TYPES = ("pil", "np", "pt", "latent")


class ProcessPainterPipeline(DiffusionPipeline):  # type: ignore[misc]  # diffusers is not typed
    """Text to painting processes.

    Args:
        vae, text_encoder, tokenizer, unet: of the base.
        motion_adapter: the temporal modules.
        scheduler: whose noise schedule counts.
        replication: what shows the painter given pictures; not used here, and kept for who saves the painter again.
        shared_noise: how much of their noise frames had in common in training.
        num_frames: of the processes that it was trained on; None in painters of versions that did not keep it here.
    """

    model_cpu_offload_seq = "text_encoder->unet->vae"
    _optional_components: ClassVar[list[str]] = ["motion_adapter", "replication"]
    _callback_tensor_inputs: ClassVar[list[str]] = ["latents", "prompt_embeds"]

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
        num_frames: int | None = None,
    ) -> None:
        super().__init__()
        self.register_to_config(shared_noise=shared_noise, num_frames=num_frames)
        # Under the names that diffusers' callbacks read and set while it paints.
        self._guidance_scale, self._guidance_rescale = 1.0, 0.0
        self._num_timesteps, self._interrupt = 0, False
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
        self.patch_px = int(vae.config.get("patch_px") or 2 ** (len(vae.config.block_out_channels) - 1))
        self.video_processor = VideoProcessor(do_resize=False, vae_scale_factor=self.patch_px)

    @property
    def guidance_scale(self) -> float:
        """Of the step that is being painted; above 1 guidance is on."""
        return self._guidance_scale

    @property
    def do_classifier_free_guidance(self) -> bool:
        """Whether guidance is on."""
        return self._guidance_scale > 1

    @property
    def num_timesteps(self) -> int:
        """Steps of the process that is being painted."""
        return self._num_timesteps

    @property
    def interrupt(self) -> bool:
        """Whether the steps that are left are skipped, as a callback asks for by `pipeline._interrupt = True`."""
        return self._interrupt

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | Sequence[str],
        num_frames: int | None = None,
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int = 50,
        guidance_scale: float = 5.0,
        guidance_rescale: float | None = None,
        negative_prompt: str | Sequence[str] | None = None,
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
        callback_on_step_end: Callable[[Any, int, int, dict[str, Any]], dict[str, Any]] | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
    ) -> AnimateDiffPipelineOutput | tuple[Any]:
        """Paint.

        Args:
            prompt: subject and medium, "a red house by a lake, painted in oil"; a list gives a process each.
            num_frames: of a process, from 2 to as many as the painter was trained for, which is the default. Fewer are
                taken evenly from as many: the first ones alone would end before the painting is finished.
            height, width: of the frames, in pixels; the size of the base where not given.
            num_inference_steps: of denoising (DDIM). They must divide the scheduler's timesteps, nearly.
            guidance_scale: how closely the prompt is followed (classifier-free guidance); 1 or less switches it off.
            guidance_rescale: how much of the contrast that guidance adds is taken back, 0 to 1; where not given, 0.7
                if the painter's noise ends as pure noise (`rescale_betas_zero_snr`), else 0.
            negative_prompt: what should not appear; a list has one for each prompt.
            generator: of the noise. One that is fresh from `manual_seed(7)` paints as `paint seed=7` does. In a list
                there is one for each prompt, which paints what it would paint alone.
            output_type: `pil`, `np` (N, T, H, W, 3), `pt` (N, T, 3, H, W), all in [0, 1], or `latent`.
            return_dict: whether to return an object whose `frames` these are; else a tuple of them alone.
            callback_on_step_end: called with the pipeline, the step, its timestep and the tensors that are asked for;
                what it returns of these takes their place. It may set the pipeline's `_guidance_scale`, and
                `_interrupt` to skip all further steps. diffusers' own callbacks name their tensors themselves.
            callback_on_step_end_tensor_inputs: names of these tensors: `latents` (N, T, C, h, w); `prompt_embeds`,
                (2 * N, L, D) with those of the negative prompts first, or (N, L, D) of the prompts without guidance.

        Raises:
            ValueError: if an argument is not allowed, before anything is computed; or if a callback returns
                `prompt_embeds` for another number of prompts.
        """
        if output_type not in _OUTPUT_TYPES:
            raise _refused("output_type", output_type, ", ".join(_OUTPUT_TYPES))
        prompts = [prompt] if isinstance(prompt, str) else _one_each("prompt", prompt, str)
        if negative_prompt is None or isinstance(negative_prompt, str):
            negative_prompt = [negative_prompt or ""] * len(prompts)
        negatives = _one_each("negative_prompt", negative_prompt, str, len(prompts))
        if not isinstance(generator, torch.Generator | None):
            generator = _one_each("generator", generator, torch.Generator, len(prompts))
        slots = self._slots(num_frames)
        shape = (slots[-1] + 1, self.unet.config.in_channels, *self._size(height, width))
        num_steps = self._checked_steps(num_inference_steps)
        scale, rescale = self._checked_guidance(guidance_scale, guidance_rescale)
        names = self._checked_names(callback_on_step_end, callback_on_step_end_tensor_inputs, len(prompts))

        device, dtype = self._execution_device, self.unet.dtype
        text = self._embedded(prompts, device)
        # Each is embedded with '' as `paint` does: sums over another number of prompts may round otherwise.
        embedded = {each: self._embedded([each, ""], device)[:1] for each in dict.fromkeys(negatives)}
        without_text = torch.cat([embedded[each] for each in negatives])
        # Where the prompts are the negative ones, guidance would lead from a prediction to the same one.
        self._guidance_scale, self._guidance_rescale = 1.0 if prompts == negatives else scale, rescale
        self._num_timesteps, self._interrupt = num_steps, False

        latents = self._noise(generator, len(prompts), shape).to(device)
        self.scheduler.set_timesteps(num_steps)
        with self.progress_bar(total=num_steps) as progress:
            # For some numbers (61) trailing spacing has one timestep more, -1: the rounding of its range.
            for step, timestep in enumerate(self.scheduler.timesteps[:num_steps]):
                if self.interrupt:
                    break
                if self.do_classifier_free_guidance:
                    both = torch.cat([latents, latents]).to(dtype)
                    without, with_text = self._predicted(both, timestep, torch.cat([without_text, text])).chunk(2)
                    prediction = without + self.guidance_scale * (with_text - without)
                    if self._guidance_rescale:
                        prediction = rescale_noise_cfg(prediction, with_text, self._guidance_rescale)
                else:
                    prediction = self._predicted(latents.to(dtype), timestep, text)
                latents = self.scheduler.step(prediction, timestep, latents).prev_sample
                if callback_on_step_end is not None:
                    texts = torch.cat([without_text, text]) if self.do_classifier_free_guidance else text
                    offered = {"latents": latents, "prompt_embeds": texts}
                    returned = callback_on_step_end(self, step, timestep, {name: offered[name] for name in names}) or {}
                    latents = returned.get("latents", latents)
                    without_text, text = _replaced(without_text, text, returned.get("prompt_embeds"))
                progress.update()
        frames: Any = latents[:, slots] if output_type == "latent" else self._decoded(latents[:, slots], output_type)
        self.maybe_free_model_hooks()
        return AnimateDiffPipelineOutput(frames=frames) if return_dict else (frames,)

    def _slots(self, num_frames: int | None) -> list[int]:
        """The frames that are kept, of as many as the painter was trained for; the last one is the last painted."""
        positions, trained = int(self.unet.config.motion_max_seq_length), self.config.num_frames
        most = min(positions, int(trained or positions))
        wanted = min(int(trained or _NUM_FRAMES), most) if num_frames is None else num_frames
        if not _is_number(wanted, Integral) or not 2 <= wanted <= most:
            allowed = f"2 to {most}, the most that this painter knows; process-painter's own paint makes longer ones"
            raise _refused("num_frames", wanted, allowed)
        last = most - 1 if trained else wanted - 1
        return [round(number * last / (wanted - 1)) for number in range(wanted)]

    def _checked_steps(self, num_steps: int) -> int:
        """The number of steps, if `paint` allows it too (`NoiseSchedule.sampler` of process-painter)."""
        total, is_whole = int(self.scheduler.config.num_train_timesteps), _is_number(num_steps, Integral)
        if is_whole and num_steps > 0 and self._is_covered(int(num_steps), total):
            return int(num_steps)
        possible = [steps for steps in range(1, total + 1) if is_whole and self._is_covered(steps, total)]
        below, above = [each for each in possible if each < num_steps], [each for each in possible if each > num_steps]
        nearest = " or ".join(map(str, [*below[-1:], *above[:1]])) or "whole numbers"
        allowed = f"{nearest}, to divide the scheduler's {total} timesteps (nearly)"
        raise _refused("num_inference_steps", num_steps, allowed)

    def _is_covered(self, num_steps: int, total: int) -> bool:
        """Whether steps of a whole number of timesteps, as DDIM takes them, pass at least 7/8 of the schedule."""
        distance, rest = divmod(total, num_steps)
        # With its offset of 1, leading spacing would begin with a timestep beyond the last.
        is_beyond = distance == 1 and not rest and self.scheduler.config.timestep_spacing == "leading"
        return distance > 0 and not is_beyond and 8 * rest <= total

    def _checked_guidance(self, scale: float, rescale: float | None) -> tuple[float, float]:
        if not _is_number(scale, Real) or not abs(scale) <= torch.finfo(torch.float32).max:
            raise _refused("guidance_scale", scale, "a finite number; 1 or less for no guidance")
        if rescale is None:
            return float(scale), _GUIDANCE_RESCALE if self.scheduler.config.rescale_betas_zero_snr else 0.0
        if not _is_number(rescale, Real) or not 0 <= rescale <= 1:
            raise _refused("guidance_rescale", rescale, "0 to 1, or None for the painter's own")
        return float(scale), float(rescale)

    def _checked_names(self, callback: Any, names: Sequence[str], num_prompts: int) -> list[str]:
        """Names of the tensors that a callback gets; diffusers' own callbacks name them themselves."""
        if callback is not None and not callable(callback):
            raise _refused("callback_on_step_end", callback, "a function, one of diffusers' callbacks, or None")
        parts = callback.callbacks if isinstance(callback, MultiPipelineCallbacks) else [callback]
        if num_prompts > 1 and any(isinstance(part, SDCFGCutoffCallback) for part in parts):
            allowed = f"with one prompt, not with {num_prompts}, of which it keeps the last alone"
            raise _refused("callback_on_step_end", SDCFGCutoffCallback, allowed)
        if isinstance(callback, PipelineCallback | MultiPipelineCallbacks):
            names = callback.tensor_inputs
        if not isinstance(names, list | tuple) or any(name not in self._callback_tensor_inputs for name in names):
            allowed = f"a list of {' and '.join(self._callback_tensor_inputs)}, or of one or none of them"
            raise _refused("callback_on_step_end_tensor_inputs", names, allowed)
        return list(names)

    def _size(self, height: int | None, width: int | None) -> tuple[int, int]:
        """(height, width) of the grid of latents."""
        own_px = self.unet.config.sample_size * self.patch_px
        cell_px = self.patch_px * 2 ** (len(self.unet.config.block_out_channels) - 1)
        for name, side_px in (("height", height), ("width", width)):
            if side_px is not None and (not _is_number(side_px, Integral) or side_px < 1 or side_px % cell_px):
                raise _refused(name, side_px, f"positive multiples of {cell_px}, or None for {own_px}")
        height_px, width_px = (own_px if side_px is None else int(side_px) for side_px in (height, width))
        return height_px // self.patch_px, width_px // self.patch_px

    def _embedded(self, prompts: Sequence[str], device: torch.device) -> Tensor:
        """(N, L, D) of N prompts; what is longer than the text encoder reads is cut off, with a warning."""
        length = self.text_encoder.config.max_position_embeddings
        for token_ids in self.tokenizer(list(prompts), verbose=False).input_ids:
            if left_out := self.tokenizer.decode(token_ids[length - 1 : -1]):
                _logger.warning("only the first %d tokens of a prompt are read; left out: '%s'", length, left_out)
        token_ids = self.tokenizer(
            list(prompts), padding="max_length", truncation=True, max_length=length, return_tensors="pt"
        ).input_ids
        embedded: Tensor = self.text_encoder(token_ids.to(device)).last_hidden_state
        return embedded

    def _noise(self, generator: Any, num_processes: int, shape: tuple[int, ...]) -> Tensor:
        """(N, *shape) float32 noise of variance 1: each process draws its own from the seed and its number."""
        if isinstance(generator, list):  # what is painted of one does not depend on its place in the list
            return torch.cat([self._noise(each, 1, shape) for each in generator])
        seed, trained = _next_seed(generator), float(self.config.shared_noise)
        shared = max(_SHARED, trained) if trained else 0.0
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


def _replaced(without_text: Tensor, text: Tensor, returned: Tensor | None) -> tuple[Tensor, Tensor]:
    """The texts (N, L, D) without and with the prompts, after a callback has returned some, or None."""
    if returned is None:
        return without_text, text
    if returned.shape == (2 * len(text), *text.shape[1:]):
        return returned[: len(text)], returned[len(text) :]
    if returned.shape == text.shape:
        return without_text, returned
    allowed = f"{tuple(text.shape)}, or twice as many with those of the negative prompts first"
    raise _refused("callback_on_step_end: shape of its prompt_embeds", tuple(returned.shape), allowed)


def _one_each(name: str, values: Any, kind: type, num_prompts: int | None = None) -> list[Any]:
    """A list as it is, if it has one value of this kind for each prompt."""
    fits = isinstance(values, list | tuple) and len(values) == (num_prompts or len(values) or 1)
    if not fits or not all(isinstance(value, kind) for value in values):
        several = f"one for each prompt ({num_prompts}), or None" if num_prompts else "at least one"
        raise _refused(name, values, f"a {kind.__name__}, or a list with {several}")
    return list(values)


def _is_number(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _refused(name: str, value: Any, allowed: str) -> ValueError:
    """An error of one line."""
    text = " ".join(repr(value).split())
    brief = text if len(text) <= 80 else f"{text[:77]}..."
    return ValueError(f"{name}={brief}: not allowed; allowed: {allowed}")
