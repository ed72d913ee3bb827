"""A real S3 server (moto's) in a process of its own, which can be made to fail as real ones do.

    python -m tests.object_store PORT_FILE

`ObjectStore` starts it and controls it. Faults are drawn at random from a seed, in the order of requests.
"""

import io
import json
import os
import random
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fsspec import AbstractFileSystem

from tests.pipelines.runs import REPOSITORY

_CONTROL = "/_faults"
_ERROR = "<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
_ENTRY = re.compile(rb"<Contents>.*?<LastModified>(.*?)</LastModified>.*?</Contents>", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Faults:
    """The faults of the server.

    Attributes:
        latency_s: latency of every request.
        throttled, dropped, cut: shares of requests that are answered by 503 (slow down), by a closed connection, and
            by half of the answer and then a closed connection.
        slow, slow_s: share of requests that are slower, and by how many seconds.
        expired, forbidden: whether credentials are refused because they have expired, or lack permission.
        lag_s: age that objects must have to be in listings.
        seed: seed of the random draws.
    """

    latency_s: float = 0.0
    throttled: float = 0.0
    dropped: float = 0.0
    cut: float = 0.0
    slow: float = 0.0
    slow_s: float = 1.0
    expired: bool = False
    forbidden: bool = False
    lag_s: float = 0.0
    seed: int = 0


class ObjectStore:
    """A context manager that runs the server. `environment` directs clients to it."""

    def __init__(self, folder: Path) -> None:
        self._port_file = folder / "object-store-port"

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.object_store", str(self._port_file)],
            cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 120
        while not self._port_file.exists():
            assert self._process.poll() is None and time.monotonic() < deadline, "the object store does not start"
            time.sleep(0.05)
        self.address = f"http://127.0.0.1:{self._port_file.read_text()}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that direct any S3 client to this server."""
        return {
            "AWS_ENDPOINT_URL": self.address, "AWS_ACCESS_KEY_ID": "someone", "AWS_SECRET_ACCESS_KEY": "s3cret",
            "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
        }  # fmt: skip

    def fails(self, faults: Faults) -> None:
        """Fail in this way from now on."""
        self._control(json.dumps(asdict(faults)).encode())

    def works(self) -> None:
        """Work without faults from now on."""
        self.fails(Faults())

    def counts(self) -> dict[str, int]:
        """Numbers of requests of each method, and of faults of each kind, since the last `fails`."""
        counts: dict[str, int] = json.loads(self._control(None))
        return counts

    def _control(self, data: bytes | None) -> bytes:
        with urllib.request.urlopen(self.address + _CONTROL, data) as answer:
            content: bytes = answer.read()
        return content

    def storage(self) -> AbstractFileSystem:
        """A client that is independent of the code under test."""
        import s3fs

        return s3fs.S3FileSystem(key="someone", secret="s3cret", endpoint_url=self.address, use_listings_cache=False)

    def files(self, url: str) -> dict[str, bytes]:
        """The content of all files below a URL, by name."""
        storage, root = self.storage(), url.removeprefix("s3://")
        paths = storage.find(root)
        return {path[len(root) + 1 :]: storage.cat_file(path) for path in paths}


class _FaultyApplication:
    """A WSGI application that adds faults to moto's."""

    def __init__(self, application: Any) -> None:
        self._application, self._lock = application, threading.Lock()
        self._set(Faults())

    def _set(self, faults: Faults) -> None:
        self._faults, self._draws, self._counts = faults, random.Random(faults.seed), Counter[str]()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == _CONTROL:
            return self._control(environ, start_response)
        with self._lock:
            faults, draw, slowness = self._faults, self._draws.random(), self._draws.random()
            self._counts[environ["REQUEST_METHOD"]] += 1
        time.sleep(faults.latency_s + (faults.slow_s if slowness < faults.slow else 0.0))
        body = self._body(environ)
        refuse = partial(self._refusal, environ, start_response)
        if faults.expired:
            return refuse("400 Bad Request", "ExpiredToken", "The provided token has expired.")
        if faults.forbidden:
            return refuse("403 Forbidden", "AccessDenied", "Access Denied")
        if draw < faults.throttled:
            return refuse("503 Slow Down", "SlowDown", "Please reduce your request rate.")
        if draw < faults.throttled + faults.dropped:
            return self._closed(environ, "dropped", b"")
        status: list[Any] = []
        environ["wsgi.input"], environ["wsgi.input_terminated"] = io.BytesIO(body), True
        answer = b"".join(self._application(environ, lambda *arguments: status.extend(arguments)))
        if draw < faults.throttled + faults.dropped + faults.cut:  # the request has been carried out all the same
            head = f"HTTP/1.1 {status[0]}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in status[1])
            return self._closed(environ, "cut", head.encode() + b"\r\n" + answer[: len(answer) // 2])
        if faults.lag_s and b"<ListBucketResult" in answer:
            answer = _ENTRY.sub(lambda entry: b"" if _age_s(entry[1]) < faults.lag_s else entry[0], answer)
            status[1] = [(name, value) for name, value in status[1] if name.lower() != "content-length"]
            status[1].append(("Content-Length", str(len(answer))))
        start_response(*status[:2])
        return [answer]

    def _control(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        with self._lock:
            if environ["REQUEST_METHOD"] == "POST":
                self._set(Faults(**json.loads(self._body(environ))))
            answer = json.dumps(self._counts).encode()
        start_response("200 OK", [("Content-Type", "application/json")])
        return [answer]

    def _body(self, environ: dict[str, Any]) -> bytes:
        if environ.get("HTTP_TRANSFER_ENCODING") == "chunked":
            data: bytes = environ["wsgi.input"].read()
            return data
        data = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        return data

    def _refusal(
        self, environ: dict[str, Any], start_response: Any, status: str, code: str, message: str
    ) -> Iterable[bytes]:
        self._counts[code] += 1
        reason = b"" if environ["REQUEST_METHOD"] == "HEAD" else _ERROR.format(code=code, message=message).encode()
        start_response(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(reason)))])
        return [reason]

    def _closed(self, environ: dict[str, Any], kind: str, sent: bytes) -> Iterator[bytes]:
        self._counts[kind] += 1
        connection: socket.socket = environ["werkzeug.socket"]
        with suppress(OSError):
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_RDWR)
        raise ConnectionAbortedError


def _age_s(written: bytes) -> float:
    moment = datetime.fromisoformat(written.decode().replace("Z", "+00:00"))
    return (datetime.now(UTC) - moment).total_seconds()


def _serve(port_file: Path) -> None:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Handler(WSGIRequestHandler):  # type: ignore[misc]
        protocol_version = "HTTP/1.1"  # connections stay open between requests, as with real stores

        def log(self, *_: Any) -> None:
            pass

    application = _FaultyApplication(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Handler)
    unfinished = port_file.with_suffix(".part")
    unfinished.write_text(str(server.port))
    unfinished.rename(port_file)
    parent = os.getppid()

    def end_with_parent() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(0)

    threading.Thread(target=end_with_parent, daemon=True).start()
    server.serve_forever()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
