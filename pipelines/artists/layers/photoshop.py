"""Photoshop's documents (.psd, .psb): psd-tools reads and composites them, with masks, clipping, groups and effects."""

from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.artists.layers.document import MOST_LAYERS, MOST_PIXELS
from pipelines.sources.captions import text_line
from pipelines.sources.colour import with_profile
from pipelines.sources.reading import PatientFile, read_patiently
from pipelines.sources.source import RefusedPicture, StorageFault
from training.data.storage import open_storage

if TYPE_CHECKING:
    from psd_tools import PSDImage

Floats = NDArray[np.float32]
_Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels

_MOST_BYTES = 4_000_000_000  # largest single allocation of psd-tools
_DRAWN_OTHERWISE = ("artboard", "gradientfill", "patternfill")  # kinds of layers
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
    below them, so there the whole document is composited again, up to them; and again for each later layer of a group
    that treats its layers as one.

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
    height, width, num_channels = document.height, document.width, len(_MODES[int(document.color_mode)])
    canvas = blank = _Canvas(
        document, np.ones((height, width, num_channels), np.float32), np.zeros((height, width, 1), np.float32)
    )
    yield np.ones((height, width, 3), np.float32)
    laid: set[int] = set()  # what is on the canvas `under`
    for node in nodes:
        under, inside, boxes = canvas, set[int](), list[_Box]()
        for leaf in _leaves(node):
            parts = list(_with_groups(leaf))
            inside |= {id(part) for part in parts}
            boxes.append(_reach(document, parts))
            anew = isinstance(leaf, AdjustmentLayer) or not _adds_up(parts, laid)
            if anew:
                laid |= inside
                canvas = under = blank.with_layers(laid, document.viewbox)
                inside, boxes = set(), []
            else:
                canvas = under.with_layers(inside, _around(boxes))
            yield canvas.shown()
        laid |= inside


@dataclass(frozen=True)
class _Canvas:
    """(h, w, 1 or 3) straight colours and (h, w, 1) alpha of a document."""

    document: "PSDImage"
    colour: Floats
    alpha: Floats

    def with_layers(self, layers: Set[int], reach: _Box) -> "_Canvas":
        """The canvas with some layers laid on, and the layers that are clipped to them.

        Args:
            layers: `id`s of the layers, and of all groups that they are in.
            reach: part of the canvas outside which they change nothing.
        """
        from psd_tools.composite import composite

        left, top, right, bottom = reach
        mixed, both = self.colour * self.alpha, self.alpha.copy()
        if left < right and top < bottom:
            place = np.s_[top:bottom, left:right]
            colour, _, alpha = composite(
                self.document, self.colour[place], self.alpha[place], reach,
                lambda part: part.is_visible() and (part.clipping or id(part) in layers),
            )  # fmt: skip
            both[place] = alpha + both[place] * (1 - alpha)
            mixed[place] = mixed[place] * (1 - alpha) + colour * alpha
        return _Canvas(self.document, np.divide(mixed, np.maximum(both, 1e-6), dtype=np.float32), both)

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
    return _Canvas(document, colour, np.ones((1, 1, 1), np.float32) if alpha is None else alpha).shown()


def parts_in_question(document: "PSDImage") -> Iterator[str]:
    """Names of the visible parts that psd-tools leaves out, or may draw in another way than Photoshop does."""
    from psd_tools.api.layers import AdjustmentLayer
    from psd_tools.composite.adjustments import ADJUSTMENT_FUNC
    from psd_tools.constants import BlendMode

    for part in document.descendants():
        if not part.is_visible():
            continue
        features = [effect.name for effect in part.effects if effect.enabled and part.effects.enabled]
        features += ["dissolve"] if part.blend_mode == BlendMode.DISSOLVE else []
        features += ["vector mask"] if part.has_vector_mask() else []
        not_drawn = isinstance(part, AdjustmentLayer) and part.kind not in ADJUSTMENT_FUNC
        features += [part.kind] if not_drawn or part.kind in _DRAWN_OTHERWISE else []
        if features:
            yield f"{text_line(part.name[:80]) or 'a layer without a name'} ({', '.join(features).lower()})"


def _leaves(node: Any) -> Iterator[Any]:
    """The layer itself, or all visible layers of a group from the bottom to the top, without clipped layers."""
    if not node.is_group():
        yield node
        return
    for child in node:
        if child.is_visible() and not child.clipping:
            yield from _leaves(child)


def _reach(document: "PSDImage", parts: Sequence[Any]) -> _Box:
    """The part of the canvas that a layer can change: that of its pixels, or all where it is drawn by rules.

    Args:
        document: the document.
        parts: the layer and the groups that it is in, the innermost first.
    """
    drawn = [each for part in parts for each in (part, *part.clip_layers)]
    kinds = {part.kind for part in drawn}
    if kinds - {"pixel", "group"} or any(_has_effects(part) or part.has_vector_mask() for part in drawn):
        return document.viewbox
    left, top, right, bottom = parts[0].bbox
    return max(left, 0), max(top, 0), min(right, document.width), min(bottom, document.height)


def _around(boxes: Sequence[_Box]) -> _Box:
    """The smallest box around some boxes."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _has_effects(part: Any) -> bool:
    """Whether a layer or group has effects, or had some; unlike psd-tools' `has_effects` this reads none of them."""
    from psd_tools.constants import Tag

    tags = Tag.OBJECT_BASED_EFFECTS_LAYER_INFO, Tag.OBJECT_BASED_EFFECTS_LAYER_INFO_V0
    return any(tag in part.tagged_blocks for tag in (*tags, Tag.OBJECT_BASED_EFFECTS_LAYER_INFO_V1))


def _adds_up(parts: Sequence[Any], laid: Set[int]) -> bool:
    """Whether a layer can be laid on a canvas that has some layers of its groups already.

    It cannot if one of these groups treats its layers as one, or blends them apart from what is below the group; nor
    if the layer or a group knocks a hole into what is below it.

    Args:
        parts: the layer and the groups that it is in, the innermost first.
        laid: `id`s of the layers and groups on the canvas.
    """
    from psd_tools.constants import BlendMode, Tag

    begun = [part for part in parts if id(part) in laid]
    are_plain = not any(
        min(group.opacity, group.fill_opacity) < 255
        or (group.has_mask() or group.has_vector_mask() or _has_effects(group) or group.has_clip_layers())
        for group in begun
    )
    pass_through = all(group.blend_mode == BlendMode.PASS_THROUGH for group in begun)
    are_normal = {part.blend_mode for part in parts} <= {BlendMode.NORMAL, BlendMode.PASS_THROUGH}
    knocks_out = any(part.tagged_blocks.get_data(Tag.KNOCKOUT_SETTING, 0) for part in parts)
    return are_plain and (pass_through or are_normal) and not knocks_out


def _with_groups(node: Any) -> Iterator[Any]:
    """A layer and the groups that it is in."""
    while node.kind != "psdimage":
        yield node
        node = node.parent
