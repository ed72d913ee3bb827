"""Data sets of strangers: `verify`, `status`, `gallery` and training tell what is wrong, and stop at nothing."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

import pytest

from conf.errors import UserError
from pipelines.status import StatusConfig
from pipelines.status import run as tell_status
from pipelines.verify import VerifyConfig
from pipelines.verify import run as verify
from tests.pipelines.small_dataset import small_dataset
from tests.security.test_terminals import harmless
from training.data.dataset import read_card
from training.data.layout import dataset_file, is_key, is_shard_name
from training.data.manifest import manifest_path, read_manifest, write_atomically
from training.data.seal import sealed
from training.data.split import open_split

FIRST = "train-00000-of-00002"


@contextmanager
def soon() -> Iterator[None]:
    """End a reader that waits for ever."""

    def late(_number: int, _frame: FrameType | None) -> None:
        raise AssertionError("still waiting")

    signal.signal(signal.SIGALRM, late)
    signal.alarm(20)
    yield
    signal.alarm(0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return small_dataset(tmp_path / "data", num_frames=2)


@pytest.mark.parametrize("place", ["pipe", "zero"])
@pytest.mark.parametrize("file", ["dataset.json", f"shards/{FIRST}.json"])
def test_pipes_and_devices_in_the_place_of_files_are_not_opened(file: str, place: str, root: Path) -> None:
    (root / file).unlink()
    if place == "pipe":
        os.mkfifo(root / file)
    else:
        (root / file).symlink_to("/dev/zero")
    with soon(), pytest.raises(UserError, match=f"{Path(file).name}: neither a file nor a folder"):
        verify(VerifyConfig(dataset=root))
    with soon(), pytest.raises(UserError, match=f"{Path(file).name}: neither a file nor a folder"):
        tell_status(StatusConfig(dataset=root))


@pytest.mark.parametrize("key", ["../../x", "/etc/x", "a b", "", "-rf", "a;b", "\x1b[2J", "a" * 65, "é", "a\n"])
def test_keys_that_paths_and_shells_take_otherwise_are_none(key: str, root: Path) -> None:
    assert not is_key(key)
    manifest = read_manifest(root, FIRST)
    assert manifest is not None
    spans = (replace(manifest.samples[0], key=key), *manifest.samples[1:])
    forged = replace(manifest, samples=spans, records=({**manifest.records[0], "key": key}, *manifest.records[1:]))
    write_atomically(manifest_path(root, FIRST), sealed(forged.to_json()))
    with pytest.raises(UserError, match="is no key of a sequence"):
        open_split(str(root), "train")
    summary = verify(VerifyConfig(dataset=root))
    assert summary.exit_code == 1 and any("is no key of a sequence" in line for line in summary.lines)


@pytest.mark.parametrize("name", ["train-00000-of-00001", "val-12345-of-99999", "text-00000-of-00001"])
def test_names_of_shards_are_known(name: str) -> None:
    assert is_shard_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "train-00000-of-00001\n",
        "../train-00000-of-00001",
        "train-٠٠٠٠٠-of-00001",
        "test-00000-of-00001",
        "train-0-of-1",
    ],
)
def test_names_that_only_look_like_those_of_shards_are_none(name: str) -> None:
    assert not is_shard_name(name)


def test_measures_that_are_not_there_are_no_traceback(root: Path) -> None:
    manifest = read_manifest(root, FIRST)
    assert manifest is not None
    records = tuple({**record, "psnr_db": None, "ssim": None, "renderer": "oil"} for record in manifest.records)
    write_atomically(manifest_path(root, FIRST), sealed(replace(manifest, records=records).to_json()))
    assert verify(VerifyConfig(dataset=root)).exit_code == 1


def test_recipes_of_another_shape_are_refused(root: Path) -> None:
    replace(read_card(root), recipe={"source": 3, "schedule": None}).write(root)
    with pytest.raises(UserError, match=r"dataset\.json: not a data set card \(recipe\.(source|schedule)"):
        read_card(root)
    assert dataset_file(root).exists()


def test_reasons_and_names_of_strangers_are_told_in_harmless_lines(tmp_path: Path) -> None:
    refused = [{"source": "\x1b[2J", "reason": "a\nfault: none\x1b]0;x\x07"}]
    root = small_dataset(tmp_path / "data", refused=refused, num_frames=2)
    from conf.printable import printable

    lines = [printable(line) for line in tell_status(StatusConfig(dataset=root)).lines]
    assert all(map(harmless, lines)) and any("a\\x0afault: none" in line for line in lines)
