"""The motion model: the base's 2D UNet, frozen, with temporal self-attention after every block.

The architecture is AnimateDiff's (Guo et al. 2024), as diffusers has it: each temporal module is a group norm,
sinusoidal positions, two self-attentions over the frames of one place, a feed-forward, and an output that starts at
zero, so that untrained modules change nothing. The 2D blocks see frames one by one: their group norms never mix frames.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from diffusers import MotionAdapter, UNet2DConditionModel, UNetMotionModel
from torch import Tensor, nn

from conf.errors import UserError
from training.models.parts import kind_of_folder, load_network
from training.models.read_tensors import read_tensors
from training.models.sd15.animatediff import adapter_from_original, original_from_motion
from training.models.sd15.frame_attention import attend_over_frames
from training.models.shape import num_heads

Residuals = tuple[Sequence[Tensor], Tensor]
"""Tensors that are added to each output of the down blocks, and to that of the middle block: (B * T, ...) each."""

_TEMPORAL = ".motion_modules."
_HEADS = "num_attention_heads"  # key in the header of a file; AnimateDiff's own files lack it
_RELEASED_HEADS = 8
ORIGINAL_FILE = "animatediff.safetensors"


def is_temporal(name: str) -> bool:
    """Whether a parameter of a motion UNet belongs to its temporal modules."""
    return _TEMPORAL in name


def add_motion(unet: UNet2DConditionModel, adapter: MotionAdapter | None, *, max_frames: int = 32) -> UNetMotionModel:
    """A motion UNet with the weights of a 2D UNet.

    Args:
        unet: the base's; it is not changed.
        adapter: temporal modules to start from; None for new ones, which change nothing yet.
        max_frames: positions of new modules.

    Raises:
        UserError: if the adapter belongs to another UNet.
    """
    fresh = adapter is None
    if adapter is not None:
        _refuse_ignored_settings(unet, adapter)
    else:
        adapter = MotionAdapter(
            block_out_channels=tuple(unet.config.block_out_channels),
            motion_layers_per_block=unet.config.layers_per_block,
            motion_norm_num_groups=unet.config.norm_num_groups,
            motion_num_attention_heads=num_heads(*unet.config.block_out_channels),
            motion_max_seq_length=max_frames,
            use_motion_mid_block=True,
        )
    try:
        motion = UNetMotionModel.from_unet2d(unet, adapter)
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"motion: its temporal modules belong to another UNet; they have channels "
            f"{list(adapter.config.block_out_channels)}, the base's UNet {list(unet.config.block_out_channels)}"
        ) from error
    if fresh:
        silence_motion(motion)
    attend_over_frames(motion)
    return cast(UNetMotionModel, motion)


def _refuse_ignored_settings(unet: UNet2DConditionModel, adapter: MotionAdapter) -> None:
    """Refuse settings that diffusers silently ignores: shapes fit, but the motion UNet would compute something else."""
    if adapter.config.conv_in_channels:
        inputs = f"its UNet would read {adapter.config.conv_in_channels} channels, as PIA's does"
        raise UserError(f"motion: {inputs}; allowed: temporal modules alone")
    groups = adapter.config.motion_norm_num_groups
    if groups != unet.config.norm_num_groups:
        raise UserError(
            f"motion: its temporal modules belong to another UNet; their norms have {groups} groups, the base's UNet "
            f"{unet.config.norm_num_groups}"
        )


def tie_weights(unet: UNetMotionModel, *parts: nn.Module) -> None:
    """Make a motion UNet share the parameters of the networks that it was made of, in place of its copies.

    For Stable Diffusion 1.5 that saves as much memory as the whole motion UNet takes. The parameters then move between
    devices and precisions with either owner; buffers, and LoRAs that only one of them has, are not shared.

    Args:
        unet: the motion UNet.
        parts: the 2D UNet and the temporal modules, of one precision.
    """
    parameters = {_plain(name): parameter for part in parts for name, parameter in part.named_parameters()}
    for name, parameter in list(unet.named_parameters()):
        original = parameters.get(_plain(name))
        if original is not None and original.shape == parameter.shape:
            place, _, last = name.rpartition(".")
            setattr(unet.get_submodule(place), last, original)


def _plain(name: str) -> str:
    """The name of a parameter where there is no LoRA: peft inserts a part."""
    return name.replace(".base_layer.", ".")


def silence_motion(network: nn.Module) -> None:
    """Zero the output layers of temporal modules: diffusers leaves them random, which training would first undo."""
    for name, module in network.named_modules():
        if is_temporal(name) and name.endswith(".proj_out"):
            nn.init.zeros_(cast(nn.Linear, module).weight)
            nn.init.zeros_(cast(nn.Linear, module).bias)


def predict(
    unet: UNetMotionModel, latents: Tensor, timesteps: Tensor, text: Tensor, *, residuals: Residuals | None = None
) -> Tensor:
    """The network's prediction for sequences.

    Args:
        unet: a motion UNet.
        latents: (B, T, C, h, w) noisy latents.
        timesteps: (B,), one per sequence.
        text: (B, L, D).
        residuals: residuals of a replication network, added to the outputs of the down blocks and the middle block.

    Returns:
        (B, T, C, h, w).
    """
    text = text.repeat_interleave(latents.shape[1], dim=0)  # this UNet leaves it to its caller
    down, mid = residuals if residuals is not None else (None, None)
    predicted: Tensor = unet(
        latents.transpose(1, 2),
        timesteps,
        text,
        down_block_additional_residuals=down,
        mid_block_additional_residual=mid,
    ).sample
    return predicted.transpose(1, 2)


@contextmanager
def without_motion(unet: UNetMotionModel) -> Iterator[None]:
    """Context in which a motion UNet's temporal modules are off, so that frames are independent pictures."""
    handles = [
        module.register_forward_hook(lambda _module, inputs, _output: inputs[0])
        for name, module in unet.named_modules()
        if name.rpartition(".")[0].endswith("motion_modules")
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def adapter_of(unet: UNetMotionModel, weights: Mapping[str, Tensor] | None = None) -> MotionAdapter:
    """The temporal modules of a motion UNet as diffusers' `MotionAdapter`.

    Args:
        unet: the UNet.
        weights: other values for them, by their name in `unet`, such as a moving average.
    """
    config = unet.config
    adapter = MotionAdapter(
        block_out_channels=tuple(config.block_out_channels),
        motion_layers_per_block=config.layers_per_block,
        motion_norm_num_groups=config.norm_num_groups,
        motion_num_attention_heads=config.motion_num_attention_heads,
        motion_max_seq_length=config.motion_max_seq_length,
        use_motion_mid_block=config.use_motion_mid_block,
    )
    state = {name: tensor for name, tensor in unet.state_dict().items() if is_temporal(name)}
    adapter.load_state_dict({**state, **(weights or {})})
    return adapter


def save_motion(adapter: MotionAdapter, folder: Path) -> None:
    """Write temporal modules twice: as diffusers loads them, and in AnimateDiff's own layout for its tools."""
    from safetensors.torch import save_file

    adapter.save_pretrained(folder, safe_serialization=True)
    heads = {_HEADS: str(adapter.config.motion_num_attention_heads)}
    save_file(original_from_motion(adapter.state_dict()), folder / ORIGINAL_FILE, metadata=heads)


def load_motion(path: str | Path, unet: UNet2DConditionModel) -> MotionAdapter:
    """Temporal modules from a diffusers `MotionAdapter` (folder or hub name) or a file in AnimateDiff's own layout.

    Args:
        path: a folder, a name on the hub, or a `.ckpt`, `.pth` or `.safetensors` file.
        unet: the base's UNet, whose norms have as many groups, which a file does not say.

    Raises:
        UserError: if it is missing, or is something else.
    """
    place, name = Path(path), f"motion={path}"
    if place.is_file():
        try:
            return adapter_from_original(
                read_tensors(place, "motion"), norm_groups=unet.config.norm_num_groups, num_heads=_heads_in(place)
            )
        except ValueError as error:
            raise UserError(f"{name}: {error}") from error
    if place.is_dir() and not (place / "config.json").is_file():
        raise UserError(
            f"{name}: holds no temporal modules (a MotionAdapter's config.json), but {kind_of_folder(place)}"
        )
    return load_network(MotionAdapter, str(place if place.exists() else path), name)


def _heads_in(path: Path) -> int:
    """Attention heads of the modules in a file, which its tensors do not show.

    Raises:
        ValueError: if its header has something other than a number.
    """
    from safetensors import safe_open

    if path.suffix != ".safetensors":
        return _RELEASED_HEADS
    with safe_open(path, framework="pt") as file:
        return int((file.metadata() or {}).get(_HEADS, _RELEASED_HEADS))
