"""Where networks compute."""

from typing import TYPE_CHECKING

from conf.errors import ConfigError
from conf.progress import tell

if TYPE_CHECKING:
    from torch import device


def compute_device(name: str) -> "device":
    """The device that `device=name` asks for; `auto` is a GPU when there is one.

    Raises:
        ConfigError: if this machine has none of that name.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ConfigError("device", name, "auto, cpu, or a GPU of this machine such as cuda:0") from error


def warn_of_slow_numbers(key: str, name: str, where: "device") -> None:
    """Warn, in one line, of a number format that takes a CPU longer than float32; a CPU not known says nothing.

    Args:
        key: that asked for it, such as `dtype`.
        name: fp32, bf16 or fp16.
        where: the networks compute.
    """
    import torch

    features = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}  # torch 2.10
    supported = name == "fp32" or any(has and name in feature for feature, has in features.items())
    if where.type == "cpu" and features and not supported:
        tell(f"warning: {key}={name}: this CPU has no {name} arithmetic, so {name} is slow on it; {key}=fp32 is faster")
