"""The part of the Hub's download interface that `datasets` and huggingface_hub use, for one data set in memory."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tests.pipelines.hub.local_server import local_server

COMMIT = "c0ffee" + "0" * 34


@dataclass
class ReadableHub:
    """The files of `datasets/USER/NAME` by their path; `asked` lists (file, byte range) of each partial request."""

    name: str
    files: dict[str, bytes]
    endpoint: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)

    def answer(self, path: str, byte_range: str) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers of the answer to a request."""
        path = unquote(path.partition("?")[0]).strip("/")
        info = f"api/datasets/{self.name}"
        files = f"datasets/{self.name}/resolve/"
        if path in (info, f"{info}/revision/main", f"{info}/revision/{COMMIT}"):
            siblings = [{"rfilename": name} for name in self.files]
            return 200, _json({"id": self.name, "sha": COMMIT, "siblings": siblings, "private": False}), {}
        if path.startswith(f"{info}/tree/"):
            return 200, _json(self._tree(path.removeprefix(f"{info}/tree/").partition("/")[2])), {}
        if path.startswith(f"{info}/paths-info/"):
            return 200, _json(self._tree("")), {}
        name = path.removeprefix(files).partition("/")[2]
        if path.startswith(files) and name in self.files:
            return self._bytes(name, byte_range)
        return 404, _json({"error": "Entry not found"}), {"X-Error-Code": "EntryNotFound"}

    def _bytes(self, name: str, byte_range: str) -> tuple[int, bytes, dict[str, str]]:
        data = self.files[name]
        head = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if not byte_range:
            return 200, data, head
        self.asked.append((name, byte_range))
        first, _, last = byte_range.removeprefix("bytes=").partition("-")
        end = min(int(last) + 1 if last else len(data), len(data))
        head["Content-Range"] = f"bytes {first}-{end - 1}/{len(data)}"
        return 206, data[int(first) : end], head

    def _tree(self, folder: str) -> list[dict[str, Any]]:
        """Files and folders under a folder."""
        paths = [name for name in self.files if name.startswith(f"{folder}/") or not folder]
        folders = sorted({str(parent) for name in paths for parent in Path(name).parents} - {".", folder})
        tree: list[dict[str, Any]] = [
            {"type": "directory", "path": each, "oid": "0" * 40, "size": 0} for each in folders
        ]
        return tree + [{"type": "file", "path": each, "oid": "1" * 40, "size": len(self.files[each])} for each in paths]


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


@contextmanager
def readable_hub(name: str, files: dict[str, bytes]) -> Iterator[ReadableHub]:
    """A Hub that runs within the context."""
    hub = ReadableHub(name, files)

    class Handler(BaseHTTPRequestHandler):
        def _reply(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, body, headers = hub.answer(self.path, self.headers.get("Range", ""))
            self.send_response(status)
            for key, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_POST = _reply  # names of the standard library's

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with local_server(Handler) as hub.endpoint:
        yield hub
