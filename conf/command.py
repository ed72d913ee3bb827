"""The edge of every command: arguments in; help, one-line errors, a summary and an exit code out."""

import atexit
import io
import math
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, NoReturn, TypeVar

from conf.compose import choices, compose
from conf.errors import UserError
from conf.help import help_text
from conf.info import info_text
from conf.launch import RESULTS, check_launcher, is_launcher_word, launch, table
from conf.options import Options, read_options
from conf.printable import printable, shell_words
from conf.sweep import in_own_folder, jobs_of, sweep_folder
from conf.value import plain_value
from process_painter.console import as_started
from process_painter.stop import stopped_as_by_ctrl_c
from process_painter.streams import open_missing, report, tell

_Config = TypeVar("_Config")

_LONGEST = 4000  # characters of an error
COMPLETE, BAD_CONFIGURATION, PARTIAL, INTERRUPTED = 0, 2, 3, 130


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a command prints at its end."""

    lines: tuple[str, ...]
    exit_code: int = COMPLETE


@stopped_as_by_ctrl_c()
def command(
    name: str,
    configure: Callable[[dict[str, Any]], _Config],
    run: Callable[[_Config], Summary],
    description: str,
    arguments_given: Sequence[str] | None = None,
    can_continue: Callable[[_Config], bool] = lambda _: False,
    out_is_file: bool = False,
) -> int:
    """Run a command and return its exit code.

    Args:
        name: name of `conf/<name>.yaml`, whose comments are the help.
        configure: plain configuration -> typed configuration; raises `UserError`.
        run: typed configuration -> summary; raises `UserError`.
        description: what `--help` opens with.
        arguments_given: arguments of the command line; by default those of this process.
        can_continue: whether the same command can continue an interrupted run.
        out_is_file: whether `out` is a file, not a folder.
    """
    open_missing()
    config = None
    try:
        options = read_options(sys.argv[1:] if arguments_given is None else arguments_given)
        if options.show == "version":
            return _report(f"process-painter {version('process-painter')}", COMPLETE)
        if options.show == "help":
            return _report(_printable_lines(help_text(name, description, options.own_folder)), COMPLETE)
        if options.show == "info":
            return _report(_printable_lines(info_text(name, options.own_folder)), COMPLETE)
        if options.multirun:
            return _run_several(name, configure, options, out_is_file)
        plain = compose(name, options.settings, options.own_folder)
        config = configure(plain)
        if options.show == "configuration":
            return _report(_yaml(plain), COMPLETE)
        summary = run(config)
    except UserError as error:
        tell("error: " + _cut(printable(as_started(" ".join(str(error).splitlines())))))
        return BAD_CONFIGURATION
    except KeyboardInterrupt:
        can_go_on = options.multirun or (config is not None and can_continue(config))
        tell("interrupted" + "; run the same command again to continue" * can_go_on)
        return INTERRUPTED
    return _report("\n".join(map(printable, summary.lines)), summary.exit_code)


def leave(exit_code: int) -> NoReturn:
    """End this process after its command: do all that Python does at exit except finalizing the interpreter.

    All work is done and printed, so Ctrl-C and SIGTERM are ignored, and what libraries cannot clean up is only a line
    of warning. The interpreter is not finalized because threads of libraries that still run then sometimes abort the
    process ("terminate called without an active exception").
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    sys.unraisablehook = _warn
    threading._shutdown()  # type: ignore[attr-defined]  # in the order of Python itself
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(exit_code)


def _warn(failed: "sys.UnraisableHookArgs") -> None:
    """Report an exception that nobody can catch, in place of Python's traceback."""
    reason = str(failed.exc_value) or failed.exc_type.__name__
    tell(f"warning: the work is done, but not all was cleaned up: {printable(reason)}")


def _run_several(name: str, configure: Callable[[dict[str, Any]], Any], options: Options, out_is_file: bool) -> int:
    """Run all jobs of `-m`: every configuration is checked before the first job begins; a table of results ends it."""
    settings = [word for word in options.settings if not is_launcher_word(word)]
    launcher_settings = [word for word in options.settings if is_launcher_word(word)]
    jobs = jobs_of(settings, lambda group: choices(group, options.own_folder))
    out = compose(name, jobs[0].settings, options.own_folder).get("out")
    if out is not None:
        jobs = [in_own_folder(job, str(out), file=out_is_file) for job in jobs]
    composed = [compose(name, job.settings, options.own_folder) for job in jobs]
    for plain in composed:
        configure(plain)
    if options.show == "configuration":
        check_launcher(launcher_settings)
        return _report("\n---\n".join(map(_yaml, composed)), COMPLETE)
    # A single job, and jobs of which each has its own `out`, write there alone.
    has_folder = out is not None and len(jobs) > 1 and "out" not in jobs[0].swept
    folder = sweep_folder(str(out), file=out_is_file) if has_folder else None
    own_folder = [] if options.own_folder is None else ["--config-dir", str(options.own_folder)]
    outcomes = launch(name, jobs, own_folder, launcher_settings, folder)
    printed = [line for outcome in outcomes for line in outcome.lines] if folder is None else []
    written = [] if folder is None else [f"{folder / RESULTS}: the same, with all that each job printed"]
    complete = all(outcome.exit_code == COMPLETE for outcome in outcomes)
    return _report("\n".join(map(printable, [*printed, *table(outcomes), *written])), COMPLETE if complete else PARTIAL)


def _cut(line: str) -> str:
    """A line without its middle if it is too long: a refused value may be as long as a whole file."""
    left_out = len(line) - _LONGEST
    if left_out <= 0:
        return line
    half = _LONGEST // 2
    return f"{line[:half]} ... {left_out} characters left out ... {line[-half:]}"


def next_line(*arguments: str, placeholder: str = "") -> str:
    """What to do next, as a line to copy into a shell; `placeholder` is for the user to fill in."""
    return f"next: {shell_words(*arguments)} {placeholder}".rstrip()


def _yaml(plain: dict[str, Any]) -> str:
    import yaml

    text: str = yaml.safe_dump(plain_value(plain), sort_keys=False, allow_unicode=True, width=math.inf)
    return _printable_lines(text.strip())


def _printable_lines(text: str) -> str:
    """A text of several lines, each made safe to print: names in it may come from strangers."""
    return "\n".join(map(printable, text.split("\n")))


def _report(text: str, exit_code: int) -> int:
    """Print a command's output; returns its exit code, or `BAD_CONFIGURATION` if the output cannot be written."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names need not be UTF-8
    return exit_code if report(as_started(text)) else BAD_CONFIGURATION
