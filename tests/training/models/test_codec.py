"""What the codec of the tiny model promises."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.models.small_base import pictures
from training.models.codec import PatchCodec, fit_codec


def _error(codec: PatchCodec, shown: torch.Tensor) -> float:
    return float((codec.decode(codec.encode(shown).latent_dist.mean).sample - shown).square().mean())


def test_codes_have_mean_zero_and_variance_one() -> None:
    shown = pictures(64)
    codes = fit_codec(shown, latent_channels=12).encode(shown).latent_dist.mean
    assert codes.shape == (64, 12, 8, 8)
    assert abs(float(codes.mean())) < 1e-3
    assert float(codes.square().mean()) == pytest.approx(1, abs=1e-3)


def test_it_is_certain_of_its_codes() -> None:
    posterior = fit_codec(pictures(8), latent_channels=4).encode(pictures(2)).latent_dist
    assert torch.allclose(posterior.sample(), posterior.mean, atol=1e-5)


def test_with_all_channels_nothing_is_lost() -> None:
    shown = pictures(40, size_px=32)
    noisy = (shown + 0.3 * torch.randn(shown.shape, generator=torch.Generator().manual_seed(1))).clamp(-1, 1)
    assert _error(fit_codec(noisy, patch_px=4, latent_channels=48), noisy) < 1e-4


def test_no_linear_patch_code_of_its_size_is_better() -> None:
    """Principal components by another road (SVD) and patch by patch bound what neighbours can only improve."""
    shown = pictures(64) + 0.2 * torch.randn(64, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    patches = torch.nn.functional.pixel_unshuffle(shown, 8).movedim(1, -1).reshape(-1, 192).numpy()
    centred = patches - patches.mean(0)
    spread = np.linalg.svd(centred, compute_uv=False) ** 2
    best_alone = spread[10:].sum() / centred.size
    assert _error(fit_codec(shown, latent_channels=10), shown) <= best_alone * 1.001


def test_other_pictures_of_the_kind_come_back_too() -> None:
    codec = fit_codec(pictures(200), latent_channels=24)
    unseen = pictures(20, seed=9)
    assert -10 * np.log10(_error(codec, unseen) / 4) > 35


@pytest.mark.parametrize("width", [0, 8])
def test_it_comes_back_from_disk_as_it_was(width: int, tmp_path: Path) -> None:
    codec = fit_codec(pictures(16), latent_channels=6, width=width)
    with torch.no_grad():
        for parameter in codec.parameters():
            parameter.add_(0.01)
    codec.save_pretrained(tmp_path)
    loaded = PatchCodec.from_pretrained(tmp_path)
    assert loaded.config.latent_channels == 6
    codes = codec.encode(pictures(2)).latent_dist.mean
    assert torch.equal(codes, loaded.encode(pictures(2)).latent_dist.mean)
    assert torch.equal(codec.decode(codes).sample, loaded.decode(codes).sample)


@pytest.mark.parametrize("patch_px", [2, 4, 8, 16])
def test_networks_that_are_not_trained_change_nothing(patch_px: int) -> None:
    shown = pictures(32)
    linear, wide = (fit_codec(shown, patch_px=patch_px, latent_channels=6, width=width) for width in (0, 16))
    assert torch.equal(linear.autoencode(shown), wide.autoencode(shown))


def test_a_picture_of_any_shape_in_patches_is_taken() -> None:
    codec = fit_codec(pictures(16), latent_channels=6)
    assert codec.decode(codec.encode(torch.zeros(1, 3, 24, 72)).latent_dist.mean).sample.shape == (1, 3, 24, 72)


def test_pictures_of_one_colour_do_not_break_it() -> None:
    white = torch.ones(10, 3, 16, 16)
    codec = fit_codec(white, latent_channels=4)
    assert torch.allclose(codec.decode(codec.encode(white).latent_dist.mean).sample, white, atol=1e-3)
