"""LoRAs, checkpoints and painters of strangers: numbers, and no more of them than the file holds; no code, ever."""

import json
import os
import pickle
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from conf.errors import UserError
from tests.fuzz.mutations import safetensors
from training.data.manifest import hash_file, to_json
from training.models.lora_layouts import lora_from_file, lora_settings
from training.models.painter_folder import PAINTER_CARD, read_painter_card
from training.models.parts import kind_of_folder
from training.models.read_tensors import read_tensors
from training.models.sd15.lora_names import UNET
from training.models.weights import RUN_CARD, noise_of_run
from training.run.checkpoint import newest_sound

LAYER = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
FLOAT = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
DEEP = b'{"a":' * 100_000


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.system, (f"touch '{self.marker}'",)


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_tensors(path, "lora")
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 99_999_999) + b"{",
        safetensors(DEEP, b""),
        safetensors({"a": FLOAT, "b": FLOAT}, bytes(4)),
        safetensors({"a": {**FLOAT, "data_offsets": [0, 2**60]}}, bytes(4)),
        safetensors({"a": {**FLOAT, "data_offsets": [4, 0]}}, bytes(4)),
        safetensors({"a": {**FLOAT, "shape": [2**40, 2**40]}}, bytes(4)),
        safetensors({"a": {**FLOAT, "shape": [-1]}}, bytes(4)),
        safetensors({"a": {**FLOAT, "dtype": "object"}}, bytes(4)),
        safetensors({"a": FLOAT}, bytes(5)),
        safetensors({"__metadata__": {"a": 1}, "a": FLOAT}, bytes(4)),
    ],
    ids=range(11),
)
def test_headers_that_lie_are_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(data)
    start = time.monotonic()
    assert "not a safetensors file" in refusal(tmp_path / "a.safetensors")
    assert time.monotonic() - start < 10


def test_tensors_of_more_numbers_than_a_file_holds_are_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1).expand(1_000_000, 1_000_000)}, tmp_path / "a.pt")
    assert "has 1000000000000 numbers, of which the file holds fewer" in refusal(tmp_path / "a.pt")


@pytest.mark.parametrize("kind", ["sparse", "meta", "complex"])
def test_tensors_that_are_no_plain_numbers_are_refused(kind: str, tmp_path: Path) -> None:
    tensors = {
        "sparse": torch.sparse_coo_tensor(torch.zeros((2, 1), dtype=torch.long), torch.ones(1), (10**6, 10**6)),
        "meta": torch.ones(3, device="meta"),
        "complex": torch.ones(3, dtype=torch.complex64),
    }
    torch.save({"a": tensors[kind]}, tmp_path / "a.pt")
    assert "no plain tensor of numbers" in refusal(tmp_path / "a.pt")


def test_weights_that_unpack_to_more_than_they_are_are_refused_unread(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(10_000_000)}, tmp_path / "plain.pt")
    with (
        zipfile.ZipFile(tmp_path / "plain.pt") as plain,
        zipfile.ZipFile(tmp_path / "a.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    assert (tmp_path / "a.pt").stat().st_size < 100_000
    assert "compressed" in refusal(tmp_path / "a.pt")
    assert list(read_tensors(tmp_path / "plain.pt")) == ["a"]


@pytest.mark.parametrize("name", ["lora.bin", "lora.pt", "lora.ckpt", "lora.pth", "lora.safetensors"])
@pytest.mark.parametrize("written", ["torch", "pickle"])
def test_code_in_weights_is_never_run(name: str, written: str, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    if written == "torch":
        torch.save({"a": Evil(marker)}, tmp_path / name)
    else:
        (tmp_path / name).write_bytes(pickle.dumps({"a": Evil(marker)}))
    refusal(tmp_path / name)
    assert not marker.exists()


PATTERNS = (
    "(a+)+b",
    "(([a-z_0-9.]+)+)+X",
    "(?:.|.)*x",
    ".*" * 20 + "x",
    "a{1,9}{1,9}{1,9}",
    "[a-z]*" * 9,
    "x" * 201,
    "[",
)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_that_would_be_compared_for_ever_are_refused_at_once(pattern: str, tmp_path: Path) -> None:
    tensors = {f"{LAYER}.lora_A.weight": torch.ones(2, 4), f"{LAYER}.lora_B.weight": torch.ones(4, 2)}
    metadata = {"lora_adapter_metadata": json.dumps({"lora_alpha": 2, "alpha_pattern": {pattern: 1}})}
    save_file(tensors, tmp_path / "lora.safetensors", metadata=metadata)
    start = time.monotonic()
    with pytest.raises(ValueError, match="allowed: names of layers"):
        lora_from_file(tensors, (LAYER,), UNET, lora_settings(tmp_path / "lora.safetensors", tensors, UNET))
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    "pattern", [LAYER, "attn1.to_q", ".*attn1.to_q", "^down_blocks.*to_q$", r"down_blocks\.0\..*\.to_q"]
)
def test_patterns_that_people_write_are_followed(pattern: str, tmp_path: Path) -> None:
    tensors = {f"{LAYER}.lora_A.weight": torch.ones(2, 4), f"{LAYER}.lora_B.weight": torch.ones(4, 2)}
    metadata = {"lora_adapter_metadata": json.dumps({"lora_alpha": 2, "alpha_pattern": {pattern: 6}})}
    save_file(tensors, tmp_path / "lora.safetensors", metadata=metadata)
    state = lora_from_file(tensors, (LAYER,), UNET, lora_settings(tmp_path / "lora.safetensors", tensors, UNET))
    assert state[f"{LAYER}.lora_B.weight"].flatten().tolist() == [3.0] * 8


@pytest.mark.parametrize("name", ["/dev/zero", "../private", "a/../../private", "..", "", "a/b"])
def test_a_checkpoint_that_names_files_elsewhere_is_damaged_and_they_are_not_read(name: str, tmp_path: Path) -> None:
    (tmp_path / "private").write_text("secret")
    folder = tmp_path / "checkpoints" / "step-00000001"
    folder.mkdir(parents=True)
    facts = {"format": 1, "step": 1, "files": {name: hash_file(tmp_path / "private")}}
    (folder / "checkpoint.json").write_text(to_json(facts))
    told: list[str] = []
    assert newest_sound(tmp_path / "checkpoints", told.append) is None
    assert "is not a file in it" in told[0] and (tmp_path / "checkpoints" / "damaged-step-00000001").is_dir()


@pytest.mark.parametrize("kind", ["code", "noise", "cut"])
def test_a_checkpoint_whose_hashes_fit_harm_is_refused(kind: str, tmp_path: Path) -> None:
    folder, marker = tmp_path / "step-00000001", tmp_path / "ran"
    folder.mkdir()
    torch.save({"a": Evil(marker)} if kind == "code" else {"a": torch.ones(1000)}, folder / "state.pt")
    if kind != "code":
        data = (folder / "state.pt").read_bytes()
        (folder / "state.pt").write_bytes(data[: len(data) // 2] if kind == "cut" else bytes(100))
    (folder / "tensors.safetensors").write_bytes(bytes(100))
    files = {path.name: hash_file(path) for path in folder.iterdir()}
    (folder / "checkpoint.json").write_text(to_json({"format": 1, "step": 1, "files": files}))
    checkpoint = newest_sound(tmp_path, print)
    assert checkpoint is not None
    with pytest.raises(UserError, match="state"):
        checkpoint.state("state")
    with pytest.raises(UserError, match="not a safetensors file"):
        checkpoint.tensors("tensors")
    assert not marker.exists()


CARD: dict[str, Any] = {"format": 1, "num_frames": 8, "size_px": [64, 64], "files": {"a": {"bytes": 3, "sha256": "0"}}}


@pytest.mark.parametrize(
    "change",
    [
        {"files": {"../private": {"bytes": 6}}},
        {"files": {"/etc/passwd": {"bytes": 6}}},
        {"files": []},
        {"files": {"a": 3}},
        {"size_px": [64]},
        {"size_px": [2**40, 64]},
        {"size_px": "64"},
        {"num_frames": 1e99},
        {"num_frames": -1},
        {"phrases": {"oil": 3}},
        {"shared_noise": "x"},
        {"format": [1]},
    ],
    ids=repr,
)
def test_a_painter_whose_card_says_other_than_cards_do_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "private").write_text("secret")
    folder = tmp_path / "painter"
    folder.mkdir()
    (folder / "a").write_text("abc")
    (folder / PAINTER_CARD).write_text(json.dumps(CARD))
    assert read_painter_card(folder)["num_frames"] == 8
    (folder / PAINTER_CARD).write_text(json.dumps(CARD | change))
    with pytest.raises(UserError, match=r"cannot be read|of format"):
        read_painter_card(folder)


@pytest.mark.parametrize(
    "data", [DEEP, b"\xff\xfe", b'{"a": NaN}', b"[1]", b"null", b"", b'{"recipe": {"noise": 3}}'], ids=range(7)
)
def test_cards_that_are_none_are_refused_in_one_line(data: bytes, tmp_path: Path) -> None:
    (tmp_path / RUN_CARD).write_bytes(data)
    with pytest.raises(UserError, match="cannot be read"):
        noise_of_run(tmp_path)
    (tmp_path / "config.json").write_bytes(data)
    assert kind_of_folder(tmp_path) == "something else"
    (tmp_path / PAINTER_CARD).write_bytes(data)
    with pytest.raises(UserError, match=r"cannot be read|of format"):
        read_painter_card(tmp_path)


def test_archives_whose_names_are_no_utf8_are_no_weights(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(3)}, tmp_path / "a.pt")
    data = bytearray((tmp_path / "a.pt").read_bytes())
    entry = data.index(b"PK\1\2")
    data[entry + 9] |= 0x08  # says that names are UTF-8
    data[entry + 46] = 0x80
    (tmp_path / "a.pt").write_bytes(data)
    assert "not a PyTorch weights file" in refusal(tmp_path / "a.pt")
