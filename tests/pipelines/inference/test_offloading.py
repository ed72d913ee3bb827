"""What keeping networks out of the accelerator's memory promises."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL
from torch import nn

from pipelines.inference.loading import pipeline_of
from pipelines.inference.pipeline import PaintedProcesses
from pipelines.painter import ProcessPainterPipeline
from tests.pipelines.inference.absent_weights import hide_absent_weights
from tests.pipelines.small_painter import PROMPT, SIZE, at, paint, untrained_pipeline
from tests.training.models.small_base import small_base
from training.models.lora import lora_of
from training.models.sd15.lora import LoraKind, add_lora
from training.models.sd15.motion import adapter_of, add_motion
from training.models.sd15.painter import Painter
from training.models.shape import LoraShape
from training.models.weights import module_hash

CPU = torch.device("cpu")


@pytest.fixture
def painter() -> ProcessPainterPipeline:
    return untrained_pipeline()


@pytest.fixture
def moves(painter: ProcessPainterPipeline, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What moves to which device, and what computes ("runs"), in order; nothing really moves."""
    names = {
        getattr(painter, name): name
        for name in ("vae", "text_encoder", "unet", "motion", "motion_adapter", "replication")
    }
    seen: list[tuple[str, str]] = []

    def to(network: nn.Module, device: Any = None, *rest: Any, **more: Any) -> nn.Module:
        seen.append((names[network], str(device)))
        return network

    for network, name in names.items():
        monkeypatch.setattr(network, "to", to.__get__(network))
        network.register_forward_pre_hook(lambda _module, _inputs, name=name: seen.append((name, "runs")))
    for network in (painter.vae.to_code, painter.vae.to_pixels):  # encoding and decoding go past its forward
        network.register_forward_pre_hook(lambda _module, _inputs: seen.append(("vae", "runs")))
    return seen


def test_the_painting_network_moves_and_converts_with_its_pipeline(painter: ProcessPainterPipeline) -> None:
    painter.to(torch.bfloat16)
    tensors = [*painter.motion.parameters(), *painter.motion.buffers()]
    assert {tensor.dtype for tensor in tensors if tensor.is_floating_point()} == {torch.bfloat16}
    painter.to("meta")
    assert {tensor.device.type for tensor in [*painter.motion.parameters(), *painter.motion.buffers()]} == {"meta"}


def test_weights_are_held_once(painter: ProcessPainterPipeline) -> None:
    parts = [*painter.unet.parameters(), *painter.motion_adapter.parameters()]
    assert {id(one) for one in painter.motion.parameters()} == {id(one) for one in parts}
    painter.to(torch.bfloat16).to(torch.float32)
    parts = [*painter.unet.parameters(), *painter.motion_adapter.parameters()]
    assert {one.data_ptr() for one in painter.motion.parameters()} == {one.data_ptr() for one in parts}


def test_networks_are_on_the_gpu_in_their_own_stage_alone(
    painter: ProcessPainterPipeline, moves: list[tuple[str, str]]
) -> None:
    expected = paint(painter, at(-1))
    painter._computes_on = torch.device("cpu", 0)  # another name of the only device that tests have
    moves.clear()
    assert torch.equal(paint(painter, at(-1)), expected)
    there: set[str] = set()
    ran: list[frozenset[str]] = []
    for name, what in moves:
        if what == "runs":
            assert name in there
            ran.append(frozenset(there))
        else:
            (there.add if what == "cpu:0" else there.discard)(name)
    assert not there
    stages = [{"text_encoder"}, {"vae"}, {"unet"}, {"motion", "replication"}, {"vae"}]
    assert [set(one) for one, before in zip(ran, [None, *ran], strict=False) if one != before] == stages


def test_whole_networks_offloaded_paint_the_same(painter: ProcessPainterPipeline) -> None:
    expected = paint(painter, at(-1))
    painter.enable_model_cpu_offload(device="cpu")
    assert torch.equal(paint(painter, at(-1)), expected)
    assert torch.equal(paint(painter, at(-1)), expected)


def test_a_failure_leaves_no_network_on_the_gpu(
    painter: ProcessPainterPipeline, moves: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    painter._computes_on = torch.device("cpu", 0)
    monkeypatch.setattr(painter.motion, "forward", lambda *_a, **_k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        paint(painter, at(-1))
    assert moves[-2:] == [("motion", "cpu"), ("replication", "cpu")]


def test_layers_offloaded_one_by_one_paint_the_same(painter: ProcessPainterPipeline) -> None:
    expected = paint(painter, at(-1))
    painter.enable_sequential_cpu_offload(device="cpu")
    for network in (painter.unet, painter.motion, painter.replication, painter.vae, painter.text_encoder):
        assert {parameter.device.type for parameter in network.parameters()} == {"meta"}
    assert painter._execution_device.type == "cpu"
    assert torch.equal(paint(painter, at(-1)), expected)
    assert {parameter.device.type for parameter in painter.motion.parameters()} == {"meta"}


def test_layers_fetched_in_time_paint_the_same(
    painter: ProcessPainterPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = paint(painter, at(-1))
    fetches = hide_absent_weights(monkeypatch)
    painter.enable_group_offload("cpu")
    networks = (painter.unet, painter.motion, painter.replication, painter.vae, painter.text_encoder)
    for _ in range(2):
        assert all(weight.isnan().all() for network in networks for weight in network.parameters())
        assert torch.equal(paint(painter, at(-1)), expected)
    layers = sum(1 for network in networks for module in network.modules() if list(module.parameters(recurse=False)))
    assert len(fetches) > layers and max(fetches) <= 2  # a weight and its bias: never a whole network


def test_layers_offloaded_one_by_one_hold_weights_once(painter: ProcessPainterPipeline) -> None:
    painter.enable_sequential_cpu_offload(device="cpu")
    name = "conv_in.weight"
    held = [network.conv_in._hf_hook.weights_map.dataset[name] for network in (painter.unet, painter.motion)]
    assert held[0].data_ptr() == held[1].data_ptr()


def test_offloading_ends_where_the_pipeline_is_moved(painter: ProcessPainterPipeline) -> None:
    ways: tuple[Callable[[], None], ...] = (
        lambda: painter.enable_sequential_cpu_offload(device="cpu"),
        lambda: painter.enable_group_offload("cpu"),
        lambda: painter.enable_model_cpu_offload(device="cpu"),
    )
    for begin in ways:
        expected = paint(painter, at(-1))
        begin()
        painter.to("cpu")
        assert painter._computes_on is None
        for module in painter.motion.modules():
            assert not hasattr(module, "_hf_hook")
            assert not hasattr(module, "_diffusers_hook") or not module._diffusers_hook.hooks
        assert torch.equal(paint(painter, at(-1)), expected)
        test_weights_are_held_once(painter)


def painter_with_lora(kind: LoraKind) -> Painter:
    """With a LoRA called `ink`, which is not zero."""
    base = small_base()
    unet = add_motion(base.unet, None)
    adapter = adapter_of(unet)
    add_lora(unet, kind, LoraShape())
    torch.manual_seed(0)
    weights = {
        name: torch.randn_like(parameter) for name, parameter in unet.named_parameters() if parameter.requires_grad
    }
    return Painter(base=base, motion=adapter, loras={"ink": lora_of(weights, kind, LoraShape())})


@pytest.mark.parametrize("offload", ["model", "group", "sequential"])
def test_loras_count_while_offloaded(offload: Any) -> None:
    """In painting, and in the inversion of a given picture."""

    def paint(how: Any, scale: float) -> PaintedProcesses:
        painter = pipeline_of(painter_with_lora("spatial"), CPU, {"ink": scale} if scale else {}, how)
        return painter([PROMPT], [[at(1)]], num_frames=2, size_px=SIZE, steps=2, keep=False)

    painted = paint("none", 1)
    assert torch.equal(painted.frames, paint(offload, 1).frames)
    without = paint("none", 0)
    for with_it, without_it in ((painted.frames, without.frames), (painted.noise, without.noise)):
        assert not torch.allclose(with_it, without_it, atol=1e-3)


@pytest.mark.parametrize(("kind", "changes"), [("spatial", True), ("motion", False)])
def test_a_picture_is_inverted_by_the_network_that_would_paint_it(kind: LoraKind, changes: bool) -> None:
    painter = painter_with_lora(kind)
    before = module_hash(painter.base.unet)

    def noise(loras: dict[str, float]) -> torch.Tensor:
        pipeline = pipeline_of(painter, CPU, loras)
        return pipeline([PROMPT], [[at(1)]], num_frames=2, size_px=SIZE, steps=2, keep=False).noise

    pipeline_of(painter, CPU, {}, "group")  # whose hooks stay on the painter's networks
    without, silent, with_it = noise({}), noise({"ink": 0.0}), noise({"ink": 1.0})
    assert torch.equal(without, silent)
    assert torch.allclose(without, with_it, atol=1e-3) != changes
    assert torch.equal(without, noise({})) and module_hash(painter.base.unet) == before


@pytest.fixture
def kl_painter() -> Painter:
    """A painter with the codec of Stable Diffusion, trained at 32 px."""
    base = small_base()
    torch.manual_seed(0)
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 16, 16),
        norm_num_groups=4,
        latent_channels=8,
        sample_size=32,
    ).eval()
    unet = add_motion(base.unet, None)
    return Painter(base=type(base)(**{**vars(base), "vae": vae}), motion=adapter_of(unet))


def test_a_sliced_vae_sees_one_picture_at_a_time(kl_painter: Painter, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[tuple[int, ...]] = []
    painted = {}
    for vae in ("whole", "sliced", "tiled"):
        pipeline = pipeline_of(kl_painter, CPU, {}, vae=vae)
        decoder: Any = kl_painter.base.vae.get_submodule("decoder")
        seen = decoder.register_forward_pre_hook(lambda _m, inputs: sizes.append(tuple(inputs[0].shape)))
        sizes.clear()
        painted[vae] = pipeline([""], num_frames=2, size_px=(32, 64), steps=1).frames
        seen.remove()
        assert sizes[0] == {"whole": (2, 8, 4, 8), "sliced": (1, 8, 4, 8), "tiled": (1, 8, 4, 4)}[vae]
    assert torch.allclose(painted["whole"], painted["sliced"], atol=1e-4)
