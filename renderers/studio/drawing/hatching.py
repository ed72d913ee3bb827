"""Tone in lines: each layer of hatching adds some of the darkness that the drawing still lacks.

Layers go from broad and pale to narrow and dark, the first ones in parallel lines, the darkest crossed, the last ones
along the forms. Lines end where their thing or their shadow ends; nothing is masked. What is lacking is measured on
the drawing itself: all strokes so far, laid with their marks on a small preview.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from renderers.brush.ink import stretched
from renderers.brush.stroke import FAR_RED, MARK, NUM_BRUSH_COLUMNS, Marks, lay_all, new_brush_scratch
from renderers.brush.texture import NUM_VARIANTS
from renderers.painting import Image
from renderers.raster.ribbon import A0, A2, R0, R2, RED, X0, Floats, grid
from renderers.studio.drawing.hatch_lines import Pitch, lines_along_form, parallel_lines, seeds_of
from renderers.studio.drawing.pencils import Layer

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_LEAST_RANGE = 0.35  # of luma, from paper to the darkest line
_DENSEST = 0.92  # share of the light that is taken, beyond which lines add nothing
_TIP = 0.7  # of a line's width, where it ends
_NUM_DICE = 4093
_FORM_PX, _FORMLESS = 3.0, 2e-4
_TRIES, _WIDEST_SPACING = 6, 0.05


def goal_darkness(image: Image, shadows_only: bool) -> Floats:
    """(h, w) share of the light that lines should take, in [0, 1], stretched from the picture's lightest to darkest."""
    luma = image @ _LUMA
    extremes = np.quantile(luma, (0.01, 0.98))
    darkest, lightest = (float(value) for value in stretched(extremes[0], extremes[1], _LEAST_RANGE))
    dark = np.clip((lightest - luma) / (lightest - darkest), 0.0, 1.0)
    darkness: Floats = np.clip((dark - 0.55) / 0.45, 0.0, 1.0) * np.float32(0.6) if shadows_only else dark
    return darkness


class Preview:
    """The drawing so far, small, to see how dark it is already.

    Attributes:
        goal: (h, w) the share of the light that lines should take.
    """

    def __init__(self, goal: Floats, marks: Marks) -> None:
        self.goal = goal
        self._marks = marks
        self._grid = grid(*goal.shape)
        self._scratch = new_brush_scratch(self._grid)
        self._taken = np.zeros(3 * goal.size, np.float32)

    def lay(self, strokes: Floats) -> None:
        """Lay strokes (N, NUM_BRUSH_COLUMNS), whatever their colour."""
        white = strokes.copy()
        white[:, RED : RED + 3] = white[:, FAR_RED : FAR_RED + 3] = 1.0
        lay_all(white, self._grid, self._marks, self._taken, self._scratch)

    def lacks(self, blur_px: float) -> Floats:
        """(h, w) optical density that lines have still to add, seen from so far away that `blur_px` blend."""
        taken = cv2.GaussianBlur(self._taken.reshape(*self.goal.shape, 3)[..., 0], (0, 0), blur_px)
        reach = 1 + 2 * round(0.5 * blur_px)
        goal = cv2.GaussianBlur(cv2.erode(self.goal, np.ones((reach, reach), np.uint8)), (0, 0), 0.5 * blur_px)
        return _density(goal) - _density(taken)


def form_of(image: Image, slant: float) -> tuple[Floats, Floats]:
    """(h, w) unit tangents, x and y: along the picture's structure (Förstner and Gülch, 1987), else at a slant."""
    luma = cv2.GaussianBlur(image @ _LUMA, (0, 0), 1.2)
    dx, dy = cv2.Sobel(luma, -1, 1, 0), cv2.Sobel(luma, -1, 0, 1)
    cos, sin = (cv2.GaussianBlur(field, (0, 0), _FORM_PX) for field in (dy * dy - dx * dx, -2 * dx * dy))
    angle = 0.5 * np.arctan2(sin + _FORMLESS * np.sin(2 * slant), cos + _FORMLESS * np.cos(2 * slant))
    return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)


def _density(taken: Floats) -> Floats:
    density: Floats = -np.log1p(-np.clip(taken, 0.0, _DENSEST))
    return density


def hatched(
    image: Image,
    labels: NDArray[np.uint16],
    saliency: Floats,
    preview: Preview,
    layers: tuple[Layer, ...],
    mean_cover: float,
    num_strokes: int,
    rng: np.random.Generator,
) -> tuple[Floats, NDArray[np.int64]]:
    """Lines of hatching, layer by layer.

    Args:
        image: (h, w, 3) the picture at the size of the preview.
        labels: (h, w) the thing that each of its pixels shows.
        saliency: (K,) how much each thing draws the eye: it gets more of the finer lines.
        preview: with all that is drawn already.
        mean_cover: of the pencil's marks.
        num_strokes: the most lines.

    Returns:
        (N, NUM_BRUSH_COLUMNS) strokes without colours, and (N, 2) the layer and the thing of each.
    """
    unit_px = float(min(labels.shape))
    hand = rng.uniform(0.6, 0.95) * (1 if rng.random() < 0.8 else -1)  # right-handed people hatch up to the right
    form = form_of(image, -hand)
    slants = -hand + rng.uniform(-0.25, 0.25, len(saliency))
    urgency = (0.5 + saliency).astype(np.float32)
    strokes: list[Floats] = []
    layers_and_things: list[NDArray[np.int64]] = []
    shares = np.cumsum([layer.share for layer in layers])  # a layer may use what earlier ones left
    for number, layer in enumerate(layers):
        budget = round(float(shares[number]) * num_strokes) - sum(len(rows) for rows in strokes)
        dice, spacing = rng.random(_NUM_DICE), layer.spacing
        for _ in range(_TRIES):
            lacks = np.float32(layer.filling) * preview.lacks(0.6 * spacing * unit_px)
            longest = layer.longest * np.sqrt(spacing / layer.spacing)  # broad strokes come from the arm
            pitch = Pitch(spacing * unit_px, longest * unit_px, layer.width * mean_cover, layer.pressure)
            if layer.turned is None:
                seeds = seeds_of(lacks, labels, urgency, pitch.spacing, rng)
                rows = lines_along_form(lacks, labels, form, pitch, seeds, budget)
                break
            rows = parallel_lines(lacks, labels, slants + layer.turned, pitch, dice)
            if len(rows) <= budget:
                break
            spacing = min(_WIDEST_SPACING, spacing * max(1.05, (len(rows) / max(1, budget)) ** 0.6))
        if len(rows) > budget:
            lengths = np.hypot(rows[:, 4] - rows[:, 0], rows[:, 5] - rows[:, 1])
            rows = rows[np.sort(np.argsort(-lengths * (rows[:, 6] + rows[:, 7]), kind="stable")[:budget])]
        layer_strokes = np.zeros((len(rows), NUM_BRUSH_COLUMNS), np.float32)
        layer_strokes[:, X0 : X0 + 6] = (rows[:, :6] + 0.5) / unit_px
        layer_strokes[:, R0], layer_strokes[:, R2] = 0.5 * layer.width * spacing, 0.5 * layer.width * spacing * _TIP
        layer_strokes[:, A0], layer_strokes[:, A2] = rows[:, 6], rows[:, 7]
        layer_strokes[:, MARK] = NUM_VARIANTS + rng.integers(0, NUM_VARIANTS, len(rows))
        preview.lay(layer_strokes)
        strokes.append(layer_strokes)
        layers_and_things.append(np.stack([np.full(len(rows), number), rows[:, 8].astype(np.int64)], axis=1))
    return np.concatenate(strokes), np.concatenate(layers_and_things)
