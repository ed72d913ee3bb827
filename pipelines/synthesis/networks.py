"""Networks of renderers, in files of the user: they are loaded where they are used, once per process."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from conf.devices import named_device
from conf.errors import ConfigError, UserError
from training.data.manifest import hash_file
from training.models.finite import check_network, check_weights
from training.models.read_tensors import read_tensors

if TYPE_CHECKING:
    from segment_anything.modeling import Sam
    from torch import Tensor

    from renderers.agent import Actor

_ONNX_PROVIDERS = {"cpu": ["CPUExecutionProvider"], "cuda": ["CUDAExecutionProvider"]}
_ONNX_FLOATS: Mapping[str, type[np.floating]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
}
_DEVICES = "cpu, or cuda where there is one; on a cluster workers get one by cluster.gpus_per_worker"


@dataclass(frozen=True, kw_only=True)
class SamCheckpoint:
    """A Segment Anything checkpoint: small enough to send with every task."""

    path: str
    sha256: str
    key: str

    def load(self, variant: str, device: str) -> "Sam":
        """The network, loaded once in a process.

        Raises:
            ConfigError: if the file is not a checkpoint of that variant, or the device is missing.
        """
        return _sam(self.path, self.sha256, self.key, variant, device)


@dataclass(frozen=True, kw_only=True)
class SaliencyNetwork:
    """An ONNX or TorchScript network: small enough to send with every task."""

    path: str
    sha256: str
    key: str

    def load(self, device: str, output: int) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
        """The network as a function, (1, 3, h, w) -> (h, w), loaded once in a process.

        Args:
            output: index of the output that is used; negative indices count from the end.

        Raises:
            ConfigError: if the file is no such network, or the runtime or device that it needs is missing.
        """
        return _saliency_network(self.path, self.sha256, self.key, device, output)


@dataclass(frozen=True, kw_only=True)
class ActorWeights:
    """Weights of an actor of Learning to Paint: small enough to send with every task."""

    path: str
    sha256: str
    key: str

    def load(self) -> "Actor":
        """The actor as a function, loaded once in a process.

        Raises:
            ConfigError: if the file holds no actor.
        """
        return _actor(self.path, self.sha256, self.key)


@lru_cache(maxsize=1)
def _actor(path: str, sha256: str, key: str) -> "Actor":
    import torch

    from training.models.actor_file import actor_of
    from training.models.proposing import ACTOR_CELL_PX, ProposingActor

    _check_unchanged(key, path, sha256)
    expected = "weights of an actor of Learning to Paint"
    try:
        tensors = read_tensors(Path(path), key)
    except UserError as error:
        raise ConfigError(key, path, f"{expected} ({str(error).partition(': ')[2]})") from error
    try:
        network = actor_of(tensors)
    except UserError as error:
        raise ConfigError(key, path, f"{expected} ({error})") from error

    def strokes(canvases: NDArray[np.float32], pictures: NDArray[np.float32], done: float) -> NDArray[np.float32]:
        width_px = canvases.shape[-1]
        if isinstance(network, ProposingActor) and width_px % ACTOR_CELL_PX:
            raise ConfigError(_sibling_key(key, "width_px"), width_px, f"a multiple of {ACTOR_CELL_PX} with this actor")
        with torch.inference_mode():
            actions: NDArray[np.float32] = network(torch.from_numpy(canvases), torch.from_numpy(pictures), done).numpy()
        if not np.isfinite(actions).all():
            raise ConfigError(key, path, "weights that are finite: this actor outputs NaN")
        return actions

    return strokes


@lru_cache(maxsize=1)
def _sam(path: str, sha256: str, key: str, variant: str, device: str) -> "Sam":
    import torch
    from segment_anything import sam_model_registry

    _check_unchanged(key, path, sha256)
    named_device(_sibling_key(key, "device"), device, _DEVICES)
    expected = f"a whole checkpoint of Segment Anything {variant}"
    try:
        tensors = read_tensors(Path(path), key)
    except UserError as error:
        raise ConfigError(key, path, f"{expected} ({str(error).partition(': ')[2]})") from error
    with torch.random.fork_rng(devices=[]):  # building the network draws random weights, which are replaced at once
        network = sam_model_registry[variant]()
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise ConfigError(key, path, f"{expected} (its tensors are another network's)") from error
    try:
        check_weights(tensors)
    except ValueError as error:
        raise ConfigError(key, path, f"{expected} ({error})") from error

    def check_outputs(_decoder: object, _inputs: object, outputs: "tuple[Tensor, ...]") -> None:
        if not all(output.isfinite().all() for output in outputs):  # masks of NaN would be left out without a word
            raise ConfigError(key, path, f"{expected} (this one outputs NaN or infinity)")

    # Here and not in a trial at the start, which takes half a minute for the smallest variant on a CPU.
    network.mask_decoder.register_forward_hook(check_outputs)
    return network.to(device).eval()


@lru_cache(maxsize=1)
def _saliency_network(
    path: str, sha256: str, key: str, device: str, output: int
) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    _check_unchanged(key, path, sha256)
    run = (_onnx if path.lower().endswith(".onnx") else _torchscript)(path, key, device)

    def saliency(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        try:
            outputs = run(batch)
        except ConfigError:
            raise
        except Exception as error:  # of the runtime or of what the network does: they have no common parent
            allowed = f"a network that takes input_px={batch.shape[-1]} ({_first_line(error)})"
            raise ConfigError(key, path, allowed) from error
        if not -len(outputs) <= output < len(outputs):
            raise ConfigError(_sibling_key(key, "output"), output, f"one of its {len(outputs)} outputs")
        return _saliency_map(outputs[output], key, path)

    return saliency


def _saliency_map(answer: Any, key: str, path: str) -> NDArray[np.float32]:
    """The (h, w) map in an output (1, 1, h, w) or (1, h, w); raises ConfigError if it holds something else."""
    if not isinstance(answer, np.ndarray) or answer.dtype.kind not in "biuf":
        raise ConfigError(key, path, f"a network whose outputs are tensors of numbers, not {type(answer).__name__}")
    values = answer.astype(np.float32)
    saliency_map: NDArray[np.float32] = (values[0] if values.ndim and len(values) else values).squeeze()
    if saliency_map.ndim != 2 or not saliency_map.size:
        raise ConfigError(key, path, f"a network whose output is a map, not of the shape {list(answer.shape)}")
    if not np.isfinite(saliency_map).all():
        raise ConfigError(key, path, "a network that outputs finite numbers; this one outputs NaN or infinity")
    return saliency_map


def _onnx(path: str, key: str, device: str) -> Callable[[NDArray[np.float32]], list[Any]]:
    try:
        import onnxruntime
    except ImportError as error:
        allowed = "with onnxruntime installed: pip install 'process-painter[onnx]'"
        raise ConfigError(key, path, allowed) from error
    if device not in _ONNX_PROVIDERS or not set(_ONNX_PROVIDERS[device]) <= set(onnxruntime.get_available_providers()):
        raise ConfigError(_sibling_key(key, "device"), device, "cpu, or cuda with onnxruntime-gpu")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # a worker is one core
    try:
        session = onnxruntime.InferenceSession(path, options, providers=_ONNX_PROVIDERS[device])
    except Exception as error:  # the runtime's own exceptions have no common parent
        raise ConfigError(key, path, f"an ONNX network ({_first_line(error)})") from error
    inputs = session.get_inputs()
    taken = ", ".join(argument.type for argument in inputs) or "nothing"
    if any(argument.type not in _ONNX_FLOATS for argument in inputs):
        raise ConfigError(key, path, f"a network that takes pictures in floating-point numbers, not {taken}")

    def run(batch: NDArray[np.float32]) -> list[Any]:
        if len(inputs) != 1 or not _fits(inputs[0].shape, batch.shape):
            shapes = [argument.shape for argument in inputs]
            raise ConfigError(_sibling_key(key, "input_px"), batch.shape[-1], f"what the network takes: {shapes}")
        outputs: list[Any] = session.run(None, {inputs[0].name: batch.astype(_ONNX_FLOATS[inputs[0].type])})
        return outputs

    return run


def _torchscript(path: str, key: str, device: str) -> Callable[[NDArray[np.float32]], list[Any]]:
    import torch

    named_device(_sibling_key(key, "device"), device, _DEVICES)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TorchScript is deprecated, but such networks are published in it
            network = torch.jit.load(path, map_location=device).eval().float()  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError) as error:
        raise ConfigError(key, path, "an .onnx file, or a TorchScript file that torch.jit.save wrote") from error
    try:
        check_network(network)
    except UserError as error:
        raise ConfigError(key, path, f"a network of finite weights ({error})") from error

    def run(batch: NDArray[np.float32]) -> list[Any]:
        with torch.inference_mode():
            result = network(torch.from_numpy(batch).to(device))
        outputs = list(result) if isinstance(result, tuple | list) else [result]
        return [each.float().cpu().numpy() if isinstance(each, torch.Tensor) else each for each in outputs]

    return run


def _fits(declared: list[Any], shape: tuple[int, ...]) -> bool:
    """Whether a shape fits the one that an ONNX graph declares, in which names and None stand for any size."""
    return len(declared) == len(shape) and all(
        not isinstance(size, int) or size == given for size, given in zip(declared, shape, strict=True)
    )


def _check_unchanged(key: str, path: str, sha256: str) -> None:
    try:
        same = hash_file(Path(path)) == sha256
    except OSError as error:
        raise ConfigError(key, path, f"a file that every worker can read ({error.strerror})") from error
    if not same:
        raise ConfigError(key, path, "the file that the run was planned with; it has changed since")


def _sibling_key(key: str, name: str) -> str:
    """The key `name` in the configuration group that `key` is in."""
    group, dot, _ = key.rpartition(".")
    return f"{group}{dot}{name}"


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else type(error).__name__
