"""What training moves, what it leaves, and what it hands over."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn

from conf.command import BAD_CONFIGURATION, COMPLETE, INTERRUPTED, PARTIAL
from tests.training.toy import ToyStage
from tests.training.toy_runs import config, losses, train
from training import train as train_command
from training.config import OptimizerConfig, TrainConfig
from training.data.stream import SequenceStream
from training.models.weights import module_hash, trained_parameters, weights_hash
from training.run.checkpoint import newest_sound
from training.run.ema import MovingAverage
from training.run.optimizers import make_optimizer, set_learning_rate
from training.run.random_state import capture, restore, seed_all, undisturbed
from training.run.signals import StopSignal
from training.train import run


def test_frozen_parts_are_bit_identical_and_trained_ones_are_not(sequences: Path, tmp_path: Path) -> None:
    stages: list[ToyStage] = []
    before: list[str] = []

    def make_stage(config: TrainConfig, data: SequenceStream) -> ToyStage:
        stages.append(ToyStage(config.seed))
        before.extend([module_hash(stages[0].frozen["frozen"]), module_hash(stages[0].network)])
        return stages[0]

    run(config(sequences, tmp_path / "run", **{"optimizer.weight_decay": 0.5}), make_stage)
    assert module_hash(stages[0].frozen["frozen"]) == before[0]
    assert module_hash(stages[0].network) != before[1]


def test_captions_that_are_cut_off_are_told_of_before_training(
    sequences: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def make_stage(config: TrainConfig, data: SequenceStream) -> ToyStage:
        stage = ToyStage(config.seed)
        stage.tokenise = lambda captions: torch.tensor([list(caption.encode()[:4].ljust(4)) for caption in captions])
        return stage

    run(config(sequences, tmp_path / "run", max_steps=1, prompts="[a boat]", sample_every=1), make_stage)
    told = capsys.readouterr().err
    assert "captions are longer than is read" in told
    assert "warning: prompts: only its first 4 of 6 letters are read; left out: 'at'" in told


def test_a_moved_weight_changes_the_hash_of_a_module() -> None:
    layer = nn.Linear(2, 2)
    before = module_hash(layer)
    with torch.no_grad():
        layer.bias[0] += 1e-6
    assert module_hash(layer) != before


def test_training_drives_the_loss_down(sequences: Path, tmp_path: Path) -> None:
    options = {"max_steps": 150, "batch_size": 12, "optimizer.learning_rate": 0.02, "checkpoint_every": 1000}
    train(sequences, tmp_path / "run", **options)
    values = [line["train/loss"] for line in losses(tmp_path / "run")]
    assert sum(values[-10:]) / 10 < 0.3 * values[0]


def test_the_latest_losses_stand_on_the_console(
    sequences: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(sequences, tmp_path / "run", max_steps=3, validate_every=2)
    *_, last = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    news = capsys.readouterr().err.strip().splitlines()[-1]
    assert re.search(r"; loss \d\.\d{4}, validation loss \d\.\d{4}$", news)
    assert f"validation loss {last['val/loss']:.4f}" in news


@pytest.mark.parametrize("sample_every", [0, 1])
def test_the_summary_names_what_is_there_and_nothing_else(sequences: Path, tmp_path: Path, sample_every: int) -> None:
    summary = train(sequences, tmp_path / "run", max_steps=1, sample_every=sample_every)
    places = [Path(line.partition(": ")[2]) for line in summary.lines[1].split("; ")]
    assert [place.name for place in places] == ["weights", "log.jsonl", "samples"][: 2 + sample_every]
    assert all(place.exists() for place in places)


def test_the_weights_handed_over_are_the_averaged_ones(sequences: Path, tmp_path: Path) -> None:
    for decay, name in (("0.9", "average"), ("null", "trained")):
        out = tmp_path / name
        train(sequences, out, ema_decay=decay)
        checkpoint = newest_sound(out / "checkpoints", print)
        assert checkpoint is not None
        handed, expected = load_file(out / "weights" / "toy.safetensors"), checkpoint.tensors(name)
        assert handed.keys() == expected.keys() == {"first.weight", "first.bias", "last.weight", "last.bias"}
        assert all(torch.equal(handed[key], expected[key]) for key in handed)
    assert not torch.equal(
        load_file(tmp_path / "average/weights/toy.safetensors")["last.weight"],
        load_file(tmp_path / "trained/weights/toy.safetensors")["last.weight"],
    )


def test_the_average_is_the_weighted_sum_of_all_weights() -> None:
    parameter = nn.Parameter(torch.tensor([1.0]))
    average, expected = MovingAverage({"a": parameter}, decay=0.5), 1.0
    for step in range(1, 20):
        with torch.no_grad():
            parameter.fill_(step * 1.5)
        average.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step * 1.5
    assert average.averages["a"].item() == pytest.approx(expected, rel=1e-6)
    with average.applied():
        assert parameter.item() == pytest.approx(expected, rel=1e-6)
    assert parameter.item() == 19 * 1.5


def test_the_gradient_of_everything_is_clipped_together(sequences: Path, tmp_path: Path) -> None:
    """With plain Adam the first step has the same length whatever the gradient's; its second moment tells."""
    for limit in ("null", 1e-3):
        train(sequences, tmp_path / str(limit), max_steps=1, clip_norm=limit, **{"optimizer.betas": "[0.0,0.0]"})
    norms, moments = [], []
    for limit in ("null", "0.001"):
        norms.append(losses(tmp_path / limit)[0]["train/gradient_norm"])
        checkpoint = newest_sound(tmp_path / limit / "checkpoints", print)
        assert checkpoint is not None
        state = checkpoint.state("optimizer")["state"]
        moments.append(sum(float(state[number]["exp_avg_sq"].sum()) for number in state) ** 0.5)
    assert norms[0] == norms[1] == pytest.approx(moments[0], rel=1e-5)
    assert moments[1] == pytest.approx(1e-3, rel=1e-3)


def test_validation_and_samples_compile_nothing(sequences: Path, tmp_path: Path) -> None:
    with_gradients: list[bool] = []

    def note(graph: torch.fx.GraphModule, _: list[torch.Tensor]) -> Callable[..., Any]:
        with_gradients.append(torch.is_grad_enabled())
        return graph.forward

    def make_compiled(said: TrainConfig, stream: SequenceStream) -> ToyStage:
        made = ToyStage(said.seed)
        made.network.get_submodule("first").compile(backend=note, dynamic=False)
        return made

    torch._dynamo.reset()
    run(config(sequences, tmp_path / "run", validate_every=4, sample_every=4), make_compiled)
    assert with_gradients == [True]


def test_bf16_trains_weights_that_stay_fp32(sequences: Path, tmp_path: Path) -> None:
    train(sequences, tmp_path / "run", precision="bf16")
    train(sequences, tmp_path / "fp32")
    handed = load_file(tmp_path / "run" / "weights" / "toy.safetensors")
    assert {value.dtype for value in handed.values()} == {torch.float32}
    half, whole = losses(tmp_path / "run"), losses(tmp_path / "fp32")
    assert half != whole
    assert [line["train/loss"] for line in half] == pytest.approx([line["train/loss"] for line in whole], rel=0.02)


@given(warmup=st.integers(0, 20), cooldown=st.integers(0, 20), steps=st.integers(1, 60), rate=st.floats(1e-6, 1.0))
def test_the_learning_rate_rises_is_constant_and_falls_and_never_is_zero(
    warmup: int, cooldown: int, steps: int, rate: float
) -> None:
    said = OptimizerConfig(
        name="adamw", learning_rate=rate, betas=(0.9, 0.999), weight_decay=0.01, warmup_steps=warmup,
        cooldown_steps=cooldown,
    )  # fmt: skip
    optimizer = make_optimizer(said, [nn.Parameter(torch.zeros(1))])
    rates = [set_learning_rate(optimizer, said, step, steps) for step in range(1, steps + 1)]
    assert all(0 < value <= rate for value in rates)
    if warmup + cooldown < steps:
        assert max(rates) == rate
        assert rates[warmup : steps - cooldown] == [rate] * (steps - cooldown - warmup)
        assert rates[: warmup + 1] == sorted(rates[: warmup + 1])
    longer = [set_learning_rate(optimizer, said, step, steps + 7) for step in range(1, steps + 1)]
    assert longer[: max(0, steps - cooldown)] == rates[: max(0, steps - cooldown)]


def test_generators_go_on_where_they_were() -> None:
    import random

    import numpy as np

    def draw() -> tuple[float, float, float]:
        return random.random(), float(np.random.random()), float(torch.rand(()))  # noqa: NPY002

    seed_all(3, rank=1)
    state = capture()
    first = draw()
    restore(state)
    assert draw() == first
    after = capture()
    with undisturbed():
        draw()
    expected = draw()
    restore(after)
    assert draw() == expected
    seed_all(3, rank=0)
    assert draw() != first


def test_a_signal_is_noted_once_and_the_handlers_come_back() -> None:
    import os
    import signal

    before = signal.getsignal(signal.SIGTERM)
    with StopSignal() as stop:
        assert not stop.asked
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)  # srun and torchrun both send one
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.asked
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_network_without_anything_to_train_is_an_error() -> None:
    with pytest.raises(ValueError, match="every parameter is frozen"):
        trained_parameters(nn.Linear(2, 2).requires_grad_(False))


def test_the_hash_of_a_folder_is_of_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    one = weights_hash(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert weights_hash(tmp_path) != one
    assert weights_hash(tmp_path / "b") == "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"


def test_every_exit_code_is_explained() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "training.md").read_text()
    for text in (page, " ".join(str(train_command.__doc__).split())):
        assert all(f" {code}: " in text for code in (COMPLETE, BAD_CONFIGURATION, PARTIAL, INTERRUPTED))
