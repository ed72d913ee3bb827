"""Loads a base from a folder or the hub; its configuration is checked before weights are read."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, cast

import torch
from diffusers import DiffusionPipeline, FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler
from pydantic import Field
from torch import nn
from transformers import AutoConfig, AutoTokenizer
from typing_extensions import TypedDict

from conf.errors import UserError
from training.data.plain import OPEN, Number, Side, shaped
from training.models.parts import kind_of_folder, load_network, reading, refuse_absent, refuse_unless_positive
from training.models.wan22.base import NETWORKS, WanBase
from training.models.wan22.flow import Flow
from training.models.wan22.registration import Solver, WanConfig

_PARTS = (*NETWORKS, "tokenizer", "scheduler")
_DTYPES = {"fp8": torch.bfloat16, "bf16": torch.bfloat16, "fp32": torch.float32}


class _VaeFields(TypedDict):
    """Fields of a VAE's configuration that its class does not check."""

    __pydantic_config__ = OPEN  # type: ignore[misc]

    latents_mean: list[Number]
    latents_std: list[Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]]
    patch_size: Side | None


class _TransformerFields(TypedDict):
    """Fields of a transformer's configuration that its class does not check."""

    __pydantic_config__ = OPEN  # type: ignore[misc]

    patch_size: Annotated[list[Side], Field(min_length=3, max_length=3)]


_FIELDS: Mapping[str, type] = {"vae": _VaeFields, "transformer": _TransformerFields}


def load_base(path: str | Path, model: WanConfig, key: str = "base", dtype: torch.dtype | None = None) -> WanBase:
    """A base from a local diffusers folder or from the hub; its weights are read when they are needed.

    Args:
        path: the folder, or a name on the hub.
        model: how it is used.
        key: configuration key that named it, for messages.
        dtype: type of the transformer and the text encoder; by default that of `model`.

    Raises:
        UserError: if it is missing, lacks a part, or is another Wan, by its configuration files alone. When its
            networks are loaded, they raise the same if they lack tensors or have others.
    """
    folder, name = Path(path), f"{key}={path}"
    refuse_absent(path, name)
    where = str(folder) if folder.exists() else str(path)
    if folder.exists():
        missing_parts = [part for part in _PARTS if not (folder / part).is_dir()]
        if missing_parts or not (folder / "model_index.json").is_file():
            missing = ", ".join(missing_parts) or "model_index.json"
            raise UserError(f"{name}: not a folder of a Wan pipeline, but {kind_of_folder(folder)}; it lacks {missing}")
    with reading(name, where, "model_index.json"):
        _refuse_other_pipeline(DiffusionPipeline.load_config(where), name)
    configs = {part: _config(name, where, part) for part in NETWORKS}
    with reading(name, where, "scheduler/scheduler_config.json"):
        scheduler = dict(FlowMatchEulerDiscreteScheduler.load_config(where, subfolder="scheduler"))
    _refuse_mismatch(configs, name)
    with reading(name, where, "tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(where, subfolder="tokenizer")
    shift_key = "shift" if scheduler.get("flow_shift") is None else "flow_shift"
    shift = 1.0 if scheduler.get(shift_key) is None else scheduler[shift_key]
    refuse_unless_positive(shift, shift_key, f"{name}: scheduler/scheduler_config.json")
    stored_solver: Solver = "unipc" if scheduler.get("_class_name") == UniPCMultistepScheduler.__name__ else "euler"
    flow = Flow(shift=float(shift), levels=model.levels, lead=model.lead, solver=model.solver or stored_solver)

    @functools.cache
    def load(part: str) -> nn.Module:
        precision = torch.float32 if part == "vae" else dtype or _DTYPES[model.dtype]  # in less the VAE loses detail
        network: nn.Module = load_network(NETWORKS[part], where, f"{name}: its {part}", part, precision)
        return network.requires_grad_(False).eval()

    return WanBase(
        configs=configs,
        load=load,
        tokenizer=tokenizer,
        objective=flow,
        frames=model.frames,
        order=model.order,
        text_encoder_place=model.text_encoder,
        in_fp8=model.dtype == "fp8",
    )


def _config(name: str, where: str, part: str) -> dict[str, Any]:
    """The configuration of a network, with its defaults; a network can be built of it."""
    network = cast(Any, NETWORKS[part])
    with reading(name, where, f"{part}/config.json"), torch.device("meta"):
        if part == "text_encoder":
            config: dict[str, Any] = AutoConfig.from_pretrained(where, subfolder=part).to_dict()
            return config
        stored = network.load_config(where, subfolder=part)
        kind = stored.get("_class_name")
        if kind != network.__name__:
            raise UserError(f"{name}: its {part} is a {kind}, not a {network.__name__}")
        config = dict(network.from_config(stored).config)
        shaped(config, _FIELDS[part])
    return config


def _refuse_other_pipeline(index: Mapping[str, Any], name: str) -> None:
    """Refuse what is not a Wan, has two transformers, or takes one timestep for all frames."""
    kind = index.get("_class_name")
    if kind not in ("WanPipeline", "WanImageToVideoPipeline"):
        raise UserError(f"{name}: a {kind}; allowed: a WanPipeline, such as Wan2.2-TI2V-5B")
    if (index.get("transformer_2") or [None])[0] is not None:
        raise UserError(f"{name}: a Wan with two transformers (A14B); allowed: one with one, such as Wan2.2-TI2V-5B")
    if not index.get("expand_timesteps"):
        raise UserError(
            f"{name}: a Wan that takes one timestep for all frames, as Wan 2.1 does; allowed: one that takes one for "
            f"each token (expand_timesteps in model_index.json), such as Wan2.2-TI2V-5B"
        )


def _refuse_mismatch(configs: Mapping[str, Mapping[str, Any]], name: str) -> None:
    """Refuse parts that do not belong together."""
    transformer, vae, text = configs["transformer"], configs["vae"], configs["text_encoder"]
    channels, codes = (transformer["in_channels"], transformer["out_channels"]), vae["z_dim"]
    if channels != (codes, codes):
        raise UserError(
            f"{name}: its transformer reads {channels[0]} channels and gives {channels[1]}, its VAE makes {codes}"
        )
    for key in ("latents_mean", "latents_std"):
        if len(vae[key]) != codes:
            raise UserError(f"{name}: its VAE makes {codes} channels, its {key} has {len(vae[key])} numbers")
    if transformer["patch_size"][0] != 1:
        raise UserError(f"{name}: its transformer joins {transformer['patch_size'][0]} latents in time; allowed: 1")
    if transformer.get("image_dim") is not None:
        raise UserError(f"{name}: its transformer asks for more than words (image_dim); allowed: one of words alone")
    if text["d_model"] != transformer["text_dim"]:
        raise UserError(
            f"{name}: its text encoder gives {text['d_model']} numbers a word, its transformer reads "
            f"{transformer['text_dim']}"
        )
