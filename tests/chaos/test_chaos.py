"""The judge detects every broken promise, and a few kills and faults break none; `make chaos` tries thousands."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from process_painter.console import VERBS
from tests.chaos.commands import SUBJECTS
from tests.training.toy_runs import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked, and looked at in /proc")

BREACHES = ("lost", "repeated", "silent", "traceback", "unclear", "left behind", "sound")
_TRY_ALL = """
import itertools, json, random, sys
from pathlib import Path
from tests.chaos import faults, results
from tests.chaos.commands import Subject
from tests.chaos.judge import Broken, trial, undisturbed

def ended(run):
    run.begin()
    run.end()
    return {}

def kept(out):
    return {"x": ((out / "x").stat().st_ino, 0)}

def try_one(breach, damaged, seed):
    subject = Subject(name=breach, words=("tests.chaos.careless", breach), needs=("data",), kept=kept)
    whole = undisturbed(root / "whole", root / "in", subject, ended)
    with trial(root / breach / str(seed), root / "in", subject, whole, random.Random(seed)) as one:
        if damaged:
            faults.damaged_input(one)
        else:
            one.must_be_right(one.run(), "nothing")
            one.note_kept()
            one.must_be_right(one.run(), "nothing")

root, seen = Path(sys.argv[1]), {}
(root / "in" / "data").mkdir(parents=True)
(root / "in" / "data" / "x").write_bytes(b"sound")
for breach in sys.argv[2:]:
    seen[breach] = "sound"
    try:
        for damaged, seed in itertools.product((False, True), range(3)):
            try_one(breach, damaged, seed)
    except Broken as broken:
        seen[breach] = broken.breach
print(json.dumps(seen))
"""


def _python(*overrides: str) -> "subprocess.CompletedProcess[str]":
    """Run code in a process of its own, which has no threads and can therefore be forked."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *overrides], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240
    )


def test_every_broken_promise_is_called_by_its_name(tmp_path: Path) -> None:
    done = _python("-c", _TRY_ALL, str(tmp_path), *BREACHES)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {breach: breach for breach in BREACHES}


def test_every_command_is_tried() -> None:
    tried = {word for subject in SUBJECTS for word in subject.words}
    serving = {"pipelines.app"}  # until it is ended: tests/pipelines/web
    assert set(VERBS.values()) - serving <= tried


def test_a_few_kills_and_faults_break_nothing(tmp_path: Path) -> None:
    words = ("--kills", "1", "--faults", "2", "--seed", "5", "--commands", "synth,verify,status,gallery")
    done = _python("-m", "tests.chaos", *words, "--out", str(tmp_path / "chaos"))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    records = [json.loads(line) for line in (tmp_path / "chaos" / "attempts-5.jsonl").read_text().splitlines()]
    assert sum(record["kills"] for record in records if record["fault"] == "kill") >= 1
    assert sum(record["fault"] != "kill" for record in records) == 2
    assert {record["outcome"] for record in records} == {"sound"}
    again = _python("-m", "tests.chaos", *words, "--out", str(tmp_path / "chaos"))  # goes on, and has nothing to do
    assert again.returncode == 0 and again.stdout == done.stdout[done.stdout.index("killed command") :]
