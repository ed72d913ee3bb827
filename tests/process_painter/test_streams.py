"""Commands without a standard stream, and with one that is full."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipelines.small_dataset import small_dataset

_VERIFY = ("-m", "pipelines.verify")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_dataset(tmp_path_factory.mktemp("data") / "pictures", captions=["a house"], size_px=(16, 16))


def run_in_shell(redirection: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = f'"$0" "$@" {redirection}'
    return subprocess.run(["/bin/sh", "-c", command, sys.executable, *arguments], capture_output=True, text=True)


@pytest.mark.parametrize("redirection", [">&-", "2>&-", "<&-", ">&- 2>&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_a_command_does_its_work_without_a_stream(dataset: Path, redirection: str) -> None:
    usual = run_in_shell("", *_VERIFY, f"dataset={dataset}")
    done = run_in_shell(redirection, *_VERIFY, f"dataset={dataset}")
    assert done.returncode == usual.returncode
    assert "Traceback" not in done.stderr
    assert done.stdout == ("" if ">&-" in redirection.replace("2>&-", "") else usual.stdout)


@pytest.mark.parametrize(
    "arguments", [(*_VERIFY, "dataset={dataset}"), (*_VERIFY, "--help"), ("-m", "process_painter")]
)
def test_a_report_that_cannot_be_written_is_an_error_of_one_line(dataset: Path, arguments: tuple[str, ...]) -> None:
    done = run_in_shell(">/dev/full", *(argument.format(dataset=dataset) for argument in arguments))
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "error: standard output: No space left on device"
    assert "Traceback" not in done.stderr


def test_no_file_takes_the_place_of_a_closed_stream() -> None:
    program = (
        "import json, os, sys\n"
        "from process_painter.streams import open_missing\n"
        "open_missing()\n"
        "file = os.open(os.devnull, os.O_WRONLY)\n"
        "json.dump({'is_apart': file > 2, 'is_open': sys.stdout is not None}, sys.stderr)\n"
    )
    done = run_in_shell("<&- >&-", "-c", program)
    assert json.loads(done.stderr) == {"is_apart": True, "is_open": True}
