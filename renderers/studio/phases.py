"""The phases of a painting in the studio, and what a program stores about each step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from conf.errors import ConfigError
from renderers.family import Note

Phase = Literal["ground", "drawing", "block_in", "form", "detail", "accents", "correction"]
PHASES: tuple[Phase, ...] = get_args(Phase)
CHOSEN_PHASES = PHASES[:-1]
"""The phases that a user can choose, in the order in which they come."""

OBJECT_PHASES: tuple[Phase, ...] = ("block_in", "form", "detail")
"""What every object goes through before the next has its turn."""

# Where a phase begins and ends between the coarsest stroke of an object, 0, and the finest, 1.
_BEGINS: Mapping[Phase, float] = {"block_in": 0.0, "form": 0.15, "detail": 0.5}
_ENDS: Mapping[Phase, float] = {"block_in": 0.15, "form": 0.5, "detail": 1.0}

WHOLE = -1
"""The object of a step that belongs to the whole canvas."""

_DOING: Mapping[Phase, str] = {
    "ground": "toning the ground",
    "drawing": "drawing",
    "block_in": "blocking in",
    "form": "modelling",
    "detail": "finishing",
    "accents": "setting accents everywhere",
    "correction": "trying a colour for",
}
_RECEDING = [PHASES.index("ground"), PHASES.index("drawing"), PHASES.index("correction")]
_OF_OBJECTS = frozenset({"drawing", "block_in", "form", "detail", "correction"})


@dataclass(frozen=True, kw_only=True)
class Turns:
    """Which phase and object each of N steps belongs to.

    Attributes:
        phases: (N,) uint8, places in `PHASES`.
        objects: (N,) int16, labels, or `WHOLE`.
        names: (K,) what each object is called; empty where it has no name.
    """

    phases: NDArray[np.uint8]
    objects: NDArray[np.int16]
    names: tuple[str, ...]

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays that a program stores of them."""
        return {"phases": self.phases, "objects": self.objects, "names": np.array(self.names, "U")}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], num_steps: int) -> "Turns":
        """The turns that `to_arrays` stored.

        Raises:
            ValueError: if they are missing or damaged.
        """
        try:
            turns = cls(
                phases=arrays["phases"].astype(np.uint8),
                objects=arrays["objects"].astype(np.int16),
                names=tuple(str(name) for name in arrays["names"]),
            )
        except KeyError as error:
            raise ValueError(f"a program of the studio without {error}") from None
        if (
            turns.phases.shape != (num_steps,)
            or turns.objects.shape != (num_steps,)
            or (num_steps and (turns.phases.max() >= len(PHASES) or turns.objects.max() >= len(turns.names)))
        ):
            raise ValueError("its phases and objects are not those of its strokes")
        return turns

    def note(self, before: int, step: int) -> Note:
        """The note of what was done after step `before` up to `step`; at step 0 that is nothing."""
        if step == 0:
            return Note(phase="blank", thing=None, doing="a blank canvas", receding=False)
        phase, label = PHASES[int(self.phases[step - 1])], int(self.objects[step - 1])
        doing = _DOING[phase]
        if phase in _OF_OBJECTS:
            doing = f"{doing} {self.spoken(label)}"
        receding = bool(np.isin(self.phases[before:step], _RECEDING).any())
        return Note(phase=phase, thing=self._name(label), doing=doing, receding=receding)

    @property
    def receding(self) -> NDArray[np.bool_]:
        """(N,) whether each step is one that need not bring the canvas nearer to the finished one."""
        steps: NDArray[np.bool_] = np.isin(self.phases, _RECEDING)
        return steps

    def _name(self, label: int) -> str | int | None:
        return None if label < 0 else self.names[label] or label

    def spoken(self, label: int) -> str:
        """An object's name in a sentence."""
        return self.names[label] or f"part {label + 1}"


def check_chosen(phases: Sequence[str]) -> None:
    """Raise ConfigError unless phases are some of `CHOSEN_PHASES`, in that order."""
    if not phases or list(phases) != [phase for phase in CHOSEN_PHASES if phase in phases]:
        raise ConfigError("phases", list(phases), "some of " + ", ".join(CHOSEN_PHASES) + ", in this order")


def phases_in_words(phases: Sequence[str]) -> str:
    """What captions say of a painting that goes through some phases only; nothing of one that goes through all."""
    if len(phases) == len(CHOSEN_PHASES):
        return ""
    return " and ".join(phase.replace("_", "-") for phase in phases) + " only"


def phase_shares(phases: Sequence[Phase], count: int) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """How far along its object each of `count` strokes is, from 0 = coarsest to 1, and its phase, a place in `PHASES`.

    A phase that is left out leaves a gap between what is coarser and what is finer.
    """
    spans = [(_BEGINS[phase], _ENDS[phase]) for phase in phases]
    lengths = np.array([end - start for start, end in spans])
    ends = np.cumsum(lengths) / lengths.sum()
    place = np.arange(count) / count
    which = np.minimum(np.searchsorted(ends, place, side="right"), len(spans) - 1)
    starts = np.array([start for start, _ in spans])
    shares = starts[which] + (place - (ends - lengths / lengths.sum())[which]) * lengths.sum()
    return shares, np.array([PHASES.index(phase) for phase in phases], np.uint8)[which]
