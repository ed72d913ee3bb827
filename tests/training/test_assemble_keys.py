"""What is wrong with a LoRA or a licence is said with the key that the user typed, whatever the LoRA is called."""

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from conf.errors import UserError
from tests.training.assembled import Folders, assemble
from training.models.weights import weights_hash

_LAYER = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
_FORMS = "not allowed; allowed: paths, or {name: NAME, path: PATH} for each"


@pytest.mark.parametrize(
    ("loras", "refused"),
    [
        ("[[a]]", f"loras=[a]: {_FORMS}"),
        ("[null]", f"loras=null: {_FORMS}"),
        ("[{name: x}]", f"loras={{name: x}}: {_FORMS}"),
        ("[{name: x, path: [a]}]", f"loras={{name: x, path: [a]}}: {_FORMS}"),
        ("[1]", "loras=1: no such file or folder"),
        ("[{name: x, path: /nowhere}]", "loras=/nowhere: no such file or folder"),
    ],
)
def test_loras_that_are_no_paths_are_refused_by_their_key(
    runs: Folders, tmp_path: Path, loras: str, refused: str
) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(refused)}"):
        assemble(runs, tmp_path / "painter", loras=loras)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("licence", ["[1]", "{a: b}", "null", "''"])
def test_a_licence_is_text(runs: Folders, tmp_path: Path, licence: str) -> None:
    refused = re.escape(f"licences={{base: {licence}}}: not allowed; allowed: the name of a licence for each part")
    with pytest.raises(UserError, match=f"^{refused}"):
        assemble(runs, tmp_path / "painter", licences=f"{{base: {licence}}}")
    assert list(tmp_path.iterdir()) == []


def test_a_lora_that_cannot_be_used_is_refused_by_its_key_and_leaves_nothing(runs: Folders, tmp_path: Path) -> None:
    file, out = tmp_path / "ink.safetensors", tmp_path / "painter"
    for rank, reason in ((0, "so it holds no weights"), (2, "made for another base")):
        save_file(
            {f"{_LAYER}.lora_down.weight": torch.ones(rank, 3), f"{_LAYER}.lora_up.weight": torch.ones(3, rank)}, file
        )
        with pytest.raises(UserError, match=r"^loras=.*not trained here; state its licence: licences={ink: NAME}"):
            assemble(runs, out, loras=f"[{file}]")
        with pytest.raises(UserError, match=f"^loras={re.escape(str(file))}: .*{reason}"):
            assemble(runs, out, loras=f"[{file}]", licences="{base: x, ink: x}")
    assert not out.exists()


def test_a_painter_that_lacks_a_lora_is_told_by_the_name_of_that(runs: Folders, tmp_path: Path) -> None:
    out = assemble(runs, tmp_path / "painter")
    before = weights_hash(out)
    with pytest.raises(UserError, match=r"this one holds a painter without LoRA ink$"):
        assemble(runs, out, loras=f"[{{name: ink, path: {runs['spatial']}}}]")
    assert weights_hash(out) == before
