"""If a parent is not of the kind that its key requires, the error names its actual kind."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from conf.errors import UserError
from tests.renderers.actors import save_small_actor
from tests.training.models.small_base import small_base
from training.models.codec import PatchCodec
from training.models.sd15.base import load_base, load_codec, save_its_unet
from training.models.sd15.lora import load_lora, save_lora
from training.models.sd15.motion import adapter_of, add_motion, load_motion, save_motion
from training.models.sd15.replication import add_replication, load_replication, save_replication

_LAYER = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
NAMES = {
    "base": "a base (a diffusers folder)", "motion": "temporal modules (a MotionAdapter)",
    "motion with a UNet": "temporal modules (a MotionAdapter)",
    "replication": "a replication network (a SparseControlNetModel)", "lora": "a LoRA",
    "agent": "an actor (of stage=agent)", "codec": "a codec (of stage=codec)", "painter": "a painter",
    "nothing": "something else",
}  # fmt: skip
_FITTING = {  # key -> the kinds that it takes
    "base": ("base", "painter"), "codec": ("base", "codec", "painter"), "motion": ("motion", "motion with a UNet"),
    "replication": ("replication",), "spatial_lora": ("lora",),
}  # fmt: skip


@pytest.fixture(scope="module")
def kinds(painter: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Weights of every kind, in folders whose names say nothing."""
    root, base = tmp_path_factory.mktemp("kinds"), small_base()
    folders = {kind: root / str(number) for number, kind in enumerate(NAMES)}
    for kind, folder in folders.items():
        if kind != "painter":
            folder.mkdir()
    base.save(folders["base"])
    for kind in ("motion", "motion with a UNet"):
        save_motion(adapter_of(add_motion(base.unet, None)), folders[kind])
    save_its_unet(base, folders["motion with a UNet"])
    save_replication(add_replication(base.unet), folders["replication"])
    width = base.unet.get_submodule(_LAYER).in_features
    matrices = {f"{_LAYER}.lora_A.weight": torch.ones(2, width), f"{_LAYER}.lora_B.weight": torch.ones(width, 2)}
    save_lora(matrices, "spatial", folders["lora"])
    save_small_actor(folders["agent"] / "actor.safetensors")
    PatchCodec().save_pretrained(folders["codec"] / "vae")
    shutil.copytree(painter, folders["painter"])
    return folders


def loader(key: str) -> Callable[[Path], Any]:
    unet = small_base().unet
    loaders: dict[str, Callable[[Path], Any]] = {
        "base": load_base,
        "codec": lambda path: load_codec(str(path), f"codec={path}"),
        "motion": lambda path: load_motion(path, unet),
        "replication": lambda path: load_replication(path, unet),
        "spatial_lora": lambda path: load_lora("spatial_lora", path, unet, {}),
    }
    return loaders[key]


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("key", _FITTING)
def test_a_parent_of_another_kind_is_called_by_its_name(kinds: dict[str, Path], key: str, kind: str) -> None:
    if kind in _FITTING[key]:
        loader(key)(kinds[kind])
        return
    with pytest.raises(UserError, match=f"^{key}={re.escape(str(kinds[kind]))}.*{re.escape(NAMES[kind])}") as caught:
        loader(key)(kinds[kind])
    assert "\n" not in str(caught.value)


def test_a_single_file_is_no_codec(kinds: dict[str, Path]) -> None:
    file = kinds["agent"] / "actor.safetensors"
    with pytest.raises(UserError, match=r"codec=.*: holds no codec \(a folder vae\), but a single file"):
        load_codec(str(file), f"codec={file}")
