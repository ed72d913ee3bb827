"""The tiny model's codec: squares of pixels to a few numbers each and back.

It has the interface of `AutoencoderKL`. It stands here, and not with the tiny model, because the name of this module is
part of every painter's `model_index.json`.

Two linear maps in closed form are its frame. The encoder is the principal components of patches; the decoder is the
best linear map from a patch's code *and its neighbours'* to its pixels, which also takes most of the edges between
patches away. A convolutional autoencoder needs hours of two cores to get so far. So where one is wanted (`width`), its
networks add to these maps, and begin at 0: training starts where the linear codec ends (docs/decisions/031).
"""

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.vae import DecoderOutput, DiagonalGaussianDistribution
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.nn import functional

_WHITENING = 0.25  # 0 keeps the spread of the components, 1 makes it equal: what is large counts most, details a little
_RIDGE = 1e-4
_LOG_VARIANCE = -30.0  # the least that diffusers knows: this codec is exact about what it encodes


class PatchCodec(ModelMixin, ConfigMixin):  # type: ignore[misc]  # diffusers is not typed
    """Codec of square patches, linear or convolutional.

    Attributes:
        config.patch_px: side of a patch; sides of pictures must be multiples of it.
        config.latent_channels: numbers a patch.
        config.scaling_factor: as in `AutoencoderKL`; codes have unit variance already.
        config.width: channels of the networks beside the linear maps, at the grid of patches; 0: it is linear.
        config.encoder_width: of the encoder's alone, where it is another; 0: its codes are the linear ones.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        patch_px: int = 8,
        latent_channels: int = 32,
        scaling_factor: float = 1.0,
        width: int = 0,
        encoder_width: int | None = None,
    ) -> None:
        super().__init__()
        self.to_code = nn.Conv2d(3, latent_channels, patch_px, stride=patch_px)
        self.to_pixels = nn.Conv2d(
            latent_channels, 3 * patch_px**2, 3, padding=1, padding_mode="replicate"
        )  # to pixels of a patch, from its code and its neighbours'
        encoder_width = width if encoder_width is None else encoder_width
        self.code_details = _code_network(patch_px, latent_channels, encoder_width) if encoder_width else None
        self.pixel_details = _pixel_network(patch_px, latent_channels, width) if width else None

    def encode(self, pictures: Tensor) -> AutoencoderKLOutput:
        """Codes of (N, 3, H, W) pictures in [-1, 1], as a (certain) distribution over (N, C, H / 8, W / 8)."""
        codes = self.to_code(pictures)
        if self.code_details is not None:
            codes = codes + self.code_details(pictures)
        parameters = torch.cat([codes, torch.full_like(codes, _LOG_VARIANCE)], dim=1)
        return AutoencoderKLOutput(latent_dist=DiagonalGaussianDistribution(parameters))

    def decode(self, codes: Tensor) -> DecoderOutput:
        """Pictures (N, 3, H, W), about in [-1, 1], of (N, C, H / 8, W / 8) codes."""
        pictures = functional.pixel_shuffle(self.to_pixels(codes), self.config.patch_px)
        if self.pixel_details is not None:
            pictures = pictures + self.pixel_details(codes)
        return DecoderOutput(sample=pictures)

    def with_wide_decoder(self, width: int) -> "PatchCodec":
        """One with the same codes, whose decoder has a network that can be trained to do better.

        Args:
            width: channels of a new network, which changes nothing yet; a decoder that has one keeps it.
        """
        if self.pixel_details is not None:
            return self
        wide: PatchCodec = PatchCodec(**{**self.config, "width": width, "encoder_width": 0})
        wide.load_state_dict({**wide.state_dict(), **self.state_dict()})
        return wide

    def autoencode(self, pictures: Tensor) -> Tensor:
        """What comes back of (N, 3, H, W) pictures."""
        decoded: Tensor = self.decode(self.encode(pictures).latent_dist.mean).sample
        return decoded


class _Block(nn.Module):
    """Two convolutions whose result is added; at first nothing is."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(_conv(width, width), nn.SiLU(), _zero(_conv(width, width)))

    def forward(self, values: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C, h, w)."""
        changed: Tensor = values + self.layers(values)
        return changed


def _code_network(patch_px: int, latent_channels: int, width: int) -> nn.Sequential:
    """Pixels -> codes; half of `width` at a grid twice as fine as that of patches."""
    fine_px = patch_px // 2
    return nn.Sequential(
        nn.PixelUnshuffle(fine_px), _conv(3 * fine_px**2, width // 2), _Block(width // 2),
        nn.PixelUnshuffle(2), _conv(2 * width, width), _Block(width),
        nn.SiLU(), _zero(_conv(width, latent_channels)),
    )  # fmt: skip


def _pixel_network(patch_px: int, latent_channels: int, width: int) -> nn.Sequential:
    """Codes -> pixels, over the same grids."""
    fine_px = patch_px // 2
    return nn.Sequential(
        _conv(latent_channels, width), _Block(width), _Block(width),
        nn.SiLU(), _conv(width, 2 * width), nn.PixelShuffle(2), _Block(width // 2), _Block(width // 2),
        nn.SiLU(), _zero(_conv(width // 2, 3 * fine_px**2)), nn.PixelShuffle(fine_px),
    )  # fmt: skip


def _conv(channels: int, width: int) -> nn.Conv2d:
    return nn.Conv2d(channels, width, 3, padding=1, padding_mode="replicate")


def _zero(layer: nn.Conv2d) -> nn.Conv2d:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


@torch.no_grad()
def fit_codec(pictures: Tensor, *, patch_px: int = 8, latent_channels: int = 32, width: int = 0) -> PatchCodec:
    """The best linear codec for some pictures.

    Args:
        pictures: (N, 3, H, W) in [-1, 1], H and W multiples of `patch_px`.
        patch_px: side of a patch.
        latent_channels: numbers a patch, at most 3 * patch_px ** 2.
        width: of networks that can be trained to do better; untrained, they change nothing.

    Returns:
        A codec whose codes have mean 0 and, over all channels, variance 1.
    """
    codec: PatchCodec = PatchCodec(patch_px=patch_px, latent_channels=latent_channels, width=width)
    patches = functional.pixel_unshuffle(pictures.double(), patch_px)  # (N, 3 * p * p, h, w)
    size = patches.shape[1]
    flat = patches.movedim(1, -1).reshape(-1, size)
    mean = flat.mean(0)
    variances, directions = torch.linalg.eigh((flat - mean).T @ (flat - mean) / len(flat))
    variances, directions = variances.flip(0)[:latent_channels], directions.flip(1)[:, :latent_channels]
    directions = directions * torch.sign(directions.sum(0)).where(directions.sum(0) != 0, torch.ones(()).double())
    gains = variances.clamp_min(1e-8) ** (-_WHITENING / 2)
    gains = gains / (variances * gains**2).mean().clamp_min(1e-12).sqrt()
    analysis = (directions * gains).T  # (C, 3 * p * p)
    codec.to_code.weight.copy_(analysis.reshape(latent_channels, 3, patch_px, patch_px))
    assert codec.to_code.bias is not None
    codec.to_code.bias.copy_(-analysis @ mean)
    fit_decoder(codec, pictures)
    return codec


@torch.no_grad()
def fit_decoder(codec: PatchCodec, pictures: Tensor) -> None:
    """Make a codec's decoder the best linear one for its encoder and some pictures (N, 3, H, W) in [-1, 1]."""
    patch_px, latent_channels = codec.config.patch_px, codec.config.latent_channels
    patches = functional.pixel_unshuffle(pictures.double(), patch_px)  # (N, 3 * p * p, h, w)
    size = patches.shape[1]
    codes = codec.to_code(pictures).double()
    around = functional.unfold(functional.pad(codes, (1, 1, 1, 1), mode="replicate"), 3)  # (N, 9 * C, h * w)
    inputs = around.movedim(1, -1).reshape(-1, around.shape[1])
    inputs = torch.cat([inputs, torch.ones_like(inputs[:, :1])], dim=1)
    gram = inputs.T @ inputs + _RIDGE * len(inputs) * torch.eye(inputs.shape[1], dtype=torch.float64)
    solution = torch.linalg.solve(gram, inputs.T @ patches.movedim(1, -1).reshape(-1, size))  # (9 * C + 1, 3 * p * p)
    assert codec.to_pixels.bias is not None
    codec.to_pixels.weight.copy_(solution[:-1].T.reshape(size, latent_channels, 3, 3))
    codec.to_pixels.bias.copy_(solution[-1])
