"""Readers of weights: networks, LoRAs, painters, checkpoints, and the cards beside them."""

import hashlib
import io
import json
import zipfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from safetensors.torch import save

from conf.errors import UserError
from tests.fuzz.mutations import document, mutated, mutated_document, mutated_value, safetensors
from tests.fuzz.target import Target
from training.data.encoded import embedding_of, latents_of
from training.data.manifest import to_json
from training.data.sequence import StoredSequence
from training.models.actor_file import actor_of
from training.models.lora_layouts import lora_from_file, lora_settings, without_text_encoder
from training.models.painter_folder import PAINTER_CARD, read_painter_card
from training.models.parts import kind_of_folder
from training.models.read_tensors import read_tensors
from training.models.sd15.lora_names import UNET
from training.models.weights import RUN_CARD, noise_of_run
from training.run.checkpoint import newest_sound, write_checkpoint

_LAYER = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
_LORAS: Sequence[dict[str, torch.Tensor]] = (
    {f"unet.{_LAYER}.lora_A.weight": torch.ones(2, 4), f"unet.{_LAYER}.lora_B.weight": torch.ones(4, 2)},
    {
        f"lora_unet_{_LAYER.replace('.', '_')}.lora_down.weight": torch.ones(2, 4),
        f"lora_unet_{_LAYER.replace('.', '_')}.lora_up.weight": torch.ones(4, 2),
        f"lora_unet_{_LAYER.replace('.', '_')}.alpha": torch.tensor(1.0),
    },
    {f"{_LAYER.removesuffix('.to_q')}.processor.to_q_lora.{end}.weight": torch.ones(2, 2) for end in ("down", "up")},
)
_SETTINGS = {"lora_alpha": 8, "r": 2, "alpha_pattern": {_LAYER: 4.0}, "use_rslora": False, "peft_type": "LORA"}
_PATTERNS = ("(a+)+b", "((.*)*)*x", "(?:a|a)*b", ".*" * 30 + "x", "[", "a" * 300, "^.*to_q$", "(?P<a>b)", "\\")
_PAINTER = {
    "format": 1, "num_frames": 8, "size_px": [64, 64], "phrases": {"oil": "in oil"}, "shared_noise": 0.5,
    "files": {"a.bin": {"bytes": 3, "sha256": "0" * 64}},
}  # fmt: skip
_NOISE = {"num_steps": 1000, "spacing": "linear", "first": 0.001, "last": 0.02, "prediction": "epsilon"}


@st.composite
def _safetensors(draw: DrawFn, corpus: Sequence[dict[str, torch.Tensor]]) -> bytes:
    """A file with a wrong header, in its metadata or about its tensors, or with changed bytes."""
    state = draw(st.sampled_from(list(corpus)))
    patterns = st.sampled_from(_PATTERNS).map(lambda pattern: {"alpha_pattern": {pattern: 1}})
    settings = draw(mutated_value(_SETTINGS) | patterns)
    metadata = {"lora_adapter_metadata": document(settings).decode(), "process_painter": "{}"}
    sound = save(state, metadata=metadata if draw(st.booleans()) else None)
    if draw(st.booleans()):
        return draw(mutated([sound]))
    length = int.from_bytes(sound[:8], "little")
    header = json.loads(sound[8 : 8 + length])
    return safetensors(draw(mutated_value(header)), sound[8 + length :])


def _saved(value: Any, *, zipped: bool = True) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


@cache
def _torch_files() -> list[bytes]:
    strange = {
        "expanded": torch.ones(1).expand(300_000, 300_000), "half": torch.ones(3, dtype=torch.bfloat16),
        "sparse": torch.eye(3).to_sparse(), "meta": torch.ones(3, device="meta"),
        "complex": torch.ones(2, dtype=torch.cfloat),
    }  # fmt: skip
    files = [_saved(state) for state in _LORAS] + [_saved({"state_dict": _LORAS[0]}, zipped=False)]
    files += [_saved({name: tensor}) for name, tensor in strange.items()]
    return [*files, _saved([_LORAS[0], "a", 1]), _packed(_saved({"a": torch.zeros(1_000_000)}))]


def _packed(data: bytes) -> bytes:
    """A compressed file that is much larger when it is read."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as plain, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    return buffer.getvalue()


def _read_lora(data: bytes, folder: Path) -> None:
    path = folder / ("lora.safetensors" if data[8:9] == b"{" else "lora.bin")
    path.write_bytes(data)
    try:
        tensors, _ = without_text_encoder(read_tensors(path), UNET)
        lora_from_file(tensors, (_LAYER,), UNET, lora_settings(path, tensors, UNET))
    except ValueError as error:  # to which `load_lora` adds the name of the file
        raise UserError(str(error)) from error


def _read_weights(data: bytes, folder: Path) -> None:
    (folder / "weights.pt").write_bytes(data)
    tensors = read_tensors(folder / "weights.pt")
    assert sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()) <= 100 * len(data)
    actor_of({name: tensor.float() for name, tensor in tensors.items()})


def _read_latents(data: bytes, _: Path) -> None:
    sequence = StoredSequence(key="0", members={"latents.safetensors": data, "text.safetensors": data})
    try:
        latents_of(sequence)
    except ValueError:
        embedding_of(sequence)


@st.composite
def _checkpoints(draw: DrawFn) -> bytes:
    """The changed facts of a checkpoint."""
    facts = {"format": 1, "step": 1, "files": {"a.safetensors": "0" * 64}, "position": 3, "tracker_id": None}
    if draw(st.booleans()):
        facts["files"] = {draw(st.sampled_from(("/dev/zero", "../../x", "", ".", "a\0b", "a" * 300))): "0" * 64}
    return draw(mutated_document(facts))


def _read_checkpoint(data: bytes, folder: Path) -> None:
    (folder / "step-00000001").mkdir()
    (folder / "step-00000001" / "checkpoint.json").write_bytes(data)
    checkpoint = newest_sound(folder, lambda _: None)
    assert checkpoint is None or not checkpoint.facts["files"]


def _read_state(data: bytes, folder: Path) -> None:
    """Read a malicious state from a checkpoint in which all hashes are correct."""
    write_checkpoint(folder, 1, facts={}, tensors={}, states={"state": 1})
    state = folder / "step-00000001" / "state.pt"
    state.write_bytes(data)
    facts = {"format": 1, "step": 1, "files": {"state.pt": hashlib.sha256(data).hexdigest()}}
    (state.parent / "checkpoint.json").write_text(to_json(facts))
    checkpoint = newest_sound(folder, lambda _: None)
    assert checkpoint is not None
    checkpoint.state("state")


def _read_painter(data: bytes, folder: Path) -> None:
    (folder / "a.bin").write_bytes(b"abc")
    (folder / PAINTER_CARD).write_bytes(data)
    card = read_painter_card(folder)
    assert isinstance(card["num_frames"], int) and len(card["size_px"]) == 2


def _read_cards(data: bytes, folder: Path) -> None:
    (folder / "config.json").write_bytes(data)
    kind_of_folder(folder)
    (folder / RUN_CARD).write_bytes(data)
    noise_of_run(folder)


TARGETS = {
    "lora": Target(files=lambda: _safetensors(_LORAS) | mutated(_torch_files()), read=_read_lora),
    "torch-file": Target(files=lambda: mutated(_torch_files()), read=_read_weights),
    "latents": Target(
        files=lambda: _safetensors(({"mean": torch.ones(2, 4), "logvar": torch.ones(2, 4)}, {"text": torch.ones(2)})),
        read=_read_latents,
        refusals=(ValueError,),
    ),
    "checkpoint": Target(files=_checkpoints, read=_read_checkpoint),
    "checkpoint-state": Target(files=lambda: mutated(_torch_files()), read=_read_state),
    "painter-card": Target(files=lambda: mutated_document(_PAINTER), read=_read_painter),
    "run-card": Target(
        files=lambda: mutated_document({"_class_name": "MotionAdapter", "recipe": {"noise": _NOISE}}), read=_read_cards
    ),
}
