"""An app in a process of its own, and requests to it by plain HTTP."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx

from tests.pipelines.runs import REPOSITORY

START_S = 240
"""How long an app may take to start on a busy machine."""


@dataclass(frozen=True, kw_only=True)
class Served:
    """An app that is running."""

    url: str
    out: Path
    log: Path
    process: "subprocess.Popen[bytes]"

    def end(self) -> int:
        """Send Ctrl-C; returns the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def serving(folder: Path, command: Sequence[str], port: int, out: Path, **environment: str) -> Iterator[Served]:
    """Start an app with this command in this folder, and yield it once it is ready."""
    if find_spec("gradio") is None:
        raise ModuleNotFoundError("No module named 'gradio'")
    log = folder / "app.log"
    paths = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", **environment}
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, *command], cwd=folder, stderr=file, stdout=file, env=paths,
            # A shell's background jobs ignore Ctrl-C, and so would what they start.
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
    try:
        deadline_s = time.monotonic() + START_S
        while b"painting at" not in log.read_bytes():
            assert process.poll() is None and time.monotonic() < deadline_s, log.read_text()
            time.sleep(0.1)
        yield Served(url=f"http://127.0.0.1:{port}", out=out, log=log, process=process)
    finally:
        process.kill()
        process.wait()


def answers(**options: Any) -> list[Any]:
    """The data that the form sends, in its order; by default, two steps for a boat."""
    form: dict[str, Any] = {
        "start": "words", "subject": "a boat", "method": "", "finished": None, "unfinished": None, "at": 1,
        "num_frames": 3, "in_strokes": False, "steps": 2, "seed": 1, "painter": "painter",
        "pins": [None, -1, None, 1, None, 2, None, 3], "own_names": None,
    }  # fmt: skip
    assert options.keys() <= form.keys()
    form |= options
    pins, own_names = form.pop("pins"), form.pop("own_names")
    return [*form.values(), *pins, own_names]


def upload(url: str, data: bytes, name: str = "picture.png") -> dict[str, Any]:
    """Upload a file as the page does; returns the reference that the form sends for it."""
    response = httpx.post(f"{url}/gradio_api/upload", files={"files": (name, data)}, timeout=60)
    assert response.status_code == 200, response.text
    return of_path(response.json()[0])


def of_path(path: str) -> dict[str, Any]:
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def events(url: str, data: Sequence[Any]) -> Generator[tuple[str, Any], None, None]:
    """All events of a painting, as (event, data); raises an error if the request is not accepted."""
    response = httpx.post(f"{url}/gradio_api/call/paint", json={"data": list(data)}, timeout=60)
    response.raise_for_status()
    address = f"{url}/gradio_api/call/paint/{response.json()['event_id']}"
    with httpx.stream("GET", address, timeout=START_S) as stream:
        event = ""
        for line in stream.iter_lines():
            if line.startswith("event: "):
                event = line.removeprefix("event: ")
            elif line.startswith("data: ") and event != "heartbeat":
                yield event, json.loads(line.removeprefix("data: "))


def painted(url: str, data: Sequence[Any]) -> str:
    """Paint, and return the name of the painting."""
    event, outputs = list(events(url, data))[-1]
    assert event == "complete", outputs
    name = re.search(r"paintings/([0-9a-f-]+)/index.html", outputs[0])
    assert name is not None, outputs
    return name[1]


def refusal(url: str, data: Sequence[Any]) -> str:
    """The error message that a visitor sees instead of a painting."""
    event, data_of_event = list(events(url, data))[-1]
    assert event == "error", data_of_event
    return str(data_of_event["error"])
