"""An untrained painter; and nothing here reaches the network: any connection but to this machine is an error."""

import socket
from pathlib import Path
from typing import Any

import pytest

from tests.pipelines.hub.stock import stock
from tests.pipelines.small_painter import save_untrained_painter


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = socket.socket.connect

    def connect_here(self: socket.socket, address: Any) -> None:
        assert self.family == socket.AF_UNIX or address[0] in ("127.0.0.1", "::1"), f"the network was asked: {address}"
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_here)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained painter of 3 frames of 64 px. Do not change it."""
    return save_untrained_painter(tmp_path_factory.mktemp("painter") / "painter")


@pytest.fixture(scope="module")
def painter(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The same painter as loaded by stock diffusers."""
    return stock(folder, tmp_path_factory.mktemp("modules"))
