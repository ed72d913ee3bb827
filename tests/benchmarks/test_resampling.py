"""Intervals of losses on held-out sequences."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.lora import report
from benchmarks.resampling import mean_of, pictures_of, share_lower
from benchmarks.wan_recipe import sheet
from tests.pipelines.small_dataset import small_dataset
from training.data.stream import DataMixture, SequenceStream


def test_sequences_know_the_picture_that_they_were_painted_from(tmp_path: Path) -> None:
    data = small_dataset(tmp_path / "data", captions=[f"picture {number}" for number in range(9)])
    batch = SequenceStream.open([DataMixture(path=str(data))], split="val").first(0, 3)
    (manifest,) = (json.loads(path.read_text()) for path in (data / "shards").glob("val-*.json"))
    hashes = {f"data/{record['key']}": record["source_sha256"] for record in manifest["records"]}
    assert pictures_of(data, batch.keys) == [hashes[key] for key in batch.keys] and len(hashes) == 3


def test_a_picture_painted_ten_times_counts_as_one() -> None:
    values = np.repeat([1.0, 2.0, 3.0, 4.0], 10)
    together = mean_of(values, [str(number // 10) for number in range(40)])
    alone = mean_of(values, [str(number) for number in range(40)])
    assert together.value == alone.value == 2.5
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_a_fall_is_that_of_the_mean_and_not_the_mean_of_falls(capsys: pytest.CaptureFixture[str]) -> None:
    before, after = np.array([10.0, 1.0]), np.array([5.0, 1.0])
    fall = share_lower(before, after, ["a", "b"])
    assert fall.value == pytest.approx(5 / 11) and fall.low <= fall.value <= fall.high
    report("loss", before, after, ["a", "b"])
    assert "5.5000 -> 3.0000, lower by 45.5% [0.0%, 50.0%]" in capsys.readouterr().out


def test_sheets_round_to_the_nearest_shade() -> None:
    shades = torch.full((1, 1, 3, 2, 2), 127.9 / 255)
    assert np.asarray(sheet(shades)).max() == 128
