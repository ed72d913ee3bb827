"""The training loop: steps, measurements, and checkpoints from which a run resumes exactly."""

import itertools
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import torch
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
from training.run.feed import Feed, Fetched
from training.run.learner import Learner, autocast
from training.run.measurements import LossWindow, Speed, count_flops, peak_tflops
from training.run.parallel import Ranks
from training.run.random_state import capture, restore, seed_all, undisturbed
from training.run.run_folder import RunFolder
from training.run.samples import write_samples
from training.run.signals import StopSignal
from training.run.unread import StepOutcome, Unread, first_fault
from training.stages import Stage
from training.tracking import Tracker

_SHOWN_LOSSES = {"train/loss": "loss", "val/loss": "validation loss"}
_SHOWN_KEYS = 8
_MOST_UNREAD = 100  # steps, however seldom a line of the log is due


@dataclass(frozen=True, kw_only=True)
class RunParts:
    """Everything that a training run needs, checked.

    Attributes:
        config: of the run.
        stage: what is trained.
        train, val: the data; `val` is None without validation.
        prompts: of the samples.
        ranks: the processes that train.
        folder: of the run.
        tracker: the experiment tracker, on the first rank.
        checkpoint: to resume from.
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
        self._window, self._unread = LossWindow(self._config.noise.num_steps), Unread()
        self._feed, self._clock = Feed(self._config, self._stage, self._ranks), DeviceClock(self._device)
        allow_tensor_cores(self._device)
        self._stage.network.to(self._device).train()
        if parts.checkpoint is not None:
            self.step = self._saved_step = parts.checkpoint.step
            self.position = parts.checkpoint.facts["position"]

    def run(self) -> bool:
        """Train to `max_steps`; False when a signal ended it before.

        Raises:
            UserError: if a loss is not finite, the data is damaged, or the disk is full. No checkpoint is then lost.
        """
        config, ranks = self._config, self._ranks
        if self.step == config.max_steps:  # it may have been killed between its last checkpoint and its weights
            self._learner = Learner(config, self._stage, ranks, self._parts.checkpoint)
            self._save_weights()
            return True
        seed_all(config.seed, ranks.rank)
        with (
            StopSignal() as stop,
            closing(self._feed.batches(self._parts.train, self.position, config.num_workers)) as batches,
            Progress("training", config.max_steps, self.step, "steps", visible=ranks.first) as progress,
        ):
            self._progress = progress
            ahead = self._begin(batches)
            while self.step < config.max_steps and not self._stopping:
                ahead = self._train_step(ahead, batches, stop)
                progress.advance(1)
                self._look_around()
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
        first, checkpoint = self._feed.fetch(batches), self._parts.checkpoint
        error = self._first_error(first.error)
        if error is not None:
            raise UserError(error)
        self._feed.arrivals.finish(first.batches)
        self._speed = Speed(
            self._flops_per_sample(first.batches[0]), peak_tflops(self._device, self._config.peak_tflops)
        )
        self._learner = Learner(self._config, self._stage, self._ranks, checkpoint)
        if checkpoint is not None:
            if self._ranks.first:
                self._window = LossWindow(self._config.noise.num_steps, checkpoint.state("loop")["window"])
            states = checkpoint.state("random")
            if self._ranks.rank < len(states):  # a rank that the run had not before keeps its new seed
                restore(states[self._ranks.rank])
        return first

    def _train_step(self, now: Fetched, batches: Iterator[SequenceBatch], stop: StopSignal) -> Fetched:
        """Queue one step on the device; returns the batches of the next, read and sent while it computes."""
        start = time.perf_counter()
        self._feed.arrivals.finish(now.batches)
        with self._clock.running():
            losses, timesteps = self._learner.find_gradient(now.batches)
            norm = self._learner.clip_gradient()
            self._rate = self._learner.move(self.step + 1)
        self.step += 1
        self.position += self._config.batch_size * self._config.accumulate * self._ranks.count
        self._unread.add(StepOutcome(step=self.step, keys=now.keys, losses=losses, timesteps=timesteps, norm=norm))
        ahead = self._feed.fetch(batches) if self.step < self._config.max_steps else Fetched()
        self._agree(ahead, stop)
        self._speed.add(
            seconds=time.perf_counter() - start,
            waited_s=ahead.waited_s,
            samples=len(losses),
            frames=len(losses) * self._parts.train.num_frames,
        )
        return ahead

    def _agree(self, ahead: Fetched, stop: StopSignal) -> None:
        """One exchange per step: did any rank get a signal to stop, does every rank have data for the next step?

        A rank must never stop on what it alone knows, or the others would wait for it for ever.
        """
        stopped, without = self._ranks.any_of(stop.asked, ahead.error is not None)
        if without:
            self._failure = self._first_error(ahead.error) or ""
        self._stopping = stopped or without

    def _read(self) -> None:
        """Wait for the device, and read what its steps have left there; at the same steps on every rank.

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
            keys = ", ".join(fault.keys[:_SHOWN_KEYS])
            more = f" and {len(fault.keys) - _SHOWN_KEYS} more" if len(fault.keys) > _SHOWN_KEYS else ""
            raise UserError(
                f"step {fault.step}: {fault.what} is not finite; sequences {keys}{more}; "
                "this step was discarded; the last checkpoint is intact"
            )
        self._window.add(reading.losses, reading.timesteps)
        self._norm = float(reading.norms[-1])

    def _first_error(self, error: str | None) -> str | None:
        """The error of the lowest rank that has one."""
        return next((message for message in self._ranks.gathered(error) if message is not None), None)

    def _look_around(self) -> None:
        """What is due after a step: a line of the log, validation, samples, a checkpoint."""
        config = self._config
        if len(self._unread) >= _MOST_UNREAD:
            self._read()
        if self.step % config.log_every == 0 or self.step == config.max_steps:
            self._log()
        if self._parts.val is not None and self._due(config.validate_every):
            self._validate(self._parts.val)
        if self._due(config.sample_every):
            self._sample()
        if self._due(config.checkpoint_every):
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
        self._window = LossWindow(self._config.noise.num_steps)
        self._note({**losses, **learning, **data, **speed})

    def _note(self, values: dict[str, float]) -> None:
        """Write measurements to the run's own log first, then to the tracker."""
        if self._ranks.first:
            self._parts.folder.append({"step": self.step, **{key: float(f"{values[key]:.7g}") for key in values}})
            self._parts.tracker.log(values, self.step)
            self._shown_losses |= {name: values[key] for key, name in _SHOWN_LOSSES.items() if key in values}
            self._progress.tell(", ".join(f"{name} {loss:.4f}" for name, loss in self._shown_losses.items()))

    def _validate(self, val: SequenceStream) -> None:
        """The loss on the first sequences of the val split: always the same, with the same noise."""
        self._read()
        ranks, most = self._ranks, min(self._config.val_sequences, len(val))
        batch_size = min(self._config.batch_size, len(val) // ranks.count)
        window = LossWindow(self._config.noise.num_steps)
        with self._learner.painting(), closing(self._feed.batches(val, 0, 0, batch_size)) as batches:
            for batch in itertools.islice(batches, -(-most // (batch_size * ranks.count))):
                arriving = self._feed.arrivals.begin(batch)
                self._feed.arrivals.finish([arriving])
                result = self._stage.network(arriving)
                counted = batch.positions < most
                steps = result.timesteps.cpu()[counted] if result.timesteps is not None else None
                window.add(result.per_sample.cpu()[counted], steps)
        means = window.means(ranks.summed(window.sums))
        self._note({f"val/{name}": value for name, value in means.items()})

    def _sample(self) -> None:
        """Sequences for the fixed prompts, as files first."""
        self._read()
        with self._learner.painting():
            sequences = self._stage.samples(self._parts.prompts, self._config.seed)
        if self._ranks.first:
            video, sheet = write_samples(self._parts.folder.samples, self.step, sequences)
            self._parts.tracker.video("samples/sequences", video, self.step)
            self._parts.tracker.picture("samples/sheet", sheet, self.step)

    def _save(self) -> None:
        """Write a checkpoint, then remove older ones."""
        self._read()
        tensors = self._learner.tensors()
        states = {
            "optimizer": self._learner.optimizer_state(),
            "random": self._ranks.gathered(capture()),
            "loop": {"window": self._ranks.summed(self._window.sums)},
        }
        self._ranks.agreed(lambda: self._write(tensors, states) if self._ranks.first else None)
        self._saved_step = self.step

    def _write(self, tensors: dict[str, dict[str, Tensor]], states: dict[str, Any]) -> None:
        parts = self._parts
        facts = {
            "log": parts.folder.force_log(),
            "position": self.position,
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
        """Write the trained weights, in the field's format."""
        weights = self._learner.result()

        def write() -> None:
            with replaced_folder(self._parts.folder.weights) as folder:
                self._stage.save(folder, weights)
                card = {**self._parts.folder.report(), WEIGHTS_HASH: weights_hash(folder)}
                (folder / RUN_CARD).write_bytes(sealed(to_json(card)))

        self._ranks.agreed(lambda: write() if self._ranks.first else None)

    def _flops_per_sample(self, batch: SequenceBatch) -> float:
        """FLOPs of forward and backward, counted once on two samples whose gradient is discarded.

        Only two, because nothing is compiled here, and uncompiled code needs more memory. Not one, because norms need
        more than one value.
        """
        few = batch.first(2)

        def work() -> None:
            with autocast(self._config, self._device):
                loss = self._stage.network(few).loss
            loss.backward()

        with undisturbed(), torch.compiler.set_stance("force_eager"):
            flops = count_flops(work)
        self._stage.network.zero_grad(set_to_none=True)
        return flops / len(few)
