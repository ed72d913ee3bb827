"""A source of endlessly many captioned pictures, drawn by this program and free of licences."""

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, overload

import numpy as np

from conf.errors import ConfigError
from conf.value import check_whole
from pipelines.sources.framing import WHITE, Framing, Ground
from pipelines.sources.scenes.caption import caption
from pipelines.sources.scenes.composition import KINDS, compose, compositions
from pipelines.sources.scenes.description import Scene
from pipelines.sources.scenes.drawing import draw
from pipelines.sources.scenes.portrait import SUBJECTS, portrait, portrait_of
from pipelines.sources.scenes.wording import reworded
from pipelines.sources.source import ComputedPictures, Picture, RefusedPicture, SourceEntry
from training.data.layout import MOST_SEQUENCES

GENERATOR = "scenes-1"
"""Version of the generator; raise it with every change that alters pictures or captions."""


@dataclass(frozen=True, kw_only=True)
class ScenesSource:
    """Landscapes, still lifes, buildings, boats and figures, drawn from nothing but a number.

    Attributes:
        seed: number of the endless series of scenes, 0 or more.
        num_pictures: number of pictures that `index(None)` gives, 1 to `MOST_SEQUENCES`.
        kinds: kinds of scenes to choose among.
        alone: whether the subject stands alone, large and in the middle.
        subjects: with `alone`, the subjects out of `portrait.SUBJECTS`, or `all` of them. They take turns in rounds:
            each occurs once per round, in another order each time. None for the scenes' own subjects, which occur in
            unequal numbers: a sheep far less often than a sailboat.
        wording: wording of captions: `plain`, or `varied` as in people's own sentences.
    """

    seed: int = 0
    num_pictures: int = 64
    kinds: tuple[str, ...] = KINDS
    alone: bool = False
    subjects: str | tuple[str, ...] | None = field(default=None, repr=False)  # see `_Series.formula`
    wording: Literal["plain", "varied"] = "plain"

    def __post_init__(self) -> None:
        object.__setattr__(self, "kinds", tuple(self.kinds))
        if self.seed < 0:
            raise ConfigError("seed", self.seed, "0 or more")
        check_whole("num_pictures", self.num_pictures, 1, MOST_SEQUENCES)
        if not self.kinds or len(set(self.kinds)) < len(self.kinds) or not set(self.kinds) <= set(KINDS):
            raise ConfigError("kinds", list(self.kinds), f"one or more of {', '.join(KINDS)}, each once")
        if self.subjects is not None:
            self._choose_subjects()

    def _choose_subjects(self) -> None:
        if not self.alone:
            raise ConfigError("subjects", _as_list(self.subjects), "null, as it needs alone=true")
        possible = tuple(name for name, kinds in SUBJECTS.items() if set(kinds) & set(self.kinds))
        chosen = possible if self.subjects == "all" else tuple(self.subjects or ())
        if not chosen or len(set(chosen)) < len(chosen) or not set(chosen) <= set(possible):
            allowed = f"null, all, or a list of {', '.join(possible)}, each once"
            raise ConfigError("subjects", _as_list(self.subjects), allowed)
        object.__setattr__(self, "subjects", chosen)

    @property
    def brings_labels(self) -> bool:
        """True, since scenes know their objects."""
        return True

    def index(self, limit: int | None) -> Sequence[SourceEntry]:
        """The first `limit` scenes (`num_pictures` when None); entries are made when asked for, without pixels."""
        return _Series(self, range(self.num_pictures if limit is None else limit))

    def entry(self, index: int) -> SourceEntry:
        """The entry of the scene with this index in the series."""
        subject = self._subject(index)
        name = f"/{subject.replace(' ', '-')}" if subject else ""
        return SourceEntry(
            id=f"scenes/{self.seed}/{index}{'/alone' if self.alone else ''}{name}",
            sha256=self.sha256(index),
            locator=str(index),
            caption=self._caption(index),
            licence="CC0-1.0",
        )

    def sha256(self, index: int) -> str:
        """Hash of everything that decides a scene's picture."""
        recipe = f"{GENERATOR} seed={self.seed} index={index} kinds={','.join(self.kinds)}"
        subject = self._subject(index)
        recipe += (" alone" if self.alone else "") + (f" subject={subject}" if subject else "")
        return hashlib.sha256(recipe.encode()).hexdigest()

    def _subject(self, index: int) -> str | None:
        if not self.subjects:
            return None
        round_number, turn = divmod(index, len(self.subjects))
        return self.subjects[_turns(self.seed, round_number, len(self.subjects))[turn]]

    def _caption(self, index: int) -> str:
        scene = self.scene(index)
        return caption(scene) if self.wording == "plain" else reworded(caption(scene), scene.seed)

    def scene(self, index: int) -> Scene:
        """The scene with this index in the series."""
        subject = self._subject(index)
        if subject is not None:
            kinds = tuple(kind for kind in self.kinds if kind in SUBJECTS[subject])
            portraits = (portrait_of(subject, composition) for composition in compositions(self.seed, index, kinds))
            return next(scene for scene in portraits if scene is not None)
        composition = compose(self.seed, index, self.kinds)
        return portrait(composition) if self.alone else composition

    def load(self, entry: SourceEntry, framing: Framing, ground: Ground = WHITE) -> Picture:
        """Draw a scene at the framing's size; `fit` and `ground` are not used, as scenes fill any shape."""
        if not entry.locator.isdecimal():
            raise RefusedPicture(f"{entry.id}: {entry.locator!r} is not the number of a scene")
        return draw(self.scene(int(entry.locator)), framing.height_px, framing.width_px)


@lru_cache(maxsize=64)
def _turns(seed: int, round_number: int, count: int) -> tuple[int, ...]:
    """The order of one round. If all rounds had the same order, a subject would always meet the same renderers."""
    state = np.random.SeedSequence(seed, spawn_key=(round_number, 0, 0)).generate_state(4)
    return tuple(random.Random(int.from_bytes(state.tobytes(), "little")).sample(range(count), count))


def _as_list(subjects: str | Sequence[str] | None) -> object:
    """Subjects for an error message: a tuple as a list, other values unchanged."""
    return list(subjects) if isinstance(subjects, (tuple, list)) else subjects


@dataclass(frozen=True)
class _Series(ComputedPictures):
    """A stretch of the series."""

    source: ScenesSource
    places: range

    @property
    def formula(self) -> str:
        """The generator, the series, and its first index. Without subjects, the text is that of older versions."""
        subjects = f" of {', '.join(self.source.subjects)} in rounds" if self.source.subjects else ""
        return f"{GENERATOR} {self.source}{subjects} from {self.places.start}"

    def hashes(self) -> Iterator[str]:
        """`sha256` of each scene; writing its caption too would take forty times as long."""
        return map(self.source.sha256, self.places)

    def __len__(self) -> int:
        return len(self.places)

    def __iter__(self) -> Iterator[SourceEntry]:
        # The loop that Sequence provides would end at the first IndexError, even at one that is a bug.
        return (self.source.entry(place) for place in self.places)

    @overload
    def __getitem__(self, at: int) -> SourceEntry: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[SourceEntry]: ...
    def __getitem__(self, at: int | slice) -> SourceEntry | Sequence[SourceEntry]:
        if isinstance(at, slice):
            return _Series(self.source, self.places[at])
        return self.source.entry(self.places[at])
