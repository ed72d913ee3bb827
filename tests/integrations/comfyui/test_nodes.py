"""The nodes in ComfyUI, of which `stand_in` stands in for the published interface."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import pytest
import torch
from torch import Tensor

from conf.compose import choices, compose
from conf.errors import ConfigError, UserError
from pipelines.export import export_config
from pipelines.exports.registry import FORMATS
from pipelines.inference.config import paint_config
from pipelines.inference.sizes import known_sizes
from pipelines.synthesis.renderer_choice import single_renderer
from tests.integrations.comfyui.stand_in import (
    Choice,
    Comfy,
    InterruptProcessingException,
    Number,
    Widget,
    comfy_with_the_pack,
)

RENDER, LOAD, PIN, PAINT, EXPORT = (
    f"ProcessPainter{name}" for name in ("Render", "LoadPainter", "PinFrame", "Paint", "Export")
)
SMALL = {"num_strokes": 60, "canvas_px": 64, "preset": "fast"}


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Comfy]:
    with comfy_with_the_pack(tmp_path_factory.mktemp("output")) as comfy:
        yield comfy


@pytest.fixture(scope="module")
def painter(started: Comfy) -> Any:
    (painter,) = started.run(LOAD).args
    return painter


@pytest.fixture
def comfy(started: Comfy, tmp_path: Path) -> Comfy:
    started.output, started.interrupt_after = tmp_path / "output", None
    started.bars.clear()
    return started


@pytest.fixture
def picture() -> Tensor:
    """(1, H, W, 3): a red square on blue."""
    image = torch.tensor([0.1, 0.2, 0.7]).expand(1, 48, 64, 3).clone()
    image[:, 12:36, 20:44] = torch.tensor([0.9, 0.2, 0.1])
    return image


def _widgets(comfy: Comfy, node: str) -> dict[str, Any]:
    return {one.id: one for one in comfy.nodes[node].define_schema().inputs if isinstance(one, Widget)}


@pytest.mark.parametrize(
    ("node", "command", "own"),
    [(RENDER, "export", {"renderer", "num_frames", "size", "title"}),
     (PAINT, "paint", {"prompt", "num_frames", "guidance"}),
     (LOAD, "paint", set()), (EXPORT, "export", {"format", "filename_prefix"})],
)  # fmt: skip
def test_defaults_of_widgets_are_those_of_the_command(comfy: Comfy, node: str, command: str, own: set[str]) -> None:
    composed = compose(command, ["out=unused"] if command == "export" else [])
    composed |= {key: composed["renderer"][key] for key in ("preset", "num_strokes") if "renderer" in composed}
    widgets = _widgets(comfy, node)
    assert {key: widget.default for key, widget in widgets.items() if key not in own} == {
        key: composed[key] for key in widgets if key not in own
    }


@pytest.mark.parametrize(
    ("node", "config", "overrides"),
    [
        (RENDER, export_config, ("export", "picture=a.png", "out=a.svg")),
        (EXPORT, export_config, ("export", "picture=a.png", "out=a.svg")),
        (PAINT, paint_config, ("paint", "prompt=a boat")),
    ],
)
def test_ranges_of_widgets_are_those_of_the_command(
    comfy: Comfy, node: str, config: Callable[[dict[str, Any]], object], overrides: tuple[str, ...]
) -> None:
    command, *given = overrides
    for key, widget in _widgets(comfy, node).items():
        if not isinstance(widget, Number):
            continue
        assert widget.min is not None and widget.max is not None
        beyond = 1 if isinstance(widget.default, int) else 0.01
        word = "renderer.num_strokes" if key == "num_strokes" else key
        for value in (widget.min, widget.max):
            config(compose(command, [*given, f"{word}={value}"]))
        for value in (widget.min - beyond, widget.max + beyond):
            with pytest.raises(ConfigError, match=f"{key}="):
                config(compose(command, [*given, f"{word}={value}"]))


def test_every_renderer_that_needs_no_weights_can_be_chosen(comfy: Comfy, picture: Tensor) -> None:
    able = set()
    for name in choices("renderer"):
        try:
            single_renderer(compose("export", ["out=unused", f"renderer={name}"])["renderer"])
        except ConfigError:  # a mix, or it needs weights
            continue
        able.add(name)
    renderer = _widgets(comfy, RENDER)["renderer"]
    assert isinstance(renderer, Choice) and {option.partition(",")[0] for option in renderer.options} == able
    assert renderer.default in renderer.options
    for option in renderer.options:
        frames, _ = comfy.run(RENDER, image=picture, renderer=option, num_frames=3, size=64, **SMALL).args
        assert frames.shape == (3, 48, 64, 3), option


def test_a_rendered_process_goes_from_blank_to_the_picture(comfy: Comfy, picture: Tensor) -> None:
    frames, process = comfy.run(RENDER, image=picture, renderer="oil", num_frames=4, size=128, **SMALL).args
    assert frames.dtype == torch.float32 and frames.device.type == "cpu" and len(frames) == 4
    assert max(frames.shape[1:3]) == 128 and frames.shape[3] == 3 and 0 <= frames.min() <= frames.max() <= 1
    assert frames[0].flatten(0, 1).std(dim=0).max() < 0.01
    middle, corner = frames[-1, frames.shape[1] // 2, frames.shape[2] // 2], frames[-1, 4, 4]
    assert middle[0] > middle[2] + 0.3 and corner[2] > corner[0] + 0.3
    assert process.program is not None and process.caption.endswith("painted in oil")
    again, _ = comfy.run(RENDER, image=picture, renderer="oil", num_frames=4, size=128, **SMALL).args
    assert torch.equal(frames, again)
    assert comfy.bars == [[4, 4], [4, 4]]


def test_a_user_can_interrupt_rendering_and_painting(comfy: Comfy, painter: Any, picture: Tensor) -> None:
    comfy.interrupt_after = 2
    with pytest.raises(InterruptProcessingException):
        comfy.run(RENDER, image=picture, renderer="bezier", num_frames=8, size=64, **SMALL)
    comfy.bars.clear()
    with pytest.raises(InterruptProcessingException):
        comfy.run(PAINT, painter=painter, prompt="a house", steps=5)
    assert comfy.bars == [[2, 5]]


def test_a_painter_paints_words_and_keeps_to_chained_pins(comfy: Comfy, painter: Any, picture: Tensor) -> None:
    free, process = comfy.run(PAINT, painter=painter, prompt="a red house, painted in oil", steps=2, num_frames=4).args
    assert free.shape == (4, 128, 128, 3) and free.dtype == torch.float32 and process.program is None
    assert "made by a model" in process.credit and process.caption == "a red house, painted in oil"
    (pins,) = comfy.run(PIN, image=torch.ones(1, 64, 64, 3), frame=0).args
    (pins,) = comfy.run(PIN, image=picture[:, :, 8:56], frame=-1, pins=pins).args
    assert [pin.frame for pin in pins] == [0, -1]
    led, _ = comfy.run(PAINT, painter=painter, prompt="", steps=2, num_frames=4, pins=pins).args
    target = picture[0, :, 8:56]
    target = torch.nn.functional.interpolate(target.permute(2, 0, 1)[None], (128, 128), mode="bilinear")[0]
    target = target.permute(1, 2, 0)
    assert (led[-1] - target).abs().mean() < 0.5 * (free[-1] - target).abs().mean()
    assert comfy.bars == [[2, 2], [2, 2]]


def test_what_a_painter_does_not_know_or_read_is_told(
    comfy: Comfy, painter: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    prompt = "a dragon " * 40 + "painted in oil"
    comfy.run(PAINT, painter=painter, prompt=prompt, negative=prompt, steps=1, num_frames=2)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert [line.split()[1] for line in lines] == ["this", "prompt:", "negative:"]


def test_frames_have_the_size_of_the_painter_that_suits_the_pinned_picture(
    comfy: Comfy, painter: Any, picture: Tensor
) -> None:
    (pins,) = comfy.run(PIN, image=picture).args
    frames, _ = comfy.run(PAINT, painter=painter, prompt="", steps=1, num_frames=2, pins=pins).args
    assert (frames.shape[1], frames.shape[2]) == min(
        known_sizes(painter.facts), key=lambda size: abs(size[1] / size[0] - 64 / 48)
    )


@pytest.mark.parametrize("name", [name for name, one in FORMATS.items() if one.extra is None])
def test_a_rendered_process_is_exported_in_every_format(comfy: Comfy, picture: Tensor, name: str) -> None:
    _, process = comfy.run(RENDER, image=picture, renderer="bezier", num_frames=3, size=64, **SMALL).args
    result = comfy.run(EXPORT, process=process, format=name, filename_prefix="a/b")
    path = Path(result.args[0])
    assert (
        path.parent == comfy.output / "a" and path.name.startswith("b_00001_") and result.ui == {"text": (str(path),)}
    )
    assert any(path.iterdir()) if path.is_dir() else path.stat().st_size > 100
    second = Path(comfy.run(EXPORT, process=process, format=name, filename_prefix="a/b").args[0])
    assert second.name.startswith("b_00002_") and path.exists()


def test_a_batch_of_pictures_becomes_a_film_of_the_length_that_was_asked_for(comfy: Comfy) -> None:
    batch = torch.linspace(0, 1, 4)[:, None, None, None].expand(4, 32, 48, 3)
    path = comfy.run(EXPORT, frames=batch, format="mp4", seconds=2.0, hold=1.0).args[0]
    with av.open(path) as film:
        assert (film.streams.video[0].width, film.streams.video[0].height) == (48, 32)
        assert film.duration is not None and abs(film.duration / 1e6 - 3.0) < 0.2


@pytest.mark.parametrize(
    ("node", "inputs", "message"),
    [
        (RENDER, {"image": torch.zeros(2, 64, 64, 3)}, "image=2 pictures: not allowed; allowed: one;"),
        (RENDER, {"image": torch.zeros(1, 64, 64, 4)}, "image=a tensor of 1x64x64x4: not allowed; allowed: RGB"),
        (RENDER, {"image": torch.zeros(1, 8, 800, 3)}, "a picture in ComfyUI: 800x8 px; one side may be 16 times"),
        (LOAD, {"painter": "no/such"}, "no/such"),
        (LOAD, {"painter": " "}, "painter='': not allowed"),
        (LOAD, {"painter": "~nobody-of-that-name/painter"}, "~nobody-of-that-name/painter"),
        (LOAD, {"painter": "a\ud800"}, "text in UTF-8"),
        (PAINT, {"painter": None, "prompt": "a\ud800"}, "text in UTF-8"),
        (PAINT, {"painter": None, "negative": "a\ud800"}, "text in UTF-8"),
        (RENDER, {"image": torch.zeros(1, 64, 64, 3), "title": "a\ud800"}, "text in UTF-8"),
        (EXPORT, {"frames": torch.zeros(2, 64, 64, 3), "filename_prefix": "a\ud800"}, "text in UTF-8"),
        (PIN, {"image": torch.zeros(0, 64, 64, 3)}, "image=a tensor of 0x64x64x3"),
        (EXPORT, {}, "export needs either a process or frames"),
        (EXPORT, {"frames": torch.zeros(2, 64, 64, 3), "format": "svg"}, "format=svg: not allowed"),
        (EXPORT, {"frames": torch.zeros(2, 64, 64, 3), "filename_prefix": "../up"}, "filename_prefix=../up: not allow"),
        (EXPORT, {"frames": torch.zeros(2, 64, 64, 3), "filename_prefix": "/up"}, "filename_prefix=/up: not allowed"),
        (EXPORT, {"frames": torch.zeros(2, 64, 64, 3), "filename_prefix": "a\0b"}, "filename_prefix=a\0b: not allowed"),
        (EXPORT, {"frames": torch.zeros(2, 64, 64, 3), "filename_prefix": ""}, "filename_prefix=: not allowed"),
        (EXPORT, {"frames": torch.zeros(2, 64, 64, 3), "seconds": 0.0}, "seconds=0.0: not allowed"),
    ],
)
def test_what_cannot_be_done_is_one_clear_line_and_leaves_nothing(
    comfy: Comfy, node: str, inputs: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError) as refused:
        comfy.run(node, **inputs)
    assert message in str(refused.value) and "\n" not in str(refused.value)
    assert not [path for path in comfy.output.parent.rglob("*") if path.is_file()]


def test_pins_and_frames_beyond_the_process_are_refused(comfy: Comfy, painter: Any, picture: Tensor) -> None:
    (pins,) = comfy.run(PIN, image=picture, frame=7).args
    with pytest.raises(ConfigError, match=r"frame=7: .* pinned already"):
        comfy.run(PIN, image=picture, frame=7, pins=pins)
    (twice,) = comfy.run(PIN, image=picture, frame=-1, pins=pins).args
    with pytest.raises(UserError, match="frame 7 of 8 is pinned twice"):
        comfy.run(PAINT, painter=painter, pins=twice)
    with pytest.raises(ConfigError, match=r"pins=frame 7: .* -4 to 3"):
        comfy.run(PAINT, painter=painter, pins=pins, num_frames=4)
    with pytest.raises(ConfigError, match=r"num_frames=9: .* 2 to 8"):
        comfy.run(PAINT, painter=painter, num_frames=9)
    with pytest.raises(ConfigError, match=r"prompt='': .* what to paint"):
        comfy.run(PAINT, painter=painter, prompt=" ")


def test_white_beyond_the_range_and_what_is_no_number_do_not_break_a_film(comfy: Comfy) -> None:
    batch = torch.full((2, 64, 64, 3), 3.0)
    batch[0] = torch.nan
    assert Path(comfy.run(EXPORT, frames=batch, format="gif").args[0]).stat().st_size > 100
