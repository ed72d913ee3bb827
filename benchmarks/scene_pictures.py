"""Pictures of scenes, with what is in them: which kinds of things, and the colour of each.

Finished frames are those of data sets of scenes, which are composed again from their source ids; drawings are of scenes
that nothing else uses, with each subject equally often. Captions are not used.
"""

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pipelines.sources.scenes.composition import KINDS as SCENE_KINDS
from pipelines.sources.scenes.composition import compose
from pipelines.sources.scenes.description import Scene, Thing
from pipelines.sources.scenes.drawing import draw
from pipelines.sources.scenes.palette import COLOURS
from pipelines.sources.scenes.portrait import portrait
from pipelines.sources.scenes.source import ScenesSource
from renderers.painting import to_uint8
from training.data.split import open_split

SUBJECTS = (
    "house", "barn", "church", "tower", "lighthouse", "windmill", "sailboat", "rowing boat", "person", "dog", "cat",
    "horse", "cow", "sheep", "tree", "pine tree", "bush", "bottle", "vase", "bowl", "jug", "cup", "candle",
)  # fmt: skip
"""Kinds of things that can be the subject of a scene. Fruit cannot, because there is always a vessel beside it."""

NO_COLOUR = -1  # label of a kind that is absent, or present in several colours
_DRAWN_SERIES = 90_001  # series of scenes that nothing else uses
_READ_PX = 64


@dataclass(frozen=True)
class Subject:
    """The subject of a scene: a kind of `SUBJECTS`, and its colour word."""

    kind: str
    colour: str


def main_thing(scene: Scene) -> Thing | None:
    """The thing that draws the eye most.

    The composition lists its subject first; among several things of that kind, the tallest counts. A landscape without
    a boat has no subject, so its tallest thing of any kind counts.
    """
    if not scene.things:
        return None
    first = scene.things[0]
    alike = [thing for thing in scene.things if thing.kind == first.kind]
    no_subject = scene.kind == "landscape" and "boat" not in first.kind
    return max(scene.things if no_subject else alike, key=lambda thing: thing.size)


def subject_of(scene: Scene) -> Subject | None:
    """Kind and colour of the main thing; None if things of its kind differ in colour, so that none is *the* house.

    The colour is the thing's own, said by an adjective or implied by its noun (`description.promised_colour`).
    """
    thing = main_thing(scene)
    if thing is None or len({other.colour for other in scene.things if other.kind == thing.kind}) > 1:
        return None
    return Subject(thing.kind, thing.colour)


def labels_of(scene: Scene) -> NDArray[np.int64]:
    """(K, 2): for each of `SUBJECTS`, 1 if it is present, else 0; and the number of its colour, or -1."""
    labels = np.full((len(SUBJECTS), 2), (0, NO_COLOUR), np.int64)
    for number, kind in enumerate(SUBJECTS):
        colours = {thing.colour for thing in scene.things if thing.kind == kind}
        if colours:
            labels[number] = 1, COLOURS.index(colours.pop()) if len(colours) == 1 else NO_COLOUR
    return labels


def scene_of(source_id: str, kinds: tuple[str, ...] = SCENE_KINDS) -> Scene:
    """The scene that a sequence shows, by the id of its source.

    The id is `scenes/<seed>/<index>`, followed by `/alone` if one thing stands alone, and by `/<thing>` if the source
    was asked for that thing.

    Raises:
        ValueError: if the id is not that of a scene.
    """
    match = re.fullmatch(r"scenes/(\d+)/(\d+)(/alone(?:/([a-z-]+))?)?", source_id)
    if match is None:
        raise ValueError(f"{source_id}: not the id of a scene")
    subjects = None if match[4] is None else (match[4].replace("-", " "),)
    source = ScenesSource(seed=int(match[1]), kinds=kinds, alone=match[3] is not None, subjects=subjects)
    return source.scene(int(match[2]))


@dataclass(frozen=True, kw_only=True)
class ScenePictures:
    """Pictures and the scenes they show.

    Attributes:
        pictures: (N, 3, H, W) uint8.
        scenes: (N,).
    """

    pictures: Tensor
    scenes: Sequence[Scene]

    def __len__(self) -> int:
        return len(self.scenes)

    def of(self, numbers: Sequence[int]) -> "ScenePictures":
        """The pictures and scenes with these numbers."""
        return ScenePictures(pictures=self.pictures[list(numbers)], scenes=[self.scenes[number] for number in numbers])

    @property
    def labels(self) -> Tensor:
        """(N, K, 2), see `labels_of`."""
        return torch.from_numpy(np.stack([labels_of(scene) for scene in self.scenes]))


def joined(parts: Sequence[ScenePictures]) -> ScenePictures:
    """The pictures and scenes of all parts, in order."""
    scenes = [scene for part in parts for scene in part.scenes]
    return ScenePictures(pictures=torch.cat([part.pictures for part in parts]), scenes=scenes)


def finished_frames(data: Path, split: str) -> ScenePictures:
    """The last frames of a split that was painted from scenes, at the size that the classifier reads."""
    stored = open_split(str(data), split)
    kinds = tuple(stored.card.recipe["source"]["kinds"])
    sequences = stored.read(range(len(stored)))
    frames = np.stack([sequence.frame(-1) for sequence in sequences])
    return ScenePictures(
        pictures=at_reading_size(torch.from_numpy(frames).permute(0, 3, 1, 2)),
        scenes=[scene_of(sequence.facts["source"]["id"], kinds) for sequence in sequences],
    )


def at_reading_size(pictures: Tensor) -> Tensor:
    """Reduce (N, 3, H, W) pictures, uint8 or in [0, 1], to a shorter side of at most 64 px.

    Painters of different sizes are then read at the same size.
    """
    shorter = min(pictures.shape[-2:])
    if shorter <= _READ_PX:
        return pictures.contiguous()
    size = [round(side * _READ_PX / shorter) for side in pictures.shape[-2:]]
    reduced = [functional.interpolate(part.float(), size, mode="area") for part in torch.split(pictures, 256)]
    if pictures.dtype == torch.uint8:
        return torch.cat([part.round().byte() for part in reduced])
    return torch.cat(reduced)


def drawings(count: int, size_px: tuple[int, int], series: int = _DRAWN_SERIES) -> ScenePictures:
    """Plain drawings in which each kind of `SUBJECTS` is the subject equally often, so that rare kinds are learnt too.

    In every second scene the subject stands alone.
    """
    max_per_kind, num_taken = -(-count // len(SUBJECTS)), Counter[str]()
    scenes: list[Scene] = []
    for index in itertools.count():
        if len(scenes) == count:
            break
        scene = compose(series, index, SCENE_KINDS)
        scene = portrait(scene) if index % 2 else scene
        subject = subject_of(scene)
        if subject is not None and num_taken[subject.kind] < max_per_kind:
            num_taken[subject.kind] += 1
            scenes.append(scene)
    pictures = np.stack([to_uint8(draw(scene, *size_px).image) for scene in scenes])
    return ScenePictures(pictures=torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous(), scenes=scenes)
