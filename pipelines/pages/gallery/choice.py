"""Chooses the sequences that a page shows, balanced over a data set and its renderers."""

from collections.abc import Mapping, Sequence


def choose(numbers: Mapping[str, Sequence[int]], count: int) -> list[int]:
    """At most `count` of the numbers of sequences, evenly spread, and as far as possible equally many per renderer.

    The first and the last sequence of each renderer are included, so that the validation split, which comes last, is
    represented too.
    """
    remaining, chosen = count, []
    for rank, name in enumerate(ranked := sorted(numbers, key=lambda name: (len(numbers[name]), name))):
        # Rare renderers come first, so that the others share what they do not use.
        share = min(len(numbers[name]), remaining // (len(ranked) - rank))
        chosen += [numbers[name][index] for index in spread(len(numbers[name]), share)]
        remaining -= share
    return sorted(chosen)


def spread(count: int, num_chosen: int) -> list[int]:
    """`num_chosen` of range(count) at even distances, including the first and the last; a single one is the last."""
    if num_chosen >= count:
        return list(range(count))
    if num_chosen < 2:
        return [count - 1] * num_chosen
    return [round(step * (count - 1) / (num_chosen - 1)) for step in range(num_chosen)]
