"""Sample sequences as files: a contact sheet with one row per prompt, and a video of all of them side by side."""

import io
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from conf.errors import UserError
from training.data.manifest import write_atomically
from training.data.pixels import png_of

if TYPE_CHECKING:
    import av

_BT709, _LIMITED = 1, 1  # codes of ITU-T H.273; players assume these for untagged video of 720 lines and more
_FRAMES_PER_S = 2
_FINISHED_REPEATS = 3  # times that the finished frame is shown
_LONGEST_ROW_PX = 2048


def write_samples(folder: Path, step: int, sequences: Tensor) -> tuple[Path, Path]:
    """Write (N, T, 3, H, W) sequences in [0, 1]; returns the paths of video and sheet.

    Raises:
        UserError: if they cannot be written, for example on a full disk.
    """
    frames = (sequences.detach().float().clamp(0, 1) * 255).round().byte().cpu().numpy().transpose(0, 1, 3, 4, 2)
    video, sheet = folder / f"step-{step:08d}.mp4", folder / f"step-{step:08d}.png"
    picture, film = png_of(side_by_side(frames)), mp4(np.concatenate(list(frames), axis=2))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(sheet, picture)
        write_atomically(video, film)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {error.strerror or error}") from error
    return video, sheet


def side_by_side(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(N, T, H, W, 3) as one picture with one row per sequence, reduced by a whole factor if it is too wide."""
    sheet = np.concatenate([np.concatenate(list(row), axis=1) for row in frames], axis=0)
    factor = -(-sheet.shape[1] // _LONGEST_ROW_PX)
    return sheet[::factor, ::factor]


def mp4(frames: Iterable[NDArray[np.uint8]], *, frames_per_s: float = _FRAMES_PER_S, lossless: bool = False) -> bytes:
    """A video of at least one (H, W, 3) frame; the finished one is shown longer.

    H.264 as players show it, with even sides, 4:2:0 and the colours of BT.709, which the file names; or lossless, H.264
    of RGB in Matroska.
    """
    import av

    frames = iter(frames)
    first = next(frames)
    height, width = (side if lossless else side // 2 * 2 for side in first.shape[:2])
    codec, quality, kind = ("libx264rgb", "0", "matroska") if lossless else ("libx264", "12", "mp4")
    buffer = io.BytesIO()
    # Without the option, a Matroska file contains a random id.
    with av.open(buffer, "w", format=kind, options={"fflags": "bitexact"}) as container:
        rate = Fraction(frames_per_s).limit_denominator(1000)
        stream = cast("av.VideoStream", container.add_stream(codec, rate=rate, options={"crf": quality}))
        stream.height, stream.width = height, width
        stream.pix_fmt = "rgb24" if lossless else "yuv420p"
        if not lossless:
            _name_colours(stream)
        for frame in _held(chain([first], frames), _FINISHED_REPEATS):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame[:height, :width]), format="rgb24")
            container.mux(stream.encode(picture if lossless else _in_bt709(picture)))
        container.mux(stream.encode())
    return buffer.getvalue()


def _held(frames: Iterable[NDArray[np.uint8]], times: int) -> Iterator[NDArray[np.uint8]]:
    """All frames, the last one so many times."""
    for frame in frames:
        yield frame
    yield from repeat(frame, times - 1)


def _name_colours(stream: "av.VideoStream") -> None:
    context: Any = stream.codec_context
    context.color_primaries = context.color_trc = context.colorspace = _BT709
    context.color_range = _LIMITED


def _in_bt709(picture: "av.VideoFrame") -> "av.VideoFrame":
    return picture.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
