"""The state of training: a stage's network on all ranks, its optimizer, and the moving average of its weights."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from conf.errors import UserError
from training.config import TrainConfig
from training.data.batch import SequenceBatch
from training.models.weights import trained_parameters
from training.run.checkpoint import Checkpoint
from training.run.clipping import Clipping
from training.run.ema import MovingAverage
from training.run.measurements import count_flops
from training.run.optimizers import make_optimizer, set_learning_rate
from training.run.parallel import Ranks, distribute, full, gathering, sharded_like, whole
from training.run.random_state import undisturbed
from training.run.recorded import BatchGradient, RecordedGradient, recording_on
from training.stages import Stage

_KERNEL_OPTIONS = {"foreach", "fused"}  # they depend on the device, so they are not taken from a checkpoint


class Learner:
    """Network, optimizer and average, new or from a checkpoint.

    Args:
        config: the configuration of the run.
        stage: the stage whose network is trained; the network is on the ranks' device.
        ranks: the processes that train together.
        checkpoint: the checkpoint to resume from; None for a new run.

    Raises:
        UserError: if the checkpoint holds other weights than the stage trains.
    """

    def __init__(self, config: TrainConfig, stage: Stage, ranks: Ranks, checkpoint: Checkpoint | None) -> None:
        self._config, self._stage, self._device = config, stage, ranks.device
        if checkpoint is not None:
            self._load_weights(checkpoint)
        self._model = distribute(stage.network, ranks, config.distributed)
        self._trained = trained_parameters(stage.network)
        self._optimizer = make_optimizer(config.optimizer, self._trained.values())
        self._clipping = Clipping(self._trained.values(), config.clip_norm, self._optimizer)
        self._average = MovingAverage(self._trained, config.ema_decay) if config.ema_decay is not None else None
        self._gradient: BatchGradient = self._gradient_of_batch
        recording = recording_on(ranks.device) if config.cuda_graphs else None
        if recording is not None:
            self._gradient = RecordedGradient(self._gradient_of_batch, self._trained.values(), recording)
        self._frees_gradients = recording is None
        if checkpoint is not None:
            self._load_optimizer_and_average(checkpoint)

    def _load_weights(self, checkpoint: Checkpoint) -> None:
        stored, parameters = checkpoint.tensors("trained"), trained_parameters(self._stage.network)
        for name in sorted(stored.keys() | parameters.keys()):
            if name not in stored or name not in parameters or stored[name].shape != parameters[name].shape:
                raise UserError(f"{checkpoint.folder}: of another network than stage={self._stage.name} trains: {name}")
        with torch.no_grad():
            for name, value in stored.items():
                parameters[name].copy_(value)

    def _load_optimizer_and_average(self, checkpoint: Checkpoint) -> None:
        parameters = list(self._trained.values())
        state = checkpoint.state("optimizer")
        state["state"] = {
            number: {key: sharded_like(value, parameters[number]) for key, value in moments.items()}
            for number, moments in state["state"].items()
        }
        for saved, group in zip(state["param_groups"], self._optimizer.param_groups, strict=True):
            saved.update({key: group[key] for key in _KERNEL_OPTIONS & group.keys()})
        self._optimizer.load_state_dict(state)
        if self._average is not None:
            averages = checkpoint.tensors("average")
            self._average.load({name: sharded_like(averages[name], self._trained[name]) for name in averages})

    def find_gradient(self, batches: Sequence[SequenceBatch]) -> tuple[Tensor, Tensor | None]:
        """Forward and backward over the batches of one step; returns losses and timesteps of the samples.

        Args:
            batches: the batches of the step, on the device.
        """
        losses: list[Tensor] = []
        timesteps: list[Tensor] = []
        for number, batch in enumerate(batches):
            with gathering(self._model, number == len(batches) - 1):
                per_sample, steps = self._gradient(batch)
            losses.append(per_sample)
            timesteps += [steps] if steps is not None else []
        return torch.cat(losses), torch.cat(timesteps) if timesteps else None

    def _gradient_of_batch(self, batch: SequenceBatch) -> tuple[Tensor, Tensor | None]:
        """Forward and backward over one batch; see `training.run.recorded.BatchGradient`."""
        with autocast(self._config, self._device):
            loss, per_sample, steps = self._model(batch)
        (loss / self._config.accumulate).backward()
        return per_sample, steps

    def clip_gradient(self) -> Tensor:
        """Clip the gradient that `move` will use; returns its norm () before clipping, on the device."""
        return self._clipping.clip()

    def move(self, step: int) -> float:
        """Update the weights and their average, as step number `step`; returns the learning rate."""
        rate = set_learning_rate(self._optimizer, self._config.optimizer, step, self._config.max_steps)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=self._frees_gradients)
        if self._average is not None:
            self._average.update(step)
        return rate

    @contextmanager
    def painting(self) -> Iterator[None]:
        """Context for validation and samples: averaged weights, eval mode, no gradients; training is not affected.

        Nothing is compiled, because validation and samples each have their own sizes: compiling every block for these
        would take longer than it saves.
        """
        averaged = self._average.applied() if self._average is not None else nullcontext()
        with (
            undisturbed(),
            averaged,
            whole(self._model),
            torch.no_grad(),
            autocast(self._config, self._device),
            torch.compiler.set_stance("force_eager"),
        ):
            self._stage.network.eval()
            try:
                yield
            finally:
                self._stage.network.train()

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """Weights and averages for a checkpoint, not sharded; every rank must call it."""
        groups = {"trained": {name: full(value) for name, value in self._trained.items()}}
        if self._average is not None:
            groups["average"] = {name: full(value) for name, value in self._average.averages.items()}
        return groups

    def optimizer_state(self) -> dict[str, Any]:
        """The optimizer's state for a checkpoint, not sharded; every rank must call it."""
        state = self._optimizer.state_dict()
        state["state"] = {
            number: {key: full(value) for key, value in moments.items()} for number, moments in state["state"].items()
        }
        return state

    def moments(self, optimizer_state: Mapping[str, Any]) -> dict[str, Tensor]:
        """The tensors of the optimizer's state, by the name of their parameter and what they are of it."""
        return {
            f"{name} ({key})": value
            for number, name in enumerate(self._trained)
            for key, value in optimizer_state["state"].get(number, {}).items()
            if isinstance(value, Tensor)
        }

    def result(self) -> dict[str, Tensor]:
        """The averaged weights, or the last weights if there is no average; every rank must call it."""
        groups = self.tensors()
        return groups.get("average", groups["trained"])


def autocast(config: TrainConfig, device: torch.device) -> torch.autocast:
    """Context for forward passes: they compute in bf16 with `precision=bf16`, while trained weights stay fp32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=config.precision == "bf16")


def flops_per_sample(config: TrainConfig, stage: Stage, device: torch.device, batch: SequenceBatch) -> float:
    """FLOPs of forward and backward per sample, counted once on two samples whose gradient is discarded.

    Only two are used because nothing is compiled here, and uncompiled code needs more memory. One would not do, because
    normalisation layers need more than one value.

    Args:
        config: the configuration of the run.
        stage: the stage, whose network is on the device.
        device: the device on which this rank computes.
        batch: samples on the device.
    """
    two_samples = batch.first(2)

    def work() -> None:
        with autocast(config, device):
            loss = stage.network(two_samples).loss
        loss.backward()

    with undisturbed(), torch.compiler.set_stance("force_eager"):
        flops = count_flops(work)
    stage.network.zero_grad(set_to_none=True)
    return flops / len(two_samples)
