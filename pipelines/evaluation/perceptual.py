"""Endpoint measures that need weights. Without its weights a measure is missing, and the report says so.

Weights are local files in the formats in which they are published. Nothing is downloaded, and no code in them is run
except the TorchScript of the Inception network.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from conf.errors import ConfigError, UserError
from training.models.finite import check_network, check_weights

if TYPE_CHECKING:
    from torch import Tensor

Pictures = NDArray[np.uint8]
"""(N, H, W, 3)."""

PairMeasure = Callable[[Pictures, Pictures, Sequence[str]], dict[str, NDArray[np.float64]]]
"""Finished pictures, their targets and captions -> name of a measure -> (N,) values, NaN where it has no value."""

Features = Callable[[Pictures], NDArray[np.float64]]

BATCH = 16
_BLANK: Pictures = np.zeros((1, 64, 64, 3), np.uint8)
# Ends of AlexNet's five activations in torchvision's `features`; shift and scale of LPIPS for inputs in [-1, 1].
_ALEX_ENDS = (2, 5, 8, 10, 12)
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)


@dataclass(frozen=True, kw_only=True)
class WeightsConfig:
    """The group `weights`: local paths, or None without weights.

    Attributes:
        clip: folder of a transformers CLIP model with its processor.
        dino: folder of a transformers DINO or DINOv2 model with its image processor.
        lpips_backbone: torchvision's AlexNet state dict.
        lpips_heads: `alex.pth` of the LPIPS release (v0.1).
        inception: TorchScript Inception of StyleGAN (`inception-2015-12-05.pt`), for FID.
    """

    clip: Path | None = None
    dino: Path | None = None
    lpips_backbone: Path | None = None
    lpips_heads: Path | None = None
    inception: Path | None = None

    def __post_init__(self) -> None:
        for key in ("clip", "dino", "lpips_backbone", "lpips_heads", "inception"):
            path = getattr(self, key)
            if path is not None and not path.exists():
                raise ConfigError(key, path, "a local file or folder of weights, or null; this path does not exist")
        if (self.lpips_backbone is None) != (self.lpips_heads is None):
            raise ConfigError("lpips_heads", self.lpips_heads, "given together with lpips_backbone, or neither")


@dataclass(frozen=True, kw_only=True)
class Networks:
    """Loaded weights.

    Attributes:
        measures: measures of finished pictures and their targets.
        inception: features for FID; None without its weights.
        lacking: name of a measure that has no weights -> the key that would name them.
    """

    measures: tuple[PairMeasure, ...] = ()
    inception: Features | None = None
    lacking: Mapping[str, str]


def load_networks(weights: WeightsConfig) -> Networks:
    """Load all weights that the configuration names.

    Raises:
        ConfigError: if a path holds something else.
    """
    measures, lacking = [], {}
    if weights.lpips_backbone is not None and weights.lpips_heads is not None:
        measures.append(lpips(weights.lpips_backbone, weights.lpips_heads))
    else:
        lacking["LPIPS"] = "weights.lpips_backbone"
    if weights.clip is not None:
        measures.append(clip(weights.clip))
    else:
        lacking |= {"CLIP-I": "weights.clip", "CLIP-T": "weights.clip"}
    if weights.dino is not None:
        measures.append(dino(weights.dino))
    else:
        lacking["DINO"] = "weights.dino"
    if weights.inception is None:
        return Networks(measures=tuple(measures), lacking=lacking | {"FID": "weights.inception"})
    return Networks(measures=tuple(measures), inception=inception_features(weights.inception), lacking=lacking)


def clip(folder: Path) -> PairMeasure:
    """CLIP-I, cosine of the embeddings of two pictures, and CLIP-T, 100 cosine of picture and caption (Radford 2021).

    Raises:
        ConfigError: if the folder is not a CLIP model.
    """
    import torch

    loading = partial(_loading, "clip", folder, "a CLIP model in the transformers format")
    with loading():
        from transformers import CLIPModel, CLIPProcessor

        model = _whole(CLIPModel, folder)
        processor = CLIPProcessor.from_pretrained(folder, local_files_only=True)

    @torch.inference_mode()
    def measure(generated: Pictures, reference: Pictures, captions: Sequence[str]) -> dict[str, NDArray[np.float64]]:
        def images(pictures: Pictures) -> "Tensor":
            pixels = processor(images=list(pictures), return_tensors="pt")["pixel_values"]
            embeddings: Tensor = model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output)
            return embeddings

        tokens = processor(text=list(captions), padding=True, truncation=True, return_tensors="pt")
        text = model.text_projection(model.text_model(**tokens).pooler_output)
        embedded = images(generated)
        has_caption = np.array([bool(caption) for caption in captions])
        return {
            "CLIP-I": _cosines(embedded, images(reference)),
            "CLIP-T": np.where(has_caption, 100.0 * _cosines(embedded, text), np.nan),
        }

    with loading():
        _try(measure)
    return measure


def dino(folder: Path) -> PairMeasure:
    """Cosine of the class tokens of two pictures.

    Raises:
        ConfigError: if the folder is not a DINO model.
    """
    import torch

    loading = partial(_loading, "dino", folder, "a DINO or DINOv2 model in the transformers format")
    with loading():
        from transformers import AutoImageProcessor, AutoModel

        model = _whole(AutoModel, folder)
        processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True)

    @torch.inference_mode()
    def measure(generated: Pictures, reference: Pictures, captions: Sequence[str]) -> dict[str, NDArray[np.float64]]:
        def embed(pictures: Pictures) -> "Tensor":
            tokens: Tensor = model(**processor(images=list(pictures), return_tensors="pt")).last_hidden_state
            return tokens[:, 0]

        return {"DINO": _cosines(embed(generated), embed(reference))}

    with loading():
        _try(measure)
    return measure


def lpips(backbone: Path, heads: Path) -> PairMeasure:
    """LPIPS with AlexNet (Zhang et al. 2018): sum over layers of the weighted difference of normalised features.

    Raises:
        ConfigError: if one of the files holds something else.
    """
    import torch
    from torchvision.models import alexnet  # type: ignore[import-untyped]

    with _loading("lpips_backbone", backbone, "a state dict of torchvision's AlexNet"):
        layers = alexnet(weights=None).features.eval()
        state = torch.load(backbone, map_location="cpu", weights_only=True)
        own = {k.removeprefix("features."): v for k, v in state.items() if k.startswith("features.")}
        layers.load_state_dict(own)
        check_weights(own)
    loading_heads = partial(_loading, "lpips_heads", heads, "alex.pth of the LPIPS release, v0.1")
    with loading_heads():
        state = torch.load(heads, map_location="cpu", weights_only=True)
        own = {name: state[name] for name in (f"lin{layer}.model.1.weight" for layer in range(len(_ALEX_ENDS)))}
        check_weights(own)
        weights = list(own.values())
    shift, scale = (torch.tensor(values).view(1, 3, 1, 1) for values in (_SHIFT, _SCALE))

    @torch.inference_mode()
    def measure(generated: Pictures, reference: Pictures, captions: Sequence[str]) -> dict[str, NDArray[np.float64]]:
        one, two = ((_tensor(pictures) * 2 - 1 - shift) / scale for pictures in (generated, reference))
        total, start = torch.zeros(len(one)), 0
        for end, weight in zip(_ALEX_ENDS, weights, strict=True):
            one, two = layers[start:end](one), layers[start:end](two)
            start = end
            difference = (_unit(one) - _unit(two)) ** 2
            total = total + (difference * weight).sum(1).mean((1, 2))
        return {"LPIPS": total.numpy().astype(np.float64)}

    with loading_heads():
        _try(measure)
    return measure


def inception_features(file: Path) -> Features:
    """A function that returns the (N, 2048) features of FID's own Inception network.

    Raises:
        ConfigError: if the file is not the network's TorchScript.
    """
    import torch

    loading = partial(_loading, "inception", file, "the TorchScript inception-2015-12-05.pt")
    with loading(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # TorchScript is the format in which this network is published
        network = torch.jit.load(str(file), map_location="cpu").eval()  # type: ignore[no-untyped-call]
        check_network(network)

    @torch.inference_mode()
    def features(pictures: Pictures) -> NDArray[np.float64]:
        batches = []
        for start in range(0, len(pictures), BATCH):
            batch = torch.from_numpy(pictures[start : start + BATCH]).permute(0, 3, 1, 2)
            batches.append(network(batch, return_features=True).double().numpy())
        return np.concatenate(batches)

    with loading():
        _check_finite(features(_BLANK))
    return features


def frechet_distance(generated: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    """FID (Heusel et al. 2017) of two sets of features: |m - n|² + tr(S + R - 2 (S R)^½).

    The trace of the root is the nuclear norm of the product of the centred features. This is exact, and cheap if there
    are fewer pictures than features.

    Args:
        generated: (N, D), N at least 2. reference: (M, D), M at least 2.
    """
    one, two = (each - each.mean(0) for each in (generated, reference))
    one, two = one / np.sqrt(len(one) - 1), two / np.sqrt(len(two) - 1)
    root = np.linalg.svd(one @ two.T, compute_uv=False).sum()
    shift = generated.mean(0) - reference.mean(0)
    return float(shift @ shift + (one**2).sum() + (two**2).sum() - 2 * root)


def _whole(network: Any, folder: Path) -> Any:
    """A network of transformers in float32 with all its weights; transformers would fill missing ones at random.

    Raises:
        UserError: if weights are missing, other than those of a pooler, which is not used, or one is not finite.
    """
    model, report = network.from_pretrained(folder, local_files_only=True, output_loading_info=True)
    missing = sorted(name for name in report["missing_keys"] if not name.startswith("pooler."))
    if missing:
        raise UserError(f"it lacks {len(missing)} tensors, such as {missing[0]}")
    check_network(model)
    return model.float().eval()


def _try(measure: PairMeasure) -> None:
    """Compute a measure of a blank picture; raises UserError if it is not finite, and whatever the network raises."""
    _check_finite(*measure(_BLANK, _BLANK, ["a"]).values())


def _check_finite(*values: NDArray[np.float64]) -> None:
    if not all(np.isfinite(each).all() for each in values):
        raise UserError("it outputs NaN or infinity")


@contextmanager
def _loading(key: str, path: Path, expected: str) -> Iterator[None]:
    """Context that turns any error of a library into one line that names the key and what is expected there."""
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split())[:150] or type(error).__name__
        raise ConfigError(f"weights.{key}", path, f"{expected}; this is not one ({reason})") from error


def _tensor(pictures: Pictures) -> "Tensor":
    """Pictures as an (N, 3, H, W) tensor in [0, 1]."""
    import torch

    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255


def _unit(features: "Tensor") -> "Tensor":
    return features / (features.pow(2).sum(1, keepdim=True).sqrt() + 1e-10)


def _cosines(one: "Tensor", two: "Tensor") -> NDArray[np.float64]:
    import torch

    cosines: NDArray[np.float64] = torch.cosine_similarity(one, two).double().numpy()
    return cosines
