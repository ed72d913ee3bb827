"""The files of a folder that are published: its data or weights, their descriptions, and a card. Files that only the
run itself needs are left out: timings, checkpoints, optimizer states, logs, locks and unfinished files. Nothing is
written into the folder: a page that it lacks is made in memory."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from conf.errors import UserError
from conf.progress import Progress
from pipelines.hub.dataset_page import SHEET, dataset_pages
from pipelines.synthesis.dataset_faults import card_faults, tar_fault
from pipelines.synthesis.examination import examine
from training.data.claim import is_being_written
from training.data.dataset import DatasetCard, read_card
from training.data.layout import dataset_file, manifest_name, quarantine_file, samples_file, tar_name
from training.data.manifest import ShardManifest
from training.data.own_page import README, page_for
from training.data.plain import parse_object
from training.data.retries import retried
from training.data.survey import Survey
from training.models.painter_folder import check_painter
from training.models.painter_page import painter_licences, painter_page, run_licences, run_page
from training.models.weights import PAINTER_CARD, RUN_CARD, WEIGHTS_HASH, parent_weights, read_run_card, sound_hash

RepoType = Literal["dataset", "model"]


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What goes into a repository.

    Attributes:
        kind: kind of the repository.
        files: name in the repository -> local file, or its bytes.
        licences: licences of everything that the files were made from, as the sources state them.
    """

    kind: RepoType
    files: Mapping[str, Path | bytes]
    licences: frozenset[str]

    @property
    def sizes(self) -> dict[str, int]:
        """Name -> bytes."""
        return {
            name: len(file) if isinstance(file, bytes) else file.stat().st_size for name, file in self.files.items()
        }


def dataset_contents(root: Path) -> Contents:
    """The contents of a data set, with a card and a contact sheet even if the folder has none.

    Raises:
        UserError: if there is no data set, it is not complete, or a run is writing it.
    """
    card = read_card(root)
    if is_being_written(root):
        raise UserError(f"dataset={root}: a run is writing it; publish it when that has ended")
    survey, faults = _examined(root, card)
    if faults or card.totals is None:
        more = f"; and {len(faults) - 1} more" if faults[1:] else ""
        raise UserError(
            f"dataset={root}: not complete and sound: {faults[0]}{more}; run the command that made it again"
        )
    try:
        if survey.first_shard is None:
            raise UserError(f"dataset={root}: it holds no sequences; all its inputs were refused")
        if (root / README).exists() and (root / SHEET).exists():
            pages = {page.name: retried(page, page.read_bytes) for page in (root / README, root / SHEET)}
        else:
            pages = dataset_pages(root, card, survey)
    except OSError as error:
        raise UserError(f"dataset={root}: {error.filename or root}: {error.strerror or error}") from error
    described = [dataset_file(root), samples_file(root), quarantine_file(root)]
    files: dict[str, Path | bytes] = {path.name: path for path in described if path.is_file()}
    files |= pages
    files |= {name: root / name for shard in card.shards for name in (tar_name(shard), manifest_name(shard))}
    return Contents(kind="dataset", files=files, licences=frozenset(card.totals["licences"]))


def _examined(root: Path, card: DatasetCard) -> tuple[Survey, list[str]]:
    """The survey of a data set, and its faults: everything that `verify replay=false` finds."""
    from pipelines.synthesis.promises import shard_faults  # imports the renderers, which painters do not need

    faults = list(card_faults(root, card))
    with Progress("checking", card.num_planned) as progress:

        def look(manifest: ShardManifest) -> Iterator[str]:
            fault = tar_fault(root, manifest)
            yield from shard_faults(root, manifest, card, replay=False) if fault is None else [fault]
            progress.advance(manifest.num_planned)

        # Tables of data sets of the first version are not checked, as it made no promises about them.
        survey = examine(root, card, faults, look, tables=card.manifests is not None)
    if not faults and (card.totals is None or survey.num_shards < len(card.shards)):
        faults.append(f"{survey.num_shards} of {len(card.shards)} shards are there")
    return survey, faults


def painter_contents(folder: Path) -> Contents:
    """The contents of a painter, with a card even if the folder has none.

    Raises:
        UserError: if the folder is not a painter, or not complete, or a card cannot be read.
    """
    facts = check_painter(folder)
    files: dict[str, Path | bytes] = {name: folder / name for name in (*facts["files"], PAINTER_CARD)}
    page = folder / README
    try:
        files[README] = retried(page, page.read_bytes) if page.exists() else _painter_page(folder, facts)
    except OSError as error:
        raise UserError(f"painter={folder}: {error.filename or page}: {error.strerror or error}") from error
    return Contents(kind="model", files=files, licences=frozenset(painter_licences(facts)))


def _painter_page(folder: Path, facts: Mapping[str, Any]) -> bytes:
    """The card that `assemble` would write, from those run cards that `painter.json` lists.

    Raises:
        UserError: if a run card is not one.
        OSError: if one cannot be read.
    """
    paths = [folder / name for name in facts["files"] if re.fullmatch(r"run_cards/[^/]+\.json", name)]
    try:
        run_cards = {path.stem: parse_object(retried(path, path.read_bytes), dict[str, Any]) for path in paths}
        text = painter_page(facts, run_cards, runs_alone="pipeline.py" in facts["files"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"painter={folder}: a run card cannot be read ({error}); assemble it again") from error
    return page_for(folder / README, text)


def run_contents(folder: Path) -> Contents:
    """The weights of a run that has ended, at the top of the repository, where other tools look for them.

    Raises:
        UserError: if there are no weights, or they are not what the run wrote.
    """
    weights = parent_weights("run", folder)
    if weights.is_file():
        raise UserError(f"run={weights}: a file; give the folder of a run, or of its weights")
    card = _card_of(weights)
    sound_hash("run", weights)
    paths = {path.relative_to(weights): path for path in sorted(weights.rglob("*")) if path.is_file()}
    files: dict[str, Path | bytes] = {
        name.as_posix(): path for name, path in paths.items() if _is_of_run(name, is_hashed=WEIGHTS_HASH in card)
    }
    if README not in files:
        files[README] = run_page(card).encode()
    return Contents(kind="model", files=files, licences=frozenset(run_licences(card)))


def _is_of_run(name: Path, *, is_hashed: bool) -> bool:
    """Whether a file among the weights of a run is the run's: `weights_hash` covers it, or it is the card or the page.

    Args:
        name: its name below the folder of the weights.
        is_hashed: whether the run card states the hash. If it does, hidden files in subfolders are covered and so are
            the run's; of the first runs, whose cards state none, no hidden file is taken.
    """
    if name.name == RUN_CARD:  # the hash leaves out files of this name in every folder
        return len(name.parts) == 1
    return not any(part.startswith(".") for part in (name.parts[:1] if is_hashed else name.parts))


def _card_of(weights: Path) -> dict[str, Any]:
    try:
        card = read_run_card(weights)
    except (OSError, ValueError) as error:
        raise UserError(f"run={weights}: {RUN_CARD} cannot be read ({error})") from error
    if card is None:
        raise UserError(f"run={weights}: not the weights of a run (no {RUN_CARD})")
    return card
