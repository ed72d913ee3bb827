"""Folders and files in the layouts of public releases, small and random, converted from those of other fixtures."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

UNET, VAE = "unet/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.safetensors"
TEXT = "text_encoder/model.safetensors"
_OLD_NAMES = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}


def copied(folder: Path, to: Path) -> Path:
    """A copy of a folder, which a test may change."""
    return Path(shutil.copytree(folder, to))


def edit_tensors(path: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    """Change the tensors of a safetensors file."""
    save_file({name: value.contiguous() for name, value in change(load_file(path)).items()}, path, {"format": "pt"})


def edit_json(path: Path, **values: object) -> None:
    """Set keys of a JSON file; None removes a key."""
    content = {**json.loads(path.read_text()), **values}
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def as_stable_diffusion_1_5(folder: Path) -> Path:
    """Convert to the layout of the first releases.

    They have old names in the VAE, a prefix and position ids in the text encoder, and the PNDM scheduler.
    """

    def old(name: str) -> str:
        for new_part, old_part in _OLD_NAMES.items():
            name = name.replace(new_part, old_part) if "attentions" in name else name
        return name

    def prefixed(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        renamed = {f"text_model.{name.removeprefix('text_model.')}": value for name, value in tensors.items()}
        return {**renamed, "text_model.embeddings.position_ids": torch.arange(64)[None]}

    edit_tensors(folder / VAE, lambda tensors: {old(name): value for name, value in tensors.items()})
    edit_tensors(folder / TEXT, prefixed)
    edit_json(folder / "vae/config.json", scaling_factor=None, force_upcast=None)
    edit_json(folder / "scheduler/scheduler_config.json", _class_name="PNDMScheduler", skip_prk_steps=True)
    return folder


def in_half(folder: Path, dtype: torch.dtype = torch.float16) -> Path:
    """Convert all weights to another precision."""
    for path in (folder / UNET, folder / VAE, folder / TEXT):
        edit_tensors(
            path,
            lambda tensors: {
                name: value.to(dtype) if value.is_floating_point() else value for name, value in tensors.items()
            },
        )
    return folder


def as_variant(folder: Path, variant: str = "fp16") -> Path:
    """Keep weights only in `*.<variant>.safetensors`, as folders that save space do."""
    for path in (folder / UNET, folder / VAE, folder / TEXT):
        path.rename(path.with_suffix(f".{variant}.safetensors"))
    return folder


def as_pickled(folder: Path, variant: str = "") -> Path:
    """Keep weights only in `.bin` files, as folders of 2022 do."""
    for path in (folder / UNET, folder / VAE, folder / TEXT):
        name = "pytorch_model.bin" if path == folder / TEXT else "diffusion_pytorch_model.bin"
        torch.save(load_file(path), path.with_name(name.replace(".bin", f".{variant}.bin" if variant else ".bin")))
        path.unlink()
    return folder


def as_shards(folder: Path, variant: str = "", ending: str = "safetensors") -> Path:
    """Keep weights only in two files each, with an index, as `save_pretrained` writes large networks."""
    for path in (folder / UNET, folder / VAE, folder / TEXT):
        stem = "pytorch_model" if path == folder / TEXT and ending == "bin" else path.stem
        dotted = f".{variant}" if variant else ""
        tensors = load_file(path)
        path.unlink()
        weight_map = {}
        for number in (1, 2):
            shard = path.with_name(f"{stem}{dotted}-{number:05d}-of-00002.{ending}")
            part = {name: tensors[name] for name in sorted(tensors)[number - 1 :: 2]}
            if ending == "bin":
                torch.save(part, shard)
            else:
                save_file(part, shard, {"format": "pt"})
            weight_map.update(dict.fromkeys(part, shard.name))
        index = {"metadata": {"total_size": 1}, "weight_map": weight_map}
        path.with_name(f"{stem}.{ending}.index{dotted}.json").write_text(json.dumps(index))
    return folder
