"""Commands whose `out` may be in an object store: they work in a local folder, and their result is uploaded.

Libraries write films, weights and pages to local files. So such a command gets a local `out` in the cache. What an
earlier run put into the store is first fetched there, so that the command checks, keeps and replaces it as it would on
a disk. A file is uploaded in one request. Of a folder, the file that makes it valid is uploaded last, and while files
are uploaded there is OUT/.unfinished: a command that finds it replaces what is there, because it is incomplete.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from conf.cache_home import cache_home
from conf.command import Summary
from conf.errors import ConfigError, UserError
from conf.value import is_url
from training.data.claim import sole_writer
from training.data.manifest import is_temporary
from training.data.mirror import fetch_files
from training.data.owned import refuse_owned
from training.data.remote import RemotePath
from training.data.remote_claim import is_claim

UNFINISHED = ".unfinished"

_Config = TypeVar("_Config")


@dataclass(frozen=True, kw_only=True)
class Staged(Generic[_Config]):
    """A configuration with a local `out`, and the place that it is uploaded to.

    Attributes:
        config: configuration of the command.
        place: place in a store; None if the user's `out` is local.
        local: the `out` of `config`, if there is a `place`.
        overwrite: whether a file at `place` may be replaced.
    """

    config: _Config
    place: RemotePath | None = None
    local: Path = Path()
    overwrite: bool = False


def to_stores(
    configure: Callable[[dict[str, Any]], _Config], run: Callable[[_Config], Summary], mark: str | None = None
) -> tuple[Callable[[dict[str, Any]], Staged[_Config]], Callable[[Staged[_Config]], Summary]]:
    """Make a command that writes to a local `out` write to URLs as well; returns its two functions, changed.

    Args:
        configure, run: the functions of the command.
        mark: the file without which a folder is no result of this command; None if `out` must be new.
    """

    def configured(plain: dict[str, Any]) -> Staged[_Config]:
        out = plain.get("out")
        if not isinstance(out, str) or not is_url(out):
            return Staged(config=configure(plain))
        place = RemotePath.from_url(out, "out")
        version = hashlib.sha256(place.url.encode()).hexdigest()[:32]
        local = cache_home() / "staging" / version / place.name
        with _naming_place(place, local):
            config = configure({**plain, "out": str(local)})
        return Staged(config=config, place=place, local=local, overwrite=getattr(config, "overwrite", False))

    def ran(staged: Staged[_Config]) -> Summary:
        if staged.place is None:
            return run(staged.config)
        with _staging(staged.place, staged.local, mark, staged.overwrite):
            summary = run(staged.config)
        return replace(summary, lines=tuple(_with_place(line, staged.local, staged.place) for line in summary.lines))

    return configured, ran


@contextmanager
def _staging(place: RemotePath, local: Path, mark: str | None, overwrite: bool) -> Iterator[None]:
    """Context in which the local folder has what the store has; at the end its content is uploaded.

    Raises:
        UserError: if another run is writing, the place holds something else, or the storage fails.
    """
    refuse_owned(place)
    local.parent.mkdir(parents=True, exist_ok=True)
    with sole_writer(local.parent):
        try:
            _empty(local.parent)
            with sole_writer(place) if mark is not None else nullcontext():
                tree = [name for name in place.tree() if not is_claim(place / name)]
                if UNFINISHED not in tree:
                    _refuse_other_content(place, tree, mark, overwrite)
                    if mark is None:
                        _try_to_write(place)
                    if mark in tree:
                        fetch_files(place, tree, local)
                fetched = _files(local)
                with _naming_place(place, local):
                    yield
                _upload_result(place, local, fetched, mark)
        finally:
            shutil.rmtree(local.parent, ignore_errors=True)


def _refuse_other_content(place: RemotePath, tree: list[str], mark: str | None, overwrite: bool) -> None:
    is_file = mark is None and place.is_file()
    if is_file and not overwrite:
        raise ConfigError("out", place, "a new file, or say overwrite=true")
    if tree and not is_file and mark not in tree:
        allowed = "a new or empty folder" + (f"; this one holds something without {mark}" if mark is not None else "")
        raise ConfigError("out", place, allowed)


def _try_to_write(place: RemotePath) -> None:
    """Fail before any work is done if nothing can be written. For a folder with a mark, the claim has shown this."""
    trial = RemotePath(place.url + UNFINISHED)
    trial.write_bytes(b"")
    trial.unlink(missing_ok=True)


def _upload_result(place: RemotePath, local: Path, fetched: dict[str, tuple[int, int]], mark: str | None) -> None:
    """Upload the result: a file, or what is new in a folder, the pages after other files and `mark` at the end."""
    if local.is_file():
        _upload(place, local)
        return
    files = _files(local)
    changed = [name for name in files if files[name] != fetched.get(name)]
    with nullcontext() if mark is not None else sole_writer(place):
        outdated = [name for name in place.tree() if name not in files and not is_claim(place / name)]
        if not changed and not outdated:
            return
        (place / UNFINISHED).write_bytes(b"files are being put here, or were when their command was killed\n")
        for name in sorted(changed, key=lambda name: (name == mark, name.endswith(".html"), name)):
            _upload(place / name, local / name)
        for name in outdated:
            (place / name).unlink(missing_ok=True)
        (place / UNFINISHED).unlink(missing_ok=True)


def _upload(place: RemotePath, local: Path) -> None:
    with local.open("rb") as file:
        place.upload(file)


def _files(local: Path) -> dict[str, tuple[int, int]]:
    """Name -> size and time of every file of a folder; empty if there is no folder."""
    paths = [path for path in local.rglob("*") if path.is_file() and not is_temporary(path)]
    stats = {path.relative_to(local).as_posix(): path.stat() for path in paths}
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in stats.items()}


def _empty(folder: Path) -> None:
    """Remove what a killed run has left in a folder."""
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


@contextmanager
def _naming_place(place: RemotePath, local: Path) -> Iterator[None]:
    """Context in which errors name the place that the user gave, not the local folder."""
    try:
        yield
    except ConfigError as error:
        value, allowed = (_with_place(str(part), local, place) for part in (error.value, error.allowed))
        raise ConfigError(error.key, value, allowed) from error
    except UserError as error:
        raise UserError(_with_place(str(error), local, place)) from error


def _with_place(line: str, local: Path, place: RemotePath) -> str:
    """The line with the place that the user gave in place of the local folder."""
    return line.replace(local.resolve().as_uri(), str(place)).replace(str(local), str(place))
