"""Tone in lines: each layer of hatching adds some of the darkness that the drawing still lacks.

Layers go from broad and pale to narrow and dark, the first ones in parallel lines, the darkest crossed, the last ones
along the forms. Lines end where their thing or their shadow ends; nothing is masked. What lacks is measured on the
drawing itself: all strokes so far, laid with their marks on a small sheet.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from renderers.brush.stroke import FAR_RED, MARK, NUM_BRUSH_COLUMNS, Marks, lay_all, new_brush_scratch
from renderers.brush.texture import NUM_VARIANTS
from renderers.painting import Image
from renderers.raster.jit import kernel, part
from renderers.raster.ribbon import A0, A2, R0, R2, RED, X0, Floats, grid
from renderers.studio.drawing.pencils import Layer

_ZERO = np.float32(0)
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_LEAST_ALPHA = 0.03
_LEAST_RANGE = 0.35  # of luma, from paper to the darkest line
_DENSEST = 0.92  # share of the light beyond which no line adds
_BEGINS, _GOES_ON = 0.07, 0.035  # density that must lack for a line to begin, and to go on
_BOW = 0.05  # of a line's length: a wrist draws arcs
_TIP = 0.7  # of a line's width, where it ends
_NUM_DICE = 4093
_FORM_PX, _FORMLESS = 3.0, 2e-4
_MOST_LINES = 20_000
_TRIES, _WIDEST_SPACING = 6, 0.05


def wanted_darkness(image: Image, shadows_only: bool) -> Floats:
    """(h, w) share of the light that lines should take, in [0, 1], stretched from the picture's lightest to darkest."""
    luma = image @ _LUMA
    darkest, lightest = (float(value) for value in np.quantile(luma, (0.01, 0.98)))
    lightest = min(1.0, max(lightest, 0.5 * (darkest + lightest + _LEAST_RANGE)))  # a flat grey picture stays grey
    darkest = min(darkest, lightest - _LEAST_RANGE)
    dark = np.clip((lightest - luma) / (lightest - darkest), 0.0, 1.0)
    wanted: Floats = np.clip((dark - 0.55) / 0.45, 0.0, 1.0) * np.float32(0.6) if shadows_only else dark
    return wanted


class Sheet:
    """A small sheet on which the drawing so far is looked at.

    Attributes:
        wanted: (h, w) the share of the light that lines should take.
    """

    def __init__(self, wanted: Floats, marks: Marks) -> None:
        self.wanted = wanted
        self._marks = marks
        self._grid = grid(*wanted.shape)
        self._scratch = new_brush_scratch(self._grid)
        self._taken = np.zeros(3 * wanted.size, np.float32)

    def lay(self, strokes: Floats) -> None:
        """Lay strokes (N, NUM_BRUSH_COLUMNS), whatever their colour."""
        white = strokes.copy()
        white[:, RED : RED + 3] = white[:, FAR_RED : FAR_RED + 3] = 1.0
        lay_all(white, self._grid, self._marks, self._taken, self._scratch)

    def lacks(self, blur_px: float) -> Floats:
        """(h, w) optical density that lines have still to add, seen from so far that `blur_px` run together."""
        taken = cv2.GaussianBlur(self._taken.reshape(*self.wanted.shape, 3)[..., 0], (0, 0), blur_px)
        reach = 1 + 2 * round(0.5 * blur_px)
        wanted = cv2.GaussianBlur(cv2.erode(self.wanted, np.ones((reach, reach), np.uint8)), (0, 0), 0.5 * blur_px)
        return _density(wanted) - _density(taken)


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
    sheet: Sheet,
    layers: tuple[Layer, ...],
    mean_cover: float,
    num_strokes: int,
    rng: np.random.Generator,
) -> tuple[Floats, NDArray[np.int64]]:
    """Lines of hatching, layer by layer.

    Args:
        image: (h, w, 3) the picture at the size of the sheet.
        labels: (h, w) the thing that each of its pixels shows.
        saliency: (K,) how much each thing draws the eye: it gets more of the finer lines.
        sheet: with all that is drawn already.
        mean_cover: of the pencil's marks.
        num_strokes: the most lines.

    Returns:
        (N, NUM_BRUSH_COLUMNS) strokes without colours, and (N, 2) the layer and the thing of each.
    """
    unit_px = float(min(labels.shape))
    hand = rng.uniform(0.6, 0.95) * (1 if rng.random() < 0.8 else -1)  # right-handed people hatch up to the right
    form = form_of(image, -hand)
    slants = -hand + rng.uniform(-0.25, 0.25, int(labels.max()) + 1)
    dice, urgency = rng.random(_NUM_DICE), (0.5 + saliency).astype(np.float32)
    strokes: list[Floats] = []
    belongs: list[NDArray[np.int64]] = []
    reached = np.cumsum([layer.share for layer in layers])  # a layer may use what earlier ones left
    for number, (layer, reached_share) in enumerate(zip(layers, reached, strict=True)):
        budget = round(float(reached_share) * num_strokes) - sum(len(rows) for rows in strokes)
        spacing = layer.spacing
        for _ in range(_TRIES):
            lacks = np.float32(layer.filling) * sheet.lacks(0.6 * spacing * unit_px)
            covering = layer.width * mean_cover
            if layer.turned is None:
                rows = _along_form(
                    lacks,
                    *form,
                    labels,
                    spacing * unit_px,
                    layer.longest * unit_px,
                    covering,
                    layer.pressure,
                    dice,
                    urgency,
                    budget,
                )
                break
            rows = _parallel(
                lacks,
                labels,
                slants + layer.turned,
                spacing * unit_px,
                layer.longest * unit_px,
                covering,
                layer.pressure,
                dice,
            )
            if len(rows) <= budget:
                break
            spacing = min(_WIDEST_SPACING, spacing * max(1.05, (len(rows) / max(1, budget)) ** 0.6))
        if len(rows) > budget:
            lengths = np.hypot(rows[:, 4] - rows[:, 0], rows[:, 5] - rows[:, 1])
            rows = rows[np.sort(np.argsort(-lengths * (rows[:, 6] + rows[:, 7]), kind="stable")[:budget])]
        laid = np.zeros((len(rows), NUM_BRUSH_COLUMNS), np.float32)
        laid[:, X0 : X0 + 6] = (rows[:, :6] + 0.5) / unit_px
        laid[:, R0] = laid[:, R2] = 0.5 * layer.width * spacing
        laid[:, R2] *= _TIP
        laid[:, A0], laid[:, A2] = rows[:, 6], rows[:, 7]
        laid[:, MARK] = NUM_VARIANTS + rng.integers(0, NUM_VARIANTS, len(rows))
        sheet.lay(laid)
        strokes.append(laid)
        belongs.append(np.stack([np.full(len(rows), number), rows[:, 8].astype(np.int64)], axis=1))
    return np.concatenate(strokes), np.concatenate(belongs)


@part
def _fitted(alphas: Floats, count: int, pressure: float) -> tuple[float, float]:
    """Ends of the straight line through the first `count` values (least squares), within 0 and `pressure`."""
    mean, tilt, spread = 0.0, 0.0, 0.0
    middle = 0.5 * (count - 1)
    for i in range(count):
        mean += alphas[i] / count
        tilt += (i - middle) * alphas[i]
        spread += (i - middle) * (i - middle)
    slope = tilt / max(spread, 1e-6)
    first, last = mean - slope * middle, mean + slope * middle
    return min(pressure, max(0.0, first)), min(pressure, max(0.0, last))


@kernel
def _parallel(
    lacks: Floats, labels: NDArray[np.uint16], slants: NDArray[np.float64], spacing: float, longest: float,
    covering: float, pressure: float, dice: NDArray[np.float64],
) -> Floats:  # fmt: skip
    """Lines (N, 9) of one layer, thing by thing in its own direction: three points, opacities at both ends, the thing.

    Lengths in pixels. Each line follows what lacks along it; it ends where nothing does and at the border of its thing.
    """
    height, width = lacks.shape
    rows = np.empty((_MOST_LINES, 9), np.float32)
    alphas = np.empty(int(2 * longest) + 2, np.float32)
    count, die = 0, 0
    boxes = np.empty((slants.shape[0], 4), np.int64)
    for thing in range(slants.shape[0]):
        boxes[thing, 0], boxes[thing, 1], boxes[thing, 2], boxes[thing, 3] = height, width, -1, -1
    for i in range(height):
        for j in range(width):
            thing = labels[i, j]
            boxes[thing, 0], boxes[thing, 1] = min(boxes[thing, 0], i), min(boxes[thing, 1], j)
            boxes[thing, 2], boxes[thing, 3] = max(boxes[thing, 2], i), max(boxes[thing, 3], j)
    for thing in range(slants.shape[0]):
        if boxes[thing, 2] < 0:
            continue
        cx, cy = 0.5 * (boxes[thing, 1] + boxes[thing, 3]), 0.5 * (boxes[thing, 0] + boxes[thing, 2])
        reach = 0.5 * np.hypot(boxes[thing, 3] - boxes[thing, 1], boxes[thing, 2] - boxes[thing, 0]) + 1
        dx, dy = np.cos(slants[thing]), np.sin(slants[thing])
        num_lines = int(2 * reach / spacing) + 1
        for line in range(num_lines):
            die = (die + 1) % dice.shape[0]
            aside = -reach + spacing * (line + 0.5 + 0.5 * (dice[die] - 0.5))
            ox, oy = cx - aside * dy, cy + aside * dx
            die = (die + 1) % dice.shape[0]
            most = longest * (0.4 + 0.9 * dice[die])
            n, start = 0, 0.0
            steps = int(2 * reach) + 2
            for step in range(steps):
                s = -reach + step
                x, y = ox + s * dx, oy + s * dy
                j, i = int(np.floor(x + 0.5)), int(np.floor(y + 0.5))
                inside = step < steps - 1 and i >= 0 and j >= 0 and i < height and j < width and labels[i, j] == thing
                value = lacks[i, j] if inside else 0.0
                on = value > (_GOES_ON if n > 0 else _BEGINS)
                if on and n < most:
                    if n == 0:
                        start = s
                    alphas[n] = min(pressure, (1 - np.exp(-value)) / covering)
                    n += 1
                    continue
                if n >= 3 and n > 0.8 * spacing and count < rows.shape[0]:
                    first, last = _fitted(alphas, n, pressure)
                    if max(first, last) > _LEAST_ALPHA:
                        die = (die + 3) % (dice.shape[0] - 3)
                        a, b = start - (dice[die] - 0.4) * 0.8 * spacing, s + (dice[die + 1] - 0.6) * 0.8 * spacing
                        bow = _BOW * (b - a) * (0.5 + dice[die + 2])
                        rows[count, 0], rows[count, 1] = ox + a * dx, oy + a * dy
                        rows[count, 2] = ox + 0.5 * (a + b) * dx + bow * dy
                        rows[count, 3] = oy + 0.5 * (a + b) * dy - bow * dx
                        rows[count, 4], rows[count, 5] = ox + b * dx, oy + b * dy
                        rows[count, 6], rows[count, 7], rows[count, 8] = first, last, thing
                        count += 1
                        die = (die + 1) % dice.shape[0]
                        most = longest * (0.4 + 0.9 * dice[die])
                n = 0
    return rows[:count].copy()


@kernel
def _along_form(
    lacks: Floats, form_x: Floats, form_y: Floats, labels: NDArray[np.uint16], spacing: float, longest: float,
    covering: float, pressure: float, dice: NDArray[np.float64], urgency: Floats, most_lines: int,
) -> Floats:  # fmt: skip
    """As `_parallel`, but along the forms, and where most lacks first; what a line adds lacks no more.

    Args:
        urgency: (K,) of each thing: what lacks there counts so many times.
        most_lines: when to stop.
    """
    height, width = lacks.shape
    left = lacks.copy()
    stamp = np.zeros((height, width), np.int32)
    stride = max(1.0, 0.7 * spacing)
    down, right = int(height / stride), int(width / stride)
    seeds, values = np.empty((down * right, 2), np.int64), np.empty(down * right, np.float32)
    for a in range(down):
        for b in range(right):
            k = a * right + b
            die = (2 * k) % (dice.shape[0] - 1)
            seeds[k, 0], seeds[k, 1] = int((a + dice[die]) * stride), int((b + dice[die + 1]) * stride)
            i, j = seeds[k, 0], seeds[k, 1]
            values[k] = lacks[i, j] * urgency[labels[i, j]] if lacks[i, j] > _BEGINS else _ZERO
    order = np.argsort(-values, kind="mergesort")
    half = int(0.5 * longest) + 1
    xs, ys, alphas = np.empty(2 * half + 1), np.empty(2 * half + 1), np.empty(2 * half + 1, np.float32)
    rows = np.empty((min(most_lines, down * right), 9), np.float32)
    count = 0
    for which in range(order.shape[0]):
        if count >= rows.shape[0] or values[order[which]] <= _ZERO:
            break
        i, j = seeds[order[which], 0], seeds[order[which], 1]
        if left[i, j] <= _BEGINS:
            continue
        thing = labels[i, j]
        first_index, last_index = half, half
        xs[half], ys[half] = j, i
        for side in range(2):
            x, y = float(j), float(i)
            dx, dy = (form_x[i, j], form_y[i, j]) if side == 0 else (-form_x[i, j], -form_y[i, j])
            for k in range(1, half + 1):
                x += dx
                y += dy
                p, q = int(np.floor(y + 0.5)), int(np.floor(x + 0.5))
                if p < 0 or q < 0 or p >= height or q >= width or labels[p, q] != thing or left[p, q] < _GOES_ON:
                    break
                tx, ty = form_x[p, q], form_y[p, q]
                along = tx * dx + ty * dy
                if abs(along) < 0.8:
                    break
                dx, dy = (tx, ty) if along > 0 else (-tx, -ty)
                if side == 0:
                    last_index = half + k
                    xs[last_index], ys[last_index] = x, y
                else:
                    first_index = half - k
                    xs[first_index], ys[first_index] = x, y
        n = last_index - first_index + 1
        if n < 3 or n < spacing:
            continue
        for k in range(n):
            p, q = int(np.floor(ys[first_index + k] + 0.5)), int(np.floor(xs[first_index + k] + 0.5))
            alphas[k] = min(pressure, (1 - np.exp(-max(0.0, left[p, q]))) / covering)
        first, last = _fitted(alphas, n, pressure)
        if max(first, last) <= _LEAST_ALPHA:
            continue
        middle = (first_index + last_index) // 2
        rows[count, 0], rows[count, 1] = xs[first_index], ys[first_index]
        rows[count, 2] = 2 * xs[middle] - 0.5 * (xs[first_index] + xs[last_index])
        rows[count, 3] = 2 * ys[middle] - 0.5 * (ys[first_index] + ys[last_index])
        rows[count, 4], rows[count, 5] = xs[last_index], ys[last_index]
        rows[count, 6], rows[count, 7], rows[count, 8] = first, last, thing
        count += 1
        radius = int(np.ceil(0.5 * spacing))
        for k in range(first_index, last_index + 1):
            alpha = first + (last - first) * (k - first_index) / (n - 1)
            added = -np.log(1 - min(0.95, alpha * covering))
            for p in range(max(0, int(ys[k] + 0.5) - radius), min(height, int(ys[k] + 0.5) + radius + 1)):
                for q in range(max(0, int(xs[k] + 0.5) - radius), min(width, int(xs[k] + 0.5) + radius + 1)):
                    far = np.hypot(p - ys[k], q - xs[k])
                    if far <= 0.5 * spacing + 0.5 and stamp[p, q] != count:
                        stamp[p, q] = count
                        left[p, q] -= added
    return rows[:count].copy()
