"""Where processes come from, and what only strokes can give."""

from pathlib import Path

import numpy as np
import pytest

from conf.errors import ConfigError, UserError
from pipelines.exports.inputs import Replay, from_dataset, from_painting
from tests.pipelines.small_dataset import small_dataset

_AS_STORED = Replay(num_frames=None, size=None)


def test_frames_come_as_they_are_stored_with_what_is_known_of_them(painted: dict[str, Path]) -> None:
    process = from_dataset(painted["studio"], "00000000", _AS_STORED)
    assert len(process.frames) == 5 and process.frames[0].step == 0 and process.program is not None
    assert process.frames[-1].step == len(process.program.strokes)
    assert process.frames[0].doing == "a blank canvas" and process.frames[-1].phase
    assert process.caption and "CC0" in process.credit


def test_strokes_are_painted_again_at_any_size_and_number_of_frames(painted: dict[str, Path]) -> None:
    stored = from_dataset(painted["bezier"], "00000000", _AS_STORED)
    same = from_dataset(painted["bezier"], "00000000", Replay(num_frames=5, size=None))
    for one, other in zip(stored.frames, same.frames, strict=True):
        assert one.step == other.step
        np.testing.assert_array_equal(one.picture, other.picture)
    more = from_dataset(painted["bezier"], "00000000", Replay(num_frames=9, size=300))
    assert more.size_px == (300, 300)
    assert [frame.step for frame in more.frames[::2]] == [frame.step for frame in stored.frames]


def test_what_has_no_strokes_is_exported_as_it_is_or_not_at_all(tmp_path: Path) -> None:
    root = small_dataset(tmp_path / "data")
    process = from_dataset(root, "00000001", _AS_STORED)
    assert process.program is None and {frame.step for frame in process.frames} == {None}
    with pytest.raises(ConfigError, match="size=300: not allowed"):
        from_dataset(root, "00000001", Replay(num_frames=None, size=300))


def test_more_pixels_than_a_machine_holds_are_refused(painted: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match="size=4096: not allowed; allowed: less: 256 frames"):
        from_dataset(painted["bezier"], "00000000", Replay(num_frames=256, size=4096))


def test_a_key_that_is_not_there_is_named_beside_some_that_are(painted: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match="key=7: not allowed; allowed: one of 00000000"):
        from_dataset(painted["bezier"], "7", _AS_STORED)


def test_a_folder_that_is_no_painting_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not an output folder"):
        from_painting(tmp_path, _AS_STORED)
