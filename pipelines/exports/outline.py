"""The outline of a stroke of varying width, as a path of cubic Bézier curves.

A rendered stroke (`renderers.raster.ribbon`) covers every pixel whose nearest point B(t) of the centre line is nearer
than the radius r(t). So its border is B(t) + r(t) n(t) on one side and B(t) - r(t) n(t) on the other, where n is the
normal, with half a circle around each end. Where a stroke turns more sharply than it is wide, the border crosses
itself. Filled by the rule `nonzero` it is still the whole stroke: the winding number of the border around a point is
the number of separate stretches of the centre line that reach it, which is one or more inside, and 0 outside. It
differs from the rendered stroke where two stretches of different widths run side by side: there the rendered stroke
has the width of the nearer one.
"""

from pipelines.exports.strokes import Stroke

_TOLERANCE_PX = 0.03
_DEEPEST = 16  # halvings of a side, after which a cubic is replaced by a line
_LEAST_SPEED = 1e-3  # share of a curve's largest speed; a curve that gets slower is bent a little
_TINY_PX = 1e-6


def outline(stroke: Stroke) -> str:
    """The data of an SVG path, to be filled by the rule `nonzero`."""
    p0, p1, p2 = stroke.points
    r0, r2 = stroke.radii
    if max(abs(p1 - p0), abs(p2 - p1)) < _TINY_PX:
        radius = max(r0, r2)
        left, right = p0 - radius, p0 + radius
        return f"M{_xy(left)}{_arc(radius, right)}{_arc(radius, left)}Z"
    side = _Sides(_without_cusps(p0, p1, p2), (r0, r2))
    forward, backward = side.cubics(0.0, 1.0, 1), side.cubics(1.0, 0.0, -1)
    return f"M{_xy(side.at(0.0, 1))}{forward}{_arc(r2, side.at(1.0, -1))}{backward}{_arc(r0, side.at(0.0, 1))}Z"


class _Sides:
    """Both borders of a stroke, as functions of t."""

    def __init__(self, points: tuple[complex, complex, complex], radii: tuple[float, float]) -> None:
        p0, p1, p2 = points
        self._p0, self._v, self._w = p0, 2 * (p1 - p0), p0 - 2 * p1 + p2
        self._r0, self._slope = radii[0], radii[1] - radii[0]

    def at(self, t: float, sign: int) -> complex:
        """A point of the border."""
        velocity = self._v + 2 * t * self._w
        normal = 1j * velocity / abs(velocity)
        return self._p0 + t * (self._v + t * self._w) + sign * (self._r0 + t * self._slope) * normal

    def _velocity(self, t: float, sign: int) -> complex:
        """The derivative of `at` by t."""
        velocity = self._v + 2 * t * self._w
        speed = abs(velocity)
        tangent = velocity / speed
        turning = (2 * self._w * tangent.conjugate()).imag / speed  # derivative of the tangent's angle by t
        radius = self._r0 + t * self._slope
        return velocity + sign * (self._slope * 1j * tangent - radius * turning * tangent)

    def cubics(self, start: float, end: float, sign: int, depth: int = 0) -> str:
        """The border from one t to another, as cubics that deviate from it by less than the tolerance."""
        a, b, third = self.at(start, sign), self.at(end, sign), (end - start) / 3
        c, d = a + third * self._velocity(start, sign), b - third * self._velocity(end, sign)
        middle = (start + end) / 2
        deviation = abs((a + 3 * c + 3 * d + b) / 8 - self.at(middle, sign))
        if depth >= _DEEPEST:
            return f"L{_xy(b)}"
        if depth >= 1 and deviation < _TOLERANCE_PX:
            return f"C{_xy(c)} {_xy(d)} {_xy(b)}"
        return self.cubics(start, middle, sign, depth + 1) + self.cubics(middle, end, sign, depth + 1)


def _without_cusps(p0: complex, p1: complex, p2: complex) -> tuple[complex, complex, complex]:
    """The curve, bent a little if its speed almost vanishes at a point, so that it has a normal everywhere."""
    v, w = 2 * (p1 - p0), p0 - 2 * p1 + p2
    slowest = 0.0 if abs(w) < _TINY_PX else min(1.0, max(0.0, -(v * w.conjugate()).real / (2 * abs(w) ** 2)))
    if abs(v + 2 * slowest * w) > _LEAST_SPEED * max(abs(v), abs(v + 2 * w)):
        return p0, p1, p2
    aside = _LEAST_SPEED * 1j * max(p1 - p0, p2 - p1, key=abs)
    return p0, p1 + aside, p2 + 2 * aside


def _arc(radius: float, end: complex) -> str:
    """Half a circle around the tip of a stroke, to its end point."""
    return f"A{radius:.2f} {radius:.2f} 0 0 0 {_xy(end)}"


def _xy(point: complex) -> str:
    return f"{point.real:.2f} {point.imag:.2f}"
