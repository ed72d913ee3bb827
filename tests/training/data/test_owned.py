"""No command writes into what counts as a whole: weights, painters, models, shards, checkpoints; beside them it may."""

from pathlib import Path

import pytest

from conf.errors import ConfigError, UserError
from tests.training.toy_runs import train
from training.data.claim import claimed_folder
from training.data.owned import refuse_owned
from training.data.remote import AnyPath, RemotePath
from training.models.weights import sound_hash

REFUSED = {
    "run/weights/motion": "run/weights",
    "run/weights/deep/er/motion": "run/weights",
    "painter/motion": "painter",
    "painter/run_cards/a": "painter",
    "model/unet/a": "model",
    "resumed/weights": "resumed/weights",
    "resumed/earlier-weights/a": "resumed/earlier-weights",
    "resumed/checkpoints/a": "resumed/checkpoints",
    "data/shards/a": "data/shards",
    "data/shards": "data/shards",
}  # output -> the folder that it lies in
ACCEPTED = (
    "new", "run", "run/painting", "run/samples/a", "painter", "model", "data/painting", "data/gallery", "weights/a",
    "shards/a", "checkpoints",
)  # fmt: skip
CARDS = (
    "run/run.json", "run/weights/run_card.json", "painter/painter.json", "model/model_index.json", "resumed/run.json",
    "data/dataset.json",
)  # fmt: skip


@pytest.fixture(params=["disk", "store"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> AnyPath:
    """A folder with something of every kind; on a disk, reached through a link."""
    real: AnyPath = tmp_path / "real" if request.param == "disk" else RemotePath(f"memory://owned{tmp_path.name}")
    for name in CARDS:
        if isinstance(real, Path):
            (real / name).parent.mkdir(parents=True, exist_ok=True)
        (real / name).write_bytes(b"{}")
    if isinstance(real, RemotePath):
        return real
    (tmp_path / "link").symlink_to(real)
    return tmp_path / "link"


@pytest.mark.parametrize("out", REFUSED)
def test_an_output_inside_what_counts_as_a_whole_is_refused(root: AnyPath, out: str) -> None:
    with pytest.raises(ConfigError) as caught:
        refuse_owned(root / out)
    assert caught.value.key == "out" and f"outside {root.resolve() / REFUSED[out]}, which holds" in str(caught.value)


@pytest.mark.parametrize("out", ACCEPTED)
def test_an_output_beside_it_is_accepted(root: AnyPath, out: str) -> None:
    refuse_owned(root / out)


def test_a_folder_that_is_refused_is_not_made(root: AnyPath) -> None:
    with (
        pytest.raises(UserError, match="which holds the weights of a run"),
        claimed_folder(root / "run/weights/motion", what="a run", card="run.json", check=lambda: None),
    ):
        raise AssertionError("claimed")
    assert {path.name for path in (root / "run/weights").iterdir()} == {"run_card.json"}


def test_a_run_inside_the_weights_of_its_parent_leaves_these_as_they_are(sequences: Path, tmp_path: Path) -> None:
    parent = tmp_path / "parent"
    train(sequences, parent, max_steps=2)
    weights = parent / "weights"
    before = sound_hash("base", weights)
    with pytest.raises(UserError, match=f"out={weights / 'motion'}: not allowed; allowed: a place outside {weights}"):
        train(sequences, weights / "motion", base=parent, max_steps=2)
    assert sound_hash("base", weights) == before
    train(sequences, parent / "motion", base=parent, max_steps=2)
    assert sound_hash("base", weights) == before
