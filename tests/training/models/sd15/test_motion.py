"""What the motion model promises."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import MotionAdapter, UNet2DConditionModel, UNetMotionModel
from safetensors.torch import save_file

from conf.errors import UserError
from tests.training.models.sd15.released import edit_tensors
from tests.training.models.small_base import small_base
from training.models.sd15.base import BaseModel
from training.models.sd15.motion import (
    adapter_of,
    add_motion,
    is_temporal,
    load_motion,
    predict,
    save_motion,
    without_motion,
)
from training.models.sd15.replication import add_replication, save_replication
from training.models.weights import module_hash, weights_hash

_FILE = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def base() -> BaseModel:
    return small_base()


@pytest.fixture(scope="module")
def inputs(base: BaseModel) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(2, 4, base.latent_channels, 8, 8, generator=generator)
    return latents, torch.tensor([10, 900]), base.embed(["a red house", "a lake"])["text"]


def moved(base: BaseModel) -> UNetMotionModel:
    """A motion UNet whose temporal modules do not give zeros."""
    unet = add_motion(base.unet, None)
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in unet.named_parameters():
            if is_temporal(name):
                parameter.add_(0.1 * torch.randn_like(parameter))
    return unet.eval()


def frame_by_frame(unet: UNet2DConditionModel, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
    latents, timesteps, text = inputs
    frames = [unet(latents[:, frame], timesteps, text).sample for frame in range(latents.shape[1])]
    return torch.stack(frames, dim=1)


@torch.no_grad()
def test_untrained_motion_equals_the_2d_unet(base: BaseModel, inputs: tuple[torch.Tensor, ...]) -> None:
    unet = add_motion(base.unet, None).eval()
    assert (predict(unet, *inputs) - frame_by_frame(base.unet, inputs)).abs().max() < 1e-5


@torch.no_grad()
def test_trained_motion_makes_frames_see_each_other(base: BaseModel, inputs: tuple[torch.Tensor, ...]) -> None:
    unet = moved(base)
    latents, timesteps, text = inputs
    other = latents.clone()
    other[:, 3] += 1
    difference = (predict(unet, other, timesteps, text) - predict(unet, latents, timesteps, text)).abs()
    assert difference[:, 0].max() > 1e-3


@torch.no_grad()
def test_2d_blocks_never_mix_frames(base: BaseModel, inputs: tuple[torch.Tensor, ...]) -> None:
    unet = moved(base)
    latents, timesteps, text = inputs
    other = latents.clone()
    other[:, 3] += 5
    with without_motion(unet):
        difference = (predict(unet, other, timesteps, text) - predict(unet, latents, timesteps, text)).abs()
    assert difference[:, :3].max() < 1e-5
    assert difference[:, 3].max() > 1e-2


@torch.no_grad()
def test_motion_switched_off_is_the_2d_unet_and_comes_back_on(
    base: BaseModel, inputs: tuple[torch.Tensor, ...]
) -> None:
    unet = moved(base)
    before = predict(unet, *inputs)
    with without_motion(unet):
        assert (predict(unet, *inputs) - frame_by_frame(base.unet, inputs)).abs().max() < 1e-5
    assert torch.equal(predict(unet, *inputs), before)
    assert (before - frame_by_frame(base.unet, inputs)).abs().max() > 1e-3


@torch.no_grad()
def test_frames_know_their_place(base: BaseModel, inputs: tuple[torch.Tensor, ...]) -> None:
    unet = moved(base)
    latents, timesteps, text = inputs
    still = latents[:, :1].expand(-1, 4, -1, -1, -1)
    predicted = predict(unet, still, timesteps, text)
    assert (predicted[:, 0] - predicted[:, 3]).abs().max() > 1e-3


def test_every_block_has_temporal_modules(base: BaseModel) -> None:
    unet = add_motion(base.unet, None)
    for block in (*unet.down_blocks, *unet.up_blocks):
        assert len(block.motion_modules) == len(block.resnets)
    assert len(unet.mid_block.motion_modules) == 1


def test_adding_motion_leaves_the_2d_unet_as_it_is(base: BaseModel) -> None:
    before = module_hash(base.unet)
    config = dict(base.unet.config)
    moved(base)
    assert module_hash(base.unet) == before
    assert dict(base.unet.config) == config


@torch.no_grad()
def test_saved_motion_loads_in_stock_diffusers(
    base: BaseModel, inputs: tuple[torch.Tensor, ...], tmp_path: Path
) -> None:
    unet = moved(base)
    save_motion(adapter_of(unet), tmp_path)
    stock = UNetMotionModel.from_unet2d(base.unet, MotionAdapter.from_pretrained(tmp_path)).eval()
    assert torch.equal(predict(stock, *inputs), predict(unet, *inputs))


@torch.no_grad()
@pytest.mark.parametrize("name", ["", "animatediff.safetensors"])
def test_saved_motion_comes_back_in_either_layout(
    base: BaseModel, inputs: tuple[torch.Tensor, ...], tmp_path: Path, name: str
) -> None:
    unet = moved(base)
    save_motion(adapter_of(unet), tmp_path)
    again = add_motion(base.unet, load_motion(tmp_path / name, base.unet)).eval()
    assert torch.equal(predict(again, *inputs), predict(unet, *inputs))


def test_an_average_is_saved_in_place_of_the_present_weights(base: BaseModel, tmp_path: Path) -> None:
    unet = moved(base)
    average = {name: torch.zeros_like(value) for name, value in unet.named_parameters() if is_temporal(name)}
    adapter = adapter_of(unet, average)
    assert all(not parameter.any() for parameter in adapter.parameters())


def test_motion_of_another_unet_is_refused(base: BaseModel, tmp_path: Path) -> None:
    MotionAdapter(block_out_channels=(32, 64), motion_layers_per_block=1, motion_norm_num_groups=16).save_pretrained(
        tmp_path
    )
    with pytest.raises(UserError, match=r"channels \[32, 64\], the base's UNet \[16, 32\]"):
        add_motion(base.unet, load_motion(tmp_path, base.unet))


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut"])
def test_a_file_that_holds_no_motion_is_refused(base: BaseModel, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mm.ckpt"
    path.write_bytes(content)
    with pytest.raises(UserError, match="motion=") as caught:
        load_motion(path, base.unet)
    assert "\n" not in str(caught.value)


def test_a_folder_that_holds_no_motion_is_refused(base: BaseModel, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no temporal modules .*, but something else"):
        load_motion(tmp_path, base.unet)


def test_a_release_in_half_precision_without_tables_of_positions_is_whole(base: BaseModel, tmp_path: Path) -> None:
    """The tables are sines; some releases leave them out."""
    adapter = adapter_of(moved(base)).half()
    adapter.save_pretrained(tmp_path)
    edit_tensors(tmp_path / _FILE, lambda state: {n: t for n, t in state.items() if not n.endswith(".pe")})
    loaded = load_motion(tmp_path, base.unet)
    for name, tensor in loaded.state_dict().items():
        assert tensor.dtype == torch.float32 and not tensor.is_meta, name
        assert torch.allclose(tensor, adapter.state_dict()[name].float(), atol=1e-3), name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda state: {name: state[name] for name in sorted(state)[1:]},
            "lacks 1 tensors of a MotionAdapter, such as",
        ),
        (lambda state: {**state, "odd.weight": torch.zeros(1)}, "holds 1 tensors that its config.json has no place"),
        (lambda state: {name: value[:-1] for name, value in state.items()}, "cannot be loaded: .* expected shape"),
    ],
)
def test_motion_that_is_not_whole_is_refused_by_name(
    base: BaseModel, tmp_path: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]], message: str
) -> None:
    save_motion(adapter_of(add_motion(base.unet, None)), tmp_path)
    edit_tensors(tmp_path / _FILE, change)
    with pytest.raises(UserError, match=message) as caught:
        load_motion(tmp_path, base.unet)
    assert "\n" not in str(caught.value)


def test_parts_of_another_kind_are_called_by_their_name(base: BaseModel, tmp_path: Path) -> None:
    save_replication(add_replication(base.unet), tmp_path / "replication")
    base.save(tmp_path / "base")
    network = add_replication(base.unet).state_dict()
    save_file({name: tensor.contiguous() for name, tensor in network.items()}, tmp_path / "sparsectrl.safetensors")
    for name, said in {
        "replication": "is a replication network (a SparseControlNetModel), not a MotionAdapter",
        "base": "but a base (a diffusers folder)",
        "sparsectrl.safetensors": "not temporal modules but a replication network (SparseCtrl)",
    }.items():
        with pytest.raises(UserError, match=re.escape(said)) as caught:
            load_motion(tmp_path / name, base.unet)
        assert "\n" not in str(caught.value)


def test_the_home_folder_of_nobody_holds_nothing(base: BaseModel) -> None:
    with pytest.raises(UserError, match=r"^motion=~nobody-of-that-name/motion cannot be loaded: ") as caught:
        load_motion(Path("~nobody-of-that-name/motion"), base.unet)
    assert "\n" not in str(caught.value)


def test_motion_that_would_be_computed_otherwise_is_refused(base: BaseModel) -> None:
    shape = {"block_out_channels": (16, 32), "motion_layers_per_block": 1}
    with pytest.raises(UserError, match="their norms have 8 groups, the base's UNet 16"):
        add_motion(base.unet, MotionAdapter(**shape, motion_norm_num_groups=8))
    with pytest.raises(UserError, match="would read 9 channels, as PIA's does"):
        add_motion(base.unet, MotionAdapter(**shape, motion_norm_num_groups=16, conv_in_channels=9))


def test_the_same_modules_are_the_same_bytes_every_time(base: BaseModel, tmp_path: Path) -> None:
    """safetensors writes several entries of a header in any order; what is trained on a file knows it by its hash."""
    adapter = adapter_of(moved(base))
    hashes = set()
    for number in range(8):
        (tmp_path / str(number)).mkdir()
        save_motion(adapter, tmp_path / str(number))
        hashes.add(weights_hash(tmp_path / str(number)))
    assert len(hashes) == 1
