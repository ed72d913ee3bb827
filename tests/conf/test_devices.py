"""Users are told what is slow on a CPU."""

import pytest
import torch

from conf.devices import compute_device, named_device, warn_of_slow_numbers
from conf.errors import ConfigError

WITHOUT = {"avx2": True, "avx512_bf16": False, "amx_bf16": False, "avx512_fp16": False, "cpu_name": "some"}
WITH_BF16 = {**WITHOUT, "amx_bf16": True}


@pytest.mark.parametrize(
    ("name", "features", "device", "warned"),
    [
        ("fp32", WITHOUT, "cpu", False),
        ("bf16", WITHOUT, "cpu", True),
        ("bf16", WITH_BF16, "cpu", False),
        ("fp16", WITH_BF16, "cpu", True),
        ("bf16", WITHOUT, "cuda", False),
        ("bf16", {}, "cpu", False),  # a CPU that torch does not describe
    ],
)
def test_a_number_format_that_a_cpu_lacks_is_warned_of(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    features: dict[str, object],
    device: str,
    warned: bool,
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features, raising=False)
    warn_of_slow_numbers("precision", name, torch.device(device))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == warned
    assert all(line.startswith(f"warning: precision={name}: this CPU") for line in lines)


def test_a_torch_that_describes_no_cpu_is_no_reason_to_warn(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    warn_of_slow_numbers("dtype", "bf16", torch.device("cpu"))
    assert not capsys.readouterr().err


@pytest.mark.parametrize("name", ["meta", "cuda:99", "nothing", "", "hpu", "privateuseone"])
def test_devices_that_compute_nothing_here_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="auto, cpu, or a GPU of this machine"):
        compute_device(name)
    with pytest.raises(ConfigError, match=f"^sam\\.device={name}: not allowed; allowed: cpu alone$"):
        named_device("sam.device", name, "cpu alone")
    assert compute_device("cpu") == named_device("device", "cpu", "") == torch.device("cpu")
