"""The app as its visitors meet it, by plain HTTP."""

import io
import json
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from conf.command import BAD_CONFIGURATION, command
from pipelines import app as app_command
from pipelines.inference.own_files import read_report
from pipelines.web.settings import app_config
from tests.pipelines.sources.test_decode import png
from tests.pipelines.web.conftest import QUEUE
from tests.pipelines.web.served import Served, answers, events, of_path, painted, refusal, upload
from training.data.pixels import png_of

PEOPLE = 10
GREY = png_of(np.full((48, 64, 3), 120, np.uint8))


def test_ten_people_at_once_queue_and_all_are_served(app: Served) -> None:
    events_of_page = httpx.get(f"{app.url}/config", timeout=60).json()["dependencies"]
    (painting,) = (event["id"] for event in events_of_page if event["api_name"] == "paint")

    def visit(number: int) -> tuple[str, int]:
        """The painting that a visitor got, and how far behind they stood in the queue."""
        session = f"visitor{number}"
        request = {"data": answers(subject=f"boat {number}"), "fn_index": painting, "session_hash": session}
        httpx.post(f"{app.url}/gradio_api/queue/join", json=request, timeout=60).raise_for_status()
        place = 0
        address = f"{app.url}/gradio_api/queue/data?session_hash={session}"
        with httpx.stream("GET", address, timeout=200) as stream:
            for line in stream.iter_lines():
                news: dict[str, Any] = json.loads(line.removeprefix("data: ")) if line else {"msg": ""}
                if news["msg"] == "estimation":
                    place = max(place, int(news["rank"]))
                if news["msg"] == "process_completed":
                    assert news["success"], news
                    return json.dumps(news["output"]), place
        raise AssertionError("nothing came of it")

    with ThreadPoolExecutor(PEOPLE) as pool:
        visits = list(pool.map(visit, range(PEOPLE)))
    assert max(place for _, place in visits) >= 2, "nobody was told of a place in the queue"
    prompts = {json.loads(path.read_text())["prompt"] for path in app.out.glob("*/report.json")}
    assert {f"boat {number}" for number in range(PEOPLE)} <= prompts
    for output, _ in visits:
        assert "index.html#playing" in output


def test_everything_of_a_painting_can_be_had_in_one_file(app: Served) -> None:
    name = painted(app.url, answers())
    report = read_report(app.out / name)
    archive = zipfile.ZipFile(io.BytesIO(httpx.get(f"{app.url}/paintings/{name}.zip").content))
    assert set(archive.namelist()) == {f"{name}/{file}" for file in report["files"]}
    assert {"process.mp4", "index.html", "report.json", "frames/00.png"} <= set(report["files"])
    for file in report["files"]:
        assert archive.read(f"{name}/{file}") == (app.out / name / file).read_bytes()
        assert httpx.get(f"{app.url}/paintings/{name}/{file}").content == (app.out / name / file).read_bytes()


def test_a_given_picture_is_painted_and_nothing_of_its_name_is_kept(app: Served) -> None:
    given = upload(app.url, GREY, "../../../../tmp/My Holiday.png")
    name = painted(app.url, answers(start="finished", subject="", finished=given))
    report = read_report(app.out / name)
    assert report["task"] == "reconstruct" and report["conditions"][0]["picture"] == "picture-1.png"
    assert not any(b"Holiday" in path.read_bytes() for path in (app.out / name).rglob("*") if path.is_file())
    name = painted(app.url, answers(start="unfinished", unfinished=given, at=1))
    assert read_report(app.out / name)["first_frame"] == 1
    name = painted(app.url, answers(start="frames", subject="", pins=[given, -1, None, 1, given, 0, None, 3]))
    assert [one["frame"] for one in read_report(app.out / name)["conditions"]] == [0, 2]


def test_a_panorama_is_painted_whole_and_in_its_own_shape(app: Served) -> None:
    given = upload(app.url, png_of(np.full((40, 160, 3), 120, np.uint8)))
    pins = [given, -1, given, 0, None, 2, None, 3]
    for asked in (answers(start="finished", finished=given), answers(start="frames", pins=pins)):
        height, width = read_report(app.out / painted(app.url, asked))["size_px"]
        assert width == 4 * height


HOSTILE = {
    "a picture that unpacks to gigabytes": (png(50_000, 50_000, b""), "bomb.png", "too large"),
    "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', "a.svg", "not a picture"),
    "a page called PNG": (b"<html><script>alert(1)</script></html>", "a.png", "not a picture"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n", "a.eps", "not a picture"),
    "half a picture": (GREY[: len(GREY) // 2], "half.png", "cannot be used"),
    "a picture of one pixel": (png_of(np.zeros((1, 1, 3), np.uint8)), "one.png", "cannot be used"),
    "a line": (png_of(np.zeros((16, 640, 3), np.uint8)), "line.png", "too slender"),
    "nothing": (b"", "empty.png", "cannot be used"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_uploads_are_refused_in_a_sentence(app: Served, kind: str) -> None:
    data, name, reason = HOSTILE[kind]
    sentence = refusal(app.url, answers(start="finished", finished=upload(app.url, data, name)))
    assert reason in sentence and sentence.endswith(".") and "\n" not in sentence


def test_what_strangers_programs_send_is_refused_in_a_sentence(app: Served, tmp_path: Path) -> None:
    (tmp_path / "mine.png").write_bytes(GREY)
    private = str(tmp_path / "mine.png")
    for sent, reason in (
        (answers(start="finished", finished=of_path(private)), "not understood"),
        (answers(start="finished", finished={"path": private}), "did not arrive"),
        (answers(start="finished", finished={"path": "a\0b"}), "did not arrive"),
        (answers(start="finished", finished=of_path(f"{app.url}/paintings/x")), "not from addresses"),
        (answers(subject=of_path(f"{app.url}/paintings/x")), "not from addresses"),
        (answers(start="finished", finished={"url": "data:image/png;base64,AAAA"}), "not understood"),
        (answers(start=["words"]), "not understood"),
        (answers(num_frames="many"), "not understood"),
        (answers(num_frames=33), "from 2 to 32"),
        (answers(painter="../other"), "no such painter"),
        (answers(subject="a" * 301), "300 letters"),
        (answers()[:4], "not understood"),
    ):
        sentence = refusal(app.url, sent)
        assert reason in sentence and sentence.endswith("."), sentence
    assert b"Traceback" not in app.log.read_bytes()


def test_files_beyond_the_limit_are_refused_while_they_arrive(app: Served) -> None:
    for size in (1_100_000, 3_000_000):
        files = {"files": ("a.png", bytes(size))}
        response = httpx.post(f"{app.url}/gradio_api/upload", files=files, timeout=60)
        assert response.status_code == 413 and "\n" not in response.text

    pieces = iter([bytes(500_000)] * 6)  # sent without saying how many
    response = httpx.post(f"{app.url}/gradio_api/queue/join", content=pieces, timeout=60)
    assert response.status_code in (400, 413)


def test_nothing_but_paintings_is_served(app: Served) -> None:
    name = painted(app.url, answers())
    for path in (
        "paintings/app.json", f"paintings/{name}/.lock", f"paintings/{name}/..%2fapp.json", "paintings/%2e%2e/app.json",
        f"paintings/..%2fout%2f{name}/report.json", "paintings/x.zip", f"gradio_api/file={app.out / 'app.json'}",
        "gradio_api/file=/etc/hostname",
    ):  # fmt: skip
        assert httpx.get(f"{app.url}/{path}", follow_redirects=True).status_code in (403, 404), path
    page = httpx.get(f"{app.url}/paintings/{name}/index.html")
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'self'" in page.headers["content-security-policy"]


def test_nobody_passes_the_queue(app: Served) -> None:
    for door in ("run", "api"):
        response = httpx.post(f"{app.url}/gradio_api/{door}/paint", json={"data": answers()}, timeout=60)
        assert response.status_code == 404 and "queue" in response.text


def test_requests_that_no_page_sends_are_refused_in_one_line(app: Served) -> None:
    api = f"{app.url}/gradio_api"
    for address, options in (
        (f"{api}/upload", {"files": {"files": ("", b"abc")}}),
        (f"{api}/call/paint_1", {"json": {"data": []}}),
        (f"{api}/run/predict", {"json": {"fn_index": 99, "data": [], "session_hash": "q"}}),
    ):
        response = httpx.post(address, timeout=60, **options)
        assert (response.status_code, response.text) == (400, "This was not understood.")
    events_of_page = httpx.get(f"{app.url}/config", timeout=60).json()["dependencies"]
    for number in [event["id"] for event in events_of_page if event["api_name"] != "paint"]:
        for data in ([], [None], [3, "x"], [{"a": 1}]):
            request = {"fn_index": number, "data": data, "session_hash": "q"}
            assert httpx.post(f"{api}/run/predict", json=request, timeout=60).json() != {"error": None}
    assert b"Traceback" not in app.log.read_bytes()


def test_pages_of_other_sites_are_refused(app: Served) -> None:
    """A name that leads here (DNS rebinding), and a page that sends a form here."""
    for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
        for path in ("", "config", "gradio_api/call/paint", "paintings/x/index.html"):
            assert httpx.get(f"{app.url}/{path}", headers=headers, timeout=60).status_code == 403
    assert httpx.get(f"{app.url}/config", headers={"Origin": app.url}, timeout=60).status_code == 200


def test_a_full_queue_says_so_and_whoever_leaves_makes_way(app: Served) -> None:
    before = set(app.out.glob("*/report.json"))
    slow = events(app.url, answers(steps=500, num_frames=32))
    event, shown = next(slow)
    assert event == "generating", shown  # it has begun, and takes minutes
    nothing = {"data": answers(subject="")}  # refused as soon as it is looked at
    responses = [httpx.post(f"{app.url}/gradio_api/call/paint", json=nothing, timeout=60) for _ in range(QUEUE + 2)]
    refused = [response for response in responses if response.status_code != 200]
    assert 1 <= len(refused) <= 3 and all("Queue is full" in response.text for response in refused)
    slow.close()
    deadline_s = time.monotonic() + 120
    while httpx.post(f"{app.url}/gradio_api/call/paint", json=nothing, timeout=60).status_code != 200:
        assert time.monotonic() < deadline_s, "those who waited were not served"
        time.sleep(0.2)
    painted(app.url, answers())
    reports = [json.loads(path.read_text()) for path in set(app.out.glob("*/report.json")) - before]
    assert [report["steps"] for report in reports] == [2]


def test_a_taken_port_is_refused_at_once(app: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(f"port={app.url.rpartition(':')[2]}", f"out={tmp_path / 'out'}") == BAD_CONFIGURATION
    assert "cannot listen here" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("host", "reason"),
    [("é" * 100, "allowed: the address or the name of a host"), ("a\udcff", "UTF-8"), ("..", "cannot listen here")],
)
def test_a_host_that_is_none_is_refused_in_one_line(
    host: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(f"host={host}", f"out={tmp_path / 'out'}") == BAD_CONFIGURATION
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: host=") and reason in line and not (tmp_path / "out").exists()


def test_without_gradio_one_line_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(app_command, "find_spec", lambda name: None)
    assert run(f"out={tmp_path / 'out'}") == BAD_CONFIGURATION
    assert capsys.readouterr().err == "error: the app needs gradio: pip install 'process-painter[app]'\n"
    assert not (tmp_path / "out").exists()


def test_folders_that_hold_other_things_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    assert run(f"out={tmp_path}") == BAD_CONFIGURATION
    assert "not the paintings of an app" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("port=0", "port=0: not allowed; allowed: 1 to 65535"),
        ("limits.seconds=0", "limits.seconds=0.0: not allowed"),
        ("limits.queue=many", "limits.queue=many: not allowed; allowed: a whole number"),
        ("painters=[]", "painters=[]: not allowed; allowed: at least one"),
        ("painters=[a/tiny,tiny]", "painters=tiny: not allowed; allowed: folders of different names"),
        ("gallery=none", "gallery=none: not allowed; allowed: one of all, own"),
    ],
)
def test_wrong_settings_are_named(word: str, reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(word) == BAD_CONFIGURATION
    assert capsys.readouterr().err.startswith(f"error: {reason}")


def run(*overrides: str) -> int:
    return command("app", app_config, app_command.run, "", overrides)


def test_a_painter_that_is_none_is_refused_before_anything_is_served(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other").mkdir()
    assert run(f"painters=[{tmp_path / 'other'}]", f"out={tmp_path / 'out'}") == BAD_CONFIGURATION
    assert "other" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
