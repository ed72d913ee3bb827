"""Data sets painted by the learned agent."""

from pathlib import Path

import pytest
import torch

from conf.compose import compose
from conf.errors import ConfigError
from pipelines import synth, verify
from pipelines.synthesis.config import synth_config
from pipelines.verify import verify_config
from tests.renderers.actors import save_released_actor, save_small_actor
from training.models.actor import Actor


def words(out: Path, actor: Path | str, **options: object) -> list[str]:
    """A run of two small sequences."""
    return [
        "renderer=agent", f"renderer.actor={actor}", "renderer.num_steps=2", "num_sequences=2", "num_frames=3",
        "size=64", "cluster=inline", "gallery=false", "tracker=none", f"out={out}",
        *(f"{key}={value}" for key, value in options.items()),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_released_actor(tmp_path_factory.mktemp("actors") / "actor.pkl")


def test_a_released_actor_makes_a_sound_data_set(released: Path, tmp_path: Path) -> None:
    config = synth_config(compose("synth", words(tmp_path / "data", released)))
    assert synth.run(config).exit_code == 0
    assert verify.run(verify_config(compose("verify", [f"dataset={tmp_path / 'data'}"]))).exit_code == 0


def test_the_weights_and_not_their_path_are_in_the_recipe(released: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere.pth"
    moved.write_bytes(released.read_bytes())
    one, two = (synth_config(compose("synth", words(tmp_path / "data", path))) for path in (released, moved))
    (here,), (there,) = one.recipe()["renderers"], two.recipe()["renderers"]
    assert here["assets"] == there["assets"] and len(here["assets"]["actor"]) == 64


def refused(actor: Path | str, tmp_path: Path, **options: object) -> str:
    with pytest.raises(ConfigError) as error:
        synth_config(compose("synth", words(tmp_path / "data", actor, **options)))
    assert not (tmp_path / "data").exists()
    return str(error.value)


def test_files_that_hold_no_actor_are_refused_in_one_line(tmp_path: Path) -> None:
    assert "renderer.actor" in refused("null", tmp_path)
    assert "renderer.actor=nowhere.pkl" in refused("nowhere.pkl", tmp_path)
    broken = tmp_path / "broken.pkl"
    broken.write_bytes(b"no weights")
    assert "not a PyTorch weights file" in refused(broken, tmp_path)
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pkl")
    assert "neither conv1.weight" in refused(tmp_path / "other.pkl", tmp_path)
    torch.save({**Actor().state_dict(), "fc.weight": torch.zeros(10, 512)}, tmp_path / "critic.pkl")
    assert "fc.weight" in refused(tmp_path / "critic.pkl", tmp_path)
    torch.save({name: value * torch.nan for name, value in Actor().state_dict().items()}, tmp_path / "nan.pkl")
    assert "values are not finite" in refused(tmp_path / "nan.pkl", tmp_path)
    torch.save({name: value * 1e30 for name, value in Actor().state_dict().items()}, tmp_path / "huge.pkl")
    assert "NaN" in refused(tmp_path / "huge.pkl", tmp_path)


def test_an_actor_of_the_stage_says_which_sizes_it_takes(tmp_path: Path) -> None:
    small = save_small_actor(tmp_path / "small.pth")
    assert "width_px=60: not allowed; allowed: a multiple of 8" in refused(small, tmp_path, **{"renderer.width_px": 60})


def test_actors_are_tried_on_a_small_picture_that_is_not_blank(tmp_path: Path) -> None:
    small = save_small_actor(tmp_path / "small.pth")
    tensors = torch.load(small, weights_only=True)
    huge = {name: value * 1e30 for name, value in tensors.items()}
    torch.save(huge, tmp_path / "huge.pth")
    # A trial at the full width would draw 65,536 strokes of 1,024 px.
    assert "NaN" in refused(tmp_path / "huge.pth", tmp_path, **{"renderer.width_px": 1024})
    assert synth_config(compose("synth", words(tmp_path / "data", small, **{"renderer.width_px": 1024})))


def test_sequences_with_fewer_steps_than_frames_are_warned_of(released: Path, tmp_path: Path) -> None:
    for num_frames, expected in ((3, False), (12, True)):
        out = tmp_path / str(num_frames)
        summary = synth.run(synth_config(compose("synth", words(out, released, num_frames=num_frames))))
        warning = "warning: 2 of 2 sequences show some frames twice, as they have too few steps for as many frames"
        assert any(line.startswith(warning) for line in summary.lines) == expected
