"""The inputs that docs/importing.md names: small files of every kind that is read, as other programs write them."""

import json
from pathlib import Path

from tests.pipelines.artists.ingest_runs import save, sheet_of, stages
from tests.pipelines.artists.test_imports import line, segments, write_archive
from tests.pipelines.artists.test_layers import WRITERS
from tests.pipelines.sources.test_hub import fill, picture
from tests.pipelines.sources.test_parquet import pictures, write
from tests.pipelines.sources.test_webdataset import samples, tar_bytes


def make_importable(root: Path, home: Path) -> None:
    """Write the files into the folder in which the documented commands run, and into the home that they name."""
    walls = {f"{split}/{colour}.png": picture(colour) for split in ("train", "test") for colour in ("red", "blue")}
    fill(home / "sets" / "walls", walls)
    write(root / "data" / "train-0.parquet", {"image": pictures("red", "lime"), "prompt": ["a red wall", "a lime one"]})
    fill(root, {f"train-{number:05}.tar": tar_bytes(samples(f"key{number}")) for number in range(16)})
    (root / "documents").mkdir()
    for ending, write_document in WRITERS.items():
        write_document(root / "documents" / f"sheet.{ending}")
    save(root / "makeanything" / "portrait" / "one.png", sheet_of(stages(9), 3, 3, "boustrophedon"))
    (root / "makeanything" / "portrait" / "one.caption").write_text("3*3 of 9 sub-images, a portrait --lora_up 6")
    write_archive(root / "painvidpro" / "youtube" / "v0" / "frame_data.h5", stages(12))
    (root / "video_sources_split.json").write_text(json.dumps({"youtube": {"v0": "train"}}))
    (root / "quickdraw").mkdir()
    spiral = [[[128 + 9 * n * (-1) ** (n // 2) for n in range(14)], [128 + 9 * n * (-1) ** n for n in range(14)]]]
    (root / "quickdraw" / "cat.ndjson").write_text("\n".join(line(spiral, key_id=str(number)) for number in range(3)))
    (root / "ipad").mkdir()
    segments(root / "ipad" / "boat.procreate", stages(14, height=80, width=96), (9, 5))
