"""What stage `motion` promises."""

import dataclasses
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import MotionAdapter, UNetMotionModel

from conf.errors import UserError
from tests.pipelines.small_dataset import small_dataset
from tests.training.assembled import assemble, load_painter
from tests.training.models.small_base import CAPTIONS, pictures, small_base
from tests.training.stages import parents
from tests.training.stages.made import base_stage, model_of, motion_stage, unet_of
from tests.training.stages.parents import stir
from tests.training.stages.runs import train
from tests.training.stages.test_base_stage import overfit
from tests.training.toy_runs import config, losses
from training.data.batch import CachedLatents, SequenceBatch
from training.data.manifest import to_json
from training.data.seal import sealed, sealed_fields
from training.models.sd15.base import load_base
from training.models.sd15.denoisers import FrameDenoiser
from training.models.sd15.motion import is_temporal
from training.models.tiny.shape import TinyShape
from training.models.weights import module_hash
from training.noise_schedule import NoiseSchedule
from training.stages.denoising import DenoisingConfig, DenoisingNetwork, DenoisingStage
from training.train import run


@pytest.fixture(scope="session")
def motion(sequences: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a motion model, two checkpoints long."""
    out = tmp_path_factory.mktemp("stages") / "motion"
    train(sequences, out, stage="motion", base=base, max_steps=4)
    return out


def stage_of(num_frames: int = 4, dropout: float = 0.0) -> DenoisingStage:
    model = small_base(shape=TinyShape(channels=(16,), plain_levels=0, patch_px=8, text_width=16, latent_channels=8))
    denoising = DenoisingConfig(objective=model.schedule, caption_dropout=dropout)
    return motion_stage(model, denoising, num_frames, (16, 16))


def batch_of(num_frames: int = 4) -> SequenceBatch:
    return SequenceBatch(
        keys=("a", "b"),
        positions=torch.tensor([3, 4]),
        captions=CAPTIONS[:2],
        frames=pictures(2 * num_frames, 16).reshape(2, num_frames, 3, 16, 16),
    )


def test_stock_diffusers_loads_what_it_trained(base: Path, motion: Path) -> None:
    model = load_base(base / "weights")
    adapter = MotionAdapter.from_pretrained(motion / "weights")
    unet = UNetMotionModel.from_unet2d(model.unet, adapter)
    outputs = [module for name, module in unet.named_modules() if is_temporal(name) and name.endswith(".proj_out")]
    assert any(module.weight.any() for module in outputs)


def test_everything_but_the_temporal_modules_is_bit_identical_after_training() -> None:
    stage = stage_of()
    before = {name: module_hash(module) for name, module in stage.frozen.items()}
    moved = {name: value.clone() for name, value in unet_of(stage).named_parameters() if value.requires_grad}
    optimizer = torch.optim.AdamW([value for value in stage.network.parameters() if value.requires_grad], lr=1e-2)
    for _ in range(3):
        stage.network(batch_of()).loss.backward()
        optimizer.step()
    assert {name: module_hash(module) for name, module in stage.frozen.items()} == before
    assert set(before) == {"vae", "text_encoder", "unet"}
    assert all(is_temporal(name) for name in moved)
    after = dict(unet_of(stage).named_parameters())
    assert all(not torch.equal(after[name], value) for name, value in moved.items())


def test_a_new_motion_model_loses_what_the_2d_unet_loses() -> None:
    stage = stage_of()
    denoising = DenoisingConfig(objective=stage.base.objective, caption_dropout=0.0)
    plain = DenoisingNetwork(stage.base, FrameDenoiser(model_of(stage).unet), denoising)
    ours, theirs = stage.network(batch_of()).per_sample, plain(batch_of()).per_sample
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_cached_latents_lose_what_frames_lose() -> None:
    stage, batch = stage_of(), batch_of()
    assert batch.frames is not None
    mean, logvar = stage.base.encode_sequences(batch.frames)
    cached = dataclasses.replace(
        batch,
        frames=None,
        latents=CachedLatents(mean=mean, logvar=logvar, text=stage.base.embed(CAPTIONS[:2])),
    )
    assert torch.allclose(stage.network(cached).per_sample, stage.network(batch).per_sample, atol=1e-5)


def test_captions_are_dropped_in_training_and_never_in_eval_mode() -> None:
    dropped, kept = stage_of(dropout=1.0), stage_of(dropout=0.0)
    dropped.network.load_state_dict(kept.network.state_dict())
    nobody = dataclasses.replace(batch_of(), captions=("", ""))
    assert torch.equal(dropped.network(batch_of()).per_sample, kept.network(nobody).per_sample)
    assert torch.equal(dropped.network.eval()(batch_of()).per_sample, kept.network.eval()(batch_of()).per_sample)


def test_numbers_of_words_that_readers_found_stand_for_the_captions() -> None:
    stage, batch = stage_of(dropout=0.5), batch_of()
    assert stage.tokenise is not None
    read = dataclasses.replace(batch, token_ids=stage.tokenise(batch.captions), captions=("", ""))
    assert torch.equal(stage.network(read).per_sample, stage.network(batch).per_sample)
    other = dataclasses.replace(read, token_ids=stage.tokenise(batch.captions[::-1]))
    stage.network.eval()
    assert not torch.equal(stage.network(other).per_sample, stage.network(read).per_sample)


def test_checkpointing_activations_changes_no_gradient() -> None:
    model = small_base(shape=TinyShape(channels=(16,), plain_levels=0, patch_px=8, text_width=16, latent_channels=8))
    denoising = DenoisingConfig(objective=model.schedule)
    grads = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        stage = motion_stage(model, denoising, 4, (16, 16), checkpointing=checkpointing)
        stage.network.train()
        stage.network(batch_of()).loss.backward()
        grads.append({name: value.grad for name, value in unet_of(stage).named_parameters() if value.grad is not None})
    assert grads[0].keys() == grads[1].keys() and grads[0]
    assert all(torch.allclose(grads[0][name], grads[1][name], atol=1e-6) for name in grads[0])


def test_it_is_resumed_to_the_same_losses(sequences: Path, base: Path, motion: Path, tmp_path: Path) -> None:
    train(sequences, tmp_path / "run", stage="motion", base=base, max_steps=2)
    train(sequences, tmp_path / "run", stage="motion", base=base, max_steps=4, resume="must")
    assert losses(tmp_path / "run") == losses(motion)


def test_it_goes_on_from_motion_of_another_run(sequences: Path, base: Path, motion: Path, tmp_path: Path) -> None:
    train(sequences, tmp_path / "run", stage="motion", base=base, motion=motion, max_steps=1, ema_decay="null",
          **{"optimizer.learning_rate": 1e-9})  # fmt: skip
    before = MotionAdapter.from_pretrained(motion / "weights").state_dict()
    after = MotionAdapter.from_pretrained(tmp_path / "run" / "weights").state_dict()
    assert all(torch.allclose(after[name], before[name], atol=1e-6) for name in before)


def test_stable_diffusion_is_trained_from_a_local_folder_and_from_its_own_motion(
    stable_diffusion: Path, tmp_path: Path
) -> None:
    data = small_dataset(tmp_path / "data", captions=["a"] * 9, size_px=(64, 64), num_frames=4)
    options = {"stage": "motion", "model": "sd15", "model.path": stable_diffusion, "base": "null", "batch_size": 1}
    run(config(data, tmp_path / "one", max_steps=2, sample_every=2, **options))
    layouts = tmp_path / "one" / "weights", tmp_path / "one" / "weights" / "animatediff.safetensors"
    found = []
    for number, motion in enumerate(layouts):
        out = tmp_path / f"two{number}"
        run(config(data, out, max_steps=1, motion=motion, gradient_checkpointing="true", **options))
        found.append(losses(out)[0])
    assert found[0] == found[1]
    assert (tmp_path / "one" / "samples" / "step-00000002.png").exists()


def test_it_paints_whole_sequences() -> None:
    made = stage_of(num_frames=3).samples(["a red house"], seed=0)
    assert made.shape == (1, 3, 3, 16, 16)


def test_a_base_that_predicts_something_else_is_refused(sequences: Path, base: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"noise.prediction=epsilon: not allowed; allowed: v, as of its base"):
        train(sequences, tmp_path / "run", stage="motion", base=base, **{"noise.prediction": "epsilon"})


def test_a_base_trained_on_other_noise_is_refused(sequences: Path, base: Path, tmp_path: Path) -> None:
    words = r"noise.zero_terminal_snr=true: not allowed; allowed: false, as of its base"
    with pytest.raises(UserError, match=words):
        train(sequences, tmp_path / "run", stage="motion", base=base, **{"noise.zero_terminal_snr": "true"})


def test_a_folder_that_is_no_base_is_refused(sequences: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a diffusers folder"):
        train(sequences, tmp_path / "run", stage="motion", base=sequences)
    assert not (tmp_path / "run").exists()


def test_frames_that_do_not_fit_the_base_are_refused(base: Path, tmp_path: Path) -> None:
    data = small_dataset(tmp_path / "odd", captions=["a"] * 9, size_px=(20, 16))
    with pytest.raises(UserError, match="frames of 20 x 16 px; sides must be multiples of 8"):
        train(data, tmp_path / "run", stage="motion", base=base)


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_it_learns_four_sequences_by_heart_on_a_base_that_knows_their_last_frames() -> None:
    schedule, finished = NoiseSchedule(prediction="v"), pictures(4, 16, seed=5)
    model = small_base(
        schedule, TinyShape(channels=(64,), plain_levels=0, patch_px=8, text_width=32, latent_channels=8)
    )
    denoising = DenoisingConfig(objective=schedule, caption_dropout=0.0)
    overfit(base_stage(model, denoising, (16, 16), trains_text=True).network, finished[:, None], 400)
    for part in (model.unet, model.text_encoder):
        part.requires_grad_(False)
    share = torch.linspace(0, 1, 4)[None, :, None, None, None]
    torch.manual_seed(0)
    stage = motion_stage(model, denoising, 4, (16, 16))
    assert overfit(stage.network, 1 - share + share * finished[:, None], 2500) < 0.1


@pytest.fixture(scope="session")
def shared(larger: Path, folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a motion model whose frames share noise. Do not change it."""
    options = {"max_steps": 1, "noise.shared": 0.7}
    return parents.train("motion", larger, folders, tmp_path_factory.mktemp("shared") / "motion", **options)


def test_one_file_of_what_a_run_trained_is_known_by_its_card(
    larger: Path, folders: dict[str, Path], shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = {"base": folders["base"], "motion": shared / "weights" / "animatediff.safetensors"}
    with pytest.raises(UserError, match=r"noise\.shared=0\.0: .*0\.7, as of its motion model"):
        parents.train("replication", larger, parts, tmp_path / "replication", max_steps=1)
    card = json.loads((assemble(parts, tmp_path / "painter") / "painter.json").read_text())
    whole = json.loads((assemble({**parts, "motion": shared}, tmp_path / "whole") / "painter.json").read_text())
    assert all(card[key] == whole[key] for key in ("num_frames", "size_px", "phrases"))
    assert card["parts"]["motion"]["licences"] == whole["parts"]["motion"]["licences"]
    assert load_painter(tmp_path / "painter").base.schedule.shared == 0.7
    stir(other := small_base(NoiseSchedule(prediction="v")).unet)  # temporal modules alone go with any base
    base = replace(load_base(folders["base"]), unet=other)
    base.save(tmp_path / "other")
    assemble({**parts, "base": tmp_path / "other"}, tmp_path / "beside another")
    assert "run_card.json beside it" not in capsys.readouterr().err


def test_a_file_beside_the_card_of_other_weights_is_not_taken_for_one_of_these(
    folders: dict[str, Path], shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("run_card.json", "animatediff.safetensors"):
        shutil.copy(shared / "weights" / name, tmp_path / name)
    parts = {"base": folders["base"], "motion": tmp_path / "animatediff.safetensors"}
    with pytest.raises(UserError, match=r"motion=.*: not trained here; state its licence"):
        assemble(parts, tmp_path / "painter", num_frames=8, size=64)
    assert f"warning: motion={parts['motion']}: run_card.json beside it is of other weights" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("beta_end", 0.02, r"0\.012: .*0\.02"),
        ("num_steps", 500, "1000: .*500"),
        ("beta_start", 1e-3, r"0\.00085: .*0\.001"),
    ],
)
def test_what_learns_beside_a_motion_model_learns_on_its_noise(
    larger: Path, folders: dict[str, Path], tmp_path: Path, key: str, value: float, shown: str
) -> None:
    of_model = {"model": "sd15", "base": "null", "noise.prediction": "v", "model.path": folders["base"], "max_steps": 1}
    noise = {f"noise.{key}": value}
    motion = parents.train("motion", larger, folders, tmp_path / "motion", **of_model, **noise)
    for stage in ("replication", "motion_lora"):
        with pytest.raises(UserError, match=rf"noise\.{key}={shown}, as of its motion model"):
            parents.train(stage, larger, folders, tmp_path / "none", **{**of_model, "motion": motion})


def test_a_painter_is_not_put_together_of_parts_that_learnt_on_other_noise(
    larger: Path, folders: dict[str, Path], shared: Path, tmp_path: Path
) -> None:
    parts = {"base": folders["base"], "motion": shared}
    options = {"max_steps": 1, "noise.shared": 0.7}
    parts["replication"] = parents.train("replication", larger, parts, tmp_path / "replication", **options)
    assemble(parts, tmp_path / "painter")
    path = parts["replication"] / "weights" / "run_card.json"
    card = sealed_fields(path.read_bytes())
    card["recipe"]["noise"]["beta_end"] = 0.02  # as runs of before could be trained
    path.write_bytes(sealed(to_json(card)))
    with pytest.raises(UserError, match=r"^replication: trained on noise\.beta_end=0\.02; motion=.* on 0\.012$"):
        assemble(parts, tmp_path / "none")
