"""Makes a data set from a plan, or the missing part of it, for `synth` and `ingest` alike."""

from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any

from conf.command import PARTIAL, Summary, next_line
from conf.errors import UserError
from conf.printable import counted
from conf.progress import Progress
from conf.recipe import recipe_hash
from pipelines.hub.dataset_page import write_dataset_page
from pipelines.kernels import compile_kernels
from pipelines.sources.source import Listing
from pipelines.synthesis.cluster import num_workers, render_shards
from pipelines.synthesis.dataset_folder import committed_manifests, dataset_folder, sound_manifests
from pipelines.synthesis.plan import Plan
from pipelines.synthesis.recipe_keys import same_but_for_locations
from pipelines.synthesis.run_config import RunConfig
from pipelines.synthesis.sequence import RenderSettings
from pipelines.synthesis.shard import ShardReport, ShardSettings
from pipelines.synthesis.tracked import TrackedRun, tracked_run
from training.data.dataset import DatasetCard, read_card
from training.data.layout import quarantine_file
from training.data.remote import AnyPath
from training.data.survey import Survey
from training.data.tables import write_tables

CAPTION_REMEDIES = {
    "parquet": "name their column in source.caption_column",
    "hf": "name their column in source.caption_column (of pictures in folders: write them in metadata.jsonl)",
    "webdataset": "write them in photo.txt beside photo.jpg in the tars",
    "frames": "write them in boat.txt beside the folder boat, with source.path naming the folder of both",
    "video": "write them in boat.txt beside boat.mp4",
    "layers": "write them in boat.txt beside boat.psd",
    "drawings": "state the word of each drawing in its line, or one caption for all of cat.ndjson in cat.txt beside it",
    "hdf5": "write them in boat.txt beside boat.h5",
}
"""Kind of source, or layout of `ingest` -> how its sequences get captions, where not by a text beside a picture."""


@dataclass
class _Tally:
    """Counts so far: `committed` is of earlier runs, `quarantined` of all runs, the others are of this run."""

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
    """Make the data set that `card` describes out of the sequences of a plan, or its missing part.

    Args:
        config, plan, card, settings: those of the run.
        doing: label of the progress display.
        caption_key: the configuration key that gives a caption to pictures without one.

    Raises:
        UserError: as `run`.
    """
    with dataset_folder(config.out, card), ExitStack() as stack:
        tally, committed, tracked = _Tally(), set[str](), None
        for manifest in sound_manifests(config.out, card):
            committed.add(manifest.name)
            tally.committed += manifest.num_samples
            tally.quarantined += len(manifest.quarantined)
        if len(committed) < len(card.shards) and not _too_many_refused(config, plan, tally):
            if isinstance(settings, RenderSettings):
                compile_kernels({choice.family for choice in settings.renderers}, config.cluster)
            tracked = stack.enter_context(tracked_run(config, card))
            _render_missing(config, plan, committed, tally, settings, doing, tracked)
        survey = Survey()
        write_tables(config.out, survey.noting(committed_manifests(config.out, card)))
        if _too_many_refused(config, plan, tally):
            raise UserError(
                f"{tally.quarantined} of {plan.num_sequences} inputs were refused, more than "
                f"max_quarantined={config.max_quarantined} allows; reasons in {quarantine_file(config.out)}, "
                f"the first: {_first_reason(survey)}"
            )
        completed = card.completed(config.out, survey.totals())
        completed.write(config.out)
        write_dataset_page(config.out, completed, survey)
        if tracked is not None:
            tracked.end(completed, survey)
        pages = _gallery(config) if config.gallery and survey.num_shards else []
    summary = _summary(config, plan, tally, survey, pages)
    passed_over = plan.entries.note("the source") if isinstance(plan.entries, Listing) else []
    notes = [*passed_over, *_without_captions(survey, caption_key, card), *_repeating(survey)]
    return replace(summary, lines=(*summary.lines[:-1], *notes, summary.lines[-1]))


def _without_captions(survey: Survey, key: str, card: DatasetCard) -> list[str]:
    """A warning about sequences without captions, which cannot be trained on."""
    if not survey.num_without_caption:
        return []
    place = CAPTION_REMEDIES.get(card.recipe["source"]["kind"], "write them in photo.txt beside photo.jpg")
    remedy = f"{place}, or give {key}='a painting of %name', into a new out"
    lacking = f"{survey.num_without_caption} of {survey.num_sequences} sequences have no caption to train on"
    return [f"warning: {lacking}; {remedy}"]


def _repeating(survey: Survey) -> list[str]:
    """A warning about sequences with equal frames, which teach a motion model to stand still."""
    if not survey.num_repeating:
        return []
    repeating = f"{survey.num_repeating} of {survey.num_sequences} sequences show some frames twice"
    return [f"warning: {repeating}, as they have too few steps for as many frames"]


def dataset_card(recipe: dict[str, Any], plan: Plan, out: AnyPath | None = None) -> DatasetCard:
    """The card of a data set: its recipe, with the fingerprint of its pictures, and its shards.

    Args:
        recipe, plan: those of the run.
        out: folder of the data set. If a data set of the same pictures was begun there, the card keeps its recipe, even
            if the pictures were moved since.
    """
    in_folders = {"shards_in_folders": True} if any("/" in name for name in plan.shard_names[:1]) else {}
    full_recipe = _resumed_recipe({**recipe, **in_folders, "pictures": plan.fingerprint()}, out)
    return DatasetCard(
        recipe=full_recipe,
        config_hash=recipe_hash(full_recipe),
        code_version=version("process-painter"),
        shards=plan.shard_names,
        num_planned=plan.num_sequences,
    )


def _resumed_recipe(recipe: dict[str, Any], out: AnyPath | None) -> dict[str, Any]:
    """The recipe that a data set was begun with, if it differs from `recipe` only in where pictures and files are."""
    try:
        stored = None if out is None else read_card(out).recipe
    except UserError:  # reported when the folder is claimed
        return recipe
    if stored is not None and same_but_for_locations(stored, recipe):
        return stored
    return recipe


def _render_missing(
    config: RunConfig, plan: Plan, committed: set[str], tally: _Tally, settings: ShardSettings, doing: str,
    tracked: TrackedRun,
) -> None:  # fmt: skip
    """Render all missing shards; stop early once too many inputs are refused."""
    workers = config.num_workers
    if workers is not None or config.cluster.kind != "ray":  # on an existing cluster, its own cores are counted
        workers = min(num_workers(workers), len(plan.shard_names) - len(committed))
    done = tally.committed + tally.quarantined
    with (
        Progress(doing, plan.num_sequences, done) as progress,
        closing(render_shards(plan.shards(made=committed), settings, config.cluster, workers)) as reports,
    ):
        for report in reports:
            _count(report, tally)
            progress.advance(report.num_samples + report.num_quarantined)
            tally.elapsed_s = progress.elapsed_s
            tracked.note(report, progress.done, progress.elapsed_s, _counts(progress, tally))
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


def _first_reason(survey: Survey) -> str:
    row = survey.first_refusal
    return f"{row['source']}: {row['reason']}" if row else "unknown"


def _gallery(config: RunConfig) -> list[str]:
    from pipelines.gallery import write_gallery

    return [str(write_gallery(config.out))]


def _summary(config: RunConfig, plan: Plan, tally: _Tally, survey: Survey, pages: list[str]) -> Summary:
    rate = f" in {tally.elapsed_s:.1f} s, {tally.made / tally.elapsed_s:.2f}/s" if tally.made else ""
    renderers = "".join(f", {count} {name}" for name, count in survey.renderers.items())
    lines = [
        f"made {counted(tally.made, 'sequence')}{rate}; {tally.committed} were there already",
        f"{config.out}: {survey.num_sequences} of {counted(plan.num_sequences, 'sequence')} in "
        f"{counted(survey.num_shards, 'shard')}, {survey.num_bytes / 1e6:.1f} MB{renderers}",
    ]
    if tally.quarantined:
        lines.append(f"refused {counted(tally.quarantined, 'input')}; reasons in {quarantine_file(config.out)}")
    if tally.lost:
        lines.append(f"lost {counted(len(tally.lost), 'shard')}, first {tally.lost[0]}; run the same command again")
    lines += [f"look at it: {page}" for page in pages]
    lines.append(next_line("python", "-m", "pipelines.verify", f"dataset={config.out}"))
    return Summary(lines=tuple(lines), exit_code=PARTIAL if tally.quarantined or tally.lost else 0)


def _counts(progress: Progress, tally: _Tally) -> dict[str, float]:
    return {
        "sequences_per_s": progress.rate,
        "quarantined": tally.quarantined,
        "lost_shards": len(tally.lost),
        "megabytes": tally.num_bytes / 1e6,
    }
