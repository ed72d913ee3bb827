"""What an object store costs: a data set made in one that fails, and training's stream out of one that is slow.

    python -m benchmarks.remote [--sequences 500] [--kills 20] [--size 64] [--latency-ms 20] [--only kills]

The store is an S3 server of its own process on this machine (moto's). `kills` makes a data set in it while 1 % of all
requests fail (a third each: throttled, dropped, cut short) and 5 % take a second longer, kills the command or one of
its workers again and again, and compares what is there with the same data set made on the disk. `stream` reads a data
set from the store when every request takes so long: the yardstick fetches tars whole and decodes all their frames with
the standard library's tarfile, one after the other, without checks, order or batches. Nothing is kept in the cache.
`--only` runs one of the two.
"""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import argparse
import hashlib
import io
import random
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

from tests.object_store import Faults, ObjectStore
from benchmarks.command_line import from_1, run_benchmark
from training.data.shard_cache import ShardCache
from training.data.storage import open_storage
from training.data.stream import DataMixture, SequenceStream

_SHARD_SIZE, _BATCH_SIZE, _ROUNDS = 32, 8, 3
_RESUMABLE = 2  # exit code of a run that said why it stopped; the same command resumes it
_FAILING = Faults(throttled=0.01 / 3, dropped=0.01 / 3, cut=0.01 / 3, slow=0.05, slow_s=1.0, seed=1)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", type=from_1, default=500)
    parser.add_argument("--kills", type=from_1, default=20)
    parser.add_argument("--size", type=from_1, default=64)
    parser.add_argument("--latency-ms", type=float, default=20.0)
    parser.add_argument("--only", choices=("kills", "stream"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ObjectStore(Path(folder)) as store:
        os.environ.update(store.environment)
        store.storage().mkdir("bucket")
        local = Path(folder) / "data"
        if arguments.only != "stream":
            _kills(store, local, arguments.sequences, arguments.size, arguments.kills)
        if arguments.only != "kills":
            settings = [f"shard_size={_SHARD_SIZE}", "val_fraction=0"]
            command = [*_synth(str(local.with_name("stream")), arguments.sequences, arguments.size), *settings]
            subprocess.run(command, check=True, capture_output=True)
            store.storage().put(str(local.with_name("stream")), "s3://bucket/stream", recursive=True)
            _stream(store, "s3://bucket/stream", local.with_name("stream"), arguments.latency_ms / 1000)


def _synth(out: str, sequences: int, size_px: int) -> list[str]:
    return [
        sys.executable, "-m", "pipelines.synth", f"out={out}", f"num_sequences={sequences}", f"size={size_px}",
        "renderer=bezier", "renderer.num_strokes=20", "renderer.preset=fast", "shard_size=16", "num_workers=2",
        "gallery=false",
    ]  # fmt: skip


def _kills(store: ObjectStore, local: Path, sequences: int, size_px: int, kills: int) -> None:
    """Make the data set on the disk, and in the failing store with kills, and print how the two compare."""
    began = time.monotonic()
    subprocess.run(_synth(str(local), sequences, size_px), check=True, capture_output=True)
    undisturbed_s, began = time.monotonic() - began, time.monotonic()
    store.fails(_FAILING)
    draws, url, committed, num_lost = random.Random(0), "s3://bucket/data", set[str](), 0
    num_shards = len(_manifests(str(path) for path in local.rglob("*")))
    num_killed, num_ended = {"command": 0, "worker": 0}, 0
    while sum(num_killed.values()) < kills:
        process = subprocess.Popen(_synth(url, sequences, size_px), stdout=subprocess.DEVNULL)
        victim = draws.choice(("command", "worker"))
        _wait_for_work(process, store, url, len(committed) + num_shards // (kills + 1), draws.uniform(0.0, 4.0))
        if process.poll() == 0:
            break  # the data set is complete
        if process.returncode == _RESUMABLE and num_ended < kills:  # for example because it lost Ray on a busy machine
            num_ended += 1
            continue
        if process.returncode is not None:
            raise RuntimeError(f"a run ended by itself, with exit code {process.returncode}")
        for target in _targets(process.pid, victim, draws):
            target.kill()
        num_killed[victim] += 1
        if victim == "worker":
            time.sleep(draws.uniform(0.0, 2.0))
            for target in _targets(process.pid, "command", draws):
                target.kill()
            num_killed["command"] += 1
        process.wait()
        manifests = _manifests(store.storage().find(url))
        num_lost, committed = num_lost + len(committed - manifests), manifests
    last_run = subprocess.run(_synth(url, sequences, size_px), stdout=subprocess.DEVNULL)
    faults, remote_s = store.counts(), time.monotonic() - began
    store.works()
    remote, differing = store.files(url), 0
    names = {str(path.relative_to(local)) for path in local.rglob("*") if path.is_file()}
    for name in sorted(names | set(remote)):
        if name.startswith("timings/") or name == "samples.parquet":  # files that hold times
            continue
        data = (local / name).read_bytes() if name in names else b""
        differing += hashlib.sha256(data).digest() != hashlib.sha256(remote.get(name, b"")).digest()
    requests = sum(faults.get(method, 0) for method in ("GET", "PUT", "HEAD", "POST", "DELETE"))
    print(f"{sequences} sequences of {size_px} px, {len(committed)} shards committed before the last run")
    print(
        f"killed: {num_killed}; ended with one line by themselves: {num_ended}; "
        f"exit code of the last run {last_run.returncode}"
    )
    print(f"requests {requests}, faults { ({kind: faults.get(kind, 0) for kind in ('SlowDown', 'dropped', 'cut')}) }")
    print(f"committed shards lost by a kill: {num_lost}; files that differ from the local data set: {differing}")
    print(f"local, undisturbed {undisturbed_s:.0f} s; remote, with all kills {remote_s:.0f} s")


def _stream(store: ObjectStore, url: str, local: Path, latency_s: float) -> None:
    """Print rates of reading in samples per second of wall time, the best of the rounds; each runs in a new process."""
    store.fails(Faults(latency_s=latency_s))
    rates: dict[str, list[tuple[float, float]]] = {}
    for _ in range(_ROUNDS):
        for kind in ("tars", "sequential 0", "sequential 1", "random 0", "random 1"):
            code = f"from benchmarks.remote import read_once; read_once({kind!r}, {url!r})"
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
            rate, megabytes = done.stdout.split()[-2:]
            rates.setdefault(kind, []).append((float(rate), float(megabytes)))
    size = sum(path.stat().st_size for path in (local / "shards").glob("*.tar"))
    print(f"\nreading {size / 1e6:.1f} MB in shards of {_SHARD_SIZE}, {1000 * latency_s:.0f} ms a request")
    print(f"{'':14} samples/s   of tars   peak MB")
    best = {kind: max(rate for rate, _ in rounds) for kind, rounds in rates.items()}
    for kind, rounds in rates.items():
        print(f"{kind:14} {best[kind]:9.1f} {best[kind] / best['tars']:9.2f} {max(mb for _, mb in rounds):9.0f}")


def read_once(kind: str, url: str) -> None:
    """Read a data set once in one way, and print samples per second and the peak of memory in MB."""
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    name, _, workers = kind.partition(" ")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # shards may still be arriving
        cache = ShardCache(folder=Path(folder), max_bytes=0) if name == "sequential" else None
        stream = SequenceStream.open([DataMixture(path=url)], cache=cache, captions_required=False)
        began = time.monotonic()
        count = _read_tars(url) if name == "tars" else _read_stream(stream, int(workers))
        rate = count / (time.monotonic() - began)
    print(rate, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def _read_tars(url: str) -> int:
    """Fetch and decode every shard; returns how many sequences there were."""
    import cv2
    import numpy as np

    storage, root = open_storage(url)
    keys: set[str] = set()
    for path in sorted(storage.glob(f"{root}/shards/train-*.tar")):
        with tarfile.open(fileobj=io.BytesIO(storage.cat_file(path))) as tar:
            for member in tar:
                file = tar.extractfile(member)
                keys.add(member.name.partition(".")[0])
                if file is not None and member.name.endswith(".webp"):
                    cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_COLOR_RGB)
    return len(keys)


def _read_stream(stream: SequenceStream, workers: int) -> int:
    batches = len(stream) // _BATCH_SIZE
    with stream.batches(seed=0, batch_size=_BATCH_SIZE, num_workers=workers, as_bytes=True) as arriving:
        return sum(len(batch.keys) for _, batch in zip(range(batches), arriving, strict=False))


def _wait_for_work(
    process: "subprocess.Popen[bytes]", store: ObjectStore, url: str, num_shards: int, more_s: float
) -> None:
    """Wait until `num_shards` are committed, so that kills spread over the run, and then `more_s` seconds longer."""
    while process.poll() is None and len(_manifests(store.storage().find(url))) < num_shards:
        time.sleep(0.5)
    time.sleep(more_s)


def _manifests(paths: Iterable[str]) -> set[str]:
    """Names of the committed shards, from the paths of all files."""
    return {Path(path).stem for path in paths if "/shards/" in path and path.endswith(".json")}


def _targets(pid: int, victim: str, draws: random.Random) -> list[psutil.Process]:
    """The processes to kill: all of the command, or one of its workers that makes a shard."""
    try:
        command = psutil.Process(pid)
        descendants = command.children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    if victim == "command":
        return [command, *descendants]
    workers = list(filter(_is_worker, descendants))
    return [draws.choice(workers)] if workers else []


def _is_worker(process: psutil.Process) -> bool:
    try:
        return process.cmdline()[:1] == ["ray::render_shard"]
    except psutil.NoSuchProcess:
        return False


if __name__ == "__main__":
    run_benchmark(main)
