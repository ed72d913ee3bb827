"""Neural style: the pixels of a picture optimised towards the Gram matrices of another one's VGG features.

Gatys, Ecker & Bethge 2016. The weights are the user's own, in torchvision's format; nothing is downloaded. Torch is
imported inside the functions, so that rendering without this option does not pay for it.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import cv2
import numpy as np

from conf.errors import ConfigError
from renderers.painting import Image

if TYPE_CHECKING:
    import torch

_STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")  # Gatys et al. 2016, less the coarsest
_CONTENT_LAYER = "relu3_1"  # theirs is relu4_2; this one is computed for the style in any case
_SMALLEST_PX = 16  # relu4_1 has an eighth of the sides, and a Gram matrix needs more than one place
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # torchvision's normalisation of RGB in [0, 1]
_RATE = 0.03  # Adam's first step, in units of the pixel range
_GRAIN = 0.01  # without a trace of noise at the start, flat areas find no texture: all their gradients are equal


def stylise(
    image: Image,
    style: Image,
    weights: "Mapping[str, torch.Tensor]",
    *,
    steps: int = 60,
    content_weight: float = 1.0,
    seed: int = 0,
) -> Image:
    """The image painted over with the textures of the style picture.

    Adam from the image itself, the step falling to nothing along a cosine, on

        L = mean over layers l of |G_l - S_l|^2 / |S_l|^2  +  content_weight * |F - C|^2 / |C|^2

    with G and S the Gram matrices of both pictures and F and C the features (relu3_1) of the picture and the image.
    Both terms are relative, unlike Gatys et al.'s, so the weight means the same for any weights and sizes.

    Args:
        image: (H, W, 3) RGB in [0, 1], at least 16 px a side.
        style: (h, w, 3) RGB in [0, 1], any size; a larger one is shrunk to the image's shorter side, so that its
            strokes keep their share of the picture.
        weights: state dict of torchvision's VGG-16 or VGG-19 (see `vgg_layers`).
        steps: of Adam, from 1. A step costs about 1 s at 256 px on one core.
        content_weight: 0 or more; at 0 only the start keeps the subject.
        seed: of the noise at the start. The same arguments give the same picture on one machine.

    Returns:
        (H, W, 3) RGB in [0, 1].

    Raises:
        ConfigError: if the weights are not a torchvision VGG-16 or VGG-19.
        ValueError: if a picture is too small, or an option out of range.
    """
    import torch

    if steps < 1 or content_weight < 0:
        raise ValueError(f"steps={steps}, content_weight={content_weight}: at least 1 and 0")
    layers = vgg_layers(weights)
    source, target = _tensor(image), _tensor(_to_scale(style, image))
    with torch.no_grad():
        style_grams = {name: _gram(features) for name, features in _features(target, layers).items()}
        content = _features(source, layers)[_CONTENT_LAYER]
    noise = torch.randn(source.shape, generator=torch.Generator().manual_seed(seed))
    picture = (source + _GRAIN * noise).clamp_(0.0, 1.0).requires_grad_()
    adam = torch.optim.Adam([picture], lr=_RATE)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    for _ in range(steps):
        features = _features(picture, layers)
        loss = content_weight * _relative_error(features[_CONTENT_LAYER], content)
        for name, gram in style_grams.items():
            loss = loss + _relative_error(_gram(features[name]), gram) / len(style_grams)
        # Only the picture's gradient: `backward` would also write into the caller's weights if they ask for theirs.
        (picture.grad,) = torch.autograd.grad(loss, picture)
        adam.step()
        cosine.step()
        with torch.no_grad():
            picture.clamp_(0.0, 1.0)
    return np.ascontiguousarray(picture.detach()[0].permute(1, 2, 0).numpy(), np.float32)


def vgg_layers(weights: "Mapping[str, torch.Tensor]") -> "dict[str, torch.nn.Module]":
    """The layers of VGG up to relu4_1, with these weights, named as in the literature (conv1_1, relu1_1, pool1, ...).

    Args:
        weights: state dict of torchvision's `vgg16` or `vgg19`, whole or only its `features.*`.

    Raises:
        ConfigError: under the key `weights`, if names or shapes are those of neither, or a tensor holds no weights.
    """
    import torch
    import torchvision  # type: ignore[import-untyped]

    features = {name: value for name, value in weights.items() if name.startswith("features.")}
    shapes = {name: tuple(value.shape) for name, value in features.items()}
    for build in (torchvision.models.vgg16, torchvision.models.vgg19):
        with torch.device("meta"):  # the classifier's 120 million numbers are neither drawn nor stored
            network = build(weights=None).features
        expected = {f"features.{name}": tuple(value.shape) for name, value in network.state_dict().items()}
        if shapes == expected:
            for name, value in features.items():
                if not (value.is_floating_point() and value.isfinite().all()):
                    odd = f"{name} of whole numbers, or with NaN or infinity"
                    raise ConfigError("weights", odd, "finite floating-point numbers in every tensor")
            own = {name.removeprefix("features."): value.detach().float().cpu() for name, value in features.items()}
            network.load_state_dict(own, assign=True)
            return _named(network.eval().requires_grad_(False))
    raise ConfigError("weights", _summary(weights), "a torchvision VGG-16 or VGG-19 state dict")


def _named(network: "torch.nn.Module") -> "dict[str, torch.nn.Module]":
    """The layers by name, in order, ending with the last that the style needs."""
    import torch

    layers: dict[str, torch.nn.Module] = {}
    block, convolution = 1, 0
    for layer in network.children():
        if isinstance(layer, torch.nn.MaxPool2d):
            layers[f"pool{block}"] = layer
            block, convolution = block + 1, 0
        elif isinstance(layer, torch.nn.Conv2d):
            convolution += 1
            layers[f"conv{block}_{convolution}"] = layer
        else:
            layers[f"relu{block}_{convolution}"] = torch.nn.ReLU()  # torchvision's works in place and breaks the Gram
        if _STYLE_LAYERS[-1] in layers:
            break
    return layers


def _features(picture: "torch.Tensor", layers: "dict[str, torch.nn.Module]") -> "dict[str, torch.Tensor]":
    """Features of a (1, 3, H, W) picture in [0, 1] at the style layers, each (C, h, w)."""
    import torch

    mean, deviation = (torch.tensor(values).view(1, 3, 1, 1) for values in (_MEAN, _DEVIATION))
    value, features = (picture - mean) / deviation, {}
    for name, layer in layers.items():
        value = layer(value)
        if name in _STYLE_LAYERS:
            features[name] = value[0]
    return features


def _gram(features: "torch.Tensor") -> "torch.Tensor":
    """(C, C) mean over all places of the products of (C, h, w) features (Gatys et al. 2016, equation 3)."""
    flat = features.flatten(1)
    return flat @ flat.T / flat.shape[1]


def _relative_error(value: "torch.Tensor", target: "torch.Tensor") -> "torch.Tensor":
    return (value - target).square().sum() / target.square().sum().clamp_min(1e-12)


def _to_scale(style: Image, image: Image) -> Image:
    """The style with a shorter side no longer than the image's."""
    scale = min(image.shape[:2]) / min(style.shape[:2])
    if scale >= 1.0:
        return style
    size = (round(style.shape[1] * scale), round(style.shape[0] * scale))
    return np.asarray(cv2.resize(style, size, interpolation=cv2.INTER_AREA), np.float32)


def _tensor(picture: Image) -> "torch.Tensor":
    """(1, 3, H, W) from (H, W, 3); a copy."""
    import torch

    if min(picture.shape[:2]) < _SMALLEST_PX:
        raise ValueError(f"a picture of {min(picture.shape[:2])} px: at least {_SMALLEST_PX} px a side")
    return torch.from_numpy(np.array(picture, np.float32)).permute(2, 0, 1)[None].contiguous()


def _summary(weights: "Mapping[str, torch.Tensor]") -> str:
    """What a state dict looks like, in a few words."""
    if not weights:
        return "no tensors"
    name, value = next(iter(weights.items()))
    convolutions = sum(1 for tensor in weights.values() if len(tensor.shape) == 4)
    shape = "x".join(str(size) for size in value.shape) or "scalar"
    return f"{len(weights)} tensors with {convolutions} convolutions, the first {name} ({shape})"
