"""Generate a painting process from a prompt, reconstruct that of a picture, or continue an unfinished picture.

    python -m pipelines.paint prompt="a red house by a lake under an orange sky, painted in oil"
    python -m pipelines.paint task=reconstruct image=boat.png out=outputs/boat
    python -m pipelines.paint task=reconstruct image=photo.jpg execution=strokes out=outputs/own
    python -m pipelines.paint task=reconstruct image=photographs batch_size=4 out=outputs/ways
    python -m pipelines.paint task=complete image=begun.png at=3 out=outputs/ended
    python -m pipelines.paint painter=outputs/painter 'conditions={2: block_in.png, -1: boat.png}' out=outputs/both

The numbered frames, a video, report.json and index.html are written to OUT. A given picture fixes one frame of the
process: the last (reconstruct), number `at` (complete), or any (conditions). The keys network, inversion and keep
choose the methods that make the process follow it. The report says how far each fixed frame is from its picture.
If image is a folder or a list, each picture gets a process of its own, independent of the others up to rounding.
Finished processes are not painted again; unreadable files of a folder are skipped and named (exit code 3).
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from conf.command import COMPLETE, PARTIAL, Summary, command, leave
from conf.devices import compute_device, warn_of_slow_numbers
from conf.errors import ConfigError, UserError
from conf.progress import Progress, tell
from pipelines.inference.config import PaintConfig, paint_config
from pipelines.inference.memory import naming_memory
from pipelines.inference.of_dataset import given_pictures
from pipelines.inference.overview import check_overview, write_overview
from pipelines.inference.own_files import release
from pipelines.inference.phases import with_phases
from pipelines.inference.requests import batches, in_one_line, is_painted, readable, request_hash, requests_of
from pipelines.inference.result import (
    CannotFollow,
    Pictures,
    check_slenderness,
    check_strokes,
    given_picture,
    num_written,
    output_folder,
    write_result,
)
from pipelines.inference.sizes import framing_for, known_sizes
from pipelines.sources.framing import Framing
from pipelines.sources.picture_file import read_picture
from training.data.claim import held_folder
from training.data.staging import to_stores
from training.models.trained_size import is_far

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from pipelines.inference.longer.in_between import Pieces
    from pipelines.inference.pinned import PinnedPicture
    from pipelines.inference.pipeline import OnGuess, PaintingPipeline
    from training.models.architecture import Base

_MOST_LINES = 10


def run(config: PaintConfig, pipeline: "PaintingPipeline | None" = None, on_guess: "OnGuess | None" = None) -> Summary:
    """Paint.

    Args:
        config: what to paint, and where to write it.
        pipeline: the pipeline of `config.painter` with its LoRAs, device and so on, if it is loaded already.
        on_guess: called in each step, see `OnGuess`; an exception that it raises ends the painting.

    Raises:
        UserError: if a named picture or all pictures of a folder are unreadable, the painter is unusable, or memory
            runs out.
    """
    with held_folder(config.out), given_pictures(config):
        return _paint(config, pipeline, on_guess)


def _paint(config: PaintConfig, pipeline: "PaintingPipeline | None", on_guess: "OnGuess | None") -> Summary:
    device = compute_device(config.device)
    if config.offload != "none" and device.type == "cpu":
        raise ConfigError("offload", config.offload, "none on a CPU: offloading saves GPU memory only")
    from pipelines.painters import painter_folder
    from training.models.painter_folder import read_painter_card

    card = read_painter_card(painter_folder(config.painter))
    if config.num_frames is None:
        config = replace(config, num_frames=card["num_frames"])
    requests = requests_of(config)
    several = requests != [config]
    requests, unreadable = readable(config, [with_phases(request, card.get("phrases", {})) for request in requests])
    hashes = {request.out: request_hash(request, card) for request in requests}
    todo = {request.out for request in requests if not several or not is_painted(request.out, hashes[request.out])}
    kind = "captions" if several and config.task == "generate" else "pictures"
    picture_lines = [f"{len(requests) - len(todo)} of {len(requests)} {kind} were painted already"] if several else []
    for request in requests:
        if request.out in todo:
            output_folder(request).check(num_written(request))
        else:
            release(request.out)  # a run that was killed after writing the report has left its claim
    if several:
        check_overview(config.out)
    not_followed: dict[Path, str] = {}
    if todo:
        painted = _paint_all(config, requests, todo, hashes, card, device, pipeline, on_guess)
        picture_lines += painted.lines
        not_followed = painted.not_followed
    if len(not_followed) == len(requests):  # no process was written, now or before
        raise UserError(in_one_line([*not_followed.values(), *unreadable], kind))
    if several:
        write_overview(config.out, [request.out for request in requests if request.out not in not_followed])
        if len(picture_lines) > _MOST_LINES:
            picture_lines = [
                *picture_lines[:_MOST_LINES],
                f"  and so on; {config.out}/*/report.json has the others",
            ]
    skipped = [f"skipped {reason}" for reason in (*unreadable, *not_followed.values())]
    lines = (*picture_lines, *skipped, f"look at it: {config.out / 'index.html'}")
    return Summary(lines=lines, exit_code=PARTIAL if skipped else COMPLETE)


@dataclass
class _Painted:
    """The results of requests.

    Attributes:
        lines: lines to print about the processes that were written.
        not_followed: folder of a request that strokes could not paint as asked -> the reason.
    """

    lines: list[str] = field(default_factory=list)
    not_followed: dict[Path, str] = field(default_factory=dict)


def _paint_all(
    config: PaintConfig,
    requests: Sequence[PaintConfig],
    todo: Collection[Path],
    hashes: Mapping[Path, str],
    card: Mapping[str, Any],
    device: "torch.device",
    pipeline: "PaintingPipeline | None",
    on_guess: "OnGuess | None",
) -> _Painted:
    """Paint the requests in `todo`, and write each as soon as it is painted.

    The other pictures of a batch change how a picture's numbers are rounded. So batches always hold the same pictures,
    even if a killed run has painted some of them already.
    """
    import torch

    from pipelines.inference.loading import load_painter_pipeline
    from training.data.cut_off import warn_of_cut_prompts

    outcome = _Painted()
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[config.dtype]
    warn_of_slow_numbers("dtype", config.dtype, device)
    with naming_memory(config, on_gpu=device.type != "cpu", at_once=min(config.batch_size, len(requests))):
        if pipeline is None:
            pipeline, _ = load_painter_pipeline(
                config.painter, dtype, device, config.loras, config.offload, config.vae, compiled=config.compile
            )
        prompts = [request.prompt for request in requests]
        warn_of_unknown_words(pipeline.base, prompts, card.get("phrases", {}))
        cut_ends = warn_of_cut_prompts(pipeline.base.tokens, prompt=prompts, negative=[config.negative])
        framings = {request.out: _framing(request, card, pipeline.cell_px) for request in requests}
        for framing in dict.fromkeys(framings.values()):
            _warn_of_foreign_size(framing, card)
        for request in requests:
            if request.out in todo:
                check_strokes(request, framings[request.out])
                check_slenderness(request, framings[request.out])
        groups = [
            group
            for framing in dict.fromkeys(framings.values())
            for group in batches(
                [request for request in requests if framings[request.out] == framing], config.batch_size
            )
            if any(request.out in todo for request in group)
        ]
        total_steps = config.steps * len(groups) if config.length <= card["num_frames"] else None
        with Progress("painting", total_steps, 0, "steps") if total_steps else nullcontext() as progress:
            for group in groups:
                framing = framings[group[0].out]
                pictures = [
                    {frame: framing.apply(given_picture(request, file.path)) for frame, file in request.pinned.items()}
                    for request in group
                ]
                conditions = [_pinned(*pair) for pair in zip(group, pictures, strict=True)]
                prompted = list(zip([request.prompt for request in group], conditions, strict=True))
                painted = _painted(config, pipeline, framing, prompted, card["num_frames"], progress, on_guess)
                for request, request_pictures, (frames, pieces) in zip(group, pictures, painted, strict=True):
                    if request.out not in todo:
                        continue
                    digest = hashes[request.out]
                    try:
                        outcome.lines += write_result(
                            request, framing, frames, request_pictures, pieces, digest, cut_ends.get(request.prompt)
                        )
                    except CannotFollow as reason:
                        outcome.not_followed[request.out] = str(reason)
    return outcome


def _framing(request: PaintConfig, card: Mapping[str, Any], cell_px: int) -> Framing:
    """The framing of a process; without a size, it suits the last given picture."""
    shape = None
    if request.size is None and request.pinned and len(known_sizes(card)) > 1:
        *_, last = request.pinned.values()
        shape = read_picture(last.path).shape[:2]
    return framing_for(request.size, request.fit, card, cell_px, shape)


def warn_of_unknown_words(base: "Base", prompts: Iterable[str], phrases: Mapping[str, str]) -> None:
    """Name the words of prompts that a painter was not trained on.

    Args:
        base: the painter's base.
        prompts: prompts of all processes.
        phrases: phrases of its methods, which it was trained on even if its tokenizer is older.
    """
    method_words = set(re.findall(r"[^\W\d_]+", " ".join(phrases.values()).lower()))
    unknown = [word for word in base.unknown_words(" ".join(dict.fromkeys(prompts))) if word not in method_words]
    if unknown:
        tell(f"warning: this painter was not trained on the words {', '.join(unknown)}")


def _warn_of_foreign_size(framing: Framing, card: Mapping[str, Any]) -> None:
    """Warn of a size that is far from the trained one and not on the painter's card, at which it paints badly."""
    trained_px = card["size_px"]
    if (framing.height_px, framing.width_px) in known_sizes(card):
        return
    if is_far((framing.height_px, framing.width_px), trained_px):
        tell(
            f"warning: size={framing.width_px}x{framing.height_px}: this painter was trained on "
            f"{trained_px[1]}x{trained_px[0]} px; at other sizes it paints badly"
        )


def _pinned(request: PaintConfig, pictures: Pictures) -> "list[PinnedPicture]":
    import torch

    from pipelines.inference.pinned import PinnedPicture

    return [
        PinnedPicture(
            frame=frame,
            picture=torch.from_numpy(picture).permute(2, 0, 1),
            strength=request.pinned[frame].strength,
        )
        for frame, picture in pictures.items()
    ]


def _painted(
    config: PaintConfig,
    pipeline: "PaintingPipeline",
    framing: Framing,
    prompted: "Sequence[tuple[str, Sequence[PinnedPicture]]]",
    trained_frames: int,
    progress: Progress | None,
    on_guess: "OnGuess | None",
) -> "list[tuple[NDArray[np.uint8], Pieces | None]]":
    """Paint processes (T, H, W, 3) of prompts with pictures; long ones are returned with their pieces.

    Each process is painted from the noise that it would have if it were painted alone.
    """
    from pipelines.inference.longer.in_between import LEAST_SLOTS, paint_long

    if config.length > trained_frames < LEAST_SLOTS:
        raise ConfigError(
            "num_frames", config.length, f"2 to {trained_frames}, the most that this painter was trained for"
        )
    paint = partial(
        pipeline,
        negative_prompt=config.negative,
        num_frames=min(config.length, trained_frames),
        trained_frames=trained_frames,
        size_px=(framing.height_px, framing.width_px),
        steps=config.steps,
        guidance=config.guidance,
        guidance_rescale=config.guidance_rescale,
        network=config.network,
        inversion=config.inversion,
        keep=config.keep,
        shared=config.shared,
        inverted=config.inverted,
        on_guess=on_guess,
    )
    if progress is not None:
        positions, on_step = [0] * len(prompted), partial(progress.advance, 1)
        prompts, conditions = zip(*prompted, strict=True)
        painted = paint(list(prompts), list(conditions), seed=config.seed, positions=positions, on_step=on_step).frames
        return [(_bytes(frames), None) for frames in painted]

    def paint_pieces(prompt: str, conditions: "Sequence[Sequence[PinnedPicture]]", **options: Any) -> "Tensor":
        return paint([prompt] * len(conditions), conditions, **options).frames

    sizes, settings = (config.length, trained_frames), {"steps": config.steps, "seed": config.seed}
    long = [paint_long(partial(paint_pieces, prompt), *sizes, pinned, **settings) for prompt, pinned in prompted]
    return [(_bytes(frames), pieces) for frames, pieces in long]


def _bytes(frames: "Tensor") -> NDArray[np.uint8]:
    """(T, H, W, 3) bytes of (T, 3, H, W) frames in [0, 1]."""
    rounded: NDArray[np.uint8] = (frames * 255).round().byte().permute(0, 2, 3, 1).numpy()
    return rounded


def has_paintings(config: PaintConfig) -> bool:
    """Whether some of several pictures are painted already; the same command does not paint them again."""
    return any(config.out.glob("*/report.json"))


if __name__ == "__main__":
    configure, run_staged = to_stores(paint_config, run, mark="index.html")
    leave(command("paint", configure, run_staged, __doc__ or "", can_continue=lambda it: has_paintings(it.config)))
