"""Painters that are assembled from small runs."""

from pathlib import Path
from typing import Any

from conf.compose import compose
from training.assemble import assemble_config, run
from training.models import painter_folder
from training.models.sd15.painter import Painter

Folders = dict[str, Path]


def assemble(runs: Folders, out: Path, /, **options: Any) -> Path:
    """Assemble a painter of base, motion and replication; `options` take precedence. Returns its folder."""
    parts: dict[str, Any] = {key: runs[key] for key in ("base", "motion", "replication") if key in runs}
    values = {**parts, "licences": "{base: CC0-1.0}", "out": out, **options}
    run(assemble_config(compose("assemble", [f"{key}={value}" for key, value in values.items()])))
    return out


def load_painter(folder: Path) -> Painter:
    painter = painter_folder.load_painter(folder)
    assert isinstance(painter, Painter)
    return painter
