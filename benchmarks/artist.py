"""The artist on whom `benchmarks.lora` tries the LoRAs: in ink, the subject first, then outward, never revised.

    python -m benchmarks.artist [--out outputs/tiny/artist]

No base was trained on this palette or this order. Scenes are painted in ink, and the finished paintings are painted
again, region by region. --out gets `pictures` with their captions, and `sequences`, the data set.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from PIL import Image

from benchmarks.command_line import from_1, run_benchmark
from training.data.split import open_split

_TRIGGER = "in the manner of sks"
_PAPER = "[0.955,0.935,0.885]"  # of renderer=ink


def main() -> None:
    """Make the data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("outputs/tiny/artist"))
    parser.add_argument("--num-sequences", type=from_1, default=64)
    arguments = parser.parse_args()
    ink, pictures = arguments.out / "ink", arguments.out / "pictures"
    _synth(
        "renderer=ink", "renderer.preset=fast", "renderer.num_strokes=160", "renderer.order=lines_first",
        "source.seed=99", f"num_sequences={arguments.num_sequences}", "val_fraction=0", f"out={ink}",
    )  # fmt: skip
    pictures.mkdir(exist_ok=True)
    stored = open_split(str(ink), "train")
    for sequence in stored.read(range(len(stored))):
        Image.fromarray(sequence.frame(-1)).save(pictures / f"{sequence.key}.png")
        caption = sequence.caption.removesuffix(f", {sequence.facts['renderer']['phrase']}")
        (pictures / f"{sequence.key}.txt").write_text(caption, encoding="utf-8")
    _synth(
        "source=folder", f"source.path={pictures}", "renderer=region", "renderer.fill=wash",
        f"renderer.canvas={_PAPER}", f"renderer.phrase={_TRIGGER}", "val_fraction=0.5",
        f"out={arguments.out / 'sequences'}",
    )  # fmt: skip


def _synth(*overrides: str) -> None:
    command = [sys.executable, "-m", "pipelines.synth", *overrides, "size=64", "cluster=inline", "gallery=false"]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    run_benchmark(main)
