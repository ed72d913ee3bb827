"""Tracking of a run's progress: none, or on Weights & Biases. Only one process of a run tracks."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from conf.errors import UserError


@dataclass(frozen=True, kw_only=True)
class TrackerConfig:
    """The group `tracker`."""

    kind: Literal["none", "wandb"] = "none"
    project: str = "process-painter"
    mode: Literal["offline", "online"] = "offline"
    name: str | None = None
    entity: str | None = None
    group: str | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A data set, weights or a painter, identified by its hash: trackers get neither its path nor its bytes.

    Attributes:
        kind: kind of the artifact.
        sha256: of a data set, `DatasetCard.digest`; of weights, `weights_hash`; of a painter, the hash of its card.
        facts: further facts about it; plain values.
        made_from: the artifacts that it was made from.
    """

    kind: Literal["dataset", "weights", "painter"]
    sha256: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    made_from: "tuple[Artifact, ...]" = ()

    @property
    def name(self) -> str:
        """Its name, which is the same wherever it is made or used."""
        return f"{self.kind}-{self.sha256[:16]}"


class Tracker(Protocol):
    """Tracks one run.

    Attributes:
        run_id: id with which a later process continues the same run; None without a tracker.
    """

    run_id: str | None

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Log numbers, under names such as `data/sequences_per_s`, at a step."""

    def picture(self, name: str, path: Path, step: int) -> None:
        """Log a picture file, which is on disk already."""

    def video(self, name: str, path: Path, step: int) -> None:
        """Log an MP4 file, which is on disk already."""

    def artifact(self, artifact: Artifact) -> None:
        """Log what the run has made, and what from."""

    def finish(self) -> None:
        """End the run."""


class NoTracker:
    """Tracks nothing."""

    run_id: str | None = None

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Nothing."""

    def picture(self, name: str, path: Path, step: int) -> None:
        """Nothing."""

    def video(self, name: str, path: Path, step: int) -> None:
        """Nothing."""

    def artifact(self, artifact: Artifact) -> None:
        """Nothing."""

    def finish(self) -> None:
        """Nothing."""


class WandbTracker:
    """Weights & Biases; its files are in `folder/wandb`.

    The key comes from the environment alone; `config` must hold nothing secret. Command line, paths, code and the
    machine's name are not sent.

    Args:
        settings: project, mode, entity, group and tags.
        name: name of the run in lists of runs.
        job_type: the command, or the training stage.
        folder: folder for its files.
        step_metric: name of the horizontal axis of all plots.
        config: configuration of the run, to tell runs apart.
        run_id: id of a run to continue; None starts a new one.

    Raises:
        UserError: if the run cannot be started, for example without a key.
    """

    def __init__(
        self,
        *,
        settings: TrackerConfig,
        name: str | None,
        job_type: str,
        folder: Path,
        step_metric: str,
        config: Mapping[str, Any],
        run_id: str | None = None,
    ) -> None:
        for variable in [name for name, value in os.environ.items() if name.startswith("WANDB_") and not value]:
            del os.environ[variable]  # wandb takes an empty value for a wrong one
        import wandb

        self._wandb = wandb
        folder.mkdir(parents=True, exist_ok=True)
        try:
            self._run = wandb.init(
                project=settings.project,
                mode=settings.mode,
                entity=settings.entity,
                group=settings.group,
                tags=settings.tags,
                job_type=job_type,
                name=name,
                dir=str(folder),
                config=dict(config),
                id=run_id,
                resume="allow" if run_id is not None else None,
                settings=wandb.Settings(
                    silent=True,
                    console="off",
                    disable_git=True,
                    save_code=False,
                    x_disable_meta=True,
                    x_disable_machine_info=True,
                ),
            )
        except wandb.Error as error:
            raise UserError(f"tracker=wandb: {error}") from error
        self.run_id: str | None = self._run.id
        self._step_metric = step_metric
        self._run.define_metric(step_metric)
        self._run.define_metric("*", step_metric=step_metric)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Log numbers. A step that was logged before the run was killed, and is then repeated, is logged once."""
        self._log(values, step)

    def picture(self, name: str, path: Path, step: int) -> None:
        """Log a picture file."""
        self._log({name: self._wandb.Image(str(path))}, step)

    def video(self, name: str, path: Path, step: int) -> None:
        """Log an MP4 file."""
        self._log({name: self._wandb.Video(str(path), format="mp4")}, step)

    def artifact(self, artifact: Artifact) -> None:
        """Log a reference to what the run has made; if online, also references to what it was made from.

        Offline, wandb cannot record what a run uses, so the names of these are in the metadata too.
        """
        if not self._run.offline:
            for source in artifact.made_from:
                self._run.use_artifact(self._reference(source))
        self._run.log_artifact(self._reference(artifact))

    def _reference(self, artifact: Artifact) -> Any:
        from wandb.sdk.artifacts.artifact_manifest_entry import ArtifactManifestEntry
        from wandb.sdk.lib.paths import LogicalPath

        made_from = [source.name for source in artifact.made_from]
        metadata = {"sha256": artifact.sha256, **artifact.facts, "made_from": made_from}
        reference = self._wandb.Artifact(artifact.name, type=artifact.kind, metadata=metadata)
        # The same as `add_reference`, which would warn about a scheme that it does not know.
        entry = ArtifactManifestEntry(
            path=LogicalPath("sha256"), ref=f"sha256:{artifact.sha256}", digest=artifact.sha256
        )
        reference.manifest.add_entry(entry)
        return reference

    def _log(self, values: Mapping[str, Any], step: int) -> None:
        self._run.log({**values, self._step_metric: step}, step=step)

    def finish(self) -> None:
        """Close the run."""
        self._run.finish()
