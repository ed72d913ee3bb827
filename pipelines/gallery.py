"""Write one HTML page on which every painting process of a data set can be played.

    python -m pipelines.gallery dataset=outputs/dataset

The page is DATASET/gallery/index.html. All pictures are inside the file: it opens without a network or server, and can
be sent to somebody.
Exit code 0: written; 2: the folder is no data set, or a shard is damaged; 3: written, but the data set is unfinished.
"""

from dataclasses import dataclass
from typing import Any

from conf.command import COMPLETE, PARTIAL, Summary, command, leave
from conf.compose import typed
from conf.errors import ConfigError, UserError
from conf.printable import counted
from pipelines.pages.gallery.cards import MAX_PX
from pipelines.pages.gallery.contents import Contents, gather
from pipelines.pages.gallery.page import render_page
from training.data.claim import sole_writer
from training.data.manifest import sweep_temporaries, write_atomically
from training.data.remote import AnyPath, Place, below

_MOST_SEQUENCES = 2000  # a sequence takes 10 to 40 KB, and a page with more would not open on a phone


@dataclass(frozen=True, kw_only=True)
class GalleryConfig:
    """What to show; `conf/gallery.yaml` says what each key means."""

    dataset: AnyPath
    max_sequences: int
    thumbnail_px: int

    def __post_init__(self) -> None:
        if not 1 <= self.max_sequences <= _MOST_SEQUENCES:
            raise ConfigError("max_sequences", self.max_sequences, f"1 to {_MOST_SEQUENCES}")
        if not 32 <= self.thumbnail_px <= MAX_PX:
            raise ConfigError("thumbnail_px", self.thumbnail_px, f"32 to {MAX_PX}")


def run(config: GalleryConfig) -> Summary:
    """Write the gallery of a data set.

    Raises:
        UserError: if there is no data set, a shard is damaged, or the page cannot be written.
    """
    contents = gather(config.dataset, config.max_sequences, config.thumbnail_px)
    page = _write(config.dataset, contents)
    size = f"{len(contents.cards)} of {counted(contents.num_sequences, 'sequence')}, {page.stat().st_size / 1e6:.1f} MB"
    lines = [f"{page}: {size}"]
    if contents.num_quarantined:
        lines.append(f"refused {counted(contents.num_quarantined, 'input')}; the page lists the reasons")
    if not contents.complete:
        lines.append(f"not complete: {contents.num_planned} sequences are planned; this page shows what is committed")
    lines.append(f"look at it: {page.resolve().as_uri()}")
    return Summary(lines=tuple(lines), exit_code=COMPLETE if contents.complete else PARTIAL)


def write_gallery(root: Place, *, max_sequences: int = 200, thumbnail_px: int = 192) -> Place:
    """Write `DIR/gallery/index.html` and return its path. The same data set gives the same bytes.

    Args:
        root: folder of the data set; of an unfinished one, the committed part is shown.
        max_sequences: the most sequences that are shown, evenly spread over the data set and its renderers.
        thumbnail_px: longer side of the frames on the page; stored frames are never enlarged.

    Raises:
        UserError: if there is no data set, a shard is damaged, or the page cannot be written.
    """
    return _write(root, gather(root, max_sequences, thumbnail_px))


def _write(root: Place, contents: Contents) -> Place:
    page = below(root, "gallery/index.html")
    try:
        page.parent.mkdir(exist_ok=True)
        with sole_writer(page.parent):
            sweep_temporaries(page.parent)
            write_atomically(page, render_page(contents.to_plain()))
    except OSError as error:
        raise UserError(f"{page}: cannot be written: {error.strerror or error}") from error
    return page


def gallery_config(plain: dict[str, Any]) -> GalleryConfig:
    """The typed configuration."""
    return typed(GalleryConfig, plain)


if __name__ == "__main__":
    leave(command("gallery", gallery_config, run, __doc__ or ""))
