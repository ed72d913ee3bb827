"""Builds the actor of a file of weights: as Learning to Paint released it, or from a run of `stage=agent`."""

from collections.abc import Mapping

import torch
from torch import Tensor

from conf.errors import UserError
from training.models.actor import CHANNELS_SEEN, Actor
from training.models.finite import check_weights
from training.models.proposing import ProposingActor
from training.models.shape import LEAST_WIDTH, MOST_WIDTH

_COUNTS = ".num_batches_tracked"  # whole numbers that batch norms keep beside their weights


def actor_of(tensors: Mapping[str, Tensor]) -> Actor | ProposingActor:
    """The actor that a state dict describes, ready to paint.

    Args:
        tensors: tensors by name, as released (`conv1.weight`, ..., `fc.bias`), or as stage `agent` saves them.

    Raises:
        UserError: if they belong to another network, or one cannot be a weight.
    """
    try:
        check_weights({name: tensor for name, tensor in tensors.items() if not name.endswith(_COUNTS)})
    except ValueError as error:
        raise UserError(str(error)) from error
    with torch.random.fork_rng(devices=[]):  # building draws weights that are replaced at once
        if "conv1.weight" in tensors:
            actor: Actor | ProposingActor = Actor()
        elif "stem.weight" in tensors and tensors["stem.weight"].ndim == 4:
            width = len(tensors["stem.weight"])
            if not LEAST_WIDTH <= width <= MOST_WIDTH:
                raise UserError(f"stem.weight has {width} channels; allowed: {LEAST_WIDTH} to {MOST_WIDTH}")
            actor = ProposingActor(width)
        else:
            raise UserError(
                f"neither conv1.weight (as released, {CHANNELS_SEEN} channels in) nor stem.weight (of stage=agent)"
            )
    try:
        actor.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise UserError(" ".join(str(error).splitlines()[-1].split())[:150]) from error
    return actor.eval()
