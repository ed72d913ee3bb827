"""Measures that need weights, on small networks with random weights in the formats in which real ones are published.

They say nothing about pictures; what is tested is that the real code reads them and computes what it should.
"""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from scipy.linalg import sqrtm
from transformers import (
    BitImageProcessor,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPProcessor,
    CLIPTokenizer,
    Dinov2Config,
    Dinov2Model,
)

from conf.errors import ConfigError
from pipelines.evaluation import perceptual
from pipelines.evaluation.agreement import Estimate
from pipelines.evaluation.endpoint import EndpointRow, endpoint_rows
from pipelines.evaluation.perceptual import WeightsConfig, frechet_distance, load_networks
from pipelines.evaluation.report import Report
from pipelines.evaluation.tables import NO_FIGURE, figure_of, tables
from tests.pipelines.processes import drawn_set
from tests.training.models.sd15.released import edit_tensors

Pictures = NDArray[np.uint8]
CAPTIONS = ["a boat", "", "a boat on a lake"]


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    return np.random.default_rng(0).integers(0, 256, (6, 64, 64, 3), np.uint8)


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    words = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    size = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**size, "vocab_size": len(words), "max_position_embeddings": 24, "eos_token_id": len(words) - 1}
    torch.manual_seed(0)
    model = CLIPModel(CLIPConfig(text_config=text, vision_config={**size, "image_size": 32, "patch_size": 8}))
    model.save_pretrained(folder)
    tokenizer = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=24)
    images = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    CLIPProcessor(images, tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def dino_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dino")
    torch.manual_seed(0)
    config = Dinov2Config(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14)
    Dinov2Model(config).save_pretrained(folder)
    BitImageProcessor(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def lpips_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """AlexNet's convolutions under torchvision's names, and heads under those of the LPIPS release."""
    folder = tmp_path_factory.mktemp("lpips")
    rng = torch.Generator().manual_seed(0)
    shapes = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}
    backbone = {"classifier.6.bias": torch.zeros(1000)}
    heads = {}
    for layer, (number, (wide, deep, side)) in enumerate(shapes.items()):
        backbone[f"features.{number}.weight"] = torch.randn(wide, deep, side, side, generator=rng) / (deep**0.5 * side)
        backbone[f"features.{number}.bias"] = torch.zeros(wide)
        heads[f"lin{layer}.model.1.weight"] = torch.rand(1, wide, 1, 1, generator=rng)
    torch.save(backbone, folder / "alexnet.pth")
    torch.save(heads, folder / "alex.pth")
    return folder / "alexnet.pth", folder / "alex.pth"


class _Inception(torch.nn.Module):
    """The interface of StyleGAN's `inception-2015-12-05.pt`: uint8 pictures in, features out."""

    def forward(self, img: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        assert return_features
        return torch.nn.functional.adaptive_avg_pool2d(img.float() / 255, 3).flatten(1)


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("inception") / "inception-2015-12-05.pt"
    torch.jit.script(_Inception()).save(str(file))  # type: ignore[no-untyped-call]
    return file


def test_clip_finds_a_picture_alike_to_itself_only_and_no_words_for_no_caption(
    clip_folder: Path, pictures: Pictures
) -> None:
    measure = perceptual.clip(clip_folder)
    same = measure(pictures[:3], pictures[:3], CAPTIONS)
    other = measure(pictures[:3], pictures[3:], CAPTIONS)
    np.testing.assert_allclose(same["CLIP-I"], 1, atol=1e-5)
    assert (other["CLIP-I"] < 0.9999).all()
    assert np.isnan(same["CLIP-T"]).tolist() == [False, True, False]
    assert (np.abs(same["CLIP-T"][[0, 2]]) <= 100).all()


def test_dino_finds_a_picture_alike_to_itself_only(dino_folder: Path, pictures: Pictures) -> None:
    measure = perceptual.dino(dino_folder)
    np.testing.assert_allclose(measure(pictures[:3], pictures[:3], CAPTIONS)["DINO"], 1, atol=1e-5)
    assert (measure(pictures[:3], pictures[3:], CAPTIONS)["DINO"] < 0.99999).all()


def test_lpips_is_the_weighted_difference_of_unit_features(lpips_files: tuple[Path, Path], pictures: Pictures) -> None:
    measure = perceptual.lpips(*lpips_files)
    found = measure(pictures[:1], pictures[1:2], [""])["LPIPS"]
    backbone, heads = (torch.load(file, weights_only=True) for file in lpips_files)

    def activations(picture: Pictures) -> list[NDArray[np.float64]]:
        scaled = (picture / 127.5 - 1 - [-0.030, -0.088, -0.188]) / [0.458, 0.448, 0.450]
        x, kept = torch.from_numpy(scaled).float().permute(2, 0, 1)[None], []
        for number, (stride, padding) in {0: (4, 2), 3: (1, 2), 6: (1, 1), 8: (1, 1), 10: (1, 1)}.items():
            x = torch.nn.functional.max_pool2d(x, 3, 2) if number in (3, 6) else x
            weight, bias = backbone[f"features.{number}.weight"], backbone[f"features.{number}.bias"]
            x = torch.relu(torch.nn.functional.conv2d(x, weight, bias, stride, padding))
            kept.append(x[0].double().numpy())
        return kept

    expected = 0.0
    for layer, (one, two) in enumerate(zip(activations(pictures[0]), activations(pictures[1]), strict=True)):
        unit_one, unit_two = (each / np.linalg.norm(each, axis=0) for each in (one, two))
        weight = heads[f"lin{layer}.model.1.weight"].numpy().reshape(-1, 1, 1)
        expected += (weight * (unit_one - unit_two) ** 2).sum(0).mean()
    assert found == pytest.approx(expected, rel=1e-4)
    assert measure(pictures[:2], pictures[:2], ["", ""])["LPIPS"].tolist() == [0, 0]


def test_fid_is_the_frechet_distance_of_two_gaussians() -> None:
    rng = np.random.default_rng(0)
    one, two = rng.normal(size=(40, 5)), rng.normal(1.0, 2.0, size=(30, 5))
    s, r = np.cov(one.T), np.cov(two.T)
    expected = ((one.mean(0) - two.mean(0)) ** 2).sum() + np.trace(s + r - 2 * sqrtm(s @ r).real)
    assert frechet_distance(one, two) == pytest.approx(expected)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-9)


def test_all_measures_are_reported_once_their_weights_are_there(
    clip_folder: Path, dino_folder: Path, lpips_files: tuple[Path, Path], inception_file: Path
) -> None:
    backbone, heads = lpips_files
    weights = WeightsConfig(
        clip=clip_folder, dino=dino_folder, lpips_backbone=backbone, lpips_heads=heads, inception=inception_file
    )
    ours, theirs = drawn_set(2, first=100), drawn_set(2)
    pairs = [(one, [other]) for one, other in zip(ours, theirs, strict=True)]

    def rows(config: WeightsConfig) -> dict[str, EndpointRow]:
        return {
            row.name: row for row in endpoint_rows(ours, theirs, pairs, load_networks(config), np.random.default_rng(0))
        }

    full = rows(weights)
    assert all(row.value is not None and row.reason is None for row in full.values())
    assert {name for name, row in full.items() if not isinstance(row.value, Estimate)} == {"FID"}
    intervals = [row.value for row in full.values() if isinstance(row.value, Estimate)]
    assert all(one.low <= one.value <= one.high for one in intervals)
    (line,) = (line for line in tables(_report_of(full.values())) if line.startswith("FID"))
    assert line.split() == ["FID", "lower", figure_of(full["FID"].value), NO_FIGURE, str(len(ours))]
    without = rows(WeightsConfig())
    assert {name for name, row in without.items() if row.value is None} == {"LPIPS", "CLIP-I", "CLIP-T", "DINO", "FID"}


def _report_of(endpoint: Iterable[EndpointRow]) -> Report:
    return Report(settings={}, counts={}, refused=(), endpoint=tuple(endpoint), process=())


@pytest.mark.parametrize("key", ["clip", "dino"])
def test_networks_are_whole_or_refused_and_any_precision_computes_in_float32(
    clip_folder: Path, dino_folder: Path, pictures: Pictures, tmp_path: Path, key: str
) -> None:
    measure_of = getattr(perceptual, key)
    folder = Path(shutil.copytree({"clip": clip_folder, "dino": dino_folder}[key], tmp_path / key))
    edit_tensors(folder / "model.safetensors", lambda tensors: {n: value.half() for n, value in tensors.items()})
    measure_of(folder)(pictures[:1], pictures[1:2], ["a"])
    edit_tensors(folder / "model.safetensors", lambda tensors: {n: tensors[n] for n in sorted(tensors)[1:]})
    with pytest.raises(ConfigError, match=rf"weights\.{key}=.*; this is not one \(it lacks 1 tensors, such as "):
        measure_of(folder)


@pytest.mark.parametrize("key", ["clip", "dino"])
def test_networks_that_would_find_no_figure_are_refused(
    clip_folder: Path, dino_folder: Path, tmp_path: Path, key: str
) -> None:
    measure_of = getattr(perceptual, key)
    folder = Path(shutil.copytree({"clip": clip_folder, "dino": dino_folder}[key], tmp_path / key))
    sound, metadata = load_file(folder / "model.safetensors"), {"format": "pt"}
    for factor, reason in ((torch.nan, "values are not finite"), (1e30, "it outputs NaN or infinity")):
        save_file({name: tensor * factor for name, tensor in sound.items()}, folder / "model.safetensors", metadata)
        with pytest.raises(ConfigError, match=rf"weights\.{key}=.*; this is not one \(.*{reason}"):
            measure_of(folder)


def test_lpips_of_weights_that_are_none_or_of_another_network_is_refused(
    lpips_files: tuple[Path, Path], tmp_path: Path
) -> None:
    backbone, heads = (torch.load(file, weights_only=True) for file in lpips_files)

    def refusal(backbone: dict[str, torch.Tensor], heads: dict[str, torch.Tensor]) -> ConfigError:
        torch.save(backbone, tmp_path / "alexnet.pth")
        torch.save(heads, tmp_path / "alex.pth")
        with pytest.raises(ConfigError) as caught:
            perceptual.lpips(tmp_path / "alexnet.pth", tmp_path / "alex.pth")
        assert "\n" not in str(caught.value)
        return caught.value

    nothing, whole = torch.full((64,), torch.nan), torch.zeros(64, dtype=torch.int64)
    for bias, reason in ((nothing, "0.bias: 64 of 64 values are not finite"), (whole, "0.bias is of type int64")):
        error = refusal({**backbone, "features.0.bias": bias}, heads)
        assert error.key == "weights.lpips_backbone" and reason in str(error)
    error = refusal(backbone, {**heads, "lin0.model.1.weight": nothing.view(1, 64, 1, 1)})
    assert error.key == "weights.lpips_heads" and "lin0.model.1.weight: 64 of 64 values are not finite" in str(error)
    of_vgg = {**heads, "lin1.model.1.weight": torch.rand(1, 128, 1, 1)}
    assert refusal(backbone, of_vgg).key == "weights.lpips_heads"


class _Classifier(torch.nn.Module):
    """Another network in TorchScript."""

    def forward(self, img: torch.Tensor) -> torch.Tensor:
        return img.float().mean((2, 3))


class _Sick(torch.nn.Module):
    """Inception's interface, and a weight that is not finite."""

    def __init__(self) -> None:
        super().__init__()
        self.deviation = torch.nn.Buffer(torch.tensor([torch.inf]))

    def forward(self, img: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        return img.float().mean((2, 3)) / self.deviation


@pytest.mark.parametrize(
    ("network", "reason"), [(_Classifier, "at most 2 argument"), (_Sick, "deviation: 1 of 1 values")]
)
def test_torchscript_of_another_network_than_inception_is_refused(
    network: type[torch.nn.Module], reason: str, tmp_path: Path
) -> None:
    torch.jit.script(network()).save(str(tmp_path / "net.pt"))  # type: ignore[no-untyped-call]
    with pytest.raises(ConfigError, match=rf"weights\.inception=.*; this is not one \(.*{reason}"):
        perceptual.inception_features(tmp_path / "net.pt")
