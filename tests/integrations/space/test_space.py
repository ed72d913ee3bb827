"""The Space's own files: what the Hub reads of them, and that they start the app."""

import shutil
from pathlib import Path

import httpx
import pytest
import yaml

from conf.command import COMPLETE
from pipelines.inference.own_files import read_report
from tests.pipelines.runs import REPOSITORY
from tests.pipelines.web.served import answers, free_port, painted, serving

SPACE = REPOSITORY / "integrations" / "space"
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}


def test_the_hub_understands_its_card() -> None:
    _, front, text = (SPACE / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    card = yaml.safe_load(front)
    assert card["sdk"] == "gradio" and (SPACE / card["app_file"]).is_file()
    assert {card["colorFrom"], card["colorTo"]} <= COLOURS and len(card["short_description"]) <= 60
    assert card["license"] == "apache-2.0" and isinstance(card["python_version"], str) and text.strip()


def test_its_sdk_is_one_that_the_extra_takes() -> None:
    import gradio

    _, front, _ = (SPACE / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    assert yaml.safe_load(front)["sdk_version"].split(".")[0] == gradio.__version__.split(".")[0]
    assert (SPACE / "requirements.txt").read_text().startswith("process-painter[app]")


@pytest.mark.nightly
def test_it_starts_paints_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    port = free_port()
    for name in ("app.py", "README.md", "requirements.txt"):
        shutil.copy(SPACE / name, tmp_path / name)
    with serving(tmp_path, ["app.py"], port, tmp_path / "paintings", GRADIO_SERVER_PORT=str(port)) as served:
        assert httpx.get(served.url).status_code == 200
        name = painted(served.url, answers(painter="tiny", method="oil", num_frames=2, steps=1))
        assert served.end() == COMPLETE
        assert served.log.read_text().splitlines()[-1] == "1 paintings: paintings"
        assert not (tmp_path / "paintings" / "uploads").exists()
    assert read_report(tmp_path / "paintings" / name)["prompt"] == "a boat, painted in oil"
