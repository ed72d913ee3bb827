"""Removes the camera's motion: every frame is aligned with the last one by a homography.

Frames are aligned from the last one back. Each frame is matched to the next one and to some that are much later, which
are all aligned already. Near frames still look similar; distant ones prevent drift, and hands have moved in them while
the paint has stayed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.artists.footage import Footage, Frame

Homography = NDArray[np.float64]
"""(3, 3), from pixels of a frame to pixels of the last frame."""

_STEPS_AHEAD = (1, 4, 16, 64)  # frames; each frame is also matched to the last one
_NUM_FEATURES = 800
_RATIO = 0.8  # Lowe 2004, section 7.1
_INLIER_PX = 1.5
_LEAST_INLIERS = 12  # four matches always agree
_LARGEST_MOTION = 0.25  # share of the diagonal: corners that move farther were matched wrongly
_STEADY_PX = 0.3  # a smaller motion counts as none


@dataclass(frozen=True)
class _Features:
    points: NDArray[np.float32]  # (K, 2)
    descriptors: NDArray[np.float32] | None  # (K, 128); None without any


def straightened(footage: Footage) -> Footage:
    """The same frames as seen from the viewpoint of the last one.

    Parts of the last frame's view that a frame does not show are taken from the frame after it.
    """
    homographies = camera_motion(footage.frames)
    height, width = footage.frames[0].shape[:2]
    moved = [motion_px(each, height, width) for each in homographies]
    if max(moved) < _STEADY_PX:
        return footage.changed(footage.frames, camera_px=0.0)
    frames = list(footage.frames)
    whole_frame = np.full((height, width), 255, np.uint8)
    for at in range(len(frames) - 2, -1, -1):
        if moved[at] < _STEADY_PX:
            continue
        warped = cv2.warpPerspective(frames[at], homographies[at], (width, height), flags=cv2.INTER_CUBIC)
        covered = cv2.warpPerspective(whole_frame, homographies[at], (width, height), flags=cv2.INTER_LINEAR) == 255
        frames[at] = np.where(covered[..., None], warped, frames[at + 1]).astype(np.uint8)
    return footage.changed(frames, camera_px=round(max(moved), 1))


def camera_motion(frames: Sequence[Frame]) -> list[Homography]:
    """A homography for each frame; the last one's is the identity.

    A frame that cannot be matched gets the homography of the next one.
    """
    features = [_features(frame) for frame in frames]
    height, width = frames[0].shape[:2]
    last = len(frames) - 1
    motion = [np.eye(3) for _ in frames]
    for at in range(last - 1, -1, -1):
        ahead = sorted({min(at + step, last) for step in _STEPS_AHEAD} | {last})
        pairs = [_matches(features[at], features[other], motion[other]) for other in ahead]
        points, points_on_last = (np.concatenate([pair[side] for pair in pairs]) for side in (0, 1))
        homography = _homography(points, points_on_last)
        sane = homography is not None and motion_px(homography, height, width) < _LARGEST_MOTION * np.hypot(
            height, width
        )
        motion[at] = homography if homography is not None and sane else motion[at + 1]
    return motion


def motion_px(homography: Homography, height: int, width: int) -> float:
    """The largest distance by which a homography moves a corner of a picture."""
    corners = np.array([[[0, 0], [width, 0], [0, height], [width, height]]], np.float64)
    return float(np.linalg.norm(cv2.perspectiveTransform(corners, homography) - corners, axis=-1).max())


def same_view(one: Frame, other: Frame) -> bool | None:
    """Whether two frames show the same view; None if either has too few features to tell."""
    features, other_features = _features(one), _features(other)
    if min(len(features.points), len(other_features.points)) < 2 * _LEAST_INLIERS:
        return None
    return _homography(*_matches(features, other_features, np.eye(3))) is not None


def _features(frame: Frame) -> _Features:
    detector = cv2.SIFT.create(nfeatures=_NUM_FEATURES, contrastThreshold=0.015)
    points, descriptors = detector.detectAndCompute(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), None)
    return _Features(np.array([point.pt for point in points], np.float32).reshape(-1, 2), descriptors)


def _matches(
    features: _Features, other_features: _Features, onto_last: Homography
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(K, 2) points of a frame, and their positions on the last frame, found by way of another frame."""
    if features.descriptors is None or other_features.descriptors is None or len(other_features.points) < 2:
        return np.empty((0, 2), np.float32), np.empty((0, 2), np.float32)
    nearest = cv2.BFMatcher(cv2.NORM_L2).knnMatch(features.descriptors, other_features.descriptors, k=2)
    good = [best for best, second in nearest if best.distance < _RATIO * second.distance]
    points, other_points = (
        features.points[[match.queryIdx for match in good]],
        other_features.points[[match.trainIdx for match in good]],
    )
    if not good:
        return points.reshape(0, 2), other_points.reshape(0, 2)
    return points, cv2.perspectiveTransform(other_points[None].astype(np.float64), onto_last)[0].astype(np.float32)


def _homography(points: NDArray[np.float32], points_on_last: NDArray[np.float32]) -> Homography | None:
    """The homography that most matches agree on (MAGSAC++, Barath et al. 2020), or None."""
    if len(points) < _LEAST_INLIERS:
        return None
    robust, agree = cv2.findHomography(
        points, points_on_last, cv2.USAC_MAGSAC, _INLIER_PX, maxIters=2000, confidence=0.999
    )
    if robust is None or agree is None or int(agree.sum()) < _LEAST_INLIERS:
        return None
    inliers = agree.ravel().astype(bool)
    refined, _ = cv2.findHomography(points[inliers], points_on_last[inliers], 0)
    best: Homography = robust if refined is None else refined
    return best
