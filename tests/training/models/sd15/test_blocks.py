"""Blocks that are compiled are compiled once, and compute the same."""

from pathlib import Path

import pytest
import torch
from torch import nn
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


def sizes_met(made: DenoisingStage) -> set[tuple[object, ...]]:
    """Of the blocks that compute from here on: type, and sizes of tensors and whether they need gradients."""
    met: set[tuple[object, ...]] = set()

    def meet(block: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        tensors = [each for each in (*args, *kwargs.values(), *block.parameters()) if isinstance(each, torch.Tensor)]
        met.add((type(block), *((each.shape, each.requires_grad) for each in tensors)))

    for module in made.network.modules():
        if isinstance(module, BLOCKS):
            module.register_forward_pre_hook(meet, with_kwargs=True)
    return met


def test_gradients_are_the_same_and_each_kind_and_size_is_compiled_once() -> None:
    eager, compiled = stage(), stage()
    met = sizes_met(eager)
    torch._dynamo.reset()
    counters.clear()
    compile_network(compiled.network, backend="aot_eager")
    ours, theirs = gradients(compiled), gradients(eager)
    assert ours.keys() == theirs.keys() and ours
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-6) for name in ours)
    blocks = [module for module in compiled.network.modules() if isinstance(module, BLOCKS)]
    assert counters["stats"]["unique_graphs"] == len(met) < len(blocks)
    gradients(compiled)
    assert counters["stats"]["unique_graphs"] == len(met)


def test_blocks_are_compiled_whole_where_several_processes_train(tmp_path: Path) -> None:
    """By itself the compiler cuts a block where one of DDP's buckets ends."""
    made, graphs = stage(), list[int]()

    def counting(graph: torch.fx.GraphModule, inputs: object) -> object:
        graphs.append(len(graph.graph.nodes))
        return graph.forward

    torch._dynamo.reset()
    met = sizes_met(made)
    compile_network(made.network, backend=counting)  # type: ignore[arg-type]
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        shared = nn.parallel.DistributedDataParallel(made.network, bucket_cap_mb=1e-3)
        shared(batch_of()).loss.backward()
    finally:
        torch.distributed.destroy_process_group()
    assert len(graphs) == len(met)


@pytest.mark.parametrize("compiled", [True, False])
def test_compile_is_what_a_stage_is_told(sequences: Path, tmp_path: Path, compiled: bool) -> None:
    folders = untrained_parents(tmp_path / "parents")
    said = config("motion", sequences, folders, tmp_path / "run", compile=str(compiled).lower())
    made = make_stage(said, SequenceStream.open(said.data))
    blocks = [module for module in made.network.modules() if isinstance(module, BLOCKS)]
    assert blocks and all((module._compiled_call_impl is not None) == compiled for module in blocks)
