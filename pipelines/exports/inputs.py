"""Reads processes to export: sequences of a data set, folders of `paint`, or pictures that a renderer paints."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np
from numpy.typing import NDArray

from conf.errors import ConfigError, UserError
from conf.printable import printable
from conf.value import SourceLocation, is_url
from pipelines.exports.process import Frame, Process
from pipelines.inference.own_files import PROVENANCE, REPORT, read_report
from pipelines.synthesis.renderer_choice import RendererChoice
from pipelines.synthesis.run_config import ClusterConfig
from renderers.family import Renderer
from renderers.painting import FrameSchedule, StrokeProgram, to_uint8
from renderers.stored_picture import decoded
from training.data.dataset import read_card, read_manifests
from training.data.encoded import encoding_of
from training.data.manifest import tar_path
from training.data.retries import retried
from training.data.sequence import StoredSequence, read_span

_MOST_PIXELS = 2**28  # of all frames together, which take 800 MB
_NAMED_KEYS = 5  # keys that an error message lists
_FRAMES_OF_PICTURE = 8


@dataclass(frozen=True, kw_only=True)
class Replay:
    """How frames are replayed from strokes.

    Attributes:
        num_frames: number of frames; None for as many as are stored, or 8 for a picture.
        size: long side in px; None for the stored size.
    """

    num_frames: int | None
    size: int | None

    def __post_init__(self) -> None:
        if self.num_frames is not None and not 2 <= self.num_frames <= 256:
            raise ConfigError("num_frames", self.num_frames, "2 to 256")
        if self.size is not None and not 64 <= self.size <= 4096:
            raise ConfigError("size", self.size, "64 to 4096")

    @property
    def as_stored(self) -> bool:
        """Whether the stored frames will do, as neither a number nor a size is set."""
        return self.num_frames is self.size is None

    def refuse(self, why: str) -> None:
        """Raise ConfigError, naming the key, if a number or a size is set, which only strokes can give."""
        for key, value in vars(self).items():
            if value is not None:
                raise ConfigError(key, value, f"null: {why}, so frames are exported as they are")

    def frames(
        self,
        program: StrokeProgram,
        family: Renderer,
        stored_steps: Sequence[int],
        on_frame: Callable[[], None] | None = None,
    ) -> tuple[Frame, ...]:
        """Frames replayed from strokes, at the pace of the stored frames; `on_frame` is called after each."""
        count = self.num_frames or len(stored_steps)
        places = np.linspace(0, len(stored_steps) - 1, count)
        steps = [round(float(step)) for step in np.interp(places, np.arange(len(stored_steps)), stored_steps)]
        scale = (self.size or max(program.height_px, program.width_px)) / max(program.height_px, program.width_px)
        height, width = (max(1, round(side * scale)) for side in (program.height_px, program.width_px))
        if count * height * width > _MOST_PIXELS:
            key, value = ("num_frames", self.num_frames) if self.size is None else ("size", self.size)
            raise ConfigError(key, value, f"less: {count} frames of {width}x{height} px are too many at once")
        pictures = (to_uint8(canvas) for canvas in family.replay(program, steps, (height, width)))
        return _with_notes(pictures, program, family, steps, on_frame)


def _with_notes(
    pictures: Iterable[NDArray[np.uint8]],
    program: StrokeProgram,
    family: Renderer,
    steps: Sequence[int],
    on_frame: Callable[[], None] | None = None,
) -> tuple[Frame, ...]:
    """Frames of a program's canvases after some steps, with what was being done; `on_frame` is called after each."""
    notes, frames = family.notes(program, steps), list[Frame]()
    for number, (step, picture) in enumerate(zip(steps, pictures, strict=True)):
        phase, doing = (notes[number].phase, printable(notes[number].doing)) if notes else ("", "")
        frames.append(Frame(picture=picture, step=step, phase=phase, doing=doing))
        if on_frame is not None:
            on_frame()
    return tuple(frames)


def from_dataset(root: Path, key: str, replay: Replay) -> Process:
    """One sequence of a data set.

    Raises:
        UserError: if there is no such data set or sequence, or it is damaged.
    """
    sequence, record = _stored_sequence(root, key)
    try:
        facts = sequence.facts
        program = _program(sequence)
        if program is None:
            replay.refuse(f"sequence {key} has no strokes")
        if program is None or replay.as_stored:
            frames = _stored_frames(sequence, program is not None)
        else:
            steps = [int(frame["step"]) for frame in facts["frames"]]
            frames = replay.frames(program, _family(program), steps)
    except ValueError as error:
        raise UserError(f"dataset={root}: sequence {key}: {error}; run python -m pipelines.verify") from error
    credit = f"licence {record['licence'] or 'unknown'}, source {record['source']}"
    return Process(
        name=key, caption=printable(sequence.caption), credit=printable(credit), frames=frames, program=program
    )


def _stored_sequence(root: Path, key: str) -> tuple[StoredSequence, Mapping[str, Any]]:
    """A sequence, and its row of the manifest."""
    card = read_card(root)
    if encoding_of(card) is not None:
        raise UserError(f"dataset={root}: holds latents; export the data set of frames that they were made of")
    keys: list[str] = []
    try:
        for manifest in read_manifests(root, card.shards):
            keys += islice((span.key for span in manifest.samples), _NAMED_KEYS - len(keys))
            for span, record in zip(manifest.samples, manifest.records, strict=True):
                if span.key == key:
                    path = tar_path(root, manifest.name)
                    return read_span(span, retried(path, partial(_read, path, span.offset, span.length))), record
    except (ValueError, KeyError, OSError) as error:
        raise UserError(f"dataset={root}: {error}; run python -m pipelines.verify dataset={root}") from error
    raise ConfigError("key", key, f"one of {', '.join(keys)}, ..." if keys else "none yet: no shard is committed")


def _read(path: Path, offset: int, length: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(length)


def _stored_frames(sequence: StoredSequence, has_strokes: bool) -> tuple[Frame, ...]:
    return tuple(
        Frame(
            picture=sequence.frame(number),
            step=int(frame["step"]) if has_strokes else None,
            phase=printable(str(frame.get("phase") or "")),
            doing=printable(str(frame.get("doing") or "")),
        )
        for number, frame in enumerate(sequence.facts["frames"])
    )


def _program(sequence: StoredSequence) -> StrokeProgram | None:
    if "strokes.npz" not in sequence.members:
        return None
    return StrokeProgram.from_bytes(sequence.members["strokes.npz"])


def _family(program: StrokeProgram) -> Renderer:
    from renderers import renderer

    return renderer(program.family)


def from_painting(root: Path, replay: Replay) -> Process:
    """The process in an output folder of `paint`.

    Raises:
        UserError: if the folder holds no process or a damaged one, or if a number or size of frames is set and the
            process has no strokes.
    """
    try:
        report: dict[str, Any] = read_report(root)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise UserError(f"painting={root}: not an output folder of pipelines.paint (no {REPORT})") from None
    except ValueError as error:
        raise UserError(f"painting={root}: {error}") from error
    program: StrokeProgram | None = None
    if "strokes" in report:
        try:
            program, frames = _executed(root, report, replay)
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"painting={root}: {error}; paint it again") from error
    else:
        replay.refuse(f"{root.resolve().name} was painted without execution=strokes")
        frames = tuple(Frame(picture=picture) for picture in _painted(root, report))
    return Process(
        name=printable(root.resolve().name),
        caption=printable(str(report.get("prompt") or "")),
        credit=PROVENANCE,
        frames=frames,
        program=program,
    )


def _executed(root: Path, report: Mapping[str, Any], replay: Replay) -> tuple[StrokeProgram, tuple[Frame, ...]]:
    """The strokes of a process, and its frames.

    Raises:
        ValueError, KeyError, TypeError: if the strokes or what the report says of them is damaged.
    """
    steps: Sequence[int] = report["strokes"]["steps"]
    path = root / "strokes.npz"
    program = StrokeProgram.from_bytes(retried(path, path.read_bytes))
    family = _family(program)
    if replay.as_stored:
        return program, _with_notes(_painted(root, report), program, family, steps)
    return program, replay.frames(program, family, steps)


def _painted(root: Path, report: Mapping[str, Any]) -> list[NDArray[np.uint8]]:
    """The frames of a process, all of the same size. Reports of the first versions do not list them."""
    listed = [root / name for name in report.get("files", ()) if name.startswith("frames/")]
    paths = sorted(listed or (root / "frames").glob("[0-9]*.png"))
    if not paths:
        raise UserError(f"painting={root}: no frames/*.png")
    pictures: list[NDArray[np.uint8]] = []
    for path in paths:
        picture = decoded(retried(path, path.read_bytes), cv2.IMREAD_COLOR_RGB)
        if picture is None or (pictures and picture.shape != pictures[0].shape):
            raise UserError(f"{path}: not a picture, or of another size than the first")
        pictures.append(np.asarray(picture, np.uint8))
    return pictures


def from_picture(picture: SourceLocation, choice: RendererChoice, canvas_px: int, seed: int, replay: Replay) -> Process:
    """A picture as a renderer paints it.

    Raises:
        UserError: if the picture cannot be read or is too slender.
    """
    from pipelines.sources.picture_file import read_picture

    image = read_picture(picture, choice.ground, "picture")
    # Without a URL's query, which may hold credentials: the name is written into files and file names.
    name = PurePosixPath(urlsplit(picture).path if is_url(picture) else picture).name
    return from_image(image, PurePosixPath(name).stem, name, choice, canvas_px, seed, replay)


def from_image(
    image: NDArray[np.float32],
    name: str,
    origin: str,
    choice: RendererChoice,
    canvas_px: int,
    seed: int,
    replay: Replay,
    on_frame: Callable[[], None] | None = None,
) -> Process:
    """A picture in memory as a renderer paints it.

    Args:
        image: (H, W, 3) in [0, 1].
        name: name of the process, with which its caption begins.
        origin: name of the picture, for the credit and for messages.
        choice, canvas_px, seed, replay: as for `from_picture`.
        on_frame: called after each frame.

    Raises:
        UserError: if the picture is too slender, or does not suit the renderer's keys.
    """
    from pipelines.film import canvas_of
    from pipelines.kernels import compile_kernels

    choice.refuse_labels()
    compile_kernels({choice.family}, ClusterConfig(kind="inline"))
    canvas = canvas_of(image, canvas_px, origin)
    painting = choice.paint(canvas, seed)
    schedule = FrameSchedule(num_frames=replay.num_frames or _FRAMES_OF_PICTURE)
    steps = schedule.steps(painting.left)
    subject = name.replace("_", " ")
    return Process(
        name=name,
        caption=printable(f"{subject}, {choice.phrase}" if choice.phrase else subject),
        credit=printable(f"painted from {origin} by process-painter"),
        frames=replay.frames(painting.program, choice.renderer, steps, on_frame),
        program=painting.program,
    )
