"""Runs code in a Python that has diffusers but nothing of this project."""

import os
import subprocess
import sys
from pathlib import Path

from process_painter import ROOT

_BARE = f"""
import sys
OWN = {{"conf", "renderers", "training", "pipelines", "process_painter"}}
class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in OWN:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, NotInstalled())
sys.path[:] = [place for place in sys.path if place not in ("", {str(ROOT)!r})]
"""


def run_bare(code: str, folder: Path, **options: object) -> str:
    """What code prints there, in this folder and without a network; `options` are variables of the code."""
    variables = "".join(f"{name} = {value!r}\n" for name, value in options.items())
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"HF_HUB_OFFLINE": "1", "HF_MODULES_CACHE": str(folder / "modules"), "HF_HOME": str(folder / "hub")}
    completed = subprocess.run(
        [sys.executable, "-c", _BARE + variables + code], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert completed.returncode == 0, completed.stderr[-3000:]
    return completed.stdout
