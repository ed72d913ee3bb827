"""The actor of Learning to Paint (Huang, Heng and Zhou, ICCV 2019): canvas and picture in, five strokes out.

A ResNet-18 with the names and shapes of the weights that its authors released.
It sees nine channels: the canvas (3), the picture (3), how much of the painting is done (1), and the row and the column
of each pixel (2). It answers with 65 numbers in [0, 1]: five strokes of 13 (see `renderers.raster.discs`). Colours are
BGR throughout, because the released weights know no other order.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

STROKES_AT_ONCE = 5
STROKE_NUMBERS = 13
CHANNELS_SEEN = 9

_WIDTH = 64  # channels of the first layer; each of the last three layers has twice as many as the one before
_NUM_LAYERS = 4


class Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut = nn.Sequential()
        if stride != 1 or channels_in != channels:
            self.shortcut.append(nn.Conv2d(channels_in, channels, 1, stride, bias=False))
            self.shortcut.append(nn.BatchNorm2d(channels))

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H / stride, W / stride)."""
        inner = functional.relu(self.bn1(self.conv1(features)))
        return functional.relu(self.bn2(self.conv2(inner)) + self.shortcut(features))


class Actor(nn.Module):
    """From canvases, pictures and the progress to strokes. To be used in eval mode, as it comes trained."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(CHANNELS_SEEN, _WIDTH, 3, 2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(_WIDTH)
        channels_in = _WIDTH
        for number in range(_NUM_LAYERS):
            channels = _WIDTH * 2**number
            blocks = nn.Sequential(Block(channels_in, channels, 2), Block(channels, channels, 1))
            self.add_module(f"layer{number + 1}", blocks)
            channels_in = channels
        self.fc = nn.Linear(channels_in, STROKES_AT_ONCE * STROKE_NUMBERS)

    def forward(self, canvases: Tensor, pictures: Tensor, done: float) -> Tensor:
        """The next five strokes of each painting.

        Args:
            canvases, pictures: (B, 3, W, W) BGR in [0, 1].
            done: share of the painting's steps that are done, 0 to less than 1.

        Returns:
            (B, 5, 13) in [0, 1], in Learning to Paint's form.
        """
        features = functional.relu(self.bn1(self.conv1(observed(canvases, pictures, done))))
        for number in range(_NUM_LAYERS):
            features = self.get_submodule(f"layer{number + 1}")(features)
        # The released network averages 4 x 4 features, which are all there are at 128 px.
        numbers: Tensor = torch.sigmoid(self.fc(features.mean((2, 3))))
        return numbers.reshape(-1, STROKES_AT_ONCE, STROKE_NUMBERS)


def observed(canvases: Tensor, pictures: Tensor, done: float) -> Tensor:
    """The nine channels that an actor sees: (B, 9, H, W), all in [0, 1]; see `Actor.forward`."""
    count, _, height, width = canvases.shape
    rows = torch.linspace(0, 1, height, device=canvases.device)[:, None].expand(height, width)
    columns = torch.linspace(0, 1, width, device=canvases.device).expand(height, width)
    constant = torch.stack([torch.full_like(rows, done), rows, columns]).to(canvases.dtype)
    return torch.cat([canvases, pictures, constant.expand(count, 3, height, width)], 1)
