"""The card of a painter, `README.md`: how to paint with it, how its parts were trained, and under which licences."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from conf.markdown import front_matter, plain, table
from conf.printable import shell_words
from training.data.licences import UNKNOWN, licence_fields
from training.data.manifest import write_atomically
from training.data.own_page import README, page_for
from training.data.plain import parse_object
from training.models.painter_folder import read_painter_card

_ROW = ("part", "stage", "steps", "parameters trained", "loss on held-out pictures, first and last", "weights")
_SUBJECT = "a red house by a lake"
_WITH_DIFFUSERS = """```python
import torch
from diffusers import DiffusionPipeline
from diffusers.utils import export_to_gif

painter = DiffusionPipeline.from_pretrained("FOLDER OR USER/NAME", custom_pipeline="pipeline", trust_remote_code=True)
frames = painter(
    {prompt},
    num_frames={num_frames},
    height={height},
    width={width},
    generator=torch.Generator().manual_seed(0),
).frames[0]
export_to_gif(frames, "process.gif", fps=2)
```"""


def write_painter_page(folder: Path, before: Path | None = None) -> None:
    """Write the card of a painter.

    Args:
        folder: folder of the painter, which is complete.
        before: the existing card, which is kept if somebody changed it; by default that in the folder.

    Raises:
        UserError: if the folder is no painter, or an incomplete one.
        ValueError: if a run card is damaged.
    """
    run_cards = {
        path.stem: parse_object(path.read_bytes(), dict[str, Any]) for path in sorted(folder.glob("run_cards/*.json"))
    }
    runs_alone = (folder / "pipeline.py").is_file()
    text = painter_page(read_painter_card(folder), run_cards, runs_alone=runs_alone)
    write_atomically(folder / README, page_for(before or folder / README, text))


def painter_licences(facts: Mapping[str, Any]) -> set[str]:
    """All licences that apply to a painter, by its `painter.json`."""
    return {licence for part in facts["parts"].values() for licence in _licences(part)}


def painter_page(facts: Mapping[str, Any], run_cards: Mapping[str, Mapping[str, Any]], *, runs_alone: bool) -> str:
    """The text of the card.

    Args:
        facts: the contents of `painter.json`.
        run_cards: run cards of the parts that were trained here, by name.
        runs_alone: whether it carries its pipeline, and so paints with diffusers alone.
    """
    height, width = facts["size_px"]
    phrases = facts.get("phrases", {})
    prompt = ", ".join([_SUBJECT, *list(phrases.values())[:1]])
    example = _WITH_DIFFUSERS.format(
        prompt=json.dumps(prompt, ensure_ascii=False), num_frames=facts["num_frames"], height=height, width=width
    )
    head = {
        **licence_fields(painter_licences(facts)),
        **({"library_name": "diffusers"} if runs_alone else {}),
        "pipeline_tag": "text-to-video",
        "tags": ["painting", "painting-process", "process-painter"],
    }
    return "\n".join([
        front_matter(head),
        "# A painter",
        "",
        f"It paints from words, and shows how: {facts['num_frames']} frames of {width} x {height} px from the first "
        "marks to the finished picture.",
        "",
        *(["## With diffusers alone", "", example, ""] if runs_alone else []),
        "## With process-painter",
        "",
        "It also paints how a given picture may have come about, goes on with unfinished ones, and makes longer "
        "processes. A seed gives the same frames.",
        "",
        "```sh",
        shell_words("process-painter", "paint", "painter=FOLDER", f"prompt={prompt}", "out=painting"),
        "```",
        "",
        *_methods(phrases),
        "## How its parts were trained",
        "",
        table(
            _ROW,
            (_row(name, part, run_cards.get(name)) for name, part in facts["parts"].items()),
        ),
        "",
        f"Weights are stored as {facts.get('dtype', 'fp32')}. `painter.json` holds a hash of every file, `run_cards/` "
        "the recipe and the curves of each part.",
        "",
        "## Licences",
        "",
        table(("part", "licence", "of"), _licence_rows(facts["parts"])),
        "",
        "",
    ])  # fmt: skip


def _methods(phrases: Mapping[str, str]) -> list[str]:
    if not phrases:
        return []
    rows = [(plain(name), plain(phrase)) for name, phrase in phrases.items()]
    return ["## Words that choose the method", "", table(("method", "words at the end of the prompt"), rows), ""]


def _row(name: str, part: Mapping[str, Any], run_card: Mapping[str, Any] | None) -> tuple[str, ...]:
    weights = f"`{str(part['hash'])[:16]}`"
    if run_card is None:
        return plain(name), "not trained here", "", "", "", weights
    losses = [value for _, value in run_card.get("curves", {}).get("val/loss", [])]
    curve = f"{losses[0]:.4f}, {losses[-1]:.4f}" if losses else ""
    trained = run_card.get("trained", {}).get("parameters")
    count = f"{trained:,}" if isinstance(trained, int) else ""
    return plain(name), plain(str(run_card["stage"])), f"{run_card['max_steps']:,}", count, curve, weights


def run_page(card: Mapping[str, Any]) -> str:
    """The card of the weights of a run.

    Args:
        card: its run card.
    """
    stage, part = str(card["stage"]), {"licences": {"data": card.get("data", {}).get("licences", {})}}
    head = {**licence_fields(run_licences(card)), "tags": ["painting", "painting-process", "process-painter"]}
    row = _row(stage, {**part, "hash": card.get("weights_hash", "unknown")}, card)
    return "\n".join([
        front_matter(head),
        f"# Weights of stage {plain(stage)}",
        "",
        "Trained by process-painter, whose `assemble` makes a painter of such parts. `run_card.json` holds the whole "
        "recipe and the curves.",
        "",
        table(_ROW, [row]),
        "",
        "## Licences",
        "",
        table(("part", "licence", "of"), _licence_rows({stage: part})),
        "",
    ])  # fmt: skip


def run_licences(card: Mapping[str, Any]) -> set[str]:
    """Licences of the data that a run was trained on, by its card."""
    return _licences({"licences": {"data": card.get("data", {}).get("licences", {})}})


def _licences(part: Mapping[str, Any]) -> set[str]:
    """Licences of the weights, or of all data that they were trained on; unknown if none is stated."""
    stated = part["licences"]
    if "weights" in stated:
        return {str(stated["weights"])}
    return {licence for counts in stated.get("data", {}).values() for licence in counts} or {UNKNOWN}


def _licence_rows(parts: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str, str]]:
    for name, part in parts.items():
        if "weights" in part["licences"]:
            yield plain(name), plain(str(part["licences"]["weights"])), "the weights"
            continue
        for data, counts in part["licences"].get("data", {}).items():
            for licence, count in counts.items():
                yield plain(name), plain(str(licence)), f"{count:,} pictures of the data set {plain(str(data))}"
