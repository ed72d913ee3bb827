"""Finds all faults of a data set outside the contents of its shards, in one pass over its manifests."""

import hashlib
from collections.abc import Callable, Iterable, Iterator

from pipelines.synthesis.dataset_faults import Crossings, read_sound_manifests
from pipelines.synthesis.table_faults import table_faults
from training.data.dataset import DatasetCard
from training.data.manifest import ShardManifest
from training.data.remote import AnyPath
from training.data.survey import Survey
from training.data.tables import quarantine_lines


def examine(
    root: AnyPath,
    card: DatasetCard,
    faults: list[str],
    look: Callable[[ShardManifest], Iterable[str]],
    *,
    tables: bool = True,
) -> Survey:
    """Read all manifests, compare them with one another, with the card and with the tables.

    Args:
        root, card: those of the data set.
        faults: list to which faults are added, a line each.
        look: returns the faults of one shard; it is called once for each shard whose manifest is sound.
        tables: whether to read the tables as well.

    Returns:
        The survey of the sound manifests.

    Raises:
        UserError: if the storage fails.
    """
    survey, crossings, refused = Survey(), Crossings(), hashlib.sha256()
    for manifest in crossings.noting(survey.noting(read_sound_manifests(root, card, faults))):
        refused.update(b"".join(quarantine_lines([manifest])))
        faults += look(manifest)

    def reread() -> Iterator[ShardManifest]:
        return read_sound_manifests(root, card, [])

    faults += crossings.faults(reread)
    if card.totals is not None and card.totals != survey.totals():
        faults.append(f"{root}: the totals of dataset.json are not those of its shards")
    if tables:
        faults += table_faults(root, card, refused.hexdigest(), reread)
    return survey
