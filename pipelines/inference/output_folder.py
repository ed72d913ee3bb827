"""The files of a painted process: frames, video, animation, sheet, report, and a page that plays it.

OUT/frames/00.png ...   the frames
OUT/process.mp4         for players (H.264, 4:2:0); OUT/process.mkv is lossless, when asked for
OUT/process.webp        animation
OUT/sheet.png           all frames in rows; the sheet, process.webp and process.mp4 show small frames enlarged
OUT/strokes.npz         the stroke program of a process that was executed in strokes
OUT/report.json         all that is needed to paint it again, and how well it keeps to its conditions
OUT/index.html          a player; needs no network
"""

import hashlib
import io
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from conf.errors import UserError
from pipelines.exports.sheet import arranged
from pipelines.inference.own_files import (
    PAGE,
    PROVENANCE,
    REPORT,
    check_writable,
    claim,
    release,
    withdraw,
    write_report,
)
from pipelines.inference.smoothing import Smoothing, smooth
from pipelines.pages.player.page import render_player
from renderers.distance import frame_distances
from renderers.quality import psnr_db, ssim
from training.data.layout import frame_member
from training.data.manifest import write_atomically
from training.data.pixels import png_of
from training.run.samples import mp4

__all__ = ["PROVENANCE", "ProcessFolder", "adherence", "enlarged", "in_rows", "progress"]

_LAST_FRAME_MS = 2000
_LEAST_SIDE_PX = 256
_MOST_SIDE_PX = 4096  # a side that players can show; WebP and H.264 allow at most 16383 and 16384

_SHEET_PX, _SHEET_GAP_PX = (2400, 1800), 8

Frames = NDArray[np.uint8]
NOTHING_GIVEN: Mapping[int, Frames] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class ProcessFolder:
    """How a process is written.

    Attributes:
        root: the folder; it is made if it does not exist.
        frames_per_s: frame rate of video and animation.
        lossless: whether a lossless video is written too.
        smoothing: how `process.mp4` alone is smoothed.
        has_strokes: whether the stroke program is written too.
    """

    root: Path
    frames_per_s: float = 2.0
    lossless: bool = False
    smoothing: Smoothing = "none"
    has_strokes: bool = False

    def write(
        self,
        frames: Frames,
        report: Mapping[str, Any],
        given: Mapping[int, Frames] = NOTHING_GIVEN,
        strokes: bytes | None = None,
    ) -> None:
        """Write all files, the report last: a folder with a report is complete. A failed write leaves nothing behind.

        Args:
            frames: (T, H, W, 3).
            report: plain data; `files`, the names of all written files, and `sha256`, their hashes, are added.
            given: frame -> (H, W, 3) picture that the user gave for it, for the page.
            strokes: the stroke program, if `has_strokes`.

        Raises:
            UserError: if the folder holds something that no process wrote; nothing in it is then changed.
            OSError: if the folder cannot be written.
        """
        self.check(len(frames))
        other_files = self._other_files(frames, report, given, strokes)  # made first, as encoders may fail
        is_new = not self.root.exists()
        sha256: dict[str, str] = {}

        def write(name: str, data: bytes) -> None:
            write_atomically(self.root / name, data)
            sha256[name] = hashlib.sha256(data).hexdigest()

        try:
            claim(self.root, self._files(len(frames)))
            for name, frame in zip(_frame_names(len(frames)), frames, strict=True):
                write(name, png_of(frame))
            for name, data in other_files.items():
                write(name, data)
            write_report(self.root, report, sha256)
        except UserError:
            raise  # the folder holds other work, and nothing was changed
        except Exception:
            withdraw(self.root, self._files(len(frames)))
            if is_new:
                with suppress(OSError):  # another process may have put something into the folder
                    self.root.rmdir()
            raise
        release(self.root)

    def _other_files(
        self, frames: Frames, report: Mapping[str, Any], given: Mapping[int, Frames], strokes: bytes | None
    ) -> dict[str, bytes]:
        """Name -> content of the files that are not one frame each."""
        large = enlarged(frames)
        smoothed, rate = smooth(large, self.frames_per_s, self.smoothing)
        files = {"process.mp4": mp4(smoothed, frames_per_s=rate)}
        if self.lossless:
            files["process.mkv"] = mp4(frames, frames_per_s=self.frames_per_s, lossless=True)
        files["process.webp"] = self._animation(large)
        files["sheet.png"] = png_of(in_rows(large))
        if strokes is not None:
            files["strokes.npz"] = strokes
        pictures = {frame: png_of(picture) for frame, picture in given.items()}
        files[PAGE] = render_player(_frame_names(len(frames)), self.frames_per_s, report, pictures)
        return files

    def check(self, num_frames: int) -> None:
        """Check, before hours of painting, that a process of so many frames may be written.

        Raises:
            UserError: as `write`.
        """
        check_writable(self.root, self._files(num_frames))

    def _files(self, num_frames: int) -> list[str]:
        videos = ["process.mp4", *(["process.mkv"] if self.lossless else []), "process.webp"]
        strokes = ["strokes.npz"] if self.has_strokes else []
        return [*_frame_names(num_frames), *videos, "sheet.png", *strokes, PAGE, REPORT]

    def _animation(self, frames: Frames) -> bytes:
        pictures = map(PillowImage.fromarray, frames)
        durations = [round(1000 / self.frames_per_s)] * (len(frames) - 1) + [_LAST_FRAME_MS]
        buffer = io.BytesIO()
        next(pictures).save(
            buffer, "WEBP", save_all=True, append_images=pictures, duration=durations, loop=0, lossless=True
        )
        return buffer.getvalue()


def enlarged(frames: Frames) -> Frames:
    """(T, H, W, 3) frames for people to look at: small frames are enlarged by an integer factor.

    It is the smallest factor that gives every side 256 px or more, but the long side never exceeds 4096 px.
    """
    shortest, longest = sorted(frames.shape[1:3])
    factor = min(-(-_LEAST_SIDE_PX // shortest), _MOST_SIDE_PX // longest)
    if factor <= 1:
        return frames
    size = (frames.shape[2] * factor, frames.shape[1] * factor)
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC) for frame in frames]).astype(np.uint8)


def in_rows(frames: Frames) -> Frames:
    """One picture (H, W, 3) of (T, h, w, 3) frames on white: in one row if they fit, else smaller in several rows."""
    count, height, width, _ = frames.shape
    columns, scale = count, 1.0
    if count * (width + _SHEET_GAP_PX) > _SHEET_PX[0] + _SHEET_GAP_PX:
        columns, scale = arranged(count, (height, width), _SHEET_PX, _SHEET_GAP_PX, 0)
    size = [max(1, int(side * min(1.0, scale))) for side in (width, height)]
    across, down = (side + _SHEET_GAP_PX for side in size)
    rows = -(-count // columns)
    sheet = np.full((rows * down - _SHEET_GAP_PX, columns * across - _SHEET_GAP_PX, 3), 255, np.uint8)
    for number, frame in enumerate(frames):
        top, left = number // columns * down, number % columns * across
        sheet[top : top + size[1], left : left + size[0]] = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    return sheet


def _frame_names(num_frames: int) -> list[str]:
    return [f"frames/{frame_member(number, num_frames, 'png')}" for number in range(num_frames)]


def adherence(frame: NDArray[np.uint8], condition: NDArray[np.float32]) -> dict[str, float]:
    """Errors, PSNR and SSIM of a painted frame against the picture that was pinned to it.

    Args:
        frame: (H, W, 3).
        condition: (H, W, 3) in [0, 1].
    """
    painted = np.asarray(frame / np.float32(255), np.float32)
    difference = painted - condition
    return {
        "mse": float(np.square(difference).mean()),
        "l1": float(np.abs(difference).mean()),
        "psnr_db": float(psnr_db(painted, condition)),
        "ssim": float(ssim(painted, condition)),
    }


def progress(frames: NDArray[np.uint8]) -> list[float]:
    """Distance in [0, 1] of each frame from the last, measured as for any painting (`renderers.distance`)."""
    return [round(float(distance), 4) for distance in frame_distances(frames)]
