"""Where networks compute."""

from typing import TYPE_CHECKING

from conf.errors import ConfigError

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
