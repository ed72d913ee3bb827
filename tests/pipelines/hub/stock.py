"""Painters as stock diffusers loads them."""

from pathlib import Path
from typing import Any

import pytest
from diffusers import DiffusionPipeline


def stock(folder: Path, modules: Path) -> Any:
    """A painter as loaded by diffusers, which copies its code to a folder for modules."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("diffusers.utils.dynamic_modules_utils.HF_MODULES_CACHE", str(modules))
        loaded = DiffusionPipeline.from_pretrained(folder, custom_pipeline="pipeline", trust_remote_code=True)
    loaded.set_progress_bar_config(disable=True)
    return loaded
