"""Validation and samples of a run, made from its averaged weights; training is not affected by them.

If either fails on one rank, it fails on all, so that none waits for another forever.
"""

import itertools
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

from torch import Tensor

from conf.errors import UserError
from training.config import TrainConfig
from training.data.stream import SequenceStream
from training.models.finite import finite
from training.run.feed import Feed
from training.run.learner import Learner
from training.run.measurements import LossWindow
from training.run.not_finite import listed
from training.run.parallel import Ranks
from training.stages import Stage


class Evaluation:
    """What a run measures and paints between its steps.

    Args:
        config: the configuration of the run.
        stage: the stage that is trained.
        ranks: the processes that train.
        feed: how batches reach this rank.
        learner: the weights, and their average.
    """

    def __init__(self, config: TrainConfig, stage: Stage, ranks: Ranks, feed: Feed, learner: Learner) -> None:
        self._config, self._stage, self._ranks, self._feed, self._learner = config, stage, ranks, feed, learner

    def losses(self, val: SequenceStream, step: int) -> dict[str, float]:
        """Mean losses on the first sequences of the val split, always the same ones with the same noise.

        Args:
            val: the val split.
            step: optimizer steps done, for messages.

        Returns:
            The means over all ranks, as `LossWindow.means` names them.

        Raises:
            UserError: on every rank, if a sequence is damaged or its loss is not finite.
        """
        with naming_val_split(), self._painting():
            window = self._ranks.agreed(lambda: self._window_of(val, step))
        return window.means(self._ranks.summed(window.sums))

    def _window_of(self, val: SequenceStream, step: int) -> LossWindow:
        """The losses of this rank's share of the sequences."""
        ranks, num_sequences = self._ranks, min(self._config.val_sequences, len(val))
        batch_size = min(self._config.batch_size, len(val) // ranks.count)
        window = LossWindow(self._stage.num_steps)
        with closing(self._feed.batches(val, 0, 0, batch_size)) as batches:
            for batch in itertools.islice(batches, -(-num_sequences // (batch_size * ranks.count))):
                arriving = self._feed.arrivals.begin(batch)
                self._feed.arrivals.finish([arriving])
                result = self._stage.network(arriving)
                is_counted, losses = batch.positions < num_sequences, result.per_sample.cpu()
                is_faulty = is_counted & ~losses.isfinite()
                if is_faulty.any():
                    keys = [batch.keys[number] for number in is_faulty.nonzero().flatten().tolist()]
                    raise UserError(f"step {step}: the validation loss is not finite; sequences {listed(keys)}")
                timesteps = result.timesteps.cpu()[is_counted] if result.timesteps is not None else None
                window.add(losses[is_counted], timesteps)
        return window

    def samples(self, prompts: tuple[str, ...], step: int) -> Tensor:
        """What the averaged weights paint for prompts: (N, T, 3, H, W) in [0, 1].

        Args:
            prompts: the captions.
            step: optimizer steps done, for messages.

        Raises:
            UserError: on every rank, if any value is not finite.
        """

        def paint() -> Tensor:
            return finite(self._stage.samples(prompts, self._config.seed), f"samples of step {step}")

        with _advising("sample_every=0 trains without samples"), self._painting():
            return self._ranks.agreed(paint)

    @contextmanager
    def _painting(self) -> Iterator[None]:
        """As `Learner.painting`, for which the memory of one rank alone may be too small."""
        with ExitStack() as stack:
            self._ranks.agreed(lambda: stack.enter_context(self._learner.painting()))
            yield


@contextmanager
def naming_val_split() -> Iterator[None]:
    """Context in which a UserError says that it is about the val split, and how to train without one."""
    with _advising("val split; validate_every=0 trains without one"):
        yield


@contextmanager
def _advising(advice: str) -> Iterator[None]:
    try:
        yield
    except UserError as error:
        raise UserError(f"{error} ({advice})") from error
