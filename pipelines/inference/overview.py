"""The page that shows all processes of one command that paints several pictures."""

from collections.abc import Sequence
from pathlib import Path

from conf.errors import ConfigError, UserError
from pipelines.inference.own_files import PROVENANCE, REPORT
from training.data.manifest import sweep_temporaries, write_atomically
from training.data.plain import parse_object
from training.data.retries import retried


def check_overview(out: Path) -> None:
    """Refuse a folder whose page was not written by `pipelines.paint`."""
    page = out / "index.html"
    if page.exists() and PROVENANCE.encode() not in retried(page, page.read_bytes):
        raise ConfigError("out", out, "another folder; index.html in this one was not written by paint")


def write_overview(out: Path, folders: Sequence[Path]) -> None:
    """Write the page that shows all processes of one command, including those that were painted before."""
    from pipelines.pages.overview.page import ShownReport, render_overview

    try:
        reports = {folder.name: parse_object((folder / REPORT).read_bytes(), ShownReport) for folder in folders}
        sweep_temporaries(out)
        write_atomically(out / "index.html", render_overview(reports))
    except OSError as error:
        raise UserError(f"out={out}: {error.filename or out}: {error.strerror or error}") from error
    except ValueError as error:
        raise UserError(f"out={out}: a {REPORT} in it is damaged ({error})") from error
