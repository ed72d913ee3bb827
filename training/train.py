"""Train one stage of a painter on a data set.

    python -m training.train stage=words data=outputs/scenes out=outputs/words
    python -m training.train stage=base data=outputs/scenes base=outputs/words out=outputs/base
    python -m training.train stage=motion data=outputs/scenes base=outputs/base out=outputs/motion
    python -m training.train stage=agent data=outputs/scenes out=outputs/agent
    torchrun --nproc_per_node=8 -m training.train stage=motion model=sd15 data=DIR out=outputs/motion

A painter is trained in stages: words, base (both for model=tiny only), motion, and then replication if it is to follow
given pictures, or LoRAs for an artist's style. training.assemble joins their runs. agent is a separate kind of painter.
Running the same command again resumes from the last checkpoint. docs/training.md has recipes for machines of all sizes.
Exit code 0: all steps are done; 2: wrong configuration, data or folder, or numbers that are not finite; 3: stopped by
a signal after writing a checkpoint; 130: interrupted before the first step or after the last, or by a second Ctrl-C.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conf.command import BAD_CONFIGURATION, COMPLETE, PARTIAL, Summary, command, leave
from conf.devices import warn_of_slow_numbers
from conf.errors import ConfigError, UserError
from conf.progress import tell
from conf.recipe import recipe_hash
from training.config import NUM_PROMPTS, PARENTS, TrainConfig, train_config
from training.data.remote import AnyPath
from training.models.weights import parent_weights, sound_hash, trained_parameters, weights_hash
from training.tracking import Artifact, NoTracker, Tracker, WandbTracker

if TYPE_CHECKING:
    from training.data.stream import SequenceStream
    from training.run.checkpoint import Checkpoint
    from training.run.parallel import Ranks
    from training.run.run_folder import RunFolder
    from training.stages import Stage

_SILENT_EXIT_DELAY_S = 2.0

StageMaker = Callable[[TrainConfig, "SequenceStream"], "Stage"]


def run(config: TrainConfig, make_stage: StageMaker | None = None) -> Summary:
    """Train, or resume training. Everything that can be wrong is checked before any work is done.

    Args:
        config: the configuration of the run.
        make_stage: makes the stage from the configuration and the training data; for stages of your own.

    Raises:
        UserError: on every rank, if the data, a parent or the folder is unusable, the disk is full, or a loss or a
            weight is not finite.
    """
    from training.run.loop import RunParts, Training
    from training.run.parallel import Ranks
    from training.run.random_state import seed_all

    ranks = Ranks()
    if config.cuda_graphs and ranks.count > 1:
        raise ConfigError("cuda_graphs", "true", f"false with several processes, of which there are {ranks.count}")
    with ExitStack() as stack:
        train, val = ranks.agreed(lambda: _open_streams(config, ranks))
        recipe = ranks.from_first(ranks.agreed(lambda: _recipe(config, train, ranks) if ranks.first else {}))
        folder = ranks.agreed(lambda: _claim(config, recipe, ranks, stack))
        checkpoint = _find_checkpoint(config, folder, ranks)
        warn_of_slow_numbers("precision", config.precision, ranks.device)
        seed_all(config.seed, rank=0)  # so that new weights are the same on all ranks
        stage = ranks.agreed(lambda: (make_stage or _default_stage_maker())(config, train))
        ranks.agreed(lambda: _begin(config, recipe, stage, train, folder, checkpoint) if ranks.first else None)
        tracker = stack.enter_context(_tracker(config, recipe, folder, checkpoint, ranks))
        training = Training(
            RunParts(
                config=config, stage=stage, train=train, val=val, ranks=ranks, folder=folder, tracker=tracker,
                prompts=ranks.agreed(lambda: _prompts(config, train, val)),
                checkpoint=checkpoint, recipe_hash=recipe_hash(recipe),
            )
        )  # fmt: skip
        finished = training.run()
        if finished and ranks.first:
            folder.drop_earlier_weights()
        if finished and ranks.first and config.tracker.kind != "none":
            tracker.artifact(_artifact(config, recipe, train, folder))
    return _summary(config, training.step, finished, folder)


def _default_stage_maker() -> StageMaker:
    from training.stages.make import make_stage

    return make_stage


def _open_streams(config: TrainConfig, ranks: "Ranks") -> "tuple[SequenceStream, SequenceStream | None]":
    """Open both splits; their shards are not read yet. They must be large enough for all ranks."""
    from training.data.shard_cache import ShardCache
    from training.data.stream import SequenceStream
    from training.run.evaluation import naming_val_split

    frames, captions_required = config.stage.frames, config.stage.captions_required
    unfinished = config.stage.unfinished or 0.0
    train = SequenceStream.open(
        config.data, split="train", frames=frames, unfinished=unfinished, captions_required=captions_required,
        augmentation=config.augmentation,
        cache=ShardCache(max_bytes=int(config.cache_gb * 1e9)) if config.sequential else None,
    )  # fmt: skip
    _refuse_too_few(train, config.batch_size, ranks)
    if not config.validate_every:
        return train, None
    with naming_val_split():
        val = SequenceStream.open(
            config.data, split="val", frames=frames, unfinished=unfinished, size_px=train.size_px,
            captions_required=captions_required,
        )  # fmt: skip
        _refuse_too_few(val, 1, ranks)
    return train, val


def _prompts(config: TrainConfig, train: "SequenceStream", val: "SequenceStream | None") -> tuple[str, ...]:
    """The captions that samples are painted for: those of the configuration, or of the first sequences of a split."""
    from training.run.evaluation import naming_val_split

    if config.prompts is not None:
        return config.prompts
    with naming_val_split() if val is not None else contextlib.nullcontext():
        return (val or train).first(config.seed, NUM_PROMPTS).captions


def _refuse_too_few(stream: "SequenceStream", batch_size: int, ranks: "Ranks") -> None:
    stream.batches(seed=0, batch_size=batch_size, rank=ranks.rank, world_size=ranks.count).close()


def _recipe(config: TrainConfig, train: "SequenceStream", ranks: "Ranks") -> dict[str, Any]:
    """Everything that decides the weights: the configuration and the hashes of data and parents.

    It holds no path of a folder and nothing secret.
    """
    parents: dict[str, AnyPath | None] = {key: getattr(config, key) for key in PARENTS}
    recipe = config.recipe()
    local_model = Path(config.model.path) if config.model.path is not None else None
    if not config.reads_model_path:
        recipe["model"]["path"] = None
    elif local_model is not None and local_model.exists():
        parents["model"] = local_model
        recipe["model"]["path"] = local_model.name
    readers = {"processes": ranks.count, "num_workers": config.num_workers}  # the order of samples depends on these
    return {
        **recipe,
        **({"stream": {"kind": "sequential", **readers}} if config.sequential else {}),
        "data": {"weights": [part.weight for part in config.data], "hashes": train.manifest_hashes},
        "parents": {
            key: sound_hash(key, parent_weights(key, path)) for key, path in parents.items() if path is not None
        },
    }


def _claim(config: TrainConfig, recipe: dict[str, Any], ranks: "Ranks", stack: ExitStack) -> "RunFolder":
    from training.data.mirror import Mirror
    from training.run.run_folder import RunFolder, claimed

    if isinstance(config.out, Path):
        root, mirror = config.out, None
    else:
        mirror = Mirror(config.out)
        root = mirror.local
    if not ranks.first:
        return RunFolder(root)
    if mirror is not None:
        stack.enter_context(mirror.held())
    return stack.enter_context(claimed(root, recipe, config.resume, mirror))


def _find_checkpoint(config: TrainConfig, folder: "RunFolder", ranks: "Ranks") -> "Checkpoint | None":
    """The newest sound checkpoint, the same on every rank."""
    from training.run.checkpoint import newest_sound

    newest = ranks.agreed(lambda: newest_sound(folder.checkpoints, tell) if ranks.first else None)
    checkpoint: Checkpoint | None = ranks.from_first(newest)
    if checkpoint is None and config.resume == "must":
        raise UserError(f"{folder.checkpoints}: no checkpoint to resume from; resume=auto starts at the first step")

    def check_checkpoint() -> None:
        if checkpoint is not None and not checkpoint.folder.is_dir():
            raise UserError(f"out={config.out}: rank {ranks.rank} does not see what rank 0 wrote; use a shared folder")
        if checkpoint is not None and checkpoint.step > config.max_steps:
            raise UserError(
                f"max_steps={config.max_steps}: {checkpoint.step} steps are done already; allowed: at least as many"
            )

    ranks.agreed(check_checkpoint)
    return checkpoint


def _begin(
    config: TrainConfig,
    recipe: dict[str, Any],
    stage: "Stage",
    train: "SequenceStream",
    folder: "RunFolder",
    checkpoint: "Checkpoint | None",
) -> None:
    """Check the disk space, set aside outdated files and write the run card, which makes the folder a run."""
    from training.data.cut_off import warn_of_cut_captions, warn_of_cut_prompts
    from training.run.checkpoint import refuse_full_disk

    trained = sum(parameter.numel() for parameter in trained_parameters(stage.network).values())
    copies = (4 if config.optimizer.name == "prodigy" else 2) + (2 if config.ema_decay is not None else 1)
    refuse_full_disk(folder.checkpoints, 4 * trained * copies, config.keep_checkpoints)
    folder.begin(checkpoint.step if checkpoint is not None else None, config.max_steps)
    folder.write_card(
        {
            "stage": stage.name,
            "recipe": recipe,
            "recipe_hash": recipe_hash(recipe),
            "code_version": version("process-painter"),
            "max_steps": config.max_steps,
            "data": train.facts,
            "trained": {"parameters": trained},
            "frozen": {
                name: {"parameters": sum(parameter.numel() for parameter in module.parameters())}
                for name, module in stage.frozen.items()
            },
        }
    )
    if checkpoint is None:
        folder.cut_log(0)
    else:
        folder.cut_log(checkpoint.step, checkpoint.facts.get("log"))
        tell(f"resuming from step {checkpoint.step} of {config.max_steps}")
    frozen = ", ".join(stage.frozen) or "nothing"
    if stage.tokenise is not None and not train.encoded:
        warn_of_cut_captions(stage.tokenise, (source.split for source in train.sources))
    if stage.tokenise is not None and config.sample_every:
        warn_of_cut_prompts(stage.tokenise, prompts=config.prompts or ())
    tell(f"{config.out}: stage {stage.name}, {trained / 1e6:.2f} M parameters trained; frozen: {frozen}")


@contextmanager
def _tracker(
    config: TrainConfig, recipe: dict[str, Any], folder: "RunFolder", checkpoint: "Checkpoint | None", ranks: "Ranks"
) -> Iterator[Tracker]:
    """The configured tracker, on the first rank only; a resumed run continues the same run of the tracker."""
    if config.tracker.kind == "none" or not ranks.first:
        yield NoTracker()
        return
    tracker = WandbTracker(
        settings=config.tracker,
        name=config.tracker.name or _run_name(config),
        job_type=config.stage.name,
        folder=folder.root,
        step_metric="train/step",
        config={**recipe, "max_steps": config.max_steps},
        run_id=checkpoint.facts["tracker_id"] if checkpoint is not None else None,
    )
    try:
        yield tracker
    finally:
        tracker.finish()


def _artifact(config: TrainConfig, recipe: Mapping[str, Any], train: "SequenceStream", folder: "RunFolder") -> Artifact:
    """The weights of a finished run as an artifact, made from its data sets and parents."""
    return Artifact(
        kind="weights",
        sha256=weights_hash(folder.weights),
        facts={"stage": config.stage.name, "model": config.model.name, "steps": config.max_steps},
        made_from=(
            *(Artifact(kind="dataset", sha256=digest) for digest in train.digests),
            *(Artifact(kind="weights", sha256=sha256) for sha256 in recipe["parents"].values()),
        ),
    )


def _run_name(config: TrainConfig) -> str:
    """A name that distinguishes runs in a list; it contains no path."""
    batch = f"{config.max_steps} steps of {config.batch_size * config.accumulate}"
    return f"{config.out.resolve().name}: {config.stage.name}, {config.model.name}, {batch}, seed {config.seed}"


def _has_checkpoints(config: TrainConfig) -> bool:
    return any((config.out / "checkpoints").glob("step-*"))


def _summary(config: TrainConfig, step: int, finished: bool, folder: "RunFolder") -> Summary:
    if not finished:
        return Summary(
            lines=(
                f"{config.out}: stopped at step {step} of {config.max_steps}; run the same command again to continue",
            ),
            exit_code=PARTIAL,
        )
    places = [("weights", folder.weights), ("measurements", folder.log)]
    if folder.samples.is_dir():
        places.append(("samples", folder.samples))
    return Summary(
        lines=(
            f"{config.out}: {step} steps of stage {config.stage.name} done",
            "; ".join(f"{what}: {config.out / place.name}" for what, place in places),
        )
    )


def main(make_stage: StageMaker | None = None) -> int:
    """The command, run alone or as one of torchrun's processes, of which only the first prints."""

    def run_it(config: TrainConfig) -> Summary:
        from training.run.parallel import naming_broken_connections

        with naming_broken_connections():
            return run(config, make_stage=make_stage)

    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return command("train", train_config, run_it, __doc__ or "", can_continue=_has_checkpoints)
    from training.run.parallel import Ranks, naming_broken_connections

    prints = os.environ["RANK"] == "0"
    with contextlib.nullcontext() if prints else _silence():
        try:
            with naming_broken_connections():
                ranks = Ranks()
        except UserError as error:
            tell(f"error: {error}")
            code = BAD_CONFIGURATION
        else:
            code = command("train", train_config, run_it, __doc__ or "", can_continue=_has_checkpoints)
        if code in (COMPLETE, PARTIAL):
            with contextlib.suppress(UserError), naming_broken_connections():
                ranks.wait()
        elif not prints:
            time.sleep(_SILENT_EXIT_DELAY_S)  # torchrun ends all processes when one fails: let rank 0 print first
    return code


@contextmanager
def _silence() -> Iterator[None]:
    """Context in which nothing is printed; an unexpected exception still shows outside it."""
    with (
        open(os.devnull, "w", encoding="utf-8") as null_file,  # noqa: PTH123
        contextlib.redirect_stdout(null_file),
        contextlib.redirect_stderr(null_file),
    ):
        yield


if __name__ == "__main__":
    leave(main())
