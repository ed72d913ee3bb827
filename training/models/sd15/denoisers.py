"""The networks of a Stable Diffusion as the loss and sampling call them."""

from diffusers import SparseControlNetModel, UNet2DConditionModel, UNetMotionModel
from torch import Tensor, nn

from training.data.text import Text
from training.models.conditions import Conditions
from training.models.sd15.motion import predict
from training.models.sd15.replication import predict_conditioned


class FrameDenoiser(nn.Module):
    """A 2D UNet that sees the frames of a sequence one by one."""

    def __init__(self, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, latents: Tensor, timesteps: Tensor, text: Text) -> Tensor:
        """(B, T, C, h, w) noisy latents, (B,) timesteps and text -> (B, T, C, h, w)."""
        num_frames = latents.shape[1]
        predicted: Tensor = self.unet(
            latents.flatten(0, 1),
            timesteps.repeat_interleave(num_frames),
            text["text"].repeat_interleave(num_frames, dim=0),
        ).sample
        return predicted.reshape(latents.shape)


class SequenceDenoiser(nn.Module):
    """A motion UNet."""

    def __init__(self, unet: UNetMotionModel) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, latents: Tensor, timesteps: Tensor, text: Text) -> Tensor:
        """(B, T, C, h, w) noisy latents, (B,) timesteps and text -> (B, T, C, h, w)."""
        return predict(self.unet, latents, timesteps, text["text"])


class ConditionedDenoiser(nn.Module):
    """A motion UNet with a replication network beside it."""

    def __init__(self, unet: UNetMotionModel, replication: SparseControlNetModel) -> None:
        super().__init__()
        self.unet, self.replication = unet, replication

    def forward(self, latents: Tensor, timesteps: Tensor, text: Text, conditions: Conditions) -> Tensor:
        """(B, T, C, h, w) noisy latents, (B,) timesteps, text and conditions -> (B, T, C, h, w)."""
        return predict_conditioned(self.unet, self.replication, latents, timesteps, text["text"], conditions)
