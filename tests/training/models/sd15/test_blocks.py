"""Blocks that are compiled are compiled once, and compute the same."""

from pathlib import Path

import pytest
import torch
from torch._dynamo.utils import counters

from tests.training.models.small_base import small_base
from tests.training.stages.made import motion_stage, unet_of
from tests.training.stages.parents import config, untrained_parents
from tests.training.stages.test_motion_stage import batch_of
from training.data.stream import SequenceStream
from training.models.sd15.blocks import BLOCKS, compile_network
from training.models.tiny.shape import TinyShape
from training.stages.denoising import DenoisingConfig, DenoisingStage
from training.stages.make import make_stage


def stage() -> DenoisingStage:
    model = small_base(shape=TinyShape(channels=(16, 16), plain_levels=0, patch_px=4, text_width=16, latent_channels=8))
    torch.manual_seed(0)
    made = motion_stage(model, DenoisingConfig(objective=model.schedule), 4, (16, 16))
    made.network.train()
    return made


def gradients(made: DenoisingStage) -> dict[str, torch.Tensor]:
    made.network.zero_grad()
    made.network(batch_of()).loss.backward()
    return {name: value.grad.clone() for name, value in unet_of(made).named_parameters() if value.grad is not None}


def test_gradients_are_the_same_and_the_second_step_compiles_nothing() -> None:
    eager, compiled = stage(), stage()
    torch._dynamo.reset()
    counters.clear()
    compile_network(compiled.network, backend="aot_eager")
    ours, theirs = gradients(compiled), gradients(eager)
    assert ours.keys() == theirs.keys() and ours
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-6) for name in ours)
    graphs = counters["stats"]["unique_graphs"]
    blocks = [module for module in compiled.network.modules() if isinstance(module, BLOCKS)]
    assert 0 < graphs < len(blocks)  # those of one kind and size share one
    gradients(compiled)
    assert counters["stats"]["unique_graphs"] == graphs


@pytest.mark.parametrize("compiled", [True, False])
def test_compile_is_what_a_stage_is_told(sequences: Path, tmp_path: Path, compiled: bool) -> None:
    folders = untrained_parents(tmp_path / "parents")
    said = config("motion", sequences, folders, tmp_path / "run", compile=str(compiled).lower())
    made = make_stage(said, SequenceStream.open(said.data))
    blocks = [module for module in made.network.modules() if isinstance(module, BLOCKS)]
    assert blocks and all((module._compiled_call_impl is not None) == compiled for module in blocks)
