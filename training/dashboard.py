"""Make a Weights & Biases workspace, a report and a sweep file for training runs.

    python -m training.dashboard                                # writes three files, and needs no network
    python -m training.dashboard mode=online entity=my-team     # also saves both there; prints addresses

Needs the package wandb-workspaces: pip install 'process-painter[dashboard]'. The key comes from the environment
(WANDB_API_KEY) or from `wandb login`. sweep.yaml is for `wandb sweep`, which tries learning rates and batch sizes.
"""

import importlib.util
import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from conf.command import Summary, command, leave, next_line
from conf.compose import typed
from conf.errors import ConfigError, UserError
from training.data.claim import claimed_folder, naming_out
from training.data.manifest import write_atomically
from training.panels import SECTIONS, STEP, Panel

if TYPE_CHECKING:
    from wandb_workspaces.reports.v2 import LinePlot, MediaBrowser, Report
    from wandb_workspaces.workspaces import Workspace

_PLACEHOLDER_ENTITY = "entity"  # for the user's own, if none is given and nothing is saved
_WORKSPACE = "workspace.json"
_SMOOTHING = "exponentialTimeWeighted"


@dataclass(frozen=True, kw_only=True)
class DashboardConfig:
    """Whose runs, and where the files go. `conf/dashboard.yaml` says what each key means."""

    entity: str | None
    project: str
    name: str
    out: Path
    mode: Literal["offline", "online"]

    def __post_init__(self) -> None:
        for key in ("project", "name", "entity"):
            value = getattr(self, key)
            if value is not None and (not value or (key != "name" and "/" in value)):
                raise ConfigError(key, value, "a name" if key == "name" else "a name without /")


def run(config: DashboardConfig) -> Summary:
    """Write the three files; with `mode=online` save workspace and report as well.

    Raises:
        UserError: if wandb-workspaces is missing, the folder holds something else or cannot be written, or wandb
            refuses.
    """
    if importlib.util.find_spec("wandb_workspaces") is None:
        raise UserError("wandb-workspaces is not installed; run pip install 'process-painter[dashboard]'")
    entity = config.entity or (_own_entity() if config.mode == "online" else _PLACEHOLDER_ENTITY)
    with _one_line_if_refused():
        workspace, report = make_workspace(entity, config), make_report(entity, config, online=config.mode == "online")
        files = {
            _WORKSPACE: _json(workspace._to_model()),
            "report.json": _json(report._to_model()),
            "sweep.yaml": sweep_text(config),
        }
    with (
        claimed_folder(config.out, what="a dashboard", card=_WORKSPACE, check=lambda: None),
        naming_out(config.out),
    ):
        for name, text in files.items():
            write_atomically(config.out / name, text.encode())
    lines = [f"{config.out}: {', '.join(files)}"]
    if config.mode == "online":
        lines += _saved(workspace, report)
    else:
        overrides = (f"project={config.project}", f"name={config.name}", f"out={config.out}", "mode=online")
        entity = f"entity={config.entity}" if config.entity is not None else "entity=YOU_OR_YOUR_TEAM"
        lines.append(next_line("python", "-m", "training.dashboard", *overrides, entity))
    return Summary(lines=tuple(lines))


def make_workspace(entity: str, config: DashboardConfig) -> "Workspace":
    """The workspace: one section per question, with the training step as the horizontal axis of all plots."""
    import wandb_workspaces.workspaces as ws

    return ws.Workspace(
        entity=entity,
        project=config.project,
        name=config.name,
        sections=[
            ws.Section(name=question, panels=[_panel(panel) for panel in panels], is_open=True)
            for question, panels in SECTIONS.items()
        ],
        settings=ws.WorkspaceSettings(x_axis=STEP),
        auto_generate_panels=False,
    )


def make_report(entity: str, config: DashboardConfig, *, online: bool = False) -> "Report":
    """The report: the same panels, with what a reader should look for in each section."""
    import wandb_workspaces.reports.v2 as wr

    blocks: list[Any] = [
        wr.P("Made by process-painter. Frames of a sequence go from the blank canvas to the finished picture."),
        wr.TableOfContents(),
    ]
    for question, panels in SECTIONS.items():
        blocks.append(wr.H2(question))
        blocks += [wr.P(panel.sense) for panel in panels if panel.sense]
        # Looking a project up needs wandb's server; a runset without one shows the report's own project.
        runs = wr.Runset(entity=entity if online else "", project=config.project if online else "")
        blocks.append(wr.PanelGrid(runsets=[runs], panels=[_panel(panel) for panel in panels]))
    return wr.Report(entity=entity, project=config.project, title=config.name, blocks=blocks)


def sweep_text(config: DashboardConfig) -> str:
    """A file for `wandb sweep`: what is tried, by which command, and what counts as better."""
    import yaml

    # Every run needs a folder of its own, and the agent passes the run's id only in the environment.
    train = (
        f"process-painter train stage=motion data=DATA base=BASE max_steps=2000 tracker.mode=online "
        f'tracker.project={shlex.quote(config.project)} out=outputs/sweep/"$WANDB_RUN_ID" "$@"'
    )
    sweep = {
        "project": config.project,
        "method": "bayes",
        "metric": {"name": "val/loss", "goal": "minimize"},
        "parameters": {
            "optimizer.learning_rate": {"distribution": "log_uniform_values", "min": 1e-5, "max": 3e-3},
            "batch_size": {"values": [4, 8, 16]},
            "seed": {"values": [0]},
        },
        "command": ["${env}", "bash", "-c", train, "train", "${args_no_hyphens}"],
    }  # fmt: skip
    head = "# wandb sweep sweep.yaml; then wandb agent ID on every machine. DATA and BASE are yours to fill in.\n"
    return head + yaml.safe_dump(sweep, sort_keys=False)


def _panel(panel: Panel) -> "LinePlot | MediaBrowser":
    import wandb_workspaces.reports.v2 as wr

    if panel.media:
        return wr.MediaBrowser(title=panel.title, media_keys=list(panel.metrics))
    smoothed = {"smoothing_type": _SMOOTHING, "smoothing_factor": panel.smoothing} if panel.smoothing else {}
    return wr.LinePlot(
        title=panel.title,
        x=STEP,
        y=list(panel.metrics),
        metric_regex=panel.pattern,
        log_y=panel.log_scale or None,
        range_y=panel.limits or (None, None),
        **smoothed,
    )


@contextmanager
def _one_line_if_refused() -> Iterator[None]:
    """Context for everything that may call wandb's server: turns its errors into one line."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # wandb raises a class for each of many causes: no key, no network, a wrong key
        raise UserError(f"mode=online: {' '.join(str(error).split())}") from error


def _own_entity() -> str:
    import wandb

    with _one_line_if_refused():
        entity = wandb.Api().default_entity
    if not entity:
        raise UserError("entity is required: set entity=YOU_OR_YOUR_TEAM")
    return str(entity)


def _saved(workspace: "Workspace", report: "Report") -> list[str]:
    with _one_line_if_refused():
        workspace.save()
        report.save()
    return [f"workspace: {workspace.url}", f"report: {report.url}"]


def _json(model: Any) -> str:
    text = json.dumps(json.loads(model.model_dump_json(by_alias=True, exclude_none=True)), indent=1, ensure_ascii=False)
    return text + "\n"


def dashboard_config(plain: dict[str, Any]) -> DashboardConfig:
    """The typed configuration."""
    return typed(DashboardConfig, plain)


if __name__ == "__main__":
    leave(command("dashboard", dashboard_config, run, __doc__ or ""))
