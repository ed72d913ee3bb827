"""What reading a user's weights promises."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchvision  # type: ignore[import-untyped]
from safetensors.torch import save_file

from conf.errors import UserError
from renderers.brush.gram import vgg_layers
from training.models.read_tensors import read_tensors


class Hostile:
    """Writes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.mark,)


@pytest.fixture(scope="module")
def features() -> dict[str, torch.Tensor]:
    """A random VGG-16 without its classifier (which alone would be 490 MB)."""
    torch.manual_seed(0)
    with torch.device("meta"):
        network = torchvision.models.vgg16(weights=None)
    state = {name: value for name, value in network.state_dict().items() if name.startswith("features.")}
    return {name: 0.05 * torch.randn(value.shape) for name, value in state.items()}


@pytest.mark.parametrize("name", ["vgg16.pth", "vgg16.pt", "vgg16.bin", "vgg16.safetensors"])
def test_saved_weights_come_back_and_make_a_vgg(features: dict[str, torch.Tensor], tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if path.suffix == ".safetensors":
        save_file(features, path)
    else:
        torch.save(features, path)
    weights = read_tensors(path)
    assert weights.keys() == features.keys()
    assert all(torch.equal(weights[key], value) for key, value in features.items())
    assert "relu4_1" in vgg_layers(weights)


def test_checkpoint_with_a_state_dict_in_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pth"
    torch.save({"epoch": 3, "state_dict": {"features.0.bias": torch.ones(2)}}, path)
    assert list(read_tensors(path)) == ["features.0.bias"]


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_tensors(path)
    message = str(caught.value)
    assert "\n" not in message and message.startswith(f"weights={path}: ")
    return message.removeprefix(f"weights={path}: ")  # the path holds the test's name


def test_missing_file_and_folder_are_told_apart(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "vgg16.pth")
    assert "folder" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["x.pth", "x.safetensors"])
@pytest.mark.parametrize(
    "content", [b"", b"hello world, this is not weights", b"PK\x03\x04" * 99, b"\xff\xd8\xff\xe0" * 9]
)
def test_what_is_no_weights_file_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert "not a" in refusal(tmp_path / name)


@pytest.mark.parametrize("name", ["x.pth", "x.safetensors"])
def test_truncated_file_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if path.suffix == ".safetensors":
        save_file({"w": torch.ones(500)}, path)
    else:
        torch.save({"w": torch.ones(500)}, path)
    path.write_bytes(path.read_bytes()[:-900])
    assert "not a whole one" in refusal(path)


@pytest.mark.parametrize("protocol", [None, 2, 4])
def test_pickled_code_is_refused_and_not_run(tmp_path: Path, protocol: int | None) -> None:
    path, mark = tmp_path / "x.pth", tmp_path / "ran"
    if protocol is None:
        torch.save({"w": Hostile(mark)}, path)
    else:
        path.write_bytes(pickle.dumps({"w": Hostile(mark)}, protocol))
    assert ("not a PyTorch weights file" if protocol == 4 else "holds code") in refusal(path)
    assert not mark.exists()
    pickle.loads(pickle.dumps(Hostile(mark)))
    assert mark.exists()  # it would have run


def test_whole_module_is_refused_with_what_to_save_instead(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "x.pth")
    assert "state_dict()" in refusal(tmp_path / "x.pth")


@pytest.mark.parametrize("held", [[torch.ones(2)], {}, {"epoch": 3}, {1: torch.ones(2)}], ids=str)
def test_file_without_tensors_by_name_is_refused(tmp_path: Path, held: object) -> None:
    torch.save(held, tmp_path / "x.pth")
    assert "tensor" in refusal(tmp_path / "x.pth")
