"""Which sequences a page shows: a fair choice over a data set and its renderers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a sequence is: its number in the data set as committed, its shard, its key."""

    number: int
    shard: str
    key: str


def choose(places: Mapping[str, Sequence[Place]], count: int) -> list[Place]:
    """At most `count` places, as equally many of each renderer as there are, evenly spread over each one's.

    The first and the last of a renderer are among them, so that the validation split, which comes last, is too.
    """
    left, chosen = count, []
    for at, name in enumerate(ranked := sorted(places, key=lambda name: (len(places[name]), name))):
        share = min(len(places[name]), left // (len(ranked) - at))  # what a rare renderer leaves, the others get
        chosen += [places[name][where] for where in spread(len(places[name]), share)]
        left -= share
    return sorted(chosen, key=lambda place: place.number)


def spread(count: int, num_chosen: int) -> list[int]:
    """`num_chosen` of range(count) at even distances, the first and the last included; the last alone when only one."""
    if num_chosen >= count:
        return list(range(count))
    if num_chosen < 2:
        return [count - 1] * num_chosen
    return [round(step * (count - 1) / (num_chosen - 1)) for step in range(num_chosen)]
