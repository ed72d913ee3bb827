"""Augmentation: the same for all frames of a sequence, a pure function of (seed, position), off unless asked for."""

from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

from tests.pipelines.small_dataset import small_dataset
from training.data.augment import Augmentation
from training.data.stream import DataMixture, SequenceStream

ALL = Augmentation(flip=0.5, crop=0.3, colour=0.3)


def picture(frames: int = 4) -> torch.Tensor:
    """(T, 3, 24, 32) the same smooth picture T times."""
    ramp = torch.linspace(0, 255, 32)[None, None].expand(3, 24, 32) * torch.tensor([1.0, 0.7, 0.4])[:, None, None]
    return ramp.to(torch.uint8).expand(frames, 3, 24, 32).clone()


def augmented(augmentation: Augmentation, position: int, seed: int = 0) -> torch.Tensor:
    frames = picture()
    augmentation.apply(frames, seed, position)
    return frames


def test_by_default_nothing_changes() -> None:
    assert not Augmentation().any and torch.equal(augmented(Augmentation(), 3), picture())


@pytest.mark.parametrize("kind", [Augmentation(flip=1.0), Augmentation(crop=0.3), Augmentation(colour=0.3), ALL])
def test_all_frames_of_a_sequence_change_alike(kind: Augmentation) -> None:
    for position in range(8):
        frames = augmented(kind, position)
        assert all(torch.equal(frames[0], frame) for frame in frames)


def test_the_same_position_changes_alike_and_others_differently() -> None:
    assert torch.equal(augmented(ALL, 5), augmented(ALL, 5))
    others = [augmented(ALL, position) for position in range(12)] + [augmented(ALL, 5, seed=1)]
    assert len({frames.numpy().tobytes() for frames in others}) == 13


def test_a_flip_mirrors_and_happens_as_often_as_asked() -> None:
    assert torch.equal(augmented(Augmentation(flip=1.0), 0), picture().flip(-1))
    mirrored = [torch.equal(augmented(Augmentation(flip=0.25), p), picture().flip(-1)) for p in range(200)]
    assert 30 <= sum(mirrored) <= 70


def test_a_crop_shows_a_smaller_stretch_at_full_size() -> None:
    for position in range(20):
        row = augmented(Augmentation(crop=0.5), position)[0, 0, 0].int()
        assert 255 * 0.45 <= row[-1] - row[0] <= 255 and (row.diff() >= 0).all()
    spans = {int(augmented(Augmentation(crop=0.5), position)[0, 0, 0, -1]) for position in range(20)}
    assert len(spans) > 5


def test_colours_change_within_their_bounds_and_stay_colours() -> None:
    grey = torch.full((1, 3, 8, 8), 128, dtype=torch.uint8)
    Augmentation(colour=0.2).apply(grey, 0, 1)
    assert len(set(grey.flatten().tolist())) == 1  # what is grey stays grey
    assert 128 * 0.8 - 0.2 * 255 * 1.2 - 1 <= int(grey[0, 0, 0, 0]) <= 128 * 1.2 + 0.2 * 255 * 1.2 + 1


def test_contrast_changes_distances_to_the_mean_of_the_sequence_and_not_the_mean(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    greys = torch.tensor([200, 128, 64, 64], dtype=torch.uint8).reshape(4, 1, 1, 1).expand(4, 3, 2, 3)
    picture_of_two = torch.tensor([200, 128], dtype=torch.uint8).expand(1, 3, 1, 2)
    expected = {0.2: [217, 131, 54, 54], -0.2: [183, 125, 74, 74]}  # the mean is 114
    for contrast, values in expected.items():
        monkeypatch.setattr("training.data.augment.Stream.generator", partial(_Draws, contrast))
        frames, alone = greys.clone(), picture_of_two.clone()
        Augmentation(colour=0.3).apply(frames, 0, 0)
        assert torch.equal(frames, torch.tensor(values, dtype=torch.uint8).reshape(4, 1, 1, 1).expand_as(frames))
        Augmentation(colour=0.3).apply(alone, 0, 0)
        pillows = ImageEnhance.Contrast(Image.fromarray(picture_of_two[0].permute(1, 2, 0).numpy()))
        assert np.abs(np.asarray(pillows.enhance(1 + contrast), int) - alone[0].permute(1, 2, 0).numpy()).max() <= 1


class _Draws:
    """Draws that change nothing but contrast."""

    def __init__(self, contrast: float, *place: int) -> None:
        self._contrast = contrast

    def random(self, size: int | None = None) -> Any:
        return 1.0 if size is None else np.zeros(size)

    def uniform(self, low: float, high: float, size: int) -> Any:
        return np.array([0.0, self._contrast, 0.0])


def test_an_augmented_stream_is_the_same_however_it_is_read(tmp_path: Path) -> None:
    root = small_dataset(tmp_path / "scenes", captions=tuple("abcdef"), num_frames=3)
    plain = SequenceStream.open([DataMixture(path=str(root))])
    stream = SequenceStream.open([DataMixture(path=str(root))], augmentation=ALL)

    def frames(stream: SequenceStream, **how: Any) -> torch.Tensor:
        with stream.batches(seed=0, batch_size=2, **how) as batches:
            return torch.cat([batch.frames for batch in islice(batches, 3) if batch.frames is not None])

    whole = frames(stream)
    assert not torch.equal(whole, frames(plain)) and whole.min() >= -1 and whole.max() <= 1
    assert torch.equal(whole, frames(stream, num_workers=2))
    assert torch.equal(whole[2:], frames(stream, start=2)[:4])
    assert torch.equal(frames(stream, world_size=2, rank=1)[:2], whole[2:4])
