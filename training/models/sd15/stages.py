"""What each stage trains of a Stable Diffusion: the UNet, temporal modules, a replication network, or a LoRA.

`spatial_lora` trains the attention within pictures on finished pictures only, so that unfinished ones never harm image
quality. It goes through the 2D UNet: with its temporal modules off, the motion UNet is the same network, only slower.
`motion_lora` then trains the attention over frames on whole sequences, with the spatial LoRA in place.
"""

from collections.abc import Mapping
from pathlib import Path

from diffusers import MotionAdapter, SparseControlNetModel
from torch import Tensor, nn

from conf.errors import ConfigError, UserError
from conf.printable import as_typed
from training.data.remote import AnyPath
from training.models.architecture import StageRequest, Trainable
from training.models.lora import apply_lora, is_lora, lora_of
from training.models.painter_parts import Part, part_at
from training.models.sd15.base import BaseModel, save_its_unet, with_its_unet
from training.models.sd15.denoisers import ConditionedDenoiser, FrameDenoiser, SequenceDenoiser
from training.models.sd15.lora import LoraKind, add_lora, load_lora, save_lora
from training.models.sd15.motion import (
    ORIGINAL_FILE,
    adapter_of,
    add_motion,
    is_temporal,
    load_motion,
    save_motion,
)
from training.models.sd15.replication import add_replication, is_carried, load_replication, save_replication
from training.models.shape import LoraShape, OfBase
from training.models.weights import holding, module_hash, parent_weights, part_of
from training.stages.condition_draw import ConditionDraw

_UNET, _TEXT, _REPLICATION = "unet.", "text_encoder.", "replication."
_CROSS_ATTENTION = ".attn2."  # in the 2D UNet, where its queries are pictures and its keys are words
_FEWEST_POSITIONS = 32  # of new temporal modules


def trainable(base: BaseModel, request: StageRequest) -> Trainable:
    """As `training.models.architecture.Architecture.trainable` says."""
    checkpointing, parents, original = request.checkpointing, request.parents, base
    if "motion" in parents:
        base = _with_trained_unet(base, request)
    match request.stage:
        case "base":
            return unet_trainable(base, trains_text=request.trains_text, checkpointing=checkpointing)
        case "motion":
            adapter = _adapter(base, request) if "motion" in parents else None
            return motion_trainable(
                base, adapter, request.num_frames, of_base=request.of_base, own_unet=base is not original,
                checkpointing=checkpointing,
            )  # fmt: skip
        case "replication":
            assert request.conditions is not None  # the configuration has checked
            network = _replication(base, request, request.conditions) if "replication" in parents else None
            return replication_trainable(
                base, _adapter(base, request), network, request.num_frames,
                carried=request.conditions.carried, checkpointing=checkpointing,
            )  # fmt: skip
        case "spatial_lora" | "motion_lora":
            assert request.lora is not None  # the configuration has checked
            adapter, spatial, marks = None, None, {"base": module_hash(base.unet)}
            if request.stage == "motion_lora":
                adapter = _adapter(base, request)
                if "spatial_lora" in parents:
                    place = parent_weights("spatial_lora", parents["spatial_lora"])
                    spatial = load_lora("spatial_lora", place, base.unet, marks)
                marks["motion"] = module_hash(adapter)
            return lora_trainable(base, adapter, spatial, request.lora, marks, checkpointing=checkpointing)


def _with_trained_unet(base: BaseModel, request: StageRequest) -> BaseModel:
    """The base with the UNet that was trained together with the temporal modules, if there is one.

    Raises:
        UserError: if that UNet was trained from another base than the user named, whose training would be lost.
    """
    place = request.parents["motion"]
    trained = with_its_unet(base, parent_weights("motion", place))
    if trained is base or module_hash(trained.unet) == module_hash(base.unet):
        return trained
    original_base = _base_of(part_at("motion", place))
    if original_base is not None and original_base not in _names_of_base(request):
        file = parent_weights("motion", place) / ORIGINAL_FILE
        advice = f"motion={file} takes the temporal modules alone, for the UNet of this base"
        named_base = f"base={request.base}" if request.base is not None else f"model.path={request.path}"
        raise UserError(f"motion={place}: its UNet was trained from another base than {named_base}; {advice}")
    return trained


def _base_of(motion: Part) -> str | None:
    """The base that temporal modules were trained with: its hash, or its name on the hub; None if it is not stated.

    The card of a run with `base=` holds `model.path` too, which the run did not read.
    """
    parents = motion.parents
    if motion.card is None or "base" in parents or "model" in parents:
        return parents.get("base", parents.get("model"))
    model = motion.card["recipe"].get("model")
    return model.get("path") if isinstance(model, dict) else None


def _names_of_base(request: StageRequest) -> list[str]:
    """What cards of motion runs may call the UNet of this run's base: hashes, or its name on the hub."""
    if request.base is None and not Path(request.path or "").exists():
        return [request.path or ""]
    base_part = part_at("base", request.base if request.base is not None else Path(request.path or ""))
    names = [base_part.hash]
    if base_part.card is not None and base_part.card.get("stage") == "words":  # its UNet is that of its parent
        names.append(base_part.parents.get("base", base_part.hash))
    return names


def unet_trainable(base: BaseModel, *, trains_text: bool, checkpointing: bool = False) -> Trainable:
    """Train the 2D UNet, and the text encoder on request; everything else is frozen.

    Args:
        base: the base to start from.
        trains_text: whether the text encoder is trained.
        checkpointing: whether gradients are checkpointed.
    """
    if checkpointing:
        base.unet.enable_gradient_checkpointing()
    base.unet.requires_grad_(True)
    base.text_encoder.requires_grad_(trains_text)

    def save(folder: Path, weights: Mapping[str, Tensor]) -> None:
        """Write the base as a diffusers folder, with these weights."""
        with holding(base.unet, _below(_UNET, weights)), holding(base.text_encoder, _below(_TEXT, weights)):
            base.save(folder)

    frozen: dict[str, nn.Module] = {"vae": base.vae, **({} if trains_text else {"text_encoder": base.text_encoder})}
    return Trainable(denoiser=FrameDenoiser(base.unet), frozen=frozen, save=save)


def motion_trainable(
    base: BaseModel,
    adapter: MotionAdapter | None,
    num_frames: int,
    *,
    of_base: OfBase | None = None,
    own_unet: bool = False,
    checkpointing: bool = False,
) -> Trainable:
    """Train temporal modules, new ones or AnimateDiff's, and the requested part of the base.

    Args:
        base: the base that they are added to.
        adapter: modules to start from; None for new ones.
        num_frames: T, the least number of positions of new ones.
        of_base: the part of the base's UNet that is trained with them; None for nothing.
        own_unet: whether the UNet came with the temporal modules, and must stay with them.
        checkpointing: whether gradients are checkpointed.
    """
    unet = add_motion(base.unet, adapter, max_frames=max(_FEWEST_POSITIONS, num_frames))

    def is_trained(name: str) -> bool:
        return is_temporal(name) or of_base == "all" or (of_base == "words" and _CROSS_ATTENTION in name)

    for name, parameter in unet.named_parameters():
        parameter.requires_grad_(is_trained(name))
    if checkpointing:
        unet.enable_gradient_checkpointing()

    def save(folder: Path, weights: Mapping[str, Tensor]) -> None:
        """Write the temporal modules, for diffusers and for AnimateDiff's tools, and the UNet if that was trained."""
        of_unet = _below(_UNET, weights)
        temporal = {name: tensor for name, tensor in of_unet.items() if is_temporal(name)}
        save_motion(adapter_of(unet, temporal), folder)
        if own_unet or of_base is not None:
            spatial = {name: tensor for name, tensor in of_unet.items() if not is_temporal(name)}
            with holding(base.unet, spatial):
                save_its_unet(base, folder)

    frozen = _frozen_encoders(base)
    if of_base != "all":
        frozen["unet"] = part_of(unet, lambda name: not is_trained(name))
    return Trainable(denoiser=SequenceDenoiser(unet), frozen=frozen, save=save)


def replication_trainable(
    base: BaseModel,
    adapter: MotionAdapter,
    replication: SparseControlNetModel | None,
    num_frames: int,
    *,
    carried: bool = True,
    checkpointing: bool = False,
) -> Trainable:
    """Train a replication network; base and motion are frozen.

    Args:
        base: the base.
        adapter: the temporal modules.
        replication: network to start from; None for the UNet's own encoder.
        num_frames: T, the least number of positions of a new one.
        carried: whether a new one sees the conditions before and after a frame.
        checkpointing: whether gradients are checkpointed.
    """
    unet = add_motion(base.unet, adapter).requires_grad_(False)
    if replication is None:
        replication = add_replication(base.unet, max_frames=max(_FEWEST_POSITIONS, num_frames), carried=carried)
    network = replication.requires_grad_(True)
    if checkpointing:
        unet.enable_gradient_checkpointing()
        network.enable_gradient_checkpointing()

    def save(folder: Path, weights: Mapping[str, Tensor]) -> None:
        """Write the network as a diffusers `SparseControlNetModel`."""
        save_replication(network, folder, _below(_REPLICATION, weights))

    return Trainable(
        denoiser=ConditionedDenoiser(unet, network),
        frozen=_frozen_encoders(base) | {"unet_and_motion": unet},
        save=save,
        sees_conditions=True,
    )


def lora_trainable(
    base: BaseModel,
    adapter: MotionAdapter | None,
    spatial: Mapping[str, Tensor] | None,
    shape: LoraShape,
    parents: Mapping[str, str],
    *,
    checkpointing: bool = False,
) -> Trainable:
    """Train a LoRA; everything else is frozen.

    Args:
        base: the base, frozen.
        adapter: temporal modules, frozen as well, for a motion LoRA; None for a spatial one.
        spatial: spatial LoRA that a motion LoRA is trained beside, by peft's names.
        shape: sizes of the LoRA.
        parents: name -> hash of the networks that the LoRA belongs to.
        checkpointing: whether gradients are checkpointed.
    """
    kind: LoraKind = "spatial" if adapter is None else "motion"
    unet = base.unet if adapter is None else add_motion(base.unet, adapter)
    if checkpointing:
        unet.enable_gradient_checkpointing()
    if spatial is not None:
        apply_lora(unet, "spatial", spatial)
    add_lora(unet, kind, shape)

    def save(folder: Path, weights: Mapping[str, Tensor]) -> None:
        """Write the LoRA, for diffusers and for other tools."""
        save_lora(lora_of(_below(_UNET, weights), kind, shape), kind, folder, parents)

    frozen = _frozen_encoders(base)
    frozen["unet"] = part_of(unet, lambda name: not is_temporal(name) and not is_lora(name))
    if adapter is not None:
        frozen["motion"] = part_of(unet, lambda name: is_temporal(name) and not is_lora(name))
    if spatial is not None:
        frozen["spatial_lora"] = part_of(unet, lambda name: is_lora(name) and ".spatial." in name)
    denoiser = FrameDenoiser(unet) if adapter is None else SequenceDenoiser(unet)
    return Trainable(denoiser=denoiser, frozen=frozen, save=save)


def _below(prefix: str, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights whose names start with a prefix, by the names without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)}


def _frozen_encoders(base: BaseModel) -> dict[str, nn.Module]:
    return {"vae": base.vae, "text_encoder": base.text_encoder}


def _adapter(base: BaseModel, request: StageRequest) -> MotionAdapter:
    """The temporal modules that a stage adds, or trains further."""
    place = request.parents["motion"]
    adapter = load_motion(parent_weights("motion", place), base.unet)
    _refuse_long("motion", place, adapter.config.motion_max_seq_length, request)
    return adapter


def _replication(base: BaseModel, request: StageRequest, draw: ConditionDraw) -> SparseControlNetModel:
    """The replication network that the stage trains further."""
    place = request.parents["replication"]
    network = load_replication(parent_weights("replication", place), base.unet, grown=request.grown)
    _refuse_long("replication", place, network.config.motion_max_seq_length, request)
    if is_carried(network) != draw.carried:
        allowed = f"{as_typed(not draw.carried)}, as {place} was trained"
        raise ConfigError("stage.conditions.carried", draw.carried, allowed)
    return network


def _refuse_long(key: str, place: AnyPath, most: int, request: StageRequest) -> None:
    if request.num_frames > most:
        raise UserError(
            f"{key}={place}: has {most} positions; sequences of {request.data} have {request.num_frames} frames"
        )
