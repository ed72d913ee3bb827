"""Detects operations that make a GPU and its host wait for each other, on the meta device, which needs no GPU."""

from collections import Counter
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_ASKING = {"item", "tolist", "cpu", "numpy", "nonzero", "__bool__", "__int__", "__float__", "__index__"}
_MAKING = {"tensor", "new_tensor", "from_numpy", "asarray", "scalar_tensor"}
_COPIES = {"aten._to_copy.default", "aten.copy_.default"}


class HostTalk(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts operations that mix tensors of the device and of the host; scalars of the host count in copies only."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: Counter[str] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        tensors = [each for each in tree_leaves((args, kwargs, result)) if isinstance(each, Tensor)]
        of_host = [tensor for tensor in tensors if tensor.device.type == "cpu"]
        is_copy = str(function) in _COPIES
        if len(of_host) < len(tensors) and any(is_copy or tensor.ndim for tensor in of_host):
            self.operations[str(function)] += 1
        return result


class HostCalls(TorchFunctionMode):
    """Counts calls that wait for the device, or that make a tensor on it from data of the host."""

    def __init__(self) -> None:
        super().__init__()
        self.names: Counter[str] = Counter()

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        name = getattr(function, "__name__", "")
        on_device = any(isinstance(each, Tensor) and each.device.type != "cpu" for each in tree_leaves((args, result)))
        if on_device and name in _ASKING | _MAKING:
            self.names[name] += 1
        return result
