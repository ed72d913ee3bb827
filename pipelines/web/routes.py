"""Answers of the server besides the page itself: files of paintings, and refusals of what no visitor's page asks."""

import re
import tempfile
from collections.abc import Iterator
from ipaddress import ip_address
from typing import IO
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from conf.progress import tell
from pipelines.web.paintings import Paintings

_IN_MEMORY_BYTES = 16_000_000
_PIECE_BYTES = 1 << 16
_FORM_BYTES = 1_000_000  # largest size of a request without the uploaded file
_PORTS = {"http": 80, "https": 443}
_GRADIO = "/gradio_api/"  # its own answers to programs
_POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'self'; form-action 'self'"
)
"""Nothing may be fetched from other hosts. Gradio's page needs the unsafe permissions."""
_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]


def painting_routes(paintings: Paintings) -> list[Route]:
    """Routes of `paintings/NAME/FILE`, such as the player's page, and of `paintings/NAME.zip`."""

    def file(request: Request) -> Response:
        painting = paintings.find(request.path_params["name"])
        name = request.path_params["file"]
        if painting is None or name not in painting.files:
            return _not_found()
        return FileResponse(painting.folder / name)

    def archive(request: Request) -> Response:
        painting = paintings.find(request.path_params["name"])
        if painting is None:
            return _not_found()
        zipped = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115 - closed when it is sent
        painting.zipped(zipped)
        headers = {"content-disposition": f'attachment; filename="{painting.name}.zip"'}
        return StreamingResponse(_pieces(zipped), media_type="application/zip", headers=headers)

    return [Route("/paintings/{name}.zip", archive), Route("/paintings/{name}/{file:path}", file)]


def guard(host: str, most_bytes: int) -> Middleware:
    """Middleware that refuses requests of other sites' pages, and those larger than an upload may be.

    It also forbids pages to contact other hosts, and answers what Gradio cannot make sense of.

    Args:
        host: the address that the app listens on.
        most_bytes: size of an upload.
    """
    return Middleware(_Guard, is_local=_is_loopback(host), most_bytes=most_bytes + _FORM_BYTES)


class _TooLarge(Exception):
    """A request is larger than its limit."""


class _Guard:
    def __init__(self, app: ASGIApp, is_local: bool, most_bytes: int) -> None:
        self._app, self._is_local, self._most_bytes = app, is_local, most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        received, has_responded = 0, False

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._most_bytes:
                raise _TooLarge
            return message

        async def with_headers(message: Message) -> None:
            nonlocal has_responded
            if message["type"] == "http.response.start":
                has_responded = True
                message = {**message, "headers": [*message.get("headers", []), *_HEADERS]}
            await send(message)

        if stranger := _stranger(Headers(scope=scope), self._is_local):
            tell(f"refused {scope['method']} {scope['path']}: {stranger} (docs/app.md, a server in front)")
            sentence = f"This app does not answer to {stranger}. Whoever runs it finds why in its log."
            await PlainTextResponse(sentence, 403)(scope, receive, with_headers)
            return
        content_length = dict(scope["headers"]).get(b"content-length", b"0")
        try:
            if not re.fullmatch(rb"[0-9]{1,18}", content_length) or int(content_length) > self._most_bytes:
                raise _TooLarge
            await self._app(scope, counted, with_headers)
        except _TooLarge:
            if not has_responded:
                sentence = f"This is more than {self._most_bytes // 1_000_000} MB, which is all that is taken here."
                await PlainTextResponse(sentence, 413)(scope, receive, with_headers)
        except Exception as error:
            # Gradio raises errors of any kind when an endpoint or a file's name is none. A full disk is another matter.
            if isinstance(error, OSError) or not scope["path"].startswith(_GRADIO):
                raise
            tell(f"refused {scope['method']} {scope['path']}: {type(error).__name__}: {error}")
            if not has_responded:
                await PlainTextResponse("This was not understood.", 400)(scope, receive, with_headers)


def _stranger(headers: Headers, is_local: bool) -> str | None:
    """The header of a request that shows that a page of another site sent it; None if there is none.

    An app for this machine alone has only the names of this machine: with another one, a site's own name was pointed
    here (DNS rebinding), and its pages would pass for pages of the app. A server before it may pass on its own name,
    which pages cannot send to an app on this machine, as Gradio does not allow it.

    Args:
        headers: of the request.
        is_local: whether the app listens on this machine alone.
    """
    host, origin = headers.get("host", ""), headers.get("origin")
    if is_local and not _is_loopback(_name(host)):
        return f"Host {host}"
    passed_on = headers.get("x-forwarded-host", "").partition(",")[0].strip() if is_local else ""
    if origin is not None:
        scheme, _, site = origin.partition("://")
        if _place(site, scheme) not in (_place(host, scheme), _place(passed_on or host, scheme)):
            return f"Origin {origin}"
    return None


def _name(host: str) -> str:
    """The name or address in a header Host, without its port; empty if there is none."""
    return _place(host, "")[0]


def _place(host: str, scheme: str) -> tuple[str, int | None]:
    """The name, in lower case, and the port of a header Host; by default the port is that of the scheme."""
    try:
        parts = urlsplit(f"//{host}")
        return parts.hostname or "", parts.port or _PORTS.get(scheme)
    except ValueError:
        return "", None


def _is_loopback(name: str) -> bool:
    """Whether a name or an address always means this machine."""
    try:
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False


def _not_found() -> Response:
    return PlainTextResponse("There is no such painting.", 404)


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        file.seek(0)
        while piece := file.read(_PIECE_BYTES):
            yield piece
