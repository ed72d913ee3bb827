"""Local copies of folders of an object store: what is read is fetched, what is written is uploaded.

Libraries that read and write weights need local files. A folder that is only read (a painter, the result of another
run) is fetched into the cache, under a hash of what the store lists of it, so that a copy is never out of date. The
folder of a run is made locally and mirrored: what is new is uploaded after every checkpoint. Of a checkpoint and of the
weights, the file that makes them valid is uploaded last, and removed first.
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
from training.data.owned import refuse_owned
from training.data.remote import AnyPath, RemotePath, answers
from training.data.remote_claim import is_claim

_COMPLETING_FILES = ("checkpoint.json", "run_card.json")
"""Files that show that all others of their folder are complete."""
_RUN_FILE = "run.json"
EARLIER = "earlier-"
"""Prefix of the names of what a run set aside when it was resumed."""
_NOT_FETCHED = ("checkpoints/", "samples/", "wandb/", EARLIER)  # parts of a run besides its result
_NOT_MIRRORED = "wandb/"  # the tracker's own files, which its own commands upload


def local_copy(key: str, place: AnyPath) -> Path:
    """A local folder, or a local copy of one in a store; a run is copied without its checkpoints and samples.

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
        place: the folder in the store.
        local: the local folder.
    """

    def __init__(self, place: RemotePath) -> None:
        self.place = place
        version = hashlib.sha256(place.url.encode()).hexdigest()[:32]
        self.local = cache_home() / "runs" / version / place.name
        self._stored_files: dict[str, tuple[int, int]] = {}  # name -> size and time of its local file

    @contextmanager
    def held(self) -> Iterator[None]:
        """Context that locks both folders; the local one is replaced by the store's, and uploaded at the end.

        Raises:
            UserError: if another run is writing, or the storage fails.
        """
        refuse_owned(self.place)
        self.local.mkdir(parents=True, exist_ok=True)
        with sole_writer(self.local.parent), sole_writer(self.place):
            shutil.rmtree(self.local, ignore_errors=True)
            tree = [name for name in self.place.tree() if not is_claim(self.place / name)]
            if tree and _RUN_FILE not in tree:
                raise ConfigError(
                    "out", self.place, "a new or empty folder; this one holds something that is not a run"
                )
            complete_folders = {name.rpartition("/")[0] for name in tree if name.endswith(_COMPLETING_FILES)}
            incomplete_files = [name for name in tree if _is_incomplete(name, complete_folders)]
            fetch_files(self.place, [name for name in tree if name not in incomplete_files], self.local)
            self._stored_files = {**dict.fromkeys(incomplete_files, (0, 0)), **self._files()}
            try:
                yield
                self.put()
            except UserError as error:  # name the place that the user gave
                raise UserError(str(error).replace(str(self.local), str(self.place))) from error

    def put(self) -> None:
        """Upload new files, and remove deleted ones from the store.

        Raises:
            UserError: if the storage fails.
        """
        files = self._files()
        missing = self._stored_files.keys() - files.keys()
        deleted = sorted(missing, key=lambda name: not name.endswith(_COMPLETING_FILES))
        changed = (name for name in files if files[name] != self._stored_files.get(name))
        changed_files = sorted(changed, key=lambda name: name.endswith(_COMPLETING_FILES))
        for name in changed_files:
            with (self.local / name).open("rb") as file:
                (self.place / name).upload(file)
        for name in deleted:
            (self.place / name).unlink(missing_ok=True)
        self._stored_files = files

    def _files(self) -> dict[str, tuple[int, int]]:
        paths = [path for path in self.local.rglob("*") if path.is_file() and not is_temporary(path)]
        names = {path.relative_to(self.local).as_posix(): path.stat() for path in paths}
        return {
            name: (stat.st_size, stat.st_mtime_ns) for name, stat in names.items() if not name.startswith(_NOT_MIRRORED)
        }


def _is_incomplete(name: str, complete_folders: set[str]) -> bool:
    """Whether a file belongs to a checkpoint or to weights that are not among the complete folders."""
    if name.startswith("weights/"):
        return "weights" not in complete_folders
    return name.startswith("checkpoints/") and name.rpartition("/")[0] not in complete_folders


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
