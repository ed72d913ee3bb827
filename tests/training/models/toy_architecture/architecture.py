"""The toy as an architecture. Stages `motion` and `replication` train its transformer, the latter with conditions."""

import dataclasses
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from conf.errors import UserError
from tests.training.models.toy_architecture.base import CONFIG, ToyBase, Transformer, load_toy
from tests.training.models.toy_architecture.registration import TOY, ToyConfig
from training.config import NoiseConfig
from training.data.text import Text
from training.diffusion import Denoiser
from training.models.architecture import Architecture, Base, StageRequest, Trainable
from training.models.compiling import compile_blocks
from training.models.conditions import Conditions
from training.models.painter import PainterParts, PaintingStep
from training.models.painter_folder import seal_painter
from training.models.registration import ModelConfig
from training.models.weights import parent_weights
from training.objective import Objective

TRANSFORMER = "transformer.safetensors"


def load_transformer(key: str, weights: Path, like: Transformer) -> Transformer:
    if not (weights / TRANSFORMER).is_file():
        raise UserError(f"{key}={weights}: holds no {TRANSFORMER}")
    transformer = deepcopy(like)
    transformer.load_state_dict(load_file(weights / TRANSFORMER))
    return transformer


@dataclass(frozen=True, kw_only=True)
class ToyNetworks:
    """See `training.models.painter.PaintingNetworks`."""

    base: ToyBase
    transformer: Transformer
    takes_conditions: bool
    dtype: torch.dtype = torch.float32

    @property
    def parts(self) -> Mapping[str, nn.Module]:
        return {"text_encoder": self.base.text_encoder, "transformer": self.transformer}

    def needed(self, step: PaintingStep, *, conditioned: bool = False) -> Sequence[nn.Module]:
        by_step = {"text": (self.base.text_encoder,), "encoding": (), "decoding": ()}
        return by_step.get(step, (self.transformer,))

    def rejoin(self) -> None:
        """Do nothing: the networks share no parts."""

    def denoiser(self, conditions: Conditions | None) -> Denoiser:
        def denoise(latents: Tensor, timesteps: Tensor, text: Text) -> Tensor:
            predicted: Tensor = self.transformer(latents, timesteps, text, conditions)
            return predicted

        return denoise

    def inverter(self) -> Denoiser:
        def denoise(latents: Tensor, timesteps: Tensor, text: Text) -> Tensor:
            predicted: Tensor = self.transformer(latents[:, None], timesteps, text)[:, 0]
            return predicted

        return denoise

    def spare_memory(self, codec: Literal["sliced", "tiled"]) -> None:
        """Do nothing: the codec needs little memory."""

    def compile(self) -> None:
        ARCHITECTURE.compile(self.transformer)


@dataclass(frozen=True, kw_only=True)
class ToyPainter:
    """See `training.models.painter.Painter`."""

    base: ToyBase
    transformer: Transformer
    facts: Mapping[str, Any]
    loras: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)

    def save(
        self, folder: Path, run_cards: Mapping[str, Mapping[str, Any]], dtype: torch.dtype = torch.float32
    ) -> None:
        self.base.save(folder)
        state = {name: tensor.to(dtype) for name, tensor in self.transformer.state_dict().items()}
        save_file(state, folder / TRANSFORMER)
        facts = {**self.facts, "architecture": TOY.name, "shared": self.base.objective.shared}
        seal_painter(folder, facts, run_cards)

    def networks(self, loras: Mapping[str, float]) -> ToyNetworks:
        conditioned = "replication" in self.facts["parts"]
        return ToyNetworks(base=self.base, transformer=self.transformer, takes_conditions=conditioned)


class ToyArchitecture:
    """See `training.models.architecture.Architecture`."""

    def load_base(self, path: str | Path, model: ModelConfig, key: str = "base") -> Base:
        return load_toy(Path(path), key)

    def objective(self, model: ModelConfig, noise: NoiseConfig, base: Base | None, *, trained_here: bool) -> Objective:
        flow = cast(ToyBase, base).objective
        return dataclasses.replace(flow, shift=cast(ToyConfig, model).shift, shared=noise.shared)

    def trainable(self, base: Base, request: StageRequest) -> Trainable:
        toy, conditioned = cast(ToyBase, base), request.stage == "replication"
        parent = next((key for key in ("replication", "motion") if key in request.parents), None)
        transformer = toy.transformer
        if parent is not None:
            transformer = load_transformer(parent, parent_weights(parent, request.parents[parent]), transformer)
        transformer.requires_grad_(True)

        def save(folder: Path, weights: Mapping[str, Tensor]) -> None:
            save_file({name: tensor.contiguous() for name, tensor in weights.items()}, folder / TRANSFORMER)

        frozen = {"text_encoder": toy.text_encoder}
        return Trainable(denoiser=transformer, frozen=frozen, save=save, sees_conditions=conditioned)

    def compile(self, network: nn.Module) -> None:
        compile_blocks(network, (nn.TransformerEncoderLayer,))

    def recognises(self, folder: Path) -> bool:
        return (folder / CONFIG).is_file()

    def assemble(self, parts: PainterParts) -> ToyPainter:
        base, recipe = load_toy(parts.base, "base"), parts.motion_recipe
        if recipe is None:
            raise UserError(f"motion={parts.motion}: not trained here")
        key, weights = "motion", parts.motion
        if parts.replication is not None:
            key, weights = "replication", parts.replication
        shift, shared = recipe["model"]["shift"], recipe["noise"]["shared"]
        flow = dataclasses.replace(base.objective, shift=shift, shared=shared)
        transformer = load_transformer(key, weights, base.transformer)
        base = dataclasses.replace(base, objective=flow)
        return ToyPainter(base=base, transformer=transformer, facts=parts.facts)

    def load_painter(self, folder: Path, facts: Mapping[str, Any], dtype: torch.dtype) -> ToyPainter:
        base = load_toy(folder, "painter")
        flow = dataclasses.replace(base.objective, shared=facts["shared"])
        transformer = load_transformer("painter", folder, base.transformer)
        base = dataclasses.replace(base, objective=flow)
        return ToyPainter(base=base, transformer=transformer, facts=facts)


ARCHITECTURE: Architecture = ToyArchitecture()
