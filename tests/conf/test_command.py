"""The outer interface of every command: arguments, help, one-line errors, a summary and an exit code."""

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from conf.command import COMPLETE, INTERRUPTED, PARTIAL, Summary, command
from conf.compose import compose
from conf.errors import ConfigError, UserError
from pipelines.inference.config import paint_config
from pipelines.paint import has_paintings
from pipelines.synthesis.config import SynthConfig, synth_config
from pipelines.synthesis.dataset_folder import has_shards
from tests.pipelines.runs import COMMAND, REPOSITORY

NOT_UTF8 = os.fsdecode(b"caf\xe9")
MIX = yaml.safe_load((REPOSITORY / "conf" / "renderer" / "mix.yaml").read_text())
HEAVY = ("torch", "ray", "numba", "wandb", "diffusers", "hydra", "pyarrow.parquet")

WRONG = [
    # (words, what the one line must say)
    (["sizee=64"], ["sizee=64", "size"]),
    (["source.pathh=x"], ["source.pathh=x", "source.kind"]),
    (["+foo=1"], ["foo=1", "num_sequences"]),
    (["+frames.foo=1"], ["frames.foo=1", "spacing"]),
    (["size"], ["size", "key=value"]),
    (["--size=64"], ["--size=64"]),
    (["=3"], ["=3", "key=value"]),
    (["~size"], ["~size"]),
    (["size=64,128"], ["size=64,128", "384x256"]),
    (["size='"], ["size='"]),
    (["x" * 5000 + "=1"], ["no such key"]),
    (["renderer=finger"], ["renderer=finger", "bezier", "mix"]),
    (["renderer=" + "x" * 300], ["bezier"]),
    (["renderer=null"], ["renderer=null", "bezier"]),
    (["renderer="], ["renderer=", "bezier"]),
    (["source=folders"], ["source=folders", "folder", "scenes"]),
    (["cluster=cloud"], ["cluster=cloud", "inline", "local", "ray"]),
    (["tracker=null"], ["tracker=null", "wandb"]),
    (["source=folder"], ["source.path", "required"]),
    (["render=oil"], ["render=oil", "renderer"]),
    (["q=1"], ["q=1", "there are source, renderer, cluster, tracker, out", "frames"]),
    (["stage=motion"], ["stage=motion", "no such key", "renderer"]),
    (["renderer@((=oil"], ["renderer@((=oil", "no such key"]),
    (["hydra.run.dir=elsewhere"], ["hydra.run.dir=elsewhere", "no such key"]),
    (["hydra/launcher=joblib"], ["hydra/launcher=joblib", "no such key"]),
    (["/tmp=x"], ["/tmp=x", "no such key"]),
    (["~tracker=none"], ["~tracker=none", "cannot be removed"]),
    (["size.x=3"], ["size.x=3", "no such key"]),
    (["--cfg", "hydra"], ["--cfg job"]),
    (["--cfg"], ["--cfg job"]),
    (["size=0"], ["size=0", "64 to 1024"]),
    (["size=63"], ["size=63", "64 to 1024"]),
    (["size=64x2000"], ["size=64x2000", "64 to 1024"]),
    (["size=big"], ["size=big", "384x256"]),
    (["size=null"], ["size=null", "384x256"]),
    (["fit=squeeze"], ["fit=squeeze", "crop, pad, stretch"]),
    (["num_frames=1"], ["num_frames=1", "2 to 256"]),
    (["num_frames=257"], ["num_frames=257", "2 to 256"]),
    (["num_frames=8.5"], ["num_frames=8.5", "whole number"]),
    (["num_frames=true"], ["num_frames=true", "whole number"]),
    (["frames=null"], ["frames=null", "spacing"]),
    (["frames.spacing=even"], ["frames.spacing=even", "distance, log, uniform"]),
    (["frames.format=gif"], ["frames.format=gif", "webp, png, jpg"]),
    (["seed=-1"], ["seed=-1", "from 0"]),
    (["seed=1.5"], ["seed=1.5", "whole number"]),
    (["seed=null"], ["seed=null", "whole number"]),
    (["seed=99999999999999999999"], ["seed=9999", "9223372036854775807"]),
    (["num_sequences=0"], ["num_sequences=0", "from 1"]),
    (["num_sequences=1000000000000"], ["num_sequences=1000000000000", "100000000"]),
    (["num_workers=0"], ["num_workers=0", "from 1"]),
    (["shard_size=0"], ["shard_size=0", "from 1"]),
    (["val_fraction=1"], ["val_fraction=1", "less than 1"]),
    (["val_fraction=some"], ["val_fraction=some", "a number"]),
    (["val_fraction=nan"], ["val_fraction=nan", "less than 1"]),
    (["max_quarantined=2"], ["max_quarantined=2", "0 to 1"]),
    (["max_quarantined=null"], ["max_quarantined=null", "a number"]),
    (["gallery=perhaps"], ["gallery=perhaps", "true or false"]),
    (["out="], ["out=", "a path"]),
    (["out=null"], ["out=null", "a path"]),
    (["source.seed=-1"], ["source.seed=-1", "0 or more"]),
    (["source.num_pictures=0"], ["source.num_pictures=0", "1 to 100000000"]),
    (["source.kinds=[dragon]"], ["source.kinds", "dragon", "landscape"]),
    (["source.kinds=boat"], ["source.kinds=boat", "a list"]),
    (["renderer=bezier", "renderer.num_strokes=9"], ["renderer.num_strokes=9", "10 to 5000"]),
    (["renderer=bezier", "renderer.num_strokes=many"], ["renderer.num_strokes=many", "whole number"]),
    (["renderer=bezier", "renderer.preset=slow"], ["renderer.preset=slow", "fast", "std", "best"]),
    (["renderer=bezier", "renderer.canvas=[1,2,3]"], ["renderer.canvas", "0 to 1"]),
    (["renderer=bezier", "renderer.family=finger"], ["renderer.family=finger", "bezier"]),
    (["renderer=oil", "brush@renderer.brush=mop"], ["brush@renderer.brush=mop", "filbert"]),
    (["renderer=oil", "brush=fan"], ["brush=fan", "brush@renderer.brush"]),
    (["renderer=oil", "brush.path=a.png"], ["brush.path=a.png", "renderer.brush.path"]),
    (["renderer=oil", "renderer.brush.bristles=1"], ["renderer.brush.bristles=1", "2 to 200"]),
    (["renderer=oil", "renderer.brush.kind=mop"], ["renderer.brush.kind=mop", "bristle"]),
    (["renderer=oil", "renderer.brush.height_path=a.png"], ["renderer.brush.height_path=a.png", "path"]),
    (["renderer.members.bezier=null"], ["renderer.members.bezier=null", "a group of keys"]),
    (["renderer.members.bezier.preset=slow"], ["renderer.members.bezier.preset=slow", "fast"]),
    (["renderer.weights=3"], ["renderer.weights=3", "a group of keys"]),
    (["renderer.weights.bezier=-1"], ["renderer.weights.bezier=-1", "from 0"]),
    (["renderer.weights.bezier=inf"], ["renderer.weights.bezier=inf", "from 0"]),
    (["renderer.weights.bezier=lots"], ["renderer.weights.bezier=lots", "a number"]),
    (["+renderer.weights.finger=1"], ["renderer.weights.finger=1", "bezier"]),
    ([f"renderer.weights.{name}=0" for name in MIX["weights"]], ["renderer.weights", "above 0"]),
    (["cluster.kind=cloud"], ["cluster.kind=cloud", "local"]),
    (["cluster.cpu=nonsense"], ["cluster.cpu=nonsense", "native"]),
    (["cluster=ray", "cluster.address=nowhere"], ["cluster.address=nowhere", "Ray cluster"]),
    (["tracker=wandb", "tracker.mode=shy"], ["tracker.mode=shy", "offline"]),
]


@pytest.mark.parametrize(("overrides", "messages"), WRONG, ids=[" ".join(overrides)[:40] for overrides, _ in WRONG])
def test_bad_words_are_told_in_one_line_and_leave_nothing(
    overrides: list[str],
    messages: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert (
        _synth(["cluster=inline", *overrides] if not any(w.startswith("cluster=") for w in overrides) else overrides)
        == 2
    )
    _check_line(capsys.readouterr().err, messages)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("overrides", [["sizee=64"], ["renderer=finger"], ["size=0"], ["source=folder"], ["seed=x"]])
def test_a_real_process_exits_with_2_and_one_line(overrides: list[str], tmp_path: Path) -> None:
    done = subprocess.run([*COMMAND, *overrides], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    _check_line(done.stderr, [overrides[0].partition("=")[0]])
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_help_tells_every_key_and_choice(capsys: pytest.CaptureFixture[str]) -> None:
    assert command("synth", synth_config, _never, "What it does.", ["--help"]) == COMPLETE
    told = capsys.readouterr().out
    plain = yaml.safe_load((REPOSITORY / "conf" / "synth.yaml").read_text())
    keys = [key for key in plain if key != "defaults"]
    assert len(keys) > 8
    for key in [
        *keys,
        "source.path",
        "renderer.num_strokes",
        "cluster.address",
        "tracker.mode",
        "source=folder|hf|parquet|scenes|",
        "brush@renderer.brush=dry|fan|",
        "brush@renderer.wash_brush=",
        "renderer.brush.bristles",
        "renderer.wash_brush.granulation",
    ]:
        assert key in told, key
    assert "What it does." in told


def test_help_comes_without_loading_what_is_heavy(tmp_path: Path) -> None:
    code = (
        "import sys, json\nfrom pipelines import synth\nfrom conf.command import command\n"
        "code = command('synth', synth.synth_config, synth.run, synth.__doc__, ['--help'])\n"
        f"print(json.dumps([code, [name for name in {HEAVY!r} if name in sys.modules]]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == [COMPLETE, []]


def test_cfg_shows_the_composed_configuration_and_runs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert command("synth", synth_config, _never, "", ["size=96x64", "--cfg", "job", "renderer=bezier"]) == COMPLETE
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown["size"] == "96x64"
    assert shown["renderer"]["family"] == "bezier"


def test_a_summary_is_printed_and_its_code_returned(capsys: pytest.CaptureFixture[str]) -> None:
    def run(config: SynthConfig) -> Summary:
        return Summary(lines=("one", "two"), exit_code=PARTIAL)

    assert command("synth", synth_config, run, "", []) == PARTIAL
    assert capsys.readouterr().out == "one\ntwo\n"


@pytest.mark.parametrize("error", [UserError("a\nb"), ConfigError("key", "a\nb", "c\nd")])
def test_an_error_of_several_lines_is_told_in_one(error: UserError, capsys: pytest.CaptureFixture[str]) -> None:
    def run(config: SynthConfig) -> Summary:
        raise error

    assert command("synth", synth_config, run, "", []) == 2
    _check_line(capsys.readouterr().err, ["a b"])


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_promises_to_go_on_where_something_was_kept(
    kept: bool, number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(config: SynthConfig) -> Summary:
        signal.raise_signal(number)
        raise AssertionError("it was told to stop")

    # As in a new process: jobs in the background ignore the one, and Ray, in tests before this, handles the other.
    before = (
        (signal.SIGINT, signal.signal(signal.SIGINT, signal.default_int_handler)),
        (signal.SIGTERM, signal.signal(signal.SIGTERM, signal.SIG_DFL)),
    )
    try:
        assert command("synth", synth_config, run, "", [], can_continue=lambda _: kept) == INTERRUPTED
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        for each, handler in before:
            signal.signal(each, handler)
    line = capsys.readouterr().err
    assert line.startswith("interrupted") and ("to continue" in line) == kept and line.count("\n") == 1


def test_interrupted_before_anything_is_known_promises_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    def configure(plain: dict[str, Any]) -> SynthConfig:
        raise KeyboardInterrupt

    assert command("synth", configure, _never, "", [], can_continue=lambda _: True) == INTERRUPTED
    assert capsys.readouterr().err == "interrupted\n"


def test_what_is_kept_is_what_was_committed(tmp_path: Path) -> None:
    synth = synth_config(compose("synth", [f"out={tmp_path / 'data'}"]))
    paint = paint_config(compose("paint", ["prompt=a", f"out={tmp_path / 'paintings'}"]))
    assert not has_shards(synth) and not has_paintings(paint)
    for name in ("data/shards/train-00000-of-00001.json", "paintings/boat/report.json"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    assert has_shards(synth) and has_paintings(paint)


def test_the_next_command_can_be_copied_into_a_shell(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    out = "it's my data; $HOME (1)"
    assert (
        _synth(["cluster=inline", "size=64", "num_sequences=1", "renderer=small", "gallery=false", f"out={out}"]) == 0
    )
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("next: ")]
    assert shlex.split(line.removeprefix("next: ")) == ["python", "-m", "pipelines.verify", f"dataset={out}"]


@pytest.mark.parametrize(
    ("overrides", "message"), [(["size=0"], "64 to 1024"), (["renderer=oil", "renderer.palette=1"], "2")]
)
def test_cfg_checks_values_as_a_run_does(
    overrides: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("synth", synth_config, _never, "", [*overrides, "--cfg", "job"]) == 2
    _check_line(capsys.readouterr().err, [overrides[-1], message])


@pytest.mark.parametrize("overrides", [["--help"], ["--cfg", "job"]])
def test_a_reader_that_has_seen_enough_is_no_fault(overrides: list[str], tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([*COMMAND, *overrides], cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (done.returncode, done.stderr) == (COMPLETE, "")


@pytest.mark.parametrize("key", ["out", "source.path", "source.caption", "renderer.phrase", "renderer.brush.path"])
def test_a_path_or_text_that_is_not_utf_8_is_refused_in_one_line(key: str, tmp_path: Path) -> None:
    folder = tmp_path / NOT_UTF8
    folder.mkdir()
    words = ["source=folder", f"source.path={tmp_path}", "renderer=oil", f"{key}={folder}"]
    done = subprocess.run([*COMMAND, *words], cwd=tmp_path, capture_output=True)
    assert done.returncode == 2 and not done.stdout
    _check_line(done.stderr.decode(), [f"error: {key}={tmp_path}/caf\\udce9: not allowed", "text in UTF-8"])
    assert list(tmp_path.rglob("*")) == [folder]


def test_a_working_directory_whose_name_is_not_utf_8_is_as_good_as_any(tmp_path: Path) -> None:
    folder = tmp_path / NOT_UTF8
    folder.mkdir()
    done = subprocess.run([*COMMAND, "--config-dir", ".", "--cfg", "job"], cwd=folder, capture_output=True, check=True)
    assert yaml.safe_load(done.stdout)["out"] == "outputs/dataset"


def test_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert command("synth", synth_config, _never, "", ["--version"]) == COMPLETE
    assert capsys.readouterr().out == f"process-painter {version('process-painter')}\n"


def _synth(overrides: Sequence[str]) -> int:
    from tests.pipelines.runs import synth

    return synth(*overrides)


def _never(config: SynthConfig) -> Summary:
    raise AssertionError("it ran")


def _check_line(text: str, messages: Sequence[str]) -> None:
    assert text.startswith("error: ")
    assert text.count("\n") == 1
    assert "Traceback" not in text
    for part in messages:
        assert part in text
