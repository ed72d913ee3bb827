"""What a tracker is told of a run that makes a data set."""

from collections.abc import Mapping
from dataclasses import replace

from conf.compose import compose
from pipelines.synthesis.config import synth_config
from pipelines.synthesis.shard import ShardReport
from pipelines.synthesis.tracked import TrackedRun
from training.data.dataset import DatasetCard
from training.data.survey import Kind, Survey
from training.tracking import Artifact, NoTracker, TrackerConfig


class _Heard(NoTracker):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}
        self.artifacts: list[Artifact] = []

    def log(self, values: Mapping[str, float], step: int) -> None:
        self.values |= values

    def artifact(self, artifact: Artifact) -> None:
        self.artifacts.append(artifact)


def tracked() -> tuple[TrackedRun, _Heard]:
    heard = _Heard()
    config = replace(synth_config(compose("synth", ["out=data"])), tracker=TrackerConfig(kind="wandb"))
    run = TrackedRun(config, heard)
    run._next_sheet_s = float("inf")
    return run, heard


def test_speed_is_told_of_each_node_by_its_number_and_failures_are_counted() -> None:
    run, heard = tracked()
    for node, num_samples in (("gpu-box.lan", 4), ("laptop.lan", 2), ("gpu-box.lan", 4)):
        run.note(ShardReport(name="train-0", node=node, num_samples=num_samples), 4, 2.0, {"lost_shards": 0})
    run.note(ShardReport(name="train-1", error="worker lost"), 10, 2.0, {"lost_shards": 1})
    assert heard.values["node/0/sequences_per_s"] == 4.0 and heard.values["node/1/sequences_per_s"] == 1.0
    assert "node/2/sequences_per_s" not in heard.values
    assert heard.values["data/lost_shards"] == 1
    assert not [name for name in heard.values if "lan" in name]


def test_a_data_set_is_an_artifact_when_it_is_complete_and_not_before() -> None:
    run, heard = tracked()
    survey = Survey(num_shards=1, splits={"train": 3}, kinds={Kind(split="train", renderer="oil"): 3})
    card = DatasetCard(recipe={}, config_hash="c", code_version="0", shards=("train-00000-of-00001",), num_planned=3)
    run.end(card, survey)
    assert heard.artifacts == [] and heard.values == {"sequences/train/oil": 3}
    complete = replace(card, totals=survey.totals(), manifests={card.shards[0]: "ab"})
    run.end(complete, survey)
    (artifact,) = heard.artifacts
    assert (artifact.kind, artifact.sha256, artifact.facts["num_sequences"]) == ("dataset", complete.digest, 3)
