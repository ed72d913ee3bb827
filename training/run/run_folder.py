"""The folder of a run: claimed by one process, refused if it is another run's, and removed if no run began in it.

RUN/run.json          recipe and its hash, data, parents, what is trained and what is frozen
RUN/log.jsonl         one line per measurement; no step appears twice, however often the run was killed
RUN/checkpoints/      step-00000100/ and so on
RUN/samples/          one video and one contact sheet for each time that samples were painted
RUN/weights/          the stage's result and its run_card.json, once the run has ended
RUN/earlier-weights/  the previous result while a finished run is trained for more steps
RUN/wandb/            files of the tracker
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from conf.errors import ConfigError, UserError
from conf.printable import as_typed
from conf.progress import tell
from conf.recipe import first_difference, flatten
from training.data.claim import claimed_folder, naming_out
from training.data.manifest import stored_hash, sweep_temporaries, to_json, write_atomically
from training.data.mirror import EARLIER, Mirror
from training.data.retries import retried
from training.data.seal import sealed, sealed_fields
from training.models.weights import WEIGHTS
from training.run.checkpoint import holds_damaged, named_aside, renamed_aside

_CURVES = {"train/loss", "val/loss"}
_MOST_POINTS = 200  # of a curve at most
_CHOICES = ("stage.name", "model.name", "optimizer.name")  # which decide other keys of a recipe and their defaults
_TYPED_KEYS = {"stream.kind": "stream", "stream.num_workers": "num_workers"}  # key of a recipe -> as a user types it


@dataclass(frozen=True)
class RunFolder:
    """Names of everything in a run's folder, and its log."""

    root: Path
    mirror: Mirror | None = None

    def put(self) -> None:
        """Upload what has changed, if the run's folder is in an object store.

        Raises:
            UserError: if the storage fails.
        """
        if self.mirror is not None:
            self.mirror.put()

    @property
    def card(self) -> Path:
        """The run card."""
        return self.root / "run.json"

    @property
    def log(self) -> Path:
        """The log of all measurements."""
        return self.root / "log.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Folder of checkpoints."""
        return self.root / "checkpoints"

    @property
    def samples(self) -> Path:
        """Folder of sample sequences."""
        return self.root / "samples"

    @property
    def weights(self) -> Path:
        """Folder of the result."""
        return self.root / WEIGHTS

    @property
    def earlier_weights(self) -> Path:
        """Folder of the previous result while a finished run is trained for more steps."""
        return self.root / f"{EARLIER}{WEIGHTS}"

    def begin(self, step: int | None, max_steps: int) -> None:
        """Set aside what would make a run with more steps to do look finished, or would be lost silently.

        Weights are renamed before the first step, so that a run that is killed looks finished only if it is. The log is
        kept under another name if the checkpoints that belong to it are lost.

        Args:
            step: step of the sound checkpoint that the run resumes from; None if there is none.
            max_steps: total number of steps that the run is to do.

        Raises:
            UserError: if they cannot be renamed, or the storage fails.
        """
        is_lost = step is None and (self.weights.is_dir() or holds_damaged(self.checkpoints))
        if is_lost:
            tell(f"{self.checkpoints}: no sound checkpoint is left; starting at step 0")
        if is_lost and next(self._log_lines(), None) is not None:
            aside = renamed_aside(self.log, named_aside(self.log, EARLIER))
            tell(f"{self.log}: measurements up to now are kept as {aside.name}")
        if (step or 0) < max_steps and self.weights.is_dir():
            self.drop_earlier_weights()  # older still
            aside = renamed_aside(self.weights, self.earlier_weights)
            tell(f"{self.weights}: kept as {aside.name} until all {max_steps} steps are done")
            self.put()

    def drop_earlier_weights(self) -> None:
        """Remove the previous result, which the weights of the finished run replace."""
        shutil.rmtree(self.earlier_weights, ignore_errors=True)

    def write_card(self, facts: Mapping[str, Any]) -> None:
        """Put `run.json` in place, whole or not at all."""
        write_atomically(self.card, sealed(to_json(dict(facts))))

    def report(self) -> dict[str, Any]:
        """The report that is kept with the weights: the run card, and the loss curves as lists of [step, value].

        Raises:
            UserError: if the card cannot be read.
        """
        curves: dict[str, list[list[float]]] = {}
        for line in self._log_lines():
            for key in _CURVES & line.keys():
                if isinstance(line[key], int | float):
                    curves.setdefault(key, []).append([line["step"], line[key]])
        return {**_read_card(self.card), "curves": {key: _thinned(points) for key, points in curves.items()}}

    def append(self, line: Mapping[str, Any]) -> None:
        """Add a line to the log.

        Raises:
            UserError: if it cannot be written, for example on a full disk.
            ValueError: if a number is infinite or not a number, for which JSON has no form.
        """
        text = _as_text(line)
        try:
            with self.log.open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise UserError(f"{self.log}: cannot be written: {error.strerror or error}") from error

    def force_log(self) -> str:
        """Force the log to disk, before a checkpoint says that its steps are done; returns its SHA-256."""
        with self.log.open("a", encoding="utf-8") as file:
            os.fsync(file.fileno())
        return stored_hash(self.log)

    def cut_log(self, step: int, sha256: str | None = None) -> None:
        """Remove lines that were written after a checkpoint, and a half-written last line; their work is done again.

        Args:
            step: step of the checkpoint that the run resumes from.
            sha256: hash of the log that the checkpoint holds, if it holds one; a log that differs from it is reported,
                but training goes on.
        """
        lines, lines_hash = list[bytes](), hashlib.sha256()
        for line in self._log_lines():
            if lines_hash.hexdigest() == sha256:
                break
            if line["step"] <= step:
                lines.append(_as_text(line).encode("utf-8"))
                lines_hash.update(lines[-1])
        if sha256 not in (None, lines_hash.hexdigest()):
            tell(f"{self.log}: not what was written; measurements up to step {step} are missing or wrong in it")
        write_atomically(self.log, b"".join(lines))

    def _log_lines(self) -> Iterator[dict[str, Any]]:
        """The lines of the log that can be read and have a step. Damaged lines are skipped."""
        try:
            data = retried(self.log, self.log.read_bytes)
        except FileNotFoundError:
            return
        for text in data.split(b"\n"):
            with suppress(ValueError, RecursionError):
                line = json.loads(text)
                if isinstance(line, dict) and type(line.get("step")) is int:
                    _as_text(line)  # a line with numbers that are not finite is damaged
                    yield line


def _thinned(points: list[list[float]]) -> list[list[float]]:
    """Some of the points of a curve, at equal distances, and always the last."""
    distance = max(1, -(-(len(points) - 1) // (_MOST_POINTS - 1)))
    spaced_points = points[::distance]
    return spaced_points if spaced_points[-1] is points[-1] else [*spaced_points, points[-1]]


def _as_text(line: Mapping[str, Any]) -> str:
    """A line of the log; a ValueError if a number is not finite."""
    return json.dumps(line, allow_nan=False) + "\n"


@contextmanager
def claimed(
    root: Path, recipe: Mapping[str, Any], resume: Literal["auto", "never", "must"], mirror: Mirror | None = None
) -> Iterator[RunFolder]:
    """Claim the folder until the run ends. A folder that was made here and got no `run.json` is removed again.

    Args:
        root: the folder.
        recipe: the settings that must not change when a run is resumed.
        resume: whether a run in the folder is resumed.
        mirror: the local mirror of the folder, if that is in an object store.

    Raises:
        UserError: if it cannot be written, is in use, or holds another run or something else.
    """
    folder = RunFolder(root, mirror)
    if resume == "must" and not folder.card.exists():
        raise UserError(f"out={root}: no run to resume; resume=auto starts one")
    check = partial(_refuse_other_run, folder, recipe, resume)
    with naming_out(root), claimed_folder(root, what="a run", card=folder.card.name, check=check):
        for place in (root, folder.samples, folder.checkpoints):
            sweep_temporaries(place)
        yield folder


def _refuse_other_run(folder: RunFolder, recipe: Mapping[str, Any], resume: str) -> None:
    root = folder.root
    if resume == "never":
        raise ConfigError("out", root, "a new folder, with resume=never; this one holds a run")
    card = _read_card(folder.card)
    stored_recipe = card.get("recipe")
    if not isinstance(stored_recipe, dict):
        raise UserError(f"{folder.card}: cannot be read (recipe: not an object)")
    if stored_recipe.get("draws") != recipe.get("draws"):
        raise UserError(
            f"out={root}: this run was begun by another version, with other random numbers, and cannot be resumed; "
            "use another folder (its weights can still be given as base=, motion=, ...)"
        )
    requested_recipe = _by_content(json.loads(json.dumps(recipe)), stored_recipe)
    difference = first_difference(stored_recipe, requested_recipe, first=_CHOICES)
    if difference is not None:
        phrase = _about_null_group(difference[0], stored_recipe, requested_recipe) or _in_words(*difference)
        raise ConfigError("out", root, f"another folder; this one holds a run {phrase}")
    _refuse_other_order(root, card, recipe)


def _in_words(key: str, stored: Any, requested: Any) -> str:
    """A phrase about the run of a recipe that differs in a key from the requested one, by the key that a user types."""
    if key.startswith("data.hashes."):
        name = key.removeprefix("data.hashes.")
        if requested is None:
            return f"with data={name}, which is none of the data sets that data= names"
        return f"without data={name}" if stored is None else f"with other contents of data={name}"
    if key.startswith("parents."):
        parent = "model.path" if key == "parents.model" else key.removeprefix("parents.")
        return f"without {parent}=" if stored is None else f"with other weights as {parent}="
    if key == "data.weights":
        return f"in which data= has weights {as_typed(stored)}, not {as_typed(requested)}"
    if key == "stream.processes":
        return f"with {stored} training process{'es' * (stored != 1)}, not {requested}"
    if key == "stream.kind":
        stored, requested = stored or "random", requested or "random"
    return f"with {_TYPED_KEYS.get(key, key).removesuffix('.name')}={as_typed(stored)}, not {as_typed(requested)}"


def _about_null_group(key: str, stored: Mapping[str, Any], requested: Mapping[str, Any]) -> str:
    """The phrase about a key of a group that is null in one of two recipes; empty if it is null in neither."""
    group = key.rpartition(".")[0]
    if group in flatten(stored):
        return f"with {group}=null"
    return f"without {group}=null" if group in flatten(requested) else ""


def _by_content(recipe: dict[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe with the stored recipe's names for data sets and a base of the same content: names decide nothing."""
    hashes, stored_hashes = (_nested_value(each, "data", "hashes") for each in (recipe, stored))
    have_names = isinstance(hashes, dict) and isinstance(stored_hashes, dict)
    if have_names and sorted(hashes.values()) == sorted(map(str, stored_hashes.values())):
        recipe["data"]["hashes"] = stored_hashes
    base, stored_path = _nested_value(recipe, "parents", "model"), _nested_value(stored, "model", "path")
    if _nested_value(recipe, "model", "path") is None or _nested_value(stored, "parents", "base") is not None:
        # One of the runs did not read `model.path`. Runs of earlier versions hold it nevertheless.
        recipe["model"] = {**recipe.get("model", {}), "path": stored_path}
        recipe["parents"] = {**recipe.get("parents", {}), "model": _nested_value(stored, "parents", "model")}
    elif base is not None and base == _nested_value(stored, "parents", "model") and stored_path is not None:
        recipe["model"]["path"] = stored_path
    return recipe


def _refuse_other_order(root: Path, card: Mapping[str, Any], recipe: Mapping[str, Any]) -> None:
    """Refuse the same data sets in another order, which gives other sequences. Older run cards do not hold it."""
    stored_order, hashes = _nested_value(card, "data", "order"), _nested_value(recipe, "data", "hashes")
    if not isinstance(stored_order, list) or not isinstance(hashes, dict) or stored_order == list(hashes.values()):
        return
    names = {sha256: name for name, sha256 in hashes.items()}
    in_order = ", ".join(names.get(sha256, str(sha256)) for sha256 in stored_order)
    raise ConfigError("out", root, f"another folder; this one holds a run with data=[{in_order}], in this order")


def _nested_value(value: Any, *keys: str) -> Any:
    """The value at nested keys; None if there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _read_card(path: Path) -> dict[str, Any]:
    try:
        return sealed_fields(retried(path, path.read_bytes))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error
