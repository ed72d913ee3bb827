"""The places where the paint of given pictures is kept."""

from functools import partial

import pytest
import torch
from torch import Tensor

from pipelines.inference.keeping import keep_paint
from pipelines.inference.pinned import PinnedPicture
from tests.training.host_talk import HostCalls, HostTalk
from training.data.text import Text
from training.diffusion import invert, sample
from training.noise_schedule import NoiseSchedule

_FRAMES, _SIDE = 5, 12
_LEFT, _RIGHT = slice(0, 4), slice(8, 12)  # columns; those in between see both


def process(*, drift: float = 0.0) -> Tensor:
    """(T, C, h, w) latents, constant on the left but for a drift, and gradually painted over on the right."""
    torch.manual_seed(0)
    frames = torch.randn(1, 4, _SIDE, _SIDE).repeat(_FRAMES, 1, 1, 1)
    late = torch.arange(_FRAMES)[:, None, None, None].float()
    frames[..., _LEFT] += drift * late
    frames[..., _RIGHT] += 2 * late
    return frames


def kept(predicted: Tensor, given: dict[int, Tensor], strength: float = 1.0) -> Tensor:
    pinned = [PinnedPicture(frame=frame, picture=torch.zeros(0), strength=strength) for frame in given]
    return keep_paint(predicted[None], [pinned], [torch.stack(list(given.values()))])[0]


def test_a_process_without_given_pictures_is_left_as_it_is() -> None:
    predicted = process()
    both = keep_paint(torch.stack([predicted, predicted]), [[], []], [torch.zeros(0), torch.zeros(0)])
    assert torch.equal(both, torch.stack([predicted, predicted]))


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_a_given_frame_is_what_was_given_as_far_as_it_is_strong(strength: float) -> None:
    predicted, given = process(), torch.ones(4, _SIDE, _SIDE)
    painted = kept(predicted, {-2: given}, strength)
    assert torch.allclose(painted[3], (1 - strength) * predicted[3] + strength * given)
    if not strength:
        assert torch.equal(painted, predicted)


def test_after_a_given_frame_its_paint_stays_but_where_something_else_is_painted() -> None:
    predicted = process(drift=0.02)
    predicted[0] -= 2  # the blank canvas
    given = predicted[1] + 0.1 * torch.randn_like(predicted[1])  # predicted softer than it is
    painted = kept(predicted, {1: given})
    away = (painted - given).abs().amax(1)
    assert float(away[2:, :, _LEFT].max()) < 0.05
    assert float((predicted - given).abs().amax(1)[2:, :, _LEFT].mean()) > 0.1
    assert torch.allclose(painted[2:, ..., _RIGHT], predicted[2:, ..., _RIGHT], atol=1e-6)


def test_bare_canvas_is_no_paint_and_is_held_by_nothing() -> None:
    """What is bare in a given picture comes to its turn, however little of it is painted at a time."""
    blank = torch.zeros(4, _SIDE, _SIDE)
    given = blank.clone()
    given[..., _LEFT] = 2.0
    predicted = torch.stack([blank, given, *[given.clone() for _ in range(3)]])
    for frame, part in enumerate((0.03, 0.06, 0.09), start=2):
        predicted[frame] += part
    painted = kept(predicted, {1: given})
    assert torch.allclose(painted[2:, ..., _RIGHT], predicted[2:, ..., _RIGHT], atol=0.003)
    assert float((painted[2:] - given)[..., :3].abs().max()) < 0.02
    known = kept(predicted, {0: given})  # a given first frame leaves no blank canvas to compare with
    assert float((known[2, ..., _RIGHT] - given[..., _RIGHT]).abs().max()) < 0.02


def test_a_change_too_small_to_be_a_stroke_is_no_change_from_the_frame_before() -> None:
    predicted = process()
    predicted[3:] += 0.01
    predicted[2:, ..., _LEFT] += 0.4  # painted over once, then left alone
    painted = kept(predicted, {0: predicted[0]})
    steps = (painted[3:] - painted[2:-1]).abs()
    assert float(steps[0, ..., _LEFT].max()) < 0.002
    assert float(steps[..., _RIGHT].min()) > 1


def test_before_a_given_frame_only_what_is_finished_has_its_paint() -> None:
    predicted = process(drift=0.6)
    detail = 0.3 * torch.randn(4, _SIDE, _SIDE)
    painted = kept(predicted, {-1: predicted[-1] + detail})
    added = painted - predicted
    finished = torch.exp(torch.tensor(-(0.6**2) / 0.6**2))
    assert torch.allclose(added[3, ..., :3], finished * detail[..., :3], atol=0.04)
    assert float(added[:-1, ..., _RIGHT].abs().max()) < 1e-3


def test_before_a_given_frame_what_is_done_does_not_change_any_more() -> None:
    """Or the last step would touch all of the canvas, by as much as predictions of neighbouring frames differ."""
    predicted = process(drift=0.03)
    given = predicted[-1] + 0.3 * torch.randn(4, _SIDE, _SIDE)
    painted = kept(predicted, {-1: given})
    assert float((painted[3] - given)[..., :3].abs().max()) < 0.003
    assert float((predicted[3] - given)[..., :3].abs().mean()) > 0.1
    assert torch.allclose(painted[1, ..., _RIGHT], predicted[1, ..., _RIGHT], atol=1e-3)


def test_what_a_later_given_picture_shows_painted_over_is_not_held_to_an_earlier_one() -> None:
    predicted = process()[:1].repeat(_FRAMES, 1, 1, 1)
    predicted[0] -= 2  # the blank canvas
    earlier, later = predicted[1].clone(), predicted[1].clone()
    predicted[2:] += 0.2  # too little to be let go, were it not known
    later[..., _RIGHT] += 3
    predicted[4, ..., _RIGHT] = later[..., _RIGHT]
    alone, both = kept(predicted, {1: earlier}), kept(predicted, {1: earlier, 4: later})
    weak = kept(predicted, {1: earlier, 4: later}, strength=0.5)
    assert float((alone[2] - earlier).abs().max()) < 0.05
    assert torch.allclose(both[2, ..., 9:], predicted[2, ..., 9:], atol=1e-3)
    assert float((both[2] - earlier)[..., :3].abs().max()) < 0.05
    held = (predicted[2] - weak[2])[..., 9:] / 0.2
    half_of_half = 0.25 * torch.exp(torch.tensor(-(0.2**2) / 0.5**2))  # half as strong, half of it known to change
    assert torch.allclose(held, half_of_half.expand_as(held), atol=0.01)


def test_pictures_may_be_told_in_any_order() -> None:
    predicted = process(drift=0.1)
    one, two = predicted[1] + 0.1, predicted[4] - 0.1
    assert torch.equal(kept(predicted, {1: one, 4: two}), kept(predicted, {-1: two, 1: one}))


@pytest.mark.parametrize("work", ["sampling", "inversion"])
def test_no_step_waits_for_the_device(work: str) -> None:
    """Twice as many steps talk as often to their host: before the first, and never again."""
    noise, pictures = torch.empty(2, 8, 4, 8, 8, device="meta"), torch.empty(2, 4, 8, 8, device="meta")
    text = Text({"text": torch.empty(2, 1, 1, device="meta")})
    pinned = [PinnedPicture(frame=frame, picture=torch.zeros(3, 1, 1)) for frame in (2, 7)]
    keeping = partial(keep_paint, conditions=[pinned, []], latents=[pictures, pictures[:0]])
    schedule = NoiseSchedule(prediction="v", zero_terminal_snr=True)

    def counts(steps: int) -> tuple[int, int]:
        with HostTalk() as talk, HostCalls() as calls:
            if work == "sampling":
                sample(denoised, schedule, noise, text, text, num_steps=steps, guidance=5, correct=keeping)
            else:
                invert(denoised, schedule, noise, text, num_steps=steps)
        return talk.operations.total(), calls.names.total()

    counts(4)  # tables are copied once
    assert counts(8) == counts(4)


def denoised(latents: Tensor, timesteps: Tensor, text: Text) -> Tensor:
    return latents * timesteps[:, None, None, None, None] * text["text"].mean()
