"""The page that shows all processes of one command that paints several pictures."""

from collections.abc import Sequence
from pathlib import Path

from conf.errors import ConfigError, UserError
from pipelines.inference.own_files import PAGE, REPORT, has_overview, has_process
from training.data.manifest import sweep_temporaries, write_atomically
from training.data.plain import parse_object


def check_overview(out: Path) -> None:
    """Refuse a folder that holds a process of its own, or a page that is not such an overview.

    Raises:
        UserError: saying which, or that the page cannot be read.
    """
    if has_process(out):
        raise ConfigError("out", out, "another folder; this one holds a single painting, whose page would be replaced")
    if (out / PAGE).exists() and not has_overview(out):
        raise ConfigError("out", out, f"another folder; {PAGE} in this one does not lead to several paintings")


def write_overview(out: Path, folders: Sequence[Path]) -> None:
    """Write the page that shows all processes of one command, including those that were painted before."""
    from pipelines.pages.overview.page import ShownReport, render_overview

    try:
        reports = {folder.name: parse_object((folder / REPORT).read_bytes(), ShownReport) for folder in folders}
        sweep_temporaries(out)
        write_atomically(out / PAGE, render_overview(reports))
    except OSError as error:
        raise UserError(f"out={out}: {error.filename or out}: {error.strerror or error}") from error
    except ValueError as error:
        raise UserError(f"out={out}: a {REPORT} in it is damaged ({error})") from error
