"""What the tiny base promises."""

from pathlib import Path

import pytest
import torch

from conf.errors import ConfigError
from tests.training.models.small_base import CAPTIONS, SHAPE, pictures, small_base
from training.models.conditions import Conditions
from training.models.sd15.base import load_base
from training.models.sd15.motion import add_motion, predict
from training.models.sd15.replication import add_replication, predict_conditioned
from training.models.tiny.build import build_tiny, train_tokenizer
from training.models.tiny.shape import TinyShape
from training.models.weights import module_hash
from training.noise_schedule import NoiseSchedule


def test_the_same_data_and_seed_give_the_same_model() -> None:
    one, two = small_base(), small_base()
    assert module_hash(one.unet) == module_hash(two.unet)
    assert one.fingerprint() == two.fingerprint()


def test_another_seed_gives_other_weights_and_leaves_the_global_one_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    other = build_tiny(SHAPE, CAPTIONS, pictures(64), NoiseSchedule(), seed=1)
    assert torch.equal(torch.rand(1), expected)
    assert module_hash(other.unet) != module_hash(small_base().unet)


def test_words_of_the_captions_are_one_token_each() -> None:
    tokenizer = train_tokenizer(CAPTIONS)
    words = ["a", "red", "house", "by", "a", "lake", ",", "painted", "in", "oil"]
    assert tokenizer.tokenize(CAPTIONS[0]) == [f"{word}</w>" for word in words]


def test_words_never_seen_are_spelt_and_not_lost() -> None:
    tokenizer = train_tokenizer(CAPTIONS)
    pieces = tokenizer.tokenize("zebra")
    assert "".join(pieces) == "zebra</w>"
    assert tokenizer.unk_token not in pieces


def test_case_and_spaces_do_not_matter() -> None:
    tokenizer = train_tokenizer(CAPTIONS)
    assert tokenizer("A  Red HOUSE").input_ids == tokenizer("a red house").input_ids


def test_the_default_size_is_what_two_cores_can_train() -> None:
    base = build_tiny(TinyShape(), CAPTIONS, pictures(64), NoiseSchedule(), seed=0)
    count = sum(parameter.numel() for parameter in base.unet.parameters())
    assert 6e6 < count < 12e6


@torch.no_grad()
def test_a_finer_grid_whose_finest_level_convolves_goes_through_all_networks(tmp_path: Path) -> None:
    shape = TinyShape(channels=(16, 32, 32), plain_levels=1, patch_px=4, latent_channels=6, text_width=16)
    small_base(shape=shape).save(tmp_path)
    base = load_base(tmp_path)
    assert base.patch_px == 4 and base.latent_channels == 6 and base.unet.config.sample_size == 16
    latents, steps, text = torch.randn(2, 3, 6, 16, 16), torch.tensor([5, 900]), base.embed(CAPTIONS[:2])["text"]
    alone = base.unet(latents[:, 0], steps, text).sample
    unet = add_motion(base.unet, None)
    assert torch.allclose(predict(unet, latents, steps, text)[:, 0], alone, atol=1e-5)
    conditions = Conditions.among(latents, torch.ones(2, 3))
    same = predict_conditioned(unet, add_replication(base.unet), latents, steps, text, conditions)
    assert torch.allclose(same[:, 0], alone, atol=1e-5)
    assert base.decode(latents.flatten(0, 1)).shape == (6, 3, 64, 64)


@pytest.mark.parametrize(
    ("fields", "key"),
    [({"channels": ()}, "channels"), ({"channels": (20,)}, "channels"), ({"text_width": 8}, "text_width"),
     ({"latent_channels": 200}, "latent_channels"), ({"latent_channels": 49, "patch_px": 4}, "latent_channels"),
     ({"patch_px": 5}, "patch_px"), ({"plain_levels": 3}, "plain_levels")],
)  # fmt: skip
def test_impossible_sizes_are_refused(fields: dict[str, object], key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        TinyShape(**fields)  # type: ignore[arg-type]


def test_no_captions_no_words() -> None:
    with pytest.raises(ValueError, match="no captions"):
        train_tokenizer(["", ""])
