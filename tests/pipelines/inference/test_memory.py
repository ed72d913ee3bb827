"""The message when memory runs out."""

from pathlib import Path
from typing import Any

import pytest
import torch

from conf.command import command
from conf.compose import compose
from conf.errors import UserError
from pipelines.inference.config import PaintConfig, paint_config
from pipelines.inference.memory import naming_memory
from pipelines.inference.pipeline import PaintingPipeline
from pipelines.paint import run
from tests.pipelines.small_painter import save_untrained_painter

ALLOCATOR = "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to"


def config(**options: Any) -> PaintConfig:
    typed = [f"{key}={value}" for key, value in options.items()]
    return paint_config(compose("paint", ["prompt=a boat", "painter=painter", "out=out", *typed]))


def told(error: Exception, *, on_gpu: bool = True, at_once: int = 1, **options: Any) -> str:
    with pytest.raises(UserError) as raised, naming_memory(config(**options), on_gpu=on_gpu, at_once=at_once):
        raise error
    return str(raised.value)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory. Tried"), RuntimeError(ALLOCATOR), MemoryError()]
)
def test_every_kind_of_shortage_is_one_line(error: Exception) -> None:
    assert told(error, on_gpu=False) == ("out of memory on this machine; try dtype=bf16, vae=sliced or a smaller size")


def test_only_what_is_off_is_named() -> None:
    error = MemoryError()
    assert "try dtype=bf16, vae=sliced, offload=model or a smaller size" in told(error)
    assert "try vae=tiled, offload=group or a smaller size" in told(error, dtype="fp16", vae="sliced", offload="model")
    assert "try offload=sequential or a smaller size" in told(error, dtype="fp16", vae="tiled", offload="group")
    least: dict[str, Any] = {"dtype": "fp16", "vae": "tiled", "offload": "sequential"}
    assert "try batch_size=2 or a smaller size" in told(error, **least, at_once=4)


def test_where_strokes_are_painted_their_canvas_and_frames_are_named() -> None:
    assert told(MemoryError(), execution="strokes") == (
        "out of memory on this machine; try a smaller canvas_px or fewer shown_frames"
    )
    assert "on the GPU; try dtype=bf16" in told(torch.OutOfMemoryError("CUDA out of memory"), execution="strokes")


def test_other_failures_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="shapes differ"), naming_memory(config(), on_gpu=True, at_once=1):
        raise RuntimeError("shapes differ")


def test_the_command_ends_with_that_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def short(*_: object, **__: object) -> None:
        raise RuntimeError(ALLOCATOR)

    painter = save_untrained_painter(tmp_path / "painter")
    monkeypatch.setattr(PaintingPipeline, "__call__", short)
    overrides = [f"painter={painter}", "prompt=a boat", "device=cpu", f"out={tmp_path / 'out'}"]
    assert command("paint", paint_config, run, "A test.", overrides) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: out of memory on this machine; try dtype=bf16")
    assert not (tmp_path / "out").exists()
    for offload in ("model", "group", "sequential"):
        assert command("paint", paint_config, run, "A test.", [*overrides, f"offload={offload}"]) == 2
        assert f"offload={offload}: not allowed; allowed: none on a CPU" in capsys.readouterr().err
