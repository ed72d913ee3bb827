"""Makes pages of the site from the code: the help of every command, and the docstrings of public modules."""

import importlib
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from conf.help import help_text
from process_painter.console import VERBS

_DOCUMENTED_MODULES = {
    "Renderers": ("renderers.family", "renderers.painting"),
    "Data sets": ("training.data.dataset", "training.data.stream", "training.data.layout"),
    "Models": ("training.models.architecture", "training.objective"),
    "Painting": ("pipelines.inference.pipeline",),
    "Metrics": ("pipelines.evaluation.metrics",),
}
"""Heading -> modules whose public names are documented."""


def on_config(config: Any) -> Any:
    """List the decisions, newest first; called by mkdocs at its start."""
    decisions = sorted((Path(config.docs_dir) / "decisions").glob("*.md"), reverse=True)
    entry = next(entry for entry in config.nav if "Decisions" in entry)
    entry["Decisions"] = [f"decisions/{path.name}" for path in decisions]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages to the site; called by mkdocs before it reads any page."""
    from mkdocs.structure.files import File

    for name, text in (("commands", commands_page()), ("python", python_page())):
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def commands_page() -> str:
    """Every command with the help that it prints."""
    parts = ["# Commands", "Each is `process-painter VERB`, or `python -m MODULE`. This is what `--help` prints."]
    for verb, module in VERBS.items():
        description = importlib.import_module(module).__doc__ or ""
        parts += [f"## {verb}", f"`python -m {module}`", f"```text\n{help_text(verb, description)}\n```"]
    return "\n\n".join(parts) + "\n"


def python_page() -> str:
    """Headings and modules, for which mkdocstrings fills in the docstrings."""
    parts = ["# Python"]
    for heading, modules in _DOCUMENTED_MODULES.items():
        parts += [f"## {heading}", *(f"::: {module}" for module in modules)]
    return "\n\n".join(parts) + "\n"
