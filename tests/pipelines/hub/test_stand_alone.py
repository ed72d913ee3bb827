"""A painter paints with diffusers alone, and what it paints is what `pipelines.paint` paints."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from conf.command import command
from pipelines.inference.config import paint_config
from pipelines.inference.loading import load_painter_pipeline
from pipelines.paint import run
from pipelines.painter import ProcessPainterPipeline
from pipelines.painters import painter_folder
from tests.pipelines.hub.bare import run_bare
from tests.pipelines.hub.stock import stock
from tests.pipelines.small_painter import PROMPT, save_untrained_painter
from tests.training.models.small_base import pictures
from training.data.own_page import README, is_as_made
from training.models import codec
from training.models.painter_folder import PAINTER_CARD, check_painter, seal_painter
from training.models.sd15 import stand_alone
from training.models.sd15.painter import CODEC_FILE, PIPELINE_FILE, renew_code

TINY = painter_folder(Path("tiny"))
FEW: dict[str, Any] = {"num_frames": 3, "num_inference_steps": 2, "output_type": "pt"}


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


BARE = """
import torch
from diffusers import DiffusionPipeline
try:
    import training
    raise SystemExit("this project is installed here")
except ModuleNotFoundError:
    pass
painter = DiffusionPipeline.from_pretrained(painter, custom_pipeline=f"{painter}/pipeline.py", trust_remote_code=True)
frames = painter(prompt, num_inference_steps=3, generator=torch.Generator().manual_seed(5)).frames[0]
for number, frame in enumerate(frames):
    frame.save(f"{number:02d}.png")
"""


def test_where_this_project_is_not_installed_it_paints_the_very_frames_of_paint(tmp_path: Path) -> None:
    prompt = "a red house by a lake, painted in oil"
    (bare := tmp_path / "bare").mkdir()
    run_bare(BARE, bare, painter=str(TINY), prompt=prompt)
    overrides = [f"prompt={prompt}", "steps=3", "seed=5", "device=cpu", f"out={tmp_path / 'out'}"]
    assert command("paint", paint_config, run, "A test.", overrides) == 0
    painted = sorted((tmp_path / "out" / "frames").glob("*.png"))
    assert len(painted) == 8
    for path in painted:
        assert np.array_equal(np.asarray(Image.open(path)), np.asarray(Image.open(bare / path.name)))


@pytest.mark.parametrize("share", [None, 0.7])
def test_several_prompts_guidance_and_sizes_give_the_frames_of_our_own_pipeline(
    painter: Any, folder: Path, share: float | None
) -> None:
    own, _ = load_painter_pipeline(folder, torch.float32, torch.device("cpu"), {})
    options: dict[str, Any] = {"negative_prompt": "a boat", "guidance_rescale": share}
    expected = own([PROMPT, "cat"], num_frames=3, size_px=(32, 48), seed=7, steps=2, guidance=3.0, **options).frames
    painted = painter(
        [PROMPT, "cat"], height=32, width=48, guidance_scale=3.0, generator=seeded(7), **options, **FEW
    ).frames
    assert torch.equal(painted, expected)


def test_what_it_does_not_read_of_a_prompt_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few: dict[str, Any] = {"num_frames": 2, "num_inference_steps": 1, "output_type": "latent"}
    painter, longest = stock(TINY, tmp_path), " ".join(["house"] * 62)
    told: list[str] = []  # whatever level or handler other tests have left behind
    logger = logging.getLogger(type(painter).__module__)
    monkeypatch.setattr(logger, "warning", lambda message, *values: told.append(message % values))
    painter(longest, **few)
    assert not told
    painter(["a boat", f"{longest} by a lake"], **few)
    assert told == ["only the first 64 tokens of a prompt are read; left out: 'by a lake'"]


def test_a_lone_string_is_one_prompt(painter: Any) -> None:
    alone, listed = (painter(prompt, generator=seeded(0), **FEW).frames for prompt in (PROMPT, [PROMPT]))
    assert alone.shape == (1, 3, 3, 64, 64) and torch.equal(alone, listed)


def test_a_generator_goes_on_as_generators_do(painter: Any) -> None:
    generator = seeded(1)
    first, second = (painter(PROMPT, generator=generator, **FEW).frames for _ in range(2))
    assert torch.equal(first, painter(PROMPT, generator=seeded(1), **FEW).frames)
    assert not torch.equal(first, second)
    assert not torch.equal(painter(PROMPT, **FEW).frames, painter(PROMPT, **FEW).frames)


def test_output_types_are_those_of_diffusers(painter: Any) -> None:
    few = {**FEW, "generator": None}
    as_type = {
        kind: painter(PROMPT, **{**few, "generator": seeded(0), "output_type": kind}).frames for kind in ("pt", "np")
    }
    assert np.array_equal(as_type["np"], as_type["pt"].permute(0, 1, 3, 4, 2).numpy())
    pictures = painter(PROMPT, **{**few, "generator": seeded(0), "output_type": "pil"}, return_dict=False)[0]
    assert np.array_equal(np.stack(pictures[0]), (as_type["np"][0] * 255).round().astype(np.uint8))
    assert painter(PROMPT, **{**few, "output_type": "latent"}).frames.shape == (1, 3, 8, 8, 8)


def test_each_step_calls_back_and_may_change_the_latents(painter: Any) -> None:
    seen: list[tuple[int, int]] = []

    def look(_: Any, step: int, timestep: int, tensors: dict[str, Any]) -> dict[str, Any]:
        seen.append((step, int(timestep)))
        return {"latents": torch.zeros_like(tensors["latents"])}

    blank = painter(PROMPT, callback_on_step_end=look, **{**FEW, "output_type": "latent"}).frames
    assert [step for step, _ in seen] == [0, 1] and seen[0][1] > seen[1][1] and not blank.any()


def test_there_are_as_many_steps_as_were_asked_for(painter: Any) -> None:
    """Diffusers' trailing spacing gives 62 timesteps for 61 steps."""
    seen: list[int] = []

    def look(_: Any, step: int, timestep: int, tensors: dict[str, Any]) -> dict[str, Any]:
        seen.append(int(timestep))
        return {}

    few = {**FEW, "num_inference_steps": 61, "guidance_scale": 1.0, "output_type": "latent"}
    painter.scheduler.register_to_config(timestep_spacing="trailing")
    try:
        painter(PROMPT, callback_on_step_end=look, callback_on_step_end_tensor_inputs=[], **few)
    finally:
        painter.scheduler.register_to_config(timestep_spacing="leading")
    assert len(seen) == 61 and seen[-1] >= 0


def test_a_painter_of_before_goes_on_loading_and_may_be_given_the_code(
    folder: Path, painter: Any, tmp_path: Path
) -> None:
    old = shutil.copytree(folder, tmp_path / "old")
    index = json.loads((old / "model_index.json").read_text())
    index["vae"] = ["training.models.codec", "PatchCodec"]
    del index["num_frames"]
    for name in (PIPELINE_FILE, CODEC_FILE, PAINTER_CARD):
        (old / name).unlink()
    seal_painter(old, {"num_frames": 3, "size_px": [64, 64], "phrases": {}, "parts": {}}, {}, index)
    expected = painter(PROMPT, generator=seeded(0), **FEW).frames
    options: dict[str, Any] = {"num_frames": 3, "size_px": (64, 64), "steps": 2, "guidance": 5.0}
    assert torch.equal(ProcessPainterPipeline.from_pretrained(old)([PROMPT], **options).frames, expected)
    assert torch.equal(
        load_painter_pipeline(old, torch.float32, torch.device("cpu"), {})[0]([PROMPT], **options).frames, expected
    )
    renew_code(old)
    assert check_painter(old)["files"] == check_painter(folder)["files"]


def test_a_convolutional_codec_paints_with_diffusers_alone(folder: Path, painter: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    trained = codec.fit_codec(pictures(64), latent_channels=8, width=16)
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    own = save_untrained_painter(tmp_path / "painter", trained)
    frames = stock(own, tmp_path / "modules")(PROMPT, generator=seeded(0), **FEW).frames
    assert not torch.allclose(frames, painter(PROMPT, generator=seeded(0), **FEW).frames, atol=0.02)
    options: dict[str, Any] = {"num_frames": 3, "size_px": (64, 64), "steps": 2, "guidance": 5.0}
    pipeline, _ = load_painter_pipeline(own, torch.float32, torch.device("cpu"), {})
    assert torch.equal(pipeline([PROMPT], **options).frames, frames)


def test_the_shipped_painter_carries_the_code_of_this_version_and_a_card() -> None:
    remedy = "python -c \"from training.models.sd15.painter import renew_code; renew_code('pipelines/painters/tiny')\""
    for source, name in ((stand_alone, PIPELINE_FILE), (codec, CODEC_FILE)):
        assert (TINY / name).read_bytes() == Path(str(source.__file__)).read_bytes(), remedy
    page = (TINY / README).read_bytes()
    assert is_as_made(page) and b"license: cc0-1.0" in page and check_painter(TINY)["files"].keys() >= {PIPELINE_FILE}
    assert README not in check_painter(TINY)["files"]
    assert json.loads((TINY / "model_index.json").read_text())["num_frames"] == check_painter(TINY)["num_frames"]
