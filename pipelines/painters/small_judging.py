"""Judges a small painter by its processes of held-out pictures: a sheet of them, and the process metrics."""

from pathlib import Path

from conf.compose import compose
from pipelines.painters.clock import Clock


def judge(painter: Path, reference: Path, out: Path, num_painted: int, clock: Clock) -> None:
    """Paint the processes of held-out pictures, write a sheet of them, and measure them by the process metrics."""
    from pipelines.evaluate import evaluate_config
    from pipelines.evaluate import run as evaluate
    from pipelines.inference.config import paint_config
    from pipelines.paint import run as paint

    pictures = held_out_pictures(reference, out / "pictures", num_painted)
    overrides = [f"painter={painter}", "steps=20", "guidance=1", f"batch_size={num_painted}"]
    paint(
        paint_config(compose("paint", ["task=reconstruct", f"image={pictures}", f"out={out / 'painted'}", *overrides]))
    )
    clock.say(f"painted: {out / 'painted' / 'index.html'}")
    write_sheet(out / "painted", out / "sheet.png")
    compared = [f"generated={out / 'painted'}", f"reference={reference}", f"out={out / 'evaluation'}", "num_frames=8"]
    for line in evaluate(evaluate_config(compose("evaluate", compared))).lines:
        clock.say(line)


def held_out_pictures(reference: Path, folder: Path, most: int) -> Path:
    """The finished pictures of the val split, as files."""
    from PIL import Image

    from training.data.stream import DataMixture, SequenceStream

    stream = SequenceStream.open((DataMixture(path=str(reference)),), split="val", frames="last")
    first = stream.first(0, min(most, len(stream)))
    assert first.frames is not None
    pixels = ((first.frames[:, -1] + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    folder.mkdir()
    for key, picture in zip(first.keys, pixels, strict=True):
        Image.fromarray(picture).save(folder / f"{Path(key).name}.png")  # by which judging finds the real process
    return folder


def write_sheet(painted: Path, path: Path) -> None:
    """All frames of all processes: a row each."""
    import numpy as np
    from PIL import Image

    from training.run.samples import side_by_side

    processes = [sorted(folder.glob("*.png")) for folder in sorted(painted.glob("*/frames"))]
    frames = np.stack([np.stack([np.asarray(Image.open(frame)) for frame in process]) for process in processes])
    Image.fromarray(side_by_side(frames)).save(path)
