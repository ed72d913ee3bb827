"""Whether a painter paints what unseen prompts name: the kind of thing and its colour, read by a small network.

    python -m benchmarks.words --alone --cache outputs/tiny/scene_classifier.safetensors --guidance 2 3 5

Prompts are captions of scenes that no training uses, of whole scenes or, with --alone, of scenes whose subject stands
alone; they take the media of the data set by turns. Only the main thing of a prompt counts, say "a red house". It is
found in a finished frame if the network sees a house there (above the threshold at which real frames have as many
misses as false alarms) and reads red as the likeliest colour of a house. The same is printed for real held-out frames,
the best that the network allows, and for prompts of other pictures, which shows chance. Then come the kinds and colours
that are missed most: what is rare in the data is learnt badly (`source.subjects=all`). --out gets a sheet of the
finished frames for each guidance (green: both found, amber: only the kind, red: not the kind), and a JSON file of what
the network read in each frame.
"""

import argparse
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "2")

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as PillowImage
from torch import Tensor

from benchmarks.command_line import from_0, from_1, run_benchmark
from benchmarks.painter import painted_in_batches
from benchmarks.scene_classifier import Reading, SceneClassifier, load_or_train, subjects_found
from benchmarks.scene_pictures import Subject, at_reading_size, finished_frames, scene_of, subject_of
from benchmarks.tiny import add_trained
from pipelines.inference.loading import load_painter_pipeline
from pipelines.sources.scenes.caption import caption
from training.data.manifest import to_json
from training.data.split import open_split

_BORDER_PX = 3
_COLUMNS = 10
_GREEN, _AMBER, _RED = (30, 170, 60), (240, 170, 30), (220, 40, 40)


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A prompt, its subject, and the method in which it should be painted.

    Attributes:
        text: a caption with its method phrase.
        subject: the main thing that the caption names.
        phrase: the method phrase.
    """

    text: str
    subject: Subject
    phrase: str


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--painter", type=Path, default=Path("tiny"), help="by default the one that comes along")
    add_trained(parser, out="prompts")
    learnt = [Path("outputs/tiny/alone"), Path("outputs/tiny/scenes")]
    parser.add_argument("--data", type=Path, nargs="+", default=learnt, help="it learnt from; of the first come frames")
    parser.add_argument("--alone", action="store_true", help="prompts about one thing alone")
    parser.add_argument("--cache", type=Path, help="file of the classifier, written when it is not there")
    parser.add_argument("--num-prompts", type=from_1, default=100)
    parser.add_argument("--steps", type=from_1, default=50)
    parser.add_argument("--guidance", type=float, nargs="+", default=[2.5])
    parser.add_argument("--guidance-rescale", type=float, help="0 to 1; by default as the painter has it")
    parser.add_argument("--series", type=from_0, default=4242, help="of the scenes whose captions are the prompts")
    parser.add_argument("--num-drawings", type=from_1, default=8000, help="the classifier learns from, beside frames")
    parser.add_argument("--num-updates", type=from_1, default=2200, help="of the classifier")
    arguments = parser.parse_args()
    classifier = load_or_train(arguments.cache, arguments.data, arguments.num_drawings, arguments.num_updates)
    train_splits = [open_split(str(data), "train") for data in arguments.data]
    train_captions = {str(record["caption"]) for split in train_splits for record in split.records()}
    phrases = [renderer["phrase"] for renderer in train_splits[0].card.recipe["renderers"]]
    prompts = unseen_prompts(arguments.series, arguments.num_prompts, phrases, train_captions, alone=arguments.alone)
    subjects = [prompt.subject for prompt in prompts]
    pipeline, card = load_painter_pipeline(arguments.painter, torch.float32, torch.device("cpu"), {})

    print(f"{len(prompts)} unseen prompts, DDIM {arguments.steps}; share found in finished frames")
    print(f"{'':<50}{'kind':>8}{'colour':>8}{'both':>8}{'n':>6}")
    real = finished_frames(arguments.data[0], "val")
    real_subjects = {
        number: subject for number, scene in enumerate(real.scenes) if (subject := subject_of(scene)) is not None
    }
    reading = classifier.read(real.of(list(real_subjects)).pictures)
    _print_rows("real held-out frames", classifier, reading, list(real_subjects.values()))
    for guidance in arguments.guidance:
        frames = painted_in_batches(
            pipeline, [prompt.text for prompt in prompts], num_frames=card["num_frames"],
            size_px=tuple(card["size_px"]), steps=arguments.steps, guidance=guidance,
            guidance_rescale=arguments.guidance_rescale,
        )[:, -1]  # fmt: skip
        reading = classifier.read(at_reading_size(frames))
        _print_rows(f"painted, guidance {guidance:g}", classifier, reading, subjects)
        for phrase in phrases:
            rows = [number for number, prompt in enumerate(prompts) if prompt.phrase == phrase]
            phrase_reading = Reading(kinds=reading.kinds[rows], colours=reading.colours[rows])
            _print_row(
                f"  {phrase}",
                *subjects_found(phrase_reading, [subjects[row] for row in rows], float(classifier.threshold)),
            )
        painted_right = torch.logical_and(*subjects_found(reading, subjects, float(classifier.threshold))).tolist()
        kinds, colours = [subject.kind for subject in subjects], [subject.colour for subject in subjects]
        for name, words_asked in (("kinds", kinds), ("colours", colours)):
            print(f"  {name} missed most: {missed_most(words_asked, painted_right)}")
        sheet = _write(arguments.out, f"guidance-{guidance:g}", frames, prompts, reading, float(classifier.threshold))
        print(f"  {sheet}", flush=True)


def unseen_prompts(
    series: int, count: int, phrases: Sequence[str], known: set[str], *, alone: bool = False
) -> list[Prompt]:
    """The first captions of a series of scenes that name one main thing and are not known with any phrase.

    Args:
        series: seed of the scenes.
        count: number of prompts.
        phrases: method phrases, which the prompts take by turns.
        known: captions, with their method phrases, that are left out.
        alone: whether the main thing should stand alone.
    """
    prompts: list[Prompt] = []
    index = 0
    while len(prompts) < count:
        scene = scene_of(f"scenes/{series}/{index}{'/alone' if alone else ''}")
        index += 1
        scene_caption, subject = caption(scene), subject_of(scene)
        if subject is None or any(f"{scene_caption}, {phrase}" in known for phrase in phrases):
            continue
        phrase = phrases[len(prompts) % len(phrases)]
        prompts.append(Prompt(text=f"{scene_caption}, {phrase}", subject=subject, phrase=phrase))
    return prompts


def chance(reading: Reading, subjects: Sequence[Subject], threshold: float) -> tuple[float, float, float]:
    """Shares of kinds, colours and both that are found when each picture is judged by the subject of another one.

    The shares are means over all other pictures of the set, so that they depend on no shuffle.
    """
    shares = []
    for shift in range(1, len(subjects)):
        kinds, colours = subjects_found(reading, [*subjects[shift:], *subjects[:shift]], threshold)
        shares.append([_share(kinds), _share(colours), _share(kinds & colours)])
    kind, colour, both = np.mean(shares, axis=0) if shares else (float("nan"),) * 3
    return float(kind), float(colour), float(both)


def missed_most(names: Sequence[str], painted_right: Sequence[bool], most: int = 6) -> str:
    """The names of which the largest share is missed, each with its counts: `cow 3 of 3, barn 2 of 4`."""
    num_asked = Counter(names)
    num_missed = Counter(name for name, is_right in zip(names, painted_right, strict=True) if not is_right)
    worst = sorted(num_missed, key=lambda name: (-num_missed[name] / num_asked[name], -num_asked[name], name))[:most]
    return ", ".join(f"{name} {num_missed[name]} of {num_asked[name]}" for name in worst) or "none"


def _print_rows(name: str, classifier: SceneClassifier, reading: Reading, subjects: Sequence[Subject]) -> None:
    threshold = float(classifier.threshold)
    _print_row(name, *subjects_found(reading, subjects, threshold))
    cells = "".join(f"{100 * share:>7.1f}%" for share in chance(reading, subjects, threshold))
    print(f"{'  asked for what another one shows':<50}{cells}")


def _print_row(name: str, kinds: Tensor, colours: Tensor) -> None:
    cells = "".join(f"{100 * _share(is_right):>7.1f}%" for is_right in (kinds, colours, kinds & colours))
    print(f"{name:<50}{cells}{len(kinds):>6}", flush=True)


def _share(is_right: Tensor) -> float:
    return float(is_right.float().mean())


def _write(
    folder: Path, name: str, frames: Tensor, prompts: Sequence[Prompt], reading: Reading, threshold: float
) -> Path:
    """Write the sheet and a JSON file of what was read in each picture; returns the path of the sheet."""
    kinds, colours = subjects_found(reading, [prompt.subject for prompt in prompts], threshold)
    verdicts = list(zip(kinds.tolist(), colours.tolist(), strict=True))
    rows = []
    for number, (prompt, (kind, colour)) in enumerate(zip(prompts, verdicts, strict=True)):
        surest = reading.words(number)
        rows.append({
            "row": number // _COLUMNS, "column": number % _COLUMNS, "prompt": prompt.text,
            "wanted": f"{prompt.subject.colour} {prompt.subject.kind}", "kind_found": kind, "colour_found": colour,
            "surest": f"{surest.colour} {surest.kind}",
        })  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(to_json({"prompts": rows}))
    PillowImage.fromarray(judged_sheet(frames, verdicts)).save(folder / f"{name}.png")
    return folder / f"{name}.png"


def judged_sheet(frames: Tensor, verdicts: Sequence[tuple[bool, bool]]) -> NDArray[np.uint8]:
    """(N, 3, H, W) pictures in [0, 1] at twice their size, ten a row, with borders that show their verdicts."""
    count, _, height_px, width_px = frames.shape
    cell_height, cell_width = 2 * (height_px + _BORDER_PX), 2 * (width_px + _BORDER_PX)
    sheet = np.full((-(-count // _COLUMNS) * cell_height, min(count, _COLUMNS) * cell_width, 3), 255, np.uint8)
    pictures = (frames * 255).round().byte().permute(0, 2, 3, 1).numpy()
    for number, (picture, (kind, colour)) in enumerate(zip(pictures, verdicts, strict=True)):
        top, left = number // _COLUMNS * cell_height, number % _COLUMNS * cell_width
        sheet[top : top + cell_height, left : left + cell_width] = (_GREEN if colour else _AMBER) if kind else _RED
        inner = slice(top + _BORDER_PX, top + cell_height - _BORDER_PX)
        sheet[inner, left + _BORDER_PX : left + cell_width - _BORDER_PX] = picture.repeat(2, 0).repeat(2, 1)
    return sheet


if __name__ == "__main__":
    run_benchmark(main)
