"""The interface of families of renderers: a class that does not fit it is refused when it is defined."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import renderers
from renderers import families, renderer
from renderers.family import AssetFile, Renderer
from renderers.painting import NO_ASSETS, NOTHING_KNOWN, Assets, Image, Knowledge, Painting, StrokeProgram
from tests.renderers.pictures import landscape


@dataclass(frozen=True)
class PlainConfig:
    canvas: tuple[float, float, float] = (0.0, 0.0, 0.0)


class Plain(Renderer):
    """The smallest possible family: it paints the picture in one step."""

    config_type = PlainConfig

    def paint(
        self, image: Image, config: PlainConfig, seed: np.random.SeedSequence, assets: Assets = NO_ASSETS,
        known: Knowledge = NOTHING_KNOWN,
    ) -> Painting:  # fmt: skip
        height, width = image.shape[:2]
        program = StrokeProgram(
            family="plain", strokes=np.full((1, 1), image.mean(), np.float32), canvas=(1.0, 1.0, 1.0),
            height_px=height, width_px=width,
        )  # fmt: skip
        return Painting(program=program, distances=np.array([1.0, 0.0]))

    def replay(
        self, program: StrokeProgram, steps: Sequence[int], size_px: tuple[int, int] | None = None
    ) -> Iterator[Image]:
        for step in steps:
            value = program.strokes[0, 0] if step else 1.0
            yield np.full((*(size_px or (program.height_px, program.width_px)), 3), value, np.float32)


def subclass(name: str, value: object) -> type:
    return type("Toy", (Plain,), {name: value})


@pytest.mark.parametrize("family", families())
def test_every_family_of_the_package_is_behind_the_door(family: str) -> None:
    assert isinstance(renderer(family), Renderer)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("pait_batch", "paint_batch"), ("gain_by_batches", "gains_by_batches"), ("asset_paths", "asset_files"),
     ("region_distances", "distances"), ("Config", "config_type")],
)  # fmt: skip
def test_a_misspelt_hook_is_refused_and_the_nearest_is_named(name: str, nearest: str) -> None:
    with pytest.raises(TypeError, match=rf"Toy\.{name}: not a hook of renderers; did you mean {nearest}\?"):
        subclass(name, lambda self, config: True)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("gains_by_batches", True, "must be a method, not True"),
        ("gains_by_batches", lambda self: True, r"takes \(self\), not \(self, config\)"),
        ("gains_by_batches", lambda self, config, size: True, r"takes \(self, config, size\)"),
        ("gains_by_batches", lambda self, *, config: True, r"takes \(self, \*, config\)"),
        ("check_source", lambda self, config, brings_labels: None, r".*not \(self, config, \*, brings_labels\)"),
        ("paint", lambda self, image, config, seed: None, r".*not \(self, image, config, seed, assets=\.\.\., known"),
        ("paint", lambda self, image, config, seed, assets, known: None, r"takes \(self, image"),
        ("replay", lambda self, steps, program, size_px=None: iter(()), r"takes \(self, steps, program"),
        ("config_type", PlainConfig(), "must be a dataclass, not PlainConfig"),
        ("config_type", dict, "must be a dataclass, not <class 'dict'>"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_hook_that_could_not_be_called_like_all_others_is_refused(name: str, value: object, message: str) -> None:
    with pytest.raises(TypeError, match=rf"Toy\.{name}: {message}"):
        subclass(name, value)


def test_a_hook_may_take_more_than_it_must_and_private_names_are_free() -> None:
    class Toy(Plain):
        _num_calls = 0

        def device(self, config: Any, hint: str = "cpu") -> str:
            return hint

        def _helper(self) -> None: ...

    assert Toy().device(PlainConfig()) == "cpu"


def test_a_family_without_paint_or_configuration_is_refused() -> None:
    class Nothing(Renderer):
        config_type = PlainConfig

    with pytest.raises(TypeError, match="paint"):
        Nothing()  # type: ignore[abstract]
    with pytest.raises(TypeError, match=r"Unset\.config_type: is missing"):
        type("Unset", (Renderer,), {})


def test_a_package_without_a_renderer_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "__init__.py").write_text("RENDERER = 'Plain'\n")
    monkeypatch.setattr(renderers, "__path__", [*renderers.__path__, str(tmp_path)])
    with pytest.raises(
        TypeError, match=r"renderers/broken: RENDERER must be an instance of renderers\.family\.Renderer"
    ):
        renderer("broken")


def test_hooks_that_a_family_does_not_have_do_what_suits_most() -> None:
    plain, config, images = Plain(), PlainConfig(), [landscape(16, 24), landscape(16, 24) * 0.5]
    files: Mapping[str, AssetFile] = plain.asset_files(config)
    assert (plain.gains_by_batches(config), plain.device(config), plain.ground(config), dict(files)) == (
        False, "cpu", (1.0, 1.0, 1.0), {},
    )  # fmt: skip
    assert plain.reads_depth(config)
    plain.check_assets(config, {})
    plain.check_source(config, brings_labels=False)
    plain.check_image(images[0], config)
    seeds = [np.random.SeedSequence(number) for number in range(2)]
    programs = [painting.program for painting in plain.paint_batch(images, config, seeds)]
    assert programs[1].strokes < programs[0].strokes
    (blank, _), (_, finished) = plain.replay_batch(programs, [(0, 1), (0, 1)], config)
    assert blank.min() == 1.0 and np.allclose(finished, programs[1].strokes[0, 0])
    assert plain.distances(programs[0], [blank, finished]).tolist() == [1.0, 0.0]
    assert plain.plan(images[1], config, seeds[1]).strokes == programs[1].strokes
    with pytest.raises(ValueError, match="zip"):
        plain.paint_batch(images, config, seeds[:1])


def test_a_batch_hands_each_picture_what_is_known_of_it() -> None:
    depths: list[float] = []

    class Toy(Plain):
        def paint(
            self, image: Image, config: PlainConfig, seed: np.random.SeedSequence, assets: Assets = NO_ASSETS,
            known: Knowledge = NOTHING_KNOWN,
        ) -> Painting:  # fmt: skip
            assert known.depth is not None
            depths.append(float(known.depth[0, 0]))
            return super().paint(image, config, seed)

    known = [Knowledge(depth=np.full((16, 24), depth, np.float32)) for depth in (1.0, 2.0)]
    Toy().paint_batch([landscape(16, 24)] * 2, PlainConfig(), [np.random.SeedSequence(0)] * 2, known=known)
    assert depths == [1.0, 2.0]


def test_families_are_packages_and_not_their_machinery() -> None:
    assert {"bezier", "brush", "region", "agent"} <= set(families()) and "raster" not in families()
    assert isinstance(renderers, ModuleType)
    with pytest.raises(ValueError, match="watercolour"):
        renderer("watercolour")
