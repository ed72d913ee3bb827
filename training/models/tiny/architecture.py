"""The tiny model as an architecture: a small Stable Diffusion that is trained from scratch, text encoder included."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import cast

from torch import Tensor, nn

from conf.errors import ConfigError, UserError
from training.models.architecture import Base, TrainsCodec
from training.models.codec import PatchCodec, fit_codec
from training.models.compiling import compile_blocks
from training.models.contrast import PictureEncoder
from training.models.sd15.architecture import StableDiffusion
from training.models.sd15.base import BaseModel, load_codec
from training.models.sd15.growth import grown_codec, grown_unet
from training.models.tiny.build import build_tiny
from training.models.tiny.registration import TinyConfig
from training.models.tiny.words import WordsNetwork
from training.noise_schedule import NoiseSchedule
from training.objective import Objective


class TinyModel(StableDiffusion):
    """See `training.models.architecture.TrainsCodec`."""

    def cell_of(self, model: TinyConfig) -> int:
        """Pixels that the sides of frames must be multiples of: the UNet halves the grid at each level but one."""
        return int(model.shape.patch_px * 2 ** (len(model.shape.channels) - 1))

    def build_base(
        self, model: TinyConfig, captions: Iterable[str], pictures: Tensor, objective: Objective, seed: int
    ) -> Base:
        """A base whose tokenizer knows the captions and whose codec fits the pictures; all else is untrained."""
        return build_tiny(model.shape, captions, pictures, cast(NoiseSchedule, objective), seed)

    def new_codec(self, model: TinyConfig, pictures: Tensor, width: int) -> PatchCodec:
        """The linear codec, with networks beside it that change nothing yet."""
        shape = model.shape
        return fit_codec(pictures, patch_px=shape.patch_px, latent_channels=shape.latent_channels, width=width)

    def with_codec(self, base: Base, folder: Path) -> Base:
        """The base with that codec, of either kind."""
        own = cast(BaseModel, base)
        changed = replace(own, vae=load_codec(str(folder), f"codec={folder}"))
        available, needed = (
            f"{each.patch_px} px and {cast(PatchCodec, each.vae).config.latent_channels} channels"
            for each in (changed, own)
        )
        if available != needed:
            keys = "model.shape.patch_px and model.shape.latent_channels"
            raise UserError(f"codec={folder}: its cells have {available}, not {needed}, which {keys} say")
        return changed

    def grown_base(self, base: Base, model: TinyConfig, pictures: Tensor, name: str) -> Base:
        """A base whose codec and UNet read and write more numbers per cell; all else is the same."""
        own = cast(BaseModel, base)
        codec, patch_px, channels = own.vae, model.shape.patch_px, model.shape.latent_channels
        if not isinstance(codec, PatchCodec) or codec.config.width:
            raise UserError(f"{name}: its codec is not the tiny model's linear one, so it cannot be grown")
        if patch_px != 2 * own.patch_px:
            raise ConfigError("model.shape.patch_px", patch_px, f"{2 * own.patch_px}, twice that of {name}")
        if channels < own.latent_channels:
            allowed = f"at least {own.latent_channels}, as {name} has"
            raise ConfigError("model.shape.latent_channels", channels, allowed)
        return replace(own, vae=grown_codec(codec, pictures, channels), unet=grown_unet(own.unet, channels))

    def codec_of(self, base: Base, width: int, name: str) -> PatchCodec:
        """The base's codec, with a network beside the linear decoder."""
        codec = cast(BaseModel, base).vae
        if not isinstance(codec, PatchCodec):
            raise UserError(f"{name}: its codec is not one of the tiny model")
        wide: PatchCodec = codec.with_wide_decoder(width)
        return wide

    def words_network(self, base: Base, size_px: tuple[int, int], *, further: bool) -> WordsNetwork:
        """The network that stage `words` trains."""
        return WordsNetwork(cast(BaseModel, base), size_px, further=further)

    def compile(self, network: nn.Module) -> None:
        """Compile its blocks, those of stage `words` too."""
        super().compile(network)
        compile_blocks(network, (PictureEncoder,))

    def recognises(self, folder: Path) -> bool:
        """Never: a folder that looks like one, and was not made here, is a Stable Diffusion."""
        return False


ARCHITECTURE: TrainsCodec = TinyModel()
