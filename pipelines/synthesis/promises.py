"""Checks what a data set promises about each sequence: its record, its frames, and the painting that they show."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.synthesis.plan import in_val
from pipelines.synthesis.regions import region_faults
from pipelines.synthesis.sequence import NOTED, note_facts, record_of, step_captions
from renderers import families, renderer
from renderers.distance import canvas_distances
from renderers.family import Note, Renderer
from renderers.painting import Image, StrokeProgram, to_uint8
from training.data.dataset import DatasetCard
from training.data.encoded import Encoding, caption_key, embedding_of, encoding_of, latents_of
from training.data.layout import ARTIST, TEXT_SPLIT, caption_member
from training.data.manifest import ShardManifest, stored_hash, tar_path
from training.data.plain import parse_json
from training.data.remote import AnyPath
from training.data.sequence import StoredSequence, read_sequences

_LOSSLESS = ("webp", "png")
_JPEG_TOLERANCE = 32  # levels of 255 by which JPEG may change a pixel
_DISTANCE_TOLERANCE = 2e-3  # rounding of sums, and of 8-bit frames in which no octave is nearly empty


def shard_faults(root: AnyPath, manifest: ShardManifest, card: DatasetCard, *, replay: bool) -> Iterator[str]:
    """One line for each fault of a shard that is there, by `dataset_faults.tar_fault`.

    Raises:
        UserError: if the storage fails.
    """
    path = tar_path(root, manifest.name)
    if stored_hash(path) != manifest.sha256:
        yield f"{path}: not the bytes that were committed"
        return
    try:
        for number, sequence in enumerate(read_sequences(root, manifest)):
            for fault in _faults_of(sequence, number, manifest, card, replay=replay):
                yield f"{path}: {sequence.key}: {fault}"
    except ValueError as error:
        yield f"{path}: {error}"


def _faults_of(
    sequence: StoredSequence, number: int, manifest: ShardManifest, card: DatasetCard, *, replay: bool
) -> list[str]:
    """All faults of a sequence of any kind; unexpected content is a fault as well."""
    try:
        if manifest.split == TEXT_SPLIT:
            return list(_text_faults(sequence))
        record = manifest.records[number]
        encoding = encoding_of(card)
        if encoding is not None:  # the frames are checked in the data set that the latents were made from
            return list(_latent_faults(sequence, record, encoding))
        faults = record_faults(sequence, manifest, record)
        return [*faults, *sequence_faults(sequence, manifest, card, replay=replay)]
    except Exception as error:  # malformed content can raise any exception
        return [f"cannot be checked ({type(error).__name__}: {' '.join(str(error).split())})"]


def record_faults(sequence: StoredSequence, manifest: ShardManifest, record: Mapping[str, Any]) -> Iterator[str]:
    """Differences between the manifest's record of a sequence and the sequence itself."""
    stored = record_of(sequence.facts, sequence.caption) | {"split": manifest.split, "shard": manifest.name}
    for name in sorted({*stored, *record}):
        if name not in stored or name not in record or stored[name] != record[name]:
            yield f"the manifest's {name} is not the sequence's"


def _text_faults(sequence: StoredSequence) -> Iterator[str]:
    if caption_key(sequence.caption) != sequence.key or parse_json(sequence.members["json"]) != {"key": sequence.key}:
        yield "its key is not that of its caption"
    if not all(tensor.isfinite().all() for tensor in embedding_of(sequence).values()):
        yield "its embedding is not finite"


def _latent_faults(sequence: StoredSequence, record: Mapping[str, Any], encoding: Encoding) -> Iterator[str]:
    if sequence.caption != (record["caption"] or ""):
        yield "the manifest's caption is not the sequence's"
    if [frame["step"] for frame in sequence.facts["frames"]] != record["frame_steps"]:
        yield "the manifest's frame_steps is not the sequence's"
    mean, logvar = latents_of(sequence)
    if mean.shape != logvar.shape or len(mean) != (encoding.num_latents or sequence.num_frames):
        yield f"latents {tuple(mean.shape)} and {tuple(logvar.shape)} for {sequence.num_frames} frames"
    if not (mean.isfinite().all() and logvar.isfinite().all()):
        yield "its latents are not finite"


def sequence_faults(
    sequence: StoredSequence, manifest: ShardManifest, card: DatasetCard, *, replay: bool
) -> Iterator[str]:
    """All faults of one sequence, by the promises of a painting (docs/promises.md)."""
    facts = sequence.facts
    frames = sequence.frames()
    if in_val(facts["source"]["sha256"], card.recipe["val_fraction"]) != (manifest.split == "val"):
        yield "stands in the wrong split"
    if len(frames) != card.recipe["schedule"]["num_frames"]:
        yield f"{len(frames)} frames, {card.recipe['schedule']['num_frames']} planned"
    lossless = _is_lossless(card)
    if facts["frames"][-1]["step"] != facts["num_steps"]:
        yield "the last frame is not the finished painting"
    if facts["renderer"]["family"] == ARTIST:
        yield from _artist_faults(facts, frames if lossless else None)
        return
    if "strokes.npz" not in sequence.members:
        yield "no strokes.npz member"
        return
    program = StrokeProgram.from_bytes(sequence.members["strokes.npz"])
    tolerance = 0 if lossless else _JPEG_TOLERANCE
    if program.family not in families():
        yield f"no renderer '{program.family}' to replay it"
        return
    if program.family != facts["renderer"]["family"]:
        yield f"painted by {facts['renderer']['family']}, but its program is of {program.family}"
        return
    if [program.height_px, program.width_px] != facts["size_px"]:
        yield f"its program is of {program.height_px} x {program.width_px} px, its json of {facts['size_px']}"
        return
    if len(program.strokes) != facts["num_steps"]:
        yield f"its program has {len(program.strokes)} steps, its json {facts['num_steps']}"
        return
    steps = [frame["step"] for frame in facts["frames"]]
    if steps != sorted(steps):
        yield "the frames are not in the order of their steps"
        return
    notes = renderer(program.family).notes(program, steps)
    (blank_canvas,) = renderer(program.family).replay(program, [0])
    blank = to_uint8(blank_canvas)
    if _largest_difference(frames[0], blank) > tolerance:
        yield "the first frame is not the blank canvas"
    yield from _frame_faults(program, facts, frames, notes, card, replay=replay)
    yield from _note_faults(sequence, notes)
    if "regions" in facts:
        yield from region_faults(sequence, program, frames, tolerance)


def _frame_faults(
    program: StrokeProgram, facts: Mapping[str, Any], frames: Any, notes: Sequence[Note] | None, card: DatasetCard, *,
    replay: bool,
) -> Iterator[str]:  # fmt: skip
    """Faults of frames: not what the program paints, receding from the finished one, or not as far as the json says.

    Frames are chosen by the distances of exact canvases. If a canvas hardly differs from the blank one in some octave
    or region, rounding to 8 bits changes its distance by far more than the step to the next frame does. So distances
    are computed from the canvases that the program paints; without `replay`, only where stored frames seem to recede.
    """
    stored = [frame["distance"] for frame in facts["frames"]]
    tolerance = _device_tolerance(facts) if _is_lossless(card) else _JPEG_TOLERANCE
    rise = None if replay else _rise_of_frames(program, frames, notes, card)
    if replay or rise is not None:
        painted = list(renderer(program.family).replay(program, [frame["step"] for frame in facts["frames"]]))
        differing = _first_differing(frames, painted, tolerance)
        if differing is not None:
            yield f"frame {differing} is not what its program paints"
            rise = _rise_of_frames(program, frames, notes, card)
        else:
            distances = renderer(program.family).distances(program, painted)
            rise = _first_rise(distances, notes, card)
            if _are_distances_exact(program, facts) and np.abs(distances - stored).max() > _DISTANCE_TOLERANCE:
                yield "the frames are not as far from the finished painting as its json says"
    if rise is not None:
        yield f"the distance to the finished canvas rises at frame {rise}"


def _rise_of_frames(
    program: StrokeProgram, frames: Any, notes: Sequence[Note] | None, card: DatasetCard
) -> int | None:  # fmt: skip
    """The first frame that seems to recede by its 8-bit pixels; None if none does, or frames are stored with loss."""
    if not _is_lossless(card):
        return None
    canvases = [frame / np.float32(255) for frame in frames]
    return _first_rise(renderer(program.family).distances(program, canvases), notes, card)


def _first_rise(distances: NDArray[np.float64], notes: Sequence[Note] | None, card: DatasetCard) -> int | None:
    """The first frame that is farther from the finished one than the frame before without a reason; None if none is."""
    if card.recipe["schedule"]["spacing"] != "distance":
        return None
    rises = np.diff(distances) > _DISTANCE_TOLERANCE
    if notes is not None:
        rises &= [not note.receding for note in notes[1:]]
    return int(np.argmax(rises)) + 1 if rises.any() else None


def _are_distances_exact(program: StrokeProgram, facts: Mapping[str, Any]) -> bool:
    """Whether the json's distances were measured on the canvases that are replayed here: same device, full size.

    Families with a distance of their own may measure it on smaller canvases while they paint, as `region` does.
    """
    return not _device_tolerance(facts) and type(renderer(program.family)).distances is Renderer.distances


def _is_lossless(card: DatasetCard) -> bool:
    return card.recipe["frame_format"] in _LOSSLESS


def _note_faults(sequence: StoredSequence, notes: Sequence[Note] | None) -> Iterator[str]:
    """Frames whose json or caption does not match what the program does at their steps."""
    frames = sequence.facts["frames"]
    for number, frame in enumerate(frames):
        expected = {} if notes is None else note_facts(notes[number])
        if {key: frame[key] for key in NOTED if key in frame} != expected:
            yield f"frame {number} is not at the phase or the object that its json gives"
            return
    texts = [sequence.members.get(caption_member(number, len(frames))) for number in range(len(frames))]
    if any(text is not None for text in texts):
        expected_texts = step_captions(sequence.caption, len(frames), notes)
        if texts != [text.encode() for text in expected_texts]:
            yield "the captions of its frames do not tell what its program does"


def _device_tolerance(facts: Mapping[str, Any]) -> int:
    """Levels of 255 by which a replay on this CPU may differ: 0, or 1 if another device painted the sequence."""
    return 0 if facts["renderer"]["config"].get("device", "cpu") == "cpu" else 1


def _artist_faults(facts: dict[str, Any], frames: Any | None) -> Iterator[str]:
    """Faults of an artist's sequence. It has no strokes to replay, and its distance may rise, as artists paint over.

    Args:
        facts: the json member of the sequence.
        frames: None if they were stored with loss, so that distances cannot be computed again.
    """
    steps = [frame["step"] for frame in facts["frames"]]
    if steps != sorted(set(steps)):
        yield "the frames are not in the order of time"
    if frames is None:
        return
    canvases = [frame / np.float32(255) for frame in frames]
    stored_distances = [frame["distance"] for frame in facts["frames"]]
    if np.abs(canvas_distances(canvases, canvases[0]) - stored_distances).max() > _DISTANCE_TOLERANCE:
        yield "the frames are not as far from the finished painting as its json says"


def _first_differing(frames: Any, canvases: Sequence[Image], tolerance: int) -> int | None:
    """Number of the first frame that differs from its canvas by more than `tolerance` levels of 255."""
    for number, (frame, canvas) in enumerate(zip(frames, canvases, strict=True)):
        if _largest_difference(frame, to_uint8(canvas)) > tolerance:
            return number
    return None


def _largest_difference(one: Any, two: Any) -> int:
    return int(np.abs(one.astype(np.int16) - two.astype(np.int16)).max())
