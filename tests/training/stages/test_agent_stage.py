"""What stage `agent` promises."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from conf.errors import ConfigError, UserError
from pipelines.synthesis.assets import read_assets
from renderers import agent
from tests.pipelines.small_dataset import small_dataset
from tests.training.stages.runs import train
from tests.training.toy_runs import config, losses
from training.data.batch import SequenceBatch
from training.models.proposing import STROKES_A_CELL, ProposingActor
from training.models.shape import AgentShape
from training.models.stroke_gains import paint_strokes, stroke_gains
from training.models.weights import trained_parameters
from training.stages.agent import ACTOR_FILE, AgentNetwork, AgentStage, bgr, proposal_loss

SMALL = {"stage": "agent", "base": "null", "stage.agent.width": 4, "stage.agent.num_steps": 3}


@pytest.fixture(scope="module")
def trained(sequences: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("stages") / "agent"
    train(sequences, out, **SMALL, max_steps=4, sample_every=4, validate_every=4, val_sequences=2)
    return out


def pictures() -> SequenceBatch:
    """Two-coloured squares of 16 px."""
    frames = torch.full((4, 1, 3, 16, 16), -0.8)
    for number in range(4):
        frames[number, 0, number % 3, :, 4 * number :] = 0.9
    return SequenceBatch(keys=("a", "b", "c", "d"), positions=torch.arange(4), captions=("",) * 4, frames=frames)


def bgr_pictures() -> torch.Tensor:
    """The same, as the actor sees them."""
    frames = pictures().frames
    assert frames is not None
    return bgr(frames[:, 0])


def test_a_proposal_gains_what_it_takes_off_the_error() -> None:
    torch.manual_seed(0)
    goals = bgr_pictures()
    canvases = torch.rand(goals.shape, generator=torch.Generator().manual_seed(0))
    gains, strokes = stroke_gains(ProposingActor(4).proposals(canvases, goals, 0.5), canvases, goals)
    assert gains.shape == (4, 2 * 2 * STROKES_A_CELL)
    before = (canvases - goals).square().sum((1, 2, 3))
    for number in range(gains.shape[1]):
        after = (paint_strokes(strokes[:, number : number + 1], canvases) - goals).square().sum((1, 2, 3))
        assert torch.allclose(gains[:, number], before - after, atol=1e-2)


def test_climbing_gains_brings_a_stroke_to_the_picture() -> None:
    goal = torch.tensor([[[0.3, 0.3, 0.5, 0.5, 0.6, 0.7, 0.3, 0.2, 0.9, 0.8, 0.9, 0.2, 0.1]]])
    black = torch.zeros(1, 3, 32, 32)
    picture = paint_strokes(goal, black)
    odds = torch.logit((goal[..., :10] + 0.12).clamp(0.05, 0.95)).requires_grad_()
    optimizer = torch.optim.Adam([odds], 0.05)
    errors = []
    for _ in range(80):
        gains, strokes = stroke_gains(odds.sigmoid(), black, picture)
        optimizer.zero_grad()
        (-gains.sum()).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        errors.append(float((paint_strokes(strokes, black) - picture).square().sum()))
    assert min(errors[-10:]) < 0.1 * errors[0]


def test_only_the_best_of_a_cell_learns() -> None:
    gains = torch.tensor([[1.0, 2.0, 0.5, 0.1, 4.0, 1.0, 1.0, 1.0]], requires_grad=True)
    loss = proposal_loss(gains)
    assert float(loss.detach()) == pytest.approx(-(2 + 4) / 2 / 4)
    loss.backward()  # type: ignore[no-untyped-call]
    assert gains.grad is not None
    assert gains.grad.nonzero()[:, 1].tolist() == [1, 4]


def test_it_paints_the_same_strokes_again_and_each_helps() -> None:
    torch.manual_seed(0)
    actor, goals = ProposingActor(4), bgr_pictures()
    canvases = torch.zeros_like(goals)
    strokes = actor(canvases, goals, 0.0)
    assert torch.equal(strokes, actor(canvases, goals, 0.0))
    errors = [float((paint_strokes(strokes[:, :count], canvases) - goals).square().sum()) for count in range(1, 6)]
    assert errors == sorted(errors, reverse=True)


def test_training_does_not_collapse() -> None:
    torch.manual_seed(0)
    network = AgentNetwork(ProposingActor(4), num_steps=3)
    optimizer = torch.optim.Adam(trained_parameters(network).values(), lr=1e-3)
    errors = []
    for _ in range(40):
        optimizer.zero_grad()
        result = network(pictures())
        result.loss.backward()
        optimizer.step()
        errors.append(float(result.per_sample.mean()))
    assert np.mean(errors[-10:]) < errors[0] - 1  # four decibels
    assert np.mean(errors[-10:]) < min(errors) + 0.4


def test_the_renderer_paints_what_the_stage_trained(trained: Path) -> None:
    weights = trained / "weights" / ACTOR_FILE
    chosen = agent.Config(actor=str(weights), width_px=16, num_steps=3)
    assets = read_assets(agent.RENDERER.asset_files(chosen)).content
    actor = ProposingActor(4)
    actor.load_state_dict(load_file(weights))
    network = AgentNetwork(actor, num_steps=3)
    frames = pictures().frames
    assert frames is not None
    with torch.no_grad():
        canvases = network.rollout(bgr_pictures())[-1].flip(1).permute(0, 2, 3, 1).numpy()
    for frame, canvas in zip(frames[:, 0], canvases, strict=True):
        image = (frame.permute(1, 2, 0).numpy() / 2 + 0.5).astype(np.float32)
        program = agent.RENDERER.paint(image, chosen, np.random.SeedSequence(0), assets).program
        (finished,) = agent.RENDERER.replay(program, [len(program.strokes)])
        assert np.abs(finished - canvas).max() < 1e-4


def test_it_is_stopped_and_resumed_to_the_same_weights(sequences: Path, trained: Path, tmp_path: Path) -> None:
    train(sequences, tmp_path / "run", **SMALL, max_steps=2)
    train(sequences, tmp_path / "run", **SMALL, max_steps=4, resume="must")
    assert losses(tmp_path / "run") == losses(trained)
    one, two = (load_file(folder / "weights" / ACTOR_FILE) for folder in (tmp_path / "run", trained))
    assert all(torch.equal(one[name], two[name]) for name in two)


def test_samples_paint_held_out_pictures_and_end_with_them() -> None:
    shown = pictures()
    assert shown.frames is not None
    torch.manual_seed(0)
    stage = AgentStage(AgentShape(width=4, num_steps=20), shown)
    with torch.no_grad():
        samples = stage.samples(["whatever"], seed=0)
    assert samples.shape == (4, 9, 3, 16, 16)
    assert (samples[:, 0] == 0).all()
    assert torch.allclose(samples[:, -1], shown.frames[:, 0] / 2 + 0.5)


def test_strokes_that_are_not_finite_are_a_loss_that_is_none_and_never_drawn() -> None:
    network = AgentNetwork(ProposingActor(4), num_steps=2)
    network.actor.proposal.weight.data[0, 0] = torch.nan
    result = network(pictures())
    assert result.loss.isnan() and result.per_sample.isnan().all()
    result.loss.backward()  # other processes wait for every gradient
    assert all(parameter.grad is not None for parameter in trained_parameters(network).values())
    with torch.no_grad():
        assert network.actor(torch.zeros(4, 3, 16, 16), bgr_pictures(), 0.0).isnan().all()
        with pytest.raises(UserError, match=r"^strokes of the actor: \d+ of 260 values are not finite$"):
            network.rollout(bgr_pictures())


def test_an_agent_that_diverges_ends_as_other_stages_do(sequences: Path, tmp_path: Path) -> None:
    huge = {"optimizer.learning_rate": 1e30, "log_every": 5, "checkpoint_every": 1000}
    with pytest.raises(UserError, match=r"^step 2: the loss is not finite; sequences \S+, .*; there is no checkpoint"):
        train(sequences, tmp_path / "run", **SMALL, **huge, max_steps=12)
    for number, (due, message) in enumerate({
        "validate_every": "^step 1: the validation loss is not finite; sequences",
        "sample_every": r"^strokes of the actor: .* are not finite \(sample_every=0 trains without samples\)$",
    }.items()):  # fmt: skip
        with pytest.raises(UserError, match=message):
            train(sequences, tmp_path / f"run {number}", **SMALL, **huge, max_steps=1, **{due: 1})


def test_an_actor_whose_weights_are_too_large_is_named_by_the_renderer(tmp_path: Path) -> None:
    path = tmp_path / "actor.safetensors"
    save_file({name: torch.full_like(value, 1e30) for name, value in ProposingActor(4).state_dict().items()}, path)
    chosen = agent.Config(actor=str(path), width_px=16, num_steps=3)
    assets = read_assets(agent.RENDERER.asset_files(chosen)).content
    with pytest.raises(ConfigError, match="weights that are finite: this actor outputs NaN"):
        agent.RENDERER.paint(np.zeros((16, 16, 3), np.float32), chosen, np.random.SeedSequence(0), assets)


def test_it_needs_no_captions(tmp_path: Path) -> None:
    data = small_dataset(tmp_path / "data", captions=[""] * 18, size_px=(16, 16))
    train(data, tmp_path / "run", **SMALL, max_steps=1, validate_every=1, val_sequences=2)
    assert (tmp_path / "run" / "weights" / ACTOR_FILE).is_file()


def test_frames_that_are_no_squares_are_refused(tmp_path: Path) -> None:
    data = small_dataset(tmp_path / "data", captions=["a"] * 18, size_px=(32, 16))
    with pytest.raises(UserError, match="32 x 16 px; an actor learns on squares"):
        train(data, tmp_path / "run", **SMALL, max_steps=1)
    assert not (tmp_path / "run").exists()


def test_it_starts_from_nothing(sequences: Path, tmp_path: Path) -> None:
    for key in ("base", "motion"):
        with pytest.raises(ConfigError, match=f"{key}=.*null with stage=agent"):
            config(sequences, tmp_path / "run", **{"stage": "agent", "base": "null", key: str(sequences)})
    with pytest.raises(ConfigError, match=r"model=sd15.*stage=agent"):
        config(sequences, tmp_path / "run", stage="agent", model="sd15", base="null")
    with pytest.raises(ConfigError, match=r"stage\.agent\.width"):
        config(sequences, tmp_path / "run", **{**SMALL, "stage.agent.width": 1})
