"""A recorded step is the step it was recorded of; and a stage's network leaves nothing to its host, so it can be."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from conf.errors import ConfigError
from tests.pipelines.small_dataset import small_dataset
from tests.training.host_talk import HostCalls, HostTalk
from tests.training.stages import parents
from tests.training.toy_runs import log
from training.config import TrainConfig
from training.data.batch import SequenceBatch
from training.data.stream import SequenceStream
from training.run import learner
from training.run.recorded import RecordedGradient, recording_on
from training.stages.make import make_stage

STAGES = ("words", "codec", "base", *parents.STAGES)


class OnTheCpu:
    """A recording as a GPU has it: the first result's tensors are filled by every replay."""

    def __init__(self) -> None:
        self.replays = 0

    def record(self, work: Callable[[], Any]) -> Any:
        for _ in range(3):
            work()
        self._work, self._result = work, work()
        return self._result

    def replay(self) -> None:
        self.replays += 1
        for place, value in zip(tree_leaves(self._result), tree_leaves(self._work()), strict=True):
            if isinstance(place, Tensor):
                place.copy_(value)


def network_and_batch(config: TrainConfig) -> tuple[nn.Module, SequenceBatch]:
    """Of a stage, as readers leave it."""
    train = SequenceStream.open(config.data, frames=config.stage.frames)
    stage, batch = make_stage(config, train), train.first(0, 2)
    if stage.tokenise is not None:
        batch = replace(batch, token_ids=stage.tokenise(batch.captions))
    return stage.network.train(), batch


@pytest.mark.parametrize("stage", STAGES)
def test_forward_and_backward_leave_nothing_to_the_host(sequences: Path, tmp_path: Path, stage: str) -> None:
    folders = parents.untrained_parents(tmp_path / "parents")
    assert_alone_on_its_device(parents.config(stage, sequences, folders, tmp_path / "run"))


def test_those_of_stable_diffusion_leave_nothing_either(stable_diffusion: Path, tmp_path: Path) -> None:
    sequences = small_dataset(tmp_path / "pictures", captions=["a house", "a boat"] * 4, size_px=(64, 64))
    model: dict[str, Any] = {"base": "null", "model": "sd15", "model.path": stable_diffusion}
    assert_alone_on_its_device(parents.config("motion", sequences, {"base": tmp_path}, tmp_path / "run", **model))


def assert_alone_on_its_device(config: TrainConfig) -> None:
    """On a device that has no numbers to ask for; a CUDA graph could not hold what this finds."""
    network, batch = network_and_batch(config)
    network, batch = network.to("meta"), batch.to("meta")
    network(batch).loss.backward()  # some tables are copied to the device once
    with HostTalk() as talk, HostCalls() as calls:
        network(batch).loss.backward()
    assert not talk.operations and not calls.names


@pytest.mark.parametrize(
    ("stage", "options"),
    [("base", {}), ("motion", {"accumulate": 2}), ("spatial_lora", {"ema_decay": "null", "clip_norm": "null"})],
)
def test_a_recorded_run_is_the_run_to_the_bit(
    sequences: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, options: dict[str, Any]
) -> None:
    folders, often = parents.untrained_parents(tmp_path / "parents"), {"log_every": 1, "checkpoint_every": 2}
    plain = parents.train(stage, sequences, folders, tmp_path / "plain", **often, **options)
    recordings: list[OnTheCpu] = []

    def recording_on_cpu(device: torch.device) -> OnTheCpu:
        recordings.append(OnTheCpu())
        return recordings[-1]

    monkeypatch.setattr(learner, "recording_on", recording_on_cpu)
    recorded = {"cuda_graphs": "true", **often, **options}
    out = tmp_path / "recorded"
    parents.train(stage, sequences, folders, out, **recorded, max_steps=2)
    parents.train(stage, sequences, folders, out, **recorded)
    assert [recording.replays for recording in recordings] == [2 * options.get("accumulate", 1)] * 2
    for key in ("train/loss", "train/gradient_norm"):
        assert [line[key] for line in log(out)] == [line[key] for line in log(plain)]


def test_a_parameter_that_no_gradient_reaches_stays_without() -> None:
    used, unused = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))

    def gradient(batch: SequenceBatch) -> tuple[Tensor, None]:
        losses = batch.positions.float() * used.sum()
        losses.sum().backward()  # type: ignore[no-untyped-call]
        return losses.detach(), None

    recorded = RecordedGradient(gradient, [used, unused], OnTheCpu())
    first, second = (SequenceBatch(keys=("a",), captions=("",), positions=torch.tensor([n])) for n in (2, 5))
    (losses, _), (more, _) = recorded(first), recorded(second)
    assert losses.tolist() == [6.0] and more.tolist() == [15.0]
    assert used.grad is not None and used.grad.tolist() == [7.0] * 3 and unused.grad is None
    with pytest.raises(ValueError, match="other shapes"):
        recorded(SequenceBatch(keys=("a", "b"), captions=("", ""), positions=torch.tensor([1, 2])))


def test_a_cpu_records_nothing() -> None:
    assert recording_on(torch.device("cpu")) is None


@pytest.mark.parametrize(
    ("stage", "options", "reason"),
    [
        ("motion", {"gradient_checkpointing": "true"}, "gradient_checkpointing=true"),
        ("agent", {"base": "null"}, "stage=agent"),
        ("spatial_lora", {"model": "wan22_tiny"}, "model=wan22_tiny"),
    ],
)
def test_what_a_graph_cannot_hold_is_refused(
    sequences: Path, tmp_path: Path, stage: str, options: dict[str, str], reason: str
) -> None:
    with pytest.raises(ConfigError, match=f"^cuda_graphs=true: not allowed; allowed: false with {reason}$"):
        parents.config(stage, sequences, {"base": tmp_path}, tmp_path / "run", cuda_graphs="true", **options)
