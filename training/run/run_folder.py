"""The folder of a run: claimed by one process, refused if it is another run's, and removed if nothing was begun.

RUN/run.json          recipe and its hash, data, parents, what is trained and what is frozen
RUN/log.jsonl         a line a measurement; no step stands twice, however often the run was killed
RUN/checkpoints/      step-00000100/ and so on
RUN/samples/          a video and a sheet of each time
RUN/weights/          what the stage made of the trained weights, when the run has ended, and its run_card.json
RUN/earlier-weights/  those of a run that is being made longer, until it has ended again
RUN/wandb/            of the tracker
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
from conf.progress import tell
from conf.recipe import first_difference
from training.data.claim import claimed_folder, naming_out
from training.data.manifest import stored_hash, sweep_temporaries, to_json, write_atomically
from training.data.mirror import EARLIER, Mirror
from training.data.retries import retried
from training.data.seal import sealed, sealed_fields
from training.models.weights import WEIGHTS
from training.run.checkpoint import holds_damaged, named_aside, renamed_aside

_CURVES = {"train/loss", "val/loss"}
_POINTS = 200  # of a curve at most


@dataclass(frozen=True)
class RunFolder:
    """Names of everything in a run's folder, and its log."""

    root: Path
    mirror: Mirror | None = None

    def put(self) -> None:
        """Bring the store to what is here, where the run's folder is in one.

        Raises:
            UserError: if the storage fails.
        """
        if self.mirror is not None:
            self.mirror.put()

    @property
    def card(self) -> Path:
        """What the run is."""
        return self.root / "run.json"

    @property
    def log(self) -> Path:
        """Everything measured."""
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
        """Those of a run that is being made longer."""
        return self.root / f"{EARLIER}{WEIGHTS}"

    def begin(self, step: int | None, max_steps: int) -> None:
        """Set aside what would make a run that has more steps to do look finished, or would be lost without a word.

        Weights go by one rename before anything else is done: at whatever instant the run is killed, it looks finished
        only if it is. The log is kept where the checkpoints that belong to it are lost.

        Args:
            step: of the sound checkpoint that the run goes on from; None where there is none.
            max_steps: that are to be done.

        Raises:
            UserError: if they cannot be renamed, or the storage fails.
        """
        is_lost = step is None and (self.weights.is_dir() or holds_damaged(self.checkpoints))
        if is_lost:
            tell(f"{self.checkpoints}: no sound checkpoint is left; starting at step 0")
        if is_lost and next(self._logged(), None) is not None:
            aside = renamed_aside(self.log, named_aside(self.log, EARLIER))
            tell(f"{self.log}: measurements up to now are kept as {aside.name}")
        if (step or 0) < max_steps and self.weights.is_dir():
            self.drop_earlier_weights()  # older still
            aside = renamed_aside(self.weights, self.earlier_weights)
            tell(f"{self.weights}: kept as {aside.name} until all {max_steps} steps are done")
            self.put()

    def drop_earlier_weights(self) -> None:
        """Remove what the weights of a run that has ended again replace."""
        shutil.rmtree(self.earlier_weights, ignore_errors=True)

    def write_card(self, facts: Mapping[str, Any]) -> None:
        """Put `run.json` in place, whole or not at all."""
        write_atomically(self.card, sealed(to_json(dict(facts))))

    def report(self) -> dict[str, Any]:
        """What is kept with the weights: the card, and the curves of the losses, [step, value] each.

        Raises:
            UserError: if the card cannot be read.
        """
        curves: dict[str, list[list[float]]] = {}
        for line in self._logged():
            for key in _CURVES & line.keys():
                if isinstance(line[key], int | float):
                    curves.setdefault(key, []).append([line["step"], line[key]])
        thinned = {key: points[:: -(-len(points) // _POINTS)] for key, points in curves.items()}
        return {**_read_card(self.card), "curves": thinned}

    def append(self, line: Mapping[str, Any]) -> None:
        """Add a line to the log."""
        with self.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def force_log(self) -> str:
        """Bring the log to disk, before a checkpoint says that its steps are done; its SHA-256, for the checkpoint."""
        with self.log.open("a", encoding="utf-8") as file:
            os.fsync(file.fileno())
        return stored_hash(self.log)

    def cut_log(self, step: int, sha256: str | None = None) -> None:
        """Remove lines of later steps than `step`, which will be done again, and a half-written last line.

        Args:
            step: of the checkpoint that the run resumes from.
            sha256: what the checkpoint says of the log, if it does; measurements that are not those that were made are
                reported, and end no training.
        """
        lines = "".join(json.dumps(line) + "\n" for line in self._logged() if line["step"] <= step).encode()
        if sha256 not in (None, hashlib.sha256(lines).hexdigest()):
            tell(f"{self.log}: not what was written; measurements up to step {step} are missing or wrong in it")
        write_atomically(self.log, lines)

    def _logged(self) -> Iterator[dict[str, Any]]:
        """The lines of the log that can be read, which say their step. Damaged lines are skipped."""
        try:
            data = retried(self.log, self.log.read_bytes)
        except FileNotFoundError:
            return
        for text in data.split(b"\n"):
            with suppress(ValueError, RecursionError):
                line = json.loads(text)
                if isinstance(line, dict) and type(line.get("step")) is int:
                    yield line


@contextmanager
def claimed(
    root: Path, recipe: Mapping[str, Any], resume: Literal["auto", "never", "must"], mirror: Mirror | None = None
) -> Iterator[RunFolder]:
    """Claim the folder until the run ends. A folder that was made here and got no `run.json` is removed again.

    Args:
        root: the folder.
        recipe: what must not change when a run is resumed.
        resume: whether a run in the folder is resumed.
        mirror: of the folder, where it is in an object store.

    Raises:
        UserError: if it cannot be written, is in use, or holds another run or something else.
    """
    folder = RunFolder(root, mirror)
    if resume == "must" and not folder.card.exists():
        raise UserError(f"out={root}: no run to resume; resume=auto starts one")
    check = partial(_refuse_other, folder, recipe, resume)
    with naming_out(root), claimed_folder(root, what="a run", card=folder.card.name, check=check):
        for place in (root, folder.samples, folder.checkpoints):
            sweep_temporaries(place)
        yield folder


def _refuse_other(folder: RunFolder, recipe: Mapping[str, Any], resume: str) -> None:
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
    difference = first_difference(stored_recipe, requested_recipe)
    if difference is not None:
        key, stored, requested = difference
        instead = f"not {requested}"
        if key.startswith("data.hashes.") and requested is None:
            instead = "which is none of the data sets that data= names"
        raise ConfigError("out", root, f"another folder; this one holds a run with {key}={stored}, {instead}")
    _refuse_other_order(root, card, recipe)


def _by_content(recipe: dict[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe that calls data sets and a base of the same content as the stored recipe does; names decide nothing."""
    hashes, stored_hashes = (_at(each, "data", "hashes") for each in (recipe, stored))
    are_named = isinstance(hashes, dict) and isinstance(stored_hashes, dict)
    if are_named and sorted(hashes.values()) == sorted(map(str, stored_hashes.values())):
        recipe["data"]["hashes"] = stored_hashes
    base, stored_path = _at(recipe, "parents", "model"), _at(stored, "model", "path")
    if base is not None and base == _at(stored, "parents", "model") and stored_path is not None:
        recipe["model"]["path"] = stored_path
    return recipe


def _refuse_other_order(root: Path, card: Mapping[str, Any], recipe: Mapping[str, Any]) -> None:
    """Refuse the same data sets in another order, in which other sequences come; runs of before do not say theirs."""
    stored_order, hashes = _at(card, "data", "order"), _at(recipe, "data", "hashes")
    if not isinstance(stored_order, list) or not isinstance(hashes, dict) or stored_order == list(hashes.values()):
        return
    names = {sha256: name for name, sha256 in hashes.items()}
    in_order = ", ".join(names.get(sha256, str(sha256)) for sha256 in stored_order)
    raise ConfigError("out", root, f"another folder; this one holds a run with data=[{in_order}], in this order")


def _at(value: Any, *keys: str) -> Any:
    """What stands at nested keys; None where there is nothing."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _read_card(path: Path) -> dict[str, Any]:
    try:
        return sealed_fields(retried(path, path.read_bytes))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error
