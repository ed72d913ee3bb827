"""A synthetic time-lapse: the true canvases, and the same filmed by a shaking camera with a hand in front."""

from collections.abc import Sequence
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.uint8]
"""(N, H, W, 3)."""

HEIGHT, WIDTH, BARE, HELD = 192, 256, 8, 10
_SKIN = (224, 172, 140)


def painting(num_frames: int, seed: int = 0) -> tuple[Frames, NDArray[np.float64]]:
    """A picture on paper on a desk, which grows by one soft stroke a frame, except in the first and last frames.

    Returns:
        The frames, and (N, 2) positions of the brush.
    """
    rng = np.random.default_rng(seed)
    desk = cv2.GaussianBlur(rng.integers(60, 150, (HEIGHT, WIDTH, 3)).astype(np.float32), (0, 0), 1.6)
    canvas = np.float32(105) + (desk - desk.mean()) * 3
    grain = cv2.GaussianBlur(rng.normal(0, 6, (HEIGHT, WIDTH, 1)).astype(np.float32), (0, 0), 1.2)[..., None]
    canvas[20:-20, 24:-24] = 236 + grain[20:-20, 24:-24]
    frames, brush = [canvas.copy()], [np.array([WIDTH / 2, HEIGHT / 2])]
    while len(frames) < num_frames:
        done = (len(frames) - BARE) / (num_frames - HELD - BARE)
        if done < 0:
            brush.append(brush[0] + (9.0 * len(frames), -4.0 * len(frames)))  # the brush hovers
        elif done < 1:
            across = rng.uniform(40, WIDTH - 40), rng.uniform(36, HEIGHT - 36)
            brush.append(np.array(across))
            mask = np.zeros((HEIGHT, WIDTH), np.float32)
            axes = (int(19 - 10 * done), int(7 - 3 * done))
            cv2.ellipse(mask, (int(across[0]), int(across[1])), axes, float(rng.uniform(0, 180)), 0, 360, 1.0, -1)
            mask = cv2.GaussianBlur(mask, (0, 0), 1.2)[..., None]
            mask[:20], mask[-20:], mask[:, :24], mask[:, -24:] = 0, 0, 0, 0
            canvas = canvas * (1 - mask) + rng.uniform(20, 220, 3).astype(np.float32) * mask
        else:
            brush.append(np.array([3.0 * WIDTH, 3.0 * HEIGHT]))  # the hand is gone
        frames.append(canvas.copy())
    return np.clip(np.rint(np.stack(frames)), 0, 255).astype(np.uint8), np.stack(brush)


def with_hand(frames: Frames, brush: NDArray[np.float64], seed: int = 1) -> Frames:
    """The frames with an arm from below, whose hand holds a brush where paint has just been laid."""
    rng = np.random.default_rng(seed)
    filmed = frames.copy()
    for frame, (x, y) in zip(filmed, brush, strict=True):
        wrist = (x + 46 + rng.normal(0, 6), y + 52 + rng.normal(0, 6))
        hand, tip, elbow = (int(x + 20), int(y + 22)), (int(x), int(y)), (int(wrist[0] + 60), int(wrist[1] + 120))
        cv2.line(frame, hand, elbow, (70, 60, 120), 26)
        cv2.ellipse(frame, hand, (22, 16), float(rng.uniform(30, 60)), 0, 360, _SKIN, -1)
        cv2.line(frame, tip, hand, (60, 40, 20), 4)
    return filmed


def shaken(frames: Frames, reach_px: float = 4.0, seed: int = 2) -> Frames:
    """The frames as filmed by a shaking camera; the last frame is not moved."""
    rng = np.random.default_rng(seed)
    filmed = frames.copy()
    for number, frame in enumerate(frames[:-1]):
        angle, (dx, dy) = np.deg2rad(rng.uniform(-0.7, 0.7)), rng.uniform(-reach_px, reach_px, 2)
        cos, sin = np.cos(angle), np.sin(angle)
        centre = np.array([[1, 0, WIDTH / 2], [0, 1, HEIGHT / 2], [0, 0, 1]])
        tilt = np.array([[cos, -sin, dx], [sin, cos, dy], [*rng.uniform(-3e-5, 3e-5, 2), 1]])
        motion = centre @ tilt @ np.linalg.inv(centre)
        filmed[number] = cv2.warpPerspective(
            frame, motion, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
    return filmed


def write_video(
    path: Path, frames: Frames | Sequence[NDArray[np.uint8]], codec: str = "ffv1", pix_fmt: str = "bgr0"
) -> Path:
    """Write a video, by default without loss."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, stream.pix_fmt = frames[0].shape[0], frames[0].shape[1], pix_fmt
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())
    return path
