"""Who is answered: the app's own pages, by the names that its machine has."""

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from pipelines.web.routes import guard


def answer(request: Request) -> Response:
    if request.path_params["path"] == "gradio_api/none":
        raise KeyError(99)
    if request.path_params["path"] == "gradio_api/full":
        raise OSError("No space left on device")
    if request.path_params["path"] == "fault":
        raise KeyError("ours")
    return PlainTextResponse("a page")


def client(listens_on: str) -> TestClient:
    app = Starlette(routes=[Route("/{path:path}", answer)], middleware=[guard(listens_on, 1000)])
    return TestClient(app, raise_server_exceptions=False)


EVIL = "http://evil.example"


@pytest.mark.parametrize("listens_on", ["127.0.0.1", "localhost", "127.0.0.2"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "127.0.0.1:7860"}, 200),
        ({"Host": "localhost"}, 200),
        ({"Host": "[::1]:7860"}, 200),
        ({"Host": "localhost:7860", "Origin": "http://localhost:7860"}, 200),
        ({"Host": "evil.example:7860"}, 403),
        ({"Host": "evil.example", "Origin": EVIL}, 403),
        ({"Host": "evil.example", "X-Forwarded-Host": "127.0.0.1:7860"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "[::1"}, 403),
        ({"Host": ""}, 403),
        ({"Host": "localhost:7860", "Origin": EVIL}, 403),
        ({"Host": "localhost:7860", "Origin": "http://localhost:3000"}, 403),
        ({"Host": "localhost:7860", "Origin": "null"}, 403),
        # A server before the app, which asks it by its address and says who was asked.
        ({"Host": "127.0.0.1:7860", "X-Forwarded-Host": "art.example", "Origin": "https://art.example"}, 200),
        ({"Host": "127.0.0.1:7860", "X-Forwarded-Host": "art.example, b", "Origin": "https://art.example"}, 200),
        ({"Host": "127.0.0.1:7860", "X-Forwarded-Host": "art.example", "Origin": EVIL}, 403),
    ],
)
def test_on_one_machine_only_its_own_names_and_pages_are_answered(
    listens_on: str, headers: dict[str, str], status: int
) -> None:
    response = client(listens_on).get("/x", headers=headers)
    assert response.status_code == status
    assert "\n" not in response.text and ("does not answer" in response.text) == (status == 403)


@pytest.mark.parametrize("listens_on", ["0.0.0.0", "192.168.1.7", "atelier"])
def test_for_others_any_name_is_answered_but_no_page_of_another_site(listens_on: str) -> None:
    for headers in (
        {"Host": "art.example"},
        {"Host": "art.example", "Origin": "https://art.example"},
        {"Host": "Art.example:443", "Origin": "https://art.example"},
        {"Host": "art.example", "Origin": "http://art.example:80"},
    ):
        assert client(listens_on).get("/x", headers=headers).status_code == 200
    for headers in (
        {"Host": "art.example", "Origin": EVIL},
        {"Host": "art.example:80", "Origin": "https://art.example"},
        {"Host": "art.example", "Origin": EVIL, "X-Forwarded-Host": "evil.example"},
        {"Host": "art.example", "Origin": "null"},
    ):
        assert client(listens_on).get("/x", headers=headers).status_code == 403


def test_the_log_says_what_was_refused(capsys: pytest.CaptureFixture[str]) -> None:
    client("127.0.0.1").get("/x", headers={"Host": "art.example"})
    assert capsys.readouterr().err == "refused GET /x: Host art.example (docs/app.md, a server in front)\n"


def test_what_gradio_cannot_make_sense_of_is_one_line_and_faults_stay_faults(
    capsys: pytest.CaptureFixture[str],
) -> None:
    visitor = client("0.0.0.0")
    assert visitor.get("/gradio_api/none").status_code == 400
    assert capsys.readouterr().err == "refused GET /gradio_api/none: KeyError: 99\n"
    assert [visitor.get(path).status_code for path in ("/gradio_api/full", "/fault")] == [500, 500]
