"""`pipelines.verify`: what it calls sound, what it refuses, and what it prints."""

import errno
import os
import re
from dataclasses import replace
from functools import partial, partialmethod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from conf.errors import UserError
from pipelines.verify import VerifyConfig, run
from renderers.distance import canvas_distances
from tests.pipelines.runs import synth
from tests.pipelines.verify.forgery import (
    FIRST,
    SECOND,
    manifests_of,
    verified,
    write_manifest,
)
from training.data import retries
from training.data.dataset import DatasetCard, read_card
from training.data.manifest import (
    manifest_path,
    read_checked_manifest,
    read_manifest,
    write_atomically,
)
from training.data.sequence import StoredSequence, read_sequences
from training.data.split import open_split
from training.data.survey import surveyed
from training.data.tables import write_tables


def test_what_synth_made_is_sound(data: Path) -> None:
    assert verified(data) == (0, [])


def first_version(root: Path) -> None:
    """The same data set as the first version wrote it: without hashes of what describes it."""
    replace(read_card(root), manifests=None).write(root)
    for name in read_card(root).shards:
        manifest = read_manifest(root, name)
        assert manifest is not None
        write_atomically(manifest_path(root, name), manifest.to_json().encode())


def test_a_data_set_of_the_first_version_is_sound_and_said_to_carry_no_hashes(data: Path) -> None:
    first_version(data)
    summary = run(VerifyConfig(dataset=data))
    assert summary.exit_code == 0 and any("carry no hashes" in line for line in summary.lines)
    assert len(open_split(str(data), "train")) > 0


def test_a_table_that_another_pyarrow_wrote_is_sound(data: Path) -> None:
    path = data / "samples.parquet"
    written = path.read_bytes()
    program = re.findall(rb"parquet-cpp-arrow version [0-9.]+", written)[-1]
    path.write_bytes(written.replace(program, program[:-1] + (b"8" if program.endswith(b"9") else b"9")))
    assert path.read_bytes() != written
    assert verified(data) == (0, [])


def test_a_manifest_that_was_written_again_is_refused_by_training(data: Path) -> None:
    write_manifest(data, code_version="0.0.1")
    with pytest.raises(UserError, match=FIRST):
        open_split(str(data), "train")


def test_what_is_no_data_set_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(UserError, match="no"):
            run(VerifyConfig(dataset=folder))


def test_a_disk_that_fails_is_no_fault_of_the_data(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open

    def fails(suffix: str, self: Path, mode: str = "r", *given: Any, **options: Any) -> Any:
        if self.suffix == suffix and "r" in mode:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(self))
        return opened(self, mode, *given, **options)

    monkeypatch.setattr(retries, "WAITS_S", (0.0,))
    for suffix in (".json", ".tar", ".parquet", ".jsonl"):
        with monkeypatch.context() as patched, pytest.raises(UserError, match=rf"\{suffix}: cannot be read \(Input/"):
            patched.setattr(Path, "open", partialmethod(partial(fails, suffix)))
            run(VerifyConfig(dataset=data))


def test_the_root_is_written_when_all_is_there_and_not_before(data: Path) -> None:
    card = read_card(data)
    assert card.manifests is not None and set(card.manifests) == set(card.shards)
    half = card.completed(data, surveyed(manifests_of(data)[1:]).totals())
    assert half.manifests is None and half.totals is None
    half.write(data)
    manifest_path(data, FIRST).unlink()
    write_tables(data, manifests_of(data))
    code, faults = verified(data)
    assert (code, faults) == (3, [])
    assert isinstance(read_card(data), DatasetCard) and read_checked_manifest(data, SECOND) is not None


def test_what_verify_prints_is_what_there_is_how_good_it_is_and_the_verdict(data: Path) -> None:
    records = [record for manifest in manifests_of(data) for record in manifest.records]
    size_mb = sum(path.stat().st_size for path in data.glob("shards/*.tar")) / 1e6
    psnr_db, ssim, violation = (
        sum(record[metric] for record in records) / 6 for metric in ("psnr_db", "ssim", "progress_violation")
    )
    lines = (
        f"{data}: 6 sequences in 5 of 5 shards, {size_mb:.1f} MB, 2 inputs refused",
        f"  bezier: 6 sequences, PSNR {psnr_db:.2f} dB, SSIM {ssim:.3f}, progress violation {violation:.4f}",
    )
    assert run(VerifyConfig(dataset=data)).lines == (*lines, "sound, complete")
    (data / "samples.parquet").unlink()
    named = (f"fault: {data / 'samples.parquet'}: missing", "1 fault, complete")
    assert run(VerifyConfig(dataset=data)).lines == (*lines, *named)


def test_an_unfinished_data_set_is_said_to_be_so_and_of_many_faults_twenty_are_listed(data: Path) -> None:
    card = read_card(data)
    replace(card, totals=None, manifests=None).write(data)
    summary = run(VerifyConfig(dataset=data))
    assert (summary.exit_code, summary.lines[-1]) == (3, "sound, not complete")
    assert not any("carry no hashes" in line for line in summary.lines)
    for number in range(25):
        (data / "shards" / f"foreign-{number:02d}").touch()
        if number + 1 in (20, 25):
            *_, before_verdict, verdict = run(VerifyConfig(dataset=data)).lines
            assert verdict == f"{number + 1} faults, not complete"
            assert before_verdict.startswith("fault: ") if number < 20 else before_verdict == "and 5 more"


@pytest.mark.parametrize("grey", [250, 254])
def test_frames_of_a_picture_that_hardly_differs_from_the_canvas_are_judged_by_exact_canvases(
    grey: int, tmp_path: Path
) -> None:
    Image.new("RGB", (64, 64), (grey, grey, grey)).save(tmp_path / "flat.png")
    overrides = ("renderer=bezier", "size=64", "num_frames=48", "cluster=inline", "source=folder", "gallery=false")
    assert synth(*overrides, f"source.path={tmp_path / 'flat.png'}", f"out={tmp_path / 'data'}") == 0
    assert any(_seems_to_recede(sequence) for sequence in _sequences(tmp_path / "data"))
    for replay in (True, False):
        assert verified(tmp_path / "data", replay=replay) == (0, [])


def _sequences(root: Path) -> list[StoredSequence]:
    return [sequence for manifest in manifests_of(root) for sequence in read_sequences(root, manifest)]


def _seems_to_recede(sequence: StoredSequence) -> bool:
    """By the pixels of its frames, which are rounded to 8 bits."""
    frames = [frame / np.float32(255) for frame in sequence.frames()]
    return bool((np.diff(canvas_distances(frames, frames[0])) > 2e-3).any())


def test_a_picture_that_is_the_blank_canvas_is_sound_by_every_measure(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), "white").save(tmp_path / "white.png")
    for name in ("bezier", "region"):
        overrides = (f"renderer={name}", "size=64", "cluster=inline", "source=folder", f"out={tmp_path / name}")
        assert synth(*overrides, f"source.path={tmp_path / 'white.png'}") == 0
        assert verified(tmp_path / name) == (0, [])
