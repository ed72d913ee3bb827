"""Paintings made many at once: as good as alone, refused alone, and held to what the CPU paints of them.

There is no GPU here: what a configuration calls `cuda` stands for the CPU, through the same code.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from conf.compose import compose
from pipelines import verify
from pipelines.sources.source import RefusedPicture
from pipelines.synthesis import config as pipelines_config
from pipelines.synthesis import painted
from pipelines.synthesis.config import synth_config
from pipelines.synthesis.plan import make_plan
from pipelines.synthesis.sequence import RenderSettings
from pipelines.synthesis.shard import render_shard
from renderers import bezier, renderer
from renderers.bezier.gpu import batch
from renderers.bezier.gpu.fit import fit_batch
from renderers.painting import Image, StrokeProgram, to_uint8
from tests.pipelines.runs import SMALL, synth
from tests.renderers.pictures import landscape
from training.data.dataset import read_card
from training.data.manifest import read_manifest
from training.data.sequence import read_sequences

ON_GPU = (*SMALL, "num_sequences=4", "shard_size=4", "val_fraction=0", "gallery=false", "renderer.device=cuda")
CONFIG = bezier.Config(preset="fast", num_strokes=20, device="cuda")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "device_of", lambda _: torch.device("cpu"))
    monkeypatch.setattr(pipelines_config, "compute_device", lambda _: None)


def seeds(count: int) -> list[np.random.SeedSequence]:
    return [np.random.SeedSequence(number) for number in range(count)]


def verified(folder: Path) -> int:
    return verify.run(verify.VerifyConfig(dataset=folder)).exit_code


def shard_in(root: Path) -> tuple[Any, RenderSettings]:
    """The plan of one shard of four sequences, and its settings."""
    config = synth_config(compose("synth", list(ON_GPU)))
    for folder in ("shards", "timings"):
        (root / folder).mkdir(parents=True)
    settings = RenderSettings(
        root=root, source=config.source, renderers=config.renderers, framing=config.framing, schedule=config.schedule,
        frame_format="png", seed=0, config_hash="c", code_version="0",
    )  # fmt: skip
    return next(make_plan(config.source.index(4), [1.0], 4, 4, 0.0).shards()), settings


@pytest.mark.usefixtures("gpu")
def test_a_data_set_painted_in_batches_is_sound_and_says_what_painted_it(tmp_path: Path) -> None:
    assert synth(*ON_GPU, f"out={tmp_path / 'gpu'}") == 0
    card = read_card(tmp_path / "gpu")
    assert card.recipe["renderers"][0]["config"]["device"] == "cuda"
    manifest = read_manifest(tmp_path / "gpu", card.shards[0])
    assert manifest is not None and manifest.num_samples == 4
    for sequence in read_sequences(tmp_path / "gpu", manifest):
        assert json.loads(sequence.members["json"])["renderer"]["config"]["device"] == "cuda"
    assert verified(tmp_path / "gpu") == 0


def test_what_the_cpu_paints_does_not_name_a_device_so_that_old_recipes_keep_their_hash(tmp_path: Path) -> None:
    recipe = synth_config(compose("synth", list(SMALL))).recipe()
    assert "device" not in recipe["renderers"][0]["config"]
    assert synth_config(compose("synth", [*SMALL, "renderer.device=cpu"])).recipe() == recipe


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(("levels", "exit_code"), [(1, 0), (2, verify.FAULTY)])
def test_frames_of_a_gpu_are_held_to_one_level(
    levels: int, exit_code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def off(canvas: Image, step: int) -> Image:
        return np.abs(to_uint8(canvas) / np.float32(255) - np.float32(levels * (step > 0) / 255))

    def canvases_of(programs: Any, steps: Any, _: str) -> list[list[Image]]:
        return [
            [off(canvas, step) for step, canvas in zip(chosen, bezier.RENDERER.replay(program, chosen), strict=True)]
            for program, chosen in zip(programs, steps, strict=True)
        ]

    monkeypatch.setattr(batch, "canvases_of", canvases_of)
    assert synth(*ON_GPU, f"out={tmp_path / 'gpu'}") == 0
    assert verified(tmp_path / "gpu") == exit_code


def test_frames_of_the_cpu_are_held_to_the_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert synth(*SMALL, "num_sequences=1", "gallery=false", f"out={tmp_path / 'cpu'}") == 0
    replay = bezier.RENDERER.replay

    def off(program: StrokeProgram, steps: Sequence[int]) -> Iterator[Image]:
        for step, canvas in zip(steps, replay(program, steps), strict=True):
            yield np.abs(canvas - np.float32((step > 0) / 255))

    monkeypatch.setattr(bezier.RENDERER, "replay", off)
    assert verified(tmp_path / "cpu") == verify.FAULTY


@pytest.mark.skipif(torch.cuda.is_available(), reason="about machines without a GPU")
def test_a_gpu_that_is_not_there_is_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert synth(*ON_GPU, f"out={tmp_path / 'gpu'}") == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "renderer.device=cuda" in line and "cpu" in line
    assert not (tmp_path / "gpu").exists()


@pytest.mark.usefixtures("gpu")
def test_workers_without_a_share_of_the_gpu_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert synth(*ON_GPU, "cluster=local", f"out={tmp_path / 'gpu'}") == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "cluster.gpus_per_worker" in line and not (tmp_path / "gpu").exists()


@pytest.mark.usefixtures("gpu")
def test_batches_are_bounded_and_paint_what_one_batch_paints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = []
    for number, most in enumerate((4, 3)):
        monkeypatch.setattr(painted, "_AT_ONCE", most)
        sizes: list[int] = []

        def counted(images: Any, *more: Any, sizes: list[int] = sizes) -> Any:
            sizes.append(len(images))
            return fit_batch(images, *more)

        with monkeypatch.context() as patch:
            patch.setattr(batch, "fit_batch", counted)
            plan, settings = shard_in(tmp_path / str(number))
            report = render_shard(plan, settings)
        assert report.error is None and sizes == [4] * (most == 4) + [3, 1] * (most == 3)
        manifest = read_manifest(settings.root, plan.name)
        assert manifest is not None
        frames.append(np.stack([sequence.frames() for sequence in read_sequences(settings.root, manifest)]))
    off = np.abs(frames[0].astype(int) - frames[1])
    assert off.max() <= 2 and (off > 0).mean() < 0.01


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("dark", [False, True])
def test_a_picture_that_cannot_be_loaded_is_refused_alone_and_a_fault_names_its_own(
    dark: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, settings = shard_in(tmp_path)
    load, plan_batch, black = type(settings.source).load, batch.plan_batch, np.zeros((64, 64, 3), np.float32)

    def load_some(source: Any, entry: Any, *more: Any) -> Any:
        picture = load(source, entry, *more)
        if entry == plan.sequences[1].entry:
            raise RefusedPicture("torn")
        if dark and entry == plan.sequences[2].entry:
            object.__setattr__(picture, "image", black)
        return picture

    def no_black(images: Sequence[Image], *more: Any) -> Any:
        if any(not image.any() for image in images):
            raise ValueError("too dark")
        return plan_batch(images, *more)

    monkeypatch.setattr(type(settings.source), "load", load_some)
    monkeypatch.setattr(batch, "plan_batch", no_black)
    report = render_shard(plan, settings)
    if dark:
        assert (
            report.fatal and f"{plan.sequences[2].entry.id}: " in str(report.error) and "too dark" in str(report.error)
        )
        return
    manifest = read_manifest(tmp_path, plan.name)
    assert report.error is None and manifest is not None and report.num_samples == 3
    assert [row["reason"] for row in manifest.quarantined] == ["torn"]


@pytest.mark.usefixtures("gpu")
def test_too_little_gpu_memory_is_blamed_on_no_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(batch, "fit_batch", full)
    report = render_shard(*shard_in(tmp_path))
    assert "memory" in str(report.error) and report.num_quarantined == 0


@pytest.mark.usefixtures("gpu")
def test_the_batch_door_of_a_family_paints_what_single_pictures_are() -> None:
    images = [landscape(64, 80), np.ascontiguousarray(landscape(64, 80)[:, ::-1])]
    together = bezier.RENDERER.paint_batch(images, CONFIG, seeds(2))
    alone = [bezier.RENDERER.paint(image, CONFIG, seed) for image, seed in zip(images, seeds(2), strict=True)]
    for one, two in zip(together, alone, strict=True):
        assert np.abs(one.program.strokes - two.program.strokes).max() < 1e-3
    steps = [(0, 7, 20), (0, 3, 20)]
    canvases = bezier.RENDERER.replay_batch([one.program for one in together], steps, CONFIG)
    for painting, chosen, shown in zip(together, steps, canvases, strict=True):
        for canvas, exact in zip(shown, bezier.RENDERER.replay(painting.program, chosen), strict=True):
            assert np.abs(to_uint8(canvas).astype(int) - to_uint8(exact)).max() <= 1
    with pytest.raises(ValueError, match="size"):
        bezier.RENDERER.paint_batch([images[0], images[1][:40]], CONFIG, seeds(2))
    with pytest.raises(ValueError, match="number of steps"):
        bezier.RENDERER.replay_batch([one.program for one in together], [(0, 1), (0,)], CONFIG)


@pytest.mark.parametrize("family", ["bezier", "brush"])
def test_a_family_without_a_gpu_paints_a_list_one_by_one(family: str) -> None:
    door = renderer(family)
    config, images = door.config_type(preset="fast", num_strokes=10), [landscape(64, 64)] * 2
    assert not door.gains_by_batches(config)
    paintings = door.paint_batch(images, config, seeds(2))
    for painting, seed in zip(paintings, seeds(2), strict=True):
        assert np.array_equal(painting.program.strokes, door.paint(images[0], config, seed).program.strokes)
    shown = door.replay_batch([one.program for one in paintings], [(0, 10)] * 2, config)
    assert np.array_equal(shown[1][1], next(iter(door.replay(paintings[1].program, [10]))))
