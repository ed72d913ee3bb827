"""Names in a data set folder: they are read again by every version, and by others."""

from pathlib import Path

import pytest

from training.data import layout


@pytest.mark.parametrize(
    ("split", "number", "in_folder", "name"),
    [
        ("train", 3, False, "train-00003-of-00016"),
        ("val", 12003, True, "00012/val-12003-of-00016"),
        ("text", 999, True, "00000/text-00999-of-00016"),
    ],
)
def test_a_shard_is_called_by_its_split_and_number_wherever_it_is(
    split: str, number: int, in_folder: bool, name: str
) -> None:
    assert layout.shard_name(split, number, 16, in_folder=in_folder) == name
    assert (layout.split_of(name), layout.number_of(name), layout.is_shard_name(name)) == (split, number, True)
    assert (layout.tar_name(name), layout.manifest_name(name)) == (f"shards/{name}.tar", f"shards/{name}.json")


def test_shards_stand_in_folders_only_where_there_are_too_many() -> None:
    together = list(layout.shard_names({"train": layout.MOST_SHARDS_TOGETHER - 1, "val": 1}))
    assert (together[0], together[-1]) == ("train-00000-of-04999", "val-00000-of-00001")
    in_folders = list(layout.shard_names({"train": layout.MOST_SHARDS_TOGETHER, "val": 1}))
    assert (in_folders[-2], in_folders[-1]) == ("00004/train-04999-of-05000", "00000/val-00000-of-00001")


def test_files_and_members_have_the_names_that_the_pages_say() -> None:
    root = Path("data")
    files = [layout.dataset_file, layout.samples_file, layout.quarantine_file, layout.shards_folder]
    assert [str(file(root)) for file in [*files, layout.timings_folder]] == [
        "data/dataset.json", "data/samples.parquet", "data/quarantine.jsonl", "data/shards", "data/timings",
    ]  # fmt: skip
    assert [layout.frame_member(3, frames, "webp") for frames in (100, 101)] == ["03.webp", "003.webp"]
    assert [layout.caption_member(3, frames) for frames in (100, 101)] == ["03.txt", "003.txt"]
    assert [layout.before_member(3, frames) for frames in (100, 101)] == ["before.03.jpg", "before.003.jpg"]
    assert layout.sequence_key(12) == "00000012" and layout.is_key("00000012") and not layout.is_key("0000.0012")
    assert layout.is_folder_of_shards("00012") and not layout.is_folder_of_shards("12")
