"""Pictures and videos of strangers: no larger in memory than a picture may be, and nothing but themselves is read."""

import http.server
import os
import socket
import struct
import threading
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from pipelines.artists.video import read_video
from pipelines.sources.decode import MAX_PIXELS, decode
from pipelines.sources.depth import decode_depth
from pipelines.sources.source import RefusedPicture
from renderers.stored_picture import decoded, size_of
from tests.fuzz.pictures import pictures
from training.data.sequence import StoredSequence

SIDES = ((100_000, 100_000), (2**31 - 1, 2**31 - 1), (2**32 - 1, 1), (30_000, 30_000))


def png_bomb(width: int, height: int, bits: int = 16) -> bytes:
    """A PNG of a kilobyte whose header declares a grey picture of this size."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    rows = zlib.compress(bytes(1 << 20))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def webp_bomb(kind: bytes) -> bytes:
    """A WebP of each sort that says it has the largest sides that there are."""
    largest = (1 << 14) - 1
    body = {
        b"VP8X": b"\x02\0\0\0" + 2 * largest.to_bytes(3, "little"),
        b"VP8L": b"\x2f" + struct.pack("<I", largest | largest << 14) + bytes(8),
        b"VP8 ": b"\x10\0\0\x9d\x01\x2a" + struct.pack("<HH", largest, largest) + bytes(8),
    }[kind]
    chunk = kind + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


BOMBS = [*(png_bomb(*sides) for sides in SIDES), *(webp_bomb(kind) for kind in (b"VP8X", b"VP8L", b"VP8 "))]


@pytest.mark.parametrize("bomb", BOMBS, ids=range(len(BOMBS)))
def test_bombs_are_refused_by_their_header_by_every_reader(bomb: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(RefusedPicture):
        decode(bomb, max_pixels=MAX_PIXELS)
    with pytest.raises(RefusedPicture):
        decode_depth(bomb)
    assert decoded(bomb, -1) is None and decoded(bomb, 1, (64, 64)) is None
    facts = b'{"size_px": [64, 64], "num_steps": 1, "frames": [{"member": "0.png", "step": 0, "distance": 0.0}]}'
    with pytest.raises(ValueError, match=r"0\.png is not a picture of 64x64 px"):
        StoredSequence(key="0", members={"json": facts, "txt": b"", "0.png": bomb}).frames()
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


@pytest.mark.parametrize("name", ["png", "deep", "grey16", "jpeg", "webp", "lossless", "animated"])
def test_headers_tell_the_size_that_decoders_find(name: str) -> None:
    assert size_of(pictures()[name]) == (20, 24)


@pytest.mark.parametrize(
    "data", [b"", b"RIFF", b"\xff\xd8", b"\xff\xd8\xff\xe0\0\x10", b"\x89PNG\r\n\x1a\n", b"P6 9 9 255 "]
)
def test_what_is_none_of_the_stored_formats_has_no_size_and_is_not_decoded(data: bytes) -> None:
    assert size_of(data) is None and decoded(data, 1) is None


@pytest.fixture
def server() -> Iterator[tuple[int, list[str]]]:
    """A web server on this machine, and the requests that it got."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            return

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running.server_port, asked
        running.shutdown()


def video(path: Path, **tags: str) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.metadata.update(tags)
        stream.metadata.update(tags)
        for level in range(0, 250, 50):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), level, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{place}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{place}'\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'mediaPresentationDuration="PT5S"><Period><AdaptationSet mimeType="video/mp4"><Representation id="1" '
    'bandwidth="1"><BaseURL>{place}</BaseURL><SegmentBase/></Representation></AdaptationSet></Period></MPD>',
    "smil": '<smil><body><video src="{place}"/></body></smil>',
}


@pytest.mark.parametrize("ending", ["mp4", "m3u8", "mpd", "ffconcat"])
@pytest.mark.parametrize("kind", PLAYLISTS)
def test_a_video_that_names_other_files_or_hosts_reads_none_of_them(
    kind: str, ending: str, tmp_path: Path, server: tuple[int, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    video(tmp_path / "private.ts")
    port, asked = server
    for place in (
        "private.ts",
        str(tmp_path / "private.ts"),
        f"file://{tmp_path}/private.ts",
        f"http://127.0.0.1:{port}/a",
    ):
        (tmp_path / f"list.{ending}").write_text(PLAYLISTS[kind].format(place=place))
        with pytest.raises(RefusedPicture, match="not a video"):
            read_video(str(tmp_path / f"list.{ending}"), 64, range(2, 9))
    assert not asked


def test_a_video_that_is_a_description_of_a_stream_opens_no_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    lines = ("v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=x", "c=IN IP4 127.0.0.1", "t=0 0", f"m=video {port} RTP/AVP 96")
    (tmp_path / "live.mp4").write_text("\n".join((*lines, "a=rtpmap:96 H264/90000", "")))
    with pytest.raises(RefusedPicture, match="not a video"):
        read_video(str(tmp_path / "live.mp4"), 64, range(2, 9))


def test_a_video_larger_than_a_picture_may_be_is_refused(tmp_path: Path) -> None:
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 40_000, 40_000, 0) + b"\x02\x02\x4c\x01\x00"
    screen = struct.pack("<HHBBB", 40_000, 40_000, 0x80, 0, 0) + bytes(6)
    (tmp_path / "huge.gif").write_bytes(b"GIF89a" + screen + frame * 2 + b"\x3b")
    with pytest.raises(RefusedPicture, match=r"40000x40000 px is more than|not a video"):
        read_video(str(tmp_path / "huge.gif"), 64, range(2, 9))


@pytest.mark.parametrize("ending", ["mkv", "avi"])
def test_titles_that_are_no_utf8_do_not_spoil_a_video(ending: str, tmp_path: Path) -> None:
    path = video(tmp_path / f"old.{ending}", title="QQcafe")
    path.write_bytes(path.read_bytes().replace(b"QQcafe", b"QQcaf\xe9"))
    assert len(read_video(str(path), 64, range(2, 9))) == 5


@pytest.mark.parametrize("length", ["9" * 5000 + ":00:00", "9" * 400 + ":00:00.0", "0:0:" + "9" * 5000])
def test_lengths_that_are_none_do_not_spoil_a_video(length: str, tmp_path: Path) -> None:
    assert len(read_video(str(video(tmp_path / "long.mkv", DURATION=length)), 64, range(2, 9))) == 5


def test_a_named_pipe_that_calls_itself_a_picture_is_not_waited_for(tmp_path: Path) -> None:
    from pipelines.sources.stored import list_files
    from training.data.storage import open_storage

    os.mkfifo(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to("/dev/zero")
    (tmp_path / "c.png").write_bytes(pictures()["png"])
    filesystem, root = open_storage(str(tmp_path))
    assert list_files(filesystem, root) == ["c.png"]
