"""The command `process-painter VERB key=value ...`: every command of this package under one name.

It works in any folder, whatever packages are there, because modules in the working directory are not imported.
"""

import ast
import difflib
import os
import re
import runpy
import sys
from importlib.metadata import version
from pathlib import Path

from process_painter import ROOT
from process_painter.stop import stopped_as_by_ctrl_c
from process_painter.streams import open_missing, report, tell

VERBS = {
    "synth": "pipelines.synth",
    "ingest": "pipelines.ingest",
    "verify": "pipelines.verify",
    "status": "pipelines.status",
    "gallery": "pipelines.gallery",
    "encode": "pipelines.encode",
    "train": "training.train",
    "dashboard": "training.dashboard",
    "assemble": "training.assemble",
    "paint": "pipelines.paint",
    "app": "pipelines.app",
    "film": "pipelines.film",
    "export": "pipelines.export",
    "evaluate": "pipelines.evaluate",
    "publish": "pipelines.publish",
}
"""Verb -> the module that does it, in the order of a project."""
_INTERNAL_VERBS = {"kernels": "pipelines.kernels"}  # commands start these as processes of their own
_started_verbs: set[str] = set()
BAD_CONFIGURATION, INTERRUPTED = 2, 130
_WIDTH = 110


@stopped_as_by_ctrl_c()
def main() -> int:
    """Run the command that the arguments of this process name; returns its exit code."""
    open_missing()
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        return _printed(help_text())
    if arguments[0] == "--version":
        return _printed(f"process-painter {version('process-painter')}")
    verb, *rest = arguments
    module = VERBS.get(verb) or _INTERNAL_VERBS.get(verb)
    if module is None:
        similar = difflib.get_close_matches(verb, VERBS, 1)
        hint = f"did you mean {similar[0]}? " if similar else ""
        tell(f"error: {verb!r}: no such command; {hint}There are {', '.join(VERBS)}")
        return BAD_CONFIGURATION
    _forget_working_directory()
    _started_verbs.add(verb)
    sys.argv = [f"process-painter {verb}", *rest]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except KeyboardInterrupt:  # while a command is imported, which can take seconds
        tell("interrupted")
        os._exit(INTERRUPTED)  # Python itself would end by SIGINT if the exception passed through a library in C
    return 0


def _printed(text: str) -> int:
    return 0 if report(text) else BAD_CONFIGURATION


def as_started(text: str) -> str:
    """A text in which commands are named as this process was started: `process-painter VERB`, or `python -m MODULE`."""
    for verb, module in VERBS.items() if _started_verbs else ():
        text = re.sub(rf"python -m {re.escape(module)}\b", f"process-painter {verb}", text)
    return text


def help_text() -> str:
    """All commands, one line each: the first line of their module's docstring."""
    lines = [f"  {verb:<10}{_first_line(module)}" for verb, module in VERBS.items()]
    return "\n".join(
        [
            "process-painter COMMAND key=value ...",
            "",
            "Images go in, painting processes come out as a training set, and models trained on it paint.",
            "",
            *lines,
            "",
            "process-painter COMMAND --help    every key of a command, with its default and meaning",
            "process-painter --version",
            "torchrun --nproc_per_node=8 --no-python process-painter train ...    the same on several GPUs",
        ]
    )


def _first_line(module: str) -> str:
    """The first line of a module's docstring, without importing it."""
    source = (ROOT / module.replace(".", "/")).with_suffix(".py").read_text(encoding="utf-8")
    docstring = ast.get_docstring(ast.parse(source)) or ""
    return docstring.partition("\n")[0][:_WIDTH]


def _forget_working_directory() -> None:
    """Import nothing from the folder that `python -m` was run in, unless this package is there."""
    sys.path[:] = [place for place in sys.path if _absolute(place) != Path.cwd() or ROOT.resolve() == Path.cwd()]


def _absolute(place: str) -> Path:
    return Path(place or ".").resolve()
