"""What stage `words` promises."""

import math
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from conf.compose import compose
from conf.errors import ConfigError, UserError
from pipelines import encode
from pipelines.encode import encode_config
from tests.training.assembled import assemble
from tests.training.models.small_base import small_base
from tests.training.stages.parents import STAGES
from tests.training.stages.runs import train
from tests.training.toy_runs import config, log, losses
from training.config import train_config
from training.data.batch import SequenceBatch
from training.data.dataset import read_card, read_manifests
from training.data.survey import surveyed
from training.models.contrast import Contrast, PictureEncoder, contrastive_losses
from training.models.sd15.base import load_base
from training.models.tiny.shape import TinyShape
from training.models.tiny.words import WordsNetwork
from training.models.weights import module_hash, trained_parameters
from training.stages.words import WordsStage, drift
from training.train import run

SHAPE = TinyShape(channels=(16,), plain_levels=0, text_width=16, patch_px=8, latent_channels=8)
COLOURS = {"red": (1.0, -1.0, -1.0), "green": (-1.0, 1.0, -1.0), "blue": (-1.0, -1.0, 1.0), "white": (1.0, 1.0, 1.0)}


@pytest.fixture(scope="module")
def words(sequences: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("stages") / "words"
    train(sequences, out, stage="words", base="null", max_steps=3, sample_every=3, validate_every=3, val_sequences=2)
    return out


def swatches() -> SequenceBatch:
    """A picture of each colour, and its name."""
    frames = torch.stack([torch.tensor(colour).reshape(1, 3, 1, 1).expand(1, 3, 16, 16) for colour in COLOURS.values()])
    return SequenceBatch(
        keys=tuple(COLOURS), positions=torch.arange(len(COLOURS)), captions=tuple(COLOURS), frames=frames
    )


def words_stage() -> WordsStage:
    base = small_base(shape=SHAPE)
    return WordsStage(base, WordsNetwork(base, (16, 16)), swatches())


def test_losses_are_least_where_each_caption_suits_its_own_picture() -> None:
    suits = 50 * torch.eye(3)
    assert contrastive_losses(suits).max() < 1e-6
    assert contrastive_losses(suits.roll(1, 0)).min() > 49
    assert torch.allclose(contrastive_losses(torch.zeros(3, 3)), torch.full((3,), math.log(3.0)))


def test_a_caption_has_a_score_for_every_picture() -> None:
    contrast = Contrast(PictureEncoder(8, (5, 3), 16), text_width=12, width=16)
    suits = contrast(torch.randn(4, 8, 5, 3), torch.randn(2, 12))
    assert suits.shape == (2, 4)
    assert suits.abs().max() <= contrast.log_sharpness.exp() * (1 + 1e-5)


def test_it_learns_which_word_names_which_colour(tmp_path: Path) -> None:
    torch.manual_seed(0)
    stage = words_stage()
    optimizer = torch.optim.Adam(trained_parameters(stage.network).values(), lr=2e-3)
    for _ in range(60):
        optimizer.zero_grad()
        stage.network(swatches()).loss.backward()
        optimizer.step()
    stage.network.eval()
    with torch.no_grad():
        chosen = stage.samples(["blue", "red"], seed=0)
    assert chosen.shape == (2, 4, 3, 16, 16)
    assert torch.allclose(chosen[0, 0].mean((1, 2)), torch.tensor([0.0, 0.0, 1.0]))
    assert torch.allclose(chosen[1, 0].mean((1, 2)), torch.tensor([1.0, 0.0, 0.0]))


def test_only_the_text_encoder_and_what_it_is_compared_with_are_trained() -> None:
    stage = words_stage()
    assert {name.split(".")[0] for name in trained_parameters(stage.network)} == {"text_encoder", "contrast"}


def test_stage_base_goes_on_from_its_text_encoder_and_keeps_it(sequences: Path, words: Path, tmp_path: Path) -> None:
    train(sequences, tmp_path / "base", stage="base", base=str(words), max_steps=2)
    before, after = load_base(words / "weights"), load_base(tmp_path / "base" / "weights")
    assert module_hash(after.vae) == module_hash(before.vae)
    assert module_hash(after.text_encoder) == module_hash(before.text_encoder)
    assert module_hash(after.unet) != module_hash(before.unet)


def test_a_base_whose_text_encoder_stays_learns_from_latents_too(sequences: Path, words: Path, tmp_path: Path) -> None:
    said = [f"dataset={sequences}", f"out={tmp_path / 'latents'}", "model=tiny", f"base={words}", "dtype=fp32"]
    encode.run(encode_config(compose("encode", said)))
    train(sequences, tmp_path / "one", stage="base", base=str(words), max_steps=2)
    train(tmp_path / "latents", tmp_path / "other", stage="base", base=str(words), max_steps=2)
    for here, there in zip(losses(tmp_path / "other"), losses(tmp_path / "one"), strict=True):
        assert here == pytest.approx(there, rel=1e-4)
    for stage in ("words", "base"):
        with pytest.raises(UserError, match="latents; a new base trains its own codec"):
            train(tmp_path / "latents", tmp_path / "new", stage=stage, base="null")


def test_it_is_killed_and_resumed_to_the_same_weights(sequences: Path, words: Path, tmp_path: Path) -> None:
    train(sequences, tmp_path / "run", stage="words", base="null", max_steps=1)
    train(sequences, tmp_path / "run", stage="words", base="null", max_steps=3, resume="must", sample_every=3)
    assert losses(tmp_path / "run") == losses(words)
    one, two = load_base(tmp_path / "run" / "weights"), load_base(words / "weights")
    for part in ("vae", "text_encoder", "unet"):
        assert module_hash(getattr(one, part)) == module_hash(getattr(two, part))


def test_its_log_knows_no_noise(words: Path) -> None:
    keys = {key for line in log(words) for key in line}
    assert {"train/loss", "val/loss"} <= keys
    assert not [key for key in keys if "loss/t" in key]
    assert (words / "samples" / "step-00000003.png").is_file()


def train_further(sequences: Path, base: Path, out: Path, /, **options: Any) -> Path:
    train(sequences, out, stage="words", base=str(base), **{"stage.unfinished": 0.5, **options})
    return out


def test_a_trained_base_gets_a_text_encoder_that_learnt_further_and_nothing_else(
    sequences: Path, base: Path, tmp_path: Path
) -> None:
    out = train_further(sequences, base, tmp_path / "run", max_steps=3)
    before, after = load_base(base / "weights"), load_base(out / "weights")
    assert module_hash(after.text_encoder) != module_hash(before.text_encoder)
    assert module_hash(after.vae) == module_hash(before.vae) and module_hash(after.unet) == module_hash(before.unet)
    assert after.tokenizer.get_vocab() == before.tokenizer.get_vocab()
    train_further(sequences, base, tmp_path / "parts", max_steps=1)
    assert losses(train_further(sequences, base, tmp_path / "parts", max_steps=3)) == losses(out)


def test_what_a_denoiser_knows_of_words_drifts_but_little() -> None:
    """The drift is what it says: 0 at first, and less when it counts than when it does not."""
    found = []
    for weight in (0.0, 20.0):
        torch.manual_seed(0)
        base = small_base(shape=SHAPE)
        network = WordsNetwork(base, (16, 16), further=True)
        ids = base.tokens(swatches().captions)
        first = network.embedded(ids).detach()
        assert torch.equal(network.embedded_before(ids), first)
        optimizer = torch.optim.Adam(trained_parameters(network).values(), lr=2e-3)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("training.stages.words._WEIGHT_OF_DRIFT", weight)
            for _ in range(40):
                optimizer.zero_grad()
                network(swatches()).loss.backward()
                optimizer.step()
        assert torch.equal(network.embedded_before(ids), first)
        found.append(float(drift(network.embedded(ids), first).detach().mean()))
    assert 0 < found[1] < found[0] / 3


def test_nothing_that_is_trained_is_a_scalar() -> None:
    """Sharded training (fsdp2) refuses such, and a run of it needs two processes."""
    assert all(parameter.ndim for parameter in trained_parameters(words_stage().network).values())


def test_drift_is_a_share_of_squared_length_and_padding_of_zeros_counts_nothing() -> None:
    before = torch.tensor([[[3.0, 4.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]]])
    now = torch.tensor([[[3.0, 9.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]]])
    assert drift(now, before).tolist() == [1.0, 0.0]


def test_a_text_encoder_does_not_learn_further_from_latents(sequences: Path, base: Path, tmp_path: Path) -> None:
    said = [f"dataset={sequences}", f"out={tmp_path / 'latents'}", "model=tiny", f"base={base}", "dtype=fp32"]
    encode.run(encode_config(compose("encode", said)))
    with pytest.raises(UserError, match="latents; a text encoder is trained on the data set of frames"):
        train_further(tmp_path / "latents", base, tmp_path / "run", max_steps=1)
    with pytest.raises(UserError, match=r"latents; stage\.text_encoder=true trains it on the data set of frames"):
        options = {"stage": "base", "base": str(base), "stage.text_encoder": "true", "max_steps": 1}
        train(tmp_path / "latents", tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_what_was_encoded_is_next_learnt_from_by_the_base_that_knows_words_only(
    sequences: Path, words: Path, base: Path, tmp_path: Path
) -> None:
    for parent, stage in ((words, "base"), (base, "motion")):
        following = encoded(sequences, tmp_path / stage, parent)
        assert f" stage={stage} model=tiny base={parent} " in following and following.endswith(f" out=runs/{stage}")


def encoded(data: Path, out: Path, base: Path, *options: str) -> str:
    """Encode with a base; returns the line that says what to train next."""
    overrides = [f"dataset={data}", f"out={out}", f"base={base}", "device=cpu", *options]
    return encode.run(encode_config(compose("encode", overrides))).lines[-1]


def test_the_command_that_is_printed_after_encoding_runs_as_it_is(
    sequences: Path, words: Path, base: Path, tmp_path: Path
) -> None:
    """With the model and the noise of the base, also where these are not the defaults, and without a val split."""
    noise = {"noise.zero_terminal_snr": "true", "noise.beta_end": 0.02}
    train(sequences, tmp_path / "other noise", stage="base", base="null", max_steps=1, **noise)
    train(sequences, tmp_path / "motion", stage="motion", base=str(tmp_path / "other noise"), max_steps=1, **noise)
    parents = {"base": tmp_path / "other noise", "motion": tmp_path / "motion"}
    painter = assemble(parents, tmp_path / "painter", licences="null", size=64)
    alone = shutil.copytree(sequences, tmp_path / "alone")
    card, shards = read_card(alone), tuple(name for name in read_card(alone).shards if name.startswith("train"))
    replace(card, shards=shards, totals=surveyed(read_manifests(alone, shards)).totals()).write(alone)
    cases = ((sequences, words), (sequences, base), (alone, base), (sequences, parents["base"]), (sequences, painter))
    for number, (data, parent) in enumerate(cases):
        following = encoded(data, tmp_path / f"latents {number}", parent)
        *start, out = shlex.split(following)
        assert start[:4] == ["next:", "python", "-m", "training.train"] and out.startswith("out=runs/")
        short = [f"out={tmp_path / f'run {number}'}", "max_steps=1", "num_workers=0", "batch_size=2", "tracker=none"]
        run(train_config(compose("train", [*start[4:], *short])))
        assert (tmp_path / f"run {number}" / "weights").is_dir()


@pytest.mark.parametrize("stage", [*STAGES, "words"])
def test_a_base_that_knows_words_only_is_refused_by_all_that_adds_to_its_denoiser(
    sequences: Path, words: Path, folders: dict[str, Path], tmp_path: Path, stage: str
) -> None:
    parents = {"base": str(words), **({"motion": folders["motion"]} if stage in ("replication", "motion_lora") else {})}
    refused = r"base=.*words: a run of stage=words, whose denoiser is untrained; allowed: a run of stage=base"
    with pytest.raises(UserError, match=refused):
        train(sequences, tmp_path / "run", stage=stage, **parents)
    if stage != "words":
        parents = {**parents, "base": "null", "model.path": str(words / "weights")}
        with pytest.raises(UserError, match=r"model\.path=.*words/weights: a run of stage=words"):
            run(config(sequences, tmp_path / "run", stage=stage, model="sd15", **parents))
    with pytest.raises(UserError, match=refused):
        assemble({"base": words, "motion": folders["motion"]}, tmp_path / "painter", licences="{motion: x}")
    assert list(tmp_path.iterdir()) == []


def test_a_base_whose_words_learnt_further_is_added_to(sequences: Path, base: Path, tmp_path: Path) -> None:
    further = train_further(sequences, base, tmp_path / "further", max_steps=1)
    again = train_further(sequences, further, tmp_path / "again", max_steps=1)
    for number, parent in enumerate((further, again)):
        train(sequences, tmp_path / f"motion {number}", stage="motion", base=str(parent), max_steps=1)
        assert (tmp_path / f"motion {number}" / "weights").is_dir()


def test_stable_diffusion_has_its_words(sequences: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"model=sd15.*stage=words"):
        config(sequences, tmp_path / "run", stage="words", model="sd15", base="null")


def test_the_noise_of_the_base_must_be_that_of_its_words(sequences: Path, words: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"noise\.zero_terminal_snr"):
        train(sequences, tmp_path / "base", stage="base", base=str(words), **{"noise.zero_terminal_snr": "true"})
    assert not (tmp_path / "base").exists()


def test_pictures_are_seen_as_they_lie(tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = PictureEncoder(8, (4, 4), 16)
    codes = torch.randn(1, 8, 4, 4)
    assert not torch.allclose(encoder(codes), encoder(codes.flip(2)), atol=1e-3)
