"""Videos as people have them: held frames, covers, several tracks, uneven pixels, mirrors, high dynamic range."""

import struct
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fsspec.implementations.local import LocalFileSystem

from pipelines.artists.find import VIDEO_EXTENSIONS, ArtistSource, find_sequences
from pipelines.artists.footage import Footage
from pipelines.artists.video import read_video
from pipelines.sources.source import RefusedPicture, StorageFault
from tests.pipelines.artists.awkward_videos import (
    Picture,
    animation,
    deep_greys,
    timed_video,
    two_tracks,
    untold_matrix,
    wide_pixels,
    with_cover,
)
from tests.pipelines.artists.ingest_runs import ingest, refused, sequences, stages
from tests.pipelines.artists.time_lapse import write_video

WANTED = range(8, 401)
MATRICES = [
    (one, 0, 0, other) if straight else (0, one, other, 0)
    for straight in (True, False)
    for one in (1, -1)
    for other in (1, -1)
]


def painted(count: int = 12, height: int = 64, width: int = 96) -> list[Picture]:
    return stages(count, height=height, width=width)


def read(path: Path) -> Footage:
    return read_video(str(path), 64, WANTED)


def difference(one: Picture, other: Picture) -> float:
    return float(np.abs(one.astype(float) - other).mean())


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("a.mkv", "ffv1", "bgr0"),
        ("a.webm", "libvpx", "yuv420p"),
        ("a.mp4", "libx264", "yuv420p"),
        ("a.mov", "libx264", "yuv420p"),
    ],
)
def test_a_last_frame_that_is_held_is_no_damage_and_counts_for_as_long_as_it_is_seen(
    name: str, codec: str, pix_fmt: str, tmp_path: Path
) -> None:
    pictures = painted()
    footage = read(timed_video(tmp_path / name, pictures, 3.0, codec, pix_fmt))
    assert footage.num_moments == 12 and list(footage.numbers[:11]) == list(range(11))
    assert set(footage.numbers[11:]) == {11} and len(footage) - 11 == pytest.approx(30, abs=3)
    assert difference(footage.frames[-1], pictures[-1]) < 12


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png", "a.apng", "a.avif"])
def test_animations_of_every_format_are_videos(name: str, tmp_path: Path) -> None:
    pictures = painted()
    animation(tmp_path / name, pictures, 3.0)
    assert [entry.id for entry in find_sequences(ArtistSource(path=str(tmp_path)), "video")] == [name]
    footage = read(tmp_path / name)
    assert footage.num_moments == 12 and list(footage.numbers[11:]) == [11] * 30
    assert max(difference(one, other) for one, other in zip(footage.frames, pictures, strict=False)) < 12


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png", "a.avif"])
def test_an_animation_that_is_cut_off_is_refused_or_has_lost_no_frame(name: str, tmp_path: Path) -> None:
    animation(tmp_path / name, painted(), 0.5)
    whole = (tmp_path / name).read_bytes()
    for length in (*range(len(whole) // 8, len(whole), len(whole) // 8), len(whole) - 1):
        (tmp_path / name).write_bytes(whole[:length])
        try:
            assert read(tmp_path / name).num_moments == 12
        except RefusedPicture as error:
            assert "damaged" in str(error) or "not a video" in str(error)


def test_a_gif_that_is_cut_between_two_frames_is_refused(tmp_path: Path) -> None:
    animation(tmp_path / "a.gif", painted(), 0.5)
    whole = (tmp_path / "a.gif").read_bytes()
    between = whole.index(b"\x00\x21\xf9", len(whole) // 2) + 1
    for data in (whole[:between], whole[:12], whole[:6], whole[:-1] + b"\x01"):
        (tmp_path / "a.gif").write_bytes(data)
        with pytest.raises(RefusedPicture, match="damaged: the end of the GIF is missing"):
            read(tmp_path / "a.gif")


@pytest.mark.parametrize("name", ["a.mkv", "a.webm"])
def test_a_matroska_that_lacks_its_very_end_is_refused(name: str, tmp_path: Path) -> None:
    path, codec = tmp_path / name, ("libvpx", "yuv420p") if name == "a.webm" else ("ffv1", "bgr0")
    write_video(path, painted(40), *codec)
    whole = path.read_bytes()
    for length in (len(whole) * 97 // 100, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(RefusedPicture, match="damaged: the end of the file is missing"):
            read(path)


def test_recordings_that_were_appended_to_each_other_are_one_video(tmp_path: Path) -> None:
    parts = [write_video(tmp_path / f"{count}.ts", painted(count), "libx264", "yuv420p") for count in (40, 5)]
    (tmp_path / "a.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    assert read(tmp_path / "a.ts").num_moments == 45


def test_a_video_with_its_last_frame_held_ends_with_that_frame(tmp_path: Path) -> None:
    pictures = painted(20)
    animation(tmp_path / "held.gif", pictures, 3.0)
    assert (
        ingest(f"source.path={tmp_path}", "layout=video", "treatment.straighten=never", f"out={tmp_path / 'out'}") == 0
    )
    (sequence,) = sequences(tmp_path / "out").values()
    steps = [frame["step"] for frame in sequence.facts["frames"]]
    assert steps[-1] == 19 and all(one < other for one, other in pairwise(steps))


def test_held_frames_do_not_stand_in_for_frames_that_lack(tmp_path: Path) -> None:
    animation(tmp_path / "short.gif", painted(5), 3.0)
    write_video(tmp_path / "good.mkv", painted(24))
    overrides = (f"source.path={tmp_path}", "layout=video", "treatment.straighten=never", f"out={tmp_path / 'out'}")
    assert ingest(*overrides) == 3
    assert refused(tmp_path / "out") == {"short.gif": "5 frames, fewer than num_frames=8"}


def test_a_transparent_animation_lies_on_white(tmp_path: Path) -> None:
    from PIL import Image

    frames = [Image.new("RGBA", (64, 64), (200, 0, 0, 0)) for _ in range(9)]
    for number, frame in enumerate(frames):
        frame.paste((0, 0, 200, 255), (0, 0, 8 * number + 1, 32))
    for name in ("a.webp", "a.png"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], duration=100, lossless=True)
        assert read(tmp_path / name).frames[-1][50, 50].tolist() == [255, 255, 255]


@pytest.mark.parametrize(("name", "codec"), [("a.webm", "libvpx"), ("a.mkv", "libvpx-vp9"), ("a.avif", None)])
def test_transparency_that_is_stored_apart_from_the_colours_lies_on_white(
    name: str, codec: str | None, tmp_path: Path
) -> None:
    pictures = []
    for number in range(12):
        picture = np.zeros((64, 96, 4), np.uint8)
        picture[:32, : 8 * number + 8] = (0, 0, 200, 255)
        pictures.append(picture)
    if codec:
        timed_video(tmp_path / name, pictures, 3.0, codec, "yuva420p")
    else:
        animation(tmp_path / name, pictures, 3.0)
    footage = read(tmp_path / name)
    assert footage.num_moments == 12 and len(footage) - 11 == pytest.approx(30, abs=3)
    last = footage.frames[-1]
    assert last[50:].min() == 255 and difference(last[:28], np.full((28, 96, 3), (0, 0, 200), np.uint8)) < 12


def test_a_stream_that_nothing_decodes_is_refused_as_such(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", painted())
    path.write_bytes(path.read_bytes().replace(b"V_FFV1", b"V_NONE"))
    with pytest.raises(RefusedPicture, match="damaged, or encoded in a way that FFmpeg has no decoder for"):
        read(path)


def test_a_cover_is_not_the_video(tmp_path: Path) -> None:
    pictures = painted()
    footage = read(with_cover(tmp_path / "a.mp4", pictures, np.full((64, 64, 3), (255, 0, 255), np.uint8)))
    assert len(footage) == 12 and difference(footage.frames[5], pictures[5]) < 12


@pytest.mark.parametrize(
    ("name", "default", "chosen"),
    [("a.mkv", None, 20), ("a.mkv", 1, 20), ("a.mkv", 0, 3), ("a.mp4", 1, 20), ("a.mp4", 0, 3)],
)
def test_of_several_tracks_the_default_or_else_the_longest_counts(
    name: str, default: int | None, chosen: int, tmp_path: Path
) -> None:
    path = two_tracks(tmp_path / name, painted(3), painted(20), default)
    assert read(path).num_moments == chosen


@pytest.mark.parametrize(
    ("aspect", "shape"), [((64, 45), (64, 137, 3)), ((8, 9), (72, 96, 3)), ((1000, 1), (64, 96, 3))]
)
def test_pixels_that_are_not_square_are_made_square(
    aspect: tuple[int, int], shape: tuple[int, int, int], tmp_path: Path
) -> None:
    path = wide_pixels(tmp_path / "a.mp4", painted(), Fraction(*aspect))
    assert read_video(str(path), 128, WANTED).frames[0].shape == shape


@pytest.mark.parametrize("matrix", MATRICES)
def test_turned_and_mirrored_videos_are_shown_as_their_matrix_says(
    matrix: tuple[int, int, int, int], tmp_path: Path
) -> None:
    path, pictures = tmp_path / "a.mp4", painted(9)
    write_video(path, pictures, codec="libx264", pix_fmt="yuv420p")
    a, b, c, d = matrix
    flat, turned = (struct.pack(">9i", *(round(each) for each in entries)) for entries in (
        (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30), (a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30),
    ))  # fmt: skip
    head, _, tail = path.read_bytes().partition(b"tkhd")
    assert flat in tail
    path.write_bytes(head + b"tkhd" + tail.replace(flat, turned, 1))
    y, x = np.mgrid[0:64, 0:96]
    across, down = a * x + c * y, b * x + d * y  # where each pixel is shown, up to a shift
    expected = np.zeros((np.ptp(down) + 1, np.ptp(across) + 1, 3), np.uint8)
    expected[down - down.min(), across - across.min()] = pictures[-1]
    shown = read_video(str(path), 128, WANTED).frames[-1]
    assert shown.shape == expected.shape and difference(shown, expected) < 12


@pytest.mark.parametrize(("size_px", "matrix"), [((72, 128), "ITU601"), ((720, 1280), "ITU709")])
def test_colours_of_a_video_that_does_not_say_its_matrix_are_those_of_players(
    size_px: tuple[int, int], matrix: str, tmp_path: Path
) -> None:
    path = untold_matrix(tmp_path / "a.mkv", (200, 40, 40), size_px, matrix)
    np.testing.assert_allclose(read(path).frames[0].mean((0, 1)), (200, 40, 40), atol=2)


@pytest.mark.parametrize(("transfer", "paper"), [(18, 0.7152), (16, 0.5637)])
def test_high_dynamic_range_is_brought_to_the_range_of_a_screen(transfer: int, paper: float, tmp_path: Path) -> None:
    path = deep_greys(tmp_path / "a.mkv", [*np.linspace(0, paper, 8), 1.0], 9, transfer)
    shades = [float(frame.mean()) for frame in read(path).frames]
    assert shades[0] < 2 and abs(shades[7] - 236) < 5 and 250 < shades[8] <= 255
    assert all(one < other for one, other in pairwise(shades))


def test_wide_gamut_greys_stay_grey(tmp_path: Path) -> None:
    path = deep_greys(tmp_path / "a.mkv", np.linspace(0, 1, 9).tolist(), 12, 13)
    shades = [frame.mean((0, 1)) for frame in read(path).frames]
    for number, shade in enumerate(shades):
        np.testing.assert_allclose(shade, number * 255 / 8, atol=3)


@pytest.mark.parametrize("ending", [".MTS", ".m2ts", ".3gp", ".webm", ".ogv", ".wmv", ".flv", ".ts", ".vob", ".mxf"])
def test_endings_of_videos_are_taken_whatever_their_case(ending: str, tmp_path: Path) -> None:
    assert ending.lower() in VIDEO_EXTENSIONS
    (tmp_path / f"a{ending}").write_bytes(b"x")
    assert [entry.id for entry in find_sequences(ArtistSource(path=str(tmp_path)), "video")] == [f"a{ending}"]


def test_what_is_no_video_is_passed_over_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    videos = tmp_path / "in"
    videos.mkdir()
    write_video(videos / "good.mkv", painted(24))
    (videos / "good.txt").write_text("a boat")
    for name in ("still.webp", "still.png", "still.avif"):
        Image.new("RGB", (64, 64)).save(videos / name)
    (videos / "project.psd").write_bytes(b"8BPS")
    overrides = (f"source.path={videos}", "layout=video", "treatment.straighten=never", f"out={tmp_path / 'out'}")
    assert ingest(*overrides) == 0
    told = capsys.readouterr().out
    assert "passed over 4 files of the source: project.psd, still.avif, still.png, still.webp" in told
    assert "no caption" not in told


def test_storage_that_fails_while_a_video_is_read_is_not_held_against_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("training.data.retries.time.sleep", lambda _: None)
    videos = tmp_path / "in"
    videos.mkdir()
    path = write_video(videos / "good.mkv", painted(24))
    overrides = (f"source.path={videos}", "layout=video", "treatment.straighten=never", f"out={tmp_path / 'out'}")

    def fails(self: object, *_: object, **__: object) -> object:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(LocalFileSystem, "open", fails)
        with pytest.raises(StorageFault, match=r"good\.mkv"):
            read(path)
        assert ingest(*overrides) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert str(path) in line and "Input/output error" in line
    assert ingest(*overrides) == 0


def test_a_video_that_is_a_broken_link_is_refused_and_spoils_no_other(tmp_path: Path) -> None:
    videos = tmp_path / "in"
    videos.mkdir()
    write_video(videos / "good.mkv", painted(24))
    (videos / "link.mp4").symlink_to(tmp_path / "gone")
    overrides = (f"source.path={videos}", "layout=video", "treatment.straighten=never", f"out={tmp_path / 'out'}")
    assert ingest(*overrides) == 3
    assert refused(tmp_path / "out") == {"link.mp4": "cannot be read: No such file or directory"}


def test_a_fault_in_the_middle_of_decoding_is_the_storage_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("training.data.retries.time.sleep", waits.append)
    path = write_video(tmp_path / "good.mkv", painted(24))
    opened = LocalFileSystem.open

    class Failing:
        """A file that can be read only up to its first bytes."""

        def __init__(self, file: Any) -> None:
            self._file = file

        def __getattr__(self, name: str) -> Any:
            return getattr(self._file, name)

        def __enter__(self) -> "Failing":
            return self

        def __exit__(self, *_: object) -> None:
            self._file.close()

        def read(self, size: int) -> bytes:
            if self._file.tell() > 1000:
                raise OSError(116, "Stale file handle")
            data: bytes = self._file.read(min(size, 1001))
            return data

    monkeypatch.setattr(
        LocalFileSystem, "open", lambda self, path, *arguments, **options: Failing(opened(self, path, "rb"))
    )
    with pytest.raises(StorageFault, match=r"good\.mkv: the storage fails \(Stale file handle"):
        read(path)
    assert waits == [0.5, 1.0, 2.0, 4.0]
