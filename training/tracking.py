"""Where a run's progress is followed: nowhere, or on Weights & Biases. Only one process of a run tracks."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from conf.errors import UserError


@dataclass(frozen=True, kw_only=True)
class TrackerConfig:
    """Where progress is tracked."""

    kind: Literal["none", "wandb"] = "none"
    project: str = "process-painter"
    mode: Literal["offline", "online"] = "offline"
    name: str | None = None


class Tracker(Protocol):
    """Follows one run."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Numbers, under names such as `data/sequences_per_s`, at a step."""

    def picture(self, name: str, path: Path, step: int) -> None:
        """A picture file, which is on disk already whatever becomes of the tracker."""

    def finish(self) -> None:
        """The run is over."""


class NoTracker:
    """Follows nothing."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Nothing."""

    def picture(self, name: str, path: Path, step: int) -> None:
        """Nothing."""

    def finish(self) -> None:
        """Nothing."""


class WandbTracker:
    """Weights & Biases; its files are in `folder/wandb`.

    The key comes from the environment alone; `config` must hold nothing secret.

    Raises:
        UserError: if the run cannot be begun, as for want of a key.
    """

    def __init__(
        self, *, project: str, mode: str, name: str | None, folder: Path, step_metric: str, config: Mapping[str, Any]
    ) -> None:
        import wandb

        self._wandb = wandb
        folder.mkdir(parents=True, exist_ok=True)
        try:
            self._run = wandb.init(
                project=project,
                mode="online" if mode == "online" else "offline",
                name=name,
                dir=str(folder),
                config=dict(config),
                settings=wandb.Settings(silent=True, console="off", disable_git=True, save_code=False),
            )
        except wandb.Error as error:
            raise UserError(f"tracker=wandb: {error}") from error
        self._step_metric = step_metric
        self._run.define_metric(step_metric)
        self._run.define_metric("*", step_metric=step_metric)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Log numbers."""
        self._run.log({**values, self._step_metric: step})

    def picture(self, name: str, path: Path, step: int) -> None:
        """Log a picture file."""
        self._run.log({name: self._wandb.Image(str(path)), self._step_metric: step})

    def finish(self) -> None:
        """Close the run."""
        self._run.finish()
