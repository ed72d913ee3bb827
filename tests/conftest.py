"""Every test runs on one thread, draws the same random examples every time, and sees a GPU only if it is about GPUs.

`make test-gpu` runs the tests marked `gpu`. All others hide the GPUs of a machine: what they compare is computed on the
CPU everywhere, so that the suite says the same on a machine with a GPU and on one without.
"""

import os
import re
from collections.abc import Generator
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"  # a library reads it once, when it is first imported; torch's threads are OpenMP's

import cv2  # noqa: E402
import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

cv2.setNumThreads(1)
settings.register_profile("same-every-time", derandomize=True, deadline=None, database=None)
settings.load_profile("same-every-time")

_MAY_LACK = (
    "av", "boto3", "datasets", "gradio", "h5py", "hydra_plugins", "krita", "krita4python", "mkdocs", "moto", "onnx",
    "onnxruntime", "ot", "playwright", "prodigyopt", "psd_tools", "pyora", "pypdfium2", "ray", "reportlab", "resvg_py",
    "s3fs", "segment_anything", "tifffile", "wandb", "wandb_workspaces", "webdataset",
)  # fmt: skip
"""Packages of single features. On a machine without one, its tests are skipped, or fail if the variable CI is set."""
_LACKS = re.compile(
    rf"^E .*(?:No module named '(?P<package>{'|'.join(_MAY_LACK)})[.']|pip install 'process-painter\[(?P<extra>\w+)\])",
    re.MULTILINE,
)
"""In the lines of a failure that tell the error: those that quote the code may hold the same words."""


def pytest_configure(config: pytest.Config) -> None:
    """Hide GPUs before torch is imported; worker processes of xdist get the same `-m` expression."""
    if "gpu" not in config.option.markexpr:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Skip a whole module of tests if a package that it needs is not installed."""
    report = yield
    lacking = _lacking(report.longrepr)
    if report.outcome == "failed" and lacking:
        report.outcome, report.longrepr = "skipped", (str(collector.path), 0, f"Skipped: needs {lacking}")
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Skip a test that finds while it runs that a package is not installed."""
    report = yield
    lacking = _lacking(report.longrepr)
    if report.outcome == "failed" and lacking:
        report.outcome, report.longrepr = "skipped", (str(item.path), 0, f"Skipped: needs {lacking}")
    return report


def _lacking(failure: Any) -> str | None:
    """The missing package or extra that caused a failure; None if there is none, or if CI requires all packages."""
    lacks = _LACKS.search(str(failure)) if failure is not None and not os.environ.get("CI") else None
    return lacks.group("package") or f"the extra {lacks.group('extra')}" if lacks else None
