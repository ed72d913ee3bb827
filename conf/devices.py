"""The device on which networks compute."""

from typing import TYPE_CHECKING

from conf.errors import ConfigError
from conf.progress import tell

if TYPE_CHECKING:
    from torch import device


def compute_device(name: str) -> "device":
    """The device that `device=name` names; `auto` is a GPU if there is one.

    Raises:
        ConfigError: if this machine has no device of that name.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return named_device("device", name, "auto, cpu, or a GPU of this machine such as cuda:0")


def named_device(key: str, name: str, allowed: str) -> "device":
    """The device of exactly this name in torch.

    Args:
        key: the key that names it.
        name: such as `cpu` or `cuda:0`.
        allowed: what is allowed, for the message.

    Raises:
        ConfigError: if this machine has no such device, or it computes nothing.
    """
    import torch

    try:
        chosen = torch.empty(0, device=name).device
    except (RuntimeError, AssertionError, ImportError) as error:
        raise ConfigError(key, name, allowed) from error
    if chosen.type == "meta":  # it has shapes and no numbers
        raise ConfigError(key, name, allowed)
    return chosen


def warn_of_slow_numbers(key: str, name: str, where: "device") -> None:
    """Warn, in one line, of a number format that is slower than float32 on this CPU; not on a CPU that is not known.

    Args:
        key: the key that chose the format, such as `dtype`.
        name: fp32, bf16 or fp16.
        where: the device on which networks compute.
    """
    import torch

    features = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}  # torch 2.10
    supported = name == "fp32" or any(has and name in feature for feature, has in features.items())
    if where.type == "cpu" and features and not supported:
        tell(f"warning: {key}={name}: this CPU has no {name} arithmetic, so {name} is slow on it; {key}=fp32 is faster")
