"""Several jobs from one command line."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conf.command import BAD_CONFIGURATION, COMPLETE, PARTIAL, command
from conf.errors import ConfigError, UserError
from conf.sweep import Job, in_own_folder, jobs_of
from pipelines.verify import run as run_verify
from pipelines.verify import verify_config
from tests.pipelines.runs import PAINT_FAST, synth

RENDERERS = ["bezier", "ink", "oil", "oil_fast"]


def no_choices(group: str) -> list[str]:
    return []


def words_of(*overrides: str) -> list[tuple[str, ...]]:
    return [job.settings for job in jobs_of(overrides, lambda group: RENDERERS if group == "renderer" else [])]


def test_every_combination_is_a_job_and_the_last_key_changes_first() -> None:
    assert words_of("seed=0,1", "renderer=oil,ink", "size=64") == [
        ("seed=0", "renderer=oil", "size=64"),
        ("seed=0", "renderer=ink", "size=64"),
        ("seed=1", "renderer=oil", "size=64"),
        ("seed=1", "renderer=ink", "size=64"),
    ]


@pytest.mark.parametrize(
    ("word", "values"),
    [
        ("seed=range(1,4)", ["1", "2", "3"]),
        ("seed=range(0,9,4)", ["0", "4", "8"]),
        ("renderer=glob(oil*)", ["oil", "oil_fast"]),
        ("renderer=choice(oil, ink)", ["oil", "ink"]),
        ("prompt='a boat, at sea','a hill'", ["'a boat, at sea'", "'a hill'"]),
        ("canvas=[1,1,1],[0,0,0]", ["[1,1,1]", "[0,0,0]"]),
        ("data={path: a, weight: 2},{path: b}", ["{path: a, weight: 2}", "{path: b}"]),
        ("prompt=it's one, text", ["it's one, text"]),
        ("prompt='sort(b,a)',a hill (range)", ["'sort(b,a)'", "a hill (range)"]),
        ("prompt=a) b,c", ["a) b", "c"]),
        ("out=", [""]),
    ],
)
def test_values_are_listed_as_in_hydra(word: str, values: list[str]) -> None:
    key = word.partition("=")[0]
    assert words_of(word) == [(f"{key}={value}",) for value in values]


@pytest.mark.parametrize(
    "word",
    [
        "seed=range(a,b)", "seed=range(3,1)", "renderer=glob(x*)", "seed=glob(*)", "seed", "seed=range(,)",
        "seed=0,1,0", "seed=shuffle(0,1)", "seed=interval(0,1)", "prompt=sort(b,a)", "seed=tag(a,0,1)",
        "seed=choice(0,1),2", "seed=7,range(0,3)",
    ],
)  # fmt: skip
def test_what_lists_no_values_is_refused(word: str) -> None:
    with pytest.raises(UserError):
        words_of(word)


def test_a_key_swept_twice_and_too_many_jobs_are_refused() -> None:
    with pytest.raises(UserError, match="set twice"):
        words_of("seed=1,2", "seed=3")
    with pytest.raises(UserError, match="at most"):
        words_of("seed=range(0,1000)", "size=range(64,100)")


@pytest.mark.timeout(20)
def test_a_range_of_more_jobs_than_memory_holds_is_refused_at_once() -> None:
    for stop in (10**4 + 1, 10**11, 10**30):
        with pytest.raises(UserError, match="allowed: at most 10000"):
            words_of(f"seed=range(0,{stop})")
    assert len(words_of("seed=range(0,10000)")) == 10_000


@given(st.lists(st.text(min_size=1, max_size=300), min_size=2, max_size=5, unique=True))
def test_jobs_have_names_of_their_own_that_are_safe_file_names(values: list[str]) -> None:
    names = [Job((), {"prompt": value}).name for value in values]
    assert len(set(names)) == len(values)
    assert all("/" not in name and not name.startswith(".") and len(name.encode()) <= 200 for name in names)


def test_each_job_writes_to_a_place_of_its_own() -> None:
    job = Job(("seed=1", "out=x"), {"seed": "1"})
    assert in_own_folder(job, "outputs/v1.5", file=False).settings == ("seed=1", "out=outputs/v1.5/seed=1")
    assert in_own_folder(job, "a/film.mp4", file=True).settings == ("seed=1", "out=a/film/seed=1.mp4")
    own = Job(("out=x",), {"out": "x"})
    assert in_own_folder(own, "x", file=False) == own
    with pytest.raises(ConfigError, match="a local path, with --multirun"):
        in_own_folder(job, "s3://bucket/x", file=False)
    assert in_own_folder(job, ".", file=False).settings == ("seed=1", "out=seed=1")
    for out in (".", "..", "/"):
        with pytest.raises(ConfigError, match=r"^out=[./]+: not allowed; allowed: a path that ends with a name, such"):
            in_own_folder(job, out, file=True)


def test_a_wrong_job_is_refused_before_any_begins(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert synth("-m", "size=64,32", f"out={tmp_path / 'out'}") == BAD_CONFIGURATION
    assert capsys.readouterr().err.startswith("error: size=32")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (["hydra/launcher=ray"], "pip install hydra-ray-launcher"),
        (["hydra/launcher=nobody"], "basic"),
        (["hydra.launcher.nothing=2"], "not understood by Hydra"),
        (["hydra.sweep.dir=elsewhere"], "use out="),
        (["hydra.verbose=true"], "hydra/launcher and hydra.launcher.* are allowed"),
        (["hydra.launcher._target_=os.system"], "not understood by Hydra"),
        (["hydra/launcher=nobody", "--cfg", "job"], "basic"),
    ],
)
def test_a_launcher_that_will_not_do_is_told_in_one_line(
    overrides: list[str], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert synth("-m", "seed=0,1", f"out={tmp_path / 'out'}", *overrides) == BAD_CONFIGURATION
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and reason in error
    assert not (tmp_path / "out").exists()


def test_what_a_launcher_raises_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=0"]
    assert synth("-m", "seed=0,1", f"out={tmp_path / 'a' / 'out'}", *launcher) == BAD_CONFIGURATION
    assert capsys.readouterr().err == "error: hydra/launcher=joblib hydra.launcher.n_jobs=0: " + (
        "n_jobs == 0 in Parallel has no meaning\n"
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["${HOME}", "${oc.env:HOME}", "\\${HOME}", "\\\\${x}", "$HOME", "${HOME}${x}"])
def test_jobs_run_on_what_was_typed_and_look_nothing_up(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = ["-m", f"dataset=/nowhere/{text},/nowhere/b"]
    assert command("verify", verify_config, run_verify, "", sweep) == PARTIAL
    assert f"error: dataset=/nowhere/{text}: no such folder" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["sweep.json", "dataset.json", "notes.txt"])
def test_a_sweep_leaves_other_peoples_folders_alone(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text("mine")
    assert synth("-m", "seed=0,1", "num_sequences=1", f"out={tmp_path}") == BAD_CONFIGURATION
    assert "that of a sweep; this one holds" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_a_sweep_folder_that_cannot_be_made_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("mine")
    assert synth("-m", "seed=0,1", "num_sequences=1", f"out={tmp_path / 'file'}") == BAD_CONFIGURATION
    assert capsys.readouterr().err == f"error: out={tmp_path / 'file'}: File exists\n"


def test_torchrun_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert synth("-m", "seed=0,1", f"out={tmp_path / 'out'}") == BAD_CONFIGURATION


def test_a_sweep_runs_its_jobs_closes_with_a_table_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = [
        "-m", "seed=0,1", *PAINT_FAST, "num_sequences=2", "cluster=inline", "gallery=false", f"out={tmp_path / 'out'}",
    ]  # fmt: skip
    assert synth(*overrides) == COMPLETE
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["job", "seed", "exit", "code", "seconds", "result"]
    assert [line.split()[:3] for line in lines[1:3]] == [["1", "0", "0"], ["2", "1", "0"]]
    results = json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert [result["swept"] for result in results] == [{"seed": "0"}, {"seed": "1"}]
    first, second = (tmp_path / "out" / f"seed={seed}" for seed in (0, 1))
    assert (first / "dataset.json").read_bytes() != (second / "dataset.json").read_bytes()
    assert "painting: 2/2" in (tmp_path / "out" / "seed=0.log").read_text()

    assert synth(*overrides) == COMPLETE  # again: everything is there
    assert "2 were there already" in capsys.readouterr().out

    # What writes nothing is swept as well, and one job's fault does not end the others.
    sweep = ["-m", f"dataset={tmp_path / 'missing'},{first}"]
    assert command("verify", verify_config, run_verify, "", sweep) == PARTIAL
    out = capsys.readouterr().out
    assert "no such folder" in out and "sound, complete" in out


def test_a_sweep_of_one_job_writes_what_that_job_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    overrides = [*PAINT_FAST, "seed=0", "num_sequences=1", "cluster=inline", "gallery=false"]
    assert synth("-m", *overrides, f"out={tmp_path / 'swept'}") == COMPLETE
    assert "made 1 sequence in" in capsys.readouterr().out
    assert synth(*overrides, f"out={tmp_path / 'plain'}") == COMPLETE
    swept, plain = (sorted(path.name for path in (tmp_path / name).iterdir()) for name in ("swept", "plain"))
    assert swept == plain


def test_jobs_run_side_by_side_by_a_launcher_of_hydra(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    words = f"-m seed=0,1 {shlex.join(PAINT_FAST)} num_sequences=1 cluster=inline gallery=false hydra/launcher=joblib"
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.synth", *shlex.split(words), "hydra.launcher.n_jobs=2", f"out={tmp_path}/o"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.count("made 1 sequence ") == 2
    assert (tmp_path / "o" / "seed=1" / "dataset.json").exists()
