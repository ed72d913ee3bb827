"""Contact sheets of shards, and what a data set's card keeps to itself."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conf.recipe import plain_containers
from pipelines.sources.webdataset import WebDatasetSource
from pipelines.synthesis.contact_sheet import contact_sheet, write_sheet
from tests.pipelines.small_dataset import SHARDS, painted_frames, small_dataset


def test_a_sheet_has_a_row_a_sequence_and_its_frames_from_left_to_right(tmp_path: Path) -> None:
    root = small_dataset(tmp_path / "data", size_px=(64, 48))
    sheet = contact_sheet(root, SHARDS[0])
    rows = [np.hstack(list(painted_frames(index, 8, (64, 48)))) for index in (0, 1)]
    assert np.array_equal(sheet, np.vstack(rows))


def test_long_and_large_sequences_are_thinned_and_made_small(tmp_path: Path) -> None:
    captions = [f"picture {number}" for number in range(24)]
    root = small_dataset(tmp_path / "data", captions=captions, num_frames=12, size_px=(256, 192))
    sheet = contact_sheet(root, SHARDS[0])
    assert sheet.shape == (6 * 128, 8 * 171, 3)  # of eight sequences six, of twelve frames eight
    first, last = sheet[:128, :171], sheet[:128, -171:]
    assert first.mean() == 255 and last[64, 80].tolist() == painted_frames(0, 2, (4, 4))[-1, 0, 0].tolist()


def test_a_sheet_is_written_as_a_picture(tmp_path: Path) -> None:
    root = small_dataset(tmp_path / "data")
    write_sheet(root, SHARDS[2], tmp_path / "deep" / "sheet.png")
    with Image.open(tmp_path / "deep" / "sheet.png") as picture:
        assert np.array_equal(np.asarray(picture), contact_sheet(root, SHARDS[2]))


def test_a_shard_that_is_not_there_has_no_sheet(tmp_path: Path) -> None:
    root = small_dataset(tmp_path / "data", shards=SHARDS[:1])
    with pytest.raises(ValueError, match="nothing to show"):
        contact_sheet(root, SHARDS[1])


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://ann:s3cret@host/a-{00..07}.tar", "https://***@host/a-{00..07}.tar"),
        ("https://s3cret@host/a.tar", "https://***@host/a.tar"),
        ("simplecache::https://ann:s3cret@host/a.tar", "simplecache::https://***@host/a.tar"),
        ("https://host/a@b.tar", "https://host/a@b.tar"),
        ("/data/ann@home/a.tar", "/data/ann@home/a.tar"),
    ],
)
def test_passwords_in_urls_do_not_reach_the_card(given: str, kept: str) -> None:
    recipe = plain_containers(WebDatasetSource(path=given))
    assert recipe["path"] == kept
    assert "s3cret" not in json.dumps(recipe)
