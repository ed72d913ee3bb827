"""What the learned agent promises."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from conf.errors import ConfigError
from pipelines.synthesis.assets import read_assets
from renderers import agent, families
from renderers.painting import Image, StrokeProgram
from renderers.raster.discs import paint_discs
from tests.renderers.actors import RELEASED_PARAMETERS, SquareOfColour, save_released_actor
from training.models.actor import Actor

AGENT = agent.RENDERER
SEED = np.random.SeedSequence(0)
ASSETS = {"actor": SquareOfColour()}


def picture(height: int = 32, width: int = 32) -> Image:
    """Red at the left, blue at the right, lighter downwards."""
    rows, columns = np.mgrid[:height, :width] / np.array([height, width]).reshape(2, 1, 1)
    return np.stack([1 - columns, rows, columns], -1).astype(np.float32)


def config(**options: object) -> agent.Config:
    return agent.Config(**{"actor": "not opened here", "width_px": 32, "num_steps": 4, **options})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_released_actor(tmp_path_factory.mktemp("actors") / "actor.pkl")


def test_it_is_a_family() -> None:
    assert "agent" in families()


def test_the_network_has_the_released_names_and_shapes() -> None:
    state = Actor().state_dict()
    assert len(state) == 128
    assert sum(parameter.numel() for parameter in Actor().parameters()) == RELEASED_PARAMETERS
    for name, shape in (
        ("conv1.weight", (64, 9, 3, 3)),
        ("layer1.0.shortcut.1.running_var", (64,)),
        ("layer4.0.shortcut.0.weight", (512, 256, 1, 1)),
        ("layer4.1.bn2.bias", (512,)),
        ("fc.weight", (65, 512)),
    ):
        assert tuple(state[name].shape) == shape


def test_a_file_of_the_released_layout_paints_and_always_alike(released: Path) -> None:
    chosen = agent.Config(actor=str(released), num_steps=2)
    assets = read_assets(agent.RENDERER.asset_files(chosen)).content
    agent.RENDERER.check_assets(chosen, assets)
    one, two = (AGENT.paint(picture(), chosen, SEED, assets) for _ in range(2))
    assert one.program.to_bytes() == two.program.to_bytes()
    assert one.program.strokes.shape == (10, 16)
    assert np.array_equal(one.distances, two.distances)


def test_the_actor_sees_and_answers_in_bgr() -> None:
    seen: list[np.ndarray] = []

    class Watching(SquareOfColour):
        def __call__(self, canvases: np.ndarray, pictures: np.ndarray, done: float) -> np.ndarray:
            seen.extend((canvases, pictures))
            return super().__call__(canvases, pictures, done)

    red = np.zeros((32, 32, 3), np.float32)
    red[..., 0] = 1
    painting = AGENT.paint(red, config(num_steps=1, canvas=(0.0, 0.5, 0.0)), SEED, {"actor": Watching()})
    assert (seen[0][0, :, 0, 0] == [0, 0.5, 0]).all() and (seen[1][0, :, 5, 5] == [0, 0, 1]).all()
    blank, finished = AGENT.replay(painting.program, [0, 5])
    assert (blank[0, 0] == [0, 0.5, 0]).all()
    assert finished[16, 16, 0] > 0.8 and finished[16, 16, 2] == 0


def test_the_whole_canvas_holds_the_exact_discs() -> None:
    program = AGENT.paint(picture(), config(), SEED, ASSETS).program
    (finished,) = AGENT.replay(program, [len(program.strokes)])
    expected = paint_discs(program.strokes[:, :13], np.zeros((32, 32, 3), np.float32))[..., ::-1]
    assert np.array_equal(finished, expected)


def test_in_tiles_the_second_half_paints_each_tile_as_a_canvas() -> None:
    divided = AGENT.paint(picture(64, 64), config(divide=2), SEED, ASSETS).program
    assert len(divided.strokes) == 2 * 5 + 2 * 5 * 4
    whole, tiled = divided.strokes[:10], divided.strokes[10:]
    assert (whole[:, 13:] == [0, 0, 1]).all()
    assert {tuple(row) for row in tiled[:, 13:]} == {(y, x, 0.5) for y in (0, 0.5) for x in (0, 0.5)}
    before, after = AGENT.replay(divided, [10, 50])
    lower_left = tiled[(tiled[:, 13:15] == [0.5, 0]).all(1), :13]
    expected = paint_discs(lower_left, np.ascontiguousarray(before[32:, :32, ::-1]))[..., ::-1]
    assert np.array_equal(after[32:, :32], expected)


@pytest.mark.parametrize("divide", [1, 2, 3])
def test_steps_in_one_go_or_one_by_one_are_the_same_canvas(divide: int) -> None:
    program = AGENT.paint(picture(30, 50), config(divide=divide), SEED, ASSETS).program
    count = len(program.strokes)
    *_, slowly = AGENT.replay(program, range(count + 1))
    (at_once,) = AGENT.replay(program, [count])
    assert slowly.shape == (30, 50, 3)
    assert np.array_equal(slowly, at_once)


def test_a_program_looks_alike_at_any_size() -> None:
    program = AGENT.paint(picture(64, 64), config(width_px=64, divide=2), SEED, ASSETS).program
    (small,), (large,) = (AGENT.replay(program, [len(program.strokes)], size) for size in ((64, 64), (256, 256)))
    shrunk = cv2.resize(large, (64, 64), interpolation=cv2.INTER_AREA)
    assert np.abs(shrunk - small).mean() < 0.02
    again = StrokeProgram.from_bytes(program.to_bytes())
    assert np.array_equal(next(AGENT.replay(again, [50])), next(AGENT.replay(program, [50])))


def test_distances_start_at_one_and_end_at_nothing() -> None:
    distances = AGENT.paint(picture(), config(), SEED, ASSETS).distances
    assert distances.shape == (21,)
    assert distances[0] == 1 and distances[-1] == 0


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"actor": None}, "actor"),
        ({"width_px": 8}, "width_px"),
        ({"num_steps": 0}, "num_steps"),
        ({"num_steps": 1, "divide": 2}, "num_steps"),
        ({"divide": 17}, "divide"),
        ({"canvas": (0.0, 0.0, 2.0)}, "canvas"),
    ],
)
def test_a_wrong_configuration_names_its_key(options: dict[str, object], key: str) -> None:
    with pytest.raises(ConfigError) as refused:
        config(**options)
    assert refused.value.key == key
