"""Compiled kernels are kept as long as no code that they are made of changes."""

import os
import shutil
from pathlib import Path

from renderers.raster.jit import files_hash, sources_hash

KERNEL = """from renderers.raster.jit import kernel
from renderers.width import WIDTH

@kernel
def wide(value):
    return value * WIDTH
"""


def project(
    root: Path, width: str = "WIDTH = 3", words: str = "def words():\n    return 1", kernel: str = KERNEL
) -> str:
    """Hash of a project with one kernel, a module that it imports, and one that it does not."""
    renderers = root / "renderers"
    renderers.mkdir(exist_ok=True)
    (renderers / "__init__.py").write_text("")
    (renderers / "wide.py").write_text(kernel)
    (renderers / "width.py").write_text(width)
    (renderers / "words.py").write_text(words)
    return sources_hash(renderers)


def test_code_of_a_kernel_or_of_what_it_imports_makes_another_cache(tmp_path: Path) -> None:
    before = project(tmp_path)
    assert project(tmp_path) == before
    assert project(tmp_path, width="WIDTH = 4") != before
    assert project(tmp_path, kernel=KERNEL.replace("*", "+")) != before


def test_packages_that_lie_beside_ours_are_not_looked_into(tmp_path: Path) -> None:
    before = project(tmp_path, kernel=f"import numpy as np\n{KERNEL}")
    (tmp_path / "numpy").mkdir()
    (tmp_path / "numpy" / "__init__.py").write_text("VERSION = 2")
    assert project(tmp_path, kernel=f"import numpy as np\n{KERNEL}") == before


def test_docstrings_comments_and_other_modules_keep_the_cache(tmp_path: Path) -> None:
    before = project(tmp_path)
    assert project(tmp_path, width='"""How wide."""\n\nWIDTH = 3  # px') == before
    assert project(tmp_path, words="def words():\n    return 2") == before


def test_another_copy_of_the_code_is_compiled_anew_as_numba_compiles_it(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    same_code = project(tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "other", dirs_exist_ok=True)
    one, other = tmp_path / "one" / "renderers", tmp_path / "other" / "renderers"
    assert sources_hash(other) == same_code and files_hash(other) != files_hash(one)
    before = files_hash(one)
    os.utime(one / "words.py", (1, 1))
    assert files_hash(one) == before
    os.utime(one / "wide.py", (1, 1))
    assert files_hash(one) != before
