"""The part of the Hub's upload interface that huggingface_hub uses, with repositories in memory on this machine."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from tests.pipelines.hub.local_server import local_server

TOKEN = "hf_of_a_test"
_SMALL = 10_000  # bytes that are sent with the commit; more, and what is not text, is sent as Git LFS


@dataclass
class Repository:
    """What was committed to a repository."""

    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def write(self, folder: Path) -> Path:
        """Write its files as a download would; returns the folder."""
        for name, data in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        return folder


@dataclass
class FakeHub:
    """All repositories, by `datasets/USER/NAME` or `models/USER/NAME`.

    Attributes:
        stored: content of the files that were sent as Git LFS, by object id.
        sent: object ids of these files, in order.
        most_sent: number of such files that are accepted before all others are refused.
    """

    endpoint: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    stored: dict[str, bytes] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)
    most_sent: int = 1_000_000

    def answer(self, method: str, path: str, data: bytes) -> tuple[int, Any]:
        """Status and JSON of the answer to a request."""
        parts = path.partition("?")[0].strip("/").split("/")
        if method == "PUT":
            return self._put(parts[-1], data)
        if parts[-2:] == ["objects", "batch"]:
            return 200, self._batch(json.loads(data))
        if parts[1:] == ["repos", "create"]:
            return self._create(json.loads(data))
        if parts[1:] == ["validate-yaml"]:
            return 200, {"errors": [], "warnings": []}
        name = "/".join(parts[1:4])
        if name not in self.repositories:
            return 404, {"error": "Repository not found"}
        if parts[4:5] == ["preupload"]:
            return 200, {"files": [_mode(file) for file in json.loads(data)["files"]]}
        if parts[4:5] == ["commit"]:
            return 200, self._commit(name, [json.loads(line) for line in data.splitlines()])
        return 200, {"id": "/".join(parts[2:4]), "private": self.repositories[name].private, "sha": "0" * 40}

    def _create(self, asked: dict[str, Any]) -> tuple[int, Any]:
        name = f"{asked.get('type') or 'model'}s/{asked.get('organization', 'me')}/{asked['name']}"
        address = {"url": f"{self.endpoint}/{name.removeprefix('models/')}"}
        if name in self.repositories:
            return 409, {"error": "You already created this repo", **address}
        self.repositories[name] = Repository(private=asked["visibility"] == "private")
        return 200, address

    def _batch(self, asked: dict[str, Any]) -> dict[str, Any]:
        objects = []
        for each in asked["objects"]:
            upload = {"actions": {"upload": {"href": f"{self.endpoint}/lfs/{each['oid']}"}}}
            objects.append({**each, **({} if each["oid"] in self.stored else upload)})
        return {"transfer": "basic", "objects": objects}

    def _put(self, oid: str, data: bytes) -> tuple[int, Any]:
        if len(self.sent) >= self.most_sent:
            return 403, {"error": "no more today"}
        self.sent.append(oid)
        self.stored[oid] = data
        return 200, {}

    def _commit(self, name: str, lines: list[dict[str, Any]]) -> dict[str, Any]:
        repository = self.repositories[name]
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                repository.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                repository.files[value["path"]] = self.stored[value["oid"]]
            else:
                repository.messages.append(value["summary"])
        return {"commitUrl": f"{self.endpoint}/{name}/commit/{'0' * 40}", "commitOid": "0" * 40}


def _mode(file: dict[str, Any]) -> dict[str, Any]:
    is_text = file["path"].endswith((".json", ".md", ".py", ".jsonl")) and file["size"] <= _SMALL
    return {"path": file["path"], "uploadMode": "regular" if is_text else "lfs", "shouldIgnore": False}


@contextmanager
def fake_hub() -> Iterator[FakeHub]:
    """A Hub that runs within the context."""
    hub = FakeHub()

    class Handler(BaseHTTPRequestHandler):
        def _reply(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            allowed = self.headers.get("Authorization") == f"Bearer {TOKEN}" or self.command == "PUT"
            status, answer = hub.answer(self.command, self.path, data) if allowed else (401, {"error": "Invalid token"})
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            if status >= 400:
                self.send_header("X-Error-Message", answer["error"])
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = _reply  # names of the standard library's

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with local_server(Handler) as hub.endpoint:
        yield hub
