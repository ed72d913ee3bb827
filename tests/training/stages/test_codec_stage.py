"""What stage `codec` promises."""

from pathlib import Path

import numpy as np
import pytest
import torch

from conf.compose import compose
from conf.errors import ConfigError, UserError
from pipelines import encode
from pipelines.encode import encode_config
from tests.pipelines.small_dataset import small_dataset
from tests.training.models.small_base import pictures
from tests.training.stages.runs import train
from tests.training.toy_runs import config, losses
from training.data.batch import SequenceBatch
from training.models.codec import PatchCodec, fit_codec
from training.models.sd15.base import load_base
from training.models.weights import module_hash, trained_parameters
from training.stages.codec import CodecNetwork, coding_errors, crops
from training.stages.codec_settings import CodecSettings

SMALL = {"stage": "codec", "base": "null", "stage.codec.width": 8, "stage.codec.crop_px": 16}


@pytest.fixture(scope="module")
def trained(sequences: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("stages") / "codec"
    train(sequences, out, **SMALL, max_steps=4, sample_every=4, validate_every=4, val_sequences=2)
    return out


def batch(frames: torch.Tensor, first: int = 0) -> SequenceBatch:
    count = len(frames)
    return SequenceBatch(
        keys=("",) * count, positions=torch.arange(first, first + count), captions=("",) * count, frames=frames
    )


def numbered() -> torch.Tensor:
    """(3, 4, 3, 24, 40) frames in which each pixel says whose it is, and where."""
    return torch.arange(3 * 4 * 3 * 24 * 40).reshape(3, 4, 3, 24, 40)


def test_it_begins_as_good_as_the_linear_codec_and_gets_better() -> None:
    shown = pictures(24) + 0.3 * torch.sign(pictures(24, seed=1))  # edges, which few components do not hold
    torch.manual_seed(0)
    network = CodecNetwork(fit_codec(shown, latent_channels=6, width=16), CodecSettings(noise=0.02), seed=0)
    before = coding_errors(fit_codec(shown, latent_channels=6).autoencode(shown), shown, 0.5).mean()
    assert torch.allclose(coding_errors(network.codec.autoencode(shown), shown, 0.5).mean(), before)
    optimizer = torch.optim.Adam(trained_parameters(network).values(), lr=2e-3)
    for step in range(60):
        optimizer.zero_grad()
        network(batch(shown[:, None], first=24 * step)).loss.backward()
        optimizer.step()
    assert coding_errors(network.codec.autoencode(shown), shown, 0.5).mean() < 0.85 * before


def test_crops_are_squares_of_frames_and_follow_from_the_position_alone() -> None:
    frames = numbered()
    together = crops(frames, torch.tensor([4, 5, 6]), 0, 16).reshape(3, 2, 3, 16, 16)
    for number in range(3):
        alone = crops(frames[number : number + 1], torch.tensor([4 + number]), 0, 16)
        assert torch.equal(alone, together[number])
        for crop in alone:
            _, frame, _, top, left = np.unravel_index(int(crop[0, 0, 0]), frames.shape)
            assert torch.equal(crop, frames[number, frame, :, top : top + 16, left : left + 16])


def test_every_frame_and_place_comes_into_a_crop() -> None:
    frames = numbered()[:1].expand(300, -1, -1, -1, -1)
    corners = [
        np.unravel_index(int(crop[0, 0, 0]), (3, 4, 3, 24, 40)) for crop in crops(frames, torch.arange(300), 0, 16)
    ]
    assert {corner[1] for corner in corners} == set(range(4))
    assert {corner[3] for corner in corners} == set(range(9)) and {corner[4] for corner in corners} == set(range(25))


def test_frames_smaller_than_a_crop_are_seen_whole() -> None:
    frames = numbered()[:, :1]
    assert torch.equal(crops(frames, torch.arange(3), 0, 64)[::2], frames[:, 0])


def test_blurred_edges_cost_more_than_shifted_tones() -> None:
    edge = torch.zeros(1, 3, 16, 16)
    edge[..., 8:] = 1.0
    blurred = edge.clone()
    blurred[..., 6:10] = torch.tensor([0.2, 0.4, 0.6, 0.8])
    shifted = edge + (blurred - edge).abs().mean()
    assert torch.allclose(coding_errors(blurred, edge, 0.0), coding_errors(shifted, edge, 0.0))
    assert coding_errors(blurred, edge, 0.5) > 1.2 * coding_errors(shifted, edge, 0.5)


def test_the_decoder_learns_under_noise_and_codes_are_held_small() -> None:
    shown = pictures(8)[:, None]
    torch.manual_seed(0)
    codec = fit_codec(pictures(8), latent_channels=6, width=8)
    losses_of = [
        float(CodecNetwork(codec, CodecSettings(noise=noise, pull=pull), seed=0)(batch(shown)).loss.detach())
        for noise, pull in ((0.0, 0.0), (0.5, 0.0), (0.0, 1.0))
    ]
    assert losses_of[1] > 2 * losses_of[0]
    assert losses_of[2] > losses_of[0] + 0.2  # half of a variance of about 1


def test_its_codes_have_variance_one(sequences: Path, trained: Path) -> None:
    codec = PatchCodec.from_pretrained(trained / "weights" / "vae")
    assert codec.config.width == 8 and codec.config.scaling_factor != 1.0
    train(sequences, trained.parent / "words", stage="words", base="null", codec=str(trained), max_steps=1)
    base = load_base(trained.parent / "words" / "weights")
    assert module_hash(base.vae) == module_hash(codec)
    assert base.scaling == codec.config.scaling_factor


def test_it_is_stopped_and_resumed_to_the_same_weights(sequences: Path, trained: Path, tmp_path: Path) -> None:
    train(sequences, tmp_path / "run", **SMALL, max_steps=2)
    train(sequences, tmp_path / "run", **SMALL, max_steps=4, resume="must")
    assert losses(tmp_path / "run") == losses(trained)
    one, two = (PatchCodec.from_pretrained(run / "weights" / "vae") for run in (tmp_path / "run", trained))
    assert module_hash(one) == module_hash(two)
    assert one.config.scaling_factor == two.config.scaling_factor


def test_samples_show_held_out_sequences_and_what_comes_back(trained: Path) -> None:
    assert (trained / "samples" / "step-00000004.png").is_file()


def test_a_base_gives_its_codec_to_another(sequences: Path, base: Path, tmp_path: Path) -> None:
    train(sequences, tmp_path / "words", stage="words", base="null", codec=str(base), max_steps=1)
    assert module_hash(load_base(tmp_path / "words" / "weights").vae) == module_hash(load_base(base / "weights").vae)


def test_a_codec_of_other_cells_is_refused(sequences: Path, trained: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"codec=.*cells have 8 px and 8 channels, not 8 px and 4 channels"):
        train(
            sequences, tmp_path / "run", stage="words", base="null", codec=str(trained), max_steps=1,
            **{"model.shape.latent_channels": 4},
        )  # fmt: skip
    with pytest.raises(UserError, match=r"codec=.*holds no codec"):
        train(sequences, tmp_path / "run", stage="words", base="null", codec=str(sequences), max_steps=1)
    assert not (tmp_path / "run").exists()


def test_only_who_begins_from_nothing_is_given_a_codec(sequences: Path, tmp_path: Path) -> None:
    for said in (
        {"stage": "motion"}, {"stage": "base", "base": "b"}, {"stage": "agent", "base": "null"},
        {"stage": "words", "base": "null", "model": "wan22_tiny"}, {"stage": "codec", "base": "null"},
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=r"codec=c: .*null"):
            config(sequences, tmp_path / "run", **{**said, "codec": "c"})


def test_a_wrong_setting_or_model_is_named(sequences: Path, tmp_path: Path) -> None:
    for key, value in (("width", 12), ("crop_px", 20), ("noise", -1), ("edges", "inf"), ("pull", -0.1)):
        with pytest.raises(ConfigError, match=rf"stage\.codec\.{key}"):
            config(sequences, tmp_path / "run", **{**SMALL, f"stage.codec.{key}": value})
    for model in ("sd15", "wan22_tiny"):
        with pytest.raises(ConfigError, match=rf"model={model}.*stage=codec"):
            config(sequences, tmp_path / "run", stage="codec", model=model, base="null")


def test_it_trains_on_frames_in_whole_cells(sequences: Path, base: Path, tmp_path: Path) -> None:
    data = small_dataset(tmp_path / "data", captions=[""] * 18, size_px=(20, 16))
    with pytest.raises(UserError, match="20 x 16 px; sides must be multiples of 8"):
        train(data, tmp_path / "run", **SMALL, max_steps=1)
    said = [f"dataset={sequences}", f"out={tmp_path / 'latents'}", "model=tiny", f"base={base}"]
    encode.run(encode_config(compose("encode", said)))
    with pytest.raises(UserError, match="latents; a codec is trained on the data set of frames"):
        train(tmp_path / "latents", tmp_path / "run", **SMALL, max_steps=1)
    assert not (tmp_path / "run").exists()


def test_on_a_base_the_decoder_alone_learns_and_latents_stay(sequences: Path, base: Path, tmp_path: Path) -> None:
    options = {**SMALL, "base": str(base), "validate_every": 4, "val_sequences": 2}
    train(sequences, tmp_path / "run", **options, max_steps=2)
    train(sequences, tmp_path / "run", **options, max_steps=4, resume="must")
    train(sequences, tmp_path / "whole", **options, max_steps=4)
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")
    before = load_base(base / "weights").vae
    after = PatchCodec.from_pretrained(tmp_path / "run" / "weights" / "vae")
    assert isinstance(before, PatchCodec)
    assert after.config.scaling_factor == before.config.scaling_factor and after.code_details is None
    shown = pictures(2, size_px=32)
    assert torch.equal(after.encode(shown).latent_dist.mean, before.encode(shown).latent_dist.mean)
    assert not torch.equal(after.autoencode(shown), before.autoencode(shown))


def test_a_decoder_learns_to_take_noise_from_latents_away() -> None:
    shown, generator = pictures(24), torch.Generator().manual_seed(1)
    codec = fit_codec(shown, latent_channels=6)
    latents = codec.encode(shown).latent_dist.mean.detach()
    noisy = latents + 0.3 * torch.randn(latents.shape, generator=generator)
    torch.manual_seed(0)
    wide = codec.with_wide_decoder(16)
    assert torch.equal(wide.decode(noisy).sample, codec.decode(noisy).sample)
    network = CodecNetwork(wide, CodecSettings(noise=0.5), seed=0, decoder_alone=True)
    optimizer = torch.optim.Adam(trained_parameters(network).values(), lr=2e-3)
    for step in range(80):
        optimizer.zero_grad()
        network(batch(shown[:, None], first=24 * step)).loss.backward()
        optimizer.step()
    before, after = ((one.decode(noisy).sample - shown).abs().mean() for one in (codec, wide))
    assert after < 0.8 * before
