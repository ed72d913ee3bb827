"""Makes a data set from a plan, or what is missing of it: for `synth` and `ingest` alike."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from conf.command import PARTIAL, Summary, next_line
from conf.errors import UserError
from conf.progress import Progress
from conf.recipe import recipe_hash
from pipelines.hub.dataset_page import write_dataset_page
from pipelines.kernels import compile_kernels
from pipelines.sources.source import Listing
from pipelines.synthesis.cluster import num_workers, render_shards
from pipelines.synthesis.contact_sheet import write_sheet
from pipelines.synthesis.dataset_folder import committed_manifests, dataset_folder, sound_manifests
from pipelines.synthesis.plan import Plan
from pipelines.synthesis.run_config import RunConfig
from pipelines.synthesis.sequence import RenderSettings
from pipelines.synthesis.shard import ShardReport, ShardSettings
from training.data.dataset import DatasetCard, dataset_totals, write_tables
from training.data.layout import quarantine_file
from training.data.manifest import ShardManifest
from training.data.remote import RemotePath
from training.tracking import NoTracker, Tracker, WandbTracker

_SECONDS_BETWEEN_SHEETS = 60.0
_MOST_NAMED = 5


@dataclass
class _Tally:
    """Counts so far, of this run and of those before it."""

    made: int = 0
    committed: int = 0
    quarantined: int = 0
    num_bytes: int = 0
    elapsed_s: float = 0.0
    lost: list[str] = field(default_factory=list)


def make_dataset(
    config: RunConfig,
    plan: Plan,
    card: DatasetCard,
    settings: ShardSettings,
    doing: str = "painting",
    caption_key: str = "source.caption",
) -> Summary:
    """Make the data set that `card` describes out of the sequences of a plan, or what is missing of it.

    Args:
        config, plan, card, settings: of the run.
        doing: what the progress is called.
        caption_key: the key that captions what has no caption.

    Raises:
        UserError: as `run`.
    """
    with dataset_folder(config.out, card):
        committed = sound_manifests(config.out, card)
        tally = _Tally(
            committed=sum(manifest.num_samples for manifest in committed),
            quarantined=sum(len(manifest.quarantined) for manifest in committed),
        )
        if len(committed) < len(card.shards) and not _too_many_refused(config, plan, tally):
            _render_missing(config, plan, card, committed, tally, settings, doing)
        manifests = list(committed_manifests(config.out, card))
        totals = dataset_totals(manifests)
        write_tables(config.out, manifests)
        if _too_many_refused(config, plan, tally):
            raise UserError(
                f"{tally.quarantined} of {plan.num_sequences} inputs were refused, more than "
                f"max_quarantined={config.max_quarantined} allows; reasons in {quarantine_file(config.out)}, "
                f"the first: {_first_reason(manifests)}"
            )
        completed = card.completed(config.out, manifests)
        completed.write(config.out)
        write_dataset_page(config.out, completed, manifests)
        pages = _gallery(config) if config.gallery and manifests else []
    summary = _summary(config, plan, tally, totals, pages)
    notes = [*_passed_over(plan), *_without_captions(manifests, caption_key)]
    return replace(summary, lines=(*summary.lines[:-1], *notes, summary.lines[-1]))


def _passed_over(plan: Plan) -> list[str]:
    """A line about files of the source that are neither painted nor refused."""
    names = plan.entries.passed_over if isinstance(plan.entries, Listing) else ()
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return [f"passed over {len(names)} files of the source: {', '.join(names[:_MOST_NAMED])}{more}"] if names else []


def _without_captions(manifests: list[ShardManifest], key: str) -> list[str]:
    """A warning about sequences without captions, which cannot be trained on."""
    captions = [record["caption"] for manifest in manifests for record in manifest.records]
    lacking = sum(not caption for caption in captions)
    remedy = f"write them in photo.txt beside photo.jpg, or give {key}='a painting of %name', into a new out"
    return [f"warning: {lacking} of {len(captions)} sequences have no caption to train on; {remedy}"] if lacking else []


def dataset_card(recipe: dict[str, Any], plan: Plan) -> DatasetCard:
    """The card of a new data set: its recipe, with the pictures that it is made from, and its shards."""
    full_recipe = {**recipe, "pictures": plan.fingerprint()}
    return DatasetCard(
        recipe=full_recipe,
        config_hash=recipe_hash(full_recipe),
        code_version=version("process-painter"),
        shards=plan.shard_names,
        num_planned=plan.num_sequences,
    )


def _render_missing(
    config: RunConfig, plan: Plan, card: DatasetCard, committed: list[ShardManifest], tally: _Tally,
    settings: ShardSettings, doing: str,
) -> None:  # fmt: skip
    """Render all shards that are not there yet, or as many as it takes to see that too many inputs are refused."""
    if isinstance(settings, RenderSettings):
        compile_kernels({choice.family for choice in settings.renderers}, config.cluster)
    names = {manifest.name for manifest in committed}
    missing = (shard for shard in plan.shards() if shard.name not in names)
    workers = config.num_workers
    if workers is not None or config.cluster.kind != "ray":  # whose cores are counted over there
        workers = min(num_workers(workers), len(card.shards) - len(names))
    done, next_sheet_s = sum(manifest.num_planned for manifest in committed), 0.0
    with (
        _tracker(config, card) as tracker,
        Progress(doing, plan.num_sequences, done) as progress,
        closing(render_shards(missing, settings, config.cluster, workers)) as reports,
    ):
        for report in reports:
            _count(report, tally)
            progress.advance(report.num_samples + report.num_quarantined)
            tally.elapsed_s = progress.elapsed_s
            tracker.log(_metrics(progress, tally, report), step=progress.done)
            if config.tracker.kind != "none" and report.num_samples and progress.elapsed_s >= next_sheet_s:
                sheet = _tracker_folder(config) / "wandb" / "sheets" / f"{report.name}.png"
                write_sheet(config.out, report.name, sheet)
                tracker.picture("samples/sheet", sheet, step=progress.done)
                next_sheet_s = progress.elapsed_s + _SECONDS_BETWEEN_SHEETS
            if _too_many_refused(config, plan, tally):
                return


def _count(report: ShardReport, tally: _Tally) -> None:
    if report.fatal:
        raise UserError(report.error or "")
    if report.error is not None:
        tally.lost.append(f"{report.name}: {report.error}")
    tally.made += report.num_samples
    tally.quarantined += report.num_quarantined
    tally.num_bytes += report.num_bytes


def _too_many_refused(config: RunConfig, plan: Plan, tally: _Tally) -> bool:
    return tally.quarantined > config.max_quarantined * plan.num_sequences


def _first_reason(manifests: list[ShardManifest]) -> str:
    rows = (row for manifest in manifests for row in manifest.quarantined)
    return next((f"{row['source']}: {row['reason']}" for row in rows), "unknown")


def _gallery(config: RunConfig) -> list[str]:
    from pipelines.gallery import write_gallery

    return [str(write_gallery(config.out))]


def _summary(config: RunConfig, plan: Plan, tally: _Tally, totals: dict[str, Any], pages: list[str]) -> Summary:
    rate = f" in {tally.elapsed_s:.1f} s, {tally.made / tally.elapsed_s:.2f}/s" if tally.made else ""
    renderers = "".join(f", {count} {name}" for name, count in totals["renderers"].items())
    lines = [
        f"made {tally.made} sequences{rate}; {tally.committed} were there already",
        f"{config.out}: {totals['num_sequences']} of {plan.num_sequences} sequences in {totals['num_shards']} shards, "
        f"{totals['num_bytes'] / 1e6:.1f} MB{renderers}",
    ]
    if tally.quarantined:
        lines.append(f"refused {tally.quarantined} inputs; reasons in {quarantine_file(config.out)}")
    if tally.lost:
        lines.append(f"{len(tally.lost)} shards are missing, first {tally.lost[0]}; run the same command again")
    lines += [f"look at it: {page}" for page in pages]
    lines.append(next_line("python", "-m", "pipelines.verify", f"dataset={config.out}"))
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


def _tracker_folder(config: RunConfig) -> Path:
    """Where the tracker keeps its files, which must be on this machine."""
    return Path("outputs") / config.out.name if isinstance(config.out, RemotePath) else config.out


@contextmanager
def _tracker(config: RunConfig, card: DatasetCard) -> Iterator[Tracker]:
    """The tracker that was asked for, closed however the run ends."""
    if config.tracker.kind == "none":
        yield NoTracker()
        return
    tracker = WandbTracker(
        settings=config.tracker,
        name=config.tracker.name,
        job_type="data",
        folder=_tracker_folder(config),
        step_metric="data/sequences",
        config=card.recipe,
    )
    try:
        yield tracker
    finally:
        tracker.finish()
