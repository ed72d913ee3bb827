"""Paint pictures stroke by stroke and write the processes as a data set for training.

    python -m pipelines.synth                                             # 64 procedural scenes
    python -m pipelines.synth source=folder source.path=~/pictures out=data/mine
    python -m pipelines.synth num_sequences=10000 renderer=bezier renderer.preset=fast out=data/scenes

A painting process is a sequence of frames from the blank canvas to the finished picture, with a caption and the
strokes that made it. Without a source of your own, scenes drawn by this program are painted.
Running the same command again resumes where a killed run stopped; once everything is done it does nothing.
Look at the result with pipelines.gallery, check it with pipelines.verify, train on it with training.train.
"""

from dataclasses import replace

from conf.command import Summary, command, leave
from conf.errors import ConfigError
from pipelines.synthesis.cluster import check_cpu
from pipelines.synthesis.config import SynthConfig, synth_config
from pipelines.synthesis.dataset_folder import has_shards
from pipelines.synthesis.plan import Plan, make_plan
from pipelines.synthesis.run import dataset_card, make_dataset
from pipelines.synthesis.sequence import RenderSettings
from training.data.dataset import DatasetCard


def run(config: SynthConfig) -> Summary:
    """Make the data set, or its missing part.

    Raises:
        UserError: if the source or the folder is unusable, the disk is full, or too many inputs were refused.
    """
    check_cpu(config.cluster)
    plan = _plan(config)
    card = dataset_card(config.recipe(), plan, config.out)
    summary = make_dataset(config, plan, card, _settings(config, card))
    return replace(summary, lines=(*summary.lines[:-1], *_left_out(config), summary.lines[-1]))


def _left_out(config: SynthConfig) -> list[str]:
    """A line about renderers of the mix that the data set was begun without."""
    names = ", ".join(config.left_out)
    return [f"left out of the mix: {names}; the data set was begun without them (a new out= has all)"] if names else []


def _plan(config: SynthConfig) -> Plan:
    try:
        entries = config.source.index(config.num_sequences)
    except ConfigError as error:
        raise error.under("source") from error
    weights = [choice.weight for choice in config.renderers]
    return make_plan(entries, weights, config.num_sequences, config.shard_size, config.val_fraction)


def _settings(config: SynthConfig, card: DatasetCard) -> RenderSettings:
    return RenderSettings(
        root=config.out.resolve(),
        source=config.source,
        renderers=config.renderers,
        framing=config.framing,
        schedule=config.schedule,
        frame_format=config.frame_format,
        step_captions=config.step_captions,
        seed=config.seed,
        config_hash=card.config_hash,
        code_version=card.code_version,
    )


if __name__ == "__main__":
    leave(command("synth", synth_config, run, __doc__ or "", can_continue=has_shards))
