"""What loading, saving and asking a base promise."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL
from transformers import CLIPTextModel

from conf.errors import UserError
from tests.training.models.small_base import CAPTIONS, small_base
from training.models.sd15.base import BaseModel, load_base
from training.models.weights import weights_hash
from training.noise_schedule import NoiseSchedule


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    small_base(NoiseSchedule(prediction="v")).save(folder)
    return folder


def test_a_base_comes_back_from_disk_as_it_was(saved: Path) -> None:
    base, loaded = small_base(NoiseSchedule(prediction="v")), load_base(saved)
    assert loaded.fingerprint() == base.fingerprint()
    assert loaded.schedule == base.schedule
    latents, text = torch.randn(2, 8, 8, 8), base.embed(CAPTIONS[:2])["text"]
    assert torch.equal(loaded.embed(CAPTIONS[:2])["text"], text)
    assert torch.equal(loaded.unet(latents, 5, text).sample, base.unet(latents, 5, text).sample)
    assert torch.equal(loaded.decode(latents), base.decode(latents))


def test_a_loaded_base_is_frozen(saved: Path) -> None:
    loaded = load_base(saved)
    for part in (loaded.vae, loaded.text_encoder, loaded.unet):
        assert not part.training
        assert not any(parameter.requires_grad for parameter in part.parameters())


def test_stable_diffusion_folders_are_read(stable_diffusion: Path) -> None:
    base = load_base(stable_diffusion)
    assert isinstance(base.vae, AutoencoderKL)
    assert base.scaling == pytest.approx(0.18215)
    assert (base.latent_channels, base.patch_px) == (4, 8)
    assert base.schedule == NoiseSchedule(spacing="scaled_linear")
    mean, logvar = base.encode_frames(torch.zeros(3, 3, 64, 64))
    assert mean.shape == logvar.shape == (3, 4, 8, 8)
    assert base.decode(mean * base.scaling).shape == (3, 3, 64, 64)


def test_words_decide_the_embedding(saved: Path) -> None:
    base = load_base(saved)
    red, blue, again = base.embed(["a red house", "a blue house", "a red house"])["text"]
    assert torch.equal(red, again)
    assert not torch.allclose(red, blue, atol=1e-3)


def test_a_caption_longer_than_the_text_encoder_reads_is_cut(saved: Path) -> None:
    base = load_base(saved)
    assert base.embed(["a red house by a lake " * 40])["text"].shape == base.embed([""])["text"].shape


def test_a_base_is_the_same_files_whether_it_was_used_before_or_not(saved: Path, tmp_path: Path) -> None:
    """A run that was killed after its last step saves what it has not used; others know its weights by their hash."""
    base, hashes = load_base(saved), []
    for use in ([], ["a red house"], ["a lake", "a much longer caption of a red house by a lake"]):
        if use:
            base.embed(use)
        folder = tmp_path / str(len(use))
        base.save(folder)
        hashes.append(weights_hash(folder))
    assert hashes[0] == hashes[1] == hashes[2]


def test_the_fingerprint_changes_with_what_latents_depend_on_and_with_nothing_else(saved: Path) -> None:
    base = load_base(saved)
    before = base.fingerprint()
    with torch.no_grad():
        next(base.unet.parameters()).add_(1)
    assert base.fingerprint() == before
    with torch.no_grad():
        next(base.vae.parameters()).add_(1e-3)
    assert base.fingerprint() != before


def _without(part: str, folder: Path) -> None:
    shutil.rmtree(folder / part)


def _truncated(folder: Path) -> None:
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def _of_another_vae(folder: Path) -> None:
    path = folder / "vae" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "_class_name": "VQModel"}))


def _of_another_text_encoder(folder: Path) -> None:
    wide: BaseModel = small_base()
    config = wide.text_encoder.config
    config.hidden_size, config.num_attention_heads = 32, 1
    CLIPTextModel(config).save_pretrained(folder / "text_encoder")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: _without("unet", folder), "lacks unet"),
        (_truncated, "not a safetensors file, or not a whole one"),
        (_of_another_vae, "its VAE is a VQModel"),
        (_of_another_text_encoder, "outputs 32 features a token, but its UNet takes 16"),
    ],
)
def test_what_is_no_base_is_refused_in_one_line(saved: Path, tmp_path: Path, damage: object, message: str) -> None:
    folder = tmp_path / "base"
    shutil.copytree(saved, folder)
    damage(folder)  # type: ignore[operator]
    with pytest.raises(UserError, match=message) as caught:
        load_base(folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)
