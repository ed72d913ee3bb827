"""Reads and treats one sequence of an artist, and chooses and encodes its key frames."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pipelines.artists.alignment import straightened
from pipelines.artists.borders import without_mats
from pipelines.artists.cells import laid_together
from pipelines.artists.cleaning import cleaned
from pipelines.artists.config import CaptionConfig, TreatmentConfig
from pipelines.artists.drawings import read_drawing
from pipelines.artists.fades import without_fades
from pipelines.artists.find import Layout, content_hash, files_of
from pipelines.artists.footage import Footage, Frame, unit
from pipelines.artists.frames import read_frames
from pipelines.artists.grid import GridConfig, read_grid
from pipelines.artists.hands import MaskConfig
from pipelines.artists.hdf5 import read_archive
from pipelines.artists.keyframes import key_moments
from pipelines.artists.layers.reading import read_layers
from pipelines.artists.procreate import PROCREATE, read_procreate
from pipelines.artists.shots import is_one_still, longest_shot, without_pauses
from pipelines.artists.video import read_video
from pipelines.sources.framing import Framing
from pipelines.sources.source import RefusedPicture, SourceEntry
from pipelines.sources.stored import ending
from pipelines.synthesis.plan import PlannedSequence
from pipelines.synthesis.sequence import Made, Stopwatch, encode_frame, record_of
from renderers.painting import FrameSchedule, to_uint8
from renderers.quality import coverage, progress_violation
from training.data.layout import ARTIST, FrameFormat, before_member, frame_member
from training.data.manifest import to_json
from training.data.remote import AnyPath

_READERS = {"video": read_video, "layers": read_layers, "hdf5": read_archive}
"""Layout -> reader of sequences that are one file."""

_LEAST_CANDIDATES = 64  # moments that are cleaned and from which key frames are chosen; at least 4 for each frame too


@dataclass(frozen=True, kw_only=True)
class IngestSettings:
    """The settings of all shards of a run of `pipelines.ingest`."""

    root: AnyPath
    layout: Layout
    grid: GridConfig
    treatment: TreatmentConfig
    mask: MaskConfig
    caption: CaptionConfig
    framing: Framing
    schedule: FrameSchedule
    frame_format: FrameFormat
    config_hash: str
    code_version: str

    def make(self, sequence: PlannedSequence, watch: Stopwatch) -> Made:
        """Ingest one sequence.

        Raises:
            RefusedPicture: if it cannot be read, or is not a sequence; the message says why.
            StorageFault: if the storage fails.
        """
        footage = self.read(sequence.entry)
        watch.lap("load")
        footage, distances = self.key_frames(footage)
        seconds = watch.lap("paint")
        facts = self._facts(sequence, footage, distances)
        caption = self.caption.of(sequence.entry)
        members = {"txt": caption.encode(), "json": to_json(facts).encode()}
        for stored, frame, before in zip(facts["frames"], footage.frames, footage.before, strict=True):
            members[stored["member"]] = encode_frame(frame, self.frame_format)
            members[stored["before"]] = encode_frame(self._whole(before), "jpg")
        watch.lap("encode")
        return members, record_of(facts, caption), seconds

    def seed_of(self, sequence: PlannedSequence) -> None:
        """None, since ingesting needs no random numbers."""

    def read(self, entry: SourceEntry) -> Footage:
        """The frames of a sequence as they are stored.

        Raises:
            RefusedPicture, StorageFault: as `make`.
        """
        entry.check()
        canvas_px = max(self.framing.height_px, self.framing.width_px)
        num_frames = range(self.schedule.num_frames, self.treatment.max_frames + 1)
        if self.layout == "drawings":
            return read_drawing(entry, canvas_px, num_frames)
        filesystem, folder, names = files_of(entry, self.layout)
        if content_hash(filesystem, folder, names) != entry.sha256:
            raise RefusedPicture("changed since the run was planned")
        if self.layout == "grid":
            return read_grid(entry.locator, self.grid, entry.caption or "")
        if self.layout == "frames":
            return read_frames(entry.locator, names, canvas_px, num_frames)
        read = read_procreate if ending(entry.locator) == PROCREATE else _READERS[self.layout]
        return read(entry.locator, canvas_px, num_frames)

    def key_frames(self, footage: Footage) -> tuple[Footage, list[float]]:
        """T treated frames of the canvas's size, and the distance of each from the last.

        Raises:
            RefusedPicture: if there are fewer than T frames, or all of them look the same.
        """
        treatment, layout = self.treatment, self.layout
        self._refuse_short(footage, "frames")
        if is_one_still(footage.frames):
            raise RefusedPicture("one still picture: nothing is painted in it")
        if layout == "video":
            footage = without_fades(longest_shot(footage))
            self._refuse_short(footage, "frames in its longest shot")
            footage = without_pauses(footage, treatment.window)
        if treatment.does("trim", layout):
            footage = without_mats(footage)
        if treatment.does("straighten", layout):
            footage = laid_together(footage) if layout == "grid" else straightened(footage)
            if layout == "grid" and treatment.does("trim", layout):
                footage = without_mats(footage)  # removes the rest of mats that were displaced before
        footage = footage.changed([self._framed(frame) for frame in footage.frames])
        if treatment.does("clean", layout):
            footage = self._cleaned(footage)
        footage = footage.moments()
        self._refuse_short(footage, "frames that differ")
        if is_one_still(footage.frames):
            raise RefusedPicture("one still picture: nothing is painted in it")
        canvases = [unit(frame) for frame in footage.frames]
        places, distances = key_moments(canvases, self.schedule)
        return footage.chosen(places), [round(float(distances[place]), 6) for place in places]

    def _cleaned(self, footage: Footage) -> Footage:
        """The footage without hands and tools; where a network finds them, frames do not vote."""
        candidates, window = self._candidates(len(footage)), self.treatment.window
        if self.mask.model is None:
            return cleaned(footage, candidates, window)
        firsts = {number: place for place, number in reversed(list(enumerate(footage.numbers)))}
        masks = dict(zip(firsts, self.mask.masks([footage.frames[place] for place in firsts.values()]), strict=True))
        covered = [masks[number] for number in footage.numbers]
        shares = [round(float(mask.mean()), 4) for mask in masks.values()]
        return cleaned(footage, candidates, window, covered).noted(masked_share=round(float(np.mean(shares)), 4))

    def _refuse_short(self, footage: Footage, what: str) -> None:
        if footage.num_moments < self.schedule.num_frames:
            raise RefusedPicture(f"{footage.num_moments} {what}, fewer than num_frames={self.schedule.num_frames}")

    def _candidates(self, count: int) -> list[int]:
        num_candidates = min(count, max(_LEAST_CANDIDATES, 4 * self.schedule.num_frames))
        return sorted({round(place) for place in np.linspace(0, count - 1, num_candidates).tolist()})

    def _framed(self, frame: Frame) -> Frame:
        return to_uint8(self.framing.apply(unit(frame)))

    def _whole(self, frame: Frame) -> Frame:
        """A frame at the size of the canvas, padded instead of cropped."""
        pad = Framing(height_px=self.framing.height_px, width_px=self.framing.width_px, fit="pad")
        return to_uint8(pad.apply(unit(frame)))

    def _facts(self, sequence: PlannedSequence, footage: Footage, distances: list[float]) -> dict[str, Any]:
        entry, count = sequence.entry, len(footage)
        config = {"layout": self.layout, "grid": asdict(self.grid), **asdict(self.treatment)}
        frames = [
            {
                "member": frame_member(number, count, self.frame_format),
                "before": before_member(number, count),
                "step": step,
                "distance": distance,
            }
            for number, (step, distance) in enumerate(zip(footage.numbers, distances, strict=True))
        ]
        return {
            "key": sequence.key,
            "index": sequence.index,
            "source": {"id": entry.id, "sha256": entry.sha256, "licence": entry.licence},
            "renderer": {
                "name": ARTIST,
                "family": ARTIST,
                "phrase": self.caption.trigger or "",
                "config": config,
                "config_hash": hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest(),
            },
            "seed": None,
            "size_px": [self.framing.height_px, self.framing.width_px],
            "num_steps": footage.numbers[-1],
            "frames": frames,
            "footage": dict(footage.notes),
            "metrics": {
                "psnr_db": None,  # there is no source image to compare with
                "ssim": None,
                "coverage": [round(coverage(frame, footage.frames[0]), 5) for frame in footage.frames],
                "distance": distances,
                "progress_violation": round(progress_violation(distances), 6),
            },
        }
