"""The page: a form on one side, the easel on the other, the gallery below."""

import html
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import gradio as gr

from conf.errors import UserError
from pipelines.web import panel
from pipelines.web.easel import Easel, Glance
from pipelines.web.order import NOT_UNDERSTOOD, Order
from pipelines.web.paintings import Paintings, StoredPainting
from pipelines.web.settings import AppConfig

TITLE = "process-painter"
STYLE = files(__package__).joinpath("page.css").read_text(encoding="utf-8")

_NUM_PINNED = 4  # pictures that can be given for frames
_MOST_SHOWN = 60  # paintings in the gallery
_STARTS = [
    ("Words", "words"), ("A finished picture", "finished"), ("An unfinished picture", "unfinished"),
    ("Pictures for some frames", "frames"),
]  # fmt: skip
_EXAMPLE = "a red house by a lake under an orange sky"
_ADDRESS = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*:")
_FRAMES, _STEPS, _AT = 8, 30, 2  # initial values of the sliders


class _Page(gr.Blocks):
    """Blocks that fetch nothing: Gradio would download any address that a client gives in place of a file."""

    async def preprocess_data(self, block_fn: Any, inputs: list[Any], *more: Any, **options: Any) -> list[Any]:
        """As the parent, but addresses are refused, and malformed inputs give a sentence instead of a traceback."""
        if _names_address(inputs):
            raise _refusal("Pictures are taken from your files, not from addresses.")
        if block_fn.fn is None:  # *Stop* acts in the browser alone
            raise _refusal(NOT_UNDERSTOOD)
        try:
            answers: list[Any] = await super().preprocess_data(block_fn, inputs, *more, **options)
        except ValueError as error:
            raise _refusal(NOT_UNDERSTOOD) from error
        return answers


def make_page(config: AppConfig, easel: Easel, paintings: Paintings) -> gr.Blocks:
    """The page, its queue included, ready to be launched."""
    page = _Page(title=TITLE, analytics_enabled=False, delete_cache=(600, 3600))
    with page:
        own_names = gr.BrowserState([], storage_key="process-painter-paintings")
        gr.HTML(panel.introduction(), elem_id="introduction")
        with gr.Row():
            with gr.Column(scale=5, min_width=320):
                form = _form(config, easel)
                with gr.Row():
                    paint_button = gr.Button("Paint", variant="primary", scale=3, min_width=150)
                    stop_button = gr.Button("Stop", scale=1, min_width=80)
            with gr.Column(scale=7, min_width=320):
                easel_html = gr.HTML(panel.EMPTY, elem_id="easel")
        gallery_html = gr.HTML(elem_id="gallery", js_on_load=panel.NAMING_PAINTINGS)

        def gallery(names: Any) -> str:
            among = None if config.gallery == "all" else frozenset(_texts(names))
            title = "Painted here before" if among is None else "Painted by you"
            return panel.gallery(title, paintings.latest(_MOST_SHOWN, among))

        def paint(*answers: Any) -> Iterator[tuple[Any, Any, Any]]:
            *order_fields, names = answers
            for update in _painted(easel, order_fields):
                if isinstance(update, Glance):
                    yield panel.forming(update), gr.skip(), gr.skip()
                else:
                    names = [*_texts(names), update.name][-_MOST_SHOWN:]
                    yield panel.playing(update), names, gallery(names)

        def open_painting(event: gr.EventData) -> str:
            try:
                painting = paintings.find(str(getattr(event, "name", "")))
            except TypeError:  # from Gradio, if the event came without data
                painting = None
            if painting is None:
                raise _refusal("This painting is no longer here.")
            return panel.playing(painting)

        painted = gr.on(
            [paint_button.click, form.subject.submit], paint, [*form.answers, own_names],
            [easel_html, own_names, gallery_html], preprocess=False, api_name="paint", concurrency_limit=1,
            trigger_mode="once", show_progress_on=[easel_html], js=panel.SHOWING_EASEL,
        )  # fmt: skip
        _without_queue(stop_button.click, lambda: panel.EMPTY, None, easel_html, cancels=[painted])
        _without_queue(gallery_html.click, open_painting, None, easel_html)
        _without_queue(page.load, gallery, own_names, gallery_html)
    page.queue(max_size=config.limits.queue, api_open=False)
    return page


@dataclass(frozen=True, kw_only=True)
class _Form:
    """The form that visitors fill in.

    Attributes:
        subject: the field that says what to paint.
        answers: all fields, in the order of `Order.of`.
    """

    subject: gr.Textbox
    answers: list[Any]


def _form(config: AppConfig, easel: Easel) -> _Form:
    names, limits = list(config.by_name), config.limits
    frames, steps, at = (
        min(*pair)
        for pair in ((_FRAMES, limits.frames), (_STEPS, limits.steps), (_AT, min(_FRAMES, limits.frames) - 2))
    )
    start_choice = gr.Radio(_STARTS, value="words", label="Start from")
    subject = gr.Textbox(label="What to paint", placeholder=_EXAMPLE, max_length=limits.letters, lines=1, max_lines=4)
    with gr.Column(visible=False) as finished_column:
        finished = _given_picture("The finished picture")
    with gr.Column(visible=False) as unfinished_column:
        unfinished = _given_picture("The unfinished picture")
        at_slider = gr.Slider(0, _farthest(frames), value=at, step=1, label="How far it is: which frame it is")
    with gr.Column(visible=False) as frames_column:
        gr.HTML("<p>Frame 0 is the blank canvas, -1 the finished painting.</p>")
        with gr.Row():
            pins = [part for number in range(_NUM_PINNED) for part in _pinned_picture(number)]
    method = _method_choice(easel, names[0])
    sizes = [("Small, in pixels, as the painter sees it", False), ("Large, in strokes", True)]
    in_strokes = gr.Radio(sizes, value=False, label="Size")
    with gr.Accordion("Length, care, seed", open=False):
        num_frames = gr.Slider(2, limits.frames, value=frames, step=1, label="Length in frames")
        step_slider = gr.Slider(1, limits.steps, value=steps, step=1, label="Steps: more are finer")
        seed = gr.Textbox(label="Seed", placeholder="another one each time", max_length=10, max_lines=1)
    painter = gr.Dropdown(names, value=names[0], label="Painter", visible=len(names) > 1)
    _without_queue(start_choice.change, _visible, start_choice, [finished_column, unfinished_column, frames_column])

    def methods_of(name: str) -> gr.Radio:
        try:
            return _method_choice(easel, name)
        except UserError as error:
            raise _refusal(str(error)) from error

    _without_queue(painter.change, methods_of, painter, method)
    _without_queue(num_frames.change, _within, [num_frames, at_slider], at_slider, preprocess=False)
    first = [start_choice, subject, method, finished, unfinished, at_slider]
    return _Form(subject=subject, answers=[*first, num_frames, in_strokes, step_slider, seed, painter, *pins])


def theme() -> gr.themes.Base:
    """Paper and ink, as on the player's page; all fonts are the visitor's own."""
    fonts = ["system-ui", "sans-serif"]
    base = gr.themes.Base(
        primary_hue="orange", neutral_hue="stone", font=fonts, font_mono=["ui-monospace", "monospace"], radius_size="lg"
    )
    return base.set(
        body_background_fill="#f4f1ea", body_background_fill_dark="#1d1b19", body_text_color="#2b2723",
        body_text_color_dark="#ece7df", block_background_fill="#fffdf8", block_background_fill_dark="#282522",
        button_primary_background_fill="#a8410f", button_primary_background_fill_hover="#8a350c",
        button_primary_background_fill_dark="#a8410f", button_primary_text_color="#ffffff",
    )  # fmt: skip


def _painted(easel: Easel, answers: Sequence[Any]) -> Iterator[Glance | StoredPainting]:
    try:
        yield from easel.paint(Order.of(*answers))
    except UserError as error:
        raise _refusal(str(error)) from error


def _pinned_picture(number: int) -> tuple[gr.Image, gr.Number]:
    with gr.Column(min_width=150):
        picture = _given_picture(f"Picture {number + 1}")
        frame = gr.Number(-1 if number == 0 else number, precision=0, label=f"Frame of picture {number + 1}")
    return picture, frame


def _given_picture(label: str) -> gr.Image:
    """An input for a picture; `accepted_picture` checks its file."""
    return gr.Image(label=label, sources=["upload", "clipboard"], image_mode=None, buttons=[], height=200)


def _method_choice(easel: Easel, painter: str) -> gr.Radio:
    """The methods that a painter knows; oil is the first if it knows it."""
    phrases = easel.card(painter)["phrases"]
    choices = sorted(((phrase, name) for name, phrase in phrases.items()), key=lambda pair: (pair[1] != "oil", pair))
    return gr.Radio([*choices, ("as described", "")], value=choices[0][1] if choices else "", label="Manner")


def _visible(start: str) -> list[Any]:
    return [gr.Column(visible=start == option) for option in ("finished", "unfinished", "frames")]


def _within(num_frames: Any, at: Any) -> Any:
    """The slider of an unfinished picture's frame, limited to a process's length; unchanged while a number is typed.

    Both values are as the page sends them, so `at` may be beyond the limit.
    """
    if not all(isinstance(value, int | float) for value in (num_frames, at)) or num_frames < 2:
        return gr.skip()
    return gr.Slider(maximum=_farthest(num_frames), value=min(at, num_frames - 2))


def _farthest(num_frames: int) -> int:
    """The last frame that an unfinished picture may be, but at least 1, as a slider needs two ends."""
    return max(1, int(num_frames) - 2)


def _without_queue(
    event: Callable[..., Any], act: Callable[..., Any], inputs: Any, outputs: Any, cancels: Any = None,
    preprocess: bool = True,
) -> None:  # fmt: skip
    event(
        act, inputs, outputs, cancels=cancels, queue=False, show_progress="hidden", api_visibility="private",
        preprocess=preprocess,
    )  # fmt: skip


def _texts(value: Any) -> list[str]:
    """The texts in a list that a browser stored, and may have changed."""
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _names_address(value: Any) -> bool:
    """Whether the path of a file in a client's message is an address."""
    if isinstance(value, dict):
        return bool(_ADDRESS.match(str(value.get("path")))) or any(map(_names_address, value.values()))
    return isinstance(value, list) and any(map(_names_address, value))


def _refusal(sentence: str) -> gr.Error:
    """An error with a sentence for the visitor, which stays until it is closed; Gradio treats it as HTML."""
    return gr.Error(html.escape(sentence), duration=None, title="Not possible", print_exception=False)
