"""Procreate's documents of which a part was lost."""

import zipfile
from pathlib import Path

import cv2

from pipelines.artists.procreate import read_procreate
from tests.pipelines.artists.ingest_runs import stages
from tests.pipelines.artists.test_imports import segments


def test_segments_that_lack_are_noted(tmp_path: Path) -> None:
    whole = segments(tmp_path / "a.procreate", [cv2.resize(picture, (96, 80)) for picture in stages(10)], (2,) * 5)
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(tmp_path / "b.procreate", "w") as gaps:
        for name in source.namelist():
            if not name.endswith(("segment-1.mp4", "segment-4.mp4")):
                gaps.writestr(name, source.read(name))
    footage = read_procreate(str(tmp_path / "b.procreate"), 64, range(2, 401))
    assert footage.notes["missing_segments"] == [1, 4] and footage.num_moments == 6
    assert "missing_segments" not in read_procreate(str(whole), 64, range(2, 401)).notes
