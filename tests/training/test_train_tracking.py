"""What a run says of itself: in its own files first, then to the tracker, and never a secret."""

import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from wandb import Artifact

from pipelines.artists.video import read_video
from tests.training.toy_runs import log, train
from training.data.dataset import read_card
from training.models.weights import weights_hash
from training.run.checkpoint import newest_sound
from training.run.measurements import NUM_BANDS, LossWindow, Speed, count_flops, peak_tflops
from training.run.samples import mp4, write_samples

CANARY = "canary-4f1d"


@pytest.mark.timeout(120)
def test_no_secret_and_no_path_leaves_and_a_resumed_run_is_the_same_run(
    sequences: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys in the environment, the command line, and the folders of data, parents and run."""
    for name in ("WANDB_API_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, CANARY + "0" * 40)
    monkeypatch.setattr(sys, "argv", [*sys.argv, f"token={CANARY}"])
    home = tmp_path / CANARY
    home.mkdir()
    data = home / "pictures"
    data.symlink_to(sequences)
    out = home / "run"
    for steps in (2, 4):
        train(data, out, max_steps=steps, tracker="wandb", sample_every=2, validate_every=2)
    sent = [*out.glob("wandb/*run-*/*.wandb"), *out.glob("wandb/*run-*/files/**/*")]
    ours = [out / "run.json", out / "log.jsonl", *out.glob("checkpoints/*/*")]
    content = {path: path.read_bytes() for path in [*sent, *ours] if path.is_file()}
    assert b"train/loss" in b"".join(content.values())
    for path, held in content.items():
        assert CANARY.encode() not in held, path
        assert str(tmp_path).encode() not in held, path
    checkpoint = newest_sound(out / "checkpoints", print)
    assert checkpoint is not None
    runs = list(out.glob("wandb/offline-run-*"))
    assert len(runs) == 2
    # offline-run-DATE_TIME-ID, and one number more when the second began within the same second
    assert {path.name.split("-")[3] for path in runs} == {checkpoint.facts["tracker_id"]}
    assert any(path.suffix == ".mp4" for path in sent) and any(path.suffix == ".png" for path in sent)


def test_a_run_is_measured_in_every_respect(sequences: Path, tmp_path: Path) -> None:
    options = {"log_every": 4, "validate_every": 8, "peak_tflops": 0.001, "batch_size": 3}
    train(sequences, tmp_path / "run", **options)
    first, last, validated = log(tmp_path / "run")
    assert set(first) == set(last) >= {
        "step", "train/loss", "train/lr", "train/gradient_norm", "data/samples", "data/epoch", "perf/step_s",
        "perf/samples_per_s", "perf/frames_per_s", "perf/data_wait_share", "perf/peak_memory_gib",
        "perf/tflops_per_device", "perf/mfu",
    }  # fmt: skip
    assert (last["step"], last["data/samples"], last["data/epoch"]) == (8, 24, 2)
    assert last["perf/frames_per_s"] == pytest.approx(8 * last["perf/samples_per_s"], rel=1e-5)
    assert 0 <= last["perf/data_wait_share"] <= 1 and last["perf/peak_memory_gib"] > 0
    assert last["perf/mfu"] == pytest.approx(last["perf/tflops_per_device"] / 0.001, rel=1e-5)
    assert {key.partition("/")[0] for key in validated} == {"step", "val"}


def test_validation_is_of_the_averaged_weights_on_fixed_noise(sequences: Path, tmp_path: Path) -> None:
    """With weights that do not move, every validation gives the same."""
    options = {"optimizer.learning_rate": 1e-30, "validate_every": 2, "max_steps": 4, "optimizer.weight_decay": 0}
    train(sequences, tmp_path / "run", **options)
    first, last = [line["val/loss"] for line in log(tmp_path / "run") if "val/loss" in line]
    assert first == last


def test_a_run_says_to_the_tracker_what_tells_it_from_others(
    sequences: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[dict[str, Any]] = []

    def init(**options: Any) -> None:
        begun.append(options)
        raise KeyboardInterrupt

    monkeypatch.setattr("wandb.init", init)
    with pytest.raises(KeyboardInterrupt):
        train(sequences, tmp_path / "evening", max_steps=2, tracker="wandb", seed=7)
    assert begun[0]["config"]["max_steps"] == 2
    for said in ("evening", "motion", "tiny", "2 steps", "seed 7"):
        assert said in begun[0]["name"]


def test_files_are_written_before_the_tracker_hears_of_them(
    sequences: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []

    class Run:
        id, offline = "abc", True

        def log_artifact(self, artifact: Artifact) -> None:
            assert weights_hash(tmp_path / "run" / "weights") == artifact.metadata["sha256"]
            assert artifact.metadata["made_from"][:1] == [f"dataset-{read_card(sequences).digest[:16]}"]
            heard.append(artifact.name)

        def define_metric(self, *_: object, **__: object) -> None: ...

        def log(self, values: dict[str, object], step: int) -> None:
            lines = log(tmp_path / "run")
            for key in values:
                if key.startswith(("train/loss", "val/loss")):
                    assert any(line["step"] == step and key in line for line in lines)
                elif key.startswith("samples/"):
                    assert (tmp_path / "run" / "samples" / f"step-{step:08d}.mp4").stat().st_size
            heard.extend(values)

        def finish(self) -> None:
            heard.append("finished")

    monkeypatch.setattr("wandb.init", lambda **_: Run())
    train(sequences, tmp_path / "run", max_steps=2, tracker="wandb", sample_every=2, validate_every=2)
    assert {"train/loss", "val/loss", "samples/sequences", "samples/sheet", "finished"} <= set(heard)
    assert f"weights-{weights_hash(tmp_path / 'run' / 'weights')[:16]}" in heard


def test_losses_are_told_apart_by_band() -> None:
    window = LossWindow(1000)
    window.add(torch.tensor([1.0, 3.0, 5.0, 9.0]), torch.tensor([0, 249, 250, 999]))
    assert window.means(window.sums) == {
        "loss": 4.5, "loss/t0000-0249": 2.0, "loss/t0250-0499": 5.0, "loss/t0750-0999": 9.0
    }  # fmt: skip
    assert len(window.sums) == 1 + NUM_BANDS


@given(st.integers(2, 40).flatmap(lambda num_steps: st.tuples(st.just(num_steps), st.integers(0, num_steps - 1))))
def test_a_loss_is_in_the_band_whose_name_holds_its_timestep(case: tuple[int, int]) -> None:
    num_steps, timestep = case
    window = LossWindow(num_steps)
    window.add(torch.tensor([1.0]), torch.tensor([timestep]))
    (name,) = window.means(window.sums).keys() - {"loss"}
    first, last = name.removeprefix("loss/t").split("-")
    assert int(first) <= timestep <= int(last) < num_steps


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H200", 989.0), ("NVIDIA H200 NVL", 835.0), ("NVIDIA H200 MIG 1g.18gb", None),
        ("NVIDIA GH200 480GB", 989.0),
        ("NVIDIA GH200 144G HBM3e", 989.0), ("NVIDIA H100 80GB HBM3", 989.0), ("NVIDIA H100 PCIe", 756.0),
        ("NVIDIA H100 NVL", 835.0), ("NVIDIA A100-SXM4-80GB", 312.0), ("NVIDIA A100-PCIE-40GB", 312.0),
        ("NVIDIA A100 80GB PCIe", 312.0), ("NVIDIA A100-SXM4-40GB MIG 3g.20gb", None), ("NVIDIA RTX A1000", None),
        ("NVIDIA L40S", 362.0), ("NVIDIA L40", 181.0), ("NVIDIA L4", 121.0), ("NVIDIA A10", 125.0),
        ("NVIDIA A10G", 70.0), ("NVIDIA A10M", None), ("NVIDIA GeForce RTX 4090", 165.0),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", None), ("NVIDIA GeForce RTX 4090 D", None),
        ("NVIDIA GeForce RTX 3090", 71.0), ("NVIDIA GeForce RTX 3090 Ti", None), ("Tesla V100-SXM2-16GB", 125.0),
        ("Tesla V100-PCIE-16GB", 112.0), ("Tesla T4", 65.0), ("NVIDIA T400", None), ("NVIDIA T400 4GB", None),
    ],
)  # fmt: skip
def test_the_peak_is_that_of_the_card_and_not_of_one_whose_name_begins_alike(
    monkeypatch: pytest.MonkeyPatch, name: str, peak: float | None
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: name)
    assert peak_tflops(torch.device("cuda"), None) == peak
    assert peak_tflops(torch.device("cuda"), 7.0) == 7.0


def test_flops_of_a_matrix_product_and_its_backward_are_counted() -> None:
    layer = torch.nn.Linear(32, 16, bias=False)
    inputs = torch.ones(8, 32, requires_grad=True)
    assert count_flops(lambda: layer(inputs).sum().backward()) == 3 * 2 * 8 * 32 * 16


def test_speed_is_of_all_ranks_and_begins_again_after_each_line() -> None:
    speed = Speed(flops=1e12, peak_tflops=10.0)
    speed.add(seconds=1.0, waited_s=0.5, samples=4, frames=32)
    speed.waited_for_device(1.0)
    values = speed.taken(num_ranks=2, computing_s=1.5)
    assert (values["perf/samples_per_s"], values["perf/frames_per_s"], values["perf/step_s"]) == (4.0, 32.0, 2.0)
    assert (values["perf/data_wait_share"], values["perf/tflops_per_device"], values["perf/mfu"]) == (0.25, 2.0, 0.2)
    assert values["perf/compute_share"] == 0.75
    assert speed.taken(num_ranks=2, computing_s=0.0)["perf/samples_per_s"] == 0


def test_peak_memory_is_counted_anew_for_each_run_of_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    resets = list[bool]()
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: resets.append(True))
    Speed(None, None)
    assert not resets
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    Speed(None, None)
    assert resets == [True]


@pytest.mark.parametrize(("height", "width"), [(64, 64), (720, 1280)])
def test_players_show_the_colours_that_were_painted(tmp_path: Path, height: int, width: int) -> None:
    """Pictures of 720 lines and more are taken for BT.709 where the file does not say."""
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [250, 220, 40], [90, 60, 40], [128, 128, 128]], np.uint8)
    frames = np.broadcast_to(colours[:, None, None], (len(colours), height, width, 3))
    video = tmp_path / "video.mp4"
    video.write_bytes(mp4(np.ascontiguousarray(frames)))
    footage = read_video(str(video), 1 << 14, range(2, 257))
    shown = np.stack([frame.reshape(-1, 3).mean(0) for frame in footage.frames])[: len(colours)]
    assert np.abs(shown - colours).max() <= 2
    with av.open(str(video)) as container:
        context = container.streams.video[0].codec_context
        assert (context.color_primaries, context.color_trc, context.colorspace, context.color_range) == (1, 1, 1, 1)


def test_samples_are_a_sheet_with_a_row_a_prompt_and_a_video_of_all(tmp_path: Path) -> None:
    sequences = torch.linspace(0, 1, 3 * 4)[:, None, None, None].expand(12, 3, 16, 20).reshape(3, 4, 3, 16, 20)
    video, sheet = write_samples(tmp_path, 7, sequences)
    with Image.open(sheet) as image:
        pixels = np.asarray(image)
    assert pixels.shape == (3 * 16, 4 * 20, 3)
    assert pixels[0, 0, 0] == 0 and pixels[-1, -1, 0] == 255 and pixels[16, 0, 0] == round(255 * 4 / 11)
    with av.open(str(video)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == 4 + 2 and frames[0].shape == (16, 60, 3)
    assert abs(int(frames[-1][8, 50, 0]) - 255) < 8 and abs(int(frames[0][8, 10, 0]) - 0) < 8
