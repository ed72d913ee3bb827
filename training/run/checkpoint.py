"""Checkpoints that are complete or absent, and that hold the hashes which show whether they are damaged.

A checkpoint is a folder `step-00000100`. It is written under a temporary name, forced to disk, renamed, and only then
are older ones removed, so that at every instant the newest complete one is there.
"""

import fcntl
import itertools
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired

from typing_extensions import TypedDict

from conf.errors import UserError
from training.data.manifest import hash_file, is_temporary, stored_hash, temporary_path, to_json
from training.data.plain import OPEN, Count, parse_object
from training.data.retries import retried
from training.models.read_tensors import torch_file

if TYPE_CHECKING:
    from torch import Tensor

_FORMAT = 1
_FACTS_FILE = "checkpoint.json"
_DAMAGED_PREFIX = "damaged-"
_SYSTEM_ERROR_TEXTS = ("No space left", "(os error ", "inline_container.cc")
"""Texts in errors of safetensors and torch when the system could not write everything. torch does not say why."""
_SPARE_BYTES = 64 * 2**20  # logs, samples and whatever else the run writes


class _StoredFacts(TypedDict):
    """The fields of `checkpoint.json` that are checked here; the loop adds others."""

    __pydantic_config__ = OPEN  # type: ignore[misc]

    format: Count
    step: Count
    files: dict[str, str]
    position: NotRequired[Count]
    pending: NotRequired[list[str]]
    tracker_id: NotRequired[str | None]


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A sound checkpoint on disk.

    Attributes:
        folder: its folder.
        step: optimizer steps done.
        facts: position in the stream, hash of the recipe, the tracker's run id, and whatever else the loop stored.
    """

    folder: Path
    step: int
    facts: dict[str, Any]

    def tensors(self, name: str) -> "dict[str, Tensor]":
        """Read a file of tensors.

        Raises:
            UserError: if it is not a safetensors file.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        path = self.folder / f"{name}.safetensors"
        try:
            return load_file(path)
        except SafetensorError as error:
            raise UserError(f"checkpoint={path}: not a safetensors file") from error

    def state(self, name: str) -> Any:
        """Read a file of nested plain values and tensors; no other pickled object is ever made from it.

        Raises:
            UserError: if it holds anything else.
        """
        path = self.folder / f"{name}.pt"
        return torch_file(path, f"checkpoint={path}")


def write_checkpoint(
    root: Path,
    step: int,
    *,
    facts: Mapping[str, Any],
    tensors: "Mapping[str, Mapping[str, Tensor]]",
    states: Mapping[str, Any],
) -> Path:
    """Write a checkpoint; returns its folder.

    Args:
        root: folder of checkpoints.
        step: optimizer steps done.
        facts: plain values, readable without torch.
        tensors: name -> tensors, kept as safetensors.
        states: name -> nested plain values and tensors.

    Raises:
        UserError: if it cannot be written, for example on a full disk; older checkpoints are not affected.
    """
    import torch
    from safetensors.torch import save_file

    final = root / checkpoint_name(step)
    with replaced_folder(final) as temporary:
        for name, values in tensors.items():
            save_file({key: value.contiguous() for key, value in values.items()}, temporary / f"{name}.safetensors")
        for name, state in states.items():
            torch.save(state, temporary / f"{name}.pt")
        files = {path.name: hash_file(path) for path in sorted(temporary.iterdir())}
        text = to_json({"format": _FORMAT, "step": step, "files": files, **facts})
        (temporary / _FACTS_FILE).write_text(text, encoding="utf-8")
    return final


class replaced_folder:  # used as a context
    """Context that gives a temporary folder; on exit it forces the folder to disk and replaces `final` with it.

    Raises:
        UserError: if that fails; the temporary folder is then removed, and `final` is as it was.
    """

    def __init__(self, final: Path) -> None:
        self._final = final
        self._temporary = temporary_path(final)

    def __enter__(self) -> Path:
        try:
            self._final.parent.mkdir(parents=True, exist_ok=True)
            self._sweep()
            self._temporary.mkdir()
            self._lock_descriptor = os.open(self._temporary, os.O_RDONLY)
            with suppress(OSError):  # some filesystems have no locks
                fcntl.flock(self._lock_descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise self._write_error(error) from error
        return self._temporary

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        try:
            if error is None:
                self._commit()
        except OSError as failure:
            raise self._write_error(failure) from failure
        finally:
            os.close(self._lock_descriptor)
            shutil.rmtree(self._temporary, ignore_errors=True)
        if error is not None and (
            isinstance(error, OSError) or any(message in str(error) for message in _SYSTEM_ERROR_TEXTS)
        ):
            raise self._write_error(error) from error

    def _sweep(self) -> None:
        """Remove temporary folders that killed writers of the same folder left: those that nobody has locked."""
        for path in self._final.parent.iterdir():
            if path.name.startswith(f".{self._final.name}.") and is_temporary(path) and not _may_be_locked(path):
                shutil.rmtree(path, ignore_errors=True)

    def _commit(self) -> None:
        for path in self._temporary.rglob("*"):
            _force_to_disk(path)
        _force_to_disk(self._temporary)
        if self._final.exists():  # it may be damaged, or the same checkpoint is written again
            aside = self._temporary.with_suffix(".old.tmp")
            self._final.rename(aside)
            self._temporary.rename(self._final)
            shutil.rmtree(aside, ignore_errors=True)
        else:
            self._temporary.rename(self._final)
        _force_to_disk(self._final.parent)

    def _write_error(self, error: BaseException) -> UserError:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return UserError(f"{self._final}: cannot be written: {reason}")


def _may_be_locked(folder: Path) -> bool:
    """Whether a living process has locked the folder; also true if that cannot be determined."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def _force_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def checkpoint_name(step: int) -> str:
    """`step-00000100`."""
    return f"step-{step:08d}"


def newest_sound(root: Path, tell: Callable[[str], None]) -> Checkpoint | None:
    """The newest checkpoint whose files are as they were written; None if there is none.

    A checkpoint is damaged if it can be read, but a file is missing or has other bytes than were written. Damaged ones
    that are newer are reported and renamed, so that later checkpoints can take their names; they are never deleted.

    Raises:
        UserError: if the storage fails (nothing is then renamed), or a checkpoint is of another format.
    """
    for folder in reversed(_folders(root)):
        try:
            return _read(folder)
        except ValueError as error:
            aside = _set_aside(folder)
            tell(f"{folder}: damaged ({error}); kept as {aside.name}; falling back to the previous checkpoint")
    return None


def _read(folder: Path) -> Checkpoint:
    try:
        facts = parse_object(retried(folder / _FACTS_FILE, (folder / _FACTS_FILE).read_bytes), _StoredFacts)
        if facts["format"] != _FORMAT:
            raise UserError(f"{folder}: checkpoint format {facts['format']}; this code reads {_FORMAT}")
        for name, sha256 in facts["files"].items():
            if Path(name).name != name or name in ("", ".."):
                raise ValueError(f"{name} is not a file in it")
            if stored_hash(folder / name) != sha256:
                raise ValueError(f"{name} is not what was written")
        if checkpoint_name(facts["step"]) != folder.name:
            raise ValueError(f"it is of step {facts['step']}")
        return Checkpoint(folder=folder, step=facts["step"], facts=dict(facts))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise ValueError(f"{error.filename}: {error.strerror}") from error


def _set_aside(folder: Path) -> Path:
    """Rename a damaged checkpoint to a name that no reader looks for; returns its new path."""
    return renamed_aside(folder, named_aside(folder, _DAMAGED_PREFIX), "damaged, and ")


def holds_damaged(root: Path) -> bool:
    """Whether damaged checkpoints were set aside in a folder of checkpoints."""
    return any(root.glob(f"{_DAMAGED_PREFIX}step-*"))


def named_aside(path: Path, prefix: str) -> Path:
    """A free path in the same folder: `prefix` and the old name, with a number appended if that is taken."""
    names = (f"{prefix}{path.name}" + (f"-{count}" if count else "") for count in itertools.count())
    return next(path.with_name(name) for name in names if not path.with_name(name).exists())


def renamed_aside(path: Path, aside: Path, what: str = "") -> Path:
    """Rename a file or folder atomically; returns its new path.

    Args:
        path: the file or folder.
        aside: its new path.
        what: text put before "cannot be renamed" in the error.

    Raises:
        UserError: if it cannot be renamed.
    """
    try:
        path.rename(aside)
    except OSError as error:
        raise UserError(f"{path}: {what}cannot be renamed ({error.strerror or error})") from error
    return aside


def prune(root: Path, keep: int) -> None:
    """Remove all but the `keep` newest checkpoints."""
    for folder in _folders(root)[:-keep]:
        shutil.rmtree(folder, ignore_errors=True)


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.glob("step-*") if path.is_dir() and path.name[5:].isdigit())


def refuse_full_disk(root: Path, checkpoint_bytes: int, keep: int) -> None:
    """Refuse a run whose checkpoints would not fit.

    Args:
        root: folder of checkpoints; it need not exist.
        checkpoint_bytes: size of one checkpoint.
        keep: number of checkpoints that are kept; one more exists while it is written.

    Raises:
        UserError: saying how much space is free and how much is needed.
    """
    existing_folder = next(folder for folder in (root, *root.parents) if folder.exists())
    free_bytes = shutil.disk_usage(existing_folder).free
    needed_bytes = checkpoint_bytes * max(1, keep + 1 - len(_folders(root))) + _SPARE_BYTES
    if free_bytes < needed_bytes:
        raise UserError(
            f"{root}: {free_bytes / 1e9:.2f} GB free, {needed_bytes / 1e9:.2f} GB needed for checkpoints; "
            "free some, or set out=FOLDER on another disk, or a smaller keep_checkpoints"
        )
