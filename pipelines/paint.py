"""Words, a picture, an unfinished picture, or pictures at any frames in; the process of painting out.

    python -m pipelines.paint prompt="a red house by a lake under an orange sky, painted in oil"
    python -m pipelines.paint task=reconstruct image=boat.png out=outputs/boat
    python -m pipelines.paint task=complete image=begun.png at=3 out=outputs/ended
    python -m pipelines.paint painter=outputs/painter 'conditions={2: block_in.png, -1: boat.png}' out=outputs/both

Every picture is pinned to a frame: through the replication network, and through the noise that it inverts to. The
report says how well the frames keep to their pictures.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from conf.command import Summary, command
from conf.compose import typed
from conf.errors import ConfigError, UserError
from pipelines.config import parse_size
from pipelines.devices import compute_device
from pipelines.smoothing import Smoothing
from pipelines.sources.base import RefusedPicture
from pipelines.sources.decode import decode
from pipelines.sources.framing import Fit, Framing
from training.data.manifest import hash_file
from training.progress import Progress

if TYPE_CHECKING:
    from pipelines.longer.in_between import Pieces
    from pipelines.painter import ProcessPainterPipeline

_MAX_PIXELS = 100_000_000
_MOST_FRAMES = 256


@dataclass(frozen=True, kw_only=True)
class PinnedFile:
    """A picture file for a frame, and how strongly it holds."""

    path: Path
    strength: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise ConfigError("strength", self.strength, "0 to 1")


@dataclass(frozen=True, kw_only=True)
class PaintConfig:
    """What to paint; `conf/paint.yaml` says what each key means."""

    task: Literal["generate", "reconstruct", "complete"] = "generate"
    prompt: str = ""
    negative: str = ""
    image: Path | None = None
    at: int = 2
    conditions: Mapping[int, PinnedFile] = field(default_factory=dict)
    painter: Path = Path("tiny")
    loras: Mapping[str, float] = field(default_factory=dict)
    out: Path
    num_frames: int = 8
    size: Any = None
    fit: Fit = "crop"
    steps: int = 50
    guidance: float = 5.0
    network: bool = True
    inversion: bool = True
    seed: int = 0
    dtype: Literal["fp32", "bf16", "fp16"] = "fp32"
    device: str = "auto"
    frames_per_s: float = 2.0
    lossless: bool = False
    smoothing: Smoothing = "none"

    def __post_init__(self) -> None:
        for key, lowest, highest in (
            ("num_frames", 2, _MOST_FRAMES), ("steps", 1, 1000), ("guidance", 1, 100), ("seed", 0, 2**63 - 1),
            ("frames_per_s", 0.1, 60), ("at", 0, self.num_frames - 2 if self.task == "complete" else self.at),
        ):  # fmt: skip
            if not lowest <= getattr(self, key) <= highest:
                raise ConfigError(key, getattr(self, key), f"{lowest} to {highest}")
        if (self.image is None) == (self.task != "generate"):
            wanted = f"the picture to {self.task}" if self.image is None else f"null, with task={self.task}"
            raise ConfigError("image", self.image, wanted)
        if self.task == "generate" and not self.prompt and not self.conditions:
            raise ConfigError("prompt", "''", "what to paint; or give an image with task=reconstruct, or conditions")
        taken: dict[int, int] = {}
        for frame in self.conditions:
            if not -self.num_frames <= frame < self.num_frames:
                raise ConfigError("conditions", frame, f"frames {-self.num_frames} to {self.num_frames - 1}")
            if (slot := frame % self.num_frames) in taken:
                raise ConfigError("conditions", frame, f"each frame once; {taken[slot]} is the same one")
            taken[slot] = frame
        if self.task != "generate" and (slot := self.image_frame % self.num_frames) in taken:
            raise ConfigError("conditions", taken[slot], f"other frames; task={self.task} puts its image there")

    @property
    def image_frame(self) -> int:
        """The frame that `image` is."""
        return self.at if self.task == "complete" else -1

    @property
    def pinned(self) -> dict[int, PinnedFile]:
        """All pictures, by frame from 0."""
        pinned = {frame % self.num_frames: file for frame, file in self.conditions.items()}
        if self.image is not None:
            pinned[self.image_frame % self.num_frames] = PinnedFile(path=self.image)
        return dict(sorted(pinned.items()))


def run(config: PaintConfig) -> Summary:
    """Paint.

    Raises:
        UserError: if a picture cannot be read, the painter will not do, or memory is short.
    """
    if config.out.exists() and not config.out.is_dir():
        raise ConfigError("out", config.out, "a folder; this is a file")
    files = {frame: _read(file) for frame, file in config.pinned.items()}
    device = compute_device(config.device)
    import torch  # seconds: after what is refused at once

    from pipelines.painter import load_painter_pipeline

    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[config.dtype]
    pipeline, card = load_painter_pipeline(config.painter, dtype, device, config.loras)
    framing = _framing(config, card["size_px"])
    pictures = {frame: framing.apply(picture) for frame, picture in files.items()}
    frames, pieces = _painted(config, pipeline, framing, pictures, card["num_frames"])
    return _written(config, frames, pictures, pieces)


def _read(file: PinnedFile) -> NDArray[np.float32]:
    try:
        return decode(file.path.expanduser().read_bytes(), max_pixels=_MAX_PIXELS)
    except OSError as error:
        raise UserError(f"{file.path}: cannot be read ({error.strerror or error})") from error
    except RefusedPicture as error:
        raise UserError(f"{file.path}: not a picture that can be read ({error})") from error


def _framing(config: PaintConfig, trained_px: Sequence[int]) -> Framing:
    width, height = parse_size(config.size) if config.size is not None else (trained_px[1], trained_px[0])
    return Framing(height_px=height, width_px=width, fit=config.fit)


def _painted(
    config: PaintConfig,
    pipeline: "ProcessPainterPipeline",
    framing: Framing,
    pictures: Mapping[int, NDArray[np.float32]],
    trained_frames: int,
) -> tuple[NDArray[np.uint8], "Pieces | None"]:
    """(T, H, W, 3), and of what pieces they are where they are more frames than the painter was trained on."""
    import torch

    from pipelines.longer.in_between import LEAST_SLOTS, paint_long
    from pipelines.painter import PinnedPicture

    if config.num_frames > trained_frames < LEAST_SLOTS:
        raise ConfigError("num_frames", config.num_frames, f"2 to {trained_frames}, as the painter knows no more")

    cell = pipeline.cell_px
    if framing.height_px % cell or framing.width_px % cell:
        raise ConfigError("size", f"{framing.width_px}x{framing.height_px}", f"multiples of {cell}")
    pinned = [
        PinnedPicture(
            frame=frame,
            picture=torch.from_numpy(picture).permute(2, 0, 1),
            strength=config.pinned[frame].strength,
        )
        for frame, picture in pictures.items()
    ]
    paint = partial(
        pipeline,
        negative_prompt=config.negative,
        num_frames=min(config.num_frames, trained_frames),
        size_px=(framing.height_px, framing.width_px),
        steps=config.steps,
        guidance=config.guidance,
        network=config.network,
        inversion=config.inversion,
    )

    def paint_pieces(conditions: Sequence[Sequence[PinnedPicture]], **words: Any) -> torch.Tensor:
        return paint([config.prompt] * len(conditions), conditions, **words).frames

    pieces = None
    try:
        if config.num_frames > trained_frames:
            painted, pieces = paint_long(
                paint_pieces, config.num_frames, trained_frames, pinned, steps=config.steps, seed=config.seed
            )
        else:
            with Progress("painting", config.steps, 0, "steps") as shown:
                painted = paint([config.prompt], [pinned], seed=config.seed, on_step=partial(shown.advance, 1)).frames[
                    0
                ]
    except torch.OutOfMemoryError as error:
        raise UserError("out of memory on the GPU; try dtype=bf16, a smaller size, or fewer num_frames") from error
    frames: NDArray[np.uint8] = (painted * 255).round().byte().permute(0, 2, 3, 1).numpy()
    return frames, pieces


def _written(
    config: PaintConfig,
    frames: NDArray[np.uint8],
    pictures: Mapping[int, NDArray[np.float32]],
    pieces: "Pieces | None",
) -> Summary:
    from pipelines.longer.seams import measure_seams
    from pipelines.process_folder import PROVENANCE, ProcessFolder, adherence, progress

    first = config.at if config.task == "complete" else 0
    kept = [
        {"frame": frame, "strength": config.pinned[frame].strength, "picture": config.pinned[frame].path.name,
         **adherence(frames[frame], picture)}
        for frame, picture in pictures.items()
    ]  # fmt: skip
    seams = measure_seams(frames[first:], [seam - first for seam in pieces.seams if seam > first] if pieces else [])
    report = {
        "note": PROVENANCE,
        "task": config.task,
        "prompt": config.prompt,
        "negative": config.negative,
        "painter": config.painter.name,
        "loras": dict(config.loras),
        "seed": config.seed,
        "steps": config.steps,
        "guidance": config.guidance,
        "num_frames": config.num_frames,
        "first_frame": first,
        "size_px": list(frames.shape[1:3]),
        "fit": config.fit,
        "network": config.network,
        "inversion": config.inversion,
        "dtype": config.dtype,
        "conditions": kept,
        "progress": progress(frames[first:]),
        "pieces": None if pieces is None else {"sequences": pieces.sequences, "seams": asdict(seams)},
        "smoothing": config.smoothing,
        "source": None if config.image is None else hash_file(config.image.expanduser()),
        "code_version": version("process-painter"),
    }
    try:
        folder = ProcessFolder(root=config.out, frames_per_s=config.frames_per_s, lossless=config.lossless,
                               smoothing=config.smoothing)  # fmt: skip
        folder.write(frames[first:], report)
    except OSError as error:
        raise UserError(f"out={config.out}: {error.filename or config.out}: {error.strerror or error}") from error
    told = [
        f"  frame {one['frame']} keeps to {one['picture']}: PSNR {one['psnr_db']:.2f} dB, SSIM {one['ssim']:.3f}"
        for one in kept
    ]
    if pieces is not None:
        told.append(
            f"  {sum(pieces.sequences)} sequences on {len(pieces.sequences)} levels; steps at {seams.num} seams are "
            f"{seams.mean_ratio:.2f} times the median, at most {seams.max_ratio:.2f}"
        )
    return Summary(
        lines=(f"painted {len(frames) - first} frames: {config.out}", *told, f"look at it: {config.out / 'index.html'}")
    )


def paint_config(plain: dict[str, Any]) -> PaintConfig:
    """The typed configuration.

    Raises:
        UserError: naming the key, the value and what is allowed.
    """
    conditions = plain["conditions"] or {}
    if not isinstance(conditions, Mapping):
        raise ConfigError("conditions", conditions, "pictures by frame, as {0: sketch.png, -1: final.png}")
    pinned = {}
    for frame, file in conditions.items():
        try:
            number = int(frame)
        except ValueError:
            raise ConfigError("conditions", frame, "numbers of frames, as {0: sketch.png, -1: final.png}") from None
        if number in pinned:
            raise ConfigError("conditions", number, "each frame once")
        pinned[number] = file if isinstance(file, Mapping) else {"path": file}
    return typed(PaintConfig, {**plain, "conditions": pinned, "loras": plain["loras"] or {}})


if __name__ == "__main__":
    sys.exit(command("paint", paint_config, run, __doc__ or ""))
