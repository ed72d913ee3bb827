"""The training loop: steps, measurements, and checkpoints from which a run resumes exactly."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from conf.errors import UserError
from conf.progress import Progress
from training.config import TrainConfig
from training.data.batch import SequenceBatch
from training.data.manifest import to_json
from training.data.seal import sealed
from training.data.stream import SequenceStream
from training.models.weights import RUN_CARD, WEIGHTS_HASH, weights_hash
from training.run.checkpoint import Checkpoint, prune, replaced_folder, write_checkpoint
from training.run.device import DeviceClock, allow_tensor_cores
from training.run.evaluation import Evaluation
from training.run.feed import Feed, Fetched
from training.run.learner import Learner, flops_per_sample
from training.run.measurements import LossWindow, Speed, peak_tflops
from training.run.not_finite import listed, refuse_not_finite
from training.run.parallel import Ranks
from training.run.random_state import capture, restore, seed_all
from training.run.run_folder import RunFolder
from training.run.samples import write_samples
from training.run.signals import StopSignal
from training.run.unread import StepOutcome, Unread, first_fault
from training.stages import Stage
from training.tracking import Tracker

_SHOWN_LOSSES = {"train/loss": "loss", "val/loss": "validation loss"}
_MOST_UNREAD = 100  # steps after which outcomes are read from the device, even if no line of the log is due


@dataclass(frozen=True, kw_only=True)
class RunParts:
    """Everything that a training run needs, checked.

    Attributes:
        config: the configuration of the run.
        stage: the stage that is trained.
        train, val: the data; `val` is None without validation.
        prompts: captions that samples are painted for.
        ranks: the processes that train.
        folder: the folder of the run.
        tracker: the experiment tracker, on the first rank.
        checkpoint: the checkpoint to resume from; None for a new run.
        recipe_hash: hash of the settings that must not change on resume.
    """

    config: TrainConfig
    stage: Stage
    train: SequenceStream
    val: SequenceStream | None
    prompts: tuple[str, ...]
    ranks: Ranks
    folder: RunFolder
    tracker: Tracker
    checkpoint: Checkpoint | None
    recipe_hash: str


class Training:
    """One run, from its start or its last checkpoint to its end.

    Attributes:
        step: optimizer steps done.
        position: samples consumed so far, which is the position in the stream.
    """

    def __init__(self, parts: RunParts) -> None:
        self._parts, self._config, self._ranks = parts, parts.config, parts.ranks
        self._stage, self._device = parts.stage, parts.ranks.device
        self.step, self.position = 0, 0
        self._saved_step = -1
        self._stopping, self._failure = False, ""
        self._shown_losses: dict[str, float] = {}
        self._window, self._unread = LossWindow(self._stage.num_steps), Unread()
        self._feed, self._clock = Feed(self._config, self._stage, self._ranks), DeviceClock(self._device)
        allow_tensor_cores(self._device)
        self._stage.network.to(self._device).train()
        if parts.checkpoint is not None:
            self.step = self._saved_step = parts.checkpoint.step
            self.position = parts.checkpoint.facts["position"]
        self._progress = Progress("training", self._config.max_steps, self.step, "steps", visible=self._ranks.first)

    def run(self) -> bool:
        """Train up to `max_steps`; returns False if a signal stopped the run before that.

        Raises:
            UserError: if a loss or a weight is not finite, the data is damaged, or the disk is full. No checkpoint is
                lost then.
        """
        config, ranks = self._config, self._ranks
        if self.step == config.max_steps:  # the run may have ended before it wrote its weights
            self._restore()
            self._do_what_is_pending()
            self._save_weights()
            return True
        seed_all(config.seed, ranks.rank)
        with (
            StopSignal() as stop,
            closing(self._feed.batches(self._parts.train, self.position, config.num_workers)) as batches,
            self._progress as progress,
        ):
            upcoming = self._begin(batches)
            self._do_what_is_pending()
            while self.step < config.max_steps and not self._stopping:
                upcoming = self._train_step(upcoming, batches, stop)
                progress.advance(1)
                self._do_what_is_due()
            finished = self.step == config.max_steps
            if self._saved_step != self.step:
                self._save()
        if self._failure:
            raise UserError(self._failure)
        if finished:
            self._save_weights()
        return finished

    def _begin(self, batches: Iterator[SequenceBatch]) -> Fetched:
        """Read the first step's batches, count the FLOPs of a sample, and restore the state of the checkpoint."""
        first = self._feed.fetch(batches)
        error = self._first_error(first.error)
        if error is not None:
            raise UserError(error)
        self._feed.arrivals.finish(first.batches)
        flops = flops_per_sample(self._config, self._stage, self._device, first.batches[0])
        self._speed = Speed(flops, peak_tflops(self._device, self._config.peak_tflops))
        self._restore()
        return first

    def _restore(self) -> None:
        """Restore the state of the checkpoint, or begin with a new one."""
        checkpoint = self._parts.checkpoint
        self._learner = Learner(self._config, self._stage, self._ranks, checkpoint)
        self._evaluation = Evaluation(self._config, self._stage, self._ranks, self._feed, self._learner)
        if checkpoint is None:
            return
        if self._ranks.first:
            self._window = LossWindow(self._stage.num_steps, checkpoint.state("loop")["window"])
        states = checkpoint.state("random")
        if self._ranks.rank < len(states):  # a rank that is new in the resumed run keeps its seed
            restore(states[self._ranks.rank])

    def _train_step(self, current: Fetched, batches: Iterator[SequenceBatch], stop: StopSignal) -> Fetched:
        """Queue one step on the device; returns the next step's batches, which are read while the device computes."""
        start = time.perf_counter()
        self._feed.arrivals.finish(current.batches)
        with self._clock.running():
            losses, timesteps = self._learner.find_gradient(current.batches)
            norm = self._learner.clip_gradient()
            self._rate = self._learner.move(self.step + 1)
        self.step += 1
        self.position += self._config.batch_size * self._config.accumulate * self._ranks.count
        self._unread.add(StepOutcome(step=self.step, keys=current.keys, losses=losses, timesteps=timesteps, norm=norm))
        upcoming = self._feed.fetch(batches) if self.step < self._config.max_steps else Fetched()
        self._agree(upcoming, stop)
        self._speed.add(
            seconds=time.perf_counter() - start,
            waited_s=upcoming.waited_s,
            samples=len(losses),
            frames=len(losses) * self._parts.train.num_frames,
        )
        return upcoming

    def _agree(self, upcoming: Fetched, stop: StopSignal) -> None:
        """One exchange per step: did any rank get a signal to stop, does every rank have data for the next step?

        A rank must never stop for a reason that only it knows, or the others would wait for it forever.
        """
        stopped, data_missing = self._ranks.any_of(stop.asked, upcoming.error is not None)
        if data_missing:
            self._failure = self._first_error(upcoming.error) or ""
        self._stopping = stopped or data_missing

    def _read(self) -> None:
        """Wait for the device and read the outcomes of its steps; every rank must call it after the same steps.

        Raises:
            UserError: on every rank, if a loss or a gradient of any rank is not finite.
        """
        if not self._unread:
            return
        start = time.perf_counter()
        reading = self._unread.read()
        self._speed.waited_for_device(time.perf_counter() - start)
        fault = first_fault(self._ranks.gathered(reading.fault))
        if fault is not None:
            raise UserError(
                f"step {fault.step}: {fault.what} is not finite; sequences {listed(fault.keys)}; {self._discarded}"
            )
        self._window.add(reading.losses, reading.timesteps)
        self._norm = float(reading.norms[-1])

    @property
    def _discarded(self) -> str:
        """The end of an error about a step that made numbers that are not finite."""
        checkpoint = "the last checkpoint is intact" if self._saved_step >= 0 else "there is no checkpoint yet"
        return f"this step was discarded; {checkpoint}"

    def _first_error(self, error: str | None) -> str | None:
        """The error of the lowest rank that has one."""
        return next((message for message in self._ranks.gathered(error) if message is not None), None)

    def _do_what_is_due(self) -> None:
        """Do what is due after a step: write a line of the log, validate, paint samples, write a checkpoint."""
        config = self._config
        if len(self._unread) >= _MOST_UNREAD:
            self._read()
        if self.step % config.log_every == 0 or self.step == config.max_steps:
            self._log()
        self._evaluate([name for name, every in self._evaluated_every.items() if self._due(every)])
        if self._due(config.checkpoint_every):
            self._save()

    def _do_what_is_pending(self) -> None:
        """Validate and paint samples where this failed at the step of the checkpoint, if they are still wanted."""
        checkpoint = self._parts.checkpoint
        pending = checkpoint.facts.get("pending", []) if checkpoint is not None else []
        names = [name for name, every in self._evaluated_every.items() if every > 0 and name in pending]
        if names:
            self._evaluate(names)
            self._save()

    def _due(self, every: int) -> bool:
        return every > 0 and (self.step % every == 0 or self.step == self._config.max_steps)

    def _log(self) -> None:
        self._read()
        sums = self._ranks.summed(self._window.sums)
        losses = {f"train/{name}": value for name, value in self._window.means(sums).items()}
        speed = self._speed.taken(self._ranks.count, self._clock.taken())
        learning = {"train/lr": self._rate, "train/gradient_norm": self._norm}
        data = {"data/samples": float(self.position), "data/epoch": self.position / len(self._parts.train)}
        self._window = LossWindow(self._stage.num_steps)
        self._record({**losses, **learning, **data, **speed})

    def _record(self, values: dict[str, float]) -> None:
        """Write measurements to the run's own log first, then to the tracker; every rank must call it."""

        def write() -> None:
            self._parts.folder.append({"step": self.step, **{key: float(f"{values[key]:.7g}") for key in values}})
            self._parts.tracker.log(values, self.step)
            self._shown_losses |= {name: values[key] for key, name in _SHOWN_LOSSES.items() if key in values}
            self._progress.tell(", ".join(f"{name} {loss:.4f}" for name, loss in self._shown_losses.items()))

        self._ranks.agreed(lambda: write() if self._ranks.first else None)

    @property
    def _evaluated_every(self) -> dict[str, int]:
        """After how many steps each evaluation is due, in their order; 0 is never."""
        return {"validation": self._config.validate_every, "samples": self._config.sample_every}

    def _evaluate(self, names: Sequence[str]) -> None:
        """Validate, paint samples, or both.

        If one of them fails, which it does on every rank, the steps until now are saved, and the checkpoint says what
        is to be done when the run is resumed. A loss that is not finite is found before, and its step is not saved.
        """
        if names:
            self._read()
        work = {"validation": self._validate, "samples": self._sample}
        for number, name in enumerate(names):
            try:
                work[name]()
            except Exception:
                self._save(names[number:])
                raise

    def _validate(self) -> None:
        assert self._parts.val is not None  # it is opened if validation is ever due
        losses = self._evaluation.losses(self._parts.val, self.step)
        self._record({f"val/{name}": value for name, value in losses.items()})

    def _sample(self) -> None:
        """Paint samples and write them as files, which are then sent to the tracker."""
        sequences = self._evaluation.samples(self._parts.prompts, self.step)

        def write() -> None:
            video, sheet = write_samples(self._parts.folder.samples, self.step, sequences)
            self._parts.tracker.video("samples/sequences", video, self.step)
            self._parts.tracker.picture("samples/sheet", sheet, self.step)

        self._ranks.agreed(lambda: write() if self._ranks.first else None)

    def _save(self, pending: Sequence[str] = ()) -> None:
        """Write a checkpoint, then remove older ones.

        Args:
            pending: evaluations that failed at this step, to be done when the run is resumed.

        Raises:
            UserError: on every rank, before anything is written, if the state of training is not finite; or if the
                checkpoint cannot be written.
        """
        self._read()
        tensors, optimizer_state = self._learner.tensors(), self._learner.optimizer_state()
        moments = self._learner.moments(optimizer_state)
        groups = {"weights": tensors["trained"], "averaged weights": tensors.get("average", {}), "moments": moments}
        self._ranks.agreed(lambda: refuse_not_finite(self.step, groups, self._discarded))
        states = {
            "optimizer": optimizer_state,
            "random": self._ranks.gathered(capture()),
            "loop": {"window": self._ranks.summed(self._window.sums)},
        }
        self._ranks.agreed(lambda: self._write(tensors, states, pending) if self._ranks.first else None)
        self._saved_step = self.step

    def _write(self, tensors: dict[str, dict[str, Tensor]], states: dict[str, Any], pending: Sequence[str]) -> None:
        parts = self._parts
        facts = {
            "log": parts.folder.force_log(),
            "position": self.position,
            "pending": list(pending),
            "num_ranks": self._ranks.count,
            "stage": self._config.stage.name,
            "model": self._config.model.name,
            "recipe_hash": parts.recipe_hash,
            "tracker_id": parts.tracker.run_id,
        }
        write_checkpoint(parts.folder.checkpoints, self.step, facts=facts, tensors=tensors, states=states)
        prune(parts.folder.checkpoints, self._config.keep_checkpoints)
        parts.folder.put()

    def _save_weights(self) -> None:
        """Write the trained weights in the field's usual format."""
        weights = self._learner.result()
        self._ranks.agreed(lambda: refuse_not_finite(self.step, {"weights": weights}, "no weights were written"))

        def write() -> None:
            with replaced_folder(self._parts.folder.weights) as folder:
                self._stage.save(folder, weights)
                card = {**self._parts.folder.report(), WEIGHTS_HASH: weights_hash(folder)}
                (folder / RUN_CARD).write_bytes(sealed(to_json(card)))

        self._ranks.agreed(lambda: write() if self._ranks.first else None)
