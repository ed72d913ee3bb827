"""The message for a key that does not exist."""

import pytest

from conf.compose import compose
from conf.errors import UserError


@pytest.mark.parametrize(
    ("command", "words", "told"),
    [
        # A key of a choice that was not made: which choice has it.
        ("synth", ["source.path=a"], "source.path is a key of source=folder|hf|parquet|webdataset"),
        ("synth", ["source=folder", "source.path=a", "alone=true"], "source.alone is a key of source=scenes"),
        ("synth", ["renderer=oil", "renderer.phases=[drawing]"], "renderer.phases is a key of renderer=studio"),
        ("paint", ["corrections=0"], "renderer.corrections is a key of renderer=studio"),
        ("train", ["data=a", "out=b", "stage=motion", "unfinished=1"], "stage.unfinished is a key of stage=base|words"),
        # Where it stands, if the choices that were made have it.
        ("synth", ["alone=true"], "did you mean source.alone?"),
        ("train", ["data=a", "out=b", "learning_rate=1"], "did you mean optimizer.learning_rate?"),
        # A slip of the finger: the nearest name beside it, or one elsewhere that is much nearer.
        ("synth", ["sise=64"], "did you mean size?"),
        ("synth", ["renderer=oil", "num_stroke=5"], "did you mean renderer.num_strokes?"),
        ("synth", ["renderer=oil", "renderer.relif=1"], "did you mean renderer.relief?"),
        ("synth", ["frames.w=1"], "there are frames.spacing, frames.format"),
    ],
)
def test_the_key_that_was_meant_is_named(command: str, words: list[str], told: str) -> None:
    with pytest.raises(UserError) as refused:
        compose(command, words)
    assert str(refused.value).partition("no such key; ")[2] == told


@pytest.mark.parametrize(
    "key", ["..", "source.", ".source", "/etc.passwd", "../conf.path", "source[0]", "é.ü", "a" * 5000]
)
def test_whatever_was_typed_is_answered_in_one_line(key: str) -> None:
    with pytest.raises(UserError, match="no such key") as refused:
        compose("synth", [f"{key}=1"])
    assert "\n" not in str(refused.value)
