"""What loading a base promises: all of it, as stock diffusers has it, or one line that names what is wrong."""

import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline
from torch import Tensor
from transformers import CLIPTokenizer

from conf.errors import UserError
from tests.training.models.sd15 import released
from tests.training.models.sd15.released import TEXT, UNET, VAE, edit_json, edit_tensors
from tests.training.models.small_base import CAPTIONS, small_base
from tests.training.models.test_read_tensors import Hostile
from training.models.parts import unreadable
from training.models.sd15.base import BaseModel, load_base
from training.models.sd15.motion import adapter_of, add_motion, save_motion
from training.models.weights import module_hash

Change = Callable[[Path], object]


def stock(folder: Path, dtype: torch.dtype) -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained(folder, torch_dtype=dtype, safety_checker=None)


def assert_loads_as_stock(base: BaseModel, folder: Path) -> None:
    """Check that a base has the tensors of the stock pipeline, in float32."""
    theirs = stock(folder, torch.float32)
    for ours, part in ((base.unet, theirs.unet), (base.vae, theirs.vae), (base.text_encoder, theirs.text_encoder)):
        expected = part.state_dict()
        assert ours.state_dict().keys() == expected.keys()
        for name, value in ours.state_dict().items():
            assert value.dtype in (torch.float32, torch.int64) and torch.equal(value, expected[name]), name


def test_a_folder_of_the_first_releases_loads_as_in_stock_diffusers(stable_diffusion: Path, tmp_path: Path) -> None:
    folder = released.as_stable_diffusion_1_5(released.copied(stable_diffusion, tmp_path / "sd"))
    base = load_base(folder)
    assert_loads_as_stock(base, folder)
    assert module_hash(base.vae) == module_hash(load_base(stable_diffusion).vae)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_base_in_half_precision_embeds_as_stock_diffusers_in_the_same_precision(
    stable_diffusion: Path, tmp_path: Path, dtype: torch.dtype
) -> None:
    folder = released.in_half(released.copied(stable_diffusion, tmp_path / "sd"), dtype)
    base = load_base(folder)
    assert_loads_as_stock(base, folder)
    for computed_in in (torch.float32, dtype):
        theirs = stock(folder, computed_in)
        tokens = theirs.tokenizer(list(CAPTIONS), padding="max_length", max_length=64, return_tensors="pt").input_ids
        expected = theirs.text_encoder(tokens).last_hidden_state
        assert torch.equal(base.to("cpu", computed_in).embed(CAPTIONS)["text"], expected)


@pytest.mark.parametrize(
    "change",
    [
        released.as_variant,
        released.as_pickled,
        partial(released.as_pickled, variant="fp16"),
        released.as_shards,
        partial(released.as_shards, variant="fp16"),
        partial(released.as_shards, variant="non_ema"),
        partial(released.as_shards, ending="bin"),
        partial(released.as_shards, variant="fp16", ending="bin"),
    ],
)
def test_other_files_of_the_same_weights_are_read(
    stable_diffusion: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], change: Callable[[Path], Path]
) -> None:
    base = load_base(change(released.copied(stable_diffusion, tmp_path / "sd")))
    assert capfd.readouterr() == ("", "")  # no bar of a library
    whole = load_base(stable_diffusion)
    assert base.fingerprint() == whole.fingerprint() and module_hash(base.unet) == module_hash(whole.unet)


def test_a_text_encoder_may_come_with_the_rest_of_its_clip(stable_diffusion: Path, tmp_path: Path) -> None:
    folder = released.copied(stable_diffusion, tmp_path / "sd")
    rest = {"vision_model.a.weight": torch.zeros(1), "text_projection.weight": torch.zeros(1, 1)}
    edit_tensors(folder / TEXT, lambda tensors: {**tensors, **rest, "logit_scale": torch.zeros(1)})
    assert load_base(folder).fingerprint() == load_base(stable_diffusion).fingerprint()


def dropped(file: str) -> Change:
    def change(folder: Path) -> None:
        edit_tensors(folder / file, lambda tensors: {name: tensors[name] for name in sorted(tensors)[1:]})

    return change


def reshaped(file: str) -> Change:
    def wider(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        first = min(tensors)
        return {**tensors, first: torch.cat([tensors[first], tensors[first]])}

    return lambda folder: edit_tensors(folder / file, wider)


def added(file: str) -> Change:
    return lambda folder: edit_tensors(folder / file, lambda tensors: {**tensors, "odd.weight": torch.zeros(1)})


def foreign(file: str) -> Change:
    def change(folder: Path) -> None:
        edit_tensors(folder / file, lambda tensors: {f"bert.{name}": value for name, value in tensors.items()})

    return change


@pytest.mark.parametrize("file", [UNET, VAE, TEXT])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (dropped, r"lacks 1 tensors of a \w+, such as [\w.]+\.(weight|bias)"),
        (reshaped, r"[\w.]+\.(weight|bias)"),
        (added, r"holds 1 tensors that its config\.json has no place for, such as odd\.weight"),
        (foreign, r"lacks \d+ tensors"),
    ],
)
def test_missing_foreign_and_reshaped_tensors_are_refused_by_name(
    stable_diffusion: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], file: str,
    damage: Callable[[str], Change], message: str,
) -> None:  # fmt: skip
    folder = released.copied(stable_diffusion, tmp_path / "sd")
    damage(file)(folder)
    line = refusal(folder)
    assert f"its {file.partition('/')[0]}" in line
    assert re.search(message, line)
    assert capfd.readouterr().err == ""  # no table of a library


def test_the_home_folder_of_nobody_is_no_base() -> None:
    assert refusal(Path("~nobody-of-that-name/base")).endswith("no such folder")


def refusal(folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        load_base(folder)
    line = str(caught.value)
    assert line.startswith(f"base={folder}") and "\n" not in line and len(line) < 700
    return line


def _nine_channels(folder: Path) -> None:
    edit_json(folder / "unet/config.json", in_channels=9)
    edit_tensors(
        folder / UNET,
        lambda tensors: {**tensors, "conv_in.weight": tensors["conv_in.weight"].repeat(1, 3, 1, 1)[:, :9]},
    )


def _other_words(folder: Path) -> None:
    shutil.rmtree(folder / "tokenizer")
    vocabulary = {"<|startoftext|>": 0, "<|endoftext|>": 1, "a</w>": 2}
    CLIPTokenizer(vocab=vocabulary, merges=[]).save_pretrained(folder / "tokenizer")


def _no_words(folder: Path) -> None:
    for path in (folder / "tokenizer").iterdir():
        if path.name != "tokenizer_config.json":
            path.unlink()


def _words_in_another_order(folder: Path) -> None:
    vocabulary = small_base().tokenizer.get_vocab()
    turned = {piece: len(vocabulary) - 1 - number for piece, number in vocabulary.items()}
    shutil.rmtree(folder / "tokenizer")
    CLIPTokenizer(vocab=turned, merges=[]).save_pretrained(folder / "tokenizer")


def _epsilon_without_signal(folder: Path) -> None:
    edit_json(folder / "scheduler/scheduler_config.json", rescale_betas_zero_snr=True, prediction_type="epsilon")


def _code(folder: Path) -> None:
    path = released.as_pickled(folder) / "unet/diffusion_pytorch_model.bin"
    torch.save({"conv_in.weight": Hostile(folder / "ran")}, path)


def _nothing(folder: Path) -> None:
    (folder / UNET).rename(folder / "unet/model.ckpt")


def _infinite(folder: Path) -> None:
    edit_tensors(folder / VAE, lambda tensors: {**tensors, min(tensors): tensors[min(tensors)] / 0})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_infinite, "values are not finite"),
        (lambda folder: edit_json(folder / "vae/config.json", shift_factor=0.1), "its VAE has a shift_factor; allowed"),
        (_nine_channels, "its UNet reads 9 channels, as those for inpainting do, and gives 4, its VAE makes 4"),
        (_other_words, "its tokenizer is not its text encoder's; it has 3 tokens, not"),
        (_no_words, "its tokenizer"),
        (_words_in_another_order, "its tokenizer is not its text encoder's; its end token is"),
        (_epsilon_without_signal, "epsilon and rescale_betas_zero_snr"),
        (_code, "holds code besides tensors, which is not run"),
        (_nothing, "its unet has no weights that can be read; it holds config.json, model.ckpt; save them as"),
        (lambda folder: edit_json(folder / "scheduler/scheduler_config.json", trained_betas=[0.1]), "trained_betas"),
        (lambda folder: edit_json(folder / "scheduler/scheduler_config.json", beta_start=None), "without beta_start"),
        (
            lambda folder: edit_json(folder / "unet/config.json", _class_name="UNet3DConditionModel"),
            "its unet is a UNet3DConditionModel, not a UNet2DConditionModel",
        ),
        (
            lambda folder: edit_json(
                folder / "text_encoder/config.json", model_type="t5", architectures=["T5EncoderModel"]
            ),
            "its text_encoder is a T5EncoderModel, not a CLIPTextModel",
        ),
        (lambda folder: (folder / TEXT).write_bytes((folder / TEXT).read_bytes()[:-9]), "safetensors: not a"),
        (lambda folder: (folder / UNET).write_bytes(b""), f"{UNET}: not a safetensors file, or not a whole one"),
    ],
)
def test_parts_that_do_not_belong_together_are_refused(
    stable_diffusion: Path, tmp_path: Path, damage: Change, message: str
) -> None:
    folder = released.copied(stable_diffusion, tmp_path / "sd")
    damage(folder)
    assert message in refusal(folder)
    assert not (folder / "ran").exists()


def test_a_folder_that_is_not_there_is_not_looked_for_on_the_hub(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nowhere") == f"base={tmp_path / 'nowhere'}: no such folder"


def test_a_folder_of_another_kind_is_called_by_its_name(tmp_path: Path) -> None:
    save_motion(adapter_of(add_motion(small_base().unet, None)), tmp_path)
    assert "not a diffusers folder, but temporal modules (a MotionAdapter); it lacks vae" in refusal(tmp_path)


def test_a_name_that_the_hub_does_not_give_is_said_to_be_no_folder_either() -> None:
    error = unreadable("base=some/model", "some/model", OSError("offline\n mode"), "tokenizer")
    assert str(error) == "base=some/model: no such folder, and the Hugging Face hub did not give it: offline mode"
