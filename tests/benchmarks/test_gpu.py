"""The table of a GPU: how rows are run, and the data on which ranks train."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from benchmarks import gpu, gpu_data
from benchmarks.gpu_data import Prepared, make_once

_WITH_GRANDCHILD = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, file=open(sys.argv[1], "w"), flush=True)
time.sleep(600)
"""


def test_what_a_row_started_ends_when_its_time_is_over(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    start = time.monotonic()
    assert gpu.output_of([sys.executable, "-c", _WITH_GRANDCHILD, str(file)], os.environ, 3.0) is None
    assert time.monotonic() - start < 60
    grandchild = Path("/proc") / file.read_text().strip() / "stat"
    for _ in range(100):
        if not grandchild.exists() or grandchild.read_text().split(") ")[1][0] == "Z":  # nobody may wait for it
            break
        time.sleep(0.1)
    else:
        raise AssertionError("it still runs")
    done = gpu.output_of([sys.executable, "-c", "print(7)"], os.environ, 60.0)
    assert done is not None and done.stdout == "7\n" and done.returncode == 0


@pytest.mark.parametrize("num_ranks", [1, 8])
def test_there_is_enough_for_a_step_of_all_ranks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_ranks: int
) -> None:
    sequences = {"large": 0, "small": 0}
    encoded = list[str]()

    def run(module: str, overrides: list[str]) -> None:
        said = dict(override.split("=", 1) for override in overrides)
        if module == "pipelines.encode":
            encoded.append(said["dataset"])
        else:
            sequences[Path(said["out"]).parent.name] += int(said["num_sequences"])

    monkeypatch.setattr(gpu_data, "run_module", run)
    monkeypatch.setattr(gpu_data, "_save_base", lambda folder, trial: None)
    prepared = Prepared(out=tmp_path, trial=False, num_ranks=num_ranks)
    prepared.make(gpu.kinds_of(list(gpu.ROWS)))
    assert sequences["large"] >= 8 * num_ranks and sequences["small"] >= 256 * num_ranks
    assert encoded == [str(part) for part in prepared.parts("large")]


def test_the_first_rank_makes_data_and_removes_the_run_before_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = list[object]()
    monkeypatch.setattr(Prepared, "make", lambda self, kinds: made.append(kinds))
    prepared = Prepared(out=tmp_path, trial=True, num_ranks=2)
    (tmp_path / "prepared-of-another-torchrun").touch()
    (tmp_path / "run").mkdir()
    monkeypatch.setenv("RANK", "1")
    other = threading.Thread(target=make_once, args=(prepared, {"large"}, [tmp_path / "run"]), daemon=True)
    other.start()
    time.sleep(0.5)
    assert other.is_alive() and not made
    monkeypatch.setenv("RANK", "0")
    make_once(prepared, {"large"}, [tmp_path / "run"])
    other.join(10)
    assert not other.is_alive() and made == [{"large"}] and not (tmp_path / "run").exists()


def test_ranks_share_the_cores_and_the_cache_of_the_compiler_which_is_set_before_torch_reads_it(tmp_path: Path) -> None:
    settings = gpu.compiler_settings(tmp_path, 4)
    assert settings["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "compiled")
    assert settings["TORCHINDUCTOR_COMPILE_THREADS"] == str(max(1, (os.cpu_count() or 1) // 4))
    check = "import sys, benchmarks.gpu; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
    assert gpu.num_workers(10**6) == 1


def test_rows_that_decide_come_first() -> None:
    assert list(gpu.ROWS)[:7] == [
        "base-256", "base-256-graph", "paint", "motion-4", "raster", "motion-4-latents-compiled", "paint-compiled",
    ]  # fmt: skip
    assert gpu.kinds_of(["paint", "raster", "sam"]) == set()
    assert gpu.kinds_of(["motion-4", "motion-8-latents-compiled", "base-256"]) == {"large", "latents", "small"}
