"""Weights of networks: which are trained, where those of a parent run are, and their hashes."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conf.compose import typed
from conf.errors import ConfigError, UserError
from conf.progress import tell
from training.data.manifest import stored_hash
from training.data.mirror import EARLIER, local_copy
from training.data.own_page import README
from training.data.plain import parse_object
from training.data.remote import AnyPath
from training.data.retries import retried
from training.data.seal import sealed_fields

if TYPE_CHECKING:
    from torch import Tensor, nn

    from training.config import NoiseConfig

WEIGHTS = "weights"
"""Folder of a run that holds what it trained, in the field's usual format."""
RUN_CARD, WEIGHTS_HASH = "run_card.json", "weights_hash"
"""File in that folder that says how the weights were made (recipe, data, parents, curves); its key of their hash."""
PAINTER_CARD = "painter.json"
"""Card in the folder of a painter, which can be used as a base as well."""


def trained_parameters(network: "nn.Module") -> "dict[str, nn.Parameter]":
    """The parameters that training moves, by name.

    Raises:
        ValueError: if there are none.
    """
    trained = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
    if not trained:
        raise ValueError("nothing to train: every parameter is frozen")
    return trained


@contextmanager
def holding(network: "nn.Module", weights: "Mapping[str, Tensor]") -> Iterator[None]:
    """Context in which parameters of these names are replaced by these tensors, even if they are shared or sharded.

    Afterwards the network has its own parameters again.
    """
    from torch import nn

    own = dict(network.named_parameters(remove_duplicate=False))
    replacements = {id(own[name]): nn.Parameter(tensor, requires_grad=False) for name, tensor in weights.items()}
    replaced = {name: parameter for name, parameter in own.items() if id(parameter) in replacements}
    try:
        for name, parameter in replaced.items():
            _set_parameter(network, name, replacements[id(parameter)])
        yield
    finally:
        for name, parameter in replaced.items():
            _set_parameter(network, name, parameter)


def _set_parameter(network: "nn.Module", name: str, parameter: "nn.Parameter") -> None:
    place, _, last = name.rpartition(".")
    setattr(network.get_submodule(place), last, parameter)


def part_of(network: "nn.Module", belongs: Callable[[str], bool]) -> "nn.Module":
    """The parameters of a network whose names `belongs` accepts, as a module of their own, to be counted and hashed."""
    from torch import nn

    parameters = network.named_parameters()
    return nn.ParameterDict({name.replace(".", "/"): value for name, value in parameters if belongs(name)})


def parent_weights(key: str, place: AnyPath) -> Path:
    """The weights that `key=place` names: those of a run folder, or the folder itself; from a store, a copy of them.

    Raises:
        UserError: if there is nothing, or the run has not ended yet.
    """
    folder = local_copy(key, place)
    if not folder.exists():
        raise UserError(f"{key}={folder}: no such file or folder")
    if (folder / "run.json").exists():
        weights = folder / WEIGHTS
        if not weights.is_dir() or not (isinstance(place, Path) or (weights / RUN_CARD).is_file()):  # uploaded last
            earlier = folder / f"{EARLIER}{WEIGHTS}"
            earlier_hint = f", or take {earlier}, of before it was made longer" if earlier.is_dir() else ""
            unfinished = "this run has not ended, so it has no weights yet; resume it first"
            raise UserError(f"{key}={folder}: {unfinished}{earlier_hint}")
        return weights
    return folder


def sound_hash(key: str, weights: Path) -> str:
    """The hash of weights that `key` names.

    Raises:
        UserError: if they were trained here, but are not what was written then.
    """
    if (weights / PAINTER_CARD).is_file():
        from training.models.painter_folder import check_painter

        check_painter(weights, key)
    computed, card = weights_hash(weights), read_run_card(weights)
    if weights.is_file():
        if card is None and (weights.parent / RUN_CARD).is_file():
            unknown = "how it was trained is not known"
            tell(f"warning: {key}={weights}: {RUN_CARD} beside it is of other weights; {unknown}")
        return computed
    if card is not None and card.get(WEIGHTS_HASH, computed) != computed:
        raise UserError(f"{key}={weights}: damaged or changed: not the weights that the run wrote")
    return computed


def read_run_card(weights: Path) -> dict[str, Any] | None:
    """The run card of a folder of weights, or of the folder that a single file is from; None if there is none.

    A single file has the card of its folder only if that folder holds exactly what the run wrote: otherwise the card
    may describe other weights.

    Raises:
        UserError: if it cannot be read, or is not what was written.
    """
    folder = weights.parent if weights.is_file() else weights
    path = folder / RUN_CARD
    try:
        card = sealed_fields(retried(path, path.read_bytes))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error
    is_unrelated = folder != weights and card.get(WEIGHTS_HASH) != weights_hash(folder)
    return None if is_unrelated else card


def knows_words_only(card: Mapping[str, Any] | None) -> bool:
    """Whether a run card is of a base whose text encoder alone is trained: a run of stage `words` without a base."""
    return card is not None and card.get("stage") == "words" and "base" not in card["recipe"]["parents"]


def refuse_untrained(named: str, card: Mapping[str, Any] | None) -> None:
    """Refuse a base whose denoiser is untrained, for what is added to a denoiser.

    Args:
        named: what the user gave, such as `base=DIR`.
        card: run card of the base; None if it was not trained here.

    Raises:
        UserError: if the run trained a text encoder alone.
    """
    if knows_words_only(card):
        allowed = "a run of stage=base, which trains it, or another trained base"
        raise UserError(f"{named}: a run of stage=words, whose denoiser is untrained; allowed: {allowed}")


def noise_of_run(weights: Path) -> "NoiseConfig | None":
    """The noise that temporal modules were trained on, by their run card or that in the painter which holds them.

    Returns:
        None if there is no card.

    Raises:
        UserError: if the card cannot be read.
    """
    card = read_run_card(weights)
    if card is None and (weights.parent / PAINTER_CARD).is_file():
        card = card_in_painter(weights.parent, "motion")
    return noise_of_card(card, weights) if card is not None else None


def card_in_painter(folder: Path, part: str) -> dict[str, Any] | None:
    """The run card of a part of a painter; None if it was not trained here.

    Raises:
        UserError: if it cannot be read.
    """
    path = folder / "run_cards" / f"{part}.json"
    try:
        return parse_object(path.read_bytes(), dict[str, Any])
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error


def noise_of_card(card: Mapping[str, Any], weights: Path) -> "NoiseConfig":
    """The noise that a run card states.

    Args:
        card: the run card.
        weights: the weights that it belongs to, for messages.

    Raises:
        UserError: if it states none.
    """
    from training.config import NoiseConfig

    try:
        return typed(NoiseConfig, card["recipe"]["noise"], "noise")
    except (ValueError, KeyError, TypeError, ConfigError) as error:
        raise UserError(f"{weights / RUN_CARD}: cannot be read ({error})") from error


def other_noise(noise: "NoiseConfig", needed: "NoiseConfig") -> tuple[str, Any, Any] | None:
    """The first key in which noise differs from that which is needed, and both values; loss weights may differ."""
    from dataclasses import fields

    keys = [each.name for each in fields(noise) if each.name != "min_snr"]
    values = [(key, getattr(noise, key), getattr(needed, key)) for key in keys]
    return next((entry for entry in values if entry[1] != entry[2]), None)


def weights_hash(path: Path) -> str:
    """SHA-256 over a weights file, or over the names and contents of all files of a folder.

    The run card is left out, and so is what a download from the Hub adds: a README and hidden files.

    Raises:
        UserError: if one cannot be read; it names the file.
    """
    if path.is_file():
        return stored_hash(path)
    files = {file.relative_to(path): file for file in path.rglob("*") if file.is_file()}
    return hash_of_files({name: stored_hash(file) for name, file in files.items() if not _describes(name)})


def hash_of_files(hashes: Mapping[Path, str]) -> str:
    """The hash of a folder of weights, of which those of its files are known: path in the folder -> SHA-256."""
    digest = hashlib.sha256()
    for name in sorted(name for name in hashes if not _describes(name)):
        digest.update(f"{name.as_posix()} {hashes[name]}\n".encode())
    return digest.hexdigest()


def _describes(name: Path) -> bool:
    return name.name == RUN_CARD or name == Path(README) or name.parts[0].startswith(".")


def module_hash(module: "nn.Module") -> str:
    """SHA-256 over the names and bytes of all parameters and buffers."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
