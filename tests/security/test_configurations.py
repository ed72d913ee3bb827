"""What is typed, or stands in a configuration, is text: nothing in it is made, run, looked up or repeated."""

import json
import time
from pathlib import Path

import pytest

from conf.command import Summary, command
from conf.compose import _with_groups, compose
from conf.errors import UserError
from conf.recipe import plain_containers
from conf.value import read_value
from pipelines.synthesis.config import synth_config
from tests.pipelines.runs import PAINT_FAST, save_picture, synth

LOOKED_UP = ("${oc.env:PAINTER_SECRET}", "${oc.decode:${oc.env:PAINTER_SECRET}}", "${hydra:runtime.cwd}", "${seed}")
OBJECTS = (
    "!!python/object/apply:os.system [touch ran]",
    "!!python/object/new:type [a, [], {}]",
    "!!python/name:os.system",
    "{_target_: os.system, command: touch ran}",
    "{_target_: subprocess.run, _args_: [touch, ran]}",
)
ANCHORS = "&a [x,x,x,x,x,x,x,x,x] &b [*a,*a,*a,*a,*a,*a] &c [*b,*b,*b,*b,*b]"


@pytest.mark.parametrize("value", [*LOOKED_UP, *OBJECTS[:3], ANCHORS])
@pytest.mark.parametrize("key", ["source.path", "out", "source.licence", "source.caption"])
def test_values_that_mean_something_elsewhere_are_text_here(
    key: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAINTER_SECRET", "s3cret")
    monkeypatch.chdir(tmp_path)
    overrides = ["source=folder", "source.path=p", "out=o", f"{key}={value}"]
    plain = compose("synth", overrides)
    assert "s3cret" not in repr(plain) and value in repr(plain).replace("'", "")
    try:
        config = synth_config(plain)
    except UserError:
        return
    assert "s3cret" not in json.dumps(plain_containers(config.source)) and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", OBJECTS)
@pytest.mark.parametrize("key", ["source", "renderer", "frames", "tracker", "cluster", "+anything"])
def test_nothing_is_made_of_a_class_that_a_value_names(
    key: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code = command("synth", synth_config, lambda _: Summary(lines=()), "A test.", [f"{key}={value}", "out=o"])
    assert code == 2 and capsys.readouterr().err.startswith("error: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "value", ["[" * 10_000, "{a: " * 10_000, "[" * 32 + "]" * 32, "[" + "x," * 100_000 + "]", "'" * 9999]
)
def test_values_that_nest_or_repeat_are_read_soon(value: str) -> None:
    start = time.monotonic()
    read_value(value)
    assert time.monotonic() - start < 20


def test_no_variable_of_the_environment_reaches_a_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PAINTER_SECRET", "s3cret")
    secret = "${oc.env:PAINTER_SECRET}"
    (tmp_path / "in").mkdir()
    save_picture(tmp_path / "in" / f"{secret}.png", 1)
    (tmp_path / "in" / f"{secret}.txt").write_text(secret)
    out = tmp_path / "out"
    overrides = (*PAINT_FAST, "cluster=inline", "source=folder", f"source.path={tmp_path / 'in'}", f"out={out}")
    assert synth(*overrides, f"source.licence={secret}", f"renderer.phrase={secret}") == 0
    assert secret in (out / "dataset.json").read_text()
    assert not [path for path in out.rglob("*") if path.is_file() and b"s3cret" in path.read_bytes()]
    printed = capsys.readouterr()
    assert "s3cret" not in printed.out + printed.err


HOSTILE_FILES = {
    "looks up a variable": "phrase: ${oc.env:PAINTER_SECRET}\n",
    "looks one up among its defaults": "defaults:\n  - ${oc.env:PAINTER_SECRET}\nphrase: x\n",
    "looks up a key": "phrase: ${seed}\n",
    "makes an object": "phrase: !!python/object/apply:os.system [touch ran]\n",
    "names a module": "phrase: !!python/name:os.system\n",
    "has a tag of its own": "phrase: !secret x\n",
    "repeats": "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a]\nphrase: [*b,*b,*b,*b]\n",
    "repeats without end": "phrase: &a [*a]\n",
    "nests": "phrase: " + "[" * 5000 + "]" * 5000 + "\n",
    "nests in blocks": "\n".join(" " * depth + "a:" for depth in range(500)) + " 1\n",
    "is long": "phrase: " + "x" * 2_000_000,
    "controls": "phrase: '\x1b[2J'\n",
    "is no YAML": "phrase: [",
}


@pytest.mark.parametrize("kind", HOSTILE_FILES)
def test_yaml_of_strangers_looks_up_makes_and_repeats_nothing(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PAINTER_SECRET", "s3cret")
    folder = tmp_path / "own"
    (folder / "renderer").mkdir(parents=True)
    (folder / "renderer" / "mine.yaml").write_text("defaults:\n  - oil\n  - _self_\nphrase: painted by me\n")
    overrides = ["--config-dir", str(folder), "renderer=mine", "out=o", "--cfg", "job"]
    assert command("synth", synth_config, lambda _: Summary(lines=()), "A test.", overrides) == 0
    assert "phrase: painted by me" in capsys.readouterr().out
    (folder / "renderer" / "mine.yaml").write_text(HOSTILE_FILES[kind])
    _with_groups.cache_clear()
    start = time.monotonic()
    assert command("synth", synth_config, lambda _: Summary(lines=()), "A test.", overrides) == 2
    output = capsys.readouterr()
    assert output.err.startswith(f"error: --config-dir {folder}: renderer/mine.yaml: ") and output.err.count("\n") == 1
    assert "s3cret" not in output.out + output.err and time.monotonic() - start < 20


def test_comments_of_strangers_are_harmless_in_help(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "renderer").mkdir()
    (tmp_path / "renderer" / "mine.yaml").write_text("# \u202egnp\x1b[2J\ndefaults:\n  - oil\n")
    words = ["--config-dir", str(tmp_path), "--help"]
    assert command("synth", synth_config, lambda _: Summary(lines=()), "A test.", words) == 0
    assert "\x1b" not in (told := capsys.readouterr().out) and "\u202e" not in told and "renderer=mine" in told
