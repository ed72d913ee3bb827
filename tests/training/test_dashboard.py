"""The Weights & Biases workspace, report and sweep file."""

import errno
import importlib.util
import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from conf.command import BAD_CONFIGURATION, COMPLETE, command
from conf.compose import compose
from tests.pipelines.runs import REPOSITORY
from training.config import train_config
from training.dashboard import DashboardConfig, dashboard_config, make_report, make_workspace, run
from training.panels import SECTIONS

needs_workspaces = pytest.mark.skipif(
    importlib.util.find_spec("wandb_workspaces") is None, reason="needs wandb-workspaces"
)
PANELS = [panel for panels in SECTIONS.values() for panel in panels]


def dashboard(*overrides: str) -> int:
    return command("dashboard", dashboard_config, run, "", overrides)


@pytest.fixture
def config(tmp_path: Path) -> DashboardConfig:
    return dashboard_config(compose("dashboard", [f"out={tmp_path / 'out'}", "project=Ölbilder", "name=Mine"]))


def test_panels_show_what_is_measured_and_nothing_else() -> None:
    """docs/training.md lists what a run logs; tests of the loop hold runs to that list."""
    table = (REPOSITORY / "docs" / "training.md").read_text().partition("## What is measured")[2].partition("\n## ")[0]
    measured = set(re.findall(r"`((?:train|val|data|perf|samples)/[\w/]+)[`…]", table.replace("t0000-0249", "")))
    assert {metric for panel in PANELS for metric in panel.metrics} <= measured
    for panel in PANELS:
        assert panel.metrics or re.fullmatch(panel.pattern or "", f"{(panel.pattern or '').split('.')[0]}0000-0249")


@needs_workspaces
def test_the_workspace_comes_back_from_its_json_as_it_was(config: DashboardConfig) -> None:
    import wandb_workspaces.workspaces as ws
    from wandb_workspaces.workspaces import internal

    workspace = make_workspace("painters", config)
    text = workspace._to_model().model_dump_json(by_alias=True, exclude_none=True)
    back = ws.Workspace._from_model(internal.View.model_validate_json(text))
    assert [section.name for section in back.sections] == list(SECTIONS)
    titles = [panel.title for section in back.sections for panel in section.panels]
    assert titles == [panel.title for panel in PANELS]
    assert (back.name, back.project, back.settings.x_axis) == ("Mine", "Ölbilder", "train/step")


@needs_workspaces
def test_the_report_has_every_section_and_its_panels(config: DashboardConfig) -> None:
    report = make_report("painters", config)
    text = report._to_model().model_dump_json(by_alias=True)
    for question, panels in SECTIONS.items():
        assert json.dumps(question)[1:-1] in text
        assert all(json.dumps(panel.title)[1:-1] in text for panel in panels)


@needs_workspaces
def test_the_command_writes_three_files_and_no_path_or_secret(
    config: DashboardConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0123456789abcdef" * 2 + "01234567")
    assert dashboard(f"out={config.out}") == COMPLETE
    files = {path.name: path.read_text() for path in config.out.iterdir()}
    assert sorted(files) == ["report.json", "sweep.yaml", "workspace.json"]
    for text in files.values():
        assert "0123456789abcdef" not in text and str(config.out) not in text and str(Path.home()) + "/" not in text


@needs_workspaces
def test_the_command_that_is_printed_next_saves_the_same_workspace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dashboard(f"out={tmp_path / 'a b'}", "project=walls", "name=My walls") == COMPLETE
    start, *overrides = capsys.readouterr().out.splitlines()[-1].partition("training.dashboard ")[::2]
    assert start == "next: python -m "
    following = dashboard_config(compose("dashboard", shlex.split(overrides[0])))
    assert (following.project, following.name, following.out) == ("walls", "My walls", tmp_path / "a b")
    assert following.mode == "online"


@needs_workspaces
def test_files_are_not_put_into_the_weights_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run_card.json").write_text("{}")
    assert dashboard(f"out={tmp_path / 'board'}") == BAD_CONFIGURATION
    assert "which holds the weights of a run" in capsys.readouterr().err and len(list(tmp_path.iterdir())) == 1


@needs_workspaces
@pytest.mark.parametrize("name", ["dataset.json", "report.json", "notes.txt"])
def test_folders_of_something_else_are_left_alone(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text("mine")
    assert dashboard(f"out={tmp_path}") == BAD_CONFIGURATION
    assert "this one holds something that is not a dashboard" in capsys.readouterr().err
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {name: "mine"}


@needs_workspaces
@pytest.mark.parametrize("words", [["entity="], ["entity=a/b"], ["project=a/b"], ["project="], ["name="]])
def test_names_that_wandb_does_not_take_are_refused(words: list[str], tmp_path: Path) -> None:
    assert dashboard(f"out={tmp_path / 'out'}", *words) == BAD_CONFIGURATION
    assert not (tmp_path / "out").exists()


@needs_workspaces
def test_a_full_disk_leaves_the_files_that_are_there_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dashboard(f"out={tmp_path}") == COMPLETE
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert dashboard(f"out={tmp_path}", "name=Other") == BAD_CONFIGURATION
    assert "No space left on device" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@needs_workspaces
def test_a_trial_of_the_sweep_is_a_training_run_in_a_folder_of_its_own(config: DashboardConfig) -> None:
    assert dashboard(f"out={config.out}") == COMPLETE
    sweep = yaml.safe_load((config.out / "sweep.yaml").read_text())
    script = sweep["command"][3].replace("process-painter train", "printf '%s\\n'")
    trial = ["optimizer.learning_rate=0.0003", "batch_size=4", "seed=0"]
    assert [word.partition("=")[0] for word in trial] == list(sweep["parameters"])
    done = subprocess.run(
        ["bash", "-c", script, "train", *trial], env={"WANDB_RUN_ID": "a1"}, capture_output=True, text=True, check=True
    )
    typed = train_config(compose("train", done.stdout.splitlines()))
    assert (typed.out, typed.batch_size, typed.optimizer.learning_rate) == (Path("outputs/sweep/a1"), 4, 0.0003)
    assert sweep["metric"]["name"] in {metric for panel in PANELS for metric in panel.metrics}


def test_without_the_package_one_line_names_the_extra(
    config: DashboardConfig, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert dashboard(f"out={config.out}") == BAD_CONFIGURATION
    assert "process-painter[dashboard]" in capsys.readouterr().err
    assert not config.out.exists()


@needs_workspaces
@pytest.mark.parametrize("word", ["project=", "mode=sometimes"])
def test_bad_words_are_refused(word: str, config: DashboardConfig, capsys: pytest.CaptureFixture[str]) -> None:
    assert dashboard(f"out={config.out}", word) == BAD_CONFIGURATION
    assert capsys.readouterr().err.count("\n") == 1


@needs_workspaces
def test_whoever_is_not_logged_in_is_told_in_one_line(
    config: DashboardConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # nobody is asked
    for overrides in ([], ["entity=me"]):
        assert dashboard(f"out={config.out}", "mode=online", *overrides) == BAD_CONFIGURATION
        assert re.fullmatch(r"error: mode=online: .+\n", capsys.readouterr().err)
    assert not config.out.exists()
