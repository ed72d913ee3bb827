"""What a data set of millions costs the process that plans, resumes, tables and checks it: seconds and memory.

    python -m benchmarks.scale [--sequences 20000] [--folder DIR]
    python -m benchmarks.scale --sequences 10000000 --folder /somewhere/with/20/GB

Nothing is painted: manifests are written in their real format, one for each shard of 256 sequences, with sparse tars of
zeros that take no room on the disk. Each step is measured for a tenth of the sequences and for all of them, in a
process of its own: CPU-seconds, and the peak of memory, of which some 150 MB are Python and its libraries.

`plan` deals pictures to shards, `resume` reads all manifests and hashes all tars, `tables` writes samples.parquet and
dataset.json, `status` is the command, `gallery` collects what its page says of all sequences, `verify` is what the
command does besides reading the sequences themselves, and `open` what training does before its first batch.
"""

import argparse
import hashlib
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from benchmarks.command_line import from_1, run_benchmark
from conf.compose import compose
from pipelines.pages.gallery.choice import choose
from pipelines.pages.gallery.contents import Collection, summarise_psnr
from pipelines.status import StatusConfig
from pipelines.status import run as status
from pipelines.synthesis.config import synth_config
from pipelines.synthesis.dataset_faults import foreign_faults
from pipelines.synthesis.dataset_folder import committed_manifests, sound_manifests
from pipelines.synthesis.plan import Plan, make_plan
from pipelines.synthesis.examination import examine
from pipelines.synthesis.run import dataset_card
from training.data.dataset import DatasetCard, read_card, read_manifests
from training.data.layout import number_of, sequence_key
from training.data.manifest import SampleSpan, ShardManifest, manifest_path, tar_path
from training.data.seal import sealed
from training.data.split import open_split
from training.data.survey import Survey
from training.data.tables import write_tables

_SHARD_SIZE, _SEQUENCE_BYTES = 256, 1024
_RENDERERS = ("bezier", "oil", "ink", "region")


def main() -> None:
    """Make the manifests and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", type=from_1, default=20_000)
    parser.add_argument("--folder", type=Path, help="where to put them for the time being")
    arguments = parser.parse_args()
    counts = (max(1, arguments.sequences // 10), arguments.sequences)
    print("".join([f"{'':8}", *(f"{f'{count:,} sequences':>26}" for count in counts)]))
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        roots = [Path(folder) / str(count) for count in counts]
        for root, count in zip(roots, counts, strict=True):
            make(root, count)
        for step in STEPS:
            figures = [_measured(step, root, count) for root, count in zip(roots, counts, strict=True)]
            print("".join([f"{step:8}", *(f"{seconds:14.1f} s {mb:7.0f} MB" for seconds, mb in figures)]), flush=True)


def _measured(step: str, root: Path, count: int) -> tuple[float, float]:
    code = f"from benchmarks.scale import take_step; take_step({step!r}, {str(root)!r}, {count})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, megabytes = done.stdout.split()[-2:]
    return float(seconds), float(megabytes)


def take_step(step: str, root: str, count: int) -> None:
    """Take one step in this process; print its seconds, and the peak of memory in MB."""
    began = time.process_time()
    STEPS[step](Path(root), count)
    print(time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def _planned(count: int, *overrides: str) -> tuple[Plan, DatasetCard]:
    """The plan of a run over `count` scenes, and its card."""
    keys = ["renderer=mix", f"num_sequences={count}", f"shard_size={_SHARD_SIZE}", *overrides]
    config = synth_config(compose("synth", keys))
    weights = [choice.weight for choice in config.renderers]
    entries = config.source.index(config.num_sequences)
    plan = make_plan(entries, weights, config.num_sequences, config.shard_size, config.val_fraction)
    return plan, dataset_card(config.recipe(), plan)


def make(root: Path, count: int) -> None:
    """Write a data set whose shards are all committed, without tables and without totals on its card."""
    root.mkdir()
    plan, card = _planned(count, "val_fraction=0")
    card.begin(root)
    for name in plan.shard_names:
        tar, first = tar_path(root, name), number_of(name) * _SHARD_SIZE
        size = min(_SHARD_SIZE, count - first)
        fields: dict[str, Any] = {"shard": name, "first": first}
        for place, index in enumerate(range(first, first + size)):
            fields |= {
                f"index{place}": index,
                f"key{place}": sequence_key(index),
                f"sha{place}": _sha256(b"%d" % index),
            }
        tar.parent.mkdir(parents=True, exist_ok=True)
        manifest_path(root, name).write_bytes(sealed(_template(size, card.config_hash, card.code_version) % fields))
        with tar.open("wb") as file:
            file.truncate(size * _SEQUENCE_BYTES)


@lru_cache(maxsize=2)
def _template(size: int, config_hash: str, code_version: str) -> str:
    """A manifest with %-placeholders for what differs between shards, since to serialise each would take 20 ms."""
    manifest = ShardManifest(
        name="%(shard)s",
        split="train",
        sha256=_sha256(bytes(size * _SEQUENCE_BYTES)),
        num_bytes=size * _SEQUENCE_BYTES,
        first_index=-1,
        num_planned=size,
        num_samples=size,
        config_hash=config_hash,
        code_version=code_version,
        samples=tuple(
            SampleSpan(key=f"%(key{place})s", offset=place * _SEQUENCE_BYTES, length=_SEQUENCE_BYTES, crc32=0)
            for place in range(size)
        ),
        records=tuple(_record(place) for place in range(size)),
    )
    text = manifest.to_json().replace('"first_index": -1', '"first_index": %(first)d')
    return re.sub(r'"(%\(index\d+\)d)"', r"\1", text)


def _record(place: int) -> dict[str, Any]:
    return {
        "key": f"%(key{place})s", "index": f"%(index{place})d", "split": "train", "shard": "%(shard)s",
        "source": f"scenes/0/%(index{place})d", "source_sha256": f"%(sha{place})s", "licence": "CC0-1.0",
        "caption": "a brown rowing boat on a lake with a green tree on the shore at dawn, painted in oil",
        "renderer": _RENDERERS[place % len(_RENDERERS)], "renderer_config_hash": "0" * 64, "seed": 0, "num_steps": 160,
        "frame_steps": [0, 2, 9, 14, 26, 59, 122, 160], "psnr_db": 25.0 + place % 16, "ssim": 0.9,
        "coverage": [0.0, 0.7229, 0.9812, 0.9995, 0.9995, 1.0, 1.0, 1.0],
        "distance": [1.0, 0.870159, 0.750448, 0.562783, 0.427116, 0.281378, 0.14244, 0.0], "progress_violation": 0.0,
    }  # fmt: skip


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _plan(root: Path, count: int) -> None:
    plan, _ = _planned(count)
    for _ in plan.shards(made=set(plan.shard_names)):
        pass


def _resume(root: Path, count: int) -> None:
    card = read_card(root)
    plan, _ = _planned(count, "val_fraction=0")
    made = {manifest.name for manifest in sound_manifests(root, card)}
    assert next(plan.shards(made=made), None) is None


def _tables(root: Path, count: int) -> None:
    card, survey = read_card(root), Survey()
    write_tables(root, survey.noting(committed_manifests(root, card)))
    card.completed(root, survey.totals()).write(root)


def _status(root: Path, count: int) -> None:
    assert status(StatusConfig(dataset=root)).exit_code == 0


def _gallery(root: Path, count: int) -> None:
    collection = Collection()
    for _ in collection.noting(read_manifests(root, read_card(root).shards)):
        pass
    choose(collection.numbers, 200)
    summarise_psnr(collection.psnr_db)


def _verify(root: Path, count: int) -> None:
    card, faults = read_card(root), list[str]()
    examine(root, card, faults, lambda manifest: ())
    faults += foreign_faults(root, card)
    assert not faults, faults[0]


def _open(root: Path, count: int) -> None:
    assert len(open_split(str(root), "train")) == count


STEPS: dict[str, Callable[[Path, int], None]] = {
    "plan": _plan, "resume": _resume, "tables": _tables, "status": _status, "gallery": _gallery, "verify": _verify,
    "open": _open,
}  # fmt: skip


if __name__ == "__main__":
    run_benchmark(main)
