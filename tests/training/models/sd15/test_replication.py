"""What the replication network promises."""

import re
from pathlib import Path

import pytest
import torch
from diffusers import SparseControlNetModel, UNet2DConditionModel, UNetMotionModel
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from conf.errors import UserError
from tests.training.models.sd15.released import edit_tensors
from tests.training.models.sd15.test_motion import moved
from tests.training.models.small_base import SHAPE, small_base
from tests.training.stages.parents import stir
from training.models.conditions import Conditions
from training.models.sd15.animatediff import original_from_motion
from training.models.sd15.base import BaseModel
from training.models.sd15.motion import adapter_of, add_motion, is_temporal, predict, save_motion
from training.models.sd15.replication import (
    add_replication,
    is_carried,
    load_replication,
    predict_conditioned,
    residuals,
    save_replication,
)
from training.models.tiny.shape import TinyShape
from training.models.weights import module_hash

_FRAMES = 4
_FILE = "diffusion_pytorch_model.safetensors"
Inputs = tuple[Tensor, Tensor, Tensor]


@pytest.fixture(scope="module")
def base() -> BaseModel:
    return small_base()


@pytest.fixture(scope="module")
def unet(base: BaseModel) -> UNetMotionModel:
    torch.manual_seed(0)
    return moved(base)


@pytest.fixture(scope="module")
def inputs(base: BaseModel) -> Inputs:
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(2, _FRAMES, base.latent_channels, 4, 4, generator=generator)
    return latents, torch.tensor([10, 900]), base.embed(["a red house", "a lake"])["text"]


def trained(base: BaseModel, *, carried: bool = True) -> SparseControlNetModel:
    """A replication network that does not give zeros."""
    torch.manual_seed(2)
    network = add_replication(base.unet, carried=carried)
    stir(network, by=0.1)
    return network.eval()


def pictures(base: BaseModel, count: int) -> Tensor:
    return torch.randn(count, base.latent_channels, 4, 4, generator=torch.Generator().manual_seed(3))


def nothing(latents: Tensor) -> Conditions:
    return Conditions(latents=torch.zeros_like(latents), mask=torch.zeros(latents.shape[:2]))


@torch.no_grad()
def test_an_untrained_network_changes_nothing(base: BaseModel, unet: UNetMotionModel, inputs: Inputs) -> None:
    network = add_replication(base.unet).eval()
    conditions = Conditions.among(inputs[0], torch.ones(2, _FRAMES))
    difference = predict_conditioned(unet, network, *inputs, conditions) - predict(unet, *inputs)
    assert difference.abs().max() < 1e-6


@torch.no_grad()
def test_a_trained_network_never_sees_the_noisy_frames(base: BaseModel, inputs: Inputs) -> None:
    latents, timesteps, text = inputs
    conditions = Conditions.among(latents, torch.tensor([[0.0, 0, 0, 1]] * 2))
    down, mid = residuals(trained(base), conditions, timesteps, text)
    assert mid.abs().max() > 1e-2
    assert all(len(part) == 2 * _FRAMES for part in (*down, mid))


def test_for_stable_diffusion_it_is_sparsectrl_of_the_published_size() -> None:
    with torch.device("meta"):
        kinds = {
            "down": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
            "up": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
        }
        unet = UNet2DConditionModel(
            cross_attention_dim=768, down_block_types=kinds["down"], up_block_types=kinds["up"], attention_head_dim=8
        )
        sizes = {name: value.numel() for name, value in add_replication(unet, carried=False).named_parameters()}
    assert sum(sizes.values()) == pytest.approx(496.73e6, rel=1e-4)
    assert sum(size for name, size in sizes.items() if is_temporal(name)) == pytest.approx(136.52e6, rel=1e-4)


@torch.no_grad()
def test_conditions_take_the_precision_of_the_network(base: BaseModel, inputs: Inputs) -> None:
    network, conditions = trained(base).to(torch.bfloat16), Conditions.among(inputs[0], torch.ones(2, _FRAMES))
    _, mid = residuals(network, conditions, inputs[1], inputs[2].to(torch.bfloat16))
    assert mid.dtype == torch.bfloat16 and bool(torch.isfinite(mid).all())


def test_a_new_network_is_the_encoder_of_its_unet_and_leaves_it_alone(base: BaseModel) -> None:
    config, before = dict(base.unet.config), module_hash(base.unet)
    state = add_replication(base.unet, max_frames=40, carried=False).state_dict()
    encoder = {name: tensor for name, tensor in base.unet.state_dict().items() if name.startswith(("down_", "mid_"))}
    assert encoder and all(torch.equal(state[name], tensor) for name, tensor in encoder.items())
    assert (dict(base.unet.config), module_hash(base.unet)) == (config, before)
    assert {len(tensor[0]) for name, tensor in state.items() if name.endswith("pos_embed.pe")} == {40}


@pytest.mark.parametrize("slot", range(_FRAMES))
def test_a_condition_acts_most_on_the_frame_it_is_pinned_to(
    base: BaseModel, unet: UNetMotionModel, inputs: Inputs, slot: int
) -> None:
    picture = pictures(base, 1).requires_grad_(True)
    conditions = Conditions.pinned(picture, [slot], _FRAMES)
    with torch.no_grad():
        still = inputs[0][:1, :1].expand(-1, _FRAMES, -1, -1, -1)
    predicted = predict_conditioned(unet, trained(base), still, inputs[1][:1], inputs[2][:1], conditions)
    influences = [
        float(torch.autograd.grad(predicted[:, frame].square().sum(), picture, retain_graph=True)[0].norm())
        for frame in range(_FRAMES)
    ]
    assert influences.index(max(influences)) == slot


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(8)), st.integers(0, 8))
def test_conditions_may_be_given_in_any_order(order: list[int], count: int) -> None:
    frames, latents = order[:count], torch.arange(1.0, 9.0)[:, None, None, None]
    conditions = Conditions.pinned(latents[frames], frames, 8, [1 / (1 + frame) for frame in frames])
    for frame in range(8):
        strength = 1 / (1 + frame) if frame in frames else 0.0
        assert conditions.mask[0, frame].item() == pytest.approx(strength)
        assert conditions.latents[0, frame].item() == pytest.approx(strength * (frame + 1))


@pytest.mark.parametrize(
    ("shown", "before", "after"),
    [
        ([], "------", "------"),
        ([5], "-----f", "ffffff"),
        ([0], "aaaaaa", "a-----"),
        ([4, 1], "-bbbee", "bbeee-"),
    ],
)
def test_between_conditions_the_one_before_and_the_one_after_are_seen(
    shown: list[int], before: str, after: str
) -> None:
    pictures = torch.arange(1.0, 7.0).reshape(1, 6, 1, 1, 1)
    strengths = torch.zeros(1, 6)
    strengths[0, shown] = 1
    seen = Conditions.among(pictures, strengths).carried()[0, :, :, 0, 0]
    assert [["-abcdef"[int(side)] for side in frame] for frame in seen] == [
        list(pair) for pair in zip(before, after, strict=True)
    ]


@torch.no_grad()
def test_a_condition_is_seen_at_every_frame_unless_as_published(base: BaseModel, inputs: Inputs) -> None:
    def reached(network: SparseControlNetModel) -> list[bool]:
        seen: list[Tensor] = []
        network.controlnet_cond_embedding.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
        for strength in (0.0, 1.0):
            conditions = Conditions.pinned(pictures(base, 1), [1], _FRAMES, [strength])
            residuals(network, conditions, inputs[1][:1], inputs[2][:1])
        return [not torch.equal(without, shown) for without, shown in zip(*seen, strict=True)]

    assert reached(trained(base)) == [True] * _FRAMES
    assert reached(trained(base, carried=False)) == [False, True, False, False]


def test_negative_frames_count_from_the_end() -> None:
    mask = Conditions.pinned(torch.ones(2, 1, 1, 1), [-1, 0], 8).mask
    assert mask.nonzero().tolist() == [[0, 0], [0, 7]]


@torch.no_grad()
def test_strength_0_is_no_condition(base: BaseModel, unet: UNetMotionModel, inputs: Inputs) -> None:
    network = trained(base)
    off, on = (Conditions.pinned(pictures(base, 1), [1], _FRAMES, [strength]) for strength in (0.0, 1.0))
    without = predict_conditioned(unet, network, *inputs, nothing(inputs[0]))
    assert torch.equal(predict_conditioned(unet, network, *inputs, off), without)
    assert not torch.allclose(predict_conditioned(unet, network, *inputs, on), without, atol=1e-3)


@torch.no_grad()
def test_half_the_strength_is_halfway_in_what_the_network_first_sees(base: BaseModel, inputs: Inputs) -> None:
    network, seen = trained(base), []
    network.controlnet_cond_embedding.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    for strength in (0.0, 0.5, 1.0):
        conditions = Conditions.pinned(pictures(base, 1), [1], _FRAMES, [strength])
        residuals(network, conditions, inputs[1][:1], inputs[2][:1])
    assert torch.allclose(seen[1], (seen[0] + seen[2]) / 2, atol=1e-5)
    assert not torch.allclose(seen[1], seen[0], atol=1e-2)


@pytest.mark.parametrize(
    ("frames", "strengths", "message"),
    [
        ([8], None, "frame 8 of 8; allowed: -8 to 7"),
        ([-9], None, "frame -9"),
        ([0, -8], None, "named twice"),
        ([0], [1.5], "strength 1.5 of frame 0; allowed: 0 to 1"),
        ([0, 1], [1.0], "2 pictures, 2 frames, 1 strengths"),
    ],
)
def test_impossible_conditions_are_refused(frames: list[int], strengths: list[float] | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Conditions.pinned(torch.ones(len(frames), 1, 1, 1), frames, 8, strengths)


@torch.no_grad()
@pytest.mark.parametrize("carried", [True, False])
def test_what_is_saved_loads_in_stock_diffusers_and_here(base: BaseModel, tmp_path: Path, carried: bool) -> None:
    network = trained(base, carried=carried)
    save_replication(network, tmp_path)
    for again in (SparseControlNetModel.from_pretrained(tmp_path), load_replication(tmp_path, base.unet)):
        assert module_hash(again) == module_hash(network)
        assert is_carried(again) == carried


def test_an_average_is_saved_in_place_of_the_present_weights(base: BaseModel, tmp_path: Path) -> None:
    network = trained(base)
    save_replication(network, tmp_path, {name: torch.zeros_like(value) for name, value in network.named_parameters()})
    assert not any(parameter.any() for parameter in load_replication(tmp_path, base.unet).parameters())


def test_sparsectrls_own_layout_is_read(base: BaseModel, tmp_path: Path) -> None:
    state = trained(base, carried=False).state_dict()
    temporal = {name: tensor for name, tensor in state.items() if ".motion_modules." in name}
    original = original_from_motion(temporal) | {n: t for n, t in state.items() if n not in temporal}
    # One attention a module: there is no second one whose table of positions could be kept.
    original = {name: tensor for name, tensor in original.items() if ".attention_blocks.1." not in name}
    path = tmp_path / "sparsectrl.ckpt"
    torch.save({"controlnet": {f"module.{name}": t for name, t in original.items()} | {"animatediff_config": {}}}, path)
    loaded = load_replication(path, base.unet).state_dict()
    assert all(torch.equal(loaded[name], state[name]) for name in state)


def test_a_network_of_another_base_is_refused(base: BaseModel, tmp_path: Path) -> None:
    other = small_base(
        shape=TinyShape(
            channels=(16, 32), plain_levels=0, patch_px=8, text_width=32, latent_channels=SHAPE.latent_channels
        )
    )
    save_replication(add_replication(other.unet), tmp_path)
    with pytest.raises(UserError, match=r"not a replication network for this base; .*attn2.to_k.weight is") as caught:
        load_replication(tmp_path, base.unet)
    assert "\n" not in str(caught.value)


def test_a_folder_that_holds_no_network_is_refused(base: BaseModel, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no replication network"):
        load_replication(tmp_path, base.unet)


def test_a_network_that_is_not_whole_or_of_another_kind_is_refused_by_name(base: BaseModel, tmp_path: Path) -> None:
    save_replication(add_replication(base.unet), tmp_path / "cut")
    edit_tensors(tmp_path / "cut" / _FILE, lambda state: {name: state[name] for name in sorted(state)[1:]})
    save_motion(adapter_of(add_motion(base.unet, None)), tmp_path)
    scribbles = {"controlnet_cond_embedding.conv_in.weight": torch.zeros(1)}
    torch.save(scribbles, tmp_path / "scribble.ckpt")
    for name, said in {
        "cut": "lacks 1 tensors of a SparseControlNetModel, such as ",
        ".": "is temporal modules (a MotionAdapter), not a SparseControlNetModel",
        "animatediff.safetensors": "not a replication network but temporal modules (AnimateDiff)",
        "scribble.ckpt": "not a replication network but a network that is shown pictures, not latents",
    }.items():
        with pytest.raises(UserError, match=re.escape(said)) as caught:
            load_replication(tmp_path / name, base.unet)
        assert "\n" not in str(caught.value)


def test_the_home_folder_of_nobody_holds_nothing(base: BaseModel) -> None:
    with pytest.raises(UserError, match=r"^replication=~nobody-of-that-name/replication cannot be loaded: ") as caught:
        load_replication(Path("~nobody-of-that-name/replication"), base.unet)
    assert "\n" not in str(caught.value)


def test_a_network_in_half_precision_without_tables_of_positions_is_whole(base: BaseModel, tmp_path: Path) -> None:
    network = trained(base).half()
    network.save_pretrained(tmp_path)
    edit_tensors(tmp_path / _FILE, lambda state: {n: t for n, t in state.items() if not n.endswith(".pe")})
    loaded = load_replication(tmp_path, base.unet).state_dict()
    for name, tensor in network.state_dict().items():
        assert torch.allclose(loaded[name], tensor.float(), atol=1e-3), name
