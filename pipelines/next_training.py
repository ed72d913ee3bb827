"""The training command that follows on encoded data: with the base, the model and the noise that it must have."""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from conf.command import next_line
from conf.printable import as_typed
from training.config import NoiseConfig
from training.models.registration import ModelConfig
from training.models.registry import registered, stated_architecture
from training.models.weights import knows_words_only, read_run_card
from training.objective import Objective

_OF_NEW_BASES = ("name", "path", "shape")  # keys `model.*` that mean nothing to a run with `base=`
_NOT_OF_BASES = ("min_snr", "shared")  # keys `noise.*` that a run is free to set


def training_line(
    model: ModelConfig, base_word: str, weights: Path, objective: Objective, data: str, *, has_val: bool
) -> str:
    """The command that trains the next stage, for a shell.

    Args:
        model: the keys `model.*` that the data was encoded with.
        base_word: the override that names the base, such as `base=RUN`.
        weights: folder of the base's weights; it need not exist, as for a name on the hub.
        objective: the objective that the base was trained on.
        data: the encoded data set.
        has_val: whether that has sequences to validate with.
    """
    stage = "base" if knows_words_only(read_run_card(weights)) else "motion"
    name = stated_architecture(weights) or model.name
    overrides = [f"stage={stage}", f"model={name}", base_word, f"data={data}"]
    if name == model.name:
        overrides += _model_words(model)
    overrides += _noise_words(name, objective)
    if not has_val:
        overrides.append("validate_every=0")
    return next_line("python", "-m", "training.train", *overrides, f"out=runs/{stage}")


def _model_words(model: ModelConfig) -> Iterator[str]:
    """The keys that the user set, by which latents may differ."""
    for field in fields(model):
        value = getattr(model, field.name)
        if field.name not in _OF_NEW_BASES and value != field.default:
            yield f"model.{field.name}={as_typed(value)}"


def _noise_words(name: str, objective: Objective) -> Iterator[str]:
    """The keys in which the base's noise is not that which a run has by default."""
    default = NoiseConfig(prediction=registered(name).prediction)
    for field in fields(NoiseConfig):
        value = getattr(objective, field.name, None)  # flow matching has none of them
        if field.name not in _NOT_OF_BASES and value is not None and value != getattr(default, field.name):
            yield f"noise.{field.name}={as_typed(value)}"
