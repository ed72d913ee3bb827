"""What neural style promises, with random VGG weights in torchvision's format."""

from collections.abc import Iterator, Mapping

import cv2
import numpy as np
import pytest
import torch
import torchvision  # type: ignore[import-untyped]

from conf.errors import ConfigError
from renderers.brush import gram
from renderers.brush.gram import stylise, vgg_layers
from renderers.painting import Image

Weights = Mapping[str, torch.Tensor]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # pictures of 32 px are too small to share out
    yield
    torch.set_num_threads(before)


def vgg_weights(architecture: str) -> dict[str, torch.Tensor]:
    """`features.*` of a network with torchvision's own random start."""
    with torch.device("meta"):
        network = getattr(torchvision.models, architecture)(weights=None)
    network.classifier = torch.nn.Identity()
    network.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    for value in network.state_dict().values():
        if value.ndim == 4:  # as torchvision does: He et al. 2015, fan out
            value.normal_(0.0, (2 / (value.shape[0] * 9)) ** 0.5, generator=generator)
        else:
            value.zero_()
    return dict(network.state_dict())


@pytest.fixture(scope="module")
def vgg16() -> Weights:
    return vgg_weights("vgg16")


def scene(height: int = 32, width: int = 40) -> Image:
    """A dark disc before a light, slightly warm gradient."""
    y, x = np.mgrid[:height, :width] / height
    picture = np.stack([0.6 + 0.3 * x, 0.6 + 0.25 * x, 0.5 + 0.2 * x], -1) * 0.8
    picture[np.hypot(x - 0.6, y - 0.5) < 0.3] = (0.15, 0.2, 0.3)
    return picture.astype(np.float32)


def stripes(height: int = 36, width: int = 36) -> Image:
    y, x = np.mgrid[:height, :width]
    wave = 0.5 + 0.5 * np.sin((x + 2 * y) * 1.1)
    return np.asarray(wave[..., None] * np.array([0.9, 0.5, 0.1]) + 0.05, np.float32)


def dabs(size: int = 36) -> Image:
    """Soft spots of brown and ochre."""
    spots = cv2.GaussianBlur(np.random.default_rng(1).normal(size=(size, size)), (0, 0), 1.2)
    spots = spots[..., None] / spots.std()
    return np.asarray(np.clip(np.array([0.45, 0.3, 0.12]) + spots * np.array([0.2, 0.15, 0.08]), 0, 1), np.float32)


def gram_distance(image: Image, style: Image, weights: Weights) -> float:
    """The first term of `stylise`'s loss: how far the textures of an image are from those of a style, from 0."""
    layers = vgg_layers(weights)
    with torch.no_grad():
        painted = gram._features(gram._tensor(image), layers)
        wanted = gram._features(gram._tensor(gram._to_scale(style, image)), layers)
        errors = [
            gram._relative_error(gram._gram(painted[name]), gram._gram(wanted[name])) for name in gram._STYLE_LAYERS
        ]
    return float(np.mean([float(error) for error in errors]))


def correlation(first: Image, second: Image) -> float:
    return float(np.corrcoef(first.mean(-1).ravel(), second.mean(-1).ravel())[0, 1])


@pytest.mark.parametrize("architecture", ["vgg16", "vgg19"])
def test_gram_distance_halves_in_20_steps_and_the_subject_stays(architecture: str) -> None:
    weights = vgg_weights(architecture)
    image, style = scene(), dabs()
    painted = stylise(image, style, weights, steps=20)
    assert gram_distance(painted, style, weights) < gram_distance(image, style, weights) / 2
    assert correlation(painted, image) > 0.85
    assert painted.shape == image.shape and painted.dtype == np.float32
    assert painted.min() >= 0 and painted.max() <= 1


def test_content_weight_keeps_more_of_the_image_and_less_of_the_style(vgg16: Weights) -> None:
    image, style = scene(), stripes()
    loose, tight = (stylise(image, style, vgg16, steps=12, content_weight=weight) for weight in (0.0, 30.0))
    assert correlation(tight, image) > correlation(loose, image) + 0.02
    assert gram_distance(loose, style, vgg16) < gram_distance(tight, style, vgg16)


def test_more_steps_come_nearer(vgg16: Weights) -> None:
    distances = [gram_distance(stylise(scene(), stripes(), vgg16, steps=n), stripes(), vgg16) for n in (2, 8, 24)]
    assert distances == sorted(distances, reverse=True)


def test_same_seed_gives_the_same_picture_and_another_seed_another(vgg16: Weights) -> None:
    first, second, other = (stylise(scene(), stripes(), vgg16, steps=3, seed=seed) for seed in (4, 4, 5))
    assert first.tobytes() == second.tobytes()
    assert (first != other).any()


def test_inputs_and_random_state_are_left_alone(vgg16: Weights) -> None:
    image, style = scene(), stripes()
    kept = image.tobytes(), style.tobytes(), {name: value.clone() for name, value in vgg16.items()}
    state = torch.get_rng_state()
    stylise(image, style, vgg16, steps=2)
    assert (image.tobytes(), style.tobytes()) == kept[:2]
    assert all(torch.equal(value, vgg16[name]) and value.grad is None for name, value in kept[2].items())
    assert torch.equal(torch.get_rng_state(), state)


def test_flat_image_finds_texture(vgg16: Weights) -> None:
    flat = np.full((32, 32, 3), 0.5, np.float32)
    painted = stylise(flat, stripes(), vgg16, steps=20, content_weight=0.0)
    assert painted.std(axis=(0, 1)).max() > 0.1


def test_style_counts_at_the_scale_of_the_image(vgg16: Weights) -> None:
    style = stripes(32, 32)
    doubled = np.repeat(np.repeat(style, 2, 0), 2, 1)
    assert gram_distance(scene(), doubled, vgg16) == pytest.approx(gram_distance(scene(), style, vgg16), rel=1e-4)


def test_whole_state_dict_and_features_alone_are_the_same(vgg16: Weights) -> None:
    whole = {**vgg16, "classifier.0.weight": torch.zeros(2, 2), "classifier.0.bias": torch.zeros(2)}
    assert gram_distance(scene(), stripes(), whole) == gram_distance(scene(), stripes(), vgg16)


def test_half_precision_weights_work(vgg16: Weights) -> None:
    half = {name: value.half() for name, value in vgg16.items()}
    assert gram_distance(scene(), stripes(), half) == pytest.approx(gram_distance(scene(), stripes(), vgg16), rel=0.02)


def test_layers_are_those_of_torchvision(vgg16: Weights) -> None:
    layers = vgg_layers(vgg16)
    with torch.device("meta"):
        reference = torchvision.models.vgg16(weights=None).features
    reference.load_state_dict({name.removeprefix("features."): value for name, value in vgg16.items()}, assign=True)
    value = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    expected = reference[:19](value)  # up to relu4_1
    for layer in layers.values():
        value = layer(value)
    assert list(layers)[-1] == "relu4_1" and torch.equal(value, expected)


def without(weights: Weights, name: str) -> dict[str, torch.Tensor]:
    return {key: value for key, value in weights.items() if key != name}


@pytest.mark.parametrize("fault", ["resnet", "missing", "shape", "batch norm", "bare", "empty"])
def test_weights_of_another_architecture_are_refused_in_one_line(vgg16: Weights, fault: str) -> None:
    weights = {
        "resnet": {"conv1.weight": torch.zeros(64, 3, 7, 7), "fc.bias": torch.zeros(1000)},
        "missing": without(vgg16, "features.7.bias"),
        "shape": {**vgg16, "features.0.weight": torch.zeros(64, 1, 3, 3)},
        "batch norm": {**vgg16, "features.1.running_mean": torch.zeros(64)},
        "bare": {name.removeprefix("features."): value for name, value in vgg16.items()},
        "empty": {},
    }[fault]
    with pytest.raises(ConfigError) as caught:
        stylise(scene(), stripes(), weights, steps=1)
    assert caught.value.key == "weights"
    assert caught.value.allowed == "a torchvision VGG-16 or VGG-19 state dict"
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


@pytest.mark.parametrize("value", [torch.full((64,), torch.nan), torch.full((64,), torch.inf), torch.ones(64).int()])
def test_weights_that_are_no_finite_numbers_are_refused_by_name(vgg16: Weights, value: torch.Tensor) -> None:
    with pytest.raises(ConfigError, match=r"^weights=features\.0\.bias of whole numbers, or with NaN or infinity: not"):
        vgg_layers({**vgg16, "features.0.bias": value})


def test_options_and_sizes_out_of_range_are_refused(vgg16: Weights) -> None:
    with pytest.raises(ValueError, match="steps=0"):
        stylise(scene(), stripes(), vgg16, steps=0)
    with pytest.raises(ValueError, match="content_weight=-1"):
        stylise(scene(), stripes(), vgg16, content_weight=-1)
    with pytest.raises(ValueError, match="15 px"):
        stylise(scene(15, 40), stripes(), vgg16, steps=1)
