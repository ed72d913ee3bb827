"""Runs the jobs of a sweep with Hydra's launchers, and reports how each ended."""

import json
import os
import re
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conf.compose import quoted
from conf.errors import ConfigError, UserError
from conf.made_folder import made_folder
from conf.printable import printable, without_secrets
from conf.sweep import Job

RESULTS = "sweep.json"
_PLUGINS = {
    "joblib": "hydra-joblib-launcher", "submitit_local": "hydra-submitit-launcher",
    "submitit_slurm": "hydra-submitit-launcher", "ray": "hydra-ray-launcher", "ray_aws": "hydra-ray-launcher",
    "rq": "hydra-rq-launcher",
}  # fmt: skip
_FOLDER_KEYS = ("hydra.sweep.dir", "hydra.sweep.subdir", "hydra.run.dir", "hydra.output_subdir", "hydra.job.chdir")
_WIDTH = 120  # of a result in the table


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a job ended: with which exit code, after how long, its summary, and its last message (an error, if any)."""

    job: Job
    exit_code: int
    seconds: float
    lines: tuple[str, ...]
    last: str


def is_launcher_word(word: str) -> bool:
    """Whether a word is for Hydra and not for the command: `hydra/launcher=joblib`, `hydra.launcher.n_jobs=2`."""
    return word.lstrip("+").startswith(("hydra/", "hydra."))


def launch(
    verb: str, jobs: Sequence[Job], options: Sequence[str], launcher_settings: Sequence[str], folder: Path | None
) -> list[Outcome]:
    """Run all jobs, one after another unless a launcher was chosen that does otherwise.

    Args:
        verb: verb of the command.
        jobs: the jobs to run.
        options: options of the command line that every job gets as well.
        launcher_settings: the user's words for Hydra.
        folder: folder of the jobs' logs and of `sweep.json`; None for commands that write nothing.

    Raises:
        UserError: if the launcher is not installed, not understood or fails, the folder cannot be made or holds
            something else, or these processes are torchrun's.
    """
    if "LOCAL_RANK" in os.environ:
        raise UserError("-m: not under torchrun, of which every process would start all jobs; run the jobs one by one")
    with ExitStack() as stack:
        scratch = folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        launcher = _launcher(launcher_settings, scratch.resolve())
        if folder is not None:
            try:
                stack.enter_context(made_folder(folder))
                names = sorted(path.name for path in folder.iterdir())
            except OSError as error:
                raise UserError(f"out={folder}: {error.strerror or error}") from error
            _refuse_foreign(folder, names, jobs)
        try:
            returned = launcher.launch([[_override(verb, jobs, at, options, folder)] for at in range(len(jobs))], 0)
            results = [job_return.return_value for job_return in returned]
        except Exception as error:  # a launcher's own, of any type: wrong numbers, time limits, lost machines
            raise UserError(f"{' '.join(launcher_settings) or 'hydra/launcher=basic'}: {_one_line(error)}") from error
        outcomes = [
            Outcome(job=job, **{**result, "lines": tuple(result["lines"])})
            for job, result in zip(jobs, results, strict=True)
        ]
    if folder is not None:
        _write_results(folder / RESULTS, verb, outcomes)
    return outcomes


def check_launcher(settings: Sequence[str]) -> None:
    """Check the user's words for Hydra without running anything.

    Raises:
        UserError: if the launcher is not installed or not understood, or a word is for something else of Hydra.
    """
    _launcher(settings, Path.cwd())


def _refuse_foreign(folder: Path, names: Sequence[str], jobs: Sequence[Job]) -> None:
    """Refuse a folder with entries of these names if it holds something that is not of a sweep."""
    own_names = (RESULTS, f".{RESULTS}.new", *(job.name for job in jobs))
    foreign = [name for name in names if not name.startswith(own_names)]
    if not _is_of_sweep(folder / RESULTS) and (RESULTS in names or foreign):
        allowed = "a new or empty folder, or that of a sweep; this one holds"
        raise ConfigError("out", folder, f"{allowed} {foreign[0] if foreign else RESULTS}")


def _is_of_sweep(results: Path) -> bool:
    """Whether a file holds results of a sweep, as `_write_results` writes them."""
    try:
        rows = json.loads(results.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(rows, list) and all(isinstance(row, dict) and row.keys() >= {"command", "swept"} for row in rows)


def table(outcomes: Sequence[Outcome]) -> list[str]:
    """One line per job: its number, the values in which jobs differ, how it ended, and the first line of its output."""
    keys = list(outcomes[0].job.swept)
    rows = [["job", *keys, "exit code", "seconds", "result"]] + [
        [str(number), *(outcome.job.swept[key] for key in keys), str(outcome.exit_code), f"{outcome.seconds:.1f}",
         _result(outcome)]
        for number, outcome in enumerate(outcomes, start=1)
    ]  # fmt: skip
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]) - 1)]
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]) for row in rows
    ]


def _result(outcome: Outcome) -> str:
    line = outcome.last if outcome.exit_code or not outcome.lines else outcome.lines[0]
    return line if len(line) <= _WIDTH else line[: _WIDTH - 3] + "..."


def _override(verb: str, jobs: Sequence[Job], number: int, options: Sequence[str], folder: Path | None) -> str:
    """A job as an override in Hydra's grammar."""
    job = jobs[number]
    log = str((folder / f"{job.name}.log").resolve()) if folder is not None else None
    title = printable(" ".join(f"{key}={value}" for key, value in job.swept.items()) or " ".join(job.settings))
    facts = {
        "number": number + 1, "count": len(jobs), "title": title, "verb": verb, "words": [*options, *job.settings],
        "log": log,
    }  # fmt: skip
    return f"job={quoted(json.dumps(facts))}"


def _launcher(settings: Sequence[str], folder: Path) -> Any:
    """A launcher of Hydra, made ready to run `process_painter.job.run_job`."""
    from hydra import compose, initialize
    from hydra._internal.callbacks import Callbacks
    from hydra.core.config_store import ConfigStore
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.plugins import Plugins
    from hydra.core.utils import setup_globals
    from hydra.types import HydraContext

    from process_painter.job import run_job

    for word in settings:
        key = word.partition("=")[0].lstrip("+")
        if key in _FOLDER_KEYS:
            raise UserError(f"{word}: not possible; use out=, below which each job has a folder of its own")
        if key != "hydra/launcher" and not key.startswith("hydra.launcher."):
            raise UserError(f"{word}: not possible; of Hydra's keys, hydra/launcher and hydra.launcher.* are allowed")
    ConfigStore.instance().store(name="job", node={"job": "???"})
    GlobalHydra.instance().clear()
    fixed = [
        f"hydra.sweep.dir={quoted(str(folder))}", "hydra.sweep.subdir=.", "hydra.output_subdir=null",
        "hydra.job.name=job", "hydra.mode=MULTIRUN", "hydra/hydra_logging=disabled", "hydra/job_logging=disabled",
    ]  # fmt: skip
    setup_globals()
    try:
        with initialize(config_path=None, version_base="1.3"):
            config = compose("job", [*fixed, *settings], return_hydra_config=True)
            context = HydraContext(config_loader=GlobalHydra.instance().config_loader(), callbacks=Callbacks(config))
            return Plugins.instance().instantiate_launcher(hydra_context=context, task_function=run_job, config=config)
    except Exception as error:  # Hydra's and OmegaConf's, and those of the launcher's own class
        raise UserError(_refused_launcher(settings, str(error))) from error


def _refused_launcher(settings: Sequence[str], reason: str) -> str:
    launcher_names = [match[1] for word in settings if (match := re.fullmatch(r"\+*hydra/launcher=(.*)", word))]
    if launcher_names and f"hydra/launcher/{launcher_names[-1]}" in reason:
        package = _PLUGINS.get(launcher_names[-1])
        return f"hydra/launcher={launcher_names[-1]}: not installed; " + (
            f"run pip install {package}" if package else f"allowed: basic, {', '.join(_PLUGINS)}"
        )
    return f"{' '.join(settings)}: not understood by Hydra: {' '.join(reason.split())}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _write_results(path: Path, verb: str, outcomes: Sequence[Outcome]) -> None:
    results = [
        {
            "command": verb, "words": [without_secrets(word) for word in outcome.job.settings],
            "swept": {key: without_secrets(value) for key, value in outcome.job.swept.items()},
            "exit_code": outcome.exit_code, "seconds": round(outcome.seconds, 3), "lines": list(outcome.lines),
            "last": outcome.last,
        }
        for outcome in outcomes
    ]  # fmt: skip
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8", errors="replace")
    temporary.replace(path)
