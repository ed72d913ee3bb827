"""What changing between AnimateDiff's own layout and diffusers' promises."""

from pathlib import Path

import pytest
import torch
from diffusers import MotionAdapter
from diffusers.loaders.single_file_utils import convert_animatediff_checkpoint_to_diffusers

from tests.training.models.small_base import small_base
from training.models.sd15.animatediff import adapter_from_original, motion_from_original, original_from_motion
from training.models.sd15.motion import load_motion


@pytest.fixture
def adapter() -> MotionAdapter:
    torch.manual_seed(0)
    return MotionAdapter(
        block_out_channels=(16, 32),
        motion_layers_per_block=1,
        motion_norm_num_groups=16,
        motion_num_attention_heads=8,
        use_motion_mid_block=True,
    )


def test_names_are_those_of_the_published_files(adapter: MotionAdapter) -> None:
    names = set(original_from_motion(adapter.state_dict()))
    module = "up_blocks.1.motion_modules.0.temporal_transformer"
    block = f"{module}.transformer_blocks.0"
    assert {
        f"{module}.norm.weight", f"{module}.proj_in.bias", f"{module}.proj_out.weight",
        f"{block}.attention_blocks.0.to_q.weight", f"{block}.attention_blocks.1.to_out.0.bias",
        f"{block}.attention_blocks.0.pos_encoder.pe", f"{block}.attention_blocks.1.pos_encoder.pe",
        f"{block}.norms.0.weight", f"{block}.norms.1.bias", f"{block}.ff_norm.weight",
        f"{block}.ff.net.0.proj.weight", f"{block}.ff.net.2.bias",
    } <= names  # fmt: skip


def test_there_and_back_is_the_same(adapter: MotionAdapter) -> None:
    state = adapter.state_dict()
    back = motion_from_original(original_from_motion(state))
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], state[name]) for name in state)


def test_diffusers_own_converter_reads_it_alike(adapter: MotionAdapter) -> None:
    state = adapter.state_dict()
    theirs = convert_animatediff_checkpoint_to_diffusers(original_from_motion(state))
    assert set(theirs) == {name for name in state if not name.endswith("pos_embed.pe")}
    assert all(torch.equal(theirs[name], state[name]) for name in theirs)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_checkpoints_are_read_as_trainers_leave_them(adapter: MotionAdapter, tmp_path: Path, prefix: str) -> None:
    original = {f"{prefix}{name}": value for name, value in original_from_motion(adapter.state_dict()).items()}
    path = tmp_path / "mm.ckpt"
    torch.save({"epoch": 3, "state_dict": {**original, f"{prefix}conv_in.weight": torch.zeros(3)}}, path)
    loaded = load_motion(path, small_base().unet)
    assert all(torch.equal(value, adapter.state_dict()[name]) for name, value in loaded.state_dict().items())
    assert loaded.config.use_motion_mid_block
    assert loaded.config.motion_max_seq_length == 32


def test_a_release_without_mid_block_and_with_24_positions_is_recognised() -> None:
    adapter = MotionAdapter(
        block_out_channels=(16, 32), motion_layers_per_block=2, motion_norm_num_groups=16,
        motion_max_seq_length=24, use_motion_mid_block=False,
    )  # fmt: skip
    loaded = adapter_from_original(original_from_motion(adapter.state_dict()), norm_groups=16)
    assert (loaded.config.motion_max_seq_length, loaded.config.use_motion_mid_block) == (24, False)
    assert loaded.config.motion_layers_per_block == 2


def test_what_lacks_a_tensor_is_refused(adapter: MotionAdapter) -> None:
    original = original_from_motion(adapter.state_dict())
    del original["down_blocks.0.motion_modules.0.temporal_transformer.proj_out.bias"]
    with pytest.raises(ValueError, match=r"proj_out\.bias is missing"):
        adapter_from_original(original, norm_groups=16)


def test_other_networks_are_refused() -> None:
    with pytest.raises(ValueError, match="no temporal modules"):
        motion_from_original({"conv1.weight": torch.zeros(1)})
