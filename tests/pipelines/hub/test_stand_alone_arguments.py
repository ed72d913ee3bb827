"""Arguments of a painter's own pipeline act as in diffusers, or are refused in one line before anything is computed.

What it paints is in `test_stand_alone.py`.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.callbacks import MultiPipelineCallbacks, SDCFGCutoffCallback, SDXLCFGCutoffCallback
from torch import Tensor

from conf.errors import ConfigError
from tests.pipelines.hub.stock import stock
from tests.pipelines.hub.test_stand_alone import FEW, seeded
from tests.pipelines.small_painter import PROMPT
from training.noise_schedule import NoiseSchedule, schedule_of

LATENT: dict[str, Any] = {**FEW, "output_type": "latent"}


@contextmanager
def refusing(painter: Any, name: str) -> Iterator[pytest.ExceptionInfo[ValueError]]:
    """Expects a ValueError of one line that begins with the argument's name, before a network is called."""

    def fail(*_: object) -> None:
        raise AssertionError("a network was called")

    handles = [part.register_forward_pre_hook(fail) for part in (painter.text_encoder, painter.unet)]
    try:
        with pytest.raises(ValueError, match=f"^{name}=.*: not allowed; allowed: ") as error:
            yield error
        assert "\n" not in str(error.value) and len(str(error.value)) < 250
    finally:
        for handle in handles:
            handle.remove()


def latents_of(painter: Any, prompt: Any = PROMPT, seed: int = 0, **options: Any) -> Tensor:
    latents: Tensor = painter(prompt, **{**LATENT, "generator": seeded(seed), **options}).frames
    return latents


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("output_type", "jpg", "pil, np, pt, latent"),
        ("output_type", None, "pil, np, pt, latent"),
        *(("prompt", value, "at least one") for value in ([], None, 7, ["a cat", None], {"a cat"}, b"a cat")),
        *(("negative_prompt", value, "one for each prompt \\(1\\)") for value in ([], ["a", "b"], 7, [None])),
        *(("generator", value, "one for each prompt \\(1\\)") for value in ([], [seeded(0)] * 2, 7, [None])),
        *(("num_frames", value, "2 to 3, the most that this painter knows") for value in (0, 1, -3, 4, 2.5)),
        *(("height", value, "positive multiples of 16") for value in (0, -16, 40, 64.0, "64", True)),
        *(("width", value, "positive multiples of 16") for value in (0, -16, 8, float("nan"))),
        *(("num_inference_steps", value, "1, to divide") for value in (0, -1)),
        *(("num_inference_steps", value, "whole numbers, to divide") for value in (2.5, None, "2", True)),
        *(("guidance_scale", value, "a finite number") for value in (float("nan"), float("inf"), None, "5", 10**400)),
        *(("guidance_rescale", value, "0 to 1") for value in (-0.1, 1.1, float("nan"), "0.7")),
        ("callback_on_step_end", 7, "a function"),
        *(
            ("callback_on_step_end_tensor_inputs", value, "a list of latents and prompt_embeds")
            for value in (["noise"], "latents", None, [["latents"]], 7)
        ),
    ],
)  # fmt: skip
def test_what_is_not_possible_is_refused_before_anything_is_computed(
    painter: Any, name: str, value: object, allowed: str
) -> None:
    with refusing(painter, name) as error:
        painter(**{"prompt": PROMPT, **FEW, name: value})
    assert error.match(allowed)


def test_the_output_type_is_checked_first_and_a_long_value_is_cut(painter: Any) -> None:
    with refusing(painter, "output_type"):
        painter([], num_frames=-1, output_type="gif")
    with refusing(painter, "prompt"):
        painter(torch.zeros(100, 100), **FEW)


@pytest.mark.parametrize("zero_terminal_snr", [False, True])
def test_numbers_of_steps_are_refused_as_paint_refuses_them(painter: Any, zero_terminal_snr: bool) -> None:
    schedule = NoiseSchedule(prediction="v", zero_terminal_snr=zero_terminal_snr)
    own = painter.scheduler
    painter.scheduler = type(own)(**schedule.scheduler_config())
    assert schedule_of(painter.scheduler.config) == schedule
    refused = []
    try:
        for steps in (1, 2, 7, 61, 100, 333, 400, 499, 500, 501, 600, 874, 875, 876, 899, 999, 1000, 1001, 5000):
            try:
                schedule.sampler(steps)
            except ConfigError as error:
                refused.append(steps)
                with refusing(painter, "num_inference_steps") as own_error:
                    painter(PROMPT, **{**FEW, "num_inference_steps": steps})
                nearest = error.allowed.partition(",")[0]
                assert f"allowed: {nearest}, to divide the scheduler's 1000 timesteps" in str(own_error.value)
            else:
                assert painter._checked_steps(steps) == steps
    finally:
        painter.scheduler = own
    assert {400, 600, 1001} <= set(refused) and not {1, 61, 500} & set(refused)


def test_guidance_of_1_or_less_is_none(painter: Any) -> None:
    off, on = latents_of(painter, guidance_scale=1), latents_of(painter, guidance_scale=1.5)
    for scale in (0.0, 0.5, -3, np.float32(1)):
        assert torch.equal(latents_of(painter, guidance_scale=scale), off)
    assert not torch.equal(on, off)


def test_each_prompt_may_have_its_own_negative_prompt(painter: Any) -> None:
    generators = [seeded(0), seeded(0)]
    both = latents_of(painter, ["a cat", "a dog"], generator=generators, negative_prompt=["a boat", ""])
    for row, (prompt, negative) in enumerate((("a cat", "a boat"), ("a dog", ""))):
        own, other = (
            latents_of(painter, prompt, negative_prompt=each)[0] for each in (negative, "something else entirely")
        )
        assert torch.allclose(both[row], own, atol=1e-4) and not torch.allclose(both[row], other, atol=1e-4)
    prompts = ["a cat", "a dog"]
    assert torch.equal(
        latents_of(painter, prompts, negative_prompt="a boat"),
        latents_of(painter, prompts, negative_prompt=("a boat", "a boat")),
    )
    assert torch.equal(latents_of(painter, negative_prompt=None), latents_of(painter, negative_prompt=""))


def test_a_prompt_that_is_its_negative_one_leaves_guidance_to_the_others(painter: Any) -> None:
    options: dict[str, Any] = {"generator": [seeded(0), seeded(0)], "negative_prompt": ["a cat", ""]}
    both = latents_of(painter, ["a cat", PROMPT], **options)
    assert torch.allclose(both[0], latents_of(painter, "a cat", guidance_scale=1)[0], atol=1e-4)
    assert torch.allclose(both[1], latents_of(painter)[0], atol=1e-4)


def test_each_prompt_may_have_its_own_generator(painter: Any) -> None:
    prompts = ["a cat", "a dog"]
    both = latents_of(painter, prompts, generator=[seeded(3), seeded(4)])
    for row, seed in enumerate((3, 4)):
        assert torch.allclose(both[row], latents_of(painter, prompts[row], seed)[0], atol=1e-4)
    same = seeded(3)
    twice = latents_of(painter, ["a cat", "a cat"], generator=[same, same])
    assert torch.equal(latents_of(painter, "a cat", generator=[seeded(3)]), latents_of(painter, "a cat", 3))
    assert not torch.allclose(twice[0], twice[1], atol=1e-2)


def test_frames_are_as_many_as_it_was_trained_for_or_8(painter: Any, folder: Path, tmp_path: Path) -> None:
    assert latents_of(painter, num_frames=None).shape[1] == 3
    assert latents_of(painter, num_frames=np.int64(2)).shape[1] == 2
    older = shutil.copytree(folder, tmp_path / "older")
    index = json.loads((older / "model_index.json").read_text())
    assert index.pop("num_frames") == 3
    (older / "model_index.json").write_text(json.dumps(index))
    unaware = stock(older, tmp_path / "modules")
    assert latents_of(unaware, num_frames=None).shape[1] == 8
    assert latents_of(unaware, num_frames=32).shape[1] == 32
    with refusing(unaware, "num_frames") as error:
        unaware(PROMPT, **{**FEW, "num_frames": 33})
    assert error.match("2 to 32, the most that this painter knows; process-painter")


def test_the_number_of_trained_frames_is_kept_when_diffusers_saves_the_painter(painter: Any, tmp_path: Path) -> None:
    painter.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "model_index.json").read_text())["num_frames"] == 3


def test_a_callback_can_interrupt_and_the_next_call_is_whole(painter: Any) -> None:
    seen: list[tuple[int, int, float]] = []

    def look(pipeline: Any, step: int, _: int, tensors: dict[str, Any]) -> dict[str, Any]:
        assert not pipeline.interrupt
        seen.append((step, pipeline.num_timesteps, pipeline.guidance_scale))
        return tensors

    def stop(pipeline: Any, step: int, timestep: int, tensors: dict[str, Any]) -> dict[str, Any]:
        look(pipeline, step, timestep, tensors)
        pipeline._interrupt = step == 0
        first.append(tensors["latents"])
        return tensors

    first: list[Tensor] = []
    stopped = latents_of(painter, callback_on_step_end=stop)
    assert seen == [(0, 2, 5.0)] and torch.equal(stopped, first[0]) and painter.interrupt
    whole = latents_of(painter, callback_on_step_end=look)
    assert len(seen) == 3 and torch.equal(whole, latents_of(painter)) and not torch.equal(whole, stopped)


def chunked(pipeline: Any, step: int, _: int, tensors: dict[str, Any]) -> dict[str, Any]:
    """Switches guidance off after the first step, as diffusers' documentation does."""
    if step == 0:
        pipeline._guidance_scale = 0.0
        tensors["prompt_embeds"] = tensors["prompt_embeds"].chunk(2)[-1]
    return tensors


@pytest.mark.parametrize(
    "callback",
    [
        SDCFGCutoffCallback(cutoff_step_ratio=0.0),
        SDCFGCutoffCallback(cutoff_step_ratio=None, cutoff_step_index=0),
        MultiPipelineCallbacks([SDCFGCutoffCallback(cutoff_step_ratio=0.0)]),
        chunked,
    ],
)
def test_a_callback_can_switch_guidance_off(painter: Any, callback: Callable[..., Any]) -> None:
    expected = with_guidance(painter, 0.0)
    names = ["prompt_embeds"] if callback is chunked else ["latents"]  # diffusers' own callbacks name their tensors
    painted = latents_of(painter, callback_on_step_end=callback, callback_on_step_end_tensor_inputs=names)
    assert torch.equal(painted, expected) and not torch.equal(painted, latents_of(painter))


def with_guidance(painter: Any, scale: float, **options: Any) -> Tensor:
    """Latents with another guidance after the first step, by no tensor at all."""

    def change(pipeline: Any, *_: object) -> dict[str, Any]:
        pipeline._guidance_scale = scale
        return {}

    return latents_of(painter, callback_on_step_end=change, callback_on_step_end_tensor_inputs=[], **options)


def test_a_callback_can_switch_guidance_on(painter: Any) -> None:
    switched_on = with_guidance(painter, 5.0, guidance_scale=1.0)
    assert not torch.equal(switched_on, latents_of(painter, guidance_scale=1.0))


def test_a_callback_can_change_the_texts_of_all_prompts(painter: Any) -> None:
    def replace(_: Any, step: int, __: int, tensors: dict[str, Any]) -> dict[str, Any]:
        assert tensors.keys() == {"prompt_embeds"} and len(tensors["prompt_embeds"]) == 4
        return {"prompt_embeds": tensors["prompt_embeds"].flip(0)} if step == 0 else {}

    names = ["prompt_embeds"]
    prompts = ["a cat", "a dog"]
    flipped = latents_of(painter, prompts, callback_on_step_end=replace, callback_on_step_end_tensor_inputs=names)
    assert not torch.equal(flipped, latents_of(painter, prompts))
    assert torch.equal(latents_of(painter, prompts, callback_on_step_end=lambda *_: None), latents_of(painter, prompts))


def test_callbacks_that_cannot_work_here_say_so(painter: Any) -> None:
    cutoff = SDCFGCutoffCallback(cutoff_step_ratio=0.0)
    for callback in (cutoff, MultiPipelineCallbacks([cutoff])):
        with refusing(painter, "callback_on_step_end"):
            painter(["a cat", "a dog"], callback_on_step_end=callback, **FEW)
    with refusing(painter, "callback_on_step_end_tensor_inputs"):
        painter(PROMPT, callback_on_step_end=SDXLCFGCutoffCallback(cutoff_step_ratio=0.0), **FEW)

    def last(_: Any, __: int, ___: int, tensors: dict[str, Any]) -> dict[str, Any]:
        return {"prompt_embeds": tensors["prompt_embeds"][-1:]}

    options: dict[str, Any] = {"callback_on_step_end": last, "callback_on_step_end_tensor_inputs": ["prompt_embeds"]}
    with pytest.raises(ValueError, match=r"^callback_on_step_end: shape of its prompt_embeds=\(1, .*allowed: \(2, "):
        painter(["a cat", "a dog"], **options, **FEW)
