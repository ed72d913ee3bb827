"""The replication network: pictures pinned to frames, as residuals for the motion UNet.

ProcessPainter's artwork replication network (Song et al. 2024) is SparseCtrl (Guo et al. 2023): a copy of the UNet's
encoder with temporal modules in its down blocks. It never sees the noisy frames; it sees condition latents at the
chosen frames and a mask that marks them. Published networks see zeros at all other frames; those of this project see
the last condition before such a frame and the next one after it (docs/decisions/017). All outputs start at zero, so
that an untrained network changes nothing.
"""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from diffusers import SparseControlNetModel, UNet2DConditionModel, UNetMotionModel
from torch import Tensor

from conf.errors import UserError
from training.models.conditions import Conditions
from training.models.finite import check_weights
from training.models.parts import kind_of_folder, kind_of_tensors, load_network
from training.models.read_tensors import read_tensors
from training.models.sd15.animatediff import diffusers_name
from training.models.sd15.frame_attention import attend_over_frames
from training.models.sd15.growth import widened
from training.models.sd15.motion import Residuals, predict, silence_motion
from training.models.shape import num_heads

_POSITIONS = ".pos_embed.pe"
_CONDITION_WEIGHT, _LATENT_WEIGHT = "controlnet_cond_embedding.weight", "conv_in.weight"
_RELEASED_FRAMES = 32  # positions of SparseCtrl's releases, which may leave their table out


def add_replication(unet: UNet2DConditionModel, *, max_frames: int = 32, carried: bool = True) -> SparseControlNetModel:
    """A new replication network with the weights of a UNet's encoder; it changes nothing yet.

    Args:
        unet: the base's; it is not changed. (diffusers' own `from_unet` changes its configuration, and cannot set the
            number of positions.)
        max_frames: positions of its temporal modules.
        carried: whether frames without a condition see those before and after them; False as published.
    """
    network = SparseControlNetModel(**_config(unet, max_frames, carried=carried))
    state = network.state_dict()
    network.load_state_dict({**state, **{name: value for name, value in unet.state_dict().items() if name in state}})
    silence_motion(network)
    attend_over_frames(network)
    return cast(SparseControlNetModel, network)


def is_carried(network: SparseControlNetModel) -> bool:
    """Whether it sees the conditions before and after a frame."""
    return bool(network.config.conditioning_channels == 2 * network.config.in_channels)


def _config(unet: UNet2DConditionModel, max_frames: int, *, carried: bool) -> dict[str, Any]:
    parameters = inspect.signature(SparseControlNetModel).parameters
    return {
        **{key: value for key, value in unet.config.items() if key in parameters},
        "down_block_types": tuple(
            "CrossAttnDownBlockMotion" if "CrossAttn" in kind else "DownBlockMotion"
            for kind in unet.config.down_block_types
        ),
        "conditioning_channels": unet.config.in_channels * (2 if carried else 1),  # diffusers adds one for the mask
        "motion_max_seq_length": max_frames,
        "motion_num_attention_heads": num_heads(*unet.config.block_out_channels),
        "concat_conditioning_mask": True,
        "use_simplified_condition_embedding": True,  # latents have the UNet's own grid
    }


@torch.no_grad()
def grown_replication(network: SparseControlNetModel, latent_channels: int) -> SparseControlNetModel:
    """A replication network that reads conditions of more numbers per cell, and ignores the new ones."""
    num_pictures = 2 if is_carried(network) else 1  # conditions that a frame sees
    config = {**network.config, "in_channels": latent_channels, "conditioning_channels": num_pictures * latent_channels}
    grown = SparseControlNetModel.from_config(config)
    state = network.state_dict()
    pictures, mask = state[_CONDITION_WEIGHT][:, :-1], state[_CONDITION_WEIGHT][:, -1:]
    wider = [widened(weight, latent_channels, dim=1) for weight in pictures.chunk(num_pictures, dim=1)]
    state[_LATENT_WEIGHT] = widened(state[_LATENT_WEIGHT], latent_channels, dim=1)
    state[_CONDITION_WEIGHT] = torch.cat([*wider, mask], dim=1)
    grown.load_state_dict(state)
    return cast(SparseControlNetModel, grown)


def residuals(network: SparseControlNetModel, conditions: Conditions, timesteps: Tensor, text: Tensor) -> Residuals:
    """The residuals by which conditions change the UNet's features.

    Args:
        network: the replication network.
        conditions: conditions of B sequences.
        timesteps: (B,).
        text: (B, L, D).
    """
    num_frames = conditions.mask.shape[1]
    latents = conditions.latents.to(network.dtype).transpose(1, 2)
    mask = conditions.mask.to(latents.dtype)[:, None, :, None, None].expand(-1, -1, -1, *latents.shape[-2:])
    inputs = conditions.carried().to(latents).transpose(1, 2) if is_carried(network) else latents
    down, mid = network(
        latents,  # in place of the noisy sample, which the class sets to zero: only the shape counts
        timesteps,
        text.repeat_interleave(num_frames, dim=0),
        controlnet_cond=inputs,
        conditioning_mask=mask,
        return_dict=False,
    )
    return down, mid


def predict_conditioned(
    unet: UNetMotionModel,
    network: SparseControlNetModel,
    latents: Tensor,
    timesteps: Tensor,
    text: Tensor,
    conditions: Conditions,
) -> Tensor:
    """As `training.models.sd15.motion.predict`, with conditions."""
    conditions = conditions.repeated(len(latents))
    return predict(unet, latents, timesteps, text, residuals=residuals(network, conditions, timesteps, text))


def save_replication(network: SparseControlNetModel, folder: Path, weights: Mapping[str, Tensor] | None = None) -> None:
    """Write it as diffusers loads it.

    Args:
        network: the network.
        folder: where to write it.
        weights: other values for its parameters, by name, such as a moving average.
    """
    config = {key: value for key, value in network.config.items() if key != "_name_or_path"}  # a local path
    copy = SparseControlNetModel.from_config(config)
    copy.load_state_dict({**network.state_dict(), **(weights or {})})
    copy.save_pretrained(folder, safe_serialization=True)


def load_replication(path: str | Path, unet: UNet2DConditionModel, *, grown: bool = False) -> SparseControlNetModel:
    """A replication network, or SparseCtrl-RGB: diffusers folder, hub name, or a file in SparseCtrl's own layout.

    Args:
        path: a folder, a name on the hub, or a `.ckpt`, `.pth` or `.safetensors` file.
        unet: the base's, which it must belong to.
        grown: whether it belongs to the smaller painter from which the base was grown.

    Raises:
        UserError: if it is missing, is something else, or belongs to another base.
    """
    place, name = Path(path), f"replication={path}"
    if place.is_dir() and not (place / "config.json").is_file():
        kind = kind_of_folder(place)
        raise UserError(f"{name}: holds no replication network (a SparseControlNetModel's config.json), but {kind}")
    if place.is_file():
        network = _from_original(place, unet)
    else:
        network = load_network(SparseControlNetModel, str(place if place.exists() else path), name)
        if grown:
            network = _grown(network, unet, name)
        _refuse_foreign(path, network.state_dict(), unet)
    attend_over_frames(network)
    return network


def _grown(network: SparseControlNetModel, unet: UNet2DConditionModel, name: str) -> SparseControlNetModel:
    reads, needed = network.config.in_channels, unet.config.in_channels
    if reads >= needed:
        raise UserError(f"{name}: reads {reads} numbers a cell, its base {needed}; stage.grown=true needs fewer")
    return grown_replication(network, needed)


def _from_original(path: Path, unet: UNet2DConditionModel) -> SparseControlNetModel:
    """A network in SparseCtrl's own layout, which differs from diffusers' only in the names within temporal modules."""
    tensors = read_tensors(path, "replication")
    try:
        check_weights(tensors)
    except ValueError as error:
        raise UserError(f"replication={path}: {error}") from error
    state = {diffusers_name(name.removeprefix("module.")): tensor for name, tensor in tensors.items()}
    _refuse_foreign(path, state, unet)
    tables = [tensor.shape[1] for name, tensor in state.items() if name.endswith(_POSITIONS) and tensor.ndim == 3]
    network = SparseControlNetModel(**_config(unet, tables[0] if tables else _RELEASED_FRAMES, carried=False))
    try:
        network.load_state_dict({**network.state_dict(), **state})
    except RuntimeError as error:  # tables of positions, which differ in length
        raise UserError(f"replication={path}: tensors of other shapes: {' '.join(str(error).split())[:200]}") from error
    return cast(SparseControlNetModel, network.to(torch.float32))


def _refuse_foreign(path: str | Path, state: Mapping[str, Tensor], unet: UNet2DConditionModel) -> None:
    """Refuse tensors that are not those of a replication network for this UNet."""
    if _CONDITION_WEIGHT not in state:
        raise UserError(f"replication={path}: not a replication network but {kind_of_tensors(state.keys())}")
    condition_weight = state[_CONDITION_WEIGHT]
    carried = condition_weight.ndim == 4 and condition_weight.shape[1] == 2 * unet.config.in_channels + 1
    with torch.device("meta"):
        expected_state = SparseControlNetModel(**_config(unet, _RELEASED_FRAMES, carried=carried)).state_dict()
    for name in sorted(name for name in expected_state.keys() | state.keys() if not name.endswith(_POSITIONS)):
        expected, stored = expected_state.get(name), state.get(name)
        if expected is None or stored is None or expected.shape != stored.shape:
            shapes = [tuple(tensor.shape) if tensor is not None else "missing" for tensor in (stored, expected)]
            raise UserError(
                f"replication={path}: not a replication network for this base; {name} is {shapes[0]}, not {shapes[1]}"
            )
