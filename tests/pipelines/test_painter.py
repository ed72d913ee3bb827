"""What the painter's pipeline promises."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline

from conf.errors import UserError
from pipelines.inference.pinned import PinnedPicture, shared_noise
from pipelines.inference.pipeline import share_of_inverted, shares_of_noise
from pipelines.painter import ProcessPainterPipeline
from tests.pipelines.small_painter import PROMPT, SIZE, at, paint, untrained_pipeline


@pytest.fixture(scope="module")
def painter() -> ProcessPainterPipeline:
    return untrained_pipeline()


def test_words_become_a_sequence(painter: ProcessPainterPipeline) -> None:
    frames = paint(painter)
    assert frames.shape == (1, 4, 3, *SIZE)
    assert float(frames.min()) >= 0 and float(frames.max()) <= 1
    assert torch.equal(frames, paint(painter))
    assert not torch.equal(frames, paint(painter, seed=1))
    assert not torch.allclose(frames, paint(painter, guidance=1.0), atol=1e-3)
    assert not torch.allclose(frames, paint(painter, negative_prompt="a boat"), atol=1e-3)


def test_a_process_is_the_same_alone_and_among_others(painter: ProcessPainterPipeline) -> None:
    both = painter([PROMPT, "two boats"], [[at(-1)], []], num_frames=4, size_px=SIZE, steps=3, guidance=2.0).frames
    assert torch.allclose(both[:1], paint(painter, at(-1)), atol=1e-2)


def test_each_step_tells_its_guess_and_painting_goes_on_as_without(painter: ProcessPainterPipeline) -> None:
    guesses: list[torch.Tensor] = []
    painted = paint(painter, at(-1), on_guess=lambda decode: guesses.append(decode()))
    assert torch.equal(painted, paint(painter, at(-1)))
    assert len(guesses) == 3 and {guess.shape for guess in guesses} == {painted.shape}
    distances = [float((guess - painted).abs().mean()) for guess in guesses]
    assert distances[0] > distances[-1]


def test_a_guess_can_end_the_painting(painter: ProcessPainterPipeline) -> None:
    def enough(decode: object) -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        paint(painter, on_guess=enough)


def test_the_order_in_which_conditions_are_told_does_not_matter(painter: ProcessPainterPipeline) -> None:
    one, two, three = at(3, 0), at(0, 1), at(-3, 2)
    assert torch.equal(paint(painter, one, two, three), paint(painter, three, one, two))
    assert torch.equal(paint(painter, at(-1)), paint(painter, at(3)))
    assert not torch.allclose(paint(painter, at(3, 0), at(0, 1)), paint(painter, at(0, 0), at(3, 1)), atol=1e-3)


def test_inversion_replaces_the_noise_of_conditioned_frames_alone(painter: ProcessPainterPipeline) -> None:
    plain = painter([PROMPT], num_frames=4, size_px=SIZE, steps=3).noise
    inverted = painter([PROMPT], [[at(2)]], num_frames=4, size_px=SIZE, steps=3, shared=0.0).noise
    assert torch.equal(inverted[:, [0, 1, 3]], plain[:, [0, 1, 3]])
    assert not torch.allclose(inverted[:, 2], plain[:, 2], atol=1e-2)


def test_other_frames_share_the_noise_of_conditions(painter: ProcessPainterPipeline) -> None:
    plain = painter([PROMPT], num_frames=5, size_px=SIZE, steps=3).noise[0]
    mixed = painter([PROMPT], [[at(3), at(1)]], num_frames=5, size_px=SIZE, steps=3, shared=0.6).noise[0]
    alone = painter([PROMPT], [[at(1), at(3)]], num_frames=5, size_px=SIZE, steps=3, shared=0.0).noise[0]
    assert torch.equal(mixed[[1, 3]], alone[[1, 3]])
    assert torch.equal(mixed[0], plain[0])  # a blank canvas shows nothing of the picture
    assert torch.allclose(mixed[4], 0.6 * alone[3] + 0.8 * plain[4], atol=1e-5)
    assert torch.allclose(mixed[2], 0.6 * (alone[1] + alone[3]) / 2 + 0.8 * plain[2], atol=1e-5)  # the same picture


def test_frames_before_the_first_picture_have_its_coarse_noise_first() -> None:
    torch.manual_seed(0)
    inverted, own = torch.randn(1, 8, 16, 24), torch.randn(8, 8, 16, 24)
    mixed = shared_noise([at(7)], inverted, own, 0.98)
    assert torch.allclose(mixed[0], own[0], atol=1e-5) and torch.equal(mixed[7], inverted[0])
    assert torch.allclose(mixed.flatten(1).std(1), torch.ones(8), atol=0.05)
    coarse, fine = (
        torch.stack([torch.corrcoef(torch.stack([seen(frame), seen(inverted[0])]))[0, 1] for frame in mixed])
        for seen in (coarse_of, fine_of)
    )
    assert float(fine[:3].abs().max()) < 0.1 and bool((fine[2:].diff() > 0).all()) and float(fine[6]) > 0.8
    assert bool((coarse[1:7] > fine[1:7]).all()) and float(coarse[3]) > 0.8


@pytest.mark.parametrize("alike", [0.0, 0.9, 1.0])
@pytest.mark.parametrize("pinned", [[at(7)], [at(7, strength=0.7)], [at(0), at(7)], [at(2, strength=0.5), at(5)]])
def test_noise_stays_noise_whatever_is_pinned_and_shared(pinned: list[PinnedPicture], alike: float) -> None:
    """Frames share most of theirs, and pictures that are like each other invert to like noise."""
    torch.manual_seed(0)
    own, inverted = (
        share * torch.randn(1, 8, 32, 32) + (1 - share**2) ** 0.5 * torch.randn(count, 8, 32, 32)
        for share, count in ((0.98, 8), (alike, len(pinned)))
    )
    begun = shared_noise(pinned, inverted, own, 0.98, 0.65)
    assert torch.allclose(begun.flatten(1).std(1), torch.ones(8), atol=0.03)
    frame = pinned[0].frame
    (taken,) = {one.strength * 0.65 for one in pinned[:1]}
    assert torch.allclose(begun[frame], taken * inverted[0] + (1 - taken**2) ** 0.5 * own[frame], atol=1e-6)


def coarse_of(noise: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.avg_pool2d(noise, 8).flatten()


def fine_of(noise: torch.Tensor) -> torch.Tensor:
    return noise.diff(dim=-1).diff(dim=-2).flatten()


def test_frames_that_were_trained_to_share_noise_begin_with_nearly_all_of_it(
    painter: ProcessPainterPipeline, tmp_path: Path
) -> None:
    sharing = ProcessPainterPipeline(**painter.components, shared_noise=0.8)
    options: dict[str, Any] = {"num_frames": 4, "size_px": (256, 256), "steps": 1}
    noise = sharing([PROMPT], **options).noise[0].flatten(1)
    assert torch.allclose(torch.corrcoef(noise), 0.96 + 0.04 * torch.eye(4), atol=0.02)
    sharing.save_pretrained(tmp_path)
    again = ProcessPainterPipeline.from_pretrained(tmp_path)
    assert torch.equal(again([PROMPT], **options).noise[0].flatten(1), noise)


def test_how_much_noise_is_shared_when_nobody_says() -> None:
    assert shares_of_noise(0.0) == (0.0, 0.6)  # independent, as published, but for what pictures invert to
    assert shares_of_noise(0.8) == (0.98, 0.98)
    assert shares_of_noise(1.0) == (1.0, 0.98)


def test_network_and_inversion_act_apart(painter: ProcessPainterPipeline) -> None:
    made = {
        (network, inversion): paint(painter, at(-1), network=network, inversion=inversion, keep=False)
        for network in (False, True)
        for inversion in (False, True)
    }
    assert torch.equal(made[False, False], paint(painter))
    different = list(made.values())
    for number, one in enumerate(different):
        assert all(not torch.allclose(one, other, atol=1e-3) for other in different[number + 1 :])


def test_a_picture_of_strength_0_is_as_if_it_were_not_there(painter: ProcessPainterPipeline) -> None:
    assert torch.equal(paint(painter, at(-1, strength=0.0)), paint(painter))
    assert torch.equal(paint(painter, at(0), at(2, strength=0.0)), paint(painter, at(0)))


@pytest.mark.parametrize("acts", ["inversion", "keep"])
def test_each_way_of_a_condition_grows_with_its_strength_from_nothing(
    painter: ProcessPainterPipeline, acts: str
) -> None:
    ways: dict[str, Any] = {"network": False, "inversion": False, "keep": False, acts: True}
    plain = paint(painter, **ways)
    effects = [
        float((paint(painter, at(-1, strength=strength), **ways) - plain).abs().mean()) for strength in (0.0, 0.01, 1.0)
    ]
    assert effects[0] == 0.0 and 0.0 < effects[1] < 0.1 * effects[2]


def test_strength_mixes_the_noise_of_a_picture_with_its_frames_own(painter: ProcessPainterPipeline) -> None:
    options: dict[str, Any] = {"num_frames": 4, "size_px": SIZE, "steps": 3, "shared": 0.6}
    own = painter([PROMPT], **options).noise[0]
    whole = painter([PROMPT], [[at(1)]], **options).noise[0]
    weak = painter([PROMPT], [[at(1, strength=0.6)]], **options).noise[0]
    assert torch.allclose(weak[1], 0.6 * whole[1] + 0.8 * own[1], atol=1e-5)
    share = 0.6 * 0.6  # of what is left to other frames
    assert torch.allclose(weak[3], share * whole[1] + (1 - share**2) ** 0.5 * own[3], atol=1e-5)


def test_how_much_of_a_given_frames_noise_is_what_its_picture_inverts_to() -> None:
    assert share_of_inverted(0.8, is_shown=True) == 0.65
    assert share_of_inverted(0.8, is_shown=False) == share_of_inverted(0.0, is_shown=True) == 1.0  # as published


@pytest.mark.parametrize("network", [False, True])
def test_a_given_frame_may_begin_from_some_noise_of_its_own(painter: ProcessPainterPipeline, network: bool) -> None:
    options: dict[str, Any] = {"num_frames": 4, "size_px": SIZE, "steps": 3, "shared": 0.6, "network": network}
    own = painter([PROMPT], **options).noise[0]
    whole = painter([PROMPT], [[at(1)]], **options, inverted=1.0).noise[0]
    mixed = painter([PROMPT], [[at(1)]], **options, inverted=0.6).noise[0]
    assert torch.allclose(mixed[1], 0.6 * whole[1] + 0.8 * own[1], atol=1e-5)
    assert torch.allclose(mixed[3], 0.36 * whole[1] + (1 - 0.36**2) ** 0.5 * own[3], atol=1e-5)
    said_by_none = painter([PROMPT], [[at(1)]], **options).noise[0]
    assert torch.equal(said_by_none, whole)  # this painter was trained to share no noise


def test_one_prompt_is_one_process(painter: ProcessPainterPipeline) -> None:
    options: dict[str, Any] = {"num_frames": 3, "size_px": SIZE, "steps": 2}
    assert torch.equal(painter("cat", **options).frames, painter(["cat"], **options).frames)


@torch.no_grad()
@pytest.mark.parametrize("part", ["unet", "vae"])
def test_numbers_that_are_none_are_an_error_and_no_picture(part: str) -> None:
    painter = untrained_pipeline()
    place = {"unet": painter.motion.conv_out.bias, "vae": painter.vae.to_pixels.bias}[part]
    place[0] = float("nan")
    said = {"unet": "what was painted, as latents", "vae": "pictures that the VAE makes of latents"}[part]
    with pytest.raises(UserError, match=rf"{said}: \d+ of \d+ values are not finite$"):
        paint(painter)


@torch.no_grad()
def test_a_vae_that_overflows_in_fp16_is_an_error_that_says_the_way_out() -> None:
    painter = untrained_pipeline()
    painter.vae.to_pixels.weight.mul_(1e5 / painter.vae.to_pixels.weight.abs().max())
    assert torch.isfinite(paint(painter)).all()
    painter.vae.half()
    with pytest.raises(UserError, match=r"pictures that the VAE makes .* not finite; fp16 holds numbers up to 65504"):
        paint(painter)
    painter = untrained_pipeline()
    painter.vae.to_code.weight.mul_(1e5 / painter.vae.to_code.weight.abs().max())
    painter.vae.half()
    with pytest.raises(UserError, match=r"latents that the VAE makes of the given pictures: .*dtype=bf16 and fp32"):
        paint(painter, at(-1))


def test_a_given_picture_is_kept_unless_told_otherwise(painter: ProcessPainterPipeline) -> None:
    one = at(1)
    base = painter.base
    mean, _ = base.encode_frames(one.picture[None] * 2 - 1)
    as_coded = base.decode(mean * base.scaling)[0]
    options: dict[str, Any] = {"network": False, "inversion": False, "steps": 5}
    assert torch.allclose(paint(painter, one, **options)[0, 1], as_coded, atol=0.03)  # DDIM ends at the least noise
    assert not torch.allclose(paint(painter, one, keep=False, **options)[0, 1], as_coded, atol=0.1)


def test_noise_goes_by_the_position_of_a_process(painter: ProcessPainterPipeline) -> None:
    both = painter([PROMPT, PROMPT], num_frames=4, size_px=SIZE, steps=2).noise
    second = painter([PROMPT], num_frames=4, size_px=SIZE, steps=2, positions=[1]).noise
    assert torch.equal(second[0], both[1])
    assert not torch.equal(both[0], both[1])


def test_a_small_share_of_the_steps_stays_near_the_fade_between_conditions(painter: ProcessPainterPipeline) -> None:
    first, last = at(0, 0), at(-1, 1)
    late = torch.linspace(0, 1, 4)[:, None, None, None]
    fade = first.picture + late * (last.picture - first.picture)
    seen: list[int] = []

    def away(share: float) -> float:
        painted = paint(painter, last, first, steps=6, share=share, on_step=lambda: seen.append(0))
        return float((painted - fade).abs().mean())

    assert away(1 / 6) < away(0.5) < away(1.0)
    assert len(seen) == 1 + 3 + 6
    with pytest.raises(ValueError, match="nothing to begin from"):
        paint(painter, share=0.5)


def test_impossible_conditions_are_refused(painter: ProcessPainterPipeline) -> None:
    with pytest.raises(ValueError, match="named twice"):
        paint(painter, at(-1), at(3))
    with pytest.raises(ValueError, match="frame 4 of 4"):
        paint(painter, at(4))
    with pytest.raises(ValueError, match="2 prompts, 1 lists"):
        painter([PROMPT, PROMPT], [[]])


def test_it_comes_back_from_disk_and_by_stock_diffusers(painter: ProcessPainterPipeline, tmp_path: Path) -> None:
    painter.save_pretrained(tmp_path)
    expected = paint(painter, at(-1))
    assert torch.equal(paint(ProcessPainterPipeline.from_pretrained(tmp_path), at(-1)), expected)
    source = Path(__file__).resolve().parents[2] / "pipelines" / "painter.py"
    stock = DiffusionPipeline.from_pretrained(tmp_path, custom_pipeline=str(source), trust_remote_code=True)
    assert torch.equal(paint(stock, at(-1)), expected)


def test_it_does_without_a_replication_network(painter: ProcessPainterPipeline, tmp_path: Path) -> None:
    parts = {**painter.components, "replication": None}
    plain = ProcessPainterPipeline(**parts)
    assert torch.equal(paint(plain, at(-1)), paint(painter, at(-1), network=False))
    plain.save_pretrained(tmp_path)
    assert ProcessPainterPipeline.from_pretrained(tmp_path).replication is None


def test_a_process_without_conditions_is_the_same_among_others_that_have_some(painter: ProcessPainterPipeline) -> None:
    both = painter([PROMPT, PROMPT], [[], [at(-1)]], num_frames=4, size_px=SIZE, steps=3, guidance=2.0).frames
    assert torch.allclose(both[:1], paint(painter), atol=1e-4)


def test_what_guidance_cannot_change_is_computed_once(painter: ProcessPainterPipeline) -> None:
    sizes: list[int] = []
    seen = painter.motion.register_forward_pre_hook(lambda _module, inputs: sizes.append(len(inputs[0])))
    options: dict[str, Any] = {"num_frames": 4, "size_px": SIZE, "steps": 2, "guidance": 5.0}
    painter([""], **options)
    painter([PROMPT], negative_prompt=PROMPT, **options)
    painter([PROMPT], **options)
    seen.remove()
    assert sizes == [1, 1, 1, 1, 2, 2]


@pytest.mark.parametrize(("num_frames", "kept"), [(2, [0, 6]), (3, [0, 3, 6]), (5, [0, 2, 3, 4, 6]), (7, range(7))])
def test_fewer_frames_are_some_of_a_whole_process(
    painter: ProcessPainterPipeline, num_frames: int, kept: Sequence[int]
) -> None:
    """The first frames alone would end before the painting is finished."""
    whole, fewer = {"num_frames": 7}, {"num_frames": num_frames, "trained_frames": 7}
    assert torch.equal(paint(painter, **fewer), paint(painter, **whole)[:, list(kept)])
    followed = paint(painter, at(num_frames - 2), at(-1, 1), **fewer)
    assert torch.equal(followed, paint(painter, at(kept[num_frames - 2]), at(-1, 1), **whole)[:, list(kept)])


def test_guesses_show_the_frames_that_are_kept(painter: ProcessPainterPipeline) -> None:
    shapes: list[torch.Size] = []
    paint(painter, num_frames=2, trained_frames=4, on_guess=lambda decoded: shapes.append(decoded().shape))
    assert shapes == [torch.Size([1, 2, 3, *SIZE])] * 3


def test_more_frames_than_trained_are_refused(painter: ProcessPainterPipeline) -> None:
    with pytest.raises(ValueError, match=r"^8 frames; allowed: at most 7$"):
        paint(painter, num_frames=8, trained_frames=7)


def test_a_process_follows_its_number_wherever_it_stands(painter: ProcessPainterPipeline) -> None:
    options: dict[str, Any] = {"num_frames": 4, "size_px": SIZE, "steps": 2}
    four = painter([PROMPT] * 4, **options)
    some = painter([PROMPT] * 3, positions=[3, 0, 0], **options)
    assert torch.equal(some.noise, four.noise[[3, 0, 0]])
    assert torch.allclose(some.frames, four.frames[[3, 0, 0]], atol=1e-4)
