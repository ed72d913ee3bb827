"""An order in words, such as "the sky first, then the house; the tree last": from a text to the order of things."""

from collections.abc import Sequence
from dataclasses import dataclass

from conf.errors import ConfigError
from renderers.things.order_clauses import Before, Part, parts_in_text
from renderers.things.order_words import LAST, REST, Mention, refuse_negations, refused, segments_of

EXAMPLE = "words such as 'sky first, then the house'"


@dataclass(frozen=True)
class _Step:
    """A mention, and its place: 1 for the first, 2 for the second, ...; None if none is said."""

    mention: Mention
    place: int | None

    @property
    def section(self) -> int:
        """0 for what is first, 2 for what is last, 1 for all between."""
        return {1: 0, LAST: 2}.get(self.place or 0, 1)


def is_spoken(order: str) -> bool:
    """Whether an order is in words, and not the name of an order."""
    return " " in order.strip()


def check_spoken(order: str) -> None:
    """Check that an order in words can be followed, as far as that does not depend on what a picture holds.

    Raises:
        ConfigError: if it says what should not be, or not clearly what comes when.
    """
    refuse_negations(order)
    _steps(order, ())


def spoken_order(text: str, names: Sequence[str]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Labels of the things that a text names, in its order: those that come first, and those that come last.

    Clauses end at commas, semicolons, "then" and "but"; in each of them "first", "second" and "last" belong to the
    things nearest to them. "A after B", "after B, A" and "A, after B" put B first. What is last, or comes after
    "the rest" or "everything else", comes after all things that are not named.

    Args:
        text: in any case; things are called by their whole name or, unless that is a place, its last word.
        names: by label; several things may have one name.

    Raises:
        ConfigError: if it names nothing of the picture, says what should not be, or not clearly what comes when.
    """
    refuse_negations(text)
    steps, befores = _steps(text, names)
    mentioned = [label for step in steps for label in step.mention.labels]
    if set(mentioned) <= {REST}:
        raise refused(text, f"words that name things of the picture: {', '.join(dict.fromkeys(names))}")
    if REST not in mentioned:
        unnamed = _Step(Mention((REST,)), None)
        steps = [
            *(step for step in steps if step.section < 2), unnamed, *(step for step in steps if step.section == 2)
        ]  # fmt: skip
    labels = _labels_in_order(text, steps, befores)
    middle = labels.index(REST)
    return tuple(labels[:middle]), tuple(labels[middle + 1 :])


def names_the_rest(text: str, names: Sequence[str]) -> bool:
    """Whether an order says when all that it does not name is painted."""
    return any(
        isinstance(content, Mention) and REST in content.labels
        for segment in segments_of(text, names)
        for content in segment.content
    )


def not_understood(text: str, names: Sequence[str]) -> tuple[str, ...]:
    """The words of an order for things that are not there, such as "the table first"."""
    return tuple(missing for segment in segments_of(text, names) for missing in segment.missing)


def _steps(text: str, names: Sequence[str]) -> tuple[list[_Step], list[Before]]:
    """All mentions by their places, and what is said with "before" and "after".

    Raises:
        ConfigError: if it is not clear what comes when.
    """
    parts, befores = parts_in_text(text, segments_of(text, names))
    steps = [_Step(mention, part.place) for part in _by_ordinals(text, parts) for mention in part.mentions]
    return sorted(steps, key=lambda step: step.section), befores


def _by_ordinals(text: str, parts: Sequence[Part]) -> list[Part]:
    """The parts with "second", "third" and so on in their places.

    Raises:
        ConfigError: if a place before them is empty, or it is not clear where the parts without a place belong.
    """
    first = [part for part in parts if part.place == 1]
    between = [part for part in parts if part.place not in (1, LAST)]
    last = [part for part in parts if part.place == LAST]
    places = [part.place for part in between if part.place is not None]
    if places != sorted(places):
        if any(part.place is None for part in between[: len(places)]):
            raise refused(text, "'first', 'second' and so on for every thing, or in the order of the text")
        between.sort(key=lambda part: LAST if part.place is None else part.place)
    num_before = sum(len(part.mentions) for part in first)
    for part in between:
        if part.place is not None and num_before < part.place - 1:
            raise refused(text, "'first', 'second' and so on without gaps: it does not say what comes before")
        num_before += len(part.mentions)
    return [*first, *between, *last]


def _labels_in_order(text: str, steps: Sequence[_Step], befores: Sequence[Before]) -> list[int]:
    """The labels of all steps, each once, so that what has to come before a thing does.

    Raises:
        ConfigError: if that is impossible, or one thing has several places.
    """
    particular = {label for step in steps if not step.mention.is_general for label in step.mention.labels}

    def labels_of(mention: Mention) -> list[int]:
        return [label for label in mention.labels if not (mention.is_general and label in particular)]

    sections: dict[int, int] = {}
    for step in sorted(steps, key=lambda step: step.place is None):  # a place that is said counts more
        for label in labels_of(step.mention):
            if sections.setdefault(label, step.section) != step.section and step.place is not None:
                raise _contradiction(text)
    listed = [label for step in steps for label in labels_of(step.mention) if sections[label] == step.section]
    needed = {
        (earlier, later)
        for earlier_mentions, later_mentions in befores
        for earlier in (label for mention in earlier_mentions for label in labels_of(mention))
        for later in (label for mention in later_mentions for label in labels_of(mention))
    }
    ordered: list[int] = []

    def place(label: int, waiting: tuple[int, ...]) -> None:
        if label in waiting:
            raise _contradiction(text)
        if label not in ordered:
            for earlier in dict.fromkeys(listed):
                if (earlier, label) in needed:
                    place(earlier, (*waiting, label))
            ordered.append(label)

    for label in listed:
        place(label, ())
    in_sections = [sections[label] for label in ordered]
    if in_sections != sorted(in_sections):
        raise _contradiction(text)
    return ordered


def _contradiction(text: str) -> ConfigError:
    return refused(text, "words that do not contradict each other about what comes when")
