"""The processes that train one network together: how they start, agree, and divide the work.

One process is the case of a single rank; nothing else in training asks how many there are.
"""

import os
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from conf.errors import UserError
from training.data.batch import SequenceBatch
from training.stages import ComparesSamples

_Result = TypeVar("_Result")
_TIMEOUT = timedelta(hours=2)  # while one process writes a checkpoint, the others wait


class Ranks:
    """The ranks of a run.

    Attributes:
        rank: number of this process, from 0.
        count: number of processes.
        device: the device on which this rank computes.

    Raises:
        UserError: if this machine has fewer GPUs than processes.
    """

    def __init__(self) -> None:
        from accelerate import Accelerator
        from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs

        local, num_gpus = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if num_gpus and local >= num_gpus:
            raise UserError(f"--nproc_per_node: {local + 1} or more processes on {num_gpus} GPUs; at most one per GPU")
        # Buffers never change in training, and gradients need not be kept beside the buckets that are sent.
        ddp = DistributedDataParallelKwargs(broadcast_buffers=False, gradient_as_bucket_view=True)
        self.accelerator: Accelerator = Accelerator(
            cpu=num_gpus == 0, kwargs_handlers=[InitProcessGroupKwargs(timeout=_TIMEOUT), ddp]
        )
        self.rank: int = self.accelerator.process_index
        self.count: int = self.accelerator.num_processes
        self.device: torch.device = self.accelerator.device
        # A group that communicates through the hosts (gloo), so that nothing waits for a device. None means the default
        # group, which is already such a group if there are no GPUs.
        on_gpus = self.count > 1 and self.device.type == "cuda"
        self._hosts: Any = torch.distributed.new_group(backend="gloo", timeout=_TIMEOUT) if on_gpus else None

    @property
    def first(self) -> bool:
        """True for the one rank that writes files and prints."""
        return self.rank == 0

    def agreed(self, work: Callable[[], _Result]) -> _Result:
        """Do `work` on every rank. If it fails on any rank, every rank raises, so that none waits for another forever.

        Raises:
            UserError: with the error of the lowest failing rank.
            Exception: the error of this rank, if that is not a UserError.
        """
        result: _Result | None = None
        failure: Exception | None = None
        try:
            result = work()
        except Exception as error:
            failure = error
        message = None if failure is None else str(failure) or type(failure).__name__
        first_message = next((each for each in self.gathered(message) if each is not None), None)
        if failure is not None and not isinstance(failure, UserError):
            raise failure
        if first_message is not None:
            raise UserError(first_message)
        return cast(_Result, result)

    def gathered(self, value: Any) -> list[Any]:
        """The values of all ranks, in order."""
        from accelerate.utils import gather_object

        return list(gather_object([value])) if self.count > 1 else [value]

    def any_of(self, *flags: bool) -> tuple[bool, ...]:
        """For each flag, whether it is set on any rank; exchanged between hosts, without waiting for a device."""
        if self.count == 1:
            return flags
        raised = torch.tensor(flags, dtype=torch.int32)
        torch.distributed.all_reduce(raised, group=self._hosts)
        return tuple(bool(count) for count in raised.tolist())

    def from_first(self, value: Any) -> Any:
        """The first rank's value."""
        from accelerate.utils import broadcast_object_list

        return broadcast_object_list([value])[0] if self.count > 1 else value

    def summed(self, values: Tensor) -> Tensor:
        """Sum over the ranks, element by element, on the CPU."""
        if self.count > 1:
            values = self.accelerator.reduce(values.to(self.device), "sum")
        return values.cpu()

    def all_rows(self, rows: Tensor) -> tuple[Tensor, int]:
        """The rows of all ranks, as `training.stages.AllRows`; gradients of a row go back to the rank it came from.

        There they are summed over the ranks, while those of weights are averaged. So a loss that is the mean over the
        rank's own samples, each compared with all, has the gradient of one process with the whole batch.

        Args:
            rows: (B, ...), as many on every rank.

        Returns:
            (ranks x B, ...) in the order of the ranks, and the number of this rank's first row.
        """
        return cast(Tensor, _AllRows.apply(rows)), self.rank * len(rows)

    def wait(self) -> None:
        """Wait until all ranks have called this."""
        self.accelerator.wait_for_everyone()


class _AllRows(torch.autograd.Function):
    """The rows of all ranks, in order. What torch has for this is private, or deprecated since 2.15."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        """(B, ...) on each rank -> (ranks x B, ...)."""
        parts = [torch.empty_like(rows) for _ in range(torch.distributed.get_world_size())]
        torch.distributed.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """The sum over the ranks of the gradients of this rank's rows."""
        summed = gradients[0].clone(memory_format=torch.contiguous_format)  # which is changed in place
        torch.distributed.all_reduce(summed)
        return summed.chunk(torch.distributed.get_world_size())[torch.distributed.get_rank()]


@contextmanager
def naming_broken_connections() -> Iterator[None]:
    """Context that turns a broken connection between ranks, for example when one was killed, into a one-line error.

    Raises:
        UserError: in place of what gloo, NCCL or torch's store raise.
    """
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, torch.distributed.DistError) and "/gloo/" not in str(error):
            raise
        reason = re.sub(r"^\[\S+\] ", "", " ".join(str(error).split())).partition(". ")[0]
        raise UserError(
            f"the connection to another process of this run broke ({reason}); the same command continues the run"
        ) from error


class RankNetwork(nn.Module):
    """A stage's network as DDP or FSDP wraps it to average its gradients over the ranks.

    `forward` returns a tuple, in which FSDP can find the tensors.

    Args:
        network: a stage's network; with `distributed=fsdp2` its trained parameters are sharded in place.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: SequenceBatch) -> tuple[Tensor, Tensor, Tensor | None]:
        """Loss, losses of the samples, and their timesteps in stages with noise."""
        result = self.network(batch)
        return result.loss, result.per_sample, result.timesteps


def distribute(network: nn.Module, ranks: Ranks, distributed: str) -> nn.Module:
    """Make the ranks train `network` together.

    With `ddp` each rank holds everything. With `fsdp2` the trained weights, their gradients, moments and averages are
    sharded, while frozen weights, which have none of these, stay whole on each rank.
    """
    rank_network = RankNetwork(network).to(ranks.device)
    if ranks.count == 1:
        return rank_network
    if isinstance(network, ComparesSamples):
        network.all_rows = ranks.all_rows
    if distributed == "ddp":
        from torch.nn.parallel import DistributedDataParallel

        # DDP requires all weights on one kind of device: it must ignore those that wait elsewhere
        # (`training.models.waiting`).
        elsewhere = [name for name, each in rank_network.named_parameters() if each.device.type != ranks.device.type]
        cast(Any, DistributedDataParallel)._set_params_and_buffers_to_ignore_for_model(rank_network, elsewhere)
        with warnings.catch_warnings():  # torch is renaming `broadcast_buffers`, accelerate not yet
            warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
            return cast(nn.Module, ranks.accelerator.prepare_model(rank_network))
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    frozen = {parameter for parameter in rank_network.parameters() if not parameter.requires_grad}
    mesh = init_device_mesh(ranks.device.type, (ranks.count,))
    fully_shard(rank_network, mesh=mesh, ignored_params=frozen)
    return rank_network


def gathering(model: nn.Module, now: bool) -> AbstractContextManager[None]:
    """Context of a backward pass: gradients are averaged over the ranks if `now`, else only added up on this rank."""
    from torch.distributed.fsdp import FSDPModule
    from torch.nn.parallel import DistributedDataParallel

    if isinstance(model, FSDPModule):
        model.set_requires_gradient_sync(now)
    elif isinstance(model, DistributedDataParallel) and not now:
        return model.no_sync()
    return nullcontext()


@contextmanager
def whole(model: nn.Module) -> Iterator[None]:
    """Context in which every rank has all weights, so that parts of the network can be used by themselves."""
    from torch.distributed.fsdp import FSDPModule

    if isinstance(model, FSDPModule):
        model.unshard()
    try:
        yield
    finally:
        if isinstance(model, FSDPModule):
            model.reshard()


def unsharded(value: Tensor) -> Tensor:
    """A full tensor, from every rank's part of it; without waiting for the device."""
    from torch.distributed.tensor import DTensor

    return (value.full_tensor() if isinstance(value, DTensor) else value).detach()


def full(value: Any) -> Any:
    """A full tensor on the CPU, from every rank's part of it; other values as they are."""
    return unsharded(value).cpu() if isinstance(value, Tensor) else value


def sharded_like(value: Any, parameter: nn.Parameter) -> Any:
    """The inverse of `full`, for a value that belongs to a parameter."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    if not isinstance(value, Tensor) or not isinstance(parameter, DTensor) or value.shape != parameter.shape:
        return value
    return distribute_tensor(value.to(parameter.device), parameter.device_mesh, parameter.placements)
