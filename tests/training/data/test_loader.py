"""Processes that read ahead: they end when nobody needs them, and trouble with them is told in one line."""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from conf.errors import UserError
from tests.pipelines.small_dataset import small_dataset
from training.data.claim import sole_writer
from training.data.stream import DataMixture, SequenceStream

CAPTIONS = tuple(f"picture {number}" for number in range(9))


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> SequenceStream:
    root = small_dataset(tmp_path_factory.mktemp("loader") / "scenes", captions=CAPTIONS, num_frames=2)
    return SequenceStream.open([DataMixture(path=str(root))])


def wait_until(true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 30
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    return true()


def ours() -> list[int]:
    return [process.pid for process in multiprocessing.active_children() if process.pid is not None]


def test_closed_or_forgotten_batches_leave_no_process(stream: SequenceStream) -> None:
    before = set(ours())
    for ending in ("close", "with", "forget"):
        batches = stream.batches(seed=0, batch_size=2, num_workers=2)
        next(batches)
        assert len(set(ours()) - before) == 2
        if ending == "close":
            batches.close()
            with pytest.raises(StopIteration):
                next(batches)
        elif ending == "with":
            with batches:
                next(batches)
        del batches
        gc.collect()
        assert wait_until(lambda: set(ours()) == before), ending


def test_batches_stay_as_they_were_while_others_are_read(stream: SequenceStream) -> None:
    """The memory that workers write to is used again; what has been handed over is not in it."""
    with stream.batches(seed=0, batch_size=1, num_workers=1) as batches:
        held = [next(batches) for _ in range(12)]
        views = [
            batch.frames.flatten(0, 1)[1:] for batch in (next(batches) for _ in range(6)) if batch.frames is not None
        ]
    with stream.batches(seed=0, batch_size=1) as batches:
        for kept in held:
            fresh = next(batches)
            assert kept.frames is not None and fresh.frames is not None
            assert kept.keys == fresh.keys and torch.equal(kept.frames, fresh.frames)
        for view in views:  # of batches that nobody holds any more
            fresh = next(batches)
            assert fresh.frames is not None and torch.equal(view, fresh.frames.flatten(0, 1)[1:])


def _no_memory(*_: object) -> None:
    raise RuntimeError("unable to open shared memory object </torch_1> in read-write mode: Read-only file system (30)")


def _too_little_memory(*_: object) -> None:
    raise RuntimeError("unable to write to file </torch_7_19_0>: No space left on device (28)")


def _short_files(*_: object) -> None:
    raise RuntimeError("unable to resize file </torch_7_19_0> to the right size: File too large (27)")


def _no_semaphore(*_: object, **__: object) -> None:
    raise OSError(30, "Read-only file system")


@pytest.mark.parametrize(
    ("what", "fails", "reason"),
    [
        ("torch.Tensor.share_memory_", _no_memory, "Read-only file system"),
        ("torch.Tensor.share_memory_", _too_little_memory, "No space left on device"),
        ("torch.Tensor.share_memory_", _short_files, "File too large"),
        ("_multiprocessing.SemLock", _no_semaphore, "Read-only file system"),
    ],
)
def test_without_shared_memory_readers_are_refused_in_one_line(
    what: str, fails: Callable[..., None], reason: str, stream: SequenceStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = set(ours())
    monkeypatch.setattr(what, fails)
    with pytest.raises(UserError, match=rf"^num_workers=1: .*{reason}.*num_workers=0 reads in"):
        stream.batches(seed=0, batch_size=1, num_workers=1)
    with stream.batches(seed=0, batch_size=1) as batches:
        next(batches)
    assert set(ours()) == before


@pytest.mark.parametrize("workers", [0, 1])
def test_reading_does_not_touch_the_global_random_state(stream: SequenceStream, workers: int) -> None:
    before = torch.get_rng_state()
    with stream.batches(seed=0, batch_size=2, num_workers=workers) as batches:
        next(batches)
    assert torch.equal(before, torch.get_rng_state())


def test_a_signal_to_the_whole_group_leaves_the_readers_to_the_trainer(stream: SequenceStream) -> None:
    """A scheduler that ends a job signals every process of it; the trainer still wants to save."""
    before = set(ours())
    with stream.batches(seed=0, batch_size=2, num_workers=2) as batches:
        next(batches)
        next(batches)  # of the other one: now both are there
        readers = [str(pid) for pid in set(ours()) - before]
        for name in ("-TERM", "-INT"):  # from somebody else than the trainer
            subprocess.run(["kill", name, *readers], check=True)
        for _ in range(12):  # more than had been read ahead
            next(batches)


def test_a_reader_that_dies_is_told_in_one_line(stream: SequenceStream) -> None:
    before = set(ours())
    with stream.batches(seed=0, batch_size=1, num_workers=1) as batches:
        next(batches)
        (pid,) = set(ours()) - before
        os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)  # a trainer at work is not disturbed
        with pytest.raises(UserError, match="has died") as told:
            for _ in range(20):
                next(batches)
    assert "\n" not in str(told.value) and "num_workers=0" in str(told.value)
    assert wait_until(lambda: set(ours()) == before)


_READ = """
import multiprocessing, sys, time
from training.data.claim import sole_writer
from training.data.stream import DataMixture, SequenceStream
batches = SequenceStream.open([DataMixture(path=sys.argv[1])]).batches(seed=0, batch_size=1, num_workers=2)
next(batches)
print(*(process.pid for process in multiprocessing.active_children()), flush=True)
time.sleep(float(sys.argv[2]))
"""


@pytest.mark.parametrize("killed", [True, False])
def test_readers_end_with_a_trainer_that_is_killed_or_exits_without_closing(tmp_path: Path, killed: bool) -> None:
    root = small_dataset(tmp_path / "scenes", captions=CAPTIONS, num_frames=2)
    command = [sys.executable, "-c", _READ, str(root), "60" if killed else "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as trainer:
        assert trainer.stdout is not None
        readers = [int(pid) for pid in trainer.stdout.readline().split()]
        if killed:
            trainer.kill()
        assert trainer.wait(timeout=30) == (-signal.SIGKILL if killed else 0)
    assert len(readers) == 2
    assert wait_until(lambda: not any(alive(pid) for pid in readers))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


_HOLD = """
import sys, time
from pathlib import Path
from training.data.claim import sole_writer
from training.data.claim import sole_writer
from training.data.stream import DataMixture, SequenceStream
with sole_writer(Path(sys.argv[2])):
    batches = SequenceStream.open([DataMixture(path=sys.argv[1])]).batches(seed=0, batch_size=1, num_workers=2)
    next(batches)
    print("holding", flush=True)
    time.sleep(60)
"""


def test_a_killed_trainer_holds_its_folder_no_longer_than_it_lives(tmp_path: Path) -> None:
    """Its readers live on for seconds, and had the lock from it."""
    root = small_dataset(tmp_path / "scenes", captions=CAPTIONS, num_frames=2)
    run = tmp_path / "run"
    run.mkdir()
    with subprocess.Popen([sys.executable, "-c", _HOLD, str(root), str(run)], stdout=subprocess.PIPE) as trainer:
        assert trainer.stdout is not None and trainer.stdout.readline() == b"holding\n"
        with pytest.raises(UserError, match="another run is writing here"), sole_writer(run):
            pass
        trainer.kill()
        trainer.wait(timeout=30)
    with sole_writer(run):
        pass


def test_what_a_fork_does_with_the_lock_is_no_matter_to_its_holder(tmp_path: Path) -> None:
    with sole_writer(tmp_path):
        child = os.fork()
        if not child:
            os._exit(0)
        os.waitpid(child, 0)
        with pytest.raises(UserError, match="another run"), sole_writer(tmp_path):
            pass


def test_readers_turn_captions_to_numbers_of_words(stream: SequenceStream) -> None:
    def lengths(captions: Sequence[str]) -> torch.Tensor:
        return torch.tensor([[len(caption), os.getpid()] for caption in captions])

    with stream.batches(seed=0, batch_size=2, num_workers=1, tokenise=lengths) as batches:
        batch = next(batches)
    assert batch.token_ids is not None and batch.token_ids.dtype == torch.int64
    assert batch.token_ids[:, 0].tolist() == [len(caption) for caption in batch.captions]
    assert os.getpid() not in batch.token_ids[:, 1].tolist()
    with stream.batches(seed=0, batch_size=2) as batches:
        assert next(batches).token_ids is None
