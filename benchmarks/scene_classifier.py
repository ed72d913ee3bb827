"""A small network that reads scenes: which kinds of things a picture shows, and the colour of each.

It learns from the finished frames of train splits, whose scenes are composed again from their source ids, and from
plain drawings of other scenes, with each subject equally often. Captions are not used.
"""

import itertools
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.scene_pictures import NO_COLOUR, SUBJECTS, ScenePictures, Subject, drawings, finished_frames, joined
from pipelines.sources.scenes.palette import COLOURS

_HELD_OUT_EVERY = 16  # one train frame in 16 is held out to choose the threshold
_BATCH = 64
_WIDTHS = (24, 48, 96)
_BLOTCH_PX = 4


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What the network sees in N pictures.

    Attributes:
        kinds: (N, K) logits that each kind of `SUBJECTS` is present.
        colours: (N, K, C) logits of `COLOURS` for a thing of each kind.
    """

    kinds: Tensor
    colours: Tensor

    def words(self, number: int) -> Subject:
        """The kind with the largest logit in one picture, and its likeliest colour."""
        kind = int(self.kinds[number].argmax())
        return Subject(SUBJECTS[kind], COLOURS[int(self.colours[number, kind].argmax())])


class SceneClassifier(nn.Module):
    """Detects kinds anywhere in a picture, and reads the colour of each kind where that kind's attention map points.

    One head reads the colours of all kinds, so that it cannot learn that sheep are mostly white.

    Attributes:
        threshold: logit above which a kind counts as present.
    """

    threshold: Tensor

    def __init__(self) -> None:
        super().__init__()
        first, second, third = _WIDTHS
        self.trunk = nn.Sequential(
            *_block(3, first, 2), *_block(first, second, 2), *_block(second, second, 1), *_block(second, third, 2),
            *_block(third, third, 1),
        )  # fmt: skip
        self.presence = nn.Conv2d(third, len(SUBJECTS), 1)
        self.attention = nn.Conv2d(third, len(SUBJECTS), 1)
        self.colour = nn.Conv2d(third, len(COLOURS), 1)
        assert self.presence.bias is not None
        nn.init.constant_(self.presence.bias, -3.0)  # most kinds are absent
        self.register_buffer("threshold", torch.zeros(()))

    def forward(self, pictures: Tensor) -> Reading:
        """Read (N, 3, H, W) pictures in [0, 1], sides multiples of 8."""
        features = self.trunk(pictures * 4 - 2)
        places = self.attention(features).flatten(2).softmax(-1)
        colours = torch.einsum("nkp,ncp->nkc", places, self.colour(features).flatten(2))
        return Reading(kinds=self.presence(features).amax((2, 3)), colours=colours)

    @torch.no_grad()
    def read(self, pictures: Tensor) -> Reading:
        """Read any number of pictures, uint8 or in [0, 1], in batches and without gradients."""
        scaled = (part.float() / 255 if part.dtype == torch.uint8 else part for part in torch.split(pictures, 256))
        parts: list[Reading] = [self(part) for part in scaled]
        kinds, colours = [part.kinds for part in parts], [part.colours for part in parts]
        return Reading(kinds=torch.cat(kinds), colours=torch.cat(colours))


def _block(inner: int, outer: int, stride: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inner, outer, 3, stride, 1, bias=False), nn.BatchNorm2d(outer), nn.ReLU(inplace=True)


def subjects_found(reading: Reading, subjects: Sequence[Subject], threshold: float) -> tuple[Tensor, Tensor]:
    """Whether pictures show their subjects.

    A kind is found if its logit is above the threshold, which is chosen on real frames (`equal_error`). It need not
    have the largest logit, since a picture may show other things too. A colour is found if it is the likeliest of the
    twelve for a thing of that kind.

    Returns:
        (N,) bool whether the kind is found, and (N,) bool whether the colour is. A picture shows its subject if both
        are true.
    """
    rows = torch.arange(len(subjects))
    kinds = torch.tensor([SUBJECTS.index(subject.kind) for subject in subjects])
    colours = torch.tensor([COLOURS.index(subject.colour) for subject in subjects])
    return reading.kinds[rows, kinds] > threshold, reading.colours[rows, kinds].argmax(-1) == colours


def equal_error(logits: Tensor, is_present: Tensor) -> tuple[float, float]:
    """The threshold at which the share of present kinds missed equals that of absent kinds seen, and this share.

    Args:
        logits, is_present: arrays of one shape, with one element for each pair of a picture and a kind.
    """
    present, absent = logits[is_present].sort().values, logits[~is_present].sort().values
    candidates = present.contiguous()
    miss_shares = torch.arange(len(present)) / len(present)  # with the threshold just below each candidate
    false_alarm_shares = 1 - torch.searchsorted(absent, candidates) / len(absent)
    best = int((miss_shares - false_alarm_shares).abs().argmin())
    return float(candidates[best]) - 1e-4, float(miss_shares[best] + false_alarm_shares[best]) / 2


def train_classifier(frames: ScenePictures, drawn: ScenePictures, num_updates: int) -> SceneClassifier:
    """Fit the classifier to all drawings and 15 of 16 frames, and choose the threshold on the other frames."""
    torch.manual_seed(0)
    held_out_numbers = range(0, len(frames), _HELD_OUT_EVERY)
    fitted = frames.of([number for number in range(len(frames)) if number % _HELD_OUT_EVERY])
    pictures = torch.cat([fitted.pictures, drawn.pictures])
    labels = torch.cat([fitted.labels, drawn.labels])
    classifier = SceneClassifier().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=4e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=num_updates, pct_start=0.15)
    start = time.process_time()
    for update, rows in enumerate(itertools.islice(_rows(len(pictures)), num_updates)):
        loss = _loss(classifier(_varied(pictures[rows])), labels[rows])
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
        if update % 200 == 0:
            print(f"classifier: update {update}, loss {loss:.3f}", file=sys.stderr, flush=True)
    classifier.eval().requires_grad_(False)
    held_out = frames.of(list(held_out_numbers))
    threshold, error = equal_error(classifier.read(held_out.pictures).kinds, held_out.labels[..., 0] == 1)
    classifier.threshold.fill_(threshold)
    print(f"classifier: {time.process_time() - start:.0f} s of CPU, equal error {100 * error:.1f} %", file=sys.stderr)
    return classifier


def _rows(count: int) -> Iterator[Tensor]:
    while True:
        yield from torch.split(torch.randperm(count), _BATCH)


def _varied(pictures: Tensor) -> Tensor:
    """Mirror, blur, tint, add noise and add blotches, as in generated pictures; colours keep their names.

    Without blotches in training, the network fails on generated pictures whose subject a person still recognises.
    """
    varied, (height_px, width_px) = pictures.float() / 255, pictures.shape[-2:]
    per_picture = (len(varied), 1, 1, 1)
    varied = torch.where(torch.rand(per_picture) < 0.5, varied.flip(-1), varied)
    for _ in range(2):
        blurred = functional.avg_pool2d(functional.pad(varied, (1, 1, 1, 1), mode="replicate"), 3, 1)
        varied = varied.lerp(blurred, torch.rand(per_picture) * (torch.rand(per_picture) < 0.5))
    varied = varied * (1 + 0.05 * torch.randn(per_picture)) + 0.02 * torch.randn(len(varied), 3, 1, 1)
    for cell_px, max_strength in ((1, 0.08), (_BLOTCH_PX, 0.1)):
        noise = torch.randn(len(varied), 3, height_px // cell_px, width_px // cell_px)
        noise = functional.interpolate(noise, scale_factor=float(cell_px))
        varied = varied + max_strength * torch.rand(per_picture) * (torch.rand(per_picture) < 0.6) * noise
    return varied.contiguous(memory_format=torch.channels_last)


def _loss(reading: Reading, labels: Tensor) -> Tensor:
    presence_labels, colours = labels[..., 0].float(), labels[..., 1]
    presence = functional.binary_cross_entropy_with_logits(reading.kinds, presence_labels, reduction="sum") / len(
        labels
    )
    colour = functional.cross_entropy(reading.colours.flatten(0, 1), colours.flatten(), ignore_index=NO_COLOUR)
    return presence + colour


def load_or_train(cache: Path | None, data: Sequence[Path], num_drawings: int, num_updates: int) -> SceneClassifier:
    """The classifier from the cache file; if the file does not exist, train the classifier and save it there.

    Args:
        cache: file of weights; without one the classifier is trained and not saved.
        data: data sets from whose train frames the classifier learns.
        num_drawings: number of drawings that it also learns from.
        num_updates: number of updates of its weights.
    """
    if cache is not None and cache.exists():
        classifier = SceneClassifier()
        classifier.load_state_dict(load_file(cache))
        return classifier.eval().requires_grad_(False)
    frames = joined([finished_frames(folder, "train") for folder in data])
    height_px, width_px = frames.pictures.shape[-2:]
    classifier = train_classifier(frames, drawings(num_drawings, (height_px, width_px)), num_updates)
    if cache is not None:
        cache.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: value.contiguous() for name, value in classifier.state_dict().items()}, cache)
    return classifier
