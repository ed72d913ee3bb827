"""The panels of a dashboard of training runs, in sections; each shows names that a run logs (docs/training.md)."""

from dataclasses import dataclass

STEP = "train/step"


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One plot, or one group of pictures or videos.

    Attributes:
        title: heading of the panel.
        metrics: the names that runs log; empty if there is a `pattern`.
        pattern: a regular expression of such names, each of which is one line of the plot.
        media: whether these are pictures or videos.
        log_scale: whether the vertical axis is logarithmic.
        smoothing: weight of an exponential moving average, 0 to 1.
        limits: limits of the vertical axis; None to fit the data.
        sense: what a reader should look for.
    """

    title: str
    metrics: tuple[str, ...] = ()
    pattern: str | None = None
    media: bool = False
    log_scale: bool = False
    smoothing: float = 0.0
    limits: tuple[float, float] | None = None
    sense: str = ""


SECTIONS: dict[str, tuple[Panel, ...]] = {
    "Is it learning?": (
        Panel(
            title="Loss", metrics=("train/loss", "val/loss"), smoothing=0.9,
            sense="A validation loss that rises while the training loss falls wants more data.",
        ),
        Panel(title="Training loss by noise level", pattern=r"train/loss/t.*", smoothing=0.9),
        Panel(title="Validation loss by noise level", pattern=r"val/loss/t.*"),
    ),
    "Is it stable?": (
        Panel(
            title="Gradient norm before clipping", metrics=("train/gradient_norm",), log_scale=True,
            sense="A norm that climbs for hundreds of steps wants a lower learning rate.",
        ),
        Panel(title="Learning rate", metrics=("train/lr",)),
    ),
    "What does it paint?": (
        Panel(title="Fixed prompts, all frames", metrics=("samples/sheet",), media=True),
        Panel(title="Fixed prompts, as videos", metrics=("samples/sequences",), media=True),
    ),
    "Is the machine used?": (
        Panel(title="Frames a second", metrics=("perf/frames_per_s",)),
        Panel(
            title="Shares of a step, and of the GPU's peak",
            metrics=("perf/mfu", "perf/compute_share", "perf/data_wait_share"), limits=(0.0, 1.0),
            sense="A data-wait above 0.05 wants more num_workers or pipelines.encode; a low compute share with little "
            "data-wait wants larger batches or compile=true.",
        ),
        Panel(title="Peak memory, GiB", metrics=("perf/peak_memory_gib",)),
        Panel(title="Seconds a step", metrics=("perf/step_s",)),
    ),
    "Where are we?": (Panel(title="Epoch", metrics=("data/epoch",)),),
}  # fmt: skip
"""Section -> its panels. A section is a question about a run."""
