"""Checkpoints that are whole or absent, and that say themselves whether they are damaged.

A checkpoint is a folder `step-00000100`. It is written under a temporary name, forced to disk, renamed, and only then
are older ones removed: at every instant the newest whole one is there.
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
_FACTS = "checkpoint.json"
_DAMAGED = "damaged-"
_OF_THE_SYSTEM = ("No space left", "(os error ", "inline_container.cc")
"""In errors of safetensors and torch: the system did not take all that they wrote. torch does not say why."""
_SPARE_BYTES = 64 * 2**20  # logs, samples and whatever else the run writes


class _StoredFacts(TypedDict):
    """`checkpoint.json`; what else the loop noted stands beside."""

    __pydantic_config__ = OPEN  # type: ignore[misc]

    format: Count
    step: Count
    files: dict[str, str]
    position: NotRequired[Count]
    tracker_id: NotRequired[str | None]


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A sound checkpoint on disk.

    Attributes:
        folder: where it is.
        step: optimizer steps done.
        facts: position in the stream, hash of the recipe, tracker's run id, and what else the loop noted.
    """

    folder: Path
    step: int
    facts: dict[str, Any]

    def tensors(self, name: str) -> "dict[str, Tensor]":
        """A file of tensors.

        Raises:
            UserError: if it was no safetensors file when it was written.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        path = self.folder / f"{name}.safetensors"
        try:
            return load_file(path)
        except SafetensorError as error:
            raise UserError(f"checkpoint={path}: not a safetensors file") from error

    def state(self, name: str) -> Any:
        """A file of nested plain values and tensors; no pickled object is ever made from it.

        Raises:
            UserError: if it holds something else.
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
        UserError: if it cannot be written, as on a full disk; older checkpoints then stand as they did.
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
        (temporary / _FACTS).write_text(text, encoding="utf-8")
    return final


class replaced_folder:  # used as a context
    """Context that gives a temporary folder, and on leaving puts it, forced to disk, in the place of `final`.

    Raises:
        UserError: if that cannot be done; the temporary folder is then gone, and `final` as it was.
    """

    def __init__(self, final: Path) -> None:
        self._final = final
        self._temporary = temporary_path(final)

    def __enter__(self) -> Path:
        try:
            self._final.parent.mkdir(parents=True, exist_ok=True)
            self._sweep()
            self._temporary.mkdir()
            self._holder = os.open(self._temporary, os.O_RDONLY)
            with suppress(OSError):  # a filesystem without locks
                fcntl.flock(self._holder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise self._refused(error) from error
        return self._temporary

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        try:
            if error is None:
                self._commit()
        except OSError as failure:
            raise self._refused(failure) from failure
        finally:
            os.close(self._holder)
            shutil.rmtree(self._temporary, ignore_errors=True)
        if error is not None and (
            isinstance(error, OSError) or any(message in str(error) for message in _OF_THE_SYSTEM)
        ):
            raise self._refused(error) from error

    def _sweep(self) -> None:
        """Remove what killed writers of the same folder left: what nobody holds any more."""
        for path in self._final.parent.iterdir():
            if path.name.startswith(f".{self._final.name}.") and is_temporary(path) and not _is_held(path):
                shutil.rmtree(path, ignore_errors=True)

    def _commit(self) -> None:
        for path in self._temporary.rglob("*"):
            _force_to_disk(path)
        _force_to_disk(self._temporary)
        if self._final.exists():  # a damaged one, or the same once more
            aside = self._temporary.with_suffix(".old.tmp")
            self._final.rename(aside)
            self._temporary.rename(self._final)
            shutil.rmtree(aside, ignore_errors=True)
        else:
            self._temporary.rename(self._final)
        _force_to_disk(self._final.parent)

    def _refused(self, error: BaseException) -> UserError:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return UserError(f"{self._final}: cannot be written: {reason}")


def _is_held(folder: Path) -> bool:
    """Whether a process that lives has locked it, or may have."""
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
    """The newest checkpoint all of whose bytes are what was written; None when there is none.

    Only a checkpoint that can be read, and holds other bytes than were written, is damaged. Damaged ones that are newer
    are reported and renamed, so that they do not stand in the way of later checkpoints; they are never deleted.

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
        facts = parse_object(retried(folder / _FACTS, (folder / _FACTS).read_bytes), _StoredFacts)
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
    """Rename a damaged checkpoint to a name that no reader looks for; returns its new place."""
    return renamed_aside(folder, named_aside(folder, _DAMAGED), "damaged, and ")


def holds_damaged(root: Path) -> bool:
    """Whether damaged checkpoints were set aside in a folder of checkpoints."""
    return any(root.glob(f"{_DAMAGED}step-*"))


def named_aside(path: Path, prefix: str) -> Path:
    """A name that nothing has yet, beside a path: its own behind a prefix, with a number where that is taken."""
    names = (f"{prefix}{path.name}" + (f"-{count}" if count else "") for count in itertools.count())
    return next(path.with_name(name) for name in names if not path.with_name(name).exists())


def renamed_aside(path: Path, aside: Path, what: str = "") -> Path:
    """Rename a file or folder, at once; returns its new place.

    Args:
        path: of it.
        aside: its new place.
        what: to be said of it where that fails.

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
        root: folder of checkpoints; need not exist.
        checkpoint_bytes: size of one.
        keep: how many there will be, and one more while it is written.

    Raises:
        UserError: saying how much there is and how much it takes.
    """
    above = next(folder for folder in (root, *root.parents) if folder.exists())
    free = shutil.disk_usage(above).free
    needed = checkpoint_bytes * max(1, keep + 1 - len(_folders(root))) + _SPARE_BYTES
    if free < needed:
        raise UserError(
            f"{root}: {free / 1e9:.2f} GB free, {needed / 1e9:.2f} GB needed for checkpoints; "
            "free some, or set out=FOLDER on another disk, or a smaller keep_checkpoints"
        )
