"""`phases=`: words of the data that a painter was trained on, and no others."""

import json
from pathlib import Path

import pytest

from conf.compose import compose
from conf.errors import ConfigError
from pipelines.inference.config import PaintConfig, paint_config
from pipelines.inference.phases import with_phases
from pipelines.paint import run
from pipelines.synthesis.config import synth_config
from tests.pipelines.runs import synth
from tests.pipelines.small_painter import save_untrained_painter
from training.data.dataset import read_card
from training.data.manifest import read_manifest

PHRASES = {
    "studio": "drawn and painted in oil",
    "begun": "drawn and painted in oil, ground and drawing and block-in only",
    "lines": "drawing only",
}


def request(*overrides: str) -> PaintConfig:
    return paint_config(compose("paint", overrides))


@pytest.mark.parametrize(
    "phases",
    ["ground,drawing,block_in", "ground, drawing, block-in", "[ground,drawing,block_in]", "[ground,drawing,block-in]"],
)
def test_phases_join_the_prompt_as_captions_say_them(phases: str) -> None:
    asked = request("prompt=a boat, drawn and painted in oil", f"phases={phases}")
    assert with_phases(asked, PHRASES).prompt == f"a boat, {PHRASES['begun']}"


def test_a_caption_that_names_the_phases_already_stays() -> None:
    asked = request(f"prompt=a boat, {PHRASES['begun']}", "phases=ground,drawing,block_in")
    assert with_phases(asked, PHRASES) == asked


def test_phases_alone_are_a_prompt_and_all_phases_need_no_words() -> None:
    pinned = "conditions={-1: boat.png}"
    assert with_phases(request(pinned, "phases=drawing"), PHRASES).prompt == "drawing only"
    every = "phases=ground,drawing,block_in,form,detail,accents"
    assert with_phases(request("prompt=a boat", every), {}).prompt == "a boat"
    assert with_phases(request("prompt=a boat"), PHRASES).prompt == "a boat"


@pytest.mark.parametrize(
    ("phases", "phrases", "allowed"),
    [
        ("drawing,block_in", PHRASES, "null, or as in the data of this painter drawing | ground,drawing,block_in"),
        ("drawing", {"studio": PHRASES["studio"]}, "null: the data of this painter are painted in all phases"),
        ("drawing", {}, "null: the data of this painter are painted in all phases"),
    ],
)
def test_phases_that_a_painter_was_not_trained_with_are_refused(
    phases: str, phrases: dict[str, str], allowed: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        with_phases(request("prompt=a boat", f"phases={phases}"), phrases)
    assert str(caught.value).startswith(f"phases={phases}: not allowed; allowed: {allowed}")


@pytest.mark.parametrize("phases", ["sketch", "''", "block_in,drawing", "drawing,drawing", "[]", "accents"])
def test_phases_that_there_are_not_are_refused(phases: str) -> None:
    with pytest.raises(ConfigError, match="phases"):
        with_phases(request("prompt=a boat", f"phases={phases}"), PHRASES)


def test_what_the_studio_paints_in_some_phases_a_painter_can_be_asked_for(tmp_path: Path) -> None:
    data = tmp_path / "data"
    chosen = ["renderer=studio", "renderer.phases=[drawing,block_in]"]
    small = [
        "size=64",
        "num_sequences=1",
        "val_fraction=0",
        "cluster=inline",
        "gallery=false",
        "renderer.num_strokes=50",
    ]
    assert synth(*chosen, *small, f"out={data}") == 0
    manifest = read_manifest(data, read_card(data).shards[0])
    assert manifest is not None and manifest.records[0]["caption"].endswith(", drawing and block-in only")
    (method,) = synth_config(compose("synth", [*chosen, f"out={data}"])).renderers
    painter = save_untrained_painter(tmp_path / "painter", phrases={method.name: method.phrase})
    keys = ("prompt=a boat, drawn and painted in oil", "num_frames=2", "steps=1", f"painter={painter}")
    run(request(*keys, "phases=drawing,block_in", f"out={tmp_path / 'out'}"))
    assert json.loads((tmp_path / "out" / "report.json").read_text())["prompt"] == f"a boat, {method.phrase}"
    with pytest.raises(ConfigError, match=r"or as in the data of this painter drawing,block_in"):
        run(request(*keys, "phases=drawing", f"out={tmp_path / 'refused'}"))
    assert not (tmp_path / "refused").exists()
