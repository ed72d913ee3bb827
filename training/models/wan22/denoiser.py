"""The transformer as the loss and sampling call it, with pictures pinned to frames or without.

Wan2.2 takes one timestep for each token. A pinned frame needs no network beside the transformer: its tokens are without
noise, at timestep 0. With a strength s from 0 to 1, its tokens are (1 - s) times the noisy frame plus s times the
picture. On straight lines to noise that is a frame with (1 - s) of the noise, so its timestep is multiplied by (1 - s).
The prediction is likewise (1 - s) times the transformer's plus s times the one that leads to the picture. At strength
1, as in training, it is the target itself, so pinned frames add nothing to the loss. Frames that are not equally noisy
(`training.models.wan22.flow`) have timesteps of their own as well.
"""

from typing import Any, cast

from diffusers import WanTransformer3DModel
from torch import Tensor, nn

from training.data.text import Text
from training.models.conditions import Conditions
from training.models.wan22.flow import Flow
from training.models.wan22.registration import Order


class WanDenoiser(nn.Module):
    """A transformer over whole sequences.

    Args:
        transformer: the transformer.
        flow: how noisy each frame is, and how pinned pictures become predictions.
        order: which latent the transformer sees first.
    """

    def __init__(self, transformer: WanTransformer3DModel, flow: Flow, order: Order = "forward") -> None:
        super().__init__()
        self.transformer = transformer
        self._flow, self._order = flow, order

    def forward(self, latents: Tensor, timesteps: Tensor, text: Text, conditions: Conditions | None = None) -> Tensor:
        """(B, S, C, h, w) noisy latents, (B,) timesteps, text and conditions -> (B, S, C, h, w)."""
        frame_timesteps = timesteps if self._flow.lead == 1 else self._flow.of_frames(timesteps, latents.shape[1])
        if conditions is None:
            return self._predicted(latents, frame_timesteps, text)
        pinned = conditions.repeated(len(latents))
        strengths = pinned.mask.to(latents)[:, :, None, None, None]
        pictures = pinned.latents.to(latents)
        mixed = (1 - strengths) * latents + pictures
        lessened = (1 - pinned.mask.to(timesteps)) * frame_timesteps.reshape(len(latents), -1)
        predicted = self._predicted(mixed, lessened, text)
        # `prediction_of` is linear in both, so this is s times the prediction that leads to the picture.
        towards = self._flow.prediction_of(strengths * latents, pictures, timesteps)
        return (1 - strengths) * predicted + towards

    def _predicted(self, latents: Tensor, timesteps: Tensor, text: Text) -> Tensor:
        """The transformer's prediction; timesteps are (B,), or (B, S) for each latent."""
        config, dtype = cast(Any, self.transformer).config, self.transformer.dtype
        if timesteps.ndim == 2:
            _, down, across = config.patch_size
            tokens = (latents.shape[-2] // down) * (latents.shape[-1] // across)
            timesteps = self._ordered(timesteps).repeat_interleave(tokens, dim=1)
        predicted: Tensor = self.transformer(
            self._ordered(latents).transpose(1, 2).to(dtype), timesteps, text["text"].to(dtype), return_dict=False
        )[0]
        return self._ordered(predicted.transpose(1, 2)).to(latents)

    def _ordered(self, sequences: Tensor) -> Tensor:
        return sequences.flip(1) if self._order == "reversed" else sequences
