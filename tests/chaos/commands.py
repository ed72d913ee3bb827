"""The commands, with inputs so small that a run takes about a second."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.chaos import results
from tests.chaos.results import Kept, Result

OUT = "disk/out"


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A command line, and the parts of its work that are judged.

    Attributes:
        name: its name in records and tables.
        words: module and arguments; it runs in a folder with `in/` and `disk/`, and writes `disk/out`.
        needs: folders of `in/` that it reads.
        begun: the folder of `in/` that is copied to `disk/out` before it begins, and which it reads.
        result: takes the folder that it wrote, and returns all that must be the same after any interruption.
        kept: takes that folder, and returns the files that must never be made again.
        tells: whether its result is what it prints; then it must report all damage.
        launched: whether it runs under torchrun, which reports a lost process with a traceback of its own.
        share: how often it is chosen, relative to commands with a share of 1.
    """

    name: str
    words: Sequence[str]
    needs: Sequence[str] = ()
    begun: str | None = None
    result: Callable[[Path], Result] = results.all_files
    kept: Callable[[Path], Kept] = results.nothing_kept
    tells: bool = False
    launched: bool = False
    share: float = 1.0


_PAINTED = ("size=64", "num_frames=4", "shard_size=2", "val_fraction=0.3")
_SCENES = (
    "pipelines.synth", "renderer=bezier", "renderer.num_strokes=12", "renderer.preset=fast", "num_sequences=8",
    *_PAINTED,
)  # fmt: skip
_FEW_STROKES = tuple(f"renderer.members.{name}.num_strokes=12" for name in ("bezier", "oil", "ink"))
_TRAINED = (
    "training.train", "model=tiny", "model.shape.channels=[16]", "model.shape.plain_levels=0",
    "model.shape.text_width=16", "model.shape.patch_px=8", "model.shape.latent_channels=8", "batch_size=2",
    "max_steps=4", "log_every=1", "checkpoint_every=2", "sample_every=0", "guidance=1", "tracker=none",
    "optimizer.warmup_steps=0",
)  # fmt: skip
_STEPS = ("steps=2", "num_frames=4", "painter=in/painter")


def _dataset(name: str, *overrides: str, needs: Sequence[str] = (), share: float = 1.0) -> Subject:
    return Subject(
        name=name, words=(*overrides, f"out={OUT}"), needs=needs, result=results.dataset, kept=results.kept_shards,
        share=share,
    )  # fmt: skip


def _training(
    stage: str, *overrides: str, data: str = "data", name: str = "", ranks: int = 1, **parents: str
) -> Subject:
    parent_keys = (f"{key}=in/{folder}" for key, folder in parents.items())
    launcher = ("torch.distributed.run", "--standalone", f"--nproc_per_node={ranks}", "-m") if ranks > 1 else ()
    return Subject(
        name=f"train {name or stage}",
        words=(*launcher, *_TRAINED, f"stage={stage}", f"data=in/{data}", *parent_keys, *overrides, f"out={OUT}"),
        needs=(data, *parents.values()),
        result=results.training,
        launched=ranks > 1,
        share=0.4,
    )


def _reading(name: str, module: str, *overrides: str, **more: object) -> Subject:
    return Subject(name=name, words=(module, f"dataset={OUT}", *overrides), begun="data", **more)  # type: ignore[arg-type]


SCENES = _dataset("synth", *_SCENES, "cluster=inline")
FOLDER = _dataset(
    "synth folder", "pipelines.synth", "source=folder", "source.path=in/pictures", "renderer=bezier",
    "renderer.num_strokes=12", "renderer.preset=fast", "source.caption='a picture of %name'", *_PAINTED,
    "cluster=inline", needs=("pictures",),
)  # fmt: skip
MIX = _dataset(
    "synth mix", "pipelines.synth", "renderer=mix", *_FEW_STROKES, "num_sequences=5", *_PAINTED, "cluster=inline",
    share=0.5,
)  # fmt: skip
RAY = _dataset("synth local", *_SCENES, "cluster=local", "num_workers=2", share=0.3)
INGEST = _dataset(
    "ingest", "pipelines.ingest", "layout=frames", "source.path=in/scans", *_PAINTED[:3], "val_fraction=0",
    "caption.template='a painting'", needs=("scans",),
)  # fmt: skip
VIDEO = _dataset(
    "ingest video", "pipelines.ingest", "layout=video", "source.path=in/videos", *_PAINTED[:3], "val_fraction=0",
    "caption.template='a painting'", needs=("videos",), share=0.5,
)  # fmt: skip
ENCODE = _dataset(
    "encode", "pipelines.encode", "dataset=in/data", "model=tiny", "base=in/base", "batch_size=4",
    needs=("data", "base"),
)  # fmt: skip
VERIFY = _reading("verify", "pipelines.verify", tells=True)
STATUS = _reading("status", "pipelines.status", tells=True, share=0.5)
GALLERY = _reading("gallery", "pipelines.gallery", result=results.page)
CODEC = _training("codec", "num_workers=0", "validate_every=3", "stage.codec.width=8", "stage.codec.crop_px=16")
WORDS = _training("words", "num_workers=0", "validate_every=3")
BASE = _training("base", "num_workers=0", "validate_every=0", base="words")
MOTION = _training("motion", "num_workers=2", "validate_every=2", "val_sequences=2", "sample_every=4", base="base")
REPLICATION = _training("replication", "num_workers=1", "validate_every=0", base="base", motion="motion")
SPATIAL_LORA = _training("spatial_lora", "num_workers=0", "validate_every=0", base="base")
MOTION_LORA = _training("motion_lora", "num_workers=0", "validate_every=0", base="base", motion="motion")
LATENTS = _training(
    "motion", "num_workers=1", "validate_every=0", base="base", data="latents", name="motion of latents"
)
RANKS = replace(
    _training("motion", "num_workers=1", "validate_every=0", base="base", name="motion on two ranks", ranks=2),
    share=0.2,
)
ASSEMBLE = Subject(
    name="assemble",
    words=(
        "training.assemble", "base=in/base", "motion=in/motion", "replication=in/replication",
        "loras=[{path: in/spatial_lora, name: look}]", f"out={OUT}",
    ),
    needs=("base", "motion", "replication", "spatial_lora"),
)  # fmt: skip
PAINT = Subject(
    name="paint",
    words=("pipelines.paint", *_STEPS, "prompt=a red house", f"out={OUT}"),
    needs=("painter",),
)
BATCH = Subject(
    name="paint a batch",
    words=("pipelines.paint", *_STEPS, "task=reconstruct", "image=in/pictures", "batch_size=2", f"out={OUT}"),
    needs=("painter", "pictures"),
    kept=results.kept_paintings,
    share=0.7,
)
EVALUATE = Subject(
    name="evaluate",
    words=("pipelines.evaluate", "generated=in/painted", "reference=in/data", "num_frames=4", f"out={OUT}"),
    needs=("painted", "data"),
)
EXPORT = Subject(
    name="export",
    words=("pipelines.export", "dataset=in/data", "key=00000000", "overwrite=true", f"out={OUT}/a.ora"),
    needs=("data",),
)

FILM = Subject(
    name="film",
    words=(
        "pipelines.film", "picture=in/pictures/picture0.png", "renderer=bezier", "renderer.num_strokes=12",
        "renderer.preset=fast", "canvas_px=64", "size=64", "seconds=1", "hold=0", "frames_per_s=8", "overwrite=true",
        f"out={OUT}/a.mp4",
    ),
    needs=("pictures",),
)  # fmt: skip
DASHBOARD = Subject(name="dashboard", words=("training.dashboard", f"out={OUT}"), result=results.without_ids, share=0.5)
_TO = ("repo=somebody/something", "dry_run=true")
PUBLISH = Subject(name="publish", words=("pipelines.publish", "dataset=in/data", *_TO), needs=("data",), tells=True)
PUBLISH_PAINTER = Subject(
    name="publish a painter", words=("pipelines.publish", "painter=in/painter", *_TO), needs=("painter",), tells=True,
    share=0.5,
)  # fmt: skip
PUBLISH_RUN = Subject(
    name="publish a run", words=("pipelines.publish", "run=in/base", *_TO), needs=("base",), tells=True, share=0.5
)

SUBJECTS = (
    SCENES, FOLDER, MIX, RAY, INGEST, VIDEO, ENCODE, VERIFY, STATUS, GALLERY, CODEC, WORDS, BASE, MOTION, REPLICATION,
    SPATIAL_LORA, MOTION_LORA, LATENTS, RANKS, ASSEMBLE, PAINT, BATCH, EVALUATE, EXPORT, FILM,
    DASHBOARD, PUBLISH, PUBLISH_PAINTER, PUBLISH_RUN,
)  # fmt: skip
