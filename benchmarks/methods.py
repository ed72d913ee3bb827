"""Whether the words that name a method act: how far apart paintings of one prompt in several methods are.

    python -m benchmarks.methods --painter outputs/fine/painter --data outputs/fine/scenes

Each of some unseen prompts is painted in every method of the data, from the same noise. Two things are printed: the
distance between the blank canvases of each pair of methods (dE, CIE76, of the mean colours of their first frames), in
the data and as painted; and how often a classifier reads the method of the prompt, for painted sequences and for real
held-out ones. The classifier is a logistic regression on 8 x 8 colours of each frame and their contrasts, trained on
real sequences.
"""

import argparse
import os
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "2")

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from benchmarks.command_line import from_1, run_benchmark
from benchmarks.painter import painted_in_batches, processes
from benchmarks.tiny import add_trained
from benchmarks.words import unseen_prompts
from pipelines.evaluation.process import colour_difference
from pipelines.inference.loading import load_painter_pipeline
from training.data.split import StoredSplit, open_split

_GRID = 8
_UPDATES, _DECAY = 40, 1e-3


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--painter", type=Path, default=Path("tiny"), help="by default the one that comes along")
    add_trained(parser, data="scenes")
    parser.add_argument("--num-prompts", type=from_1, default=25, help="each painted in every method")
    parser.add_argument("--num-real", type=from_1, default=1000, help="sequences that the classifier learns from")
    parser.add_argument("--steps", type=from_1, default=20)
    parser.add_argument("--guidance", type=float, default=3.0)
    arguments = parser.parse_args()
    stored = open_split(str(arguments.data), "train")
    phrases = {renderer["name"]: renderer["phrase"] for renderer in stored.card.recipe["renderers"]}
    methods = list(phrases)
    pipeline, card = load_painter_pipeline(arguments.painter, torch.float32, torch.device("cpu"), {})

    train_sequences, train_methods = real_sequences(stored, arguments.num_real, methods)
    val_sequences, val_methods = real_sequences(open_split(str(arguments.data), "val"), arguments.num_real, methods)
    classifier = MethodClassifier(train_sequences, train_methods)
    texts = [prompt.text for prompt in unseen_prompts(4242, arguments.num_prompts, [""], set())]
    painted = {
        method: painted_in_batches(
            pipeline, [f"{text.rstrip(', ')}, {phrase}" for text in texts], num_frames=card["num_frames"],
            size_px=tuple(card["size_px"]), steps=arguments.steps, guidance=arguments.guidance,
        )
        for method, phrase in phrases.items()
    }  # fmt: skip

    print(f"{len(texts)} unseen prompts in {len(methods)} methods, guidance {arguments.guidance:g}")
    print("\ndE between blank canvases             data  painted")
    real_canvases = [mean_canvas(train_sequences[train_methods == number]) for number in range(len(methods))]
    painted_canvases = [mean_canvas(painted[method]) for method in methods]
    for one, other in combinations(range(len(methods)), 2):
        pairs = [(canvases[one], canvases[other]) for canvases in (real_canvases, painted_canvases)]
        differences = "".join(f"{float(colour_difference(*pair)):>9.1f}" for pair in pairs)
        print(f"{methods[one] + ' and ' + methods[other]:<33}{differences}")
    print("\nmethod read rightly             real  painted")
    val_readings = classifier.read(val_sequences)
    for number, method in enumerate(methods):
        is_real = val_methods == number
        real_share = float((val_readings[is_real] == number).float().mean()) if is_real.any() else float("nan")
        print(f"{method:<27}{100 * real_share:>7.0f} %{100 * classifier.share(painted[method], number):>7.0f} %")
    share = np.mean([classifier.share(painted[method], number) for number, method in enumerate(methods)])
    print(f"{'all':<27}{100 * float((val_readings == val_methods).float().mean()):>7.0f} %{100 * share:>7.0f} %")


def real_sequences(stored: StoredSplit, most: int, methods: Sequence[str]) -> tuple[Tensor, Tensor]:
    """(N, T, 3, H, W) in [0, 1], the first `most` sequences of a split, and (N,) number of the method of each."""
    count = min(most, len(stored))
    sequences = stored.read(range(count))
    frames = np.stack([sequence.frames() for sequence in sequences])
    numbers = [methods.index(sequence.facts["renderer"]["name"]) for sequence in sequences]
    return torch.from_numpy(frames).permute(0, 1, 4, 2, 3) / 255, torch.tensor(numbers)


def mean_canvas(sequences: Tensor) -> NDArray[np.float32]:
    """(3,) mean L*a*b* of the first frames of (N, T, 3, H, W) sequences."""
    labs = [process.lab[0].mean((0, 1)) for process in processes(sequences[:, :1])]
    mean: NDArray[np.float32] = np.mean(labs, axis=0, dtype=np.float32)
    return mean


class MethodClassifier:
    """Recognises the method in which a sequence is painted, by logistic regression.

    Args:
        sequences: (N, T, 3, H, W) training sequences in [0, 1].
        methods: (N,) method of each, as a number from 0.
    """

    def __init__(self, sequences: Tensor, methods: Tensor) -> None:
        features = _features(sequences)
        self._mean, self._deviation = features.mean(0), features.std(0) + 1e-3
        self._weights = torch.zeros(features.shape[1] + 1, int(methods.max()) + 1, requires_grad=True)
        optimizer = torch.optim.LBFGS([self._weights], max_iter=_UPDATES, line_search_fn="strong_wolfe")

        def loss() -> Tensor:
            optimizer.zero_grad()
            value = functional.cross_entropy(self._scores(features), methods) + _DECAY * self._weights.square().sum()
            value.backward()  # type: ignore[no-untyped-call]
            return value

        optimizer.step(loss)  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def read(self, sequences: Tensor) -> Tensor:
        """(N,) the likeliest method of each of (N, T, 3, H, W) sequences in [0, 1]."""
        return self._scores(_features(sequences)).argmax(1)

    def share(self, sequences: Tensor, method: int) -> float:
        """Share of sequences that are read as this method."""
        return float((self.read(sequences) == method).float().mean())

    def _scores(self, features: Tensor) -> Tensor:
        standard = (features - self._mean) / self._deviation
        return standard @ self._weights[:-1] + self._weights[-1]


def _features(sequences: Tensor) -> Tensor:
    """(N, F): mean colours of the cells of a grid over each frame, and the contrast of neighbouring pixels in each."""
    frames = sequences.flatten(0, 1)
    grey = frames.mean(1, keepdim=True)
    contrast = functional.pad((grey[..., 1:] - grey[..., :-1]).abs(), (0, 1))
    fields = functional.adaptive_avg_pool2d(torch.cat([frames, contrast], dim=1), _GRID)
    return fields.reshape(len(sequences), -1)


if __name__ == "__main__":
    run_benchmark(main)
