"""The stages of training. A stage defines what is trained, what stays frozen, and what the loss is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor, nn

    from training.data.batch import Tokenise

AllRows = Callable[["Tensor"], tuple["Tensor", int]]
"""(B, ...) rows, one for each sample of this rank -> the rows of all ranks, and the number of this rank's first row."""


@dataclass(frozen=True)
class StageLoss:
    """The result of a stage's network for a batch.

    Attributes:
        loss: scalar to minimise: the mean of `per_sample`, weighted if min-SNR is on; in stage `agent` minus what its
            proposals gain.
        per_sample: (B,) detached, not weighted: what is logged.
        timesteps: (B,) of the noise, as `training.objective` says; None in a stage without noise.
    """

    loss: "Tensor"
    per_sample: "Tensor"
    timesteps: "Tensor | None"


@runtime_checkable
class ComparesSamples(Protocol):
    """A stage's network whose loss compares the samples of a batch with each other.

    Attributes:
        all_rows: gives it the samples of all ranks. At first it gives this rank's alone; when several ranks train,
            `training.run.parallel.distribute` replaces it. Only for training: every rank must call it as often, with as
            many rows.
    """

    all_rows: AllRows


def own_rows(rows: "Tensor") -> "tuple[Tensor, int]":
    """As `AllRows`, where there is one rank."""
    return rows, 0


class Stage(Protocol):
    """One stage of training, prepared by `make_stage`: parents loaded, parts frozen, compiled if requested.

    Attributes:
        name: as in `conf/stage/`.
        frames: whether it reads whole sequences, or finished pictures only.
        network: `network(batch: SequenceBatch) -> StageLoss`. Parameters with requires_grad are trained. Everything
            random in it is drawn from (seed, position) of each sample; in eval mode no caption is dropped.
        frozen: parts that training must not move, by name.
        num_steps: upper bound of the timesteps of its losses; None in a stage without noise.
        tokenise: applied to captions while data is loaded, so that batches hold `token_ids`; None if not needed.
    """

    name: str
    frames: Literal["all", "last"]
    network: "nn.Module"
    frozen: "Mapping[str, nn.Module]"

    @property
    def num_steps(self) -> int | None:
        """As above."""

    @property
    def tokenise(self) -> "Tokenise | None":
        """As above."""

    def save(self, folder: Path, weights: "Mapping[str, Tensor]") -> None:
        """Write weights into an existing folder, in the field's usual format.

        Args:
            folder: an empty folder.
            weights: trained parameters by their name in `network`, on the CPU; raw ones or their moving average.
        """

    def samples(self, prompts: Sequence[str], seed: int) -> "Tensor":
        """What the current weights paint for prompts, usually sequences: (N, T, 3, H, W) float32 in [0, 1]."""
