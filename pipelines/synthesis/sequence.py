"""One sequence of a data set: painted, measured, and turned into the members of a WebDataset sample."""

import hashlib
import io
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from pipelines.sources.framing import Framing
from pipelines.sources.source import Picture, Source
from pipelines.synthesis.painted import Painted, paint_sequence, spawn_key
from pipelines.synthesis.plan import PlannedSequence
from pipelines.synthesis.regions import label_map_bytes, region_facts
from pipelines.synthesis.renderer_choice import RendererChoice
from renderers.family import Note
from renderers.painting import FrameSchedule, Painting
from renderers.quality import sequence_quality
from training.data.layout import FrameFormat, caption_member, frame_member
from training.data.manifest import to_json
from training.data.remote import AnyPath

NOTED = ("phase", "object", "doing", "receding")
"""Entries in the json of a frame about the process, for renderers with phases; see `renderers.family.Note`."""


class Stopwatch:
    """Wall seconds by phase."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, phase: str) -> float:
        """Add the time since the last lap to a phase, and return it."""
        now = time.perf_counter()
        elapsed, self._last = now - self._last, now
        self.seconds[phase] = self.seconds.get(phase, 0.0) + elapsed
        return elapsed


Made = tuple[dict[str, bytes], dict[str, Any], float]
"""The members of a WebDataset sample, its row for `samples.parquet`, and the seconds it took."""


@dataclass(frozen=True, kw_only=True)
class RenderSettings:
    """The settings of all shards of a synthesis run."""

    root: AnyPath
    source: Source
    renderers: tuple[RendererChoice, ...]
    framing: Framing
    schedule: FrameSchedule
    frame_format: FrameFormat
    seed: int
    config_hash: str
    code_version: str
    step_captions: bool = False

    def make(self, sequence: PlannedSequence, watch: Stopwatch) -> Made:
        """Paint one sequence."""
        return render_sequence(sequence, self, watch)

    def seed_of(self, sequence: PlannedSequence) -> dict[str, Any]:
        """The seed of all random numbers of a sequence."""
        return {"root": self.seed, "spawn_key": list(spawn_key(sequence))}


def render_sequence(
    sequence: PlannedSequence, settings: RenderSettings, watch: Stopwatch, painted: Painted | None = None
) -> Made:
    """Paint one sequence.

    Args:
        painted: the sequence's painting, if it was painted in a batch already.

    Raises:
        RefusedPicture: if the source cannot give the picture.
    """
    choice = settings.renderers[sequence.renderer]
    painted = painted or paint_sequence(sequence, settings, watch)
    picture, painting, steps, frames = painted.picture, painted.painting, painted.steps, painted.frames
    distances = painting.distances[list(steps)]
    metrics = sequence_quality(frames, picture.image, [float(distance) for distance in distances])
    watch.lap("metrics")
    members = {
        frame_member(number, len(frames), settings.frame_format): encode_frame(frame, settings.frame_format)
        for number, frame in enumerate(frames)
    }
    notes = choice.renderer.notes(painting.program, steps)
    facts = _facts(sequence, settings, choice, painting, steps, metrics, notes)
    caption = caption_of(sequence, choice)
    members["txt"] = caption.encode()
    if settings.step_captions:
        for number, text in enumerate(step_captions(caption, len(frames), notes)):
            members[caption_member(number, len(frames))] = text.encode()
    members["json"] = to_json(facts).encode()
    members["strokes.npz"] = painting.program.to_bytes()
    if painting.regions is not None:
        members["regions.png"] = label_map_bytes(painting.regions.labels)
    if picture.truth is not None:
        members["truth.npz"] = _truth_bytes(picture)
    watch.lap("encode")
    return members, record_of(facts, caption), painted.seconds


def caption_of(sequence: PlannedSequence, choice: RendererChoice) -> str:
    """The picture's caption and the method phrase; empty when the source has no caption."""
    if not sequence.entry.caption:
        return ""
    return f"{sequence.entry.caption}, {choice.phrase}" if choice.phrase else sequence.entry.caption


def step_captions(caption: str, num_frames: int, notes: Sequence[Note] | None) -> list[str]:
    """A text for each frame: the caption and what is being done; the caption alone if the renderer has no notes."""
    if notes is None:
        return [caption] * num_frames
    return [f"{caption}, {note.doing}" if caption else note.doing for note in notes]


def encode_frame(frame: NDArray[np.uint8], frame_format: FrameFormat) -> bytes:
    """One (H, W, 3) uint8 frame as a file.

    Lossless WebP is written at its fastest, in 2 ms a frame; its default effort takes 30 ms and saves a seventh.
    """
    buffer = io.BytesIO()
    image = PillowImage.fromarray(frame)
    if frame_format == "webp":
        image.save(buffer, "WEBP", lossless=True, method=0, quality=25)
    elif frame_format == "png":
        image.save(buffer, "PNG", compress_level=3)
    else:
        image.save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


def _facts(
    sequence: PlannedSequence, settings: RenderSettings, choice: RendererChoice, painting: Painting,
    steps: tuple[int, ...], metrics: dict[str, Any], notes: Sequence[Note] | None,
) -> dict[str, Any]:  # fmt: skip
    config = choice.plain_config()
    return {
        "key": sequence.key,
        "index": sequence.index,
        "source": {"id": sequence.entry.id, "sha256": sequence.entry.sha256, "licence": sequence.entry.licence},
        "renderer": {
            "name": choice.name,
            "family": choice.family,
            "phrase": choice.phrase,
            "config": config,
            "config_hash": hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest(),
        },
        "seed": settings.seed_of(sequence),
        "size_px": [settings.framing.height_px, settings.framing.width_px],
        "num_steps": len(painting.distances) - 1,
        "frames": [
            {
                "member": frame_member(number, len(steps), settings.frame_format),
                "step": step,
                "distance": distance,
                **({} if notes is None else note_facts(notes[number])),
            }
            for number, (step, distance) in enumerate(zip(steps, metrics["distance"], strict=True))
        ],
        "metrics": metrics,
        **({} if painting.regions is None else {"regions": region_facts(painting.regions)}),
    }


def note_facts(note: Note) -> dict[str, Any]:
    """The entries about the process in the json of a frame."""
    return dict(zip(NOTED, (note.phase, note.thing, note.doing, note.receding), strict=True))


def record_of(facts: dict[str, Any], caption: str) -> dict[str, Any]:
    """The row of a sequence for `samples.parquet`, from its json member."""
    return {
        "key": facts["key"],
        "index": facts["index"],
        "source": facts["source"]["id"],
        "source_sha256": facts["source"]["sha256"],
        "licence": facts["source"]["licence"],
        "caption": caption,
        "renderer": facts["renderer"]["name"],
        "renderer_config_hash": facts["renderer"]["config_hash"],
        "seed": facts["seed"]["root"] if facts["seed"] else None,
        "num_steps": facts["num_steps"],
        "frame_steps": [frame["step"] for frame in facts["frames"]],
        **facts["metrics"],
    }


def _truth_bytes(picture: Picture) -> bytes:
    """Ground truth of a generated picture, without pickle."""
    truth = picture.truth
    assert truth is not None
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        labels=truth.labels.astype("<u2"),
        names=np.array(truth.names),
        depth_order=np.array(truth.depth_order, "<i4"),
        saliency_order=np.array(truth.saliency_order, "<i4"),
    )
    return buffer.getvalue()
