"""Masks hands and tools that SAM 3 finds by prompts, so that they do not vote about what is canvas.

This uses Segment Anything 3 (https://arxiv.org/abs/2511.16719) of transformers: `Sam3Model` segments every thing that a
prompt names. SAM 1 and 2 take no text prompts, and cannot be used here.
"""

import hashlib
import re
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from conf.devices import compute_device
from conf.errors import ConfigError, UserError
from conf.value import Location
from pipelines.artists.footage import Frame
from training.models.finite import check_network, finite

if TYPE_CHECKING:
    from collections.abc import Iterator

Mask = NDArray[np.bool_]
"""(H, W), True where a hand or a tool is."""

_FILES = ["*.json", "*.safetensors", "*.txt"]
_MOST_PROMPTS = 16
_BLANK: Frame = np.zeros((64, 64, 3), np.uint8)


@dataclass(frozen=True, kw_only=True)
class MaskConfig:
    """The group `mask`.

    Attributes:
        model: a folder in transformers' layout, or a name on the Hub; None to mask nothing.
        prompts: what to find, 1 to 16 phrases.
        threshold: least confidence of the network in a thing, 0 to 1.
        device: device of the network: auto, cpu, cuda or cuda:N.
    """

    model: Location | None
    prompts: tuple[str, ...]
    threshold: float
    device: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "prompts", tuple(self.prompts))
        if not (1 <= len(self.prompts) <= _MOST_PROMPTS and all(self.prompts)):
            raise ConfigError("prompts", list(self.prompts), f"1 to {_MOST_PROMPTS} phrases such as [a hand]")
        if not 0 <= self.threshold <= 1:
            raise ConfigError("threshold", self.threshold, "0 to 1")
        if not re.fullmatch(r"auto|cpu|cuda(:[0-9]+)?", self.device):
            raise ConfigError("device", self.device, "auto, cpu, cuda or cuda:N")
        if self.model is not None:
            compute_device(self.device)

    def check(self) -> None:
        """Try the network with all prompts on a blank frame, before anything is written.

        Raises:
            UserError: if it cannot be loaded, cannot compute, or a prompt is too long or unknown to it.
        """
        if self.model is not None:
            import torch

            try:
                _Segmenter(self.model, self.prompts, self.device).mask(_BLANK, self.threshold)
            except UserError:
                raise
            except Exception as error:  # of any kind: the files decide which pictures and words are computed with
                reason = _one_line(error)[:300]
                raise UserError(f"mask.model={self.model}: fails on a blank frame ({reason})") from error
            torch.cuda.empty_cache()  # workers load the network themselves, and may need this memory

    def recipe(self) -> dict[str, Any]:
        """The settings that decide the bytes of a data set; the weights are represented by their hash.

        Raises:
            UserError: if there are no weights.
        """
        assert self.model is not None
        digest = hashlib.sha256()
        for path in sorted(_folder(self.model).glob("*")):
            if path.is_file() and path.suffix in (".json", ".safetensors", ".txt"):
                with path.open("rb") as file:
                    digest.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
        return {"weights": digest.hexdigest(), "prompts": list(self.prompts), "threshold": self.threshold}

    def masks(self, frames: Sequence[Frame]) -> list[Mask]:
        """For each frame, the mask of the things that the prompts name.

        Raises:
            UserError: if the network cannot be loaded, or a prompt is too long or unknown to it.
        """
        assert self.model is not None
        segmenter = _segmenter(self.model, self.prompts, self.device)
        return [segmenter.mask(frame, self.threshold) for frame in frames]


class _Segmenter:
    """A network, and the embeddings of its prompts."""

    def __init__(self, model: str, prompts: Sequence[str], device: str) -> None:
        import torch

        network, self._processor = _loaded(model)
        _check_prompts(self._processor.tokenizer, prompts, network.config.text_config.max_position_embeddings, model)
        self._device = compute_device(device)
        self._network = network.to(self._device).eval()
        with torch.inference_mode():
            tokens = self._processor(text=list(prompts), return_tensors="pt").to(self._device)
        self._prompts = list(zip(tokens["input_ids"].split(1), tokens["attention_mask"].split(1), strict=True))

    def mask(self, frame: Frame, threshold: float) -> Mask:
        """The (H, W) mask of a (H, W, 3) frame."""
        import torch

        mask: Mask = np.zeros(frame.shape[:2], bool)
        with torch.inference_mode():
            pixels = self._processor(images=frame, return_tensors="pt")["pixel_values"].to(self._device)
            features = self._network.get_vision_features(pixel_values=pixels)
            for ids, attention in self._prompts:
                output = self._network(vision_embeds=features, input_ids=ids, attention_mask=attention)
                finite(output.pred_logits, "mask.model: what it finds")  # NaN is above no threshold
                (things,) = self._processor.post_process_instance_segmentation(
                    output, threshold=threshold, target_sizes=[frame.shape[:2]]
                )
                if len(things["masks"]):
                    mask |= things["masks"].bool().any(0).cpu().numpy()
        return mask


def _check_prompts(tokenizer: Any, prompts: Sequence[str], most_tokens: int, model: str) -> None:
    """Refuse prompts that are longer than the network reads, and a tokenizer that reads no word of a prompt.

    Raises:
        UserError: naming the prompt.
    """
    for prompt in prompts:
        with _quiet():  # it would warn of too many tokens
            num_tokens = len(tokenizer(prompt)["input_ids"])
            text_ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        if num_tokens > most_tokens:
            allowed = f"phrases of at most {most_tokens} tokens with mask.model={model}; this one has {num_tokens}"
            raise ConfigError("mask.prompts", prompt, allowed)
        if set(text_ids) <= {tokenizer.unk_token_id}:
            raise UserError(f"mask.model={model}: its tokenizer knows no part of the prompt {prompt!r}")


@lru_cache(maxsize=1)
def _segmenter(model: str, prompts: tuple[str, ...], device: str) -> _Segmenter:
    return _Segmenter(model, prompts, device)


def _folder(model: str) -> Path:
    """The folder of a model's files; files from the Hub are fetched once.

    Raises:
        UserError: if there is no such model.
    """
    if Path(model).is_dir():
        return Path(model)
    try:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(model, allow_patterns=_FILES))
    except Exception as error:  # the exceptions of the library and the network have no common class
        raise UserError(f"mask.model={model}: no such folder, and not on the Hub ({_one_line(error)})") from error


def _loaded(model: str) -> tuple[Any, Any]:
    """The network and its processor, without the video tracker that releases of SAM 3 contain.

    Raises:
        UserError: if it is another network, lacks weights, or transformers is too old.
    """
    try:
        from transformers import Sam3Model, Sam3Processor
    except ImportError as error:
        raise UserError("mask.model needs transformers 5 or newer") from error
    folder = str(_folder(model))
    try:
        with _quiet():
            network, report = Sam3Model.from_pretrained(folder, use_safetensors=True, output_loading_info=True)
            processor = Sam3Processor.from_pretrained(folder)
    except Exception as error:  # of any kind: they compute with what the files say before they check it
        raise UserError(f"mask.model={model}: not a SAM 3 that can be loaded ({_one_line(error)[:300]})") from error
    lacking = sorted([*report["missing_keys"], *report["mismatched_keys"]], key=str)
    if lacking:
        raise UserError(f"mask.model={model}: not a whole SAM 3: {len(lacking)} tensors lack, as {lacking[0]}")
    try:
        check_network(network)
    except UserError as error:
        raise UserError(f"mask.model={model}: {error}") from error
    return network.float(), processor


@contextmanager
def _quiet() -> "Iterator[None]":
    from transformers.utils import logging

    level, has_bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if has_bar:
            logging.enable_progress_bar()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
