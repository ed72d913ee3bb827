"""Wan2.2-TI2V-5B as an architecture: where each part of `training.models.architecture.Architecture` is."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from diffusers.models.transformers.transformer_wan import WanTransformerBlock
from torch import nn

from training.models.architecture import Architecture, Base, StageRequest, Trainable
from training.models.compiling import compile_blocks
from training.models.painter import Painter, PainterParts
from training.models.registration import ModelConfig
from training.models.wan22 import painter, stages
from training.models.wan22.base import WanBase
from training.models.wan22.flow import Flow
from training.models.wan22.loading import load_base
from training.models.wan22.registration import WanConfig
from training.objective import Objective

if TYPE_CHECKING:
    from training.config import NoiseConfig


class Wan:
    """See `training.models.architecture.Architecture`."""

    def load_base(self, path: str | Path, model: ModelConfig, key: str = "base") -> Base:
        """A folder of diffusers' `WanPipeline`, or a name on the hub."""
        return load_base(path, cast(WanConfig, model), key)

    def objective(
        self, model: ModelConfig, noise: "NoiseConfig", base: Base | None, *, trained_here: bool
    ) -> Objective:
        """Flow matching, with the shift and the solver of the base if the configuration sets none."""
        config, flow = cast(WanConfig, model), Flow() if base is None else cast(WanBase, base).objective
        return replace(
            flow, shift=config.shift or flow.shift, solver=config.solver or flow.solver, levels=config.levels,
            lead=config.lead, shared=noise.shared,
        )  # fmt: skip

    def trainable(self, base: Base, request: StageRequest) -> Trainable:
        """The network of a stage."""
        return stages.trainable(cast(WanBase, base), request)

    def compile(self, network: nn.Module) -> None:
        """Compile its blocks."""
        compile_blocks(network, (WanTransformerBlock,))

    def recognises(self, folder: Path) -> bool:
        """A folder of a Wan pipeline."""
        try:
            index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return isinstance(index, dict) and str(index.get("_class_name")).startswith("Wan")

    def assemble(self, parts: PainterParts) -> Painter:
        """A painter that samples as its motion LoRA was trained."""
        return painter.assemble(parts)

    def load_painter(self, folder: Path, facts: Mapping[str, Any], dtype: torch.dtype) -> Painter:
        """A painter's folder."""
        return painter.load(folder, facts, dtype)


ARCHITECTURE: Architecture = Wan()
