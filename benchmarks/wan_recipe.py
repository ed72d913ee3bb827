"""What the tiny Wan has learned, on held-out sequences: its loss, pinned frames, and progress.

    python -m benchmarks.wan_recipe [--data outputs/wan/scenes] [--base outputs/wan/base] \\
        [--motion outputs/wan/motion] [--out outputs/wan/sheets] [--count 64] [--painted 16]

The folders are those that the commands of docs/wan22.md make.

The loss is compared with that of the same base without the motion LoRA, on the same noise, sequence by sequence. Then
processes are painted from the same noise: from captions alone; with the last frame of the sequence pinned; and, as a
control, with that frame shown in the first slot. Each is compared with the sequence, and its frames with its own last.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from benchmarks.command_line import from_1, run_benchmark
from benchmarks.resampling import pictures_of, share_lower
from conf.compose import typed
from conf.errors import UserError
from training.data.batch import SequenceBatch
from training.data.stream import DataMixture, SequenceStream
from training.data.text import Text
from training.diffusion import draw, draw_noise, sample
from training.models.conditions import Conditions
from training.models.lora import apply_lora
from training.models.weights import parent_weights, read_run_card
from training.models.wan22.base import WanBase
from training.models.wan22.loading import load_base
from training.models.wan22.denoiser import WanDenoiser
from training.models.wan22.lora import load_lora
from training.models.wan22.marks import network_mark
from training.models.wan22.registration import WanTinyConfig
from training.random.streams import Stream

_AT_ONCE, _STEPS, _NUM_DRAWS, _GUIDANCE, _SHEET_ROWS = 8, 20, 4, 1.5, 8


@dataclass(frozen=True)
class HeldOut:
    """Some sequences: (B, T, 3, H, W) frames in [-1, 1], their captions, and the positions that choose their noise."""

    frames: Tensor
    captions: Sequence[str]
    positions: Tensor

    def latents(self, base: WanBase) -> Tensor:
        """(B, T, C, h, w) scaled latents of the frames."""
        return base.scaled(base.encode_sequences(self.frames)[0])


def held_out_sequences(batch: SequenceBatch) -> list[HeldOut]:
    """The sequences of a batch, in parts that are computed at once."""
    assert batch.frames is not None
    frames, places = batch.frames.float(), torch.arange(len(batch))
    parts = [slice(first, first + _AT_ONCE) for first in range(0, len(batch), _AT_ONCE)]
    return [HeldOut(frames[part], batch.captions[part], places[part]) for part in parts]


def as_trained(motion: Path) -> tuple[WanTinyConfig, float]:
    """The model config of a run, and the share of noise that was common to the frames of a sequence."""
    card = read_run_card(motion)
    if card is None:
        raise UserError(f"motion={motion}: it has no run card")
    recipe = card["recipe"]
    return typed(WanTinyConfig, recipe["model"], "model"), float(recipe["noise"]["shared"])


def losses(base: WanBase, held_out: HeldOut, shared: float) -> Tensor:
    """(B,) losses without conditions, each the mean over several noise levels and noises."""
    latents, text, flow = held_out.latents(base), base.embed(held_out.captions), base.objective
    denoiser, errors = WanDenoiser(base.transformer, flow, base.order), []
    for number in range(_NUM_DRAWS):
        draws = draw(1, held_out.positions + 1000 * number, latents.shape[1:], replace(flow, shared=shared), 0.0)
        noisy = flow.add_noise(latents, draws.noise, draws.timesteps)
        predicted = denoiser(noisy, draws.timesteps, text)
        errors.append((predicted - flow.target(latents, draws.noise, draws.timesteps)).square().flatten(1).mean(1))
    return torch.stack(errors).mean(0)


def painted(base: WanBase, held_out: HeldOut, shared: float, conditions: Conditions | None) -> Tensor:
    """(B, T, 3, H, W) processes in [0, 1], painted from the same noise whatever the conditions are."""
    count, num_frames, _, height, width = held_out.frames.shape
    shape = base.latent_shape(num_frames, (height, width))
    noise = draw_noise(2, Stream.SAMPLE_NOISE, held_out.positions, shape, shared)
    denoiser = WanDenoiser(base.transformer, base.objective, base.order)

    def denoise(latents: Tensor, timesteps: Tensor, text: Text) -> Tensor:
        predicted: Tensor = denoiser(latents, timesteps, text, conditions)
        return predicted

    text, empty_text = base.embed(held_out.captions), base.embed([""]).repeated(count)
    sampled = sample(denoise, base.objective, noise, text, empty_text, num_steps=_STEPS, guidance=_GUIDANCE)
    return base.decode_sequences(sampled)


def sheet(rows: Tensor) -> Image.Image:
    """(R, T, 3, H, W) in [0, 1] as rows of frames."""
    pixels = torch.cat([torch.cat(list(row), dim=2) for row in rows], dim=1)
    return Image.fromarray((pixels.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy())


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, folder in (("data", "scenes"), ("base", "base"), ("motion", "motion"), ("out", "sheets")):
        parser.add_argument(f"--{name}", type=Path, default=Path("outputs/wan") / folder)
    parser.add_argument("--count", type=from_1, default=64, help="sequences whose loss is measured")
    parser.add_argument("--painted", type=from_1, default=16, help="so many of them are painted")
    arguments = parser.parse_args()
    _measure(arguments)


@torch.no_grad()
def _measure(arguments: argparse.Namespace) -> None:
    motion = parent_weights("motion", arguments.motion)
    model, shared = as_trained(motion)
    plain, adapted = (load_base(parent_weights("base", arguments.base), model) for _ in range(2))
    marks = {"base": network_mark(adapted.transformer)}
    apply_lora(adapted.transformer, "motion", load_lora("motion", motion, adapted.transformer, marks))
    stream = SequenceStream.open([DataMixture(path=str(arguments.data))], split="val")
    batch = stream.first(0, min(arguments.count, len(stream)))
    parts = held_out_sequences(batch)
    before, after = (
        torch.cat([losses(base, part, shared) for part in parts]).double().numpy() for base in (plain, adapted)
    )
    reduction = share_lower(before, after, pictures_of(arguments.data, batch.keys))
    print(
        f"{reduction.count} held-out sequences: loss {before.mean():.3f} without the LoRA, {after.mean():.3f} with it, "
        f"{reduction.value:.1%} less (95 %: {reduction.low:.1%} to {reduction.high:.1%})",
        flush=True,
    )
    arguments.out.mkdir(parents=True, exist_ok=True)
    painted_parts = parts[: -(-arguments.painted // _AT_ONCE)]
    real = torch.cat([part.frames for part in painted_parts]) / 2 + 0.5
    _report("real", real, real, arguments.out)
    for name in ("plain", "pinned", "in another slot"):
        processes = [painted(adapted, part, shared, given(name, part.latents(adapted))) for part in painted_parts]
        _report(name, torch.cat(processes), real, arguments.out)


def given(name: str, latents: Tensor) -> Conditions | None:
    """The conditions of one of three runs, from (B, T, C, h, w) latents.

    `plain` has none, `pinned` has the last latent in the last slot, and any other has it in the first slot.
    """
    last = torch.zeros(latents.shape[:2])
    last[:, -1] = 1
    if name == "plain":
        return None
    return Conditions.among(latents, last) if name == "pinned" else Conditions.among(latents.flip(1), last.flip(1))


def _report(name: str, frames: Tensor, real: Tensor, out: Path) -> None:
    """Print how (B, T, 3, H, W) processes progress and how close they are to the real ones, and save a sheet."""
    errors = (frames - real).square().mean((0, 2, 3, 4))
    distances = (frames - frames[:, -1:]).square().mean((2, 3, 4))
    falling_share = (distances.diff(dim=1) < 0).double().mean()
    print(
        f"{name}: MSE at the last frame {errors[-1]:.4f}, over all {errors.mean():.4f}; distance from its own last "
        f"frame {' '.join(f'{value:.3f}' for value in distances.mean(0))}, falling in {falling_share:.0%} of steps",
        flush=True,
    )
    sheet(frames[:_SHEET_ROWS]).save(out / f"{name}.png")


if __name__ == "__main__":
    run_benchmark(main)
