"""Join the models trained by the stages into one painter, a folder for pipelines.paint.

    python -m training.assemble words=RUN base=RUN motion=RUN replication=RUN out=outputs/painter
    python -m training.assemble base=RUN motion=RUN loras=[outputs/ink_spatial,outputs/ink_motion] dtype=fp16 out=DIR
    python -m training.assemble painter=PAINTER loras=[outputs/ink_spatial] out=DIR    # another painter, and more

RUN is the out= of training.train. Parts must belong together: each run's card names the models that it was trained on,
and a part that does not match is refused. Licences and run cards of all parts are copied into the painter.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from conf.command import Summary, command, leave, next_line
from conf.compose import typed
from conf.errors import ConfigError, UserError
from conf.value import check_named, parse_size
from training.data.claim import claimed_folder
from training.data.manifest import stored_hash
from training.data.mirror import local_copy
from training.data.own_page import README
from training.data.remote import AnyPath
from training.data.staging import to_stores
from training.models.painter_checks import STAGES_OF_PART, GivenParts, learnt_further
from training.models.painter_folder import read_painter_card
from training.models.painter_parts import (
    Part,
    key_of_part,
    part_at,
    parts_of_painter,
    refuse_other_painter,
    resolved_parents,
)
from training.models.painter_sizes import SizePx, check_cells, check_sides, read_sizes, shown_by
from training.models.weights import PAINTER_CARD
from training.tracking import Artifact, NoTracker, Tracker, TrackerConfig, WandbTracker

if TYPE_CHECKING:
    from training.models.painter import Painter


@dataclass(frozen=True, kw_only=True)
class LoraChoice:
    """A LoRA, and its name in the painter."""

    path: Path
    name: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", self.name) or self.name in STAGES_OF_PART:
            allowed = f"1 to 64 letters, digits, _ and -, but not {', '.join(STAGES_OF_PART)}"
            raise ConfigError("name", self.name, f"{allowed}; loras=[{{name: NAME, path: {self.path}}}] names it")


@dataclass(frozen=True, kw_only=True)
class AssembleConfig:
    """What goes into a painter; `conf/assemble.yaml` says what each key means."""

    out: Path
    painter: AnyPath | None
    base: AnyPath | None
    motion: AnyPath | None
    words: AnyPath | None
    codec: AnyPath | None
    replication: AnyPath | None
    loras: tuple[LoraChoice, ...]
    licences: Mapping[str, str]
    num_frames: int | None
    size: tuple[int, int] | None
    sizes: tuple[tuple[int, int], ...]
    dtype: Literal["fp32", "fp16"]
    tracker: TrackerConfig

    def __post_init__(self) -> None:
        for key in ("base", "motion"):
            if getattr(self, key) is None and self.painter is None:
                raise UserError(f"{key} is required: set {key}=RUN, or painter=PAINTER to take it from one")
        names = [lora.name for lora in self.loras]
        if len(set(names)) < len(names):
            raise ConfigError("loras", names, "LoRAs of different names, as in loras=[{name: NAME, path: PATH}]")
        if self.num_frames is not None and not 2 <= self.num_frames <= 256:
            raise ConfigError("num_frames", self.num_frames, "2 to 256")
        check_named("out", self.out)
        for key, size in self.given_sizes:
            check_sides(key, size)
        unknown = self.licences.keys() - self.places.keys()
        if unknown:
            raise ConfigError("licences", min(unknown), f"the parts {', '.join(self.places)}")

    @property
    def given_sizes(self) -> list[tuple[str, SizePx]]:
        """Each size that the user gave, with the key that it was given by."""
        return [*([("size", self.size)] if self.size is not None else []), *(("sizes", size) for size in self.sizes)]

    @property
    def places(self) -> dict[str, AnyPath]:
        """Part -> the path that the user gave for it."""
        places = {
            "base": self.base, "motion": self.motion, "words": self.words, "codec": self.codec,
            "replication": self.replication,
        }  # fmt: skip
        given_places = {key: place for key, place in places.items() if place is not None}
        return {**given_places, **{lora.name: lora.path for lora in self.loras}}


def run(config: AssembleConfig) -> Summary:
    """Assemble a painter.

    Raises:
        UserError: if a part is missing, of another kind, or does not belong to the others, or `out` is something else.
    """
    parts = parts_of_painter(config.painter) if config.painter is not None else {}
    if config.base is not None:
        parts.pop("words", None)  # these belong to the painter's old base
    parts |= {key: part_at(key, place) for key, place in config.places.items()}
    GivenParts(parts=parts, places=config.places, painter=config.painter).check()
    facts = _facts(config, parts)
    check = partial(refuse_other_painter, config.out, facts)
    with claimed_folder(config.out, what="a painter", card=PAINTER_CARD, check=check), _tracker(config) as tracker:
        _assemble(config, parts, facts)
        tracker.artifact(_artifact(config, parts, facts))
    megabytes = sum(path.stat().st_size for path in config.out.rglob("*") if path.is_file()) / 1e6
    return Summary(
        lines=(
            f"{config.out}: a painter of {', '.join(parts)}; {megabytes:.1f} MB",
            next_line("python", "-m", "pipelines.paint", f"painter={config.out}", placeholder='prompt="..."'),
        )
    )


@contextmanager
def _tracker(config: AssembleConfig) -> Iterator[Tracker]:
    """The configured tracker. It writes to `outputs`, because a painter's folder holds nothing but the painter."""
    if config.tracker.kind == "none":
        yield NoTracker()
        return
    name = config.tracker.name or f"{config.out.resolve().name}: painter"
    tracker = WandbTracker(
        settings=config.tracker, name=name, job_type="assemble", folder=Path("outputs"), step_metric="step", config={}
    )
    try:
        yield tracker
    finally:
        tracker.finish()


def _artifact(config: AssembleConfig, parts: Mapping[str, Part], facts: Mapping[str, Any]) -> Artifact:
    """The painter as an artifact, made from the weights of its parts, which in turn name their data sets."""
    return Artifact(
        kind="painter",
        sha256=stored_hash(config.out / PAINTER_CARD),
        facts={"parts": list(parts), **{key: facts[key] for key in ("num_frames", "size_px", "dtype")}},
        made_from=tuple(Artifact(kind="weights", sha256=part.hash) for part in parts.values()),
    )


def _facts(config: AssembleConfig, parts: Mapping[str, Part]) -> dict[str, Any]:
    """The facts that `painter.json` states about the painter as a whole."""
    from importlib.metadata import version

    data = parts["motion"].data
    inherited = _inherited_facts(config, parts)
    num_frames = config.num_frames or inherited.get("num_frames") or data.get("num_frames")
    size = config.size or inherited.get("size_px") or _size(parts)
    sizes = config.sizes or inherited.get("sizes_px", ())
    if num_frames is None or size is None:
        key = "num_frames" if num_frames is None else "size"
        raise UserError(
            f"{key} is needed: the card of motion={parts['motion'].weights} does not give it; set {key}=..."
        )
    return {
        "num_frames": num_frames,
        "size_px": list(size),
        **({"sizes_px": [list(each) for each in sizes]} if sizes else {}),
        "phrases": data.get("phrases", {}),
        "dtype": config.dtype,
        "code_version": version("process-painter"),
        "parts": {
            key: {"hash": part.hash, "licences": _licences(config, part), "parents": resolved_parents(part, parts)}
            for key, part in parts.items()
        },
    }


def _inherited_facts(config: AssembleConfig, parts: Mapping[str, Part]) -> dict[str, Any]:
    """Frame count and sizes of `painter=`, or nothing if `motion=` replaces its motion model.

    With another codec, the sizes are those at which that codec shows the frames.
    """
    if config.painter is None or config.motion is not None:
        return {}
    folder = local_copy("painter", config.painter)
    card = read_painter_card(folder)
    codec_weights = parts["codec" if "codec" in parts else "base"].weights
    size, *sizes = shown_by(codec_weights, [card["size_px"], *card.get("sizes_px", ())], instead_of=folder)
    return {"num_frames": card["num_frames"], "size_px": size, "sizes_px": sizes}


def _size(parts: Mapping[str, Part]) -> list[int] | None:
    """(height, width) of the frames that the motion model learned from, at the size at which the codec shows them."""
    size = parts["motion"].data.get("size_px")
    if size is None or "codec" not in parts:
        return size
    return shown_by(parts["codec"].weights, [size], instead_of=parts["base"].weights)[0]


def _licences(config: AssembleConfig, part: Part) -> dict[str, Any]:
    """Licences of the pictures that a part was trained on; the user states those of parts that come from elsewhere."""
    if part.key in config.licences:
        return {"weights": config.licences[part.key]}
    if part.licences is not None:
        return dict(part.licences)
    if part.card is None:
        raise UserError(
            f"{key_of_part(part.key)}={config.places[part.key]}: not trained here; "
            f"state its licence: licences={{{part.key}: NAME}}"
        )
    return {"data": part.data.get("licences", {})}


def _assemble(config: AssembleConfig, parts: Mapping[str, Part], facts: Mapping[str, Any]) -> None:
    """Load all parts, and write the painter so that its folder is complete or absent."""
    import torch

    from training.models.painter_page import write_painter_page
    from training.run.checkpoint import replaced_folder

    painter = _loaded_painter(config, parts, facts)
    for key, size in config.given_sizes:
        check_cells(key, size, painter.base.cell_px)
    cards = {key: part.card for key, part in parts.items() if part.card is not None}
    with replaced_folder(config.out) as folder:
        painter.save(folder, cards, {"fp32": torch.float32, "fp16": torch.float16}[config.dtype])
        write_painter_page(folder, before=config.out / README)


def _loaded_painter(config: AssembleConfig, parts: Mapping[str, Part], facts: Mapping[str, Any]) -> "Painter":
    from training.models.painter import PainterParts
    from training.models.registry import architecture, architecture_of_base

    return architecture(architecture_of_base(parts["base"].weights)).assemble(
        PainterParts(
            base=parts["words" if learnt_further(parts) else "base"].weights,
            motion=parts["motion"].weights,
            replication=parts["replication"].weights if "replication" in parts else None,
            loras={key: part.weights for key, part in parts.items() if key not in STAGES_OF_PART},
            recipes={key: part.card["recipe"] for key, part in parts.items() if part.card is not None},
            codec=parts["codec"].weights if "codec" in parts else None,
            facts=facts,
        )
    )


def assemble_config(plain: dict[str, Any]) -> AssembleConfig:
    """The typed configuration.

    Raises:
        UserError: naming the key, the value and what is allowed.
    """
    listed = [] if plain["loras"] is None else plain["loras"] if isinstance(plain["loras"], list) else [plain["loras"]]
    for licence in plain["licences"].values() if isinstance(plain["licences"], dict) else ():
        if licence in (None, "") or isinstance(licence, list | dict):
            raise ConfigError("licences", plain["licences"], "the name of a licence for each part, as {base: CC0-1.0}")
    size = None if plain["size"] is None else parse_size(plain["size"])
    parsed_values = {
        "loras": [_lora_fields(lora) for lora in listed],
        "licences": {} if plain["licences"] is None else plain["licences"],
        "size": size and [*reversed(size)],
        "sizes": read_sizes("sizes", plain["sizes"]),
    }
    return typed(AssembleConfig, {**plain, **parsed_values})


def _lora_fields(lora: Any) -> dict[str, Any]:
    """Path and name of a LoRA, of which the user may have given the path alone."""
    fields = lora if isinstance(lora, dict) else {"path": lora}
    if fields.get("path") is None or isinstance(fields["path"], list | dict):
        raise ConfigError("loras", lora, "paths, or {name: NAME, path: PATH} for each, as in loras=[PATH,PATH]")
    return {"name": _default_name(Path(str(fields["path"]))), **fields}


def _default_name(path: Path) -> str:
    """A valid LoRA name made from the name of a file or folder: `ink_v1` for `ink.v1.safetensors`."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", path.stem)[:64]


if __name__ == "__main__":
    leave(command("assemble", *to_stores(assemble_config, run, mark=PAINTER_CARD), __doc__ or ""))
