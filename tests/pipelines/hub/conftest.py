"""Nothing here reaches the network: any connection but to this machine is an error."""

import socket
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = socket.socket.connect

    def connect_here(self: socket.socket, address: Any) -> None:
        assert self.family == socket.AF_UNIX or address[0] in ("127.0.0.1", "::1"), f"the network was asked: {address}"
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_here)
