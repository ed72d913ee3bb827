"""What is wrong with a run is said in one line before any work is done, and nothing is left behind."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from conf.errors import UserError
from tests.pipelines.small_dataset import SHARDS, small_dataset
from tests.training.toy_runs import ROOT, config, finish, losses, spawn, train, words
from training.data import manifest
from training.data.dataset import read_card, read_manifests
from training.data.manifest import read_manifest, tar_path
from training.data.survey import surveyed
from training.run.checkpoint import newest_sound


@pytest.mark.parametrize(
    ("options", "words_of_error"),
    [
        ({"max_steps": 0}, "max_steps=0: not allowed"),
        ({"batch_size": 0}, "batch_size=0"),
        (
            {"noise.zero_terminal_snr": "true", "noise.prediction": "epsilon"},
            "noise.zero_terminal_snr=true: not allowed; allowed: false, or",
        ),
        ({"noise.zero_terminal_snr": "true", "model": "sd15", "base": "null"}, "noise.prediction=v"),
        ({"noise.prediction": "x"}, "noise.prediction=x: not allowed; allowed: one of epsilon, v"),
        ({"noise.beta_end": 0.0001}, "noise.beta_end=0.0001"),
        ({"noise.min_snr": 0}, "noise.min_snr=0.0"),
        ({"optimizer.learning_rate": 0}, "optimizer.learning_rate=0.0"),
        ({"optimizer.betas": "[0.9,1.0]"}, r"optimizer.betas=\[0.9,1.0\]"),
        ({"optimizer": "prodigy", "distributed": "fsdp2"}, "distributed=fsdp2: not allowed; allowed: ddp"),
        ({"ema_decay": 1}, "ema_decay=1"),
        ({"clip_norm": 0}, "clip_norm=0"),
        ({"peak_tflops": "1e-320"}, "peak_tflops=1e-320: not allowed; allowed: 0.001 or more, or null"),
        ({"caption_dropout": 1.5}, "caption_dropout=1.5"),
        ({"prompts": "[]"}, r"prompts=\[\]"),
        ({"model": "sd15", "model.path": ""}, "model.path="),
        ({"stage": "base", "model": "sd15"}, "model=sd15: not allowed; allowed: tiny"),
        ({"base": "null"}, "base is required"),
        ({"data": "[]"}, r"data=\[\]"),
        ({"stage": "words", "base": "null", "motion": "x"}, "motion=x: not allowed; allowed: null, or stage=motion or"),
        ({"stage": "base", "stage.unfinished": "1.5"}, "unfinished=1.5: not allowed; allowed: 0 to 1, or null"),
        (
            {"stage": "base", "base": "null", "stage.text_encoder": "false"},
            "text_encoder=false: not allowed; allowed: true",
        ),
        ({"stage": "motion", "+stage.unfinished": "0.5"}, "unfinished=0.5: not allowed; allowed: set only with stage="),
        ({"stage": "base", "motion": "x"}, "motion=x: not allowed; allowed: null, or stage=motion or"),
        ({"stage": "spatial_lora", "motion": "x"}, "motion=x: not allowed; allowed: null, or stage=motion or"),
        ({"stage": "motion", "replication": "x"}, "replication=x: not allowed; allowed: null, or stage=replication"),
        ({"stage": "spatial_lora", "spatial_lora": "x"}, "spatial_lora=x: not allowed; allowed: null, or stage=motion"),
        ({"resume": "maybe"}, "resume=maybe"),
    ],
)
def test_impossible_configurations_are_refused(
    sequences: Path, tmp_path: Path, options: dict[str, Any], words_of_error: str
) -> None:
    with pytest.raises(UserError, match=words_of_error):
        config(sequences, tmp_path / "run", **options)


def test_possible_combinations_are_not_refused(sequences: Path, tmp_path: Path) -> None:
    options = {"noise.prediction": "v", "noise.zero_terminal_snr": "true", "noise.min_snr": 5}
    assert config(sequences, tmp_path, **options).noise.zero_terminal_snr
    assert config(sequences, tmp_path, model="sd15", base="null").optimizer.learning_rate == 2e-5


def test_data_may_be_mixed_by_weight(sequences: Path, tmp_path: Path) -> None:
    mixed = config(sequences, tmp_path, data=f"[{{path:{sequences},weight:2}},other]").data
    assert [(part.path, part.weight) for part in mixed] == [(str(sequences), 2.0), ("other", 1.0)]


class _Refusal(NamedTuple):
    said: dict[str, Any]
    words: str


@pytest.mark.parametrize(
    "refusal",
    [
        _Refusal({"data": "/nowhere"}, "/nowhere: no such folder"),
        _Refusal({"batch_size": 13}, "12 sequences; a step takes 13"),
        _Refusal({"base": "/nowhere"}, "base=/nowhere: no such file or folder"),
        _Refusal({"resume": "must"}, "no run to resume"),
    ],
)
def test_nothing_is_left_of_a_run_that_was_refused(sequences: Path, tmp_path: Path, refusal: _Refusal) -> None:
    with pytest.raises(UserError, match=refusal.words):
        train(sequences, tmp_path / "deep" / "run", **refusal.said)
    assert list(tmp_path.iterdir()) == []


def test_a_data_set_without_a_val_split_says_what_to_do(tmp_path: Path) -> None:
    data = small_dataset(tmp_path / "data", size_px=(16, 16))
    shards = SHARDS[:2]
    card = read_card(data)
    replace(card, shards=shards, totals=surveyed(read_manifests(data, shards)).totals()).write(data)
    with pytest.raises(UserError, match=r"validate_every=0 trains without"):
        train(data, tmp_path / "run", batch_size=1, validate_every=1)
    assert not (tmp_path / "run").exists()


def test_a_full_disk_is_seen_before_any_work(sequences: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10**6))
    with pytest.raises(UserError, match=r"0.00 GB free, 0.07 GB needed for checkpoints"):
        train(sequences, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_disk_that_fills_up_later_leaves_the_checkpoint_before(
    sequences: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import safetensors.torch

    whole = safetensors.torch.save_file

    def save(tensors: Any, path: Path) -> None:
        if "step-00000004" in str(path):
            raise OSError(28, "No space left on device")
        whole(tensors, path)

    monkeypatch.setattr(safetensors.torch, "save_file", save)
    with pytest.raises(UserError, match="step-00000004: cannot be written: No space left on device"):
        train(sequences, tmp_path / "run")
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-00000002"]
    monkeypatch.undo()
    train(sequences, tmp_path / "run")
    train(sequences, tmp_path / "whole")
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")


def _assert_stopped_at(error: str, out: Path, poison: str) -> None:
    assert f"the loss is not finite; sequences {poison};" in error
    checkpoint = newest_sound(out / "checkpoints", print)
    assert (checkpoint.step if checkpoint is not None else 0) == int(error.split("step ")[1].split(":")[0]) - 1
    assert not (out / "weights").exists()


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_sequence(
    sequences: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison = f"{sequences.name}/00000007"
    monkeypatch.setenv("TOY_POISON", poison)
    with pytest.raises(UserError) as caught:
        train(sequences, tmp_path / "run", batch_size=2, checkpoint_every=1)
    _assert_stopped_at(str(caught.value), tmp_path / "run", poison)


def test_a_loss_that_is_not_finite_on_one_of_two_processes_stops_both(sequences: Path, tmp_path: Path) -> None:
    out, poison = tmp_path / "run", f"{sequences.name}/00000007"
    arguments = words(sequences, out, batch_size=1, checkpoint_every=1)
    code, printed, err = finish(spawn(arguments, {"TOY_POISON": poison}, ranks=2))
    assert code != 0 and not printed
    (said,) = [line for line in err.splitlines() if line.startswith("error:")]
    _assert_stopped_at(said, out, poison)


def test_damage_met_on_the_way_stops_the_run_with_its_name(sequences: Path, tmp_path: Path) -> None:
    data = shutil.copytree(sequences, tmp_path / "data")
    manifest = read_manifest(data, SHARDS[1])
    assert manifest is not None
    tar = tar_path(data, SHARDS[1])
    content = bytearray(tar.read_bytes())
    content[manifest.samples[3].offset + 1000] ^= 1
    tar.write_bytes(content)
    with pytest.raises(UserError, match=f"{SHARDS[1]}.tar is damaged"):
        train(data, tmp_path / "run", batch_size=2, checkpoint_every=1000, base=sequences)
    assert not (tmp_path / "run" / "weights").exists()
    content[manifest.samples[3].offset + 1000] ^= 1
    tar.write_bytes(content)
    train(
        data, tmp_path / "run", batch_size=2, resume="must", base=sequences
    )  # what was done before the damage was kept
    train(sequences, tmp_path / "whole", batch_size=2)
    ours, theirs = losses(tmp_path / "run"), losses(tmp_path / "whole")
    assert [line["train/loss"] for line in ours] == [line["train/loss"] for line in theirs]


def test_a_checkpoint_of_another_network_is_refused(
    sequences: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(sequences, tmp_path / "run", max_steps=2)
    monkeypatch.setattr("tests.training.toy.WIDTH", 9)
    with pytest.raises(UserError, match=r"of another network than stage=motion trains: first\.bias"):
        train(sequences, tmp_path / "run", max_steps=4)


def test_help_comes_at_once_and_names_every_key() -> None:
    code = "import sys; from training.train import main; sys.argv[1:] = ['--help']; main(); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    text, _, modules = done.stdout.rpartition("\n[")
    heavy = {"torch", "diffusers", "wandb", "accelerate", "hydra", "kornia", "av"}
    assert not heavy & set(modules.rstrip("]\n").replace("'", "").split(", "))
    for word in (
        "stage=agent|base|codec|motion",
        "prediction",
        "clip_norm",
        "optimizer=adamw|prodigy",
        "tracker=none|wandb",
    ):
        assert word in text


def test_a_wrong_word_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "training.train", "data=x", f"out={tmp_path / 'run'}", "base=y", "batch_sise=3"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=dict(os.environ),
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines() == ["error: batch_sise=3: no such key; did you mean batch_size?"]


def test_the_run_card_says_what_is_trained_and_from_what(sequences: Path, tmp_path: Path) -> None:
    train(sequences, tmp_path / "run", max_steps=1)
    card = json.loads((tmp_path / "run" / "run.json").read_text())
    assert card["trained"] == {"parameters": 803} and card["frozen"] == {"frozen": {"parameters": 224}}
    assert set(card["recipe"]["parents"]) == {"base"} and set(card["recipe"]["data"]["hashes"]) == {sequences.name}


@pytest.mark.parametrize("name", ["weights/toy.safetensors", "weights/run_card.json"])
def test_weights_that_are_not_what_their_run_wrote_are_refused(sequences: Path, tmp_path: Path, name: str) -> None:
    train(sequences, tmp_path / "parent", max_steps=2)
    train(sequences, tmp_path / "run", max_steps=2, base=tmp_path / "parent")
    data = bytearray((tmp_path / "parent" / name).read_bytes())
    data[-3] ^= 1
    (tmp_path / "parent" / name).write_bytes(data)
    for out in ("run", "another"):
        with pytest.raises(UserError, match=r"parent/weights.*(not the weights that the run wrote|cannot be read)"):
            train(sequences, tmp_path / out, max_steps=2, base=tmp_path / "parent")
    assert not (tmp_path / "another").exists()


def test_a_bit_flipped_in_the_card_of_a_run_is_told_and_nothing_is_written(sequences: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    train(sequences, out, max_steps=2)
    card = bytearray((out / "run.json").read_bytes())
    card[card.index(b"num_frames") + 13] ^= 1
    (out / "run.json").write_bytes(card)
    with pytest.raises(UserError, match=r"run\.json: cannot be read \(not the bytes that were written\)"):
        train(sequences, out, max_steps=4)
    assert (out / "run.json").read_bytes() == card


def test_weights_that_may_not_be_read_are_one_line(
    sequences: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    train(sequences, tmp_path / "parent", max_steps=2)
    monkeypatch.setattr(manifest, "hash_file", forbidden)
    with pytest.raises(UserError, match=r"parent/weights/toy.safetensors: cannot be read \(Permission denied\)"):
        train(sequences, tmp_path / "run", max_steps=2, base=tmp_path / "parent")
