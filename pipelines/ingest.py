"""Turn recordings of an artist at work into the same kind of data set as pipelines.synth.

    python -m pipelines.ingest source.path=timelapses layout=video out=data/artist
    python -m pipelines.ingest source.path=grids layout=grid num_frames=4 caption.trigger=sks out=data/grids
    python -m pipelines.ingest source.path=scans layout=frames size=384x512 out=data/scans
    python -m pipelines.ingest source.path=documents layout=layers num_frames=4 out=data/layers

A sequence is a time-lapse video, a folder of numbered pictures, one picture with all stages in a grid, a layered
document, or what other projects store (docs/importing.md). Videos are
cut to their longest shot, camera motion is undone, and hands and tools are removed; grids are cut into their cells.
From what remains, num_frames frames are chosen. The gallery shows each beside the recorded frame it was made from.
Running the same command again resumes where a killed run stopped; once everything is done it does nothing.
"""

from dataclasses import dataclass
from typing import Any

from conf.command import Summary, command, leave
from conf.compose import typed
from conf.errors import ConfigError
from pipelines.artists.config import CaptionConfig, IngestConfig, TreatmentConfig
from pipelines.artists.find import ArtistSource, Layout, find_sequences
from pipelines.artists.grid import GridConfig
from pipelines.artists.hands import MaskConfig
from pipelines.artists.sequence import IngestSettings
from pipelines.synthesis.dataset_folder import has_shards
from pipelines.synthesis.plan import make_plan
from pipelines.synthesis.run import dataset_card, make_dataset
from pipelines.synthesis.run_config import RunKeys


def run(config: IngestConfig) -> Summary:
    """Make the data set, or its missing part.

    Raises:
        UserError: if the source or the folder cannot be used, the disk is full, or too many inputs were refused.
    """
    config.mask.check()
    try:
        entries = find_sequences(config.source, config.layout)
    except ConfigError as error:
        raise error.under("source") from error
    plan = make_plan(entries, [1.0], None, config.shard_size, config.val_fraction)
    card = dataset_card(config.recipe(), plan, config.out)
    settings = IngestSettings(
        root=config.out.resolve(),
        layout=config.layout,
        grid=config.grid,
        treatment=config.treatment,
        mask=config.mask,
        caption=config.caption,
        framing=config.framing,
        schedule=config.schedule,
        frame_format=config.frame_format,
        config_hash=card.config_hash,
        code_version=card.code_version,
    )
    return make_dataset(config, plan, card, settings, doing="ingesting", caption_key="caption.template")


@dataclass(frozen=True, kw_only=True)
class _Composed(RunKeys):
    """`conf/ingest.yaml` as a user types it."""

    source: ArtistSource
    layout: Layout
    grid: GridConfig
    treatment: TreatmentConfig
    mask: MaskConfig
    caption: CaptionConfig


def ingest_config(plain: dict[str, Any]) -> IngestConfig:
    """The typed configuration of the composed `conf/ingest.yaml`.

    Raises:
        ConfigError: naming the key, the value and what is allowed.
    """
    composed = typed(_Composed, plain)
    return IngestConfig(
        **composed.run_fields(),
        source=composed.source,
        layout=composed.layout,
        grid=composed.grid,
        treatment=composed.treatment,
        mask=composed.mask,
        caption=composed.caption,
    )


if __name__ == "__main__":
    leave(command("ingest", ingest_config, run, __doc__ or "", can_continue=has_shards))
