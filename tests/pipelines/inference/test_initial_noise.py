"""The noise of a command's seed stays in every version what it was when painters were first shipped."""

import torch

from pipelines.inference.initial_noise import initial_noise

_PLAIN = [0.782283127, 0.424356312, -0.664032519, -0.402080923, 0.544986248, 0.124200784, 0.258632392, 0.349906296]
_SHARING = [0.121536344, -1.304480553, -0.162798285]


def test_the_noise_of_a_seed_never_changes() -> None:
    plain, sharing = initial_noise(0, [1], (2, 1, 2, 2), 0.0), initial_noise(0, [1], (2, 4, 2, 2), 0.5)
    assert torch.allclose(plain.flatten(), torch.tensor(_PLAIN), atol=1e-6)
    assert torch.allclose(sharing.flatten()[:3], torch.tensor(_SHARING), atol=1e-6)


def test_the_noise_of_a_process_depends_on_its_position_alone() -> None:
    both, second = (initial_noise(3, positions, (2, 4, 3, 3), 0.3) for positions in ([0, 7], [7]))
    assert torch.equal(both[1], second[0]) and not torch.equal(both[0], both[1])


def test_frames_share_as_much_as_is_said() -> None:
    frames = initial_noise(0, range(500), (3, 1, 4, 4), 0.7).movedim(1, 0).flatten(1)
    assert torch.allclose(torch.corrcoef(frames), 0.49 + 0.51 * torch.eye(3), atol=0.04)
