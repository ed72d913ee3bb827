"""Which sequences a page shows: a fair choice over a data set and its renderers."""

from collections.abc import Mapping, Sequence


def choose(numbers: Mapping[str, Sequence[int]], count: int) -> list[int]:
    """At most `count` of the numbers of sequences, as equally many of each renderer as there are, evenly spread.

    The first and the last of a renderer are among them, so that the validation split, which comes last, is too.
    """
    left, chosen = count, []
    for at, name in enumerate(ranked := sorted(numbers, key=lambda name: (len(numbers[name]), name))):
        share = min(len(numbers[name]), left // (len(ranked) - at))  # what a rare renderer leaves, the others get
        chosen += [numbers[name][where] for where in spread(len(numbers[name]), share)]
        left -= share
    return sorted(chosen)


def spread(count: int, num_chosen: int) -> list[int]:
    """`num_chosen` of range(count) at even distances, the first and the last included; the last alone when only one."""
    if num_chosen >= count:
        return list(range(count))
    if num_chosen < 2:
        return [count - 1] * num_chosen
    return [round(step * (count - 1) / (num_chosen - 1)) for step in range(num_chosen)]
