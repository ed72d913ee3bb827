"""The card of a data set, `README.md`: its contents, and how the `datasets` library reads it.

The Hub shows the card, and the library reads from its header which files belong to a split and which columns there are.
So a data set loads without changes, from disk or from the Hub.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from conf.markdown import front_matter, plain, table
from pipelines.hub.features import Feature, dataset_features
from pipelines.synthesis.contact_sheet import contact_sheet
from training.data.dataset import DatasetCard
from training.data.layout import SPLITS
from training.data.licences import licence_fields
from training.data.manifest import write_atomically
from training.data.own_page import README, page_for
from training.data.pixels import png_of
from training.data.remote import AnyPath
from training.data.survey import Kind, Survey

SHEET = "contact_sheet.png"
"""Name of the picture in the card."""
_TITLE = "Painting processes"
_SHEET_ROWS = 6
_MEMBERS = {
    "webp": "a frame, from the earliest to the finished picture; lossless",
    "png": "a frame, from the earliest to the finished picture; lossless",
    "jpg": "a frame, from the earliest to the finished picture",
    "txt": "the caption, with the words that name the method",
    "json": "source, licence, renderer, seed, size, what each frame shows, metrics",
    "strokes.npz": "the strokes: they repaint every frame at any size",
    "regions.png": "which region a pixel belongs to; the json says when each is painted",
    "truth.npz": "of a generated picture: labels, names, depth and saliency of its things",
}
_EMPTY_TARS = (
    " A tar is empty where all its inputs were refused, so the library `webdataset` is to be told "
    "`WebDataset(..., empty_check=False)`."
)
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def write_dataset_page(root: AnyPath, card: DatasetCard, survey: Survey) -> None:
    """Write the card and the contact sheet of the committed part of a data set; nothing if no sequence is committed.

    A card that was changed by hand is kept.

    Raises:
        ValueError: if a sequence is damaged.
    """
    if survey.first_shard is None:
        return
    pages = dataset_pages(root, card, survey)
    write_atomically(root / SHEET, pages[SHEET])
    write_atomically(root / README, pages[README])


def dataset_pages(root: AnyPath, card: DatasetCard, survey: Survey) -> dict[str, bytes]:
    """The card and the contact sheet of the committed part of a data set, by their names.

    The card is the one in the folder if that was changed by hand.

    Raises:
        ValueError: if no sequence is committed, or one is damaged.
        OSError: if the card in the folder cannot be read.
    """
    if survey.first_shard is None:
        raise ValueError("no sequence is committed")
    page = page_for(root / README, dataset_page(card, survey, dataset_features(root, survey)))
    return {README: page, SHEET: png_of(contact_sheet(root, survey.first_shard[0]))}


def dataset_page(card: DatasetCard, survey: Survey, features: Sequence[Feature]) -> str:
    """The text of the card: the same for the same data, whatever its folder is called.

    Args:
        card: card of the data set.
        survey: survey of its committed shards, which must hold sequences.
        features: the columns, as `dataset_features` gives them.
    """
    splits = _splits(survey)
    in_folder = any("/" in name for name in card.shards)
    head = {
        "pretty_name": _TITLE,
        **licence_fields(survey.licences),
        "task_categories": ["text-to-image", "text-to-video"],
        "tags": ["painting", "painting-process", "webdataset", "process-painter"],
        "size_categories": [_size(survey.num_sequences)],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"shards/{'*/' * in_folder}{split}-*.tar"} for split in splits],
            }
        ],
        "dataset_info": {"config_name": "default", "features": list(features)},
    }
    return "\n".join([front_matter(head), *_body(card, survey, features)]) + "\n"


def _body(card: DatasetCard, survey: Survey, features: Sequence[Feature]) -> list[str]:
    assert survey.first_shard is not None
    recipe, schedule, splits = card.recipe, card.recipe.get("schedule", {}), _splits(survey)
    split_counts = ", ".join(f"{survey.splits[split]:,} {split}" for split in splits)
    unfinished = f" It is not finished: {len(card.shards)} shards are planned." if card.totals is None else ""
    captions = [str(record["caption"]) for record in survey.first_shard[1][:_SHEET_ROWS]]
    phrases = {str(each["name"]): str(each.get("phrase", "")) for each in recipe.get("renderers", [])}
    return [
        f"# {_TITLE}",
        "",
        f"How {survey.num_sequences:,} pictures come about, each in {schedule.get('num_frames', 'several')} frames "
        f"from the first marks to the finished picture: {split_counts}. {survey.num_bytes / 1e6:,.1f} MB in "
        f"{survey.num_shards} tars.{unfinished}",
        "",
        f"![A row a sequence, its frames from left to right]({SHEET})",
        "",
        *[f"{number}. {plain(caption) or '(no caption)'}" for number, caption in enumerate(captions, 1)],
        "",
        "## How to load it",
        "",
        "```python",
        "from datasets import load_dataset",
        "",
        'sequences = load_dataset("FOLDER OR USER/NAME", streaming=True)',
        f'first = next(iter(sequences["{splits[0]}"]))',
        "```",
        "",
        "The tars are plain WebDataset. What a sequence lacks, such as a map of regions, is empty."
        + _EMPTY_TARS * bool(survey.num_quarantined),
        "",
        "## What is in a sequence",
        "",
        table(("column", "what"), _columns(features)),
        "",
        "## How it was made",
        "",
        f"By process-painter {card.code_version}, from {_source(recipe)}. `dataset.json` holds the whole recipe; its "
        f"hash is `{card.config_hash[:16]}`.",
        "",
        table(
            ("renderer", "words in the caption", *splits),
            (
                (plain(name), plain(phrases.get(name, "")), *(f"{_count(survey, split, name):,}" for split in splits))
                for name in survey.renderers
            ),
        ),
        "",
        "## Licences of the pictures",
        "",
        table(("licence", "sequences"), [(plain(each), f"{count:,}") for each, count in survey.licences.items()]),
        "",
        "`samples.parquet` states source and licence of each sequence.",
        "",
    ]  # fmt: skip


def _splits(survey: Survey) -> list[str]:
    return [split for split in SPLITS if survey.splits.get(split)]


def _count(survey: Survey, split: str, renderer: str) -> int:
    return survey.kinds.get(Kind(split=split, renderer=renderer), 0)


def _columns(features: Sequence[Feature]) -> Iterator[tuple[str, str]]:
    """Rows of a table; all frames share one row."""
    for meaning, group in groupby((str(feature["name"]) for feature in features), _meaning):
        names = list(group)
        yield " to ".join(f"`{name}`" for name in dict.fromkeys((names[0], names[-1]))), meaning


def _meaning(name: str) -> str:
    """The meaning of a column."""
    if name.startswith("__"):
        return "the sequence's key" if name == "__key__" else "the tar that it stands in"
    if name.startswith("before."):
        return "the recorded frame that a frame was made from"
    ending = name.rpartition(".")[2]
    if ending == "txt" and name != "txt":
        return "the caption of a frame, with what is being done"
    return _MEMBERS.get(name) or _MEMBERS.get(ending, "")


def _source(recipe: Mapping[str, Any]) -> str:
    kind = recipe.get("source", {}).get("kind", "recordings of artists at work")
    return {"scenes": "scenes that it drew itself", "folder": "a folder of pictures"}.get(str(kind), str(kind))


def _size(num_sequences: int) -> str:
    return next((name for limit, name in _SIZES if num_sequences < limit), "n>1M")
