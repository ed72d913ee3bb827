"""What a codec keeps of paintings: a trained one beside the linear one, by renderer.

    python -m benchmarks.codec [--codec outputs/codec] [--data outputs/scenes] [--held-out outputs/other_scenes]
        [--sheet FILE.png]

Both see --data: the linear codec, of as many channels, is fitted to it; the trained one is that of --codec, a run of
stage=codec, a base or a painter. They are measured on --held-out, a data set of other pictures. What is not given is
made here, small: data sets of bundled scenes with every renderer, and a codec that is trained for --steps steps. PSNR
and SSIM are means over sequences: of unfinished frames, the blank canvas left out, and of finished ones. Noise of a
tenth of the latents' deviation is what a denoiser may leave. --sheet gets squares of finished frames, enlarged: as
painted, of the linear codec, of the trained one.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import benchmarks.yardstick  # noqa: F401  # first: it pins threads

import numpy as np
import torch
from PIL import Image as PillowImage
from torch import Tensor

from benchmarks.command_line import from_1, run_benchmark
from conf.compose import compose
from conf.errors import UserError
from pipelines.synth import run as synthesise
from pipelines.synthesis.config import synth_config
from renderers.painting import Image
from renderers.quality import psnr_db, ssim
from training.config import train_config
from training.data.stream import DataMixture, SequenceStream
from training.models.codec import PatchCodec, fit_codec
from training.models.sd15.base import load_codec
from training.models.weights import parent_weights
from training.stages.untrained import some_frames
from training.train import run as train

_SIZE_PX, _PATCH_PX, _CHANNELS = 128, 8, 32
_FAST = [
    f"renderer.members.{name}.{key}"
    for name in ("bezier", "oil", "ink", "studio")
    for key in ("preset=fast", "num_strokes=200")
]
_NUM_FITTED = 1024  # pictures to which the linear codec is fitted
_NOISE = 0.1  # of the latents' deviation
_CROP_PX, _ENLARGED, _ROWS = 48, 5, 10


def main() -> None:
    """Run and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codec", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--held-out", type=Path)
    parser.add_argument("--sequences", type=from_1, default=20, help="of a data set that is made here")
    parser.add_argument("--steps", type=from_1, default=20, help="of a codec that is trained here")
    parser.add_argument("--sheet", type=Path)
    arguments = parser.parse_args()
    given_codec = _loaded(arguments.codec) if arguments.codec is not None else None
    with tempfile.TemporaryDirectory() as folder:
        data = arguments.data or _painted(Path(folder) / "data", 0, arguments.sequences)
        held_out = arguments.held_out or _painted(Path(folder) / "held_out", 1, arguments.sequences)
        codec = given_codec or _loaded(_trained(data, Path(folder) / "codec", arguments.steps))
        _measure(codec, data, held_out, arguments.sheet)


def _painted(folder: Path, seed: int, count: int) -> Path:
    keys = [f"source.seed={seed}", f"num_sequences={count}", f"size={_SIZE_PX}", f"out={folder}", *_FAST]
    synthesise(synth_config(compose("synth", [*keys, "val_fraction=0", "gallery=false", "cluster=inline"])))
    return folder


def _trained(data: Path, folder: Path, steps: int) -> Path:
    shape = [f"model.shape.patch_px={_PATCH_PX}", f"model.shape.latent_channels={_CHANNELS}"]
    keys = ["stage=codec", f"data={data}", f"out={folder}", f"max_steps={steps}", "batch_size=4", *shape]
    settings = ["tracker=none", "validate_every=0", "sample_every=0", "num_workers=0", "optimizer.warmup_steps=0"]
    train(train_config(compose("train", [*keys, *settings])))
    return folder


def _loaded(run: Path) -> PatchCodec:
    codec = load_codec(str(parent_weights("codec", run)), f"codec={run}")
    if not isinstance(codec, PatchCodec):
        raise UserError(f"codec={run}: not a codec of the tiny model")
    return cast(PatchCodec, codec)


def _measure(codec: PatchCodec, data: Path, held_out: Path, sheet: Path | None) -> None:
    pictures = some_frames([DataMixture(path=str(data))], seed=0)[:_NUM_FITTED]
    shape = {"patch_px": codec.config.patch_px, "latent_channels": codec.config.latent_channels}
    codecs = {"linear": fit_codec(pictures, **shape), "trained": codec}
    stream = SequenceStream.open([DataMixture(path=str(held_out))], captions_required=False)
    batch = stream.first(seed=0, count=len(stream))
    assert batch.frames is not None
    names = {record["key"]: str(record["renderer"]) for record in stream.sources[0].split.records()}
    renderers = [names[key.rpartition("/")[2]] for key in batch.keys]
    parameters = sum(parameter.numel() for parameter in codec.parameters())
    print(
        f"{len(renderers)} sequences of {held_out}; cells of {shape['patch_px']} px and {shape['latent_channels']} "
        f"channels; trained: {parameters / 1e6:.2f} M parameters"
    )
    decoded = {}
    for name, each in codecs.items():
        decoded[name], latents = _coded(each, batch.frames)
        noisy = _decode(each, latents + _NOISE * latents.std() * _noise(latents))
        loss_db = np.mean([
            _psnr(exact, frame) - _psnr(blurred, frame)
            for frame, exact, blurred in zip(
                batch.frames[:, -1], decoded[name][:, -1], noisy.reshape(batch.frames.shape)[:, -1], strict=True
            )
        ])  # fmt: skip
        encode_s, decode_s = _seconds(each, batch.frames[0])
        print(
            f"{name:>8}: {1000 * encode_s:.1f} ms a frame to encode, {1000 * decode_s:.1f} to decode (one core); "
            f"noise of {_NOISE:g} deviations costs {loss_db:.2f} dB; latents scaled by {each.config.scaling_factor:.3f}"
        )
    print("renderer      unfinished: linear, trained (dB, SSIM)      finished: linear, trained (dB, SSIM)")
    for renderer in [*sorted(set(renderers)), "all"]:
        rows = [row for row, name in enumerate(renderers) if renderer in (name, "all")]
        cells = []
        for frames in (slice(1, -1), slice(-1, None)):
            for name in codecs:
                painted, coded = batch.frames[rows, frames].flatten(0, 1), decoded[name][rows, frames].flatten(0, 1)
                pairs = list(zip(coded, painted, strict=True))
                psnr, similarity = np.mean([_psnr(*pair) for pair in pairs]), np.mean([_ssim(*pair) for pair in pairs])
                cells.append(f"{psnr:6.2f} {similarity:.3f}")
        print(f"{renderer:<14}" + "    ".join(cells))
    if sheet is not None:
        _write_sheet(sheet, batch.frames[:, -1], [each[:, -1] for each in decoded.values()], renderers)


@torch.no_grad()
def _coded(codec: PatchCodec, frames: Tensor) -> tuple[Tensor, Tensor]:
    """(B, T, 3, H, W) frames after encoding and decoding, and their latents."""
    latents = torch.cat([codec.encode(sequence).latent_dist.mean for sequence in frames])
    return _decode(codec, latents).reshape(frames.shape), latents


@torch.no_grad()
def _decode(codec: PatchCodec, latents: Tensor) -> Tensor:
    return torch.cat([codec.decode(part).sample.clamp(-1, 1) for part in torch.split(latents, 16)])


def _noise(latents: Tensor) -> Tensor:
    return torch.randn(latents.shape, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def _seconds(codec: PatchCodec, frames: Tensor) -> tuple[float, float]:
    """CPU-seconds to encode and to decode one of (T, 3, H, W) frames."""
    latents = codec.encode(frames).latent_dist.mean  # to warm up
    start = time.process_time()
    codec.encode(frames)
    between = time.process_time()
    codec.decode(latents)
    return (between - start) / len(frames), (time.process_time() - between) / len(frames)


def _psnr(coded: Tensor, frame: Tensor) -> float:
    return psnr_db(_pixels(coded), _pixels(frame))


def _ssim(coded: Tensor, frame: Tensor) -> float:
    return ssim(_pixels(coded), _pixels(frame))


def _pixels(frame: Tensor) -> Image:
    return np.asarray((frame / 2 + 0.5).clamp(0, 1).permute(1, 2, 0).numpy(), np.float32)


def _write_sheet(path: Path, painted: Tensor, coded: Sequence[Tensor], renderers: Sequence[str]) -> None:
    """Write rows of enlarged squares from the middle of finished frames, taking renderers by turns."""
    turns = [renderers[:row].count(renderer) for row, renderer in enumerate(renderers)]
    order = sorted(range(len(renderers)), key=lambda row: (turns[row], renderers[row]))
    top, left = ((side - _CROP_PX) // 2 for side in painted.shape[-2:])
    rows = [
        np.concatenate([
            _pixels(frames[row, :, top : top + _CROP_PX, left : left + _CROP_PX]) for frames in (painted, *coded)
        ], axis=1)
        for row in order[:_ROWS]
    ]  # fmt: skip
    picture = (np.concatenate(rows, axis=0) * 255).round().astype(np.uint8)
    PillowImage.fromarray(picture.repeat(_ENLARGED, 0).repeat(_ENLARGED, 1)).save(path)
    print(f"as painted, linear, trained: {path}")


if __name__ == "__main__":
    run_benchmark(main)
