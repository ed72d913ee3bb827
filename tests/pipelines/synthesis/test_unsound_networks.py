"""Networks of the user's own that load and cannot be used: refused in one line, before anything is written."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import segment_anything
import torch
from torch import Tensor, nn

from conf.compose import compose
from conf.errors import ConfigError, UserError
from pipelines import synth
from pipelines.synthesis.config import synth_config
from pipelines.synthesis.networks import SaliencyNetwork
from tests.small_sam import save_small_sam, small_sam
from training.data.manifest import hash_file

SAM = {"region": "renderer.segment", "studio": "renderer.things"}
SALIENCY = {"region": "renderer.saliency", "studio": "renderer.things.saliency"}
BATCH = np.full((1, 3, 32, 32), 0.5, np.float32)

Tensors = dict[str, Tensor]


def refusal(tmp_path: Path, *overrides: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        synth_config(compose("synth", ["cluster=inline", f"out={tmp_path / 'out'}", *overrides]))
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()
    return caught.value


def every(change: Callable[[Tensor], Tensor]) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {name: change(tensor) for name, tensor in tensors.items()}


def with_one_infinite(tensors: Tensors) -> Tensors:
    name = next(name for name in tensors if name.startswith("image_encoder"))
    return {**tensors, name: torch.full_like(tensors[name], torch.inf)}


@pytest.mark.parametrize("renderer", ["region", "studio"])
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (every(lambda tensor: tensor * torch.nan), "values are not finite"),
        (with_one_infinite, "values are not finite"),
        (every(lambda tensor: (tensor * 9).int()), "is of type int32; allowed: floating-point numbers"),
    ],
)
def test_sam_checkpoints_that_would_find_nothing_are_refused(
    renderer: str,
    change: Callable[[Tensors], Tensors],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(segment_anything.sam_model_registry, "vit_b", small_sam)
    path, group = save_small_sam(tmp_path / "sam.pth"), SAM[renderer]
    torch.save(change(torch.load(path, weights_only=True)), path)
    error = refusal(tmp_path, f"renderer={renderer}", f"{group}.method=sam", f"{group}.sam.checkpoint={path}")
    assert error.key == f"{group}.sam.checkpoint" and "sam.pth" in str(error) and reason in str(error)


def test_sam_checkpoints_of_finite_weights_that_output_nan_refuse_every_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(segment_anything.sam_model_registry, "vit_b", small_sam)
    path = save_small_sam(tmp_path / "sam.pth")
    torch.save({name: tensor * 1e30 for name, tensor in torch.load(path, weights_only=True).items()}, path)
    overrides = [f"out={tmp_path / 'out'}", "size=64", "num_sequences=2", "cluster=inline", "gallery=false"]
    sam = ["renderer=region", f"{SAM['region']}.method=sam", f"{SAM['region']}.sam.checkpoint={path}"]
    with pytest.raises(UserError, match="2 of 2 inputs were refused"):
        synth.run(synth_config(compose("synth", [*overrides, *sam])))
    assert "sam.pth: not allowed" in (rows := (tmp_path / "out" / "quarantine.jsonl").read_text())
    assert "this one outputs NaN or infinity" in rows


@pytest.mark.parametrize("renderer", ["region", "studio"])
def test_devices_that_compute_nothing_are_refused_for_every_network(
    renderer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(segment_anything.sam_model_registry, "vit_b", small_sam)
    group = SAM[renderer]
    sam = [f"{group}.method=sam", f"{group}.sam.checkpoint={save_small_sam(tmp_path / 'sam.pth')}"]
    assert refusal(tmp_path, f"renderer={renderer}", *sam, f"{group}.sam.device=meta").key == f"{group}.sam.device"
    group = SALIENCY[renderer]
    for path in (torchscript(tmp_path / "net.pt", Half()), onnx(tmp_path / "net.onnx")):
        deep = [f"{group}.method=deep", f"{group}.network={path}", f"{group}.device=meta"]
        assert refusal(tmp_path, f"renderer={renderer}", *deep).key == f"{group}.device"


class Half(nn.Module):
    """Red as saliency, through a convolution in half precision."""

    def __init__(self) -> None:
        super().__init__()
        self.red = nn.Conv2d(3, 1, 1, bias=False)
        with torch.no_grad():
            self.red.weight.copy_(torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1))
        self.half()

    def forward(self, image: Tensor) -> Tensor:
        red: Tensor = self.red(image)
        return red


class Infinite(nn.Module):
    """An infinite weight by which is divided, so that the map is finite."""

    def __init__(self) -> None:
        super().__init__()
        self.deviation = nn.Buffer(torch.tensor([torch.inf]))

    def forward(self, image: Tensor) -> Tensor:
        return image[:, :1] / self.deviation


class Masked(nn.Module):
    """A mask as attention has it: minus infinity where nothing is seen."""

    def __init__(self) -> None:
        super().__init__()
        self.mask = nn.Buffer(torch.full((32, 32), -torch.inf).triu(1))

    def forward(self, image: Tensor) -> Tensor:
        return image[:, :1] + self.mask.softmax(-1)


class Named(nn.Module):
    """Its map by name."""

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {"map": image[:, :1]}


class Nested(nn.Module):
    """Its map in a list of a list."""

    def forward(self, image: Tensor) -> list[list[Tensor]]:
        return [[image[:, :1]]]


class Scalar(nn.Module):
    """One number."""

    def forward(self, image: Tensor) -> Tensor:
        return image.mean()


class Empty(nn.Module):
    """No number."""

    def forward(self, image: Tensor) -> Tensor:
        return image[:0]


class Logarithm(nn.Module):
    """Not finite where a picture is darker than the mean."""

    def forward(self, image: Tensor) -> Tensor:
        return image[:, :1].log()


class Choosy(nn.Module):
    """Fails on every size but one."""

    def forward(self, image: Tensor) -> Tensor:
        return image.reshape(1, 1, 77, 78)


def torchscript(path: Path, network: nn.Module) -> Path:
    torch.jit.save(torch.jit.script(network.eval()), path)
    return path


def onnx(path: Path, operator: str = "Identity", numbers: str = "FLOAT", **keys: object) -> Path:
    """A network of one node, whose input and output have the same type."""
    from onnx import TensorProto, helper, save

    kind = getattr(TensorProto, numbers)
    given = helper.make_tensor_value_info("image", kind, [1, 3, "h", "w"])
    is_sequence = operator == "SplitToSequence"
    answer = (helper.make_tensor_sequence_value_info if is_sequence else helper.make_tensor_value_info)(
        "map", kind, None
    )
    shape = helper.make_tensor("shape", TensorProto.INT64, [4], [1, 1, 77, 78])
    nodes = [helper.make_node(operator, ["image", "shape"] if operator == "Reshape" else ["image"], ["map"], **keys)]
    graph = helper.make_graph(nodes, "one", [given], [answer], [shape] if operator == "Reshape" else [])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


UNUSABLE: list[tuple[Callable[[Path], Path], str]] = [
    (lambda folder: torchscript(folder / "net.pt", Infinite()), "finite weights (deviation: 1 of 1 values"),
    (lambda folder: torchscript(folder / "net.pt", Named()), "tensors of numbers, not "),
    (lambda folder: torchscript(folder / "net.pt", Nested()), "tensors of numbers, not list"),
    (lambda folder: torchscript(folder / "net.pt", Scalar()), "a map, not of the shape []"),
    (lambda folder: torchscript(folder / "net.pt", Empty()), "a map, not of the shape [0, 3, 32, 32]"),
    (lambda folder: torchscript(folder / "net.pt", Logarithm()), "this one outputs NaN or infinity"),
    (lambda folder: torchscript(folder / "net.pt", Choosy()), "a network that takes input_px=32 ("),
    (lambda folder: onnx(folder / "net.onnx", numbers="UINT8"), "floating-point numbers, not tensor(uint8)"),
    (lambda folder: onnx(folder / "net.onnx", "Reshape"), "a network that takes input_px=32 ("),
    (lambda folder: onnx(folder / "net.onnx", "ReduceMean", keepdims=0), "a map, not of the shape []"),
    (lambda folder: onnx(folder / "net.onnx"), "a map, not of the shape [1, 3, 32, 32]"),
    (lambda folder: onnx(folder / "net.onnx", "ReduceLogSum", axes=[1]), "this one outputs NaN or infinity"),
    (lambda folder: onnx(folder / "net.onnx", "SplitToSequence"), "tensors of numbers, not list"),
]


@pytest.mark.parametrize("renderer", ["region", "studio"])
@pytest.mark.parametrize(("make", "reason"), UNUSABLE)
def test_saliency_networks_that_give_no_map_are_refused_with_their_path_and_the_reason(
    renderer: str, make: Callable[[Path], Path], reason: str, tmp_path: Path
) -> None:
    path, group = make(tmp_path), SALIENCY[renderer]
    deep = [f"{group}.method=deep", f"{group}.network={path}", f"{group}.input_px=32"]
    error = refusal(tmp_path, f"renderer={renderer}", *deep)
    assert error.key == f"{group}.network" and path.name in str(error) and reason in str(error)


def saliency_of(path: Path) -> np.ndarray:
    return SaliencyNetwork(path=str(path), sha256=hash_file(path), key="network").load("cpu", 0)(BATCH)


@pytest.mark.parametrize("numbers", ["FLOAT", "FLOAT16", "DOUBLE"])
def test_saliency_networks_of_any_precision_compute(numbers: str, tmp_path: Path) -> None:
    expected = saliency_of(onnx(tmp_path / "net.onnx", "ReduceMean", numbers, axes=[1], keepdims=1))
    assert expected.shape == (32, 32) and expected.dtype == np.float32
    np.testing.assert_allclose(expected, 0.5, atol=1e-3)
    np.testing.assert_allclose(saliency_of(torchscript(tmp_path / "net.pt", Half())), 0.5, atol=1e-3)


def test_a_saliency_network_may_hold_a_mask_of_attention(tmp_path: Path) -> None:
    assert np.isfinite(saliency_of(torchscript(tmp_path / "net.pt", Masked()))).all()
