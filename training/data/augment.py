"""Random changes to sequences, the same for all frames of a sequence, so that it still shows one painting process.

Every draw comes from (seed, position): the same sample is changed in the same way after a resume, whichever rank or
worker reads it, and in another way in the next epoch.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from conf.errors import ConfigError
from training.random.streams import Stream

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Random changes; none by default.

    Attributes:
        flip: probability that a sequence is mirrored, 0 to 1. Captions that say left or right become wrong.
        crop: largest share of each side that is cut away, 0 to 0.5; the rest is scaled to the full size.
        colour: largest change of brightness, contrast (around the mean of the whole sequence) and saturation, 0 to
            0.5. Unfinished canvas changes too, and captions that name colours become less true.
    """

    flip: float = 0.0
    crop: float = 0.0
    colour: float = 0.0

    def __post_init__(self) -> None:
        for key, highest in (("flip", 1.0), ("crop", 0.5), ("colour", 0.5)):
            if not 0.0 <= getattr(self, key) <= highest:
                raise ConfigError(key, getattr(self, key), f"0 to {highest}")

    @property
    def any(self) -> bool:
        """Whether anything is changed at all."""
        return self.flip > 0 or self.crop > 0 or self.colour > 0

    def apply(self, frames: "Tensor", seed: int, position: int) -> None:
        """Change (T, 3, H, W) uint8 frames, in place."""
        if not self.any:
            return
        from kornia.enhance import adjust_brightness, adjust_contrast_with_mean_subtraction, adjust_saturation
        from kornia.geometry.transform import crop_and_resize, hflip

        rng = Stream.AUGMENTATION.generator(seed, position)
        mirrored = rng.random() < self.flip
        cut, left, top = rng.random(3)
        brightness, contrast, saturation = rng.uniform(-self.colour, self.colour, 3)
        changed = frames / 255
        if mirrored:
            changed = hflip(changed)
        if self.crop:
            height_px, width_px = frames.shape[-2:]
            box = _box(height_px, width_px, self.crop * cut, left, top).expand(len(frames), -1, -1)
            changed = crop_and_resize(changed, box, (height_px, width_px), padding_mode="border")
        if self.colour:
            # All frames as one picture (3, T x H, W), because the mean of a picture is what its contrast is around.
            channels_first = adjust_brightness(changed, brightness).transpose(0, 1)
            joined = adjust_contrast_with_mean_subtraction(channels_first.flatten(1, 2), 1 + contrast)
            changed = adjust_saturation(joined.reshape(channels_first.shape).transpose(0, 1), 1 + saturation)
        frames.copy_((changed * 255).round().clamp(0, 255))


def _box(height_px: int, width_px: int, cut: float, left: float, top: float) -> "Tensor":
    """(1, 4, 2) corners (x, y), clockwise, of a box without a share `cut` of each side.

    Shares `left` and `top` of what is cut are cut on the left and at the top.
    """
    import torch

    x0, y0 = (width_px - 1) * cut * left, (height_px - 1) * cut * top
    x1, y1 = x0 + (width_px - 1) * (1 - cut), y0 + (height_px - 1) * (1 - cut)
    return torch.tensor([[[x0, y0], [x1, y0], [x1, y1], [x0, y1]]])
