"""Photoshop's documents (.psd, .psb): psd-tools reads and composites them, with masks, clipping, groups and effects."""

from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.artists.layers.document import MOST_LAYERS, MOST_PIXELS
from pipelines.sources.colour import with_profile
from pipelines.sources.reading import PatientFile, read_patiently
from pipelines.sources.source import RefusedPicture, StorageFault
from training.data.storage import open_storage

if TYPE_CHECKING:
    from psd_tools import PSDImage

Floats = NDArray[np.float32]

_MOST_BYTES = 4_000_000_000  # largest single allocation of psd-tools
_MODES = {1: "L", 3: "RGB"}  # colour mode of the file -> Pillow's mode


@contextmanager
def opened_photoshop(path: str) -> Iterator["PSDImage"]:
    """Context with a document, by a path or URL; it may be grey or RGB, of 8, 16 or 32 bits.

    Raises:
        RefusedPicture: if it is no PSD, damaged, too large or of other colours; damage may show only later.
        StorageFault: if the storage fails.
    """
    try:
        from psd_tools import PSDImage
    except ImportError:
        raise RefusedPicture("PSD needs: pip install 'process-painter[import]'; or save it as OpenRaster") from None
    filesystem, locator = open_storage(path)
    with read_patiently(lambda: filesystem.open(locator, "rb"), path) as opened:
        file = PatientFile(opened, path)
        try:
            document = PSDImage.open(cast(IO[bytes], file), max_alloc_bytes=_MOST_BYTES)
            width_px, height_px = document.size
            if width_px * height_px > MOST_PIXELS:
                raise RefusedPicture(f"{width_px}x{height_px} px is more than {MOST_PIXELS}")
            if int(document.color_mode) not in _MODES:
                raise RefusedPicture(f"colours of {document.color_mode.name.lower()}: save it as RGB")
            yield document
        except (RefusedPicture, StorageFault, MemoryError):
            raise
        except Exception as error:  # the exceptions of psd-tools on malformed bytes have no common class
            reason = " ".join(str(error).split()) or type(error).__name__
            raise file.fault or RefusedPicture(f"damaged, or not a PSD that can be read ({reason[:200]})") from error


def canvases_of(document: "PSDImage") -> Iterator[Floats]:
    """(h, w, 3) white paper, and the canvas after each visible layer.

    Each layer is composited onto the canvas below its top-level layer or group. Adjustment layers change everything
    below them, so there the whole document is composited again.

    Raises:
        RefusedPicture: if there are no layers, or too many.
    """
    from psd_tools.api.layers import AdjustmentLayer

    if sum(1 for _ in document.descendants()) > MOST_LAYERS:
        raise RefusedPicture(f"holds more than {MOST_LAYERS} layers")
    # Layers that are clipped to a layer are laid on together with it.
    nodes = [node for node in document if node.is_visible() and not node.clipping]
    if not nodes:
        raise RefusedPicture("holds no visible layers")
    canvas = blank = _Canvas(document, np.float32(1), np.float32(0))
    yield np.ones((document.height, document.width, 3), np.float32)
    laid: set[int] = set()
    for node in nodes:
        under, inside = canvas, set[int]()
        for leaf in _leaves(node):
            inside |= {id(part) for part in _with_groups(leaf)}
            anew = isinstance(leaf, AdjustmentLayer)
            canvas = blank.with_layers(laid | inside) if anew else under.with_layers(inside)
            if anew:
                under, inside = canvas, set()
            yield canvas.shown()
        laid |= {id(part) for leaf in _leaves(node) for part in _with_groups(leaf)}


@dataclass(frozen=True)
class _Canvas:
    """(h, w, 1 or 3) straight colours and (h, w, 1) alpha of a document; either may be one number for all pixels."""

    document: "PSDImage"
    colour: Any
    alpha: Any

    def with_layers(self, layers: Set[int]) -> "_Canvas":
        """The canvas with some layers laid on, and the layers that are clipped to them.

        Args:
            layers: `id`s of the layers, and of all groups that they are in.
        """
        from psd_tools.composite import composite

        colour, _, alpha = composite(
            self.document, self.colour, self.alpha, self.document.viewbox,
            lambda part: part.is_visible() and (part.clipping or id(part) in layers),
        )  # fmt: skip
        both = alpha + self.alpha * (1 - alpha)
        mixed = self.colour * self.alpha * (1 - alpha) + colour * alpha
        return _Canvas(self.document, mixed / np.maximum(both, 1e-6), both)

    def shown(self) -> Floats:
        """(h, w, 3) sRGB on white."""
        from psd_tools.constants import Resource

        colour = np.clip(self.colour, 0, 1).astype(np.float32)
        rgb: Floats = np.repeat(colour, 3, axis=-1) if colour.shape[-1] == 1 else colour[..., :3]
        if Resource.ICC_PROFILE in self.document.image_resources:
            coded = Image.new(_MODES[int(self.document.color_mode)], (1, 1))
            rgb = with_profile(coded, rgb, self.document.image_resources.get_data(Resource.ICC_PROFILE))
        return np.asarray(rgb * self.alpha + (1 - self.alpha), np.float32)


def merged_picture(document: "PSDImage") -> Floats:
    """(h, w, 3) the merged picture as the painting program saved it, on white.

    Raises:
        RefusedPicture: if the document was saved without it.
    """
    if not document.has_preview():
        raise RefusedPicture("was saved without its whole picture: save it with maximal compatibility")
    colour, alpha = document.numpy("color"), document.numpy("shape")
    assert colour is not None
    return _Canvas(document, colour, np.float32(1) if alpha is None else alpha).shown()


def _leaves(node: Any) -> Iterator[Any]:
    """The layer itself, or all visible layers of a group from the bottom to the top, without clipped layers."""
    if not node.is_group():
        yield node
        return
    for child in node:
        if child.is_visible() and not child.clipping:
            yield from _leaves(child)


def _with_groups(node: Any) -> Iterator[Any]:
    """A layer and the groups that it is in."""
    while node.kind != "psdimage":
        yield node
        node = node.parent
