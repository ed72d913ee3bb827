"""Stable Diffusion 1.5 as an architecture: where each part of `training.models.architecture.Architecture` is."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from conf.errors import ConfigError, UserError
from conf.printable import as_typed
from training.models.architecture import Architecture, Base, StageRequest, Trainable
from training.models.painter import Painter, PainterParts
from training.models.registration import ModelConfig
from training.models.sd15 import painter, stages
from training.models.sd15.base import BaseModel, load_base
from training.models.sd15.blocks import compile_network
from training.noise_schedule import NoiseSchedule, schedule_of_recipe
from training.objective import Objective

if TYPE_CHECKING:
    from training.config import NoiseConfig

_NOISE = ("prediction", "num_steps", "beta_start", "beta_end", "zero_terminal_snr")
_NOT_DENOISERS = ("words", "codec", "base")  # parts that predict nothing, and the base itself, which states its noise


class StableDiffusion:
    """See `training.models.architecture.Architecture`."""

    def load_base(self, path: str | Path, model: ModelConfig, key: str = "base") -> Base:
        """A diffusers folder, or a name on the hub."""
        return load_base(path, key)

    def objective(
        self, model: ModelConfig, noise: "NoiseConfig", base: Base | None, *, trained_here: bool
    ) -> Objective:
        """A noise schedule of variances: that of the base if it was trained here."""
        if base is not None:
            for key in _NOISE if trained_here else ("prediction",):
                requested, of_base = getattr(noise, key), getattr(base.objective, key)
                if requested != of_base:
                    raise ConfigError(f"noise.{key}", requested, f"{as_typed(of_base)}, as of its base")
        return schedule_of_recipe(asdict(noise))

    def trainable(self, base: Base, request: StageRequest) -> Trainable:
        """The network of a stage."""
        return stages.trainable(cast(BaseModel, base), request)

    def compile(self, network: nn.Module) -> None:
        """Compile its blocks."""
        compile_network(network)

    def recognises(self, folder: Path) -> bool:
        """A folder with a 2D UNet."""
        return (folder / "unet").is_dir()

    def assemble(self, parts: PainterParts) -> Painter:
        """A painter that samples on the variances that its temporal modules were trained on.

        These need not be the base's own. Temporal modules that were not trained here do not state theirs; all releases
        of AnimateDiff, and what is trained from them, were trained on variances that rise linearly. A base that was
        trained on zero terminal SNR keeps it, and all parts must predict what the base does.
        """
        base = load_base(parts.base)
        schedules = {key: _schedule(key, recipe) for key, recipe in parts.recipes.items() if key not in _NOT_DENOISERS}
        of_base = base.schedule
        for key, trained_on in schedules.items():
            if trained_on.prediction != of_base.prediction:
                difference = f"noise.prediction={trained_on.prediction}; base={parts.base} on {of_base.prediction}"
                raise UserError(f"{key}: trained on {difference}")
        schedule = schedules.get("motion", replace(of_base, spacing="linear"))
        # A painter as base has the noise of its own motion model; what its base was trained on is in its run card.
        base_noise = _schedule("base", parts.recipes["base"]) if "base" in parts.recipes else of_base
        zero_terminal_snr = schedule.zero_terminal_snr or base_noise.zero_terminal_snr
        return painter.assemble(replace(base, schedule=replace(schedule, zero_terminal_snr=zero_terminal_snr)), parts)

    def load_painter(self, folder: Path, facts: Mapping[str, Any], dtype: torch.dtype) -> Painter:
        """A painter's folder."""
        return painter.load(folder, facts, dtype)


def _schedule(part: str, recipe: Mapping[str, Any]) -> NoiseSchedule:
    """The noise that a part of a painter was trained on."""
    try:
        return schedule_of_recipe(recipe["noise"])
    except (KeyError, TypeError, ConfigError) as error:
        raise UserError(f"{part}: its run card cannot be read ({error})") from error


ARCHITECTURE: Architecture = StableDiffusion()
