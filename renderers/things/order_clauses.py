"""The clauses of an order in words: which place belongs to which thing, and what comes before what."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from conf.errors import ConfigError
from renderers.things.order_words import LAST, Link, Mention, Segment, refused

Before = tuple[list[Mention], list[Mention]]
"""Things that come earlier, and those that come later."""


@dataclass
class Part:
    """Things of a clause that share a place.

    Attributes:
        links: what separates it from the part before; none within a segment.
        place: 1 for the first, 2 for the second, ...; None if none is said.
        leads: whether its place was said before it.
    """

    links: tuple[Link, ...]
    mentions: list[Mention]
    place: int | None = None
    leads: bool = False

    @property
    def relation(self) -> Link | None:
        """Whether it is what something else comes before, or after."""
        return next((link for link in self.links if link in ("before", "after")), None)


@dataclass
class Clause:
    """Parts between commas, "then" and the like.

    Attributes:
        subject: what the clause is about; empty if it only says before or after what something else comes.
        anchors: for such a clause, the relation and those things.
    """

    parts: list[Part]
    subject: list[Mention] = field(default_factory=list)
    anchors: list[tuple[Link, list[Mention]]] = field(default_factory=list)

    @property
    def links(self) -> tuple[Link, ...]:
        """What separates it from the clause before."""
        return self.parts[0].links

    def is_linked_by(self, *links: Link) -> bool:
        """Whether one of these links stands before it."""
        return any(link in links for link in self.links)


def parts_in_text(text: str, segments: Sequence[Segment]) -> tuple[list[Part], list[Before]]:
    """All parts of a text as they stand there, and what it says with "before" and "after".

    Raises:
        ConfigError: if it is not clear which place belongs to which thing.
    """
    clauses = _clauses(text, _with_lone_places_joined(segments))
    for clause in clauses:
        _share_places(text, clause.parts)
    _share_first_with_lists(clauses)
    _refuse_contradictions(text, clauses)
    befores = [before for clause in clauses for before in _relations(clause)]
    befores += _relations_between(text, clauses)
    return [part for clause in clauses for part in clause.parts], befores


def _with_lone_places_joined(segments: Sequence[Segment]) -> list[Segment]:
    """The segments, with each place that stands alone, as in "finally, the sky", in the one to which it belongs."""
    joined: list[Segment] = []
    waiting: Segment | None = None
    for index, segment in enumerate(segments):
        if waiting is not None:
            segment = Segment((*waiting.links, *segment.links), [*waiting.content, *segment.content], segment.missing)
            waiting = None
        if any(isinstance(content, Mention) for content in segment.content):
            joined.append(segment)
            continue
        following = segments[index + 1].links if index + 1 < len(segments) else ("stop",)
        belongs_before = "and" in segment.links or not {"stop", "before", "after"}.isdisjoint(following)
        if belongs_before and joined:
            joined[-1].content.extend(segment.content)
        else:
            waiting = segment
    return joined


def _clauses(text: str, segments: Sequence[Segment]) -> list[Clause]:
    clauses: list[Clause] = []
    for segment in segments:
        parts = _parts(text, segment)
        if clauses and not {"comma", "stop", "then", "but"}.intersection(segment.links):
            clauses[-1].parts.extend(parts)
        else:
            clauses.append(Clause(parts))
    return clauses


def _parts(text: str, segment: Segment) -> list[Part]:
    """The parts of a segment: places lead what follows them if the first one does, else they belong to what is before.

    Raises:
        ConfigError: if two places stand side by side.
    """
    leads = not isinstance(segment.content[0], Mention)
    parts = [Part(segment.links, [], leads=leads)]
    for content in segment.content:
        is_place = not isinstance(content, Mention)
        if (is_place and leads and parts[-1].mentions) or (not is_place and not leads and parts[-1].place is not None):
            parts.append(Part((), [], leads=leads))
        if isinstance(content, Mention):
            parts[-1].mentions.append(content)
        elif parts[-1].place in (None, content):
            parts[-1].place = content
        else:
            raise _unclear_place(text)
    if not all(part.mentions for part in parts):
        raise _unclear_place(text)
    return parts


def _share_places(text: str, parts: Sequence[Part]) -> None:
    """Give the parts of a clause the places that were said once for several of them.

    Raises:
        ConfigError: if it is not clear for which of them.
    """
    for previous, part in pairwise(parts):  # "the sky last after the house": both are last
        if part.relation and part.place is None:
            part.place, part.leads = previous.place, previous.leads
    for part, following in reversed(list(pairwise(parts))):
        if following.relation and part.place is None:
            part.place, part.leads = following.place, following.leads
    own_places = [part.place for part in parts]
    for part, following in reversed(list(pairwise(parts))):  # "the sky and the house last"
        if part.place is None and not part.relation and following.links == ("and",) and not following.leads:
            part.place = following.place
    for own_place, (previous, part) in zip(own_places[1:], pairwise(parts), strict=True):
        if own_place is None and previous.place is not None:
            if previous.leads:  # "finally the sky and the house"
                if part.place not in (None, previous.place):
                    raise _unclear_place(text)
                part.place, part.leads = previous.place, True
            elif part.place is None and previous.place == LAST:
                raise _unclear_place(text)


def _share_first_with_lists(clauses: Sequence[Clause]) -> None:
    """In "A, B and C first", all three are first."""
    for index in range(len(clauses) - 1, 0, -1):
        parts = clauses[index].parts
        is_list = len(parts) > 1 or "and" in clauses[index].links
        if not is_list or any(part.place != 1 or part.leads or part.relation for part in parts):
            continue
        before = index
        while before > 0 and set(clauses[before].links) <= {"comma", "and"}:
            before -= 1
            if any(part.place is not None or part.relation for part in clauses[before].parts):
                break
            for part in clauses[before].parts:
                part.place = 1


def _refuse_contradictions(text: str, clauses: Sequence[Clause]) -> None:
    """Refuse what comes "then" and yet first, or "then" after what is last; what follows "finally A" is last as well.

    Raises:
        ConfigError: naming what is allowed.
    """
    earlier: list[Part] = []
    is_ending = False
    for clause in clauses:
        for part in clause.parts:
            if is_ending and part.place is None:
                part.place, part.leads = LAST, True
            is_ending = part.place == LAST and part.leads
        first = clause.parts[0]
        if clause.is_linked_by("then") and earlier:
            if first.place == 1 and any(part.place != 1 for part in earlier):
                raise refused(text, "'first' for what comes before all others, without 'then'")
            if first.place is None and earlier[-1].place == LAST:
                raise refused(text, "nothing that comes after what is last; say 'finally A, then B'")
        earlier += clause.parts


def _relations(clause: Clause) -> list[Before]:
    """What comes before what within a clause; sets what it is about."""
    befores: list[Before] = []
    group: list[Mention] = []
    relation: Link | None = None
    for index, part in enumerate(clause.parts):
        if part.relation is None:
            if index > 0 and part.place != clause.parts[index - 1].place:
                group, relation, clause.subject = [], None, list(part.mentions)
            elif clause.anchors and not clause.subject and not befores:  # "before A and B, ..." or "before A the B"
                group.append(part.mentions[0])
                clause.subject.extend(part.mentions[1:])
            elif relation is None:
                clause.subject.extend(part.mentions)
            else:
                group.extend(part.mentions)
        elif index == 0:
            group = part.mentions[:1]
            clause.anchors = [(part.relation, group)]
            clause.subject.extend(part.mentions[1:])
        else:
            # "A after B after C" is a chain; "A after B and before C", or "before B A after C", are both about A.
            left = group if part.relation == relation and "and" not in part.links else clause.subject
            relation, group = part.relation, list(part.mentions)
            befores.append(_before(relation, left, group))
    if clause.anchors and clause.subject:
        befores += [_before(anchor, clause.subject, group) for anchor, group in clause.anchors]
        clause.anchors = []
    return befores


def _relations_between(text: str, clauses: Sequence[Clause]) -> list[Before]:
    """What comes before what, where a clause only says "after A" and its neighbour says what.

    Raises:
        ConfigError: if it is not clear which neighbour.
    """
    befores: list[Before] = []
    waiting: list[Clause] = []
    named: set[int] = set()
    for index, clause in enumerate(clauses):
        following = clauses[index + 1] if index + 1 < len(clauses) else None
        ends_here = following is None or following.is_linked_by("stop")
        continues = index > 0 and set(clause.links) <= {"comma", "before", "after"}
        anchored = {label for _, group in clause.anchors for mention in group for label in mention.labels}
        if clause.anchors and continues and ends_here and clauses[index - 1].subject:
            befores += [_before(relation, clauses[index - 1].subject, group) for relation, group in clause.anchors]
        elif clause.anchors and continues and not anchored <= named and not waiting:
            raise refused(text, "'A after B, then C', or 'A, then C after B'")
        elif clause.anchors:
            waiting.append(clause)
        for waiting_clause in waiting if clause.subject else ():
            befores += [_before(relation, clause.subject, group) for relation, group in waiting_clause.anchors]
            if clause.parts[0].place == 1:
                for part in waiting_clause.parts:
                    part.place = 1
        waiting = [] if clause.subject else waiting
        named |= {label for part in clause.parts for mention in part.mentions for label in mention.labels}
    return befores


def _before(relation: Link, subject: list[Mention], anchors: list[Mention]) -> Before:
    return (subject, anchors) if relation == "before" else (anchors, subject)


def _unclear_place(text: str) -> ConfigError:
    return refused(text, "one place for each thing, as in 'A first, then B and C; D last'")
