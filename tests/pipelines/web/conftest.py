"""One app for all tests of this folder, with an untrained painter that paints at once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipelines.small_painter import save_untrained_painter
from tests.pipelines.web.served import Served, free_port, serving

QUEUE = 10


@pytest.fixture(scope="session")
def painter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_untrained_painter(tmp_path_factory.mktemp("painters") / "painter")


@pytest.fixture(scope="session")
def app(painter: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder, port = tmp_path_factory.mktemp("app"), free_port()
    limits = ["limits.upload_mb=1", "limits.steps=500", f"limits.queue={QUEUE}", "limits.frames=32"]
    command = ["-m", "process_painter", "app", f"painters=[{painter}]", f"port={port}", "out=out", *limits]
    with serving(folder, command, port, folder / "out") as served:
        yield served
