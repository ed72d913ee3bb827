"""Trackers: what is logged, and under which step."""

import time
from pathlib import Path
from typing import Any, Literal

import pytest
import wandb

from conf.errors import UserError
from training.tracking import Artifact, NoTracker, Tracker, TrackerConfig, WandbTracker


class _Run:
    """Stands in for a run of Weights & Biases."""

    def __init__(self) -> None:
        self.id = "abc"
        self.logged: list[tuple[int, dict[str, Any]]] = []
        self.metrics: list[tuple[str, str | None]] = []
        self.finished = 0
        self.offline = True
        self.made: list[Any] = []
        self.used: list[Any] = []

    def log_artifact(self, artifact: Any) -> None:
        self.made.append(artifact)

    def use_artifact(self, artifact: Any) -> None:
        self.used.append(artifact)

    def define_metric(self, name: str, step_metric: str | None = None) -> None:
        self.metrics.append((name, step_metric))

    def log(self, values: dict[str, Any], step: int) -> None:
        self.logged.append((step, values))

    def finish(self) -> None:
        self.finished += 1


def begin(folder: Path, mode: Literal["offline", "online"] = "offline", **more: Any) -> WandbTracker:
    settings = TrackerConfig(project="p", mode=mode)
    arguments = {"name": None, "step_metric": "s", "config": {}, **more}
    return WandbTracker(settings=settings, job_type="motion", folder=folder, **arguments)


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[WandbTracker, _Run, dict[str, Any]]:
    run, asked = _Run(), dict[str, Any]()

    def init(**options: Any) -> _Run:
        asked.update(options)
        return run

    monkeypatch.setattr(wandb, "init", init)
    tracker = begin(tmp_path / "out", step_metric="data/step", config={"seed": 0})
    return tracker, run, asked


def test_variables_that_are_set_but_empty_are_as_if_unset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_MODE", "WANDB_DIR", "WANDB_RUN_ID", "WANDB_RESUME"):
        monkeypatch.setenv(name, "")
    tracker = begin(tmp_path)
    tracker.finish()
    assert list(tmp_path.glob("wandb/offline-run-*"))


def test_numbers_are_logged_under_the_step_they_belong_to(begun: tuple[WandbTracker, _Run, dict[str, Any]]) -> None:
    tracker, run, _ = begun
    tracker.log({"data/rate": 2.0}, step=7)
    assert run.logged == [(7, {"data/rate": 2.0, "data/step": 7})]
    assert ("*", "data/step") in run.metrics


def test_a_run_is_offline_in_its_folder_and_takes_no_code_along(
    begun: tuple[WandbTracker, _Run, dict[str, Any]], tmp_path: Path
) -> None:
    _, _, asked = begun
    assert (asked["mode"], asked["dir"], asked["config"]) == ("offline", str(tmp_path / "out"), {"seed": 0})
    assert asked["settings"].save_code is False and asked["settings"].disable_git is True
    assert asked["settings"].x_disable_meta is True and asked["settings"].x_disable_machine_info is True


def test_a_run_stands_where_its_settings_put_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = dict[str, Any]()
    monkeypatch.setattr(wandb, "init", lambda **options: asked.update(options) or _Run())
    settings = TrackerConfig(kind="wandb", entity="studio", group="spring", tags=("ink", "ablation"))
    WandbTracker(settings=settings, job_type="motion", name="a", folder=tmp_path, step_metric="s", config={})
    assert (asked["entity"], asked["group"], asked["tags"], asked["job_type"]) == (
        "studio", "spring", ("ink", "ablation"), "motion",
    )  # fmt: skip


DATA = Artifact(kind="dataset", sha256="cd" * 32)
WEIGHTS = Artifact(kind="weights", sha256="ab" * 32, facts={"steps": 3}, made_from=(DATA,))


def test_what_a_run_made_is_noted_by_its_hash_with_what_it_was_made_from(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tracker = begin(tmp_path)
    tracker.artifact(WEIGHTS)
    tracker.finish()
    (log,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    deadline = time.monotonic() + 60
    while WEIGHTS.name.encode() not in (content := log.read_bytes()) and time.monotonic() < deadline:
        time.sleep(0.1)  # another process writes it, on a busy machine a moment after `finish`
    for text in (WEIGHTS.name, WEIGHTS.sha256, DATA.name, '"steps":3'):
        assert text.encode() in content
    assert str(tmp_path).encode() not in content and str(Path.home()).encode() not in content
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("offline", [True, False])
def test_a_service_is_told_what_was_used_and_an_offline_run_is_not_asked_to(
    begun: tuple[WandbTracker, _Run, dict[str, Any]], offline: bool
) -> None:
    tracker, run, _ = begun
    run.offline = offline
    tracker.artifact(WEIGHTS)
    assert [artifact.name for artifact in run.made] == [WEIGHTS.name]
    assert [artifact.name for artifact in run.used] == ([] if offline else [DATA.name])
    assert run.made[0].type == "weights" and run.made[0].metadata["made_from"] == [DATA.name]


def test_finishing_closes_the_run(begun: tuple[WandbTracker, _Run, dict[str, Any]]) -> None:
    tracker, run, _ = begun
    tracker.finish()
    assert run.finished == 1


def test_a_tracker_that_cannot_begin_says_so_in_its_own_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def init(**_: Any) -> None:
        raise wandb.errors.UsageError("No API key")

    monkeypatch.setattr(wandb, "init", init)
    with pytest.raises(UserError, match="tracker=wandb: No API key"):
        begin(tmp_path, "online")


def test_a_run_goes_on_under_its_id(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = dict[str, Any]()
    monkeypatch.setattr(wandb, "init", lambda **options: asked.update(options) or _Run())
    tracker = begin(tmp_path, run_id="abc")
    assert (asked["id"], asked["resume"], tracker.run_id) == ("abc", "allow", "abc")


def test_no_tracker_follows_nothing(tmp_path: Path) -> None:
    tracker: Tracker = NoTracker()
    tracker.log({"a": 1.0}, step=0)
    tracker.picture("a", tmp_path / "none.png", step=0)
    tracker.video("a", tmp_path / "none.mp4", step=0)
    tracker.finish()
    assert list(tmp_path.iterdir()) == []
