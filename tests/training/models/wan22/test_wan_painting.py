"""A Wan painter paints the same wherever its weights wait, and whether or not its blocks are compiled."""

from typing import Any

import pytest
import torch
from diffusers.models.transformers.transformer_wan import WanTransformerBlock
from torch import Tensor

from pipelines.inference.loading import pipeline_of
from pipelines.inference.pinned import PinnedPicture
from tests.pipelines.inference.absent_weights import hide_absent_weights
from tests.training.models.wan22.small_wan import small_wan
from training.models.compiling import compile_blocks
from training.models.lora import lora_of
from training.models.shape import LoraShape
from training.models.wan22.lora import add_lora
from training.models.wan22.painter import WanPainter
from training.models.wan22.shape import LORA_LAYERS

_SHAPE = LoraShape(rank=2, alpha=2.0, targets=LORA_LAYERS)
Lora = dict[str, Tensor]


@pytest.fixture(scope="module")
def motion() -> Lora:
    """A motion LoRA that changes every layer that it may change."""
    transformer = small_wan().transformer
    add_lora(transformer, "motion", _SHAPE)
    trained = {name: parameter for name, parameter in transformer.named_parameters() if parameter.requires_grad}
    generator = torch.Generator().manual_seed(0)
    return lora_of(
        {name: 0.2 * torch.randn(parameter.shape, generator=generator) for name, parameter in trained.items()},
        "motion",
        _SHAPE,
    )


def painted(motion: Lora | None, **how: Any) -> Tensor:
    painter = WanPainter(base=small_wan(), motion=motion, facts={})
    given = PinnedPicture(frame=-1, picture=torch.full((3, 32, 32), 0.7))
    pipeline = pipeline_of(painter, torch.device("cpu"), {}, **how)
    frames: Tensor = pipeline(["a red house"], [[given]], num_frames=3, size_px=(32, 32), steps=2).frames
    return frames


def test_weights_that_wait_elsewhere_paint_the_same(motion: Lora) -> None:
    expected = painted(motion)
    for offload in ("model", "group", "sequential"):
        assert torch.equal(painted(motion, offload=offload), expected), offload
    assert torch.allclose(painted(motion, vae="tiled"), expected, atol=1e-5)
    assert not torch.allclose(painted(None), expected, atol=1e-3)


def test_layers_are_fetched_in_time(motion: Lora, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = painted(motion)
    fetches = hide_absent_weights(monkeypatch)
    assert torch.equal(painted(motion, offload="group"), expected)
    assert fetches and max(fetches) <= 2  # a weight and its bias: never a whole network


def test_compiled_blocks_predict_the_same() -> None:
    eager, compiled = small_wan().transformer, small_wan().transformer
    compile_blocks(compiled, (WanTransformerBlock,), backend="aot_eager")
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(1, 6, 3, 4, 4, generator=generator), torch.tensor([500.0]), torch.randn(1, 5, 16)
    for _ in range(2):
        assert torch.allclose(compiled(*inputs, return_dict=False)[0], eager(*inputs, return_dict=False)[0], atol=1e-5)
    assert all(block._compiled_call_impl is not None for block in compiled.blocks)
