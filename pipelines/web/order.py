"""A visitor's order, which is checked against the limits and becomes a configuration of `paint`."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from conf.errors import UserError
from conf.value import is_utf8
from pipelines.web.settings import AppConfig
from training.data.remote import AnyPath, RemotePath

if TYPE_CHECKING:
    from pipelines.inference.config import PaintConfig
    from training.data.batch import Tokenise

Start = Literal["words", "finished", "unfinished", "frames"]
"""What a painting begins from: words alone, a finished picture, an unfinished one, or pictures for some frames."""

NOT_UNDERSTOOD = "This was not understood. Please load the page again."
_MOST_SEED = 2**31 - 1
_TWICE = "Two pictures are given for the same frame. Please give them different ones."
_STROKES = ("oil", "bezier", "ink", "studio")


@dataclass(frozen=True, kw_only=True)
class Order:
    """One painting that a visitor asks for.

    Attributes:
        painter: name of the painter.
        start: what the painting begins from.
        subject: what to paint, in words.
        method: key of the painter's `phrases`, which says how it is painted; empty to leave it to the words.
        pictures: frame -> uploaded picture; -1 is the last frame. A finished or an unfinished picture is the only one.
        num_frames: length of the process.
        in_strokes: whether it is executed in strokes, at the size of the picture.
        steps: number of denoising steps.
        seed: seed of the painting; None for another one each time.
    """

    painter: str
    start: Start
    subject: str
    method: str
    pictures: Mapping[int, Path]
    num_frames: int
    in_strokes: bool
    steps: int
    seed: int | None

    @classmethod
    def of(
        cls, start: Any, subject: Any, method: Any, finished: Any, unfinished: Any, at: Any, num_frames: Any,
        in_strokes: Any, steps: Any, seed: Any, painter: Any, *pins: Any,
    ) -> Self:  # fmt: skip
        """The order in the fields of the form. They are not trusted, as any program may send them.

        Args:
            start, subject, method, num_frames, in_strokes, steps, painter: as the attributes.
            seed: digits; empty for another seed each time.
            finished, unfinished: uploaded files, with their `path`; None if there is none.
            at: frame of the unfinished picture.
            pins: uploaded files and their frames, alternating.

        Raises:
            UserError: if a field has another type or shape.
        """
        try:
            given = {
                "words": [], "finished": [(finished, -1)], "unfinished": [(unfinished, at)],
                "frames": list(zip(pins[0::2], pins[1::2], strict=True)),
            }[start]  # fmt: skip
            pictures = [(_whole(frame), Path(picture["path"])) for picture, frame in given if picture is not None]
            order = cls(
                painter=_text(painter), start=start, subject=_text(subject or ""), method=_text(method or ""),
                pictures=dict(pictures), num_frames=_whole(num_frames), in_strokes=bool(in_strokes),
                steps=_whole(steps), seed=None if seed in (None, "") else int(seed),
            )  # fmt: skip
        except (TypeError, ValueError, KeyError, OverflowError) as error:
            raise UserError(NOT_UNDERSTOOD) from error
        if len(order.pictures) < len(pictures):
            raise UserError(_TWICE)
        return order

    def checked(self, config: AppConfig, phrases: Mapping[str, str]) -> None:
        """Check everything except the pictures' contents.

        Args:
            config: configuration of the app.
            phrases: method -> phrase of the painter.

        Raises:
            UserError: if something is not allowed; the message is a sentence for the visitor.
        """
        limits = config.limits
        for what, value, lowest, highest in (
            ("Length", self.num_frames, 2, limits.frames),
            ("Steps", self.steps, 1, limits.steps),
            ("Seed", self.seed or 0, 0, _MOST_SEED),
        ):
            if not lowest <= value <= highest:
                raise UserError(f"{what} can be a whole number from {lowest} to {highest}.")
        if self.painter not in config.by_name:
            raise UserError("There is no such painter here.")
        if self.method and self.method not in phrases:
            raise UserError("This painter does not know that method.")
        if len(self.subject) > limits.letters:
            raise UserError(f"Please describe the painting in {limits.letters} letters or fewer.")
        if self.start == "words" and not self.subject.strip():
            raise UserError("Please say what to paint.")
        if self.start != "words" and not self.pictures:
            raise UserError("Please choose a picture.")
        for frame in self.pictures:
            if not -self.num_frames <= frame < self.num_frames:
                raise UserError(f"This process has the frames 0 to {self.num_frames - 1}; there is no frame {frame}.")
        frames = [frame % self.num_frames for frame in self.pictures]
        if len(set(frames)) < len(frames):
            raise UserError(_TWICE)
        if self.start == "unfinished" and frames[0] == self.num_frames - 1:
            raise UserError("An unfinished picture cannot be the last frame. Please choose an earlier one.")

    def prompt(self, phrases: Mapping[str, str]) -> str:
        """The words for the painter: the subject, then the phrase of the method."""
        parts = [" ".join(self.subject.split()), phrases.get(self.method, "")]
        return ", ".join(part for part in parts if part)

    def check_words(self, phrases: Mapping[str, str], tokenise: "Tokenise") -> None:
        """Refuse more words than the painter reads: the manner, which stands last, would be left out first.

        Args:
            phrases: method -> phrase of the painter.
            tokenise: the painter's tokeniser.

        Raises:
            UserError: if there are more; the message is a sentence for the visitor.
        """
        from training.data.cut_off import cut_ends, shown

        for end in cut_ends(tokenise, [self.prompt(phrases)]).values():
            too_long = f"This is longer than the painter reads. It would leave out {len(end)} letters: {shown(end)}."
            raise UserError(f"{too_long} Please describe the painting in fewer words.")

    def paint_config(self, config: AppConfig, phrases: Mapping[str, str], out: Path) -> "PaintConfig":
        """The order as a configuration of `paint`; values are inserted directly, and never parsed as `key=value`.

        Raises:
            UserError: if `paint` does not allow it.
        """
        from conf.compose import compose
        from pipelines.inference.config import paint_config

        keys: dict[str, Any] = {
            "prompt": self.prompt(phrases),
            "painter": _address(config.by_name[self.painter]),
            "num_frames": self.num_frames,
            "steps": self.steps,
            "seed": secrets.randbelow(_MOST_SEED) if self.seed is None else self.seed,
            "device": config.device,
            "out": str(out),
            "fit": "pad",  # shows the whole picture, and the painting has its shape
        }
        if self.start == "frames":
            keys["conditions"] = {frame: str(path) for frame, path in self.pictures.items()}
        elif self.start != "words":
            ((frame, path),) = self.pictures.items()
            keys["image"] = str(path)
            keys["task"] = "reconstruct" if self.start == "finished" else "complete"
            if self.start == "unfinished":
                keys["at"] = frame % self.num_frames
        choices: list[str] = []
        if self.in_strokes:
            choices = self._renderer(phrases.get(self.method, ""))
            keys |= {"execution": "strokes", "canvas_px": config.limits.canvas_px}
        return paint_config({**compose("paint", choices), **keys})

    def _renderer(self, phrase: str) -> list[str]:
        """Overrides of the renderer: the studio's medium that the phrase names, else the method's own name, else oil.

        The phrase comes first, as data sets name methods freely: `studio`, `ink` or `studio_ink` may all mean the
        studio's ink. An unfinished picture is continued in paint that covers.
        """
        from renderers.studio.media import MEDIA

        medium = next((name for name, known in MEDIA.items() if phrase.startswith(known.phrase)), None)
        if medium is None:
            return [f"renderer={self.method if self.method in _STROKES else _STROKES[0]}"]
        if self.start == "unfinished" and (MEDIA[medium].absorbs or not MEDIA[medium].paints):
            return [f"renderer={_STROKES[0]}"]
        return ["renderer=studio", f"renderer.medium={medium}"]


def _address(painter: AnyPath) -> str:
    """The address of a painter, with the credentials in it, which `str` would leave out."""
    return painter.url if isinstance(painter, RemotePath) else str(painter)


def _text(value: Any) -> str:
    """A text in JSON.

    Raises:
        ValueError: if the value is not a text in UTF-8.
    """
    if not isinstance(value, str) or not is_utf8(value):
        raise ValueError(f"{value!r} is no text")
    return value


def _whole(value: Any) -> int:
    """A whole number in JSON, which may be written as 8.0.

    Raises:
        ValueError, TypeError, OverflowError: if the value is not a whole number.
    """
    if isinstance(value, bool) or int(value) != value:
        raise ValueError(f"{value!r} is no whole number")
    return int(value)
