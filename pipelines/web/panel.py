"""HTML of the parts of the page that change: the easel, on which a painting forms and then plays, and the gallery.

Visitors' texts are escaped here, and no other module puts them into HTML.
"""

import base64
from collections.abc import Sequence
from html import escape

from pipelines.inference.own_files import PAGE, PROVENANCE
from pipelines.web.easel import Glance
from pipelines.web.paintings import StoredPainting

EMPTY = (
    '<div class="pp-empty"><p>Your painting appears here.</p>'
    "<p>First you see all its frames at once, as the painter guesses them. Then it plays.</p></div>"
)

NAMING_PAINTINGS = """
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-name]");
  if (!button) return;
  trigger("click", { name: button.dataset.name });
  document.getElementById("easel").scrollIntoView();
});
"""
"""Script of the gallery: a click on a painting triggers an event with its name, and scrolls to the easel."""


SHOWING_EASEL = """
(...answers) => {
  document.getElementById("easel").scrollIntoView();
  return answers;
}
"""
"""Script of the button *Paint*: it scrolls to the easel before anything is sent."""


def forming(glance: Glance) -> str:
    """A painting that is being made."""
    if glance.done == 0:
        status, bar = "The brushes are laid out …", "<progress></progress>"
    elif glance.finishing:
        status, bar = "Nearly done: the frames are painted in full …", "<progress></progress>"
    elif glance.steps is None:
        status, bar = f"Step {glance.done}: key frames first, then those in between", "<progress></progress>"
    else:
        status = f"Step {glance.done} of {glance.steps}"
        bar = f'<progress max="{glance.steps}" value="{glance.done}"></progress>'
    return f'<div class="pp-forming"><p>{status}</p>{bar}{_guesses(glance)}</div>'


def playing(painting: StoredPainting) -> str:
    """A finished painting: its player, and links to keep it."""
    place, title = f"paintings/{painting.name}", f"Player of: {_caption(painting)}"
    links = [
        f'<a href="{place}.zip" download>Everything (zip)</a>',
        f'<a href="{place}/process.mp4" download="{painting.name}.mp4">Video</a>',
        f'<a href="{place}/sheet.png" download="{painting.name}.png">All frames in one picture</a>',
        f'<a href="{place}/{PAGE}" target="_blank">Player alone</a>',
    ]
    return (
        f'<div class="pp-playing"><iframe src="{place}/{PAGE}#playing" title="{title}"></iframe>'
        f'<nav aria-label="Keep this painting">{"".join(links)}</nav></div>'
    )


def gallery(title: str, paintings: Sequence[StoredPainting]) -> str:
    """Finished paintings as buttons under a title; empty if there are none."""
    if not paintings:
        return ""
    return f'<h2>{title}</h2><ul class="pp-gallery">{"".join(map(_card, paintings))}</ul>'


def introduction() -> str:
    """The header of the page."""
    return (
        "<header><h1>Watch a picture being painted</h1><p>Describe a picture or give one, finished or not. The painter "
        f"shows how it may come about, from the first marks to the last. {PROVENANCE}</p></header>"
    )


def _guesses(glance: Glance) -> str:
    from training.data.pixels import png_of

    if glance.guess is None:
        return ""
    sources = (base64.b64encode(png_of(frame)).decode("ascii") for frame in glance.guess)
    pictures = (
        f'<img src="data:image/png;base64,{source}" alt="Guess of frame {number}">'
        for number, source in enumerate(sources)
    )
    return f'<div class="pp-guesses">{"".join(pictures)}</div>'


def _card(painting: StoredPainting) -> str:
    caption, source = _caption(painting), f"paintings/{painting.name}/{painting.frames[-1]}"
    return (
        f'<li><button type="button" data-name="{painting.name}"><img src="{source}" alt="" loading="lazy">'
        f"<span>{caption}</span></button></li>"
    )


def _caption(painting: StoredPainting) -> str:
    captions_by_task = {"reconstruct": "A finished picture", "complete": "An unfinished picture"}
    return escape(painting.prompt or captions_by_task.get(painting.task, "Given frames"))
