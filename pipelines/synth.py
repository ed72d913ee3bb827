"""Pictures in, a data set of painting processes out.

    python -m pipelines.synth                                             # 64 procedural scenes
    python -m pipelines.synth source=folder source.path=~/pictures out=data/mine
    python -m pipelines.synth num_sequences=10000 renderer=bezier renderer.preset=fast out=data/scenes

The same command again goes on where a killed run stopped, and does nothing once all is done.
"""

import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from importlib.metadata import version

from conf.command import PARTIAL, Summary, command
from conf.errors import UserError
from pipelines.cluster import check_cpu, num_workers, render_shards
from pipelines.config import SynthConfig, recipe_hash, synth_config
from pipelines.folder import dataset_folder
from pipelines.plan import Plan, make_plan
from pipelines.progress import Progress
from pipelines.render import RenderSettings, ShardReport
from training.data.dataset import DatasetCard, dataset_totals, read_manifests, write_tables
from training.data.layout import quarantine_file
from training.data.manifest import ShardManifest, tar_path
from training.tracking import NoTracker, Tracker, WandbTracker


@dataclass
class _Tally:
    """What has happened so far in this run."""

    made: int = 0
    quarantined: int = 0
    num_bytes: int = 0
    lost: list[str] = field(default_factory=list)


def run(config: SynthConfig) -> Summary:
    """Make the data set, or what is missing of it.

    Raises:
        UserError: if the source or the folder will not do, the disk is full, or too many inputs were refused.
    """
    check_cpu(config.cluster)
    plan = _plan(config)
    card = _card(config, plan)
    with dataset_folder(config.out, card):
        committed = [
            manifest for manifest in read_manifests(config.out, plan.shard_names) if _is_whole(config, manifest)
        ]
        there = sum(manifest.num_samples for manifest in committed)
        tally = _Tally(quarantined=sum(len(manifest.quarantined) for manifest in committed))
        elapsed_s = _render_missing(config, plan, card, {manifest.name for manifest in committed}, tally)
        manifests = list(read_manifests(config.out, plan.shard_names))
        totals = dataset_totals(manifests)
        write_tables(config.out, manifests)
        _refuse_excess(config, plan, tally)
        complete = len(manifests) == len(plan.shard_names)
        replace(card, totals=totals if complete else None).write(config.out)
        pages = _gallery(config) if config.gallery and manifests else []
    return _summary(config, plan, tally, there, elapsed_s, totals, pages)


def _plan(config: SynthConfig) -> Plan:
    entries = config.source.index(config.num_sequences)
    weights = [choice.weight for choice in config.renderers]
    return make_plan(entries, weights, config.num_sequences, config.shard_size, config.val_fraction)


def _card(config: SynthConfig, plan: Plan) -> DatasetCard:
    recipe = {**config.recipe(), "pictures": plan.fingerprint()}
    return DatasetCard(
        recipe=recipe,
        config_hash=recipe_hash(recipe),
        code_version=version("process-painter"),
        shards=plan.shard_names,
        num_planned=plan.num_sequences,
    )


def _is_whole(config: SynthConfig, manifest: ShardManifest) -> bool:
    """A cheap look; `pipelines.verify` hashes."""
    path = tar_path(config.out, manifest.name)
    return path.is_file() and path.stat().st_size == manifest.num_bytes


def _render_missing(config: SynthConfig, plan: Plan, card: DatasetCard, committed: set[str], tally: _Tally) -> float:
    """Render all shards that are not there yet; returns the seconds that took."""
    missing = [shard for shard in plan.shards() if shard.name not in committed]
    settings = RenderSettings(
        root=config.out.resolve(),
        source=config.source,
        renderers=config.renderers,
        framing=config.framing,
        schedule=config.schedule,
        frame_format=config.frame_format,
        seed=config.seed,
        config_hash=card.config_hash,
        code_version=card.code_version,
    )
    total = plan.num_sequences
    done = total - sum(len(shard.sequences) for shard in missing)
    with closing(_tracker(config, card)) as tracked, Progress("painting", total, done) as progress:
        if missing:
            sizes = {shard.name: len(shard.sequences) for shard in missing}
            workers = min(num_workers(config.num_workers), len(missing))
            with closing(_reports(config, missing, settings, workers)) as reports:
                for report in reports:
                    _count(report, tally)
                    progress.advance(sizes[report.name] if report.error is None else 0)
                    tracked.tracker.log(_metrics(progress, tally, report), step=progress.done)
                    _refuse_excess(config, plan, tally)
        return progress.elapsed_s


def _reports(config: SynthConfig, missing: list, settings: RenderSettings, workers: int) -> Iterator[ShardReport]:  # type: ignore[type-arg]
    yield from render_shards(iter(missing), settings, config.cluster, workers)


def _count(report: ShardReport, tally: _Tally) -> None:
    if report.fatal:
        raise UserError(report.error or "")
    if report.error is not None:
        tally.lost.append(f"{report.name}: {report.error}")
    tally.made += report.num_samples
    tally.quarantined += report.num_quarantined
    tally.num_bytes += report.num_bytes


def _refuse_excess(config: SynthConfig, plan: Plan, tally: _Tally) -> None:
    if tally.quarantined > config.max_quarantined * plan.num_sequences:
        raise UserError(
            f"{tally.quarantined} of {plan.num_sequences} inputs were refused (max_quarantined={config.max_quarantined}); "
            f"reasons: {_reasons(config) or 'in the manifests'}"
        )


def _reasons(config: SynthConfig) -> str:
    """Where the reasons are, or the first of them."""
    return str(quarantine_file(config.out)) if quarantine_file(config.out).exists() else ""


def _gallery(config: SynthConfig) -> list[str]:
    from pipelines.gallery import write_gallery

    return [str(write_gallery(config.out))]


def _summary(
    config: SynthConfig,
    plan: Plan,
    tally: _Tally,
    there: int,
    elapsed_s: float,
    totals: dict,
    pages: list[str],  # type: ignore[type-arg]
) -> Summary:
    rate = f" in {elapsed_s:.1f} s, {tally.made / elapsed_s:.2f}/s" if tally.made else ""
    lines = [
        f"made {tally.made} sequences{rate}; {there} were there already",
        f"{config.out}: {totals['num_sequences']} of {plan.num_sequences} sequences in {totals['num_shards']} shards, "
        f"{totals['num_bytes'] / 1e6:.1f} MB, " + ", ".join(f"{n} {name}" for name, n in totals["renderers"].items()),
    ]
    if tally.quarantined:
        lines.append(f"refused {tally.quarantined} inputs; reasons in {quarantine_file(config.out)}")
    if tally.lost:
        lines.append(f"{len(tally.lost)} shards are missing, first {tally.lost[0]}; run the same command again")
    lines += [f"look at it: {page}" for page in pages]
    lines.append(f"next: python -m pipelines.verify dataset={config.out}")
    return Summary(lines=tuple(lines), exit_code=PARTIAL if tally.quarantined or tally.lost else 0)


def _metrics(progress: Progress, tally: _Tally, report: ShardReport) -> dict[str, float]:
    busy = sum(report.seconds.values()) or 1.0
    return {
        "data/sequences_per_s": progress.rate,
        "data/sequences": progress.done,
        "data/quarantined": tally.quarantined,
        "data/megabytes": tally.num_bytes / 1e6,
        **{f"share/{phase}": seconds / busy for phase, seconds in report.seconds.items()},
    }


class _Tracked:
    """Gives a tracker `close`, so that it is closed however the run ends."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker

    def close(self) -> None:
        """End the tracked run."""
        self.tracker.finish()


def _tracker(config: SynthConfig, card: DatasetCard) -> _Tracked:
    if config.tracker.kind == "none":
        return _Tracked(NoTracker())
    return _Tracked(
        WandbTracker(
            project=config.tracker.project,
            mode=config.tracker.mode,
            name=config.tracker.name,
            folder=config.out / "wandb",
            step_metric="data/sequences",
            config=card.recipe,
        )
    )


if __name__ == "__main__":
    sys.exit(command("synth", synth_config, run, __doc__ or ""))
