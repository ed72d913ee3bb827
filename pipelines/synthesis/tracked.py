"""Reports a run that makes a data set to a tracker: its speed on each node, its failures, sheets, and the result.

Nodes are numbered in the order of their first shards, because the names of machines should not be published.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pipelines.synthesis.contact_sheet import write_sheet
from pipelines.synthesis.run_config import RunConfig
from pipelines.synthesis.shard import ShardReport
from training.data.dataset import DatasetCard
from training.data.remote import RemotePath
from training.data.survey import Survey
from training.tracking import Artifact, NoTracker, Tracker, WandbTracker

_SECONDS_BETWEEN_SHEETS = 60.0


class TrackedRun:
    """A run as its tracker sees it.

    Args:
        config: configuration of the run.
        tracker: the tracker that follows it.
    """

    def __init__(self, config: RunConfig, tracker: Tracker) -> None:
        self._config, self._tracker = config, tracker
        self._made: dict[str, int] = {}  # by node, in the order of their first shards
        self._next_sheet_s, self._step = 0.0, 0

    def note(self, report: ShardReport, step: int, elapsed_s: float, counts: Mapping[str, float]) -> None:
        """Report a shard that is done or lost.

        Args:
            report: report of the shard.
            step: number of sequences that are done.
            elapsed_s: seconds since the run began.
            counts: name -> count of the whole run.
        """
        if self._config.tracker.kind == "none":
            return
        self._step = step
        if report.num_samples:
            self._made[report.node] = self._made.get(report.node, 0) + report.num_samples
        busy_s, elapsed_s = sum(report.seconds.values()) or 1.0, max(elapsed_s, 1e-9)
        values = {
            "data/sequences": step,
            **{f"data/{name}": count for name, count in counts.items()},
            **{f"share/{phase}": seconds / busy_s for phase, seconds in report.seconds.items()},
            **{f"node/{at}/sequences_per_s": made / elapsed_s for at, made in enumerate(self._made.values())},
        }
        self._tracker.log(values, step=step)
        if report.num_samples and elapsed_s >= self._next_sheet_s:
            sheet = tracker_folder(self._config) / "wandb" / "sheets" / f"{Path(report.name).name}.png"
            write_sheet(self._config.out, report.name, sheet)
            self._tracker.picture("samples/sheet", sheet, step=step)
            self._next_sheet_s = elapsed_s + _SECONDS_BETWEEN_SHEETS

    def end(self, card: DatasetCard, survey: Survey) -> None:
        """Report the end of the run: the number of sequences of each kind, and the data set itself if it is complete.

        Counts are reported as numbers, as a `wandb.Table` would write its path on this machine into the run.
        """
        counts = {f"sequences/{kind.split}/{kind.renderer}": count for kind, count in survey.kinds.items()}
        self._tracker.log(counts, step=self._step)
        if card.totals is not None:
            facts = {**card.totals, "config_hash": card.config_hash}
            self._tracker.artifact(Artifact(kind="dataset", sha256=card.digest, facts=facts))


def tracker_folder(config: RunConfig) -> Path:
    """The folder of the tracker's files, which must be on this machine."""
    return Path("outputs") / config.out.name if isinstance(config.out, RemotePath) else config.out


@contextmanager
def tracked_run(config: RunConfig, card: DatasetCard) -> Iterator[TrackedRun]:
    """Context of a run with the configured tracker, which is closed however the run ends."""
    if config.tracker.kind == "none":
        yield TrackedRun(config, NoTracker())
        return
    tracker = WandbTracker(
        settings=config.tracker,
        name=config.tracker.name,
        job_type="data",
        folder=tracker_folder(config),
        step_metric="data/sequences",
        config=card.recipe,
    )
    try:
        yield TrackedRun(config, tracker)
    finally:
        tracker.finish()
