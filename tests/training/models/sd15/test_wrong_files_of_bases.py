"""Any wrong value or file of a base, of temporal modules or of a replication network is one line that names it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from conf.errors import UserError
from tests.training.models.sd15 import released
from tests.training.models.sd15.released import TEXT, UNET, VAE, edit_json, edit_tensors
from tests.training.models.sd15.test_loading_bases import Change, refusal
from tests.training.models.small_base import small_base
from training.models.sd15.base import BaseModel, load_base, load_codec
from training.models.sd15.motion import adapter_of, add_motion, load_motion, save_motion
from training.models.sd15.replication import add_replication, load_replication, save_replication

SCHEDULER = "scheduler/scheduler_config.json"
_ABOVE_0 = "not allowed; allowed: a finite number above 0"
_BETA = "not allowed; allowed: more than 0 and less than 1"


def config(part: str, **values: object) -> Change:
    def change(folder: Path) -> None:
        path = folder / part
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    return change


def written(file: str, text: str) -> Change:
    return lambda folder: (folder / file).write_text(text)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (config("text_encoder/config.json", hidden_size="x"), "its text_encoder .* does not describe .*'hidden_size'"),
        (config("text_encoder/config.json", num_attention_heads=0), "its text_encoder .* not describe a CLIPTextModel"),
        (config("vae/config.json", block_out_channels=[]), "its vae .* config.json does not describe a AutoencoderKL"),
        (config("vae/config.json", norm_num_groups=0), "its vae .* config.json does not describe .*modulo by zero"),
        (config("unet/config.json", attention_head_dim=0), "its unet .* config.json does not describe"),
        (config("unet/config.json", transformer_layers_per_block=[]), "its unet .* config.json does not describe"),
        (config(SCHEDULER, beta_start="x"), f"{SCHEDULER} cannot be loaded: beta_start=x: .* allowed: a number"),
        (config(SCHEDULER, beta_start=0), f"{SCHEDULER} .* beta_start=0.0: {_BETA}"),
        (config(SCHEDULER, beta_end=-1), f"{SCHEDULER} .* beta_end=-1.0: .* from beta_start=0.00085 to less than 1"),
        (config(SCHEDULER, beta_end=float("nan")), f"{SCHEDULER} cannot be loaded: not JSON"),
        (config(SCHEDULER, num_train_timesteps=1), f"{SCHEDULER} .* num_train_timesteps=1: .*allowed: 2 to 100000"),
        (config(SCHEDULER, num_train_timesteps=9.5), f"{SCHEDULER} .* num_train_timesteps=9.5: .* a whole number"),
        (config(SCHEDULER, rescale_betas_zero_snr="x", prediction_type="v_prediction"), ".*rescale_betas_zero_snr=x: "),
        (config(SCHEDULER, beta_schedule=[]), f"{SCHEDULER} .* is not known"),
        (config(SCHEDULER, prediction_type=[]), f"{SCHEDULER} .* is not known"),
        *((config("vae/config.json", scaling_factor=value), f"vae/config.json: scaling_factor={said}: {_ABOVE_0}")
          for value, said in (("x", "x"), (0, "0"), (-1, "-1"), (True, "true"), (float("nan"), "nan"))),
        (written("unet/config.json", "[]"), "its unet cannot be loaded: config.json: "),
        (written("vae/config.json", "{"), "vae/config.json cannot be loaded: not JSON"),
        (written("text_encoder/config.json", "[]"), "its text_encoder cannot be loaded: config.json: "),
        (lambda folder: (folder / "text_encoder/config.json").unlink(), "its text_encoder has no config.json"),
        (written(SCHEDULER, "[]"), f"{SCHEDULER} cannot be loaded: "),
        (written("tokenizer/tokenizer.json", "{"), "tokenizer cannot be loaded: tokenizer.json: not JSON"),
        (written("tokenizer/tokenizer.json", "{}"), "tokenizer cannot be loaded: no such entry: 'added_tokens'"),
        (written("tokenizer/tokenizer_config.json", "[]"), "tokenizer cannot be loaded: tokenizer_config.json: "),
    ],
)  # fmt: skip
def test_a_wrong_value_or_file_is_named_with_its_part(
    stable_diffusion: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], damage: Change, message: str
) -> None:
    folder = released.copied(stable_diffusion, tmp_path / "sd")
    damage(folder)
    with pytest.raises(UserError, match=f"^base={folder}: {message}"):
        load_base(folder)
    assert refusal(folder)
    assert capfd.readouterr() == ("", "")


def test_a_codec_alone_is_checked_as_that_of_a_base(stable_diffusion: Path, tmp_path: Path) -> None:
    shutil.copytree(stable_diffusion / "vae", tmp_path / "vae")
    edit_json(tmp_path / "vae/config.json", scaling_factor=0)
    with pytest.raises(UserError, match=f"^codec=C: vae/config.json: scaling_factor=0: {_ABOVE_0}"):
        load_codec(str(tmp_path), "codec=C")


def test_schedulers_of_other_classes_go_on_loading(stable_diffusion: Path, tmp_path: Path) -> None:
    folder = released.copied(stable_diffusion, tmp_path / "sd")
    expected = load_base(folder).schedule
    for other in ("EulerDiscreteScheduler", "DPMSolverMultistepScheduler"):
        content = {"_class_name": other, "num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012}
        extra = {"beta_schedule": "scaled_linear", "rescale_betas_zero_snr": None, "lower_order_final": True}
        (folder / SCHEDULER).write_text(json.dumps({**content, **extra}))
        assert load_base(folder).schedule == expected


def _index(text: str) -> Change:
    def change(folder: Path) -> None:
        (released.as_shards(folder) / "unet/diffusion_pytorch_model.safetensors.index.json").write_text(text)

    return change


def _lost(folder: Path) -> None:
    (released.as_shards(folder) / "unet/diffusion_pytorch_model-00002-of-00002.safetensors").unlink()


def _of_elsewhere(folder: Path) -> None:
    path = released.as_shards(folder) / "unet/diffusion_pytorch_model.safetensors.index.json"
    path.write_text(path.read_text().replace("diffusion_pytorch_model-00001", "../vae/diffusion_pytorch_model-00001"))


def _two_variants(folder: Path) -> None:
    for variant in ("ema", "non_ema"):
        shutil.copy(folder / UNET, (folder / UNET).with_suffix(f".{variant}.safetensors"))
    (folder / UNET).unlink()


def _code_in_a_shard(folder: Path) -> None:
    from tests.training.models.test_read_tensors import Hostile

    path = released.as_shards(folder, ending="bin") / "unet/diffusion_pytorch_model-00002-of-00002.bin"
    torch.save({"conv_in.weight": Hostile(folder / "ran")}, path)


_INDEX = "its unet cannot be loaded: diffusion_pytorch_model.safetensors.index.json"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_index("not json"), f"{_INDEX}: not JSON"),
        (_index("[]"), f"{_INDEX}: "),
        (_index('{"metadata": {}}'), f"{_INDEX}: weight_map: Field required"),
        (_index('{"metadata": {}, "weight_map": {"conv_in.weight": 3}}'), f"{_INDEX}: weight_map.conv_in.weight: "),
        (_lost, f"{_INDEX} lists diffusion_pytorch_model-00002-of-00002.safetensors, which is not a file beside it"),
        (_of_elsewhere, f"{_INDEX} lists ../vae/diffusion_pytorch_model-00001"),
        (
            _two_variants,
            "its unet has 2 variants of its weights, diffusion_pytorch_model.ema.safetensors and "
            "diffusion_pytorch_model.non_ema.safetensors; keep one of them, or take the variant out of its name, as in "
            "diffusion_pytorch_model.safetensors",
        ),
        (_code_in_a_shard, "unet/diffusion_pytorch_model-00002-of-00002.bin: holds code besides tensors"),
    ],
)
def test_wrong_sets_of_files_are_named(stable_diffusion: Path, tmp_path: Path, damage: Change, message: str) -> None:
    folder = released.copied(stable_diffusion, tmp_path / "sd")
    damage(folder)
    assert message in refusal(folder)
    assert not (folder / "ran").exists()


def _first_as(dtype: torch.dtype) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda tensors: {**tensors, min(tensors): tensors[min(tensors)].to(dtype)}


@pytest.mark.parametrize("file", [UNET, VAE, TEXT])
@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.bool])
@pytest.mark.parametrize("layout", [lambda folder: folder, released.as_pickled, released.as_shards])
def test_quantized_weights_are_refused_as_those_of_a_lora(
    stable_diffusion: Path, tmp_path: Path, file: str, dtype: torch.dtype, layout: Callable[[Path], Path]
) -> None:
    folder = released.copied(stable_diffusion, tmp_path / "sd")
    edit_tensors(folder / file, _first_as(dtype))
    message = rf"\S+ is of type {str(dtype).removeprefix('torch.')}; allowed: floating-point numbers"
    with pytest.raises(UserError, match=f"^base={folder}: its {Path(file).parent}: {message}$"):
        load_base(layout(folder))


def _save_motion(base: BaseModel, folder: Path) -> None:
    save_motion(adapter_of(add_motion(base.unet, None)), folder)


def _save_replication(base: BaseModel, folder: Path) -> None:
    save_replication(add_replication(base.unet), folder)


@pytest.mark.parametrize(
    ("key", "save", "load", "wrong"),
    [
        ("motion", _save_motion, load_motion, {"motion_num_attention_heads": 0}),
        ("motion", _save_motion, load_motion, {"block_out_channels": []}),
        ("replication", _save_replication, load_replication, {"norm_num_groups": 0}),
        ("replication", _save_replication, load_replication, {"cross_attention_dim": "x"}),
    ],
)
def test_other_parts_are_checked_as_a_base(
    tmp_path: Path, key: str, save: Callable[[BaseModel, Path], None], load: Callable[..., Any], wrong: dict[str, Any]
) -> None:
    base = small_base()
    save(base, tmp_path)
    load(tmp_path, base.unet)
    weights = tmp_path / "diffusion_pytorch_model.safetensors"
    edit_tensors(weights, _first_as(torch.int8))
    with pytest.raises(UserError, match=rf"^{key}={tmp_path}: \S+ is of type int8; allowed: floating-point numbers$"):
        load(tmp_path, base.unet)
    edit_tensors(weights, lambda tensors: {name: tensor.float() for name, tensor in tensors.items()})
    config("config.json", **wrong)(tmp_path)
    with pytest.raises(UserError, match=rf"^{key}={tmp_path} cannot be loaded: its config.json does not describe"):
        load(tmp_path, base.unet)
