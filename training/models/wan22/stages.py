"""What each stage trains of a Wan: the transformer, or a LoRA of it.

`motion` trains a LoRA or the whole transformer on whole sequences, with pictures pinned to frames. `spatial_lora`
trains on finished pictures alone; `motion_lora` on an artist's sequences, beside the motion LoRA and a spatial one.
"""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor, nn

from conf.errors import ConfigError, UserError
from training.models.architecture import StageRequest, Trainable
from training.models.lora import apply_lora, is_lora, lora_of
from training.models.parts import kind_of_weights, load_network
from training.models.shape import LoraShape
from training.models.wan22.base import WanBase
from training.models.wan22.denoiser import WanDenoiser
from training.models.wan22.lora import add_lora, load_lora, refuse_misfits, save_lora
from training.models.wan22.marks import network_mark
from training.models.weights import holding, parent_weights, part_of

_TRANSFORMER, _TEXT = "transformer.", "text_encoder."


def trainable(base: WanBase, request: StageRequest) -> Trainable:
    """As `training.models.architecture.Architecture.trainable` says."""
    if request.conditions is not None and not request.conditions.carried:
        raise ConfigError("stage.conditions.carried", "false", "true: frames are given in their own places alone")
    if request.stage not in ("base", "spatial_lora"):
        base.latent_shape(request.num_frames, (base.cell_px, base.cell_px))  # refuses, before weights are read
    places = {key: parent_weights(key, place) for key, place in request.parents.items()}
    loras = {key: place for key, place in places.items() if not is_transformer(place)}
    if request.stage == "motion" and "motion" in loras:
        kind, allowed = kind_of_weights("motion", loras["motion"]), "a whole transformer"
        raise UserError(f"motion={loras['motion']}: {kind}, which stage=motion does not go on with; allowed: {allowed}")
    refuse_misfits(loras.items(), base.configs["transformer"])
    transformer, marks = base.transformer, {"base": network_mark(base.transformer)}
    applied: dict[str, Mapping[str, Tensor]] = {}
    if "motion" in places:
        if "motion" in loras:
            applied["motion"] = load_lora("motion", places["motion"], transformer, marks)
        else:
            transformer = load_transformer("motion", places["motion"], base)
        marks["motion"] = network_mark(transformer, applied.get("motion"))
    if "spatial_lora" in places:
        applied["spatial"] = load_lora("spatial_lora", places["spatial_lora"], transformer, {"base": marks["base"]})
    if request.checkpointing:
        transformer.enable_gradient_checkpointing()
    if request.lora is None:
        if base.in_fp8:
            raise ConfigError("model.dtype", "fp8", "bf16 or fp32, where the whole transformer is trained")
        return _whole(base, transformer, request)
    if base.in_fp8:
        # Each layer is cast for its own computation; what needs more bits, such as norms, keeps them.
        transformer.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.bfloat16)
    return _lora(base, transformer, applied, request, request.lora, marks)


def _whole(base: WanBase, transformer: WanTransformer3DModel, request: StageRequest) -> Trainable:
    """Train the transformer, and the text encoder on request."""
    transformer.float().requires_grad_(True)
    frozen: dict[str, nn.Module] = {"vae": base.vae}
    if request.trains_text:
        base.text_encoder.requires_grad_(True)
    else:
        frozen["text_encoder"] = base.text_encoder

    def save(folder: Path, weights: Mapping[str, Tensor]) -> None:
        """Write the transformer with these weights; with stage `base` all of the base."""
        with holding(transformer, _below(_TRANSFORMER, weights)), holding(base.text_encoder, _below(_TEXT, weights)):
            if request.stage == "base":
                base.save(folder)
            else:
                cast(Any, transformer).save_pretrained(folder, safe_serialization=True)

    return _trainable(base, transformer, request, frozen, save)


def _lora(
    base: WanBase,
    transformer: WanTransformer3DModel,
    applied: Mapping[str, Mapping[str, Tensor]],
    request: StageRequest,
    shape: LoraShape,
    parents: Mapping[str, str],
) -> Trainable:
    """Train a LoRA beside those that are applied; everything else is frozen."""
    for name, state in applied.items():
        apply_lora(transformer, name, state)
    add_lora(transformer, request.stage, shape)

    def save(folder: Path, weights: Mapping[str, Tensor]) -> None:
        """Write the LoRA, for diffusers and for kohya's tools."""
        save_lora(lora_of(_below(_TRANSFORMER, weights), request.stage, shape), folder, parents)

    frozen = {"vae": base.vae, "text_encoder": base.text_encoder} | {
        "transformer": part_of(transformer, lambda name: not is_lora(name))
    }
    for name in applied:
        frozen[f"{name}_lora"] = part_of(transformer, partial(_belongs_to, name))
    return _trainable(base, transformer, request, frozen, save)


def _trainable(
    base: WanBase, transformer: WanTransformer3DModel, request: StageRequest, frozen: Mapping[str, nn.Module], save: Any
) -> Trainable:
    denoiser = WanDenoiser(transformer, base.objective, base.order)
    return Trainable(denoiser=denoiser, frozen=frozen, save=save, sees_conditions=request.conditions is not None)


def is_transformer(folder: Path) -> bool:
    """Whether a folder of weights is a whole transformer."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("_class_name") == WanTransformer3DModel.__name__


def load_transformer(key: str, folder: Path, base: WanBase) -> WanTransformer3DModel:
    """A whole transformer that was trained further.

    Raises:
        UserError: if it does not have the shape of the base's.
    """
    transformer = load_network(WanTransformer3DModel, str(folder), f"{key}={folder}")
    shapes, loaded_shapes = (
        {name: each.shape for name, each in net.state_dict().items()} for net in (base.transformer, transformer)
    )
    if shapes != loaded_shapes:
        raise UserError(f"{key}={folder}: a transformer of another shape than that of its base")
    transformer.requires_grad_(False).eval()
    return transformer


def _belongs_to(lora: str, name: str) -> bool:
    """Whether a parameter belongs to the LoRA `lora`."""
    return is_lora(name) and f".{lora}." in name


def _below(prefix: str, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights whose names start with a prefix, by the names without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)}
