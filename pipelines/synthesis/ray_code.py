"""This program's code, sent to the workers of a Ray cluster, so that they run what the driver runs."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from process_painter import PACKAGES, ROOT

_NOT_SENT = shutil.ignore_patterns("__pycache__", "*.pyc", "*.safetensors")  # the shipped painter is not needed there


def is_sent_already() -> bool:
    """Whether this process is the driver of a Ray job, whose own `runtime_env` brings the code to the workers."""
    return "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ


@contextmanager
def code_for_workers() -> Iterator[Path]:
    """Context with a temporary folder that holds only this program's packages, for `working_dir` of a `runtime_env`."""
    with tempfile.TemporaryDirectory(prefix="process-painter-code-") as folder:
        for package in ("process_painter", *PACKAGES):
            shutil.copytree(ROOT / package, Path(folder) / package, ignore=_NOT_SENT)
        yield Path(folder)
