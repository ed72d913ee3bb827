"""Folders of an object store as local ones: what is read as a whole is fetched, what is made here is put there.

Libraries that read and write weights want local files. A folder that is only read (a painter, what another run trained)
is fetched into the cache, under a hash of what the store lists of it, so that a copy is never out of date. The folder
of a run is made here and mirrored: what is new goes up after every checkpoint. Of a checkpoint and of the weights the
file that makes them valid goes up last, and is removed first.
"""

import hashlib
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from conf.cache_home import cache_home
from conf.errors import ConfigError, UserError
from training.data.claim import sole_writer
from training.data.manifest import is_temporary, temporary_path
from training.data.remote import AnyPath, RemotePath, answers
from training.data.remote_claim import is_claim

_LAST = ("checkpoint.json", "run_card.json")
"""Files that say that all others of their folder are there."""
_RUN = "run.json"
EARLIER = "earlier-"
"""Begins the names of what a run set aside when it went on."""
_NOT_FETCHED = ("checkpoints/", "samples/", "wandb/", EARLIER)  # of a run, by who reads what it trained
_NOT_MIRRORED = "wandb/"  # the tracker's own files, which its own commands send


def local_copy(key: str, place: AnyPath) -> Path:
    """A local folder, or a copy of one in a store; of a run without its checkpoints and samples.

    Raises:
        UserError: if `key` names nothing, or the storage fails.
    """
    if isinstance(place, Path):
        return place
    tree = {name: version for name, version in place.tree().items() if not name.startswith(_NOT_FETCHED)}
    if not tree:
        raise UserError(f"{key}={place}: no such folder")
    version = hashlib.sha256(repr((place.url, sorted(tree.items()))).encode()).hexdigest()[:32]
    folder = cache_home() / "folders" / version / place.name
    if not folder.exists():
        temporary = temporary_path(folder)
        try:
            fetch_files(place, tree, temporary)
            with suppress(OSError):  # another process was faster
                temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder


class Mirror:
    """The folder of a run in an object store, and the local one that it is made in.

    Attributes:
        place, local: both.
    """

    def __init__(self, place: RemotePath) -> None:
        self.place = place
        version = hashlib.sha256(place.url.encode()).hexdigest()[:32]
        self.local = cache_home() / "runs" / version / place.name
        self._there: dict[str, tuple[int, int]] = {}  # what the store has: size and time of the local file

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold both folders; the local one becomes what the store has, whatever it was, and goes there at the end.

        Raises:
            UserError: if another run is writing, or the storage fails.
        """
        self.local.mkdir(parents=True, exist_ok=True)
        with sole_writer(self.local.parent), sole_writer(self.place):
            shutil.rmtree(self.local, ignore_errors=True)
            tree = [name for name in self.place.tree() if not is_claim(self.place / name)]
            if tree and _RUN not in tree:
                raise ConfigError(
                    "out", self.place, "a new or empty folder; this one holds something that is not a run"
                )
            whole = {name.rpartition("/")[0] for name in tree if name.endswith(_LAST)}
            halves = [name for name in tree if _is_half(name, whole)]
            fetch_files(self.place, [name for name in tree if name not in halves], self.local)
            self._there = {**dict.fromkeys(halves, (0, 0)), **self._files()}
            try:
                yield
                self.put()
            except UserError as error:  # the place that the user said
                raise UserError(str(error).replace(str(self.local), str(self.place))) from error

    def put(self) -> None:
        """Bring the store to what is here.

        Raises:
            UserError: if the storage fails.
        """
        files = self._files()
        gone = sorted(self._there.keys() - files.keys(), key=lambda name: not name.endswith(_LAST))
        new = sorted((name for name in files if files[name] != self._there.get(name)), key=lambda n: n.endswith(_LAST))
        for name in new:
            with (self.local / name).open("rb") as file:
                (self.place / name).upload(file)
        for name in gone:
            (self.place / name).unlink(missing_ok=True)
        self._there = files

    def _files(self) -> dict[str, tuple[int, int]]:
        paths = [path for path in self.local.rglob("*") if path.is_file() and not is_temporary(path)]
        names = {path.relative_to(self.local).as_posix(): path.stat() for path in paths}
        return {
            name: (stat.st_size, stat.st_mtime_ns) for name, stat in names.items() if not name.startswith(_NOT_MIRRORED)
        }


def _is_half(name: str, whole: set[str]) -> bool:
    """Whether a file is of a checkpoint or of weights that are not among the folders which are whole."""
    if name.startswith("weights/"):
        return "weights" not in whole
    return name.startswith("checkpoints/") and name.rpartition("/")[0] not in whole


def fetch_files(place: RemotePath, names: Iterable[str], folder: Path) -> None:
    """Fetch files of a folder by name.

    Raises:
        UserError: if the storage or the disk fails.
    """

    def fetch(name: str) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with (place / name).open() as source, path.open("wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)

    try:
        folder.mkdir(parents=True, exist_ok=True)
        list(answers(place, fetch, names))
    except OSError as error:
        raise UserError(f"{folder}: {place} cannot be fetched ({error.strerror or error})") from error
