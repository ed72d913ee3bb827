"""How kernels are compiled: numba, float32, one thread, cached on disk under a key made of every kernel's source."""

import ast
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

from conf.cache_home import cache_home

_Function = TypeVar("_Function", bound=Callable[..., Any])

_OPTIONS: dict[str, Any] = {"fastmath": True, "nogil": True, "error_model": "numpy"}
_THIS_MODULE = "renderers.raster.jit"
_OURS = ("conf", "renderers")
"""Packages that kernels are made of. Installed, they lie beside numpy and numba, which are not looked into."""


def _imported_files(tree: ast.Module, root: Path) -> Iterator[Path]:
    """Files of our packages, in the root folder, that a module imports, or imports from."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            if name.partition(".")[0] not in _OURS:
                continue
            module = root / name.replace(".", "/")
            yield from (path for path in (module.with_suffix(".py"), module / "__init__.py") if path.is_file())


def _code_of(tree: ast.Module) -> str:
    """A module without comments and docstrings, which no kernel depends on."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)


def sources_hash(renderers: Path = Path(__file__).parents[1]) -> str:
    """Hash of the code of all modules with kernels, and of all that they import.

    Numba checks only the file that defines a kernel; a cached kernel would keep old parts of other files inlined.
    """
    code: dict[Path, str] = {}
    waiting = _files_with_kernels(renderers)
    while waiting:
        path = waiting.pop()
        if path not in code:
            tree = ast.parse(path.read_text(encoding="utf-8"))
            waiting += _imported_files(tree, renderers.parent)
            code[path] = _code_of(tree)
    digest = hashlib.sha256()
    for _, text in sorted(code.items()):
        digest.update(text.encode())
    return digest.hexdigest()[:16]


def files_hash(renderers: Path = Path(__file__).parents[1]) -> str:
    """Hash of where the modules with kernels lie and when they were written: numba compiles anew where these differ."""
    files = [(str(path), path.stat().st_mtime_ns) for path in _files_with_kernels(renderers)]
    return hashlib.sha256(repr(files).encode()).hexdigest()[:16]


def _files_with_kernels(renderers: Path) -> list[Path]:
    return [path for path in sorted(renderers.rglob("*.py")) if _THIS_MODULE in path.read_text(encoding="utf-8")]


_SOURCES_HASH, _FILES_HASH = sources_hash(), files_hash()

CACHE_FOLDER = Path(os.environ.get("NUMBA_CACHE_DIR") or cache_home() / f"kernels-{_SOURCES_HASH}")
"""Where compiled kernels are kept."""


def compiled_marker(family: str, cpu: str) -> Path:
    """The file that marks the present kernels of a family of renderers, in this place, as compiled for a processor."""
    return CACHE_FOLDER / f"compiled-{family}-{cpu}-{_SOURCES_HASH}-{_FILES_HASH}"


def kernel(function: _Function) -> _Function:
    """Compile to machine code. `fastmath` lets sums be reordered for SIMD: the same bits on one kind of CPU only."""
    # Set each time: when an environment variable of numba changes, it reads its settings anew and forgets this one.
    numba.config.CACHE_DIR = str(CACHE_FOLDER)
    return cast(_Function, numba.njit(function, cache=True, **_OPTIONS))


def part(function: _Function) -> _Function:
    """A function for kernels to call, which becomes a piece of each of them.

    Compiled on its own, it would be one symbol with several bodies, each optimised for the kernel it came with, and the
    linker would take the first that a process happens to load: the same call could then round differently from one
    process to the next (measured: a fresh compilation and a cached one painted different strokes).
    """
    return cast(_Function, numba.njit(function, inline="always", **_OPTIONS))
