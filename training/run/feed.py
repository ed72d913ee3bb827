"""The batches that one rank trains on, read by other processes and sent to its device while that computes."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from conf.errors import UserError
from training.config import TrainConfig
from training.data.batch import SequenceBatch
from training.data.loader import Batches
from training.data.stream import SequenceStream
from training.run.device import Arrivals
from training.run.parallel import Ranks
from training.stages import Stage


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """The batches of one step of one rank.

    Attributes:
        batches: `accumulate` batches, on their way to the device.
        waited_s: seconds that training waited for them.
        error: why there are none; None if there are some.
    """

    batches: Sequence[SequenceBatch] = ()
    waited_s: float = 0.0
    error: str | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of all samples."""
        return tuple(key for batch in self.batches for key in batch.keys)


class Feed:
    """The batches of one rank.

    Args:
        config: the configuration of the run.
        stage: the stage; the readers apply its `tokenise`.
        ranks: this rank and the others, which get the other samples of the stream.

    Attributes:
        arrivals: how batches reach the device.
    """

    def __init__(self, config: TrainConfig, stage: Stage, ranks: Ranks) -> None:
        self._config, self._stage, self._ranks = config, stage, ranks
        self.arrivals = Arrivals(ranks.device)

    def batches(self, stream: SequenceStream, start: int, num_workers: int, batch_size: int | None = None) -> Batches:
        """This rank's batches of a stream, from a position on; the caller must close them."""
        return stream.batches(
            seed=self._config.seed,
            batch_size=batch_size or self._config.batch_size,
            start=start,
            rank=self._ranks.rank,
            world_size=self._ranks.count,
            num_workers=num_workers,
            tokenise=self._stage.tokenise,
            as_bytes=self.arrivals.as_bytes,
        )

    def fetch(self, batches: Iterator[SequenceBatch]) -> Fetched:
        """The batches of a step. An error is returned and not raised, so that all ranks can stop for it together."""
        start = time.perf_counter()
        try:
            fetched = [self.arrivals.begin(next(batches)) for _ in range(self._config.accumulate)]
        except UserError as error:
            return Fetched(error=str(error))
        return Fetched(batches=fetched, waited_s=time.perf_counter() - start)
