"""Captions in other words."""

import re
from collections import Counter
from pathlib import Path

from conf.compose import compose
from pipelines.sources.scenes import ScenesSource
from pipelines.sources.scenes.palette import COLOURS
from pipelines.sources.scenes.wording import reworded
from pipelines.synthesis.config import synth_config

COUNT = 400
NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def captions(wording: str, **options: object) -> list[str]:
    source = ScenesSource(seed=5, wording=wording, **options)  # type: ignore[arg-type]
    return [str(entry.caption) for entry in source.index(COUNT)]


def facts(caption: str) -> Counter[str]:
    """The colours and counts of a caption."""
    return Counter(re.findall(rf"\b({'|'.join((*COLOURS, *NUMBERS))})\b", caption))


def test_other_words_say_the_same_colours_and_counts() -> None:
    for alone in (False, True):
        for plain, varied in zip(captions("plain", alone=alone), captions("varied", alone=alone), strict=True):
            assert facts(plain) == facts(varied), (plain, varied)


def test_words_nobody_was_taught_before_are_there() -> None:
    plain, varied = (" ".join(captions(wording)).split() for wording in ("plain", "varied"))
    for word in ("cottage", "chapel", "rowboat", "shrub", "mug", "pitcher", "ocean", "painting", "picture"):
        assert word not in plain and word in varied
    assert len(set(captions("varied"))) > 0.95 * COUNT


def test_some_captions_stay_as_they_are_and_most_do_not() -> None:
    same = sum(one == other for one, other in zip(captions("plain"), captions("varied"), strict=True))
    assert 0.1 * COUNT < same < 0.6 * COUNT


def test_plurals_stay_plurals_and_articles_right() -> None:
    text = " | ".join(
        reworded("two white churches, three red houses and a green bush by a lake", seed) for seed in range(99)
    )
    assert "two white chapels" in text and "three red cottages" in text and "a pond" in text
    for caption in captions("varied"):
        assert not re.search(r"\b(a [aeiou]|an [^aeiou])", caption), caption


def test_clauses_change_places_but_lists_stay_lists() -> None:
    orders = {reworded("a red barn in a field, hills behind, beneath a blue sky", seed)[-20:] for seed in range(99)}
    assert any(order.endswith("hills behind") for order in orders) and any(order.endswith("sky") for order in orders)
    for seed in range(99):
        text = reworded("a barn, a tree and a dog in a field", seed)
        assert "a barn, a tree and a dog" in text or "barn, tree and dog" in text


def test_a_data_set_of_plain_words_has_the_recipe_it_had(tmp_path: Path) -> None:
    def source(*keys: str) -> object:
        return synth_config(compose("synth", [*keys, f"out={tmp_path}"])).recipe()["source"]

    assert "wording" not in str(source()) and "'wording': 'varied'" in str(source("source.wording=varied"))
