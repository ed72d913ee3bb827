"""The documentation as a site: it builds without a warning, leads everywhere, and asks no other host for anything."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from process_painter.console import VERBS
from tests.pipelines.runs import REPOSITORY

pytest.importorskip("mkdocstrings")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "https_proxy": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=REPOSITORY, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_of_docs_is_on_the_site(site: Path) -> None:
    pages = {path.relative_to(REPOSITORY / "docs").with_suffix("") for path in (REPOSITORY / "docs").rglob("*.md")}
    built = {path.parent.relative_to(site) for path in site.rglob("index.html")}
    assert {page for page in pages if page.name != "index"} <= built
    navigation = (site / "index.html").read_text()
    linked = {Path(target) for target in re.findall(r'href="([\w./-]+)/"', navigation)}
    assert {page for page in pages if page.name != "index"} <= linked


def test_the_reference_has_every_command_and_key(site: Path) -> None:
    text = (site / "reference" / "commands" / "index.html").read_text()
    assert all(f'id="{verb}"' in text for verb in VERBS)
    assert "renderer.medium" in text and "carried:" in text
    python = (site / "reference" / "python" / "index.html").read_text()
    assert "renderers.family.Renderer" in python and "training.models.architecture" in python


def test_a_reader_needs_no_other_host(site: Path) -> None:
    for page in site.rglob("*.html"):
        loaded = re.findall(r'<(?:script|img|link|iframe)[^>]*(?:src|href)="(https?://[^"]+)"', page.read_text())
        assert [address for address in loaded if "canonical" not in address] == [], page
